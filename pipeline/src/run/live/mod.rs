//! The pipeline as it serves: folding threads that own partitions, one thread that publishes.
//!
//! ```text
//! reader ─▶ partition ─┐            every publish:
//! reader ─▶ partition ─┤ fold thread ◀── drain ── publisher ──▶ results
//! reader ─▶ partition ─┘             ── states ─▶     │    └──▶ checkpoint
//! ```
//! All streams of the catalogue run side by side. A drain takes all partitions of a thread between two
//! batches, so what comes back is of one offset a partition, over all views of all streams: a cut.

mod catcher;
mod error;
mod feed;
mod fill;
pub(super) mod fold;
mod freshness;
mod kept;
mod logs;
mod merged;
mod publish;
mod reload;
mod wishes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use datafusion::common::internal_err;

pub use self::error::StartError;
use self::feed::Feed;
use self::fold::{Folds, Owned};
use self::freshness::Freshness;
use self::logs::WatchedLog;
use self::merged::{Folding, expected, place, watched};
use self::publish::{Event, PublishLoop};
pub use self::reload::{ReloadError, Reloaded};
use self::wishes::Wishes;
use super::build::{ViewToRun, partition_run};
use super::checkpoints::Backlog;
use super::partition::{PartitionRun, PartitionStart, Place};
use super::publisher::{PublisherLimits, Publishers, view_info, views_to_run};
use super::saving::{Resumed, Saving, SavingError, StreamToRead};
use super::workers::merging::{Merging, ToMerge};
use crate::admit::KeyRoom;
use crate::config::PipelineConfig;
use crate::history::{History, JOURNAL, Stand};
use crate::ledger::{LedgerStore, Limits};
use crate::results::view_history::Recorder;
use crate::results::{Commits, Mode, Results, ViewInfo};
use crate::sinks::result_topics::{ResultTopics, ResultTopicsConfig, topics_of};
use crate::source::{Source, SourceError};
use crate::sql::Catalog;
use crate::sql::catalog::system_tables;
use crate::state::CheckpointError;
use crate::state::dedup_store::DedupStore;
use crate::state::objects::{Fenced, Objects};

/// Makes a stream's source; called again where a second reader of the same log is needed.
pub type OpenSource = Arc<dyn Fn() -> Result<Box<dyn Source>, SourceError> + Send + Sync>;

/// One stream that is to be read.
#[derive(Clone)]
pub struct StreamInput {
    /// Its name in the catalogue.
    pub stream: String,
    /// Its log.
    pub open: OpenSource,
}

/// A running pipeline. Dropping it without [`Pipeline::stop`] leaves its threads running.
#[derive(Debug)]
pub struct Pipeline {
    results: Arc<Results>,
    events: Sender<Event>,
    publisher: JoinHandle<()>,
    logs: JoinHandle<()>,
    /// Dropped to end the thread that watches the logs.
    watching: Sender<()>,
    recorder: Option<Recorder>,
}

/// Hands other catalogues to a running pipeline.
#[derive(Debug, Clone)]
pub struct Reloader {
    events: Sender<Event>,
}

impl Reloader {
    /// Takes another catalogue without stopping: unchanged views go on, views that are gone disappear, new
    /// and changed ones are filled from the earliest records in the log.
    ///
    /// # Errors
    /// When it cannot be taken; everything is then as it was.
    pub fn reload(&self, catalog: Catalog) -> Result<Reloaded, ReloadError> {
        let stopped = || ReloadError::Stopped("its status says why".to_owned());
        let (reply, answer) = bounded(1);
        self.events.send(Event::Reload(Box::new(catalog), reply)).map_err(|_| stopped())?;
        answer.recv().map_err(|_| stopped())?
    }
}

/// What the state of a stream is marked with whose history is switched off: with it on, that state is another's.
const WITHOUT_HISTORY: &str = " without its history";

/// A stream's source with the partitions it has now.
pub(in crate::run) struct Opened {
    to_read: StreamToRead,
    source: Box<dyn Source>,
}

impl Opened {
    /// What is read, and what it is read from.
    pub(in crate::run) fn into_parts(self) -> (StreamToRead, Box<dyn Source>) {
        (self.to_read, self.source)
    }
}

/// Starts the pipeline of all `inputs`, which are streams of the catalogue.
///
/// # Errors
/// When a log cannot be read, the saved state not be taken up, or a view not be set up.
pub fn start(
    catalog: Catalog,
    config: &PipelineConfig,
    mode: Mode,
    inputs: Vec<StreamInput>,
) -> Result<Pipeline, StartError> {
    begin(catalog, config, (mode, Folding::Here), inputs)
}

