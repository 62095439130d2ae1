//! A query whose rows go out as they are made: described first, then run, never gathered.
//!
//! ```text
//! described ─▶ poured ─ worker: the query, a few batches ahead of its reader
//!                └────── watcher: stopped, left, told to go, too slow ─▶ drops the worker ─▶ `query_log`
//! ```
//! The watcher is a task of its own, because a reader that does not read polls nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::RecordBatchOptions;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use futures::{Stream, StreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::dialect::columns_as_written;
use super::error::SqlError;
use super::growth::Running;
use super::output::past_told;
use super::params;
use super::past::{Given, PastPaper, papers_of, with_clauses};
use super::running::{Door, Turn};
use super::session::SqlService;
use super::tables::Pin;
use crate::auth::{Admitted, Principal};
use crate::closing::Closing;

/// Batches that are made before their reader takes the first.
const BATCHES_AHEAD: usize = 2;

/// What a statement will answer, and what it wants.
#[derive(Debug, Clone)]
pub(super) struct Described {
    /// Columns of its answer.
    pub(super) schema: SchemaRef,
    /// Types of `$1`, `$2`, …; `None` where the statement does not tell.
    pub(super) parameters: Vec<Option<DataType>>,
}

/// A statement with the values of its parameters.
#[derive(Debug, Clone, Default)]
pub(super) struct Bound {
    /// One statement that reads.
    pub(super) text: String,
    /// Values for `$1`, `$2`, …; `None` before they are known.
    pub(super) values: Option<Vec<ScalarValue>>,
}

/// The rows of a query as they are made.
pub(super) struct Poured {
    /// The query's name.
    pub(super) id: String,
    /// Columns, with what the rows are true of.
    pub(super) schema: SchemaRef,
    batches: mpsc::Receiver<RecordBatch>,
    outcome: oneshot::Receiver<Result<(), SqlError>>,
}

