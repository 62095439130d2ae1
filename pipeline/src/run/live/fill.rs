//! Views that are newer than the checkpoint: a thread reads the log again from its earliest record and
//! folds them alone, while everything else goes on.
//!
//! ```text
//! main   ──────────────────────────────●───────●──▶          ● publish
//! fill   first ──▶──▶──▶──▶──▶──▶ near ┤ hand over ├─▶ joined
//! ```
//! A join of two streams is filled from both logs at once. A fill never reads past the offsets of the last
//! publish. Once it is a batch away, its readers and folds
//! go to the folding threads, which read on to exactly where each partition stands and take the folds
//! over between two batches.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use datafusion::common::DataFusionError;
use parking_lot::Mutex;

use super::OpenSource;
use super::catcher::Catcher;
use super::publish::Event;
use crate::event_time::{PartitionProgress, merged};
use crate::model::{Offset, PartitionId};
use crate::results::{Filled, ViewInfo};
use crate::run::build::{ViewToRun, partition_run};
use crate::run::ledgers;
use crate::run::partition::{PartitionDrain, Place};
use crate::run::publisher::{ViewInput, ViewRuntime};
use crate::source::SourceError;
use crate::sql::StreamPlan;
use crate::windows::fire::Progress;

/// How often what was folded is merged, which bounds what waits in accumulators.
const MERGE_EVERY: Duration = Duration::from_millis(200);
/// Wait where nothing is left to read for the moment.
const IDLE_WAIT: Duration = Duration::from_millis(5);
/// Wait before a log that cannot be opened is tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Offsets by stream and partition.
pub(super) type Offsets = BTreeMap<String, BTreeMap<PartitionId, Offset>>;

/// A log that is read again.
pub(super) struct LogToFill {
    /// The stream.
    pub(super) plan: Arc<StreamPlan>,
    /// The tables derived from it that the views read.
    pub(super) derived: Vec<Arc<StreamPlan>>,
    /// Topic of its log, for the ledgers.
    pub(super) topic: String,
    /// Opens a second source of its log.
    pub(super) open: OpenSource,
    /// Its partitions.
    pub(super) partitions: Vec<PartitionId>,
    /// The views, as they fold its records.
    pub(super) folds: Vec<ViewToRun>,
}

/// What a fill needs from outside.
pub(super) struct FillTask {
    /// Tells it apart from other fills.
    pub(super) number: u64,
    /// The logs of the streams that the views read: all read the same.
    pub(super) logs: Vec<LogToFill>,
    /// The views, as they show.
    pub(super) views: Vec<ViewRuntime>,
    /// Records read from one partition before the next has its turn.
    pub(super) records_max: usize,
}

/// A fill as the publishing thread sees it.
pub(super) struct Fill {
    /// Tells it apart from other fills.
    pub(super) number: u64,
    /// The streams of the logs it reads.
    pub(super) streams: Vec<String>,
    /// Keys and infos of the views it fills.
    pub(super) views: Vec<(Arc<str>, Arc<ViewInfo>)>,
    shared: Arc<Shared>,
}

/// Between a fill and the publishing thread.
#[derive(Default)]
struct Shared {
    /// Where the partitions stood at the last publish.
    bounds: Mutex<Offsets>,
    told: Mutex<Filled>,
    stop: AtomicBool,
}

impl Shared {
    /// Says that the fill has ended by a fault of the program; what it had is gone with its thread.
    fn fail(&self, fault: &(dyn Any + Send)) {
        let words = fault.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let words = words.or_else(|| fault.downcast_ref::<String>().cloned());
        let words = words.unwrap_or_else(|| "the log says which".to_owned());
        let problem = format!(
            "a fault ended the reading of the log from its beginning: {words}. The other views go on; a restart begins \
             again"
        );
        tracing::error!("a view cannot be filled: {problem}");
        let mut told = self.told.lock();
        told.problem = Some(problem);
        told.has_failed = true;
    }
}

/// A fill that is a batch away from the rest.
pub(super) struct Near {
    /// Which fill it was.
    pub(super) number: u64,
    /// Its views with everything that has been folded.
    pub(super) views: Vec<ViewRuntime>,
    /// The same of the shadow space; none before the first shadow record.
    pub(super) shadow: Vec<ViewRuntime>,
    /// Its readings, to be gone on with.
    pub(super) catchers: Vec<Catcher>,
}

