//! The publishing thread: drains all folding threads, makes the cut, writes checkpoints, and between two
//! publishes does what it is told.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use super::feed::Feed;
use super::fill::{Fill, Near};
use super::fold::Drained;
use super::freshness::Freshness;
use super::logs::Grown;
use super::reload::{ReloadError, Reloaded};
use super::wishes::Wishes;
use super::{StreamInput, now_ms};
use crate::config::PipelineConfig;
use crate::fail_points;
use crate::history::{History, HistoryError, Stand};
use crate::results::{CommitWish, Cut, Results, State, Status};
use crate::run::publisher::{Moment, Publishers};
use crate::run::saving::Saving;
use crate::sinks::result_topics::ResultTopics;
use crate::sql::Catalog;
use crate::state::objects::{Fenced, Objects as _};

/// How long the end waits for a last checkpoint; what it lacks is read again after the next start.
const LAST_MAX: Duration = Duration::from_secs(20);

/// How often is published while reading is far behind: a publish costs much the same for a few records as for many. So
/// at most a tenth of one thread's time is spent on it, within these bounds.
const FAR_BEHIND_EVERY: RangeInclusive<Duration> =
    Duration::from_millis(500)..=Duration::from_secs(2);

/// What the publishing thread is told.
pub(super) enum Event {
    /// The end.
    Stop,
    /// Another catalogue.
    Reload(Box<Catalog>, Sender<Result<Reloaded, ReloadError>>),
    /// Someone waits for a commit.
    Commit(CommitWish),
    /// A fill is a batch away.
    Near(Near),
    /// A log has another partition.
    Grown(Grown),
    /// A log has another number of partitions, which the stream does not accept.
    PartitionCount {
        /// The stream.
        stream: String,
        /// Partitions it had.
        before: usize,
        /// Partitions it has.
        now: usize,
    },
}

/// What the publishing thread works with.
pub(super) struct PublishLoop {
    pub(super) catalog: Catalog,
    pub(super) publisher: Publishers,
    pub(super) saving: Saving,
    pub(super) folds: Feed,
    pub(super) results: Arc<Results>,
    pub(super) config: PipelineConfig,
    pub(super) freshness: Freshness,
    /// Opens the logs again, for fills.
    pub(super) inputs: Vec<StreamInput>,
    pub(super) fills: Vec<Fill>,
    pub(super) fills_begun: u64,
    /// Partitions that wait until no view is joining.
    pub(super) grown: Vec<Grown>,
    pub(super) events: Sender<Event>,
    /// Where cuts go whose checkpoint is written.
    pub(super) topics: Option<ResultTopics>,
    /// The cut whose checkpoint is being written.
    pub(super) being_saved: Option<Arc<Cut>>,
    /// The last checkpoint that was written.
    pub(super) saved: Stand,
    /// Who waits for a commit.
    pub(super) wishes: Wishes,
    /// The histories of streams that have one.
    pub(super) history: Option<History>,
    /// Why what views show is not kept, where it is to be and is not.
    pub(super) views_problem: Option<Arc<Mutex<Option<String>>>>,
    /// Whether the checkpoints are still ours.
    pub(super) fence: Arc<Fenced>,
}

/// Whether the pipeline goes on.
enum Next {
    GoOn,
    Stop,
    /// It must not, and why.
    Broken(String),
}

impl PublishLoop {
    /// Publishes until it is told to stop or must not go on.
    pub(super) fn run(mut self, inbox: &Receiver<Event>) {
        let mut saved = Instant::now();
        let mut due = Instant::now();
        loop {
            let begun = Instant::now();
            let mut next = self.publish();
            let cost = begun.elapsed();
            while matches!(next, Next::GoOn)
                && let Some(event) = self.event_before(due, inbox)
            {
                next = self.told(event);
            }
            match &next {
                Next::GoOn => {}
                Next::Stop => {
                    if let Next::Broken(problem) = self.publish() {
                        self.broken(&problem);
                    } else {
                        self.save_last();
                    }
                    break;
                }
                Next::Broken(problem) => {
                    self.broken(problem);
                    break;
                }
            }
            self.hear_of_checkpoint(Duration::ZERO);
            let is_time = saved.elapsed() >= self.config.checkpoint_every;
            if (is_time || self.wishes.want_checkpoint()) && self.save() {
                saved = Instant::now();
            }
            due = (due + self.until_next(cost)).max(Instant::now());
        }
        self.folds.stop();
        self.saving.stop();
        if let Some(topics) = self.topics.take() {
            topics.stop();
        }
        if let Some(history) = self.history.take() {
            history.stop(&self.saved);
        }
    }