impl Poured {
    /// The batches, then the error that ended it. Dropping the stream stops the query.
    pub(super) fn stream(self) -> impl Stream<Item = Result<RecordBatch, SqlError>> + Send {
        futures::stream::unfold(Some((self.batches, self.outcome)), |state| async move {
            let (mut batches, outcome) = state?;
            if let Some(batch) = batches.recv().await {
                return Some((Ok(batch), Some((batches, outcome))));
            }
            match outcome.await.unwrap_or(Err(SqlError::Stopped)) {
                Ok(()) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl SqlService {
    /// What a statement will answer. One that is wrong is in the log of queries; one that is not is there when it runs.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub(super) async fn describe(
        &self,
        principal: &Arc<Principal>,
        bound: &Bound,
    ) -> Result<Described, SqlError> {
        let turn = self.queries().begin(None, Door::Flight, &principal.name, &bound.text)?;
        let (service, principal, bound) = (self.clone(), Arc::clone(principal), bound.clone());
        let rules = self.rules_of(&principal);
        let describing = self.bounded(&rules, |is_left| async move {
            service.described(&principal, &bound, is_left).await
        });
        let described = tokio::select! {
            described = describing => described,
            () = turn.stopped() => Err(SqlError::Cancelled),
        };
        match &described {
            Ok(_) => turn.goes_on(),
            Err(error) => turn.ended(Err(error)),
        }
        described
    }

    async fn described(
        &self,
        principal: &Principal,
        bound: &Bound,
        is_left: Arc<AtomicBool>,
    ) -> Result<Described, SqlError> {
        let pin = self.pin();
        let planned = self.planned(&pin, principal, bound, is_left).await?;
        Ok(planned.described)
    }

    async fn planned(
        &self,
        pin: &Arc<Pin>,
        principal: &Principal,
        bound: &Bound,
        is_left: Arc<AtomicBool>,
    ) -> Result<Planned, SqlError> {
        pin.show_to(principal);
        let given = bound.values.as_deref().map_or(Given::Later, Given::Values);
        let (statement, clauses) = self.statement(&bound.text, pin, given).await?;
        let session = self.session(pin).map_err(|error| SqlError::of_planning(&error))?;
        let time = pin.rules().bounds.time;
        let running = session.budget.begin((time.most, time.limit), is_left);
        let context = session.context;
        let plan = self.checked_plan(statement, &context).await?;
        let types = plan.get_parameter_types().map_err(|error| SqlError::of_planning(&error))?;
        let types = with_clauses(types, &clauses);
        let plan = match &bound.values {
            Some(values) => params::bind_values(plan, &types, values)?,
            None => plan,
        };
        // Without the type of a parameter it cannot be said; then the plan as it is stands for it.
        let state = context.state();
        let analyzed =
            state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {});
        let plan = match analyzed {
            Ok(analyzed) => analyzed,
            Err(_) if bound.values.is_none() && !types.is_empty() => plan,
            Err(error) => return Err(SqlError::of_planning(&error)),
        };
        let described =
            Described { schema: told_schema(plan.schema().as_arrow()), parameters: listed(&types) };
        Ok(Planned { context, plan, described, _running: running })
    }

    /// Runs a statement over the newest cut. It ends where the stream is dropped, when it is stopped by its name, when
    /// who asks has to go or the server goes, and when its time is over, however slowly it is read.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub(super) async fn pour(
        &self,
        admitted: Admitted,
        bound: Bound,
        closing: Closing,
    ) -> Result<Poured, SqlError> {
        let principal = Arc::clone(&admitted.principal);
        let turn = self.queries().begin(None, Door::Flight, &principal.name, &bound.text)?;
        let id = turn.id().to_owned();
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let (begun, begins) = oneshot::channel();
        let (ends, outcome) = oneshot::channel();
        let service = self.clone();
        self.runtime().spawn(async move {
            let worker = service.clone();
            let watched = Watched { turn, admitted, closing, ends };
            let rules = service.rules_of(&principal);
            let work = service.bounded(&rules, |is_left| async move {
                worker.pouring((&principal, &bound), is_left, (begun, sender)).await
            });
            watched.until_done(work).await;
        });
        match begins.await {
            Ok(schema) => Ok(Poured { id, schema, batches, outcome }),
            // It ended before it had a schema.
            Err(_) => Err(match outcome.await {
                Ok(Err(error)) => error,
                _ => SqlError::Stopped,
            }),
        }
    }

    async fn pouring(
        &self,
        (principal, bound): (&Principal, &Bound),
        is_left: Arc<AtomicBool>,
        (begun, batches): (oneshot::Sender<SchemaRef>, mpsc::Sender<RecordBatch>),
    ) -> Result<u64, SqlError> {
        let pin = self.pin();
        let planned = self.planned(&pin, principal, bound, is_left).await?;
        let Planned { context, plan, described, _running } = planned;
        // Without its values a clause would be of now.
        if let (None, wanted @ 1..) = (&bound.values, described.parameters.len()) {
            let message = format!("the query has {wanted} placeholders and got 0 params");
            return Err(SqlError::Params { message });
        }
        let past = papers_of(&plan, &pin.pasts);
        let bounds = pin.rules().bounds;
        let failed = |error: DataFusionError| SqlError::of_running(&error, &bounds);
        let frame = context.execute_logical_plan(plan).await;
        let frame = frame.map_err(|error| SqlError::of_planning(&error))?;
        let mut stream = frame.execute_stream().await.map_err(failed)?;
        metrics::counter!("tidemark_sql_queries_total", "door" => "flight").increment(1);
        let schema = with_papers(&described.schema, (&pin, self.epoch()), &past);
        let mut rows = 0_usize;
        // Whoever asked may be gone; then the watcher says so.
        let _asker = begun.send(Arc::clone(&schema));
        while let Some(batch) = stream.next().await {
            let batch = told(&batch.map_err(failed)?, &schema)?;
            rows += batch.num_rows();
            if rows > bounds.rows.most {
                return Err(SqlError::of_rows(&bounds));
            }
            if batches.send(batch).await.is_err() {
                return Err(SqlError::Cancelled);
            }
        }
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }
}

/// A statement's plan in the session that it runs in.
struct Planned {
    context: SessionContext,
    plan: LogicalPlan,
    described: Described,
    _running: Running,
}

/// What may end a query from outside.
struct Watched {
    turn: Turn,
    admitted: Admitted,
    closing: Closing,
    ends: oneshot::Sender<Result<(), SqlError>>,
}

impl Watched {
    /// Waits for the work, or drops it.
    async fn until_done(self, work: impl Future<Output = Result<u64, SqlError>>) {
        let Self { turn, mut admitted, mut closing, mut ends } = self;
        let done = tokio::select! {
            done = work => Some(done),
            () = turn.stopped() => Some(Err(SqlError::Cancelled)),
            () = admitted.stay.over() => Some(Err(SqlError::Cancelled)),
            () = closing.begun() => Some(Err(SqlError::Stopped)),
            () = ends.closed() => None,
        };
        // Whoever asked has gone: the turn says so where it is dropped.
        let Some(done) = done else { return };
        turn.ended(done.as_ref().map(|rows| Some(*rows)));
        let _asker = ends.send(done.map(drop));
    }
}

fn listed(types: &HashMap<String, Option<DataType>>) -> Vec<Option<DataType>> {
    (1..=types.len()).map(|nth| types.get(&format!("${nth}")).cloned().flatten()).collect()
}

/// The columns as they are told: texts and bytes in the form that every client knows, and any of them may be NULL, because
/// what a plan says of that is not always so.
fn told_schema(schema: &Schema) -> SchemaRef {
    let told = |field: &Arc<Field>| {
        let of = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            DataType::Dictionary(_, of) => of.as_ref().clone(),
            of => of.clone(),
        };
        Field::new(field.name(), of, true)
    };
    let fields: Vec<Field> = schema.fields().iter().map(told).collect();
    let names = columns_as_written(fields.iter().map(|field| field.name().as_str()));
    Arc::new(Schema::new(match names {
        Some(names) => {
            fields.into_iter().zip(names).map(|(field, name)| field.with_name(name)).collect()
        }
        None => fields,
    }))
}

/// A batch with the columns that were told.
fn told(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SqlError> {
    let unlike = |error: arrow::error::ArrowError| SqlError::Run { message: error.to_string() };
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast(column, field.data_type()).map_err(unlike)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows).map_err(unlike)
}

/// The schema with what the rows are true of.
fn with_papers(schema: &Schema, (pin, epoch): (&Pin, &str), past: &[PastPaper]) -> SchemaRef {
    let cut = pin.cut();
    let overall = cut.overall();
    let time = |name: &str, ms: Option<i64>| ms.map(|ms| (name.to_owned(), ms.to_string()));
    let mut papers = HashMap::from([
        ("cut".to_owned(), cut.cut.to_string()),
        ("epoch".to_owned(), epoch.to_owned()),
    ]);
    let times = [time("as_of", overall.as_of), time("watermark", overall.watermark)];
    papers.extend(times.into_iter().flatten());
    papers.extend(past_told(past).map(|told| ("past".to_owned(), told)));
    Arc::new(schema.clone().with_metadata(papers))
}
