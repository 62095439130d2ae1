//! One continuous query or view, to the end of its input.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{DataFusionError, Result as PlanResult};

use super::books::{Books, Pass, ViewAccount};
use super::sources::open_source;
use super::{Emit, JobError, JobEvent, JobOptions, OnEvent, place as place_of_statement};
use crate::admit::duplicate::SpillError;
use crate::event_time::{PartitionProgress, merged};
use crate::model::{PartitionId, Zone};
use crate::results::Mark;
use crate::run::build::{ViewToRun, partition_run};
use crate::run::partition::{PartitionRun, Place};
use crate::run::publisher::ViewRuntime;
use crate::run::spilled::SpilledOfJob;
use crate::source::{PartitionReader, SourceError};
use crate::sql::options::Retention;
use crate::sql::session::message_of;
use crate::sql::{Catalog, StreamPlan, ViewPlan};
use crate::windows::Drained;
use crate::windows::fire::{Fired, Progress, ViewState, right_partition};

/// What is run: a query of the script, or one of its materialized views.
pub(super) enum Running {
    /// A bare query, or that of an INSERT: its rows are handed on when they are final, or whenever they change.
    Query {
        /// How it folds.
        view: ViewToRun,
        /// The engine's state.
        state: Box<ViewState>,
        /// Bytes of state at which the job stops.
        state_bytes_max: u64,
    },
    /// A view, as a server runs it.
    View {
        /// Its state and what it shows.
        runtime: Box<ViewRuntime>,
        /// Whether its changes are handed on.
        is_told: bool,
        /// Number of its last publish.
        cut: u64,
        /// Final rows there have been, of which its retention may have dropped some.
        finals: u64,
    },
}

impl Running {
    /// A bare query.
    ///
    /// # Errors
    /// When its keys or states cannot be encoded.
    pub(super) fn query(
        catalog: &Catalog,
        plan: ViewPlan,
        options: &JobOptions,
    ) -> PlanResult<Self> {
        let zone =
            catalog.streams.get(&plan.stream).map_or(Zone::UTC, |stream| stream.definition.zone);
        let view = ViewToRun {
            key: "query".into(),
            plan: Arc::new(plan),
            allowed_lateness: 0,
            retention: Retention::Time(i64::MAX),
            emit: options.emit,
        };
        let state = Box::new(view.state(zone)?);
        let state_bytes_max = options.state_bounds.bytes_max;
        Ok(Self::Query { view, state, state_bytes_max })
    }

    fn to_run(&self) -> &ViewToRun {
        match self {
            Self::Query { view, .. } => view,
            Self::View { runtime, .. } => &runtime.run,
        }
    }

    fn absorb(&mut self, partition: PartitionId, drained: Drained) -> PlanResult<()> {
        match self {
            Self::Query { state, .. } => state.absorb(partition, drained),
            Self::View { runtime, .. } => runtime.state.absorb(partition, drained),
        }
    }

    /// Puts together what changed and hands on what is to be; the inner error is that of `on_event`.
    fn fire(
        &mut self,
        progress: Progress,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Result<(), JobError>, String> {
        match self {
            Self::Query { view, state, state_bytes_max } => {
                let firing = state.fire(progress).map_err(|error| message_of(&error))?;
                for fired in &firing.fired {
                    if let (Some(problem), Mark::Final) = (&fired.problem, fired.mark) {
                        return Err(problem.clone());
                    }
                    if view.emit == Emit::Changes || fired.mark == Mark::Final {
                        if let Err(error) = on_event(rows(fired)) {
                            return Ok(Err(error));
                        }
                    }
                }
                match state.bytes_above(*state_bytes_max) {
                    None => Ok(Ok(())),
                    Some(bytes) => Err(format!(
                        "the query keeps {bytes} bytes of state, and {state_bytes_max} are allowed (--state-bytes-max); use \
                         coarser windows or fewer groups"
                    )),
                }
            }
            Self::View { runtime, is_told, cut, finals } => {
                *cut += 1;
                let (mut told, mut problem) = (Ok(()), None);
                runtime.fire_and_tell(*cut, progress, &mut |fired| {
                    if fired.mark == Mark::Final {
                        *finals += u64::try_from(fired.rows.num_rows()).unwrap_or(u64::MAX);
                    }
                    if fired.mark == Mark::Final && problem.is_none() {
                        problem.clone_from(&fired.problem);
                    }
                    if *is_told && told.is_ok() {
                        told = on_event(rows(fired));
                    }
                })?;
                problem.map_or(Ok(told), Err)
            }
        }
    }
}

fn rows(fired: &Fired) -> JobEvent<'_> {
    JobEvent::Rows { rows: &fired.rows, mark: fired.mark, revision: fired.revision }
}