/// Starts the back half of the pipeline: what is folded comes from workers that share the place for checkpoints.
///
/// # Errors
/// As [`start`]; and when the workers of the place have other definitions.
pub fn start_merging(
    catalog: Catalog,
    config: &PipelineConfig,
    mode: Mode,
    inputs: Vec<StreamInput>,
) -> Result<Pipeline, StartError> {
    begin(catalog, config, (mode, Folding::Workers), inputs)
}

fn begin(
    catalog: Catalog,
    config: &PipelineConfig,
    (mode, folding): (Mode, Folding),
    inputs: Vec<StreamInput>,
) -> Result<Pipeline, StartError> {
    let store = LedgerStore::open(&config.data_dir.join("ledgers"))?;
    let mut past = kept::past(config)?;
    let (events, inbox) = unbounded();
    let wishes = events.clone();
    past.commits = Some(Commits::new(move |wish| wishes.send(Event::Commit(wish)).is_ok()));
    let mut opened =
        inputs.iter().map(|input| open(&catalog, input, config)).collect::<Result<Vec<_>, _>>()?;
    let to_read: Vec<StreamToRead> = opened.iter().map(|one| one.to_read.clone()).collect();
    let partition_count: usize = to_read.iter().map(|stream| stream.partitions.len()).sum();
    let limits = Limits {
        bytes_max: config.ledger_bytes_max,
        checkpoints_kept: config.checkpoints_kept,
        partitions: partition_count,
    };
    let mut publisher =
        Publishers::new(&catalog, self::limits(config), (Arc::clone(&store), limits))
            .map_err(views_error)?;
    let (objects, shared) = place(&catalog, config, folding, &to_read)?;
    // Before anything is read there: what an earlier owner still writes afterwards is refused.
    let epoch = epoch();
    let fence = Fenced::claim(objects, &format!("{epoch} (pid {})", std::process::id()));
    let fence = fence.map_err(CheckpointError::from).map_err(SavingError::from)?;
    let objects: Arc<dyn Objects> = Arc::clone(&fence) as Arc<dyn Objects>;
    let backlog = Backlog::new(config.checkpoint_waiting_bytes_max);
    // A quarter of the memory for dedup keys holds the filters of those on disk.
    let cache_bytes = u64::try_from(config.dedup_memory_bytes_max / 4).unwrap_or(u64::MAX);
    let keys = DedupStore::new(&config.data_dir.join("dedup"), cache_bytes);
    let key_room = KeyRoom::within(config.dedup_memory_bytes_max / 4 * 3, partition_count);
    let (mut saving, mut resumed) = Saving::open(
        (&objects, config.checkpoints_kept),
        (keys, key_room),
        &to_read,
        &mut publisher,
        backlog,
    )?;
    saving.scopes().check(&catalog.scopes).map_err(StartError::Scopes)?;
    saving.learn_scopes(&catalog.scopes).map_err(SavingError::from)?;
    let unfilled = publisher.remove(&resumed.unfilled);
    let mut history = kept::open_history(&catalog, (config, &past.pins), &to_read)?;
    let (mut partitions, mut merged) = (Vec::new(), BTreeMap::new());
    for one in &mut opened {
        match folding {
            Folding::Here => partitions.extend(owned(
                &catalog,
                one,
                (&mut resumed, &saving),
                (&mut publisher, history.as_mut()),
            )?),
            Folding::Workers => {
                merged.extend(expected(one, &mut resumed, (&mut publisher, history.as_mut()))?);
            }
        }
    }
    if let (Folding::Workers, Some(view)) = (folding, unfilled.first()) {
        return Err(StartError::Workers(format!(
            "the server's checkpoint in {} lacks view {}, which workers have folded; move merged/, partitions/ and \
             workers.json away and give workers another pipeline.worker-group to compute everything again",
            fence.place(),
            view.name
        )));
    }
    let infos: Vec<Arc<ViewInfo>> =
        catalog.views.iter().map(|view| Arc::new(view_info(&catalog, view))).collect();
    let topics = result_topics(&catalog, config, &infos)?;
    let results = Results::new(epoch, mode, infos, system_tables());
    let topics = topics.map(|topics| ResultTopics::start(topics, results.epoch().to_owned()));
    results.set_ledgers(store, catalog.zone());
    let recorder = past.views.as_ref().map(|views| {
        Recorder::start(Arc::clone(views), Arc::clone(&results), config.view_history.every)
    });
    let recorder = recorder.transpose().map_err(StartError::Threads)?;
    results.set_past(past);
    saving.go_to_background().map_err(StartError::Threads)?;
    let folds = match shared {
        None => Feed::Here(
            Folds::spawn(partitions, config.fold_threads, config.batch_records_max)
                .map_err(StartError::Threads)?,
        ),
        Some(place) => {
            let logs = inputs.iter().map(|input| (input.stream.clone(), Arc::clone(&input.open)));
            let merging = Merging::start(ToMerge {
                place,
                own: Arc::clone(&fence),
                at: merged,
                logs: logs.collect(),
                kept: config.checkpoints_kept,
                every: config.checkpoint_every,
            });
            let merging = merging.map_err(|error| StartError::Workers(error.to_string()))?;
            Feed::Workers(merging, publisher.gauges().live)
        }
    };
    let publishing = PublishLoop {
        catalog,
        publisher,
        saving,
        folds,
        results: Arc::clone(&results),
        config: config.clone(),
        freshness: Freshness::default(),
        inputs,
        fills: Vec::new(),
        fills_begun: 0,
        grown: Vec::new(),
        events: events.clone(),
        topics: topics.transpose().map_err(StartError::Threads)?,
        being_saved: None,
        saved: Stand::default(),
        wishes: Wishes::default(),
        history,
        views_problem: recorder.as_ref().map(Recorder::problem),
        fence,
    };
    let (watching, unwatched) = bounded(0);
    let watched = watched(opened, folding);
    let logs = watch(watched, config, &events, unwatched).map_err(StartError::Threads)?;
    let publisher = std::thread::Builder::new()
        .name("tidemark-publish".to_owned())
        .spawn(move || {
            let mut publishing = publishing;
            publishing.show_scopes();
            publishing.fill(unfilled);
            publishing.run(&inbox);
        })
        .map_err(StartError::Threads)?;
    Ok(Pipeline { results, events, publisher, logs, watching, recorder })
}

