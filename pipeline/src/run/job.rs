//! A SQL script as a local job: the fold, fire and publish code of a server over bounded input.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::ast::Query;

use super::build::{ViewToRun, partition_run};
use super::partition::{PartitionRun, Place};
use super::spilled::SpilledOfJob;
use crate::admit::RecordCounts;
use crate::admit::duplicate::SpillError;
use crate::event_time::{PartitionProgress, merged};
use crate::lifecycle::Counts;
use crate::model::{DeadLetter, PartitionId, Zone};
use crate::results::Mark;
use crate::sinks::files::{FileSink, SinkError};
use crate::source::files::{FileFormat, FilesOptions, FilesSource};
use crate::source::kafka::KafkaSource;
use crate::source::{PartitionReader, Source, SourceError};
use crate::sql::options::{Options, Retention};
use crate::sql::refusal::located;
use crate::sql::script::{self, Statement, StatementKind, TableStatement};
use crate::sql::session::{analyzed, message_of};
use crate::sql::{Catalog, SqlError, StreamDefinition, StreamPlan, ViewPlan};
use crate::windows::fire::{Fired, Progress, ViewState, right_partition};

/// Which rows a query hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// Each window once, when it is closed.
    Final,
    /// Every change, with mark and revision.
    Changes,
}

/// How a job is run.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// Which rows are handed on.
    pub emit: Emit,
    /// Records folded at a time; the rows do not depend on it.
    pub batch_records: usize,
    /// Bytes of memory for the dedup keys of a query; past it the oldest keys go to a temporary folder.
    pub dedup_memory_bytes_max: usize,
}

/// What a job hands on while it runs.
#[derive(Debug)]
pub enum JobEvent<'a> {
    /// The columns of the next query's rows; told once a query, before its rows.
    Columns(SchemaRef),
    /// Rows of a bare query.
    Rows {
        /// The rows.
        rows: &'a RecordBatch,
        /// How settled they are.
        mark: Mark,
        /// How many records came after the window's end.
        revision: u64,
    },
    /// A record that does not count.
    DeadLetter(&'a DeadLetter),
    /// A batch has been read and its rows handed on.
    Read {
        /// Bytes read and bytes there are; `None` for a log or a pipe.
        bytes: Option<(u64, u64)>,
    },
}

/// What a job did.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobSummary {
    /// Statements executed.
    pub statements: usize,
    /// Records over all queries.
    pub records: RecordCounts,
    /// Records that missed at least one window, over all queries.
    pub late: u64,
    /// What became of the events of orders, over all queries of derived tables.
    pub life_cycle: Counts,
}

/// Why a job stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The script cannot be run; every mistake with its place.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Script(Vec<SqlError>),
    /// A source cannot be read.
    #[error("{place}: {source}")]
    Source {
        /// File, line and column of the table.
        place: String,
        /// What is wrong.
        source: SourceError,
    },
    /// A sink cannot be written.
    #[error("{place}: {source}")]
    Sink {
        /// File, line and column of the INSERT.
        place: String,
        /// What is wrong.
        source: SinkError,
    },
    /// An expression failed on a row.
    #[error("{place}: {detail}")]
    Execution {
        /// File, line and column of the query.
        place: String,
        /// DataFusion's words.
        detail: String,
    },
}