/// One query over one stream, or two that it joins, to the end.
pub(super) struct QueryRun {
    place: String,
    batch_records: usize,
    running: Running,
    partitions: Vec<Reading>,
    /// Watermark and largest event time by partition; those of a join's right stream under other numbers.
    times: BTreeMap<PartitionId, (i64, Option<i64>)>,
    pass: Pass,
    /// Where dedup keys beyond the memory bound go.
    _spilled: SpilledOfJob,
}

/// One partition of a query's stream, or of the right stream of its join.
struct Reading {
    /// The stream of the log.
    stream: Arc<str>,
    /// Topic or path.
    origin: String,
    reader: Box<dyn PartitionReader>,
    run: PartitionRun,
    has_ended: bool,
    is_right: bool,
}

/// How long a read waits for records of a source without an end.
const READ_WAIT: Duration = Duration::from_millis(100);

impl QueryRun {
    /// Opens the streams it reads.
    ///
    /// # Errors
    /// When one cannot be opened, or the two of a join have different numbers of partitions.
    pub(super) fn open(
        catalog: &Catalog,
        running: Running,
        place: String,
        options: &JobOptions,
    ) -> Result<Self, JobError> {
        let left = running.to_run().clone();
        let right = left.plan.right_side().map(|plan| ViewToRun {
            // A stream joined with itself is counted by side.
            key: format!("{}#right", left.key).into(),
            plan: Arc::new(plan),
            ..left.clone()
        });
        let name: Arc<str> = match &running {
            Running::Query { .. } => place.rsplit('/').next().unwrap_or(&place).into(),
            Running::View { runtime, .. } => Arc::clone(&runtime.name),
        };
        let mut pass = Pass::default();
        let mut partitions = Vec::new();
        let sides = std::iter::once((left.clone(), false));
        for (view, is_right) in sides.chain(right.map(|view| (view, true))) {
            let Some(read) = catalog.streams.get(&view.plan.stream) else { continue };
            let Some(stream) = catalog.streams.get(read.definition.base()) else { continue };
            // A query over the stream itself needs no life cycle.
            let derived: Vec<Arc<StreamPlan>> =
                read.definition.derived.iter().map(|_| Arc::clone(read)).collect();
            let (key, name) = (Arc::clone(&view.key), Arc::clone(&name));
            pass.views.push(ViewAccount { name, key, stream: view.plan.stream.as_str().into() });
            partitions.extend(open_partitions((stream, &derived), &view, is_right, &place)?);
        }
        same_partitioning(&partitions, &left.plan)
            .map_err(|detail| JobError::Execution { place: place.clone(), detail })?;
        let disk = |error: SpillError| JobError::Execution {
            place: place.clone(),
            detail: error.to_string(),
        };
        let spilled =
            SpilledOfJob::new(options.dedup_memory_bytes_max, partitions.len()).map_err(disk)?;
        for Reading { run, is_right, .. } in &mut partitions {
            spilled.take(if *is_right { "right" } else { "left" }, run).map_err(disk)?;
        }
        Ok(Self {
            place,
            batch_records: options.batch_records,
            running,
            partitions,
            times: BTreeMap::new(),
            pass,
            _spilled: spilled,
        })
    }

    /// Reads everything there is, and closes every window.
    ///
    /// # Errors
    /// When a source, an expression, a bound or `on_event` fails.
    pub(super) fn to_the_end(
        &mut self,
        books: &mut Books,
        on_event: &mut OnEvent<'_>,
    ) -> Result<(), JobError> {
        while self.partitions.iter().any(|reading| !reading.has_ended) {
            self.read_once()?;
            self.absorb(books, on_event)?;
            let progress = self.progress();
            self.fire(progress, on_event)?;
            let bytes = self.partitions.first().and_then(|reading| reading.reader.bytes_read());
            on_event(JobEvent::Read { bytes })?;
        }
        let progress = Progress { ended: true, ..self.progress() };
        self.fire(progress, on_event)
    }

    /// What was run, and what became of the records.
    pub(super) fn end(self) -> (Running, Pass) {
        (self.running, self.pass)
    }

    fn failed(&self, error: &DataFusionError) -> JobError {
        JobError::Execution { place: self.place.clone(), detail: message_of(error) }
    }

    fn read_once(&mut self) -> Result<(), JobError> {
        let place = self.place.clone();
        for Reading { reader, run, has_ended, .. } in &mut self.partitions {
            let outcome = reader
                .read(self.batch_records, READ_WAIT, &mut |record| run.take(record))
                .map_err(|source| JobError::Source { place: place.clone(), source })?;
            *has_ended = outcome.ended;
            run.process().map_err(|error| JobError::Execution {
                place: place.clone(),
                detail: message_of(&error),
            })?;
        }
        Ok(())
    }

