//! A SQL script as a local job: the fold, fire and publish code of a server over bounded input.
//!
//! Statements run one after another; each continuous query reads its stream to the end (`query_run`). A
//! materialized view is planned as a server plans it; it is run when a statement reads it, or, where none
//! does, at its own place, and its rows are handed on. What became of the records is in `books`, and
//! statements may read it as the engine's own tables.

mod books;
mod own_input;
mod query_run;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Query;
use tokio::runtime::Runtime;

use self::books::{Books, BooksError};
use self::own_input::ViewQueries;
use self::query_run::{QueryRun, Running};
pub use self::sources::open_source;
use super::publisher::{PublisherLimits, ViewRuntime, rows_over};
use super::reference;
use crate::admit::RecordCounts;
use crate::config::{DEDUP_MEMORY_BYTES_MAX, LEDGER_BYTES_MAX};
use crate::ledger::{self, LedgerKind};
use crate::lifecycle::Counts;
use crate::model::{DeadLetter, Zone};
use crate::results::Mark;
use crate::results::published::schema_with_papers;
use crate::sinks::files::{FileSink, SinkError};
use crate::source::SourceError;
use crate::sql::catalog::{ViewDefinition, ViewQuery, common_zone, system_tables};
use crate::sql::cut::reads_stream;
use crate::sql::names::wrong_columns;
pub use crate::sql::options::Emit;
use crate::sql::options::Options;
use crate::sql::over_results::{OverResults, reads_results};
use crate::sql::refusal::located;
use crate::sql::script::{self, Statement, StatementKind, TableStatement, ViewStatement};
use crate::sql::session::{message_of, tables_of};
use crate::sql::{Catalog, SqlError, StateBounds, StreamDefinition};

/// How a job is run.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// Which rows are handed on.
    pub emit: Emit,
    /// Records folded at a time; the rows do not depend on it.
    pub batch_records: usize,
    /// Bytes of memory for the dedup keys of a query; past it the oldest keys go to a temporary folder.
    pub dedup_memory_bytes_max: usize,
    /// How much state a view may need by its estimate, and any query keep while it runs; past it the job stops.
    pub state_bounds: StateBounds,
    /// Bytes of each ledger in a temporary folder, where a statement reads one; past it the job stops.
    pub ledger_bytes_max: u64,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            emit: Emit::Final,
            batch_records: 8_192,
            dedup_memory_bytes_max: DEDUP_MEMORY_BYTES_MAX,
            state_bounds: StateBounds::default(),
            ledger_bytes_max: LEDGER_BYTES_MAX,
        }
    }
}

/// What a job hands on while it runs.
#[derive(Debug)]
pub enum JobEvent<'a> {
    /// The columns of the next query's rows; told once a query, before its rows.
    Columns(SchemaRef),
    /// Rows of a bare query, or of a materialized view that no statement reads.
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
    /// Final rows of materialized views that are older than their `'result.retention'` keeps.
    pub beyond_retention: u64,
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
    /// What became of the records cannot be told, or does not add up.
    #[error("{place}: {source}")]
    Books {
        /// File, line and column of the query.
        place: String,
        /// What is wrong.
        source: BooksError,
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
    let mut job = Job::new(&statements, options, target)?;
    for statement in &statements {
        job.statement(statement, on_event)?;
        job.summary.statements += 1;
    }
    Ok(job.summary)
}

/// Takes what a query hands on.
type OnEvent<'a> = dyn FnMut(JobEvent<'_>) -> Result<(), JobError> + 'a;

/// Deletions nobody will ask for: a job has no viewers that are behind.
const LIMITS: PublisherLimits = PublisherLimits { tombstones_max: 0 };

struct Job {
    catalog: Catalog,
    /// Tables by name, for INSERT INTO.
    sinks: BTreeMap<String, StreamDefinition>,
    /// What its views stand for.
    views: ViewQueries,
    /// The stream that rows are handed on for.
    target: Option<StreamDefinition>,
    options: JobOptions,
    summary: JobSummary,
    /// Names of the tables and views that a statement of the script reads.
    read: BTreeSet<String>,
    /// The files that have been written, each with the table it was written as.
    written: BTreeMap<PathBuf, String>,
    /// The rows of the views that have been run.
    shown: BTreeMap<String, Vec<RecordBatch>>,
    books: Books,
    /// Runs queries over results, some operators of which spawn tasks.
    runtime: Runtime,
}