/// How views go to topics; `None` where none does and none can.
fn result_topics(
    catalog: &Catalog,
    config: &PipelineConfig,
    views: &[Arc<ViewInfo>],
) -> Result<Option<ResultTopicsConfig>, StartError> {
    let topics = topics_of(&config.result_topics, views.iter().map(Arc::as_ref))
        .map_err(StartError::ResultTopics)?;
    for plan in catalog.streams.values() {
        let stream = &plan.definition.name;
        let Some(topic) = plan.definition.options.get("topic") else { continue };
        if let Some((view, _)) = topics.iter().find(|(_, taken)| *taken == topic) {
            let message = format!(
                "view {view} goes to topic {topic}, which stream {stream} reads; name another"
            );
            return Err(StartError::ResultTopics(message));
        }
    }
    // A reload may bring a view with a topic where there are brokers for it.
    let may_come = !config.result_topics.properties.is_empty();
    Ok((may_come || !topics.is_empty()).then(|| config.result_topics.clone()))
}

/// What a publisher may keep.
pub(in crate::run) fn limits(config: &PipelineConfig) -> PublisherLimits {
    PublisherLimits { tombstones_max: config.tombstones_max }
}

fn watch(
    watched: Vec<WatchedLog>,
    config: &PipelineConfig,
    events: &Sender<Event>,
    stop: Receiver<()>,
) -> std::io::Result<JoinHandle<()>> {
    let (every, events) = (config.partitions_every, events.clone());
    std::thread::Builder::new()
        .name("tidemark-logs".to_owned())
        .spawn(move || logs::watch(watched, every, &events, &stop))
}

/// A stream with the partitions its log has now.
///
/// # Errors
/// When its log cannot be looked at.
pub(in crate::run) fn open(
    catalog: &Catalog,
    input: &StreamInput,
    config: &PipelineConfig,
) -> Result<Opened, StartError> {
    let Some(plan) = catalog.streams.get(&input.stream) else {
        return Err(StartError::Views(format!("there is no stream {}", input.stream)));
    };
    let failed = |source| StartError::Source { stream: input.stream.clone(), source };
    let mut source = (input.open)().map_err(failed)?;
    // A history that begins to be kept holds what is in the log, and not only what comes from here on.
    let without = plan.definition.keeps_history && !config.history.is_on;
    let to_read = StreamToRead {
        name: input.stream.clone(),
        hash: catalog.stream_hash(plan) + if without { WITHOUT_HISTORY } else { "" },
        dedup_horizon_ms: plan.definition.dedup_horizon_ms,
        accepts_partitions: plan.definition.accepts_partitions,
        partitions: source.partitions().map_err(failed)?,
    };
    Ok(Opened { to_read, source })
}