    fn absorb(&mut self, books: &mut Books, on_event: &mut OnEvent<'_>) -> Result<(), JobError> {
        for at in 0..self.partitions.len() {
            self.absorb_one(at, books, on_event)?;
        }
        books
            .write_ledgers()
            .map_err(|source| JobError::Books { place: self.place.clone(), source })
    }

    fn absorb_one(
        &mut self,
        number: usize,
        books: &mut Books,
        on_event: &mut OnEvent<'_>,
    ) -> Result<(), JobError> {
        let Some(Reading { stream, origin, reader, run, is_right, .. }) =
            self.partitions.get_mut(number)
        else {
            return Ok(());
        };
        let mut drain = match run.drain() {
            Ok(drains) => drains.live,
            Err(error) => return Err(self.failed(&error)),
        };
        for letter in &mut drain.dead_letters {
            letter.position = reader.position(letter.position.offset);
            on_event(JobEvent::DeadLetter(letter))?;
        }
        let (stream, origin) = (Arc::clone(stream), origin.clone());
        let own = drain.partition;
        let partition = if *is_right { right_partition(own) } else { own };
        let as_of = drain.branches.iter().filter(|branch| !branch.views.is_empty());
        let as_of = as_of.filter_map(|branch| branch.as_of).max();
        let (at, mut told) = drain.split();
        self.times.insert(partition, (at.watermark, as_of));
        for (_, drained, failed) in std::mem::take(&mut told.views) {
            if let Some(detail) = failed {
                return Err(JobError::Execution { place: self.place.clone(), detail });
            }
            if let Err(error) = self.running.absorb(partition, drained) {
                return Err(self.failed(&error));
            }
        }
        books.note((&stream, &origin), told, &self.pass.views);
        self.pass.note((&stream, own), at);
        Ok(())
    }

    fn progress(&self) -> Progress {
        let partitions: Vec<PartitionProgress> = self
            .times
            .values()
            .map(|(watermark, _)| PartitionProgress {
                watermark: *watermark,
                quiet: Duration::ZERO,
            })
            .collect();
        let (watermark, settled) = merged(&partitions, Duration::MAX);
        let as_of = self.times.values().filter_map(|(_, as_of)| *as_of).max();
        Progress { watermark, settled, as_of, partitions: self.partitions.len(), ended: false }
    }

    fn fire(&mut self, progress: Progress, on_event: &mut OnEvent<'_>) -> Result<(), JobError> {
        let place = self.place.clone();
        self.running
            .fire(progress, on_event)
            .map_err(|detail| JobError::Execution { place, detail })?
    }
}

/// Why the two streams of a join cannot be joined partition by partition, if they cannot.
fn same_partitioning(partitions: &[Reading], plan: &ViewPlan) -> Result<(), String> {
    let counted =
        |is_right: bool| partitions.iter().filter(|reading| reading.is_right == is_right).count();
    match &plan.join {
        Some(join) if plan.joins_rows() && counted(false) != counted(true) => {
            let (left, right) = (counted(false), counted(true));
            Err(format!(
                "{} has {left} partitions and {} has {right}; only streams of the same partitioning can be joined",
                plan.stream, join.stream
            ))
        }
        _ => Ok(()),
    }
}

fn open_partitions(
    (stream, derived): (&Arc<StreamPlan>, &[Arc<StreamPlan>]),
    view: &ViewToRun,
    is_right: bool,
    place: &str,
) -> Result<Vec<Reading>, JobError> {
    let table = &stream.definition.statement;
    let at_table =
        |source: SourceError| JobError::Source { place: place_of_statement(table), source };
    let (mut source, header) = open_source(&stream.definition).map_err(at_table)?;
    let mut partitions = Vec::new();
    let numbers = source.partitions().map_err(at_table)?;
    let has_others = numbers.len() > 1;
    for partition in numbers {
        let reader = source.open(partition, None).map_err(at_table)?;
        let origin = source.origin().to_owned();
        let is_file = !matches!(stream.definition.connector.as_str(), "kafka" | "embedded");
        let at = Place { origin: origin.clone(), is_file, partition, partitions: None, has_others };
        let mut run =
            partition_run(stream, derived, at, header.clone(), std::slice::from_ref(view))
                .map_err(|error| JobError::Execution {
                    place: place.to_owned(),
                    detail: message_of(&error),
                })?;
        // A job shows the figures of the ordinary space.
        run.leave_shadow();
        let stream: Arc<str> = stream.definition.name.as_str().into();
        partitions.push(Reading { stream, origin, reader, run, has_ended: false, is_right });
    }
    Ok(partitions)
}