impl Job {
    fn new(
        statements: &[Statement],
        options: &JobOptions,
        target: Option<&StreamDefinition>,
    ) -> Result<Self, JobError> {
        let zone = zone_of(statements);
        let ledgers = LedgerKind::ALL.map(|kind| (kind.table(), ledger::table::schema(kind, zone)));
        let catalog = Catalog::of_script(options.state_bounds, reference::read, ledgers);
        let state = catalog.context.state();
        let read: BTreeSet<String> = statements
            .iter()
            .filter_map(|statement| match &statement.kind {
                StatementKind::CreateTable(_) => None,
                StatementKind::CreateView(view) => Some(&view.query),
                StatementKind::Query(query) | StatementKind::Insert { query, .. } => Some(query),
            })
            .flat_map(|query| tables_of(&state, query))
            .collect();
        let place = || statements.first().map_or_else(String::new, place);
        let books = Books::open(&read, options.ledger_bytes_max, zone)
            .map_err(|source| JobError::Books { place: place(), source })?;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| JobError::Execution {
            place: place(),
            detail: format!("nothing to run queries on: {error}"),
        })?;
        Ok(Self {
            catalog,
            sinks: BTreeMap::new(),
            views: ViewQueries::of(statements),
            target: target.cloned(),
            options: options.clone(),
            summary: JobSummary::default(),
            read,
            written: BTreeMap::new(),
            shown: BTreeMap::new(),
            books,
            runtime,
        })
    }

    fn statement(
        &mut self,
        statement: &Statement,
        on_event: &mut dyn FnMut(JobEvent<'_>),
    ) -> Result<(), JobError> {
        let mut tell = |event: JobEvent<'_>| {
            on_event(event);
            Ok(())
        };
        match &statement.kind {
            StatementKind::CreateTable(table) => self.table(statement, table),
            StatementKind::CreateView(view) if view.materialized => {
                self.view(statement, view, &mut tell)
            }
            StatementKind::CreateView(view) => {
                self.catalog.add_scope_or_view(statement, view).map_err(JobError::Script)
            }
            StatementKind::Query(query) => self.query(statement, query, &mut tell),
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

    /// Declares a materialized view by a server's rules, and hands its rows on if no statement reads it.
    fn view(
        &mut self,
        statement: &Statement,
        view: &ViewStatement,
        on_event: &mut OnEvent<'_>,
    ) -> Result<(), JobError> {
        let name = &view.name;
        let refused = |message: String| Err(mistake(statement, message));
        self.catalog.add_view(statement, view).map_err(JobError::Script)?;
        let Some(definition) = self.definition(name) else { return Ok(()) };
        if let ViewQuery::Results(over) = &definition.query
            && let Some(ledger) = over.inputs.iter().find(|input| is_ledger(input))
        {
            return refused(format!(
                "no view can be kept over {ledger}: its rows are on disk and not part of a cut; read it by a SELECT"
            ));
        }
        if self.read.contains(name) {
            return Ok(());
        }
        if let Some(target) = &self.target {
            return refused(format!(
                "nothing reads the view {name}; a script that writes into {0} hands rows on by INSERT INTO {0} SELECT … FROM {name}",
                target.name
            ));
        }
        on_event(JobEvent::Columns(definition.query.schema()))?;
        self.run_view(&definition, true, on_event)?;
        if self.options.emit == Emit::Changes && matches!(definition.query, ViewQuery::Stream(_)) {
            return Ok(());
        }
        let width = definition.query.schema().fields().len();
        for rows in self.shown.get(name).cloned().unwrap_or_default() {
            let (own, revision) = without_papers(&rows, width)
                .map_err(|error| self.failed(statement, &error.into()))?;
            on_event(JobEvent::Rows { rows: &own, mark: Mark::Final, revision })?;
        }
        Ok(())
    }

    fn definition(&self, view: &str) -> Option<ViewDefinition> {
        self.catalog.views.iter().find(|known| known.name == view).cloned()
    }

    /// Runs a view to the end of its input, unless it has been; its changes are told where `is_told`.
    fn run_view(
        &mut self,
        view: &ViewDefinition,
        is_told: bool,
        on_event: &mut OnEvent<'_>,
    ) -> Result<(), JobError> {
        if self.shown.contains_key(&view.name) {
            return Ok(());
        }
        let rows = match &view.query {
            ViewQuery::Stream(_) => self.run_stream_view(view, is_told, on_event)?,
            ViewQuery::Results(over) => {
                let rows = self.rows_of_results(&view.statement, over, on_event)?;
                let rows = with_papers(&rows)
                    .map_err(|error| self.failed(&view.statement, &error.into()))?;
                vec![rows]
            }
        };
        self.shown.insert(view.name.clone(), rows);
        Ok(())
    }

    fn run_stream_view(
        &mut self,
        view: &ViewDefinition,
        is_told: bool,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Vec<RecordBatch>, JobError> {
        let is_told = is_told && self.options.emit == Emit::Changes;
        let runtime = ViewRuntime::new(&self.catalog, view, LIMITS)
            .map_err(|error| self.failed(&view.statement, &error))?;
        let Some(runtime) = runtime else { return Ok(Vec::new()) };
        let running = Running::View { runtime: Box::new(runtime), is_told, cut: 0, finals: 0 };
        let running = self.run_to_the_end(&view.statement, running, on_event)?;
        let Running::View { mut runtime, finals, .. } = running else { return Ok(Vec::new()) };
        let snapshot = runtime.published.snapshot();
        let kept = u64::try_from(snapshot.row_count()).unwrap_or(u64::MAX);
        self.summary.beyond_retention += finals.saturating_sub(kept);
        Ok(snapshot.batches())
    }

    /// Runs one continuous query, and takes what became of its records into the books.
    fn run_to_the_end(
        &mut self,
        statement: &Statement,
        running: Running,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Running, JobError> {
        let mut run = QueryRun::open(&self.catalog, running, place(statement), &self.options)?;
        run.to_the_end(&mut self.books, on_event)?;
        let (running, pass) = run.end();
        let sums = pass.sums();
        self.summary.records = added(self.summary.records, sums.records);
        self.summary.late += sums.late;
        self.summary.life_cycle = self.summary.life_cycle.plus(sums.life_cycle);
        self.books
            .close(pass)
            .map_err(|source| JobError::Books { place: place(statement), source })?;
        Ok(running)
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
                    return Err(mistake(statement, message));
                }
                on_event(event);
                Ok(())
            });
        }
        let Some(definition) = self.sinks.get(sink) else {
            let message = format!("INSERT INTO {sink}: no CREATE TABLE {sink} stands before it");
            return Err(mistake(statement, message));
        };
        let state = self.catalog.context.state();
        if let Some(message) = self.views.overwritten(&state, (definition, query), &self.sinks) {
            return Err(mistake(statement, message));
        }
        let failed = |source: SinkError| JobError::Sink { place: place.clone(), source };
        let file = definition.options.get("path").and_then(|path| own_input::file(Path::new(path)));
        let before = file.and_then(|file| self.written.get(&file));
        if let Some(other) = before.filter(|before| **before != definition.name) {
            let message = format!(
                "INSERT INTO {sink}: the table {other} was written into the same file before; write into a table \
                 with another 'path'"
            );
            return Err(mistake(statement, message));
        }
        let mut target = FileSink::create(definition, before.is_some()).map_err(failed)?;
        let (path, name) = (definition.options.get("path").cloned(), definition.name.clone());
        self.query(statement, query, &mut |event| match event {
            JobEvent::Columns(schema) => target.expect(&schema).map_err(failed),
            JobEvent::Rows { rows, .. } => target.write(rows).map_err(failed),
            other => {
                on_event(other);
                Ok(())
            }
        })?;
        target.finish().map_err(failed)?;
        let file = path.and_then(|path| own_input::file(Path::new(&path)));
        self.written.extend(file.map(|file| (file, name)));
        Ok(())
    }

    fn query(
        &mut self,
        statement: &Statement,
        query: &Query,
        on_event: &mut OnEvent<'_>,
    ) -> Result<(), JobError> {
        let logical = self.catalog.logical(statement, query).map_err(JobError::Script)?;
        if reads_results(&logical) || !reads_stream(&logical) {
            return self.query_of_results(statement, (query, &logical), on_event);
        }
        let plan = self
            .catalog
            .plan(&logical)
            .map_err(|error| JobError::Script(vec![located(statement, query, &error)]))?;
        if let Some(message) =
            self.catalog.one_log_joined(&plan).or_else(|| wrong_columns(&plan.schema))
        {
            return Err(mistake(statement, message));
        }
        on_event(JobEvent::Columns(Arc::clone(&plan.schema)))?;
        let running = Running::query(&self.catalog, plan, &self.options)
            .map_err(|error| self.failed(statement, &error))?;
        self.run_to_the_end(statement, running, on_event).map(drop)
    }

    /// A query over views that have been run, the engine's own tables and joined tables.
    fn query_of_results(
        &mut self,
        statement: &Statement,
        (query, logical): (&Query, &LogicalPlan),
        on_event: &mut OnEvent<'_>,
    ) -> Result<(), JobError> {
        let over = OverResults::of_query(&self.catalog.context.state(), logical)
            .map_err(|error| JobError::Script(vec![located(statement, query, &error)]))?;
        on_event(JobEvent::Columns(over.plan.schema()))?;
        let rows = self.rows_of_results(statement, &over, on_event)?;
        on_event(JobEvent::Rows { rows: &rows, mark: Mark::Final, revision: 0 })
    }

    fn rows_of_results(
        &mut self,
        statement: &Statement,
        over: &OverResults,
        on_event: &mut OnEvent<'_>,
    ) -> Result<RecordBatch, JobError> {
        let is_own = |name: &String| {
            is_ledger(name) || system_tables().iter().any(|(table, _)| table == name)
        };
        // The engine's own tables tell of all views declared by then.
        let all = over.inputs.iter().any(is_own);
        let views: Vec<ViewDefinition> = self.catalog.views.clone();
        for view in views.iter().filter(|view| {
            over.inputs.contains(&view.name) || (all && matches!(view.query, ViewQuery::Stream(_)))
        }) {
            self.run_view(view, false, on_event)?;
        }
        let mut inputs = BTreeMap::new();
        for name in &over.inputs {
            let rows = match self.shown.get(name) {
                Some(rows) => rows.clone(),
                None => self
                    .books
                    .table(name)
                    .map_err(|source| JobError::Books { place: place(statement), source })?,
            };
            inputs.insert(name.clone(), rows);
        }
        let context = self.catalog.context.task_ctx();
        rows_over(over, &inputs, (&self.runtime, context))
            .map_err(|error| self.failed(statement, &error))
    }

    fn failed(&self, statement: &Statement, error: &DataFusionError) -> JobError {
        JobError::Execution { place: place(statement), detail: message_of(error) }
    }
}