/// Runs a script.
///
/// # Errors
/// At the first statement that cannot be run; the ones before it have been.
pub fn run_script(
    file: &Path,
    text: &str,
    options: &JobOptions,
    on_event: &mut dyn FnMut(JobEvent<'_>),
) -> Result<JobSummary, JobError> {
    run_script_for(file, text, options, None, on_event)
}

/// As [`run_script`], with a stream declared elsewhere that `INSERT INTO` hands rows on for.
///
/// # Errors
/// As [`run_script`].
pub fn run_script_for(
    file: &Path,
    text: &str,
    options: &JobOptions,
    target: Option<&StreamDefinition>,
    on_event: &mut dyn FnMut(JobEvent<'_>),
) -> Result<JobSummary, JobError> {
    let statements = script::parse(file, text).map_err(|error| JobError::Script(vec![error]))?;
    let mut job = Job {
        catalog: Catalog::empty(),
        sinks: BTreeMap::new(),
        target: target.cloned(),
        options: options.clone(),
        summary: JobSummary::default(),
    };
    for statement in &statements {
        job.statement(statement, on_event)?;
        job.summary.statements += 1;
    }
    Ok(job.summary)
}

struct Job {
    catalog: Catalog,
    /// Tables by name, for INSERT INTO.
    sinks: BTreeMap<String, StreamDefinition>,
    /// The stream that rows are handed on for.
    target: Option<StreamDefinition>,
    options: JobOptions,
    summary: JobSummary,
}

impl Job {
    fn statement(
        &mut self,
        statement: &Statement,
        on_event: &mut dyn FnMut(JobEvent<'_>),
    ) -> Result<(), JobError> {
        match &statement.kind {
            StatementKind::CreateTable(table) => self.table(statement, table),
            StatementKind::CreateView(view) => {
                self.catalog.add_view_table(statement, view).map_err(JobError::Script)
            }
            StatementKind::Query(query) => self.query(statement, query, &mut |event| {
                on_event(event);
                Ok(())
            }),
            StatementKind::Insert { sink, query } => self.insert(statement, sink, query, on_event),
        }
    }

    fn table(&mut self, statement: &Statement, table: &TableStatement) -> Result<(), JobError> {
        let with_offset = self.target.is_some().then(|| table.with_offset_column());
        let plan = self
            .catalog
            .add_stream(
                statement,
                with_offset.as_ref().unwrap_or(table),
                Zone::UTC,
                &Options::new(),
            )
            .map_err(JobError::Script)?;
        self.sinks.insert(table.name.clone(), plan.definition.clone());
        Ok(())
    }

    fn insert(
        &mut self,
        statement: &Statement,
        sink: &str,
        query: &Query,
        on_event: &mut dyn FnMut(JobEvent<'_>),
    ) -> Result<(), JobError> {
        let place = place(statement);
        if let Some(target) = self.target.as_ref().filter(|target| target.name == *sink) {
            let fields = target.columns.iter().filter(|column| column.is_field()).count();
            let name = target.name.clone();
            return self.query(statement, query, &mut |event| {
                if let JobEvent::Columns(columns) = &event
                    && columns.fields().len() != fields
                {
                    let has = columns.fields().len();
                    let message =
                        format!("the query has {has} columns, the stream {name} has {fields}");
                    return Err(JobError::Script(vec![SqlError::at(
                        &statement.file,
                        statement.place,
                        message,
                    )]));
                }
                on_event(event);
                Ok(())
            });
        }
        let Some(definition) = self.sinks.get(sink) else {
            let message = format!("INSERT INTO {sink}: no CREATE TABLE {sink} stands before it");
            return Err(JobError::Script(vec![SqlError::at(
                &statement.file,
                statement.place,
                message,
            )]));
        };
        let failed = |source: SinkError| JobError::Sink { place: place.clone(), source };
        let mut target = FileSink::create(definition).map_err(failed)?;
        self.query(statement, query, &mut |event| match event {
            JobEvent::Columns(schema) => target.expect(&schema).map_err(failed),
            JobEvent::Rows { rows, .. } => target.write(rows).map_err(failed),
            other => {
                on_event(other);
                Ok(())
            }
        })?;
        target.finish().map_err(failed)
    }

    fn query(
        &mut self,
        statement: &Statement,
        query: &Query,
        on_event: &mut dyn FnMut(JobEvent<'_>) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        let planning =
            |error: &DataFusionError| JobError::Script(vec![located(statement, query, error)]);
        let state = self.catalog.context.state();
        let logical = analyzed(&state, query).map_err(|error| planning(&error))?;
        let plan = self.catalog.plan(&logical).map_err(|error| planning(&error))?;
        on_event(JobEvent::Columns(Arc::clone(&plan.schema)))?;
        let mut run = QueryRun::open(&self.catalog, plan, place(statement), self.options.clone())?;
        run.to_the_end(on_event)?;
        self.summary.life_cycle = self.summary.life_cycle.plus(run.life_cycle());
        let (records, late) = run.accounting();
        add(&mut self.summary.records, records);
        self.summary.late += late;
        Ok(())
    }
}

fn place(statement: &Statement) -> String {
    format!("{}:{}:{}", statement.file.display(), statement.place.line, statement.place.column)
}

fn add(sum: &mut RecordCounts, counts: RecordCounts) {
    sum.read += counts.read;
    sum.accepted += counts.accepted;
    sum.duplicate += counts.duplicate;
    sum.rejected += counts.rejected;
    sum.shadow += counts.shadow;
    sum.control += counts.control;
}

/// One query over one source, to its end.
struct QueryRun {
    place: String,
    options: JobOptions,
    partitions: Vec<Reading>,
    state: ViewState,
    counts: BTreeMap<PartitionId, (RecordCounts, u64, i64, Option<i64>)>,
    /// What became of the events of orders, by partition.
    life_cycle: BTreeMap<PartitionId, Counts>,
    /// Where dedup keys beyond the memory bound go.
    _spilled: SpilledOfJob,
}

/// One partition of a query's stream, or of the right stream of its join.
struct Reading {
    reader: Box<dyn PartitionReader>,
    run: PartitionRun,
    has_ended: bool,
    is_right: bool,
}

/// How long a read waits for records of a source without an end.
const READ_WAIT: Duration = Duration::from_millis(100);

impl QueryRun {
    fn open(
        catalog: &Catalog,
        plan: ViewPlan,
        place: String,
        options: JobOptions,
    ) -> Result<Self, JobError> {
        let failed = |error: DataFusionError| JobError::Execution {
            place: place.clone(),
            detail: message_of(&error),
        };
        let view = |plan: ViewPlan| ViewToRun {
            key: "query".into(),
            plan: Arc::new(plan),
            allowed_lateness: 0,
            retention: Retention::Time(i64::MAX),
        };
        let right = plan.right_side().map(view);
        let left = view(plan);
        let Some(stream) = catalog.streams.get(&left.plan.stream) else {
            return Err(failed(DataFusionError::Internal("the query's stream is gone".to_owned())));
        };
        let state = left.state(stream.definition.zone).map_err(failed)?;
        let mut partitions = Vec::new();
        for (view, is_right) in std::iter::once((left, false)).chain(right.map(|view| (view, true)))
        {
            let Some(read) = catalog.streams.get(&view.plan.stream) else { continue };
            let Some(stream) = catalog.streams.get(read.definition.base()) else { continue };
            // A query over the stream itself needs no life cycle.
            let derived: Vec<Arc<StreamPlan>> =
                read.definition.derived.iter().map(|_| Arc::clone(read)).collect();
            partitions.extend(open_partitions((stream, &derived), &view, is_right, &place)?);
        }
        let counted = |is_right: bool| {
            partitions.iter().filter(|reading| reading.is_right == is_right).count()
        };
        if let Some(join) = &state.plan().join
            && counted(false) != counted(true)
        {
            let (left, right) = (counted(false), counted(true));
            let detail = format!(
                "{} has {left} partitions and {} has {right}; only streams of the same partitioning can be joined",
                state.plan().stream,
                join.stream
            );
            return Err(JobError::Execution { place, detail });
        }
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
            options,
            partitions,
            state,
            counts: BTreeMap::new(),
            life_cycle: BTreeMap::new(),
            _spilled: spilled,
        })
    }

    fn failed(&self, error: &DataFusionError) -> JobError {
        JobError::Execution { place: self.place.clone(), detail: message_of(error) }
    }

    fn to_the_end(
        &mut self,
        on_event: &mut dyn FnMut(JobEvent<'_>) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        while self.partitions.iter().any(|reading| !reading.has_ended) {
            self.read_once()?;
            self.absorb(on_event)?;
            let progress = self.progress();
            self.fire(progress, on_event)?;
            let bytes = self.partitions.first().and_then(|reading| reading.reader.bytes_read());
            on_event(JobEvent::Read { bytes })?;
        }
        let progress = Progress { ended: true, ..self.progress() };
        self.fire(progress, on_event)
    }

    fn read_once(&mut self) -> Result<(), JobError> {
        let place = self.place.clone();
        for Reading { reader, run, has_ended, .. } in &mut self.partitions {
            let outcome = reader
                .read(self.options.batch_records, READ_WAIT, &mut |record| run.take(record))
                .map_err(|source| JobError::Source { place: place.clone(), source })?;
            *has_ended = outcome.ended;
            run.process().map_err(|error| JobError::Execution {
                place: place.clone(),
                detail: message_of(&error),
            })?;
        }
        Ok(())
    }

    fn absorb(
        &mut self,
        on_event: &mut dyn FnMut(JobEvent<'_>) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        let mut drains = Vec::new();
        for Reading { reader, run, is_right, .. } in &mut self.partitions {
            let drained = run.drain().map_err(|error| JobError::Execution {
                place: self.place.clone(),
                detail: message_of(&error),
            })?;
            let mut drain = drained.live;
            for letter in &mut drain.dead_letters {
                letter.position = reader.position(letter.position.offset);
            }
            drains.push((drain, *is_right));
        }
        for (drain, is_right) in drains {
            let partition =
                if is_right { right_partition(drain.partition) } else { drain.partition };
            for letter in &drain.dead_letters {
                on_event(JobEvent::DeadLetter(letter))?;
            }
            for (_, operator) in &drain.operators {
                self.life_cycle.insert(drain.partition, operator.counts);
            }
            for branch in drain.branches {
                for view in branch.views {
                    if let Some(detail) = view.failed {
                        return Err(JobError::Execution { place: self.place.clone(), detail });
                    }
                    let at = (drain.counts, view.fold.counts.late, drain.watermark, branch.as_of);
                    self.counts.insert(partition, at);
                    self.state
                        .absorb(partition, view.drained)
                        .map_err(|error| self.failed(&error))?;
                }
            }
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        let partitions: Vec<PartitionProgress> = self
            .counts
            .values()
            .map(|(_, _, watermark, _)| PartitionProgress {
                watermark: *watermark,
                quiet: Duration::ZERO,
            })
            .collect();
        let (watermark, settled) = merged(&partitions, Duration::MAX);
        let as_of = self.counts.values().filter_map(|(.., as_of)| *as_of).max();
        Progress { watermark, settled, as_of, partitions: self.partitions.len(), ended: false }
    }

    fn fire(
        &mut self,
        progress: Progress,
        on_event: &mut dyn FnMut(JobEvent<'_>) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        let firing = self.state.fire(progress).map_err(|error| self.failed(&error))?;
        let wanted =
            |fired: &&Fired| self.options.emit == Emit::Changes || fired.mark == Mark::Final;
        for fired in firing.fired.iter().filter(wanted) {
            on_event(JobEvent::Rows {
                rows: &fired.rows,
                mark: fired.mark,
                revision: fired.revision,
            })?;
        }
        Ok(())
    }

    fn life_cycle(&self) -> Counts {
        self.life_cycle.values().fold(Counts::default(), |sum, counts| sum.plus(*counts))
    }

    fn accounting(&self) -> (RecordCounts, u64) {
        let mut all = RecordCounts::default();
        let mut late = 0;
        for (counts, missed, ..) in self.counts.values() {
            add(&mut all, *counts);
            late += missed;
        }
        (all, late)
    }
}

fn open_partitions(
    (stream, derived): (&Arc<StreamPlan>, &[Arc<StreamPlan>]),
    view: &ViewToRun,
    is_right: bool,
    place: &str,
) -> Result<Vec<Reading>, JobError> {
    let table = &stream.definition.statement;
    let at_table = |source: SourceError| JobError::Source { place: self::place(table), source };
    let (mut source, header) = open_source(&stream.definition).map_err(at_table)?;
    let mut partitions = Vec::new();
    let numbers = source.partitions().map_err(at_table)?;
    let has_others = numbers.len() > 1;
    for partition in numbers {
        let reader = source.open(partition, None).map_err(at_table)?;
        let origin = source.origin().to_owned();
        let is_file = !matches!(stream.definition.connector.as_str(), "kafka" | "embedded");
        let at = Place { origin, is_file, partition, partitions: None, has_others };
        let mut run =
            partition_run(stream, derived, at, header.clone(), std::slice::from_ref(view))
                .map_err(|error| JobError::Execution {
                    place: place.to_owned(),
                    detail: message_of(&error),
                })?;
        // A job shows the figures of the ordinary space.
        run.leave_shadow();
        partitions.push(Reading { reader, run, has_ended: false, is_right });
    }
    Ok(partitions)
}

/// The source a stream's connector names, and the header of its CSV files.
///
/// # Errors
/// When it cannot be opened or the stream lacks one of its options.
pub fn open_source(
    definition: &StreamDefinition,
) -> Result<(Box<dyn Source>, Option<Vec<String>>), SourceError> {
    match definition.connector.as_str() {
        "kafka" => Ok((Box::new(KafkaSource::new(&definition.options)?), None)),
        "stdin" => {
            let source = FilesSource::stdin(file_format(definition), definition.record_bytes_max)?;
            let header = source.csv_header();
            Ok((Box::new(source), header))
        }
        "filesystem" => {
            let source = FilesSource::open(&FilesOptions {
                path: resolved_path(definition)?,
                format: file_format(definition),
                record_bytes_max: definition.record_bytes_max,
            })?;
            let header = source.csv_header();
            Ok((Box::new(source), header))
        }
        other => Err(SourceError::BadOption {
            option: "connector".to_owned(),
            detail: format!(
                "'{other}' needs a running server; use 'filesystem', 'stdin' or 'kafka' here"
            ),
        }),
    }
}

/// The declared path; a relative one that does not exist here is looked for beside the script.
fn resolved_path(definition: &StreamDefinition) -> Result<String, SourceError> {
    let Some(path) = definition.options.get("path") else {
        return Err(SourceError::BadOption {
            option: "path".to_owned(),
            detail: "the connector 'filesystem' needs 'path' = '…'".to_owned(),
        });
    };
    let beside: Option<PathBuf> =
        definition.statement.file.parent().map(|parent| parent.join(path));
    Ok(match beside {
        Some(beside) if !Path::new(path).exists() && beside.exists() => {
            beside.to_string_lossy().into_owned()
        }
        _ => path.clone(),
    })
}

fn file_format(definition: &StreamDefinition) -> FileFormat {
    match definition.format.as_str() {
        "csv" => FileFormat::Csv {
            has_header: definition.options.get("csv.header").is_some_and(|text| text == "true"),
            delimiter: definition
                .options
                .get("csv.delimiter")
                .and_then(|text| text.bytes().next())
                .unwrap_or(b','),
        },
        "parquet" => FileFormat::Parquet,
        _ => FileFormat::JsonLines,
    }
}