    /// What is told before the next publish is due. It is due at once where reading was far behind and has come to the end.
    fn event_before(&self, due: Instant, inbox: &Receiver<Event>) -> Option<Event> {
        loop {
            let soon = Instant::now() + self.config.publish_every;
            match inbox.recv_deadline(due.min(soon)) {
                Ok(event) => return Some(event),
                Err(_) if due <= soon || self.folds.are_idle() => return None,
                Err(_) => {}
            }
        }
    }

    /// How long after a publish, which took `cost`, the next one is due. Far behind, figures of long ago come less often, so
    /// that those of now come sooner.
    fn until_next(&self, cost: Duration) -> Duration {
        let (least, most) = (*FAR_BEHIND_EVERY.start(), *FAR_BEHIND_EVERY.end());
        match self.freshness.is_far_behind() {
            true => self.config.publish_every.max((cost * 10).clamp(least, most)),
            false => self.config.publish_every,
        }
    }

    fn told(&mut self, event: Event) -> Next {
        match event {
            Event::Stop => return Next::Stop,
            Event::Reload(catalog, reply) => {
                // Whoever asked may have gone.
                let _sent = reply.send(self.reload(*catalog));
            }
            Event::Commit(wish) => self.wishes.add(wish),
            Event::Near(near) => self.near(near),
            Event::Grown(grown) => self.grown.push(grown),
            Event::PartitionCount { stream, before, now } => {
                // What has been read up to here is right.
                self.save_last();
                return Next::Broken(format!(
                    "stream {stream} had {before} partitions and has {now} now: figures of another partitioning \
                     are other figures; declare 'on-partition-added' = 'accept' in the stream to take added ones in, \
                     or compute everything again from the log"
                ));
            }
        }
        Next::GoOn
    }

    /// One cut.
    fn publish(&mut self) -> Next {
        if let Some(taken) = self.fence.taken() {
            // What it would show from here on, its successor shows, and it can save nothing of it.
            return Next::Broken(format!("checkpoints at {}: {taken}", self.fence.place()));
        }
        let drains = match self.drained() {
            Ok(drains) => drains,
            Err(error) => return Next::Broken(error),
        };
        let mut problem = None;
        let mut waiting = Vec::new();
        for drained in drains {
            problem = drained
                .problem
                .clone()
                .map(|why| format!("stream {}: {why}", drained.stream))
                .or(problem);
            waiting.extend(drained.waits_for.map(|ledger| {
                let (stream, partition, table) =
                    (&drained.stream, drained.partition, ledger.table());
                format!("stream {stream} partition {partition} waits for room in ledger {table}")
            }));
            if let Err(error) = self.take(drained) {
                return Next::Broken(error);
            }
        }
        waiting.extend(self.folds.waits_for().map(|ledger| {
            format!("what workers folded waits for room in ledger {}", ledger.table())
        }));
        let (of_feed, mut alarms) = self.hear_of_feed();
        problem = of_feed.or(problem);
        if let Err(error) = self.hear_of_history() {
            return Next::Broken(error.to_string());
        }
        self.saving.weigh();
        fail_points::hit("publish");
        let replaced = self.publisher.show_joined();
        self.folds.forget(&replaced);
        self.take_in_grown();
        self.tell_fills();
        let begun = Instant::now();
        match self
            .publisher
            .publish(&self.moment(), self.freshness.quiet_of_shadow(&self.publisher))
        {
            Ok(mut cut) => {
                cut.histories = self.history.as_ref().map(History::tables).unwrap_or_default();
                metrics::histogram!("tidemark_publish_seconds")
                    .record(begun.elapsed().as_secs_f64());
                self.results.publish(cut);
                fail_points::hit("published");
                let paused = self.saving.pauses().or_else(|| waiting.first().cloned());
                waiting.append(&mut alarms);
                waiting.extend(self.saving.alarms());
                waiting.extend(self.topics.iter().flat_map(ResultTopics::alarms));
                waiting.extend(self.history.iter().flat_map(History::alarms));
                waiting.extend(self.views_problem.iter().filter_map(|problem| {
                    let problem = problem.lock().clone()?;
                    Some(format!("what views show is not kept: {problem}"))
                }));
                let status = self.freshness.status(&self.publisher, (problem, paused), waiting);
                self.results.set_status(status);
                Next::GoOn
            }
            Err(error) => Next::Broken(error.strip_backtrace()),
        }
    }