/// The partitions of a stream with their readers, standing where the checkpoint left them.
fn owned(
    catalog: &Catalog,
    opened: &mut Opened,
    (resumed, saving): (&mut Resumed, &Saving),
    (publisher, mut history): (&mut Publishers, Option<&mut History>),
) -> Result<Vec<Owned>, StartError> {
    let Opened { to_read, source } = opened;
    let stream = &to_read.name;
    let Some(plan) = catalog.streams.get(stream) else {
        return Err(StartError::Views(format!("there is no stream {stream}")));
    };
    let failed = |source| StartError::Source { stream: stream.clone(), source };
    let is_filled = |view: &ViewToRun| !resumed.unfilled.contains(&view.key);
    let views: Vec<ViewToRun> =
        views_to_run(catalog, stream).into_iter().filter(is_filled).collect();
    let derived = catalog.derived_from(stream);
    let is_known = publisher.live.streams.get(stream).is_some_and(|at| !at.partitions.is_empty());
    let mut runs = Vec::new();
    for partition in &to_read.partitions {
        let place = Place {
            origin: source.origin().to_owned(),
            is_file: false,
            partition: *partition,
            partitions: u32::try_from(to_read.partitions.len()).ok(),
            has_others: to_read.partitions.len() > 1,
        };
        let mut run = partition_run(plan, &derived, place, None, &views).map_err(views_error)?;
        run.overflow_to(saving.overflow(stream, *partition)).map_err(SavingError::from)?;
        let name = (stream.clone(), *partition);
        let mut start = resumed.partitions.remove(&name);
        if let Some(history) = history.as_deref_mut()
            && let Some(layout) = history.layout(stream)
        {
            let rows = start.as_mut().and_then(|start| start.orders.remove(JOURNAL));
            let end = source.bounds(*partition).map_err(failed)?.map(|bounds| bounds.end);
            history.resume(stream, *partition, &rows.unwrap_or_default(), end)?;
            run.keep_history(layout);
        }
        runs.push(Restored { run, start, shadow: resumed.shadow.remove(&name), is_resumed: false });
    }
    restore(&mut runs).map_err(views_error)?;
    let mut all = Vec::new();
    for (partition, Restored { mut run, is_resumed, .. }) in to_read.partitions.iter().zip(runs) {
        match is_resumed {
            true => {}
            false if is_known => publisher.add_partition(stream, *partition, now_ms()),
            false => publisher.expect_partition(stream, *partition),
        }
        let from = run.next_offset();
        if from.is_none()
            && let Some(bounds) = source.bounds(*partition).map_err(failed)?
            && bounds.first > 0
        {
            run.begins_at(bounds.first, bounds.end);
        }
        // Entries of records that are about to be read again are about to be written again.
        publisher.rewind_ledgers((stream, *partition), from.unwrap_or(0))?;
        let reader = source.open(*partition, from).map_err(failed)?;
        all.push(Owned::new(
            stream.clone(),
            reader,
            run,
            publisher.gauges(),
            Arc::clone(saving.backlog()),
        ));
    }
    publisher.set_topic(stream, source.origin());
    Ok(all)
}

/// A partition with what it goes on from, until it has taken that up.
struct Restored {
    run: PartitionRun,
    start: Option<PartitionStart>,
    shadow: Option<PartitionStart>,
    is_resumed: bool,
}

/// Lets all partitions take up their keys and orders, which are most of a checkpoint, at the same time.
fn restore(runs: &mut [Restored]) -> datafusion::common::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = runs.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let one = |restored: &mut Restored| {
            let Some(start) = restored.start.take() else { return Ok(()) };
            restored.is_resumed = true;
            restored.run.restore(start)?;
            restored.shadow.take().map_or(Ok(()), |shadow| restored.run.restore_shadow(shadow))
        };
        let spawned: Vec<_> = runs
            .chunks_mut(share)
            .map(|share| scope.spawn(move || share.iter_mut().try_for_each(one)))
            .collect();
        spawned.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => internal_err!("a partition cannot be taken up: its thread panicked"),
        })
    })
}

fn views_error(error: datafusion::common::DataFusionError) -> StartError {
    StartError::Views(error.strip_backtrace())
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

    /// Hands other catalogues to it.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader { events: self.events.clone() }
    }

    /// Reads no more, publishes a last cut and writes a last checkpoint.
    pub fn stop(self) {
        // It may have ended by itself.
        let _told = self.events.send(Event::Stop);
        if self.publisher.join().is_err() {
            tracing::error!(
                "the publishing thread panicked; the last checkpoint is older than the last cut"
            );
        }
        if let Some(recorder) = self.recorder {
            recorder.stop();
        }
        drop(self.watching);
        if self.logs.join().is_err() {
            tracing::error!("the thread that watches the logs panicked");
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A name for this life of the publisher.
pub(in crate::run) fn epoch() -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{nanos:x}")
}

#[cfg(test)]
mod tests;