impl LogToFill {
    /// Its partitions, to be read from their earliest records.
    fn open(&self) -> Result<Vec<Catcher>, String> {
        let stream: Arc<str> = self.plan.definition.name.as_str().into();
        let failed = |error: SourceError| error.to_string();
        let mut source = (self.open)().map_err(failed)?;
        let origin = source.origin().to_owned();
        let mut catchers = Vec::new();
        for partition in &self.partitions {
            let first = source.bounds(*partition).map_err(failed)?.map_or(0, |bounds| bounds.first);
            let reader = source.open(*partition, Some(first)).map_err(failed)?;
            let place = Place {
                origin: origin.clone(),
                is_file: false,
                partition: *partition,
                partitions: None,
                has_others: self.partitions.len() > 1,
            };
            let run = partition_run(&self.plan, &self.derived, place, None, &self.folds);
            let mut run = run.map_err(|error| error.strip_backtrace())?;
            if first > 0 {
                // All that it reads before it joins is of then.
                run.begins_at(first, Offset::MAX);
            }
            catchers.push(Catcher::new(Arc::clone(&stream), reader, run, first));
        }
        Ok(catchers)
    }
}

impl Fill {
    /// Starts a fill, which tells `events` when it is near.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        task: FillTask,
        bounds: Offsets,
        events: Sender<Event>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { bounds: Mutex::new(bounds), ..Shared::default() });
        let fill = Self {
            number: task.number,
            streams: task.logs.iter().map(|log| log.plan.definition.name.clone()).collect(),
            views: task
                .views
                .iter()
                .map(|view| (Arc::clone(&view.key), Arc::clone(view.published.info())))
                .collect(),
            shared: Arc::clone(&shared),
        };
        let name = format!("tidemark-fill-{}", task.number);
        let _detached = std::thread::Builder::new().name(name).spawn(move || {
            let told = Arc::clone(&shared);
            let filling = AssertUnwindSafe(|| Filling::new(task, shared).run());
            match std::panic::catch_unwind(filling) {
                // Nobody listens any more once the pipeline stops.
                Ok(Some(near)) => drop(events.send(Event::Near(near))),
                Ok(None) => {}
                Err(fault) => told.fail(&*fault),
            }
        })?;
        Ok(fill)
    }

    /// Says how far the partitions have come.
    pub(super) fn set_bounds(&self, bounds: Offsets) {
        *self.shared.bounds.lock() = bounds;
    }

    /// How far it is.
    pub(super) fn told(&self) -> Filled {
        self.shared.told.lock().clone()
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

struct Filling {
    task: FillTask,
    /// The views in the shadow space; none before the first shadow record.
    shadow: Vec<ViewRuntime>,
    shared: Arc<Shared>,
    merged: Instant,
    began: Instant,
}

impl Filling {
    fn new(task: FillTask, shared: Arc<Shared>) -> Self {
        Self { task, shadow: Vec::new(), shared, merged: Instant::now(), began: Instant::now() }
    }

    /// `None` when it was stopped before it was near.
    fn run(mut self) -> Option<Near> {
        let mut catchers = self.catchers()?;
        while !self.is_stopped() {
            let bounds = self.shared.bounds.lock().clone();
            let read = self.read(&mut catchers, &bounds);
            if self.merged.elapsed() >= MERGE_EVERY {
                self.merge(&mut catchers);
                self.tell(&catchers, &bounds);
            }
            let near = i64::try_from(self.task.records_max).unwrap_or(i64::MAX);
            if catchers.iter().all(|one| bound_of(&bounds, one) - one.next() <= near) {
                self.merge(&mut catchers);
                self.tell(&catchers, &bounds);
                let (views, shadow) = (self.task.views, self.shadow);
                return Some(Near { number: self.task.number, views, shadow, catchers });
            }
            if read == 0 {
                std::thread::sleep(IDLE_WAIT);
            }
        }
        None
    }

    fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn problem(&self, problem: Option<String>) {
        self.shared.told.lock().problem = problem;
    }

    /// Opens the log, trying until it can.
    fn catchers(&self) -> Option<Vec<Catcher>> {
        while !self.is_stopped() {
            match self.open() {
                Ok(catchers) => return Some(catchers),
                Err(error) => {
                    tracing::warn!(error, "a view cannot be filled: {error}");
                    self.problem(Some(error));
                }
            }
            std::thread::sleep(REOPEN_AFTER);
        }
        None
    }

    fn open(&self) -> Result<Vec<Catcher>, String> {
        self.task.logs.iter().try_fold(Vec::new(), |mut all, log| {
            let stream = &log.plan.definition.name;
            all.extend(log.open().map_err(|error| format!("stream {stream}: {error}"))?);
            Ok(all)
        })
    }

    fn read(&self, catchers: &mut [Catcher], bounds: &Offsets) -> usize {
        let mut records = 0;
        for catcher in catchers {
            match catcher.read_up_to(bound_of(bounds, catcher), self.task.records_max) {
                Ok(read) => records += read,
                Err(error) => self.problem(Some(error)),
            }
        }
        if records > 0 {
            self.problem(None);
        }
        records
    }

    /// Merges what was folded and closes what the log has passed; nothing of it is shown yet.
    fn merge(&mut self, catchers: &mut [Catcher]) {
        self.merged = Instant::now();
        if let Err(error) = self.try_merge(catchers) {
            let reason = error.strip_backtrace();
            self.task
                .views
                .iter_mut()
                .chain(&mut self.shadow)
                .for_each(|view| view.fail(reason.clone()));
        }
    }

    fn try_merge(&mut self, catchers: &mut [Catcher]) -> Result<(), DataFusionError> {
        let (mut live, mut shadow) = (Vec::new(), Vec::new());
        for catcher in catchers {
            let drains = catcher.run().drain()?;
            live.push((Arc::clone(catcher.stream()), Some(drains.live)));
            shadow.push((Arc::clone(catcher.stream()), drains.shadow));
        }
        absorb(&self.task.logs, &mut self.task.views, live);
        if shadow.iter().any(|(_, drain)| drain.is_some()) {
            if self.shadow.is_empty() {
                self.shadow =
                    self.task.views.iter().map(ViewRuntime::alike).collect::<Result<_, _>>()?;
            }
            absorb(&self.task.logs, &mut self.shadow, shadow);
        }
        Ok(())
    }

    fn tell(&self, catchers: &[Catcher], bounds: &Offsets) {
        let read: i64 = catchers.iter().map(|one| one.next() - one.first()).sum();
        let total: i64 = catchers.iter().map(|one| bound_of(bounds, one) - one.first()).sum();
        let mut told = self.shared.told.lock();
        told.records_read = read;
        told.records_total = total.max(read);
        told.records_per_second = read as f64 / self.began.elapsed().as_secs_f64().max(0.001);
    }
}

/// Merges what the partitions folded in one space, and closes what all of them have passed; a partition
/// without a record of the space has passed nothing.
fn absorb(
    logs: &[LogToFill],
    views: &mut [ViewRuntime],
    drains: Vec<(Arc<str>, Option<PartitionDrain>)>,
) {
    let mut partitions: BTreeMap<Arc<str>, Vec<PartitionProgress>> = BTreeMap::new();
    let mut as_of: BTreeMap<String, i64> = BTreeMap::new();
    for (stream, drain) in drains {
        let log = logs.iter().find(|log| log.plan.definition.name == *stream);
        let topic = log.map_or("", |log| log.topic.as_str());
        let partitions = partitions.entry(Arc::clone(&stream)).or_default();
        let Some(drain) = drain else {
            partitions.push(PartitionProgress { watermark: i64::MIN, quiet: Duration::ZERO });
            continue;
        };
        let (at, told) = drain.split();
        let offsets = (0, at.next_offset.map_or(0, |next| next - 1));
        partitions.push(PartitionProgress { watermark: at.watermark, quiet: Duration::ZERO });
        for (of, time) in &at.as_of {
            let newest = as_of.entry(of.clone()).or_insert(*time);
            *newest = (*time).max(*newest);
        }
        for (key, drained, failed) in told.views {
            let Some(view) = views.iter_mut().find(|view| view.key == key) else { continue };
            let Some(fold) = at.views.get(&*key) else { continue };
            view.absorb((&stream, told.partition, offsets), drained, failed, fold);
        }
        for late in told.late {
            let Some(view) = views.iter_mut().find(|view| view.key == late.view) else { continue };
            view.late.note(ledgers::late((&stream, topic, told.partition), &view.name, late));
        }
    }
    let progress = |input: &ViewInput| {
        let partitions = partitions.get(&input.base).map_or(&[][..], Vec::as_slice);
        let (watermark, settled) = merged(partitions, Duration::MAX);
        let as_of = as_of.get(&*input.stream).copied();
        Progress { watermark, settled, as_of, partitions: partitions.len(), ended: false }
    };
    for view in views.iter_mut().filter(|view| view.failed.is_none()) {
        let together = view.inputs.iter().map(progress).reduce(Progress::weaker);
        let Some(together) = together else { continue };
        if let Err(reason) = view.fire_and_show(0, together) {
            view.fail(reason);
        }
        view.stop_where_it_fails();
    }
}

/// Where the rest stands in the partition of a reading; a partition without a record stands at its beginning.
fn bound_of(bounds: &Offsets, catcher: &Catcher) -> Offset {
    let stream = bounds.get(&**catcher.stream());
    stream.and_then(|all| all.get(&catcher.partition())).copied().unwrap_or(catcher.first())
}