/// The zone of the streams that a script declares; a wrong name is told where its table is read.
fn zone_of(statements: &[Statement]) -> Zone {
    let zones = statements.iter().filter_map(|statement| match &statement.kind {
        StatementKind::CreateTable(table) => {
            let named = table.options.get("time-zone").map(|zone| Zone::named(zone));
            table.watermark.as_ref().map(|_| named.and_then(Result::ok).unwrap_or(Zone::UTC))
        }
        _ => None,
    });
    common_zone(zones)
}

fn is_ledger(table: &str) -> bool {
    LedgerKind::named(table).is_some()
}

/// The rows of a view without its two last columns, and the revision they had.
fn without_papers(
    rows: &RecordBatch,
    width: usize,
) -> Result<(RecordBatch, u64), arrow::error::ArrowError> {
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;
    let own: Vec<usize> = (0..width).collect();
    let revision = rows
        .columns()
        .last()
        .and_then(|column| column.as_primitive_opt::<Int64Type>()?.values().first().copied());
    Ok((rows.project(&own)?, revision.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)))
}

/// The rows of a view over results as its readers see them, after the end of all input.
fn with_papers(rows: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    let count = rows.num_rows();
    let mut columns = rows.columns().to_vec();
    let marks: ArrayRef =
        Arc::new(std::iter::repeat_n(Some(Mark::Final.as_str()), count).collect::<StringArray>());
    columns.extend([marks, Arc::new(Int64Array::from(vec![0; count])) as ArrayRef]);
    RecordBatch::try_new(schema_with_papers(&rows.schema()), columns)
}

fn place(statement: &Statement) -> String {
    format!("{}:{}:{}", statement.file.display(), statement.place.line, statement.place.column)
}

fn mistake(statement: &Statement, message: String) -> JobError {
    JobError::Script(vec![SqlError::at(&statement.file, statement.place, message)])
}

fn added(sum: RecordCounts, counts: RecordCounts) -> RecordCounts {
    RecordCounts {
        read: sum.read + counts.read,
        accepted: sum.accepted + counts.accepted,
        duplicate: sum.duplicate + counts.duplicate,
        rejected: sum.rejected + counts.rejected,
        shadow: sum.shadow + counts.shadow,
        control: sum.control + counts.control,
        misplaced: sum.misplaced + counts.misplaced,
    }
}

#[cfg(test)]
mod tests;
