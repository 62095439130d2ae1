//! The pipeline as it serves: folding threads that own partitions, one thread that publishes.
//!
//! ```text
//! reader ─▶ partition ─┐            every publish:
//! reader ─▶ partition ─┤ fold thread ◀── drain ── publisher ──▶ results
//! reader ─▶ partition ─┘             ── states ─▶     │    └──▶ checkpoint
//! ```
//! A drain takes all partitions of a thread between two batches, so what comes back is of one offset
//! a partition, over all views: a cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::build::partition_run;
use super::partition::{PartitionDrain, PartitionRun, Place};
use super::publisher::{Moment, Publisher, PublisherLimits, view_info, views_to_run};
use super::saving::{Saving, SavingError};
use crate::config::PipelineConfig;
use crate::model::{Offset, PartitionId};
use crate::results::{Mode, Results, State, Status};
use crate::source::{PartitionReader, Source, SourceError};
use crate::sql::Catalog;

/// Why the pipeline cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log.
    #[error("stream {stream}: {source}")]
    Source {
        /// The stream.
        stream: String,
        /// What is wrong with it.
        source: SourceError,
    },
    /// The saved state.
    #[error("stream {stream}: {source}")]
    Saving {
        /// The stream.
        stream: String,
        /// What is wrong with it.
        source: SavingError,
    },
    /// A view.
    #[error("the views cannot be set up: {0}")]
    Views(String),
    /// The system gives no threads.
    #[error("a folding thread cannot be started: {0}")]
    Threads(std::io::Error),
}

/// A running pipeline. Dropping it without [`Pipeline::stop`] leaves its threads running.
#[derive(Debug)]
pub struct Pipeline {
    results: Arc<Results>,
    stop: Sender<()>,
    publisher: JoinHandle<()>,
}

/// How long an idle folding thread waits for a command before it reads again.
const IDLE_WAIT: Duration = Duration::from_millis(2);
/// How long a failing reader is left alone.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Time without records after which a drained stream is called quiet.
const QUIET_AFTER: Duration = Duration::from_secs(5);
/// Time records may wait unread before the figures are called behind.
const BEHIND_AFTER: Duration = Duration::from_secs(2);
/// How often the end of the log is looked up, for the lag.
const LAG_EVERY: Duration = Duration::from_millis(500);

/// Starts the pipeline of one stream.
///
/// # Errors
/// When the log cannot be read, the saved state not be taken up, or a view not be set up.
pub fn start(
    catalog: &Catalog,
    config: &PipelineConfig,
    mode: Mode,
    (stream, mut source): (String, Box<dyn Source>),
) -> Result<Pipeline, StartError> {
    let views_error = |error: datafusion::common::DataFusionError| StartError::Views(error.strip_backtrace());
    let source_error = |source| StartError::Source { stream: stream.clone(), source };
    let Some(plan) = catalog.streams.get(&stream) else {
        return Err(StartError::Views(format!("there is no stream {stream}")));
    };
    let limits = PublisherLimits {
        ledger_rows_max: config.ledger_rows_max,
        tombstones_max: config.tombstones_max,
    };
    let mut publisher = Publisher::new(catalog, &stream, limits).map_err(views_error)?;
    let numbers = source.partitions().map_err(source_error)?;
    let dir = config.data_dir.join("checkpoints").join(&stream);
    let (saving, mut resumed) = Saving::open(
        &dir,
        config.checkpoints_kept,
        (plan.definition.dedup_horizon_ms, &numbers),
        &mut publisher,
    )
    .map_err(|source| StartError::Saving { stream: stream.clone(), source })?;
    let views = views_to_run(catalog, &stream);
    let mut partitions = Vec::new();
    for number in numbers {
        publisher.expect_partition(number);
        let place = Place { origin: source.origin().to_owned(), is_file: false, partition: number };
        let mut run = partition_run(plan, place, None, &views).map_err(views_error)?;
        if let Some(start) = resumed.partitions.remove(&number) {
            run.restore(start);
        }
        let reader = source.open(number, run.next_offset()).map_err(source_error)?;
        partitions.push(Owned { reader, run, problem: None, retry_at: None });
    }
    let infos = catalog.views.iter().map(|view| Arc::new(view_info(catalog, view))).collect();
    let results = Results::new(epoch(), mode, infos);
    let folds = spawn_folds(partitions, config).map_err(StartError::Threads)?;
    let (stop, stopped) = bounded(1);
    let loop_of = PublishLoop {
        publisher,
        saving,
        folds,
        results: Arc::clone(&results),
        config: config.clone(),
        heard: BTreeMap::new(),
        lag: Lag::default(),
    };
    let publisher = std::thread::Builder::new()
        .name("tidemark-publish".to_owned())
        .spawn(move || loop_of.run(&stopped, source))
        .map_err(StartError::Threads)?;
    Ok(Pipeline { results, stop, publisher })
}