    /// What was folded since the last time; what workers folded waits with them while too much waits here.
    fn drained(&mut self) -> Result<Vec<Drained>, String> {
        match self.folds.is_of_workers() && self.saving.backlog().is_full() {
            true => Ok(Vec::new()),
            false => self.folds.drain(self.freshness.wants_end()),
        }
    }

    /// Takes note of what is told beside the drains: the ends of logs, and what is wrong.
    fn hear_of_feed(&mut self) -> (Option<String>, Vec<String>) {
        for ((stream, partition), end) in self.folds.ends() {
            let at = self.publisher.live.streams.get(&stream);
            let next = at.and_then(|at| at.partitions.get(&partition)?.next_offset);
            self.freshness.hear(&stream, partition, (next, Some(end)));
        }
        self.folds.problems()
    }

    /// A wrong figure must never be published: the pipeline stops and says why, the last figures stay.
    fn broken(&self, problem: &str) {
        tracing::error!(problem, "the pipeline stops: {problem}");
        let status =
            Status { state: State::Stale, problem: Some(problem.to_owned()), ..Status::default() };
        self.results.set_status(status);
    }

    fn take(&mut self, drained: Drained) -> Result<(), String> {
        let mut drain = drained.drain?;
        self.freshness.hear(
            &drained.stream,
            drained.partition,
            (drain.live.next_offset, drained.end_offset),
        );
        if let Some(shadow) = &drain.shadow {
            self.freshness.hear_shadow(&drained.stream, drained.partition, shadow.counts.read);
        }
        if let Some(history) = &mut self.history {
            let (partition, rows) = (drain.live.partition, std::mem::take(&mut drain.live.history));
            let bytes = history
                .note(&drained.stream, partition, rows)
                .map_err(|error| error.to_string())?;
            self.saving.note_history(&drained.stream, partition, bytes, false);
        }
        self.saving.note(&drained.stream, &mut drain);
        self.publisher.absorb(&drained.stream, drain).map_err(|error| error.strip_backtrace())
    }

    fn moment(&self) -> Moment {
        Moment {
            now_ms: now_ms(),
            quiet: self.freshness.quiet(),
            idle_after: self.config.idle_after,
        }
    }

    /// Begins a checkpoint of the last cut. `false` while the one before is still being written: then this
    /// one is late, and nobody waits for it.
    fn save(&mut self) -> bool {
        let cut = self.results.latest();
        match self.saving.begin(&mut self.publisher) {
            Ok(false) => return false,
            Ok(true) => {
                self.wishes.checkpoint_begun(&cut);
                self.being_saved = Some(cut);
            }
            Err(error) => {
                // The wall goes on; health says so, and the next checkpoint holds everything.
                self.wishes.checkpoint_begun(&cut);
                self.saving.refused(&error);
            }
        }
        true
    }

    /// Takes note of a checkpoint that has been written.
    fn hear_of_checkpoint(&mut self, patience: Duration) {
        let Some(written) = self.saving.finished(patience) else { return };
        if let Some(cut) = self.being_saved.take() {
            self.saved = Stand::of(self.results.epoch(), &cut, &written.offsets);
            self.wishes.checkpoint_written(&cut, &self.saved);
            if let Some(topics) = &self.topics {
                topics.offer(cut);
            }
        }
        if let Some(history) = &mut self.history {
            history.checkpoint_written(&self.saved, &|stream| self.wishes.hold_back(stream));
            self.wishes.serve(history);
        }
        if let Err(error) = self.publisher.checkpoint_written(&written.offsets) {
            tracing::error!(%error, "what ended in the ledgers was not forgotten: {error}");
        }
        self.folds.checkpoint_written(&written.offsets);
    }

    /// Takes note of what has been committed to histories.
    fn hear_of_history(&mut self) -> Result<(), HistoryError> {
        let Some(history) = &mut self.history else { return Ok(()) };
        for (stream, partition, bytes) in history.hear(Duration::ZERO)? {
            self.saving.note_history(&stream, partition, bytes, true);
        }
        self.wishes.serve(history);
        self.saving.backlog().note_history(history.waiting_bytes(), history.bytes_max());
        Ok(())
    }

    /// Writes a checkpoint and waits for it.
    fn save_last(&mut self) {
        self.hear_of_checkpoint(LAST_MAX);
        if !self.save() {
            tracing::error!(
                "the last checkpoint was not written: the one before it has not come to an end"
            );
        }
        self.hear_of_checkpoint(LAST_MAX);
    }
}
