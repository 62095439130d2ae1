//! The publishing thread: drains all folding threads, makes the cut, writes checkpoints.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, bounded};

use super::fold::{Command, Drained, Fold};
use super::freshness::Freshness;
use crate::config::PipelineConfig;
use crate::results::{Results, State, Status};
use crate::run::publisher::{Moment, Publisher};
use crate::run::saving::{Saving, SavingError};
use crate::source::Source;

/// What the publishing thread works with.
pub(super) struct PublishLoop {
    pub(super) publisher: Publisher,
    pub(super) saving: Saving,
    pub(super) folds: Vec<Fold>,
    pub(super) results: Arc<Results>,
    pub(super) config: PipelineConfig,
    pub(super) freshness: Freshness,
}

impl PublishLoop {
    /// `sources` are kept until the end: readers may need what they hold.
    pub(super) fn run(mut self, stopped: &Receiver<()>, sources: Vec<Box<dyn Source>>) {
        let mut saved = Instant::now();
        let mut next = Instant::now();
        loop {
            let problem = self.publish();
            let at_end = stopped.recv_timeout(next.saturating_duration_since(Instant::now())).is_ok();
            if at_end || saved.elapsed() >= self.config.checkpoint_every {
                if at_end {
                    self.publish();
                }
                self.save();
                saved = Instant::now();
            }
            if at_end || problem.is_some() {
                break;
            }
            next = (next + self.config.publish_every).max(Instant::now());
        }
        for fold in self.folds {
            let _told = fold.commands.send(Command::Stop);
            if fold.thread.join().is_err() {
                tracing::error!("a folding thread panicked");
            }
        }
        drop(sources);
    }

    /// One cut; `Some` when the pipeline must not go on.
    fn publish(&mut self) -> Option<String> {
        let with_end = self.freshness.wants_end();
        let mut replies = Vec::new();
        for fold in &self.folds {
            let (reply, answer) = bounded(1);
            if fold.commands.send(Command::Drain { reply, with_end }).is_err() {
                return self.broken("a folding thread has ended".to_owned());
            }
            replies.push(answer);
        }
        let mut problem = None;
        let mut waiting = Vec::new();
        for answer in replies {
            let Ok(drains) = answer.recv() else {
                return self.broken("a folding thread has ended".to_owned());
            };
            for drained in drains {
                problem = drained.problem.clone().map(|why| format!("stream {}: {why}", drained.stream)).or(problem);
                waiting.extend(drained.waits_for.map(|ledger| {
                    let (stream, partition, table) = (&drained.stream, drained.partition, ledger.table());
                    format!("stream {stream} partition {partition} waits for room in ledger {table}")
                }));
                if let Err(error) = self.take(drained) {
                    return self.broken(error);
                }
            }
        }
        let begun = Instant::now();
        match self.publisher.publish(&self.moment()) {
            Ok(cut) => {
                metrics::histogram!("tidemark_publish_seconds").record(begun.elapsed().as_secs_f64());
                self.results.publish(cut);
                let status = self.freshness.status(&self.publisher, problem, waiting);
                self.results.set_status(status);
                None
            }
            Err(error) => self.broken(error.strip_backtrace()),
        }
    }

    /// A wrong figure must never be published: the pipeline stops and says why, the last figures stay.
    fn broken(&self, problem: String) -> Option<String> {
        tracing::error!(problem, "the pipeline stops: {problem}");
        let status = Status { state: State::Stale, problem: Some(problem.clone()), ..Status::default() };
        self.results.set_status(status);
        Some(problem)
    }

    fn take(&mut self, drained: Drained) -> Result<(), String> {
        let mut drain = drained.drain?;
        self.freshness.hear(&drained.stream, drained.partition, (drain.next_offset, drained.end_offset));
        self.saving.note(&drained.stream, drain.partition, std::mem::take(&mut drain.dedup));
        self.saving.note_orders(&drained.stream, drain.partition, &mut drain.operators);
        self.publisher.absorb(&drained.stream, drain);
        Ok(())
    }

    fn moment(&self) -> Moment {
        Moment { now_ms: now_ms(), quiet: self.freshness.quiet(), idle_after: self.config.idle_after }
    }

    fn save(&mut self) {
        let begun = Instant::now();
        match self.save_in_order() {
            Ok(()) => metrics::histogram!("tidemark_checkpoint_seconds").record(begun.elapsed().as_secs_f64()),
            Err(error) => {
                // The wall goes on; health says so, and the next checkpoint holds everything.
                metrics::counter!("tidemark_checkpoint_failures").increment(1);
                tracing::error!(%error, "the checkpoint was not written: {error}");
            }
        }
    }
}

impl PublishLoop {
    /// The entries of records before the checkpoint first, since those records are not read again.
    fn save_in_order(&mut self) -> Result<(), SavingError> {
        self.publisher.ledgers.persist()?;
        self.saving.save(&self.publisher)?;
        let offsets = self.publisher.streams.iter().map(|(name, stream)| (name.clone(), stream.offsets()));
        self.publisher.ledgers.checkpoint_written(offsets.collect())?;
        Ok(())
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