impl Pipeline {
    /// What it publishes.
    #[must_use]
    pub fn results(&self) -> &Arc<Results> {
        &self.results
    }

    /// Whether the publishing thread has ended by itself, which only a broken invariant makes it do.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.publisher.is_finished()
    }

    /// Reads no more, publishes a last cut and writes a last checkpoint.
    pub fn stop(self) {
        // A full channel means that it is stopping already.
        let _told = self.stop.try_send(());
        if self.publisher.join().is_err() {
            tracing::error!("the publishing thread panicked; the last checkpoint is older than the last cut");
        }
    }
}

/// A name for this life of the publisher.
fn epoch() -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{nanos:x}")
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A partition with its reader, owned by one folding thread.
struct Owned {
    reader: Box<dyn PartitionReader>,
    run: PartitionRun,
    problem: Option<String>,
    retry_at: Option<Instant>,
}

/// What a folding thread is asked for.
enum Command {
    /// The states of all partitions since the last time.
    Drain {
        reply: Sender<Vec<Drained>>,
        with_end: bool,
    },
    /// The end.
    Stop,
}

/// One partition's part of a drain.
struct Drained {
    drain: Result<PartitionDrain, String>,
    partition: PartitionId,
    end_offset: Option<Offset>,
    problem: Option<String>,
}

struct Fold {
    commands: Sender<Command>,
    thread: JoinHandle<()>,
}

fn spawn_folds(partitions: Vec<Owned>, config: &PipelineConfig) -> std::io::Result<Vec<Fold>> {
    let count = config.fold_threads.min(partitions.len()).max(1);
    let mut shares: Vec<Vec<Owned>> = (0..count).map(|_| Vec::new()).collect();
    for (at, owned) in partitions.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(at % count) {
            share.push(owned);
        }
    }
    let mut folds = Vec::new();
    for (number, share) in shares.into_iter().enumerate() {
        let (commands, inbox) = bounded(1);
        let records_max = config.batch_records_max;
        let thread = std::thread::Builder::new()
            .name(format!("tidemark-fold-{number}"))
            .spawn(move || fold_loop(share, &inbox, records_max))?;
        folds.push(Fold { commands, thread });
    }
    Ok(folds)
}

fn fold_loop(mut partitions: Vec<Owned>, inbox: &Receiver<Command>, records_max: usize) {
    loop {
        let records: usize = partitions.iter_mut().map(|owned| owned.read(records_max)).sum();
        let command = match records {
            0 => inbox.recv_timeout(IDLE_WAIT).ok(),
            _ => inbox.try_recv().ok(),
        };
        match command {
            None => {}
            Some(Command::Stop) => return,
            Some(Command::Drain { reply, with_end }) => {
                let drains = partitions.iter_mut().map(|owned| owned.drain(with_end)).collect();
                if reply.send(drains).is_err() {
                    return;
                }
            }
        }
    }
}

impl Owned {
    /// Reads and folds one batch; how many records it was.
    fn read(&mut self, records_max: usize) -> usize {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return 0;
        }
        let run = &mut self.run;
        let outcome = self.reader.read(records_max, Duration::ZERO, &mut |record| run.take(record));
        let folded = run.process().map_err(|error| error.strip_backtrace());
        match (outcome, folded) {
            (Ok(outcome), Ok(())) => {
                self.problem = None;
                self.retry_at = None;
                outcome.records
            }
            (Err(error), _) => self.fails(error.to_string()),
            (_, Err(error)) => self.fails(error),
        }
    }

    fn fails(&mut self, problem: String) -> usize {
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(partition = self.run.partition(), problem, "reading fails: {problem}");
        }
        self.problem = Some(problem);
        self.retry_at = Some(Instant::now() + RETRY_AFTER);
        0
    }

    fn drain(&mut self, with_end: bool) -> Drained {
        Drained {
            drain: self.run.drain().map_err(|error| error.strip_backtrace()),
            partition: self.run.partition(),
            end_offset: if with_end { self.reader.end_offset() } else { None },
            problem: self.problem.clone(),
        }
    }
}

/// How far the reading is behind the log.
#[derive(Debug, Default)]
struct Lag {
    ends: BTreeMap<PartitionId, Offset>,
    looked: Option<Instant>,
    behind_since: Option<Instant>,
    read: u64,
    rate: f64,
    rated: Option<Instant>,
}

struct PublishLoop {
    publisher: Publisher,
    saving: Saving,
    folds: Vec<Fold>,
    results: Arc<Results>,
    config: PipelineConfig,
    /// When each partition's offset last moved.
    heard: BTreeMap<PartitionId, (Option<Offset>, Instant)>,
    lag: Lag,
}

impl PublishLoop {
    /// `source` is kept until the end: readers may need what it holds.
    fn run(mut self, stopped: &Receiver<()>, source: Box<dyn Source>) {
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
        drop(source);
    }

    /// One cut; `Some` when the pipeline must not go on.
    fn publish(&mut self) -> Option<String> {
        let with_end = self.lag.looked.is_none_or(|at| at.elapsed() >= LAG_EVERY);
        let mut replies = Vec::new();
        for fold in &self.folds {
            let (reply, answer) = bounded(1);
            if fold.commands.send(Command::Drain { reply, with_end }).is_err() {
                return self.broken("a folding thread has ended".to_owned());
            }
            replies.push(answer);
        }
        let mut problem = None;
        for answer in replies {
            let Ok(drains) = answer.recv() else {
                return self.broken("a folding thread has ended".to_owned());
            };
            for drained in drains {
                problem = drained.problem.clone().or(problem);
                if let Err(error) = self.take(drained) {
                    return self.broken(error);
                }
            }
        }
        if with_end {
            self.lag.looked = Some(Instant::now());
        }
        let begun = Instant::now();
        match self.publisher.publish(&self.moment()) {
            Ok(cut) => {
                metrics::histogram!("tidemark_publish_seconds").record(begun.elapsed().as_secs_f64());
                self.results.publish(cut);
                let status = self.status(problem);
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
        if let Some(end) = drained.end_offset {
            self.lag.ends.insert(drained.partition, end);
        }
        let now = Instant::now();
        let heard = self.heard.entry(drain.partition).or_insert((drain.next_offset, now));
        if heard.0 != drain.next_offset {
            *heard = (drain.next_offset, now);
        }
        self.saving.note(drain.partition, std::mem::take(&mut drain.dedup_keys));
        self.publisher.absorb(drain);
        Ok(())
    }

    fn moment(&self) -> Moment {
        Moment {
            now_ms: now_ms(),
            quiet: self.heard.iter().map(|(partition, (_, at))| (*partition, at.elapsed())).collect(),
            idle_after: self.config.idle_after,
        }
    }

    fn status(&mut self, problem: Option<String>) -> Status {
        let at = |partition: &PartitionId| self.publisher.partitions.get(partition);
        let unread = |(partition, end): (&PartitionId, &Offset)| {
            let next = at(partition).and_then(|at| at.next_offset).unwrap_or(0);
            (end - next).max(0)
        };
        let lag_records: i64 = self.lag.ends.iter().map(unread).sum();
        let read: u64 = self.publisher.partitions.values().map(|at| at.counts.read).sum();
        self.lag.note(read, lag_records);
        let lag = self.lag.behind_since.map_or(Duration::ZERO, |since| since.elapsed());
        let quiet = self.heard.values().map(|(_, at)| at.elapsed()).min().unwrap_or_default();
        let failed = self.publisher.failures().map(|(view, why)| format!("view {view} is stopped: {why}")).next();
        let state = match (&problem, lag > BEHIND_AFTER, quiet > QUIET_AFTER) {
            (Some(_), ..) => State::Stale,
            (_, true, _) => State::CatchingUp,
            (_, _, true) => State::Quiet,
            _ => State::Live,
        };
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Status {
            state,
            lag_ms: ms(lag),
            lag_records,
            quiet_ms: ms(quiet),
            records_per_second: self.lag.rate,
            problem: problem.or(failed),
        }
    }

    fn save(&mut self) {
        let begun = Instant::now();
        match self.saving.save(&self.publisher) {
            Ok(()) => metrics::histogram!("tidemark_checkpoint_seconds").record(begun.elapsed().as_secs_f64()),
            Err(error) => {
                // The wall goes on; health says so, and the next checkpoint holds everything.
                metrics::counter!("tidemark_checkpoint_failures").increment(1);
                tracing::error!(%error, "the checkpoint was not written: {error}");
            }
        }
    }
}

impl Lag {
    fn note(&mut self, read: u64, lag_records: i64) {
        let now = Instant::now();
        // Less than a second's worth is the ordinary coming and going of records.
        match lag_records as f64 > self.rate.max(1_000.0) {
            true => {
                self.behind_since.get_or_insert(now);
            }
            false => self.behind_since = None,
        }
        let since = self.rated.map_or(Duration::MAX, |at| at.elapsed());
        if since >= Duration::from_secs(1) {
            if self.rated.is_some() {
                self.rate = (read - self.read) as f64 / since.as_secs_f64();
            }
            self.read = read;
            self.rated = Some(now);
        }
    }
}
