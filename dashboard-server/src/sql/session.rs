//! Running a query: pinned to a cut, checked, bounded, on threads of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin as FuturePin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    TableProvider,
};
use datafusion::config::Dialect;
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::StreamExt as _;
use serde_json::Value;
use tidemark_pipeline::model::{Space, Zone};
use tidemark_pipeline::results::{Results, StreamProgress};
use tidemark_pipeline::sql::aggregates;
use tidemark_pipeline::sql::constants::ExactConstants;
use tidemark_pipeline::sql::own_columns::OwnColumns;
use tidemark_pipeline::sql::plain_numbers;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::ahead::AnswersAhead;
use super::allow;
use super::batches;
use super::dialect;
use super::error::SqlError;
use super::exact::ExactArithmetic;
use super::expansion::check_expansion;
use super::growth::{BoundFunctions, Budget};
use super::limits::{Bounds, Limits};
use super::output::Answer;
use super::params;
use super::past::{Given, Parameters, papers_of};
use super::rules::{RoleRules, SharedRules};
use super::running::{Door, Queries, Turn};
use super::stopping::PauseAtJoins;
use super::subscribe::Subscriptions;
use super::tables::{CutSchema, Pin, ReferenceTables};
use crate::auth::Principal;
use crate::clock::Clock;
use crate::config::SqlConfig;

/// Name of the catalogue, and of the database psql connects to.
pub(super) const CATALOG: &str = "tidemark";
/// Name of the schema that holds every table; those of the shadow space are in `shadow`.
pub(super) const SCHEMA: &str = "public";

/// How long after its time limit a query may take to notice.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Functions that make much out of little: a short query with one of them could take all memory of
/// the process without passing the memory pool.
const REMOVED_FUNCTIONS: [&str; 9] = [
    "repeat",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
    "range",
    "generate_series",
    "gen_series",
    "make_list",
];

/// A query as it is asked.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// One statement that reads.
    pub text: String,
    /// Values for `$1`, `$2`, ….
    pub params: Vec<Value>,
    /// The name its asker wants to stop it by; `None` takes a new one.
    pub id: Option<String>,
}

/// Answers queries over the newest cut. Cheap to clone.
#[derive(Clone)]
pub struct SqlService {
    inner: Arc<Inner>,
}

struct Inner {
    results: Arc<Results>,
    reference: ReferenceTables,
    limits: Limits,
    queries: Arc<Queries>,
    subscriptions: Subscriptions,
    rules: SharedRules,
    runtime: Handle,
    clock: Clock,
    template: SessionState,
}

impl SqlService {
    /// Queries run on `runtime`, which must not be the one that serves people; each role is shown what `rules` say.
    #[must_use]
    pub fn new(
        results: Arc<Results>,
        reference: Vec<(String, Arc<dyn TableProvider>)>,
        (config, rules): (SqlConfig, SharedRules),
        runtime: Handle,
        clock: Clock,
    ) -> Self {
        let reference = Arc::new(reference.into_iter().collect::<BTreeMap<_, _>>());
        let template = template(&config);
        let queries = Queries::new(clock.clone(), config.query_log_max);
        let limits = Limits::new(config);
        let subscriptions = Subscriptions::default();
        let inner = Inner {
            results,
            reference,
            limits,
            queries,
            subscriptions,
            rules,
            runtime,
            clock,
            template,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Runs one reading statement over the newest cut for whoever sees everything.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub async fn query(&self, text: String, params: Vec<Value>) -> Result<Answer, SqlError> {
        let question = Question { text, params, id: None };
        self.ask(&Principal::anyone(), question).await
    }

    /// Runs one reading statement over what someone sees of the newest cut. Dropping the future stops the
    /// query, and so does stopping it by its name.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub async fn ask(&self, principal: &Principal, question: Question) -> Result<Answer, SqlError> {
        let Question { text, params, id } = question;
        let turn = self.inner.queries.begin(id, Door::Http, &principal.name, &text)?;
        let service = self.clone();
        let asked = (text, params, principal.clone());
        let rules = self.rules_of(principal);
        let answering = self.bounded(&rules, move |is_left| async move {
            let (text, params, principal) = asked;
            service.run(&text, (&params, &principal), is_left).await
        });
        let answered = tokio::select! {
            answered = answering => answered,
            () = turn.stopped() => Err(SqlError::Cancelled),
        };
        let answered = answered.map(|answer| Answer { query: turn.id().to_owned(), ..answer });
        end(turn, &answered);
        answered
    }

    /// Does the work of a query on the threads of queries, when it is its turn and within the time that one has. Dropping
    /// the future stops it, and then the work is told that it is left.
    ///
    /// # Errors
    /// Those of the work, and where it gets no turn or takes too long.
    pub(super) async fn bounded<T, W>(
        &self,
        rules: &RoleRules,
        work: impl FnOnce(Arc<AtomicBool>) -> W,
    ) -> Result<T, SqlError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, SqlError>> + Send + 'static,
    {
        let permit = self.inner.limits.turn(rules).await?;
        let bounds = rules.bounds;
        let after = bounds.time.most;
        let is_left = Arc::new(AtomicBool::new(false));
        let work = work(Arc::clone(&is_left));
        let task = self.inner.runtime.spawn(async move {
            let _permit = permit;
            let answered = tokio::time::timeout(after, work).await;
            answered.unwrap_or_else(|_| Err(SqlError::of_time(&bounds)))
        });
        let running = StopOnDrop { task, is_left };
        // Whoever asked has an answer in time, even while an operator has not paused yet; the turn
        // is taken until it does.
        let answered = tokio::time::timeout(after + PAUSE_MAX, running).await;
        answered.unwrap_or_else(|_| Err(SqlError::of_time(&bounds)))
    }

    async fn run(
        &self,
        text: &str,
        (params, principal): (&[Value], &Principal),
        is_left: Arc<AtomicBool>,
    ) -> Result<Answer, SqlError> {
        let pin = self.pin();
        pin.show_to(principal);
        let values = params::plain(params);
        let asked = self.statement(text, &pin, Given::Values(&values)).await?;
        self.answered(asked, (params, &pin), is_left).await
    }

    /// The statement of a text, and the parameters that say of which past its tables are; these are in the catalogue of `pin`
    /// until the next one.
    ///
    /// # Errors
    /// When it is none that reads, or what it asks for of the past cannot be had.
    pub(super) async fn statement(
        &self,
        text: &str,
        pin: &Arc<Pin>,
        given: Given<'_>,
    ) -> Result<(Statement, Parameters), SqlError> {
        let now = self.now();
        let parsed = allow::parse_reading(text, &self.inner.limits.config, (&now, given))?;
        let found = self.find_pasts(&parsed.asked, pin).await;
        found.map_err(|error| self.at_start(error))?;
        Ok((parsed.statement, parsed.parameters))
    }

    /// The answer to a statement over the tables of a pin.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub(super) async fn answered(
        &self,
        (statement, clauses): (Statement, Parameters),
        (params, pin): (&[Value], &Arc<Pin>),
        is_left: Arc<AtomicBool>,
    ) -> Result<Answer, SqlError> {
        let opened = self.session(pin).map_err(|error| SqlError::of_planning(&error))?;
        let Session { context: session, budget } = opened;
        let bounds = pin.rules().bounds;
        let _running = budget.begin((bounds.time.most, bounds.time.limit), is_left);
        let plan = self.checked_plan(statement, &session).await?;
        let plan = params::bind(plan, params, &clauses)?;
        let past = papers_of(&plan, &pin.pasts);
        let (schema, batches, truncated) = collect(&session, plan, &bounds).await?;
        let (schema, batches) = dialect::as_written(schema, batches)
            .map_err(|error| SqlError::Run { message: error.to_string() })?;
        let limit = truncated.then_some(bounds.rows.limit);
        metrics::counter!("tidemark_sql_queries_total", "door" => "http").increment(1);
        let epoch = self.inner.results.epoch().to_owned();
        let cut = pin.cut();
        let StreamProgress { as_of, watermark, .. } = cut.overall();
        let query = String::new();
        let cut = cut.cut;
        Ok(Answer { schema, batches, cut, epoch, truncated, limit, as_of, watermark, past, query })
    }

    /// The plan of a statement, which only reads.
    ///
    /// # Errors
    /// When it names what is not there, or does something else.
    pub(super) async fn checked_plan(
        &self,
        statement: Statement,
        session: &SessionContext,
    ) -> Result<LogicalPlan, SqlError> {
        let statement = spelled(statement)?;
        let plan = session.state().statement_to_plan(statement).await;
        let plan = plan.map_err(|error| self.at_start(SqlError::of_planning(&error)))?;
        allow::check_plan(&plan)?;
        check_expansion(&plan, self.inner.limits.config.operators_max)?;
        Ok(plan)
    }

    /// Why a table is not found: after a start there is none before the first cut.
    pub(super) fn at_start(&self, error: SqlError) -> SqlError {
        error.before_cut(self.inner.results.latest().cut)
    }

    /// A session whose tables are those of `pin`.
    pub(super) fn session(&self, pin: &Arc<Pin>) -> Result<Session, DataFusionError> {
        let catalog = MemoryCatalogProvider::new();
        let tables =
            CutSchema::new(Space::Live, Arc::clone(pin), Arc::clone(&self.inner.reference));
        catalog.register_schema(SCHEMA, Arc::new(tables))?;
        let shadow = CutSchema::new(Space::Shadow, Arc::clone(pin), ReferenceTables::default());
        catalog.register_schema(Space::Shadow.as_str(), Arc::new(shadow))?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let memory = Limits::memory(pin)?;
        let row_bytes_max = self.inner.limits.config.row_bytes_max;
        let budget = Budget::new(Arc::clone(&memory.memory_pool), row_bytes_max);
        let mut state = SessionStateBuilder::new_from_existing(self.inner.template.clone())
            .with_runtime_env(memory)
            .with_catalog_list(Arc::new(catalogs))
            .build();
        use_zone(&mut state, self.inner.results.ledger_zone())?;
        state.register_function_rewrite(Arc::new(BoundFunctions::new(Arc::clone(&budget))))?;
        Ok(Session { context: SessionContext::new_with_state(state), budget })
    }

    /// The newest cut, pinned.
    pub(super) fn pin(&self) -> Arc<Pin> {
        let (results, queries) = (&self.inner.results, &self.inner.queries);
        Pin::new(Arc::clone(results), Arc::clone(queries), Arc::clone(&self.inner.rules))
    }

    /// What someone is shown and may use.
    #[must_use]
    pub fn rules_of(&self, principal: &Principal) -> Arc<RoleRules> {
        self.inner.rules.read().of(principal.role)
    }

    /// What each role is shown and may use.
    pub(super) fn rules(&self) -> &SharedRules {
        &self.inner.rules
    }

    /// The time of day.
    pub(super) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Where the figures come from.
    pub(super) fn results(&self) -> &Arc<Results> {
        &self.inner.results
    }

    /// The tables that are the same for every query.
    pub(super) fn reference(&self) -> &ReferenceTables {
        &self.inner.reference
    }

    /// What queries may use.
    pub(super) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The life of the publisher in which cuts are counted.
    pub(super) fn epoch(&self) -> &str {
        self.inner.results.epoch()
    }

    /// What is subscribed to.
    pub(super) fn subscriptions(&self) -> &Subscriptions {
        &self.inner.subscriptions
    }

    /// What runs and what ran, whichever door it came through.
    #[must_use]
    pub fn queries(&self) -> &Arc<Queries> {
        &self.inner.queries
    }

    /// Where queries run.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.inner.runtime
    }
}

/// The rows of a plan, up to what the role may have, and whether there were more.
async fn collect(
    session: &SessionContext,
    plan: LogicalPlan,
    bounds: &Bounds,
) -> Result<(arrow::datatypes::SchemaRef, Vec<RecordBatch>, bool), SqlError> {
    let failed = |error: DataFusionError| SqlError::of_running(&error, bounds);
    let frame = session.execute_logical_plan(plan).await;
    let frame = frame.map_err(|error| SqlError::of_planning(&error))?;
    let mut stream = frame.execute_stream().await.map_err(failed)?;
    let schema = batches::owned_schema(&stream.schema());
    let (mut gathered, mut rows, mut bytes) = (Vec::new(), 0, 0_usize);
    while let Some(batch) = stream.next().await {
        let batch = batches::owned(&batch.map_err(failed)?, &schema).map_err(failed)?;
        let room = bounds.rows.most - rows;
        if batch.num_rows() > room {
            gathered.push(batch.slice(0, room));
            return Ok((schema, gathered, true));
        }
        rows += batch.num_rows();
        bytes = bytes.saturating_add(batch.get_array_memory_size());
        if bytes > bounds.memory_bytes.most {
            return Err(SqlError::of_memory(bounds));
        }
        gathered.push(batch);
    }
    Ok((schema, gathered, false))
}

/// Enters what has come of a query.
pub(super) fn end(turn: Turn, answered: &Result<Answer, SqlError>) {
    let rows = |answer: &Answer| {
        let rows: usize = answer.batches.iter().map(RecordBatch::num_rows).sum();
        u64::try_from(rows).ok()
    };
    turn.ended(answered.as_ref().map(rows));
}

/// The statement in words that the planner knows.
fn spelled(statement: Statement) -> Result<Statement, SqlError> {
    Ok(match statement {
        Statement::Statement(sql) => Statement::Statement(Box::new(dialect::planned_as(*sql)?)),
        Statement::Explain(mut explain) => {
            explain.statement = Box::new(spelled(*explain.statement)?);
            Statement::Explain(explain)
        }
        other => other,
    })
}

/// A session, and what its queries may use.
pub(super) struct Session {
    /// Its catalogue, functions and rules.
    pub(super) context: SessionContext,
    /// Begun for every query.
    pub(super) budget: Arc<Budget>,
}

/// The part of a session that is the same for all: settings and functions.
fn template(limits: &SqlConfig) -> SessionState {
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_target_partitions(limits.threads)
        .with_batch_size(batches::COPIED_ROWS);
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.collect_spans = true;
    // `gmv * 1.06` stays exact: a number with a point is a decimal, not a float.
    options.sql_parser.parse_float_as_decimal = true;
    // Each round of a recursive query may double its rows; see REMOVED_FUNCTIONS.
    options.execution.enable_recursive_ctes = false;
    let mut rules = PhysicalOptimizer::new().rules;
    rules.insert(0, Arc::new(ExactArithmetic));
    rules.push(Arc::new(PauseAtJoins::new(limits.row_bytes_max)));
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        // A function that is given a function could do anything a thousand times.
        .with_higher_order_functions(Vec::new())
        .with_physical_optimizer_rules(rules)
        .with_query_planner(Arc::new(AnswersAhead))
        .with_analyzer_rules(analyzer_rules())
        .build();
    // Sums and products fit their type wherever they stand.
    state.add_analyzer_rule(Arc::new(ExactConstants));
    state.add_analyzer_rule(Arc::new(OwnColumns));
    // SUM and percentiles as in views: a sum fails where its value does not fit its type. AVG of integers stays PostgreSQL's,
    // with a fraction.
    for function in aggregates::own().into_iter().filter(|function| function.name() != "avg") {
        let _wrapping = state.register_udaf(Arc::new(function));
    }
    for name in REMOVED_FUNCTIONS {
        let _absent = state.deregister_udf(name);
    }
    state
}

/// What day it is, and a stamp with a time zone but without an offset, are by the clock of the streams.
fn use_zone(state: &mut SessionState, zone: Zone) -> Result<(), DataFusionError> {
    state.config_mut().options_mut().execution.time_zone = Some(zone.name().to_owned());
    let options = state.config_options();
    // Not those that read a time: one without an offset is by the clock of what it is compared with.
    let functions = ["now", "current_date", "current_time"]
        .into_iter()
        .filter_map(|name| state.scalar_functions().get(name));
    let told: Vec<_> =
        functions.filter_map(|function| function.inner().with_updated_config(options)).collect();
    for function in told {
        let _before = state.register_udf(Arc::new(function))?;
    }
    dialect::register(state, zone)
}

/// The rules that all sessions share, with what analysts write that the engine says otherwise: behind the one that reads
/// numbers as they are written, and before decimals are compared, by the scales that quotients have, and types made alike.
fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules = plain_numbers::rules_of_questions();
    rules.splice(1..1, dialect::rules());
    rules
}

/// A running query that stops when nobody waits for it any more.
struct StopOnDrop<T> {
    task: JoinHandle<Result<T, SqlError>>,
    /// Heard by a function that works on a batch; the engine itself hears only between batches.
    is_left: Arc<AtomicBool>,
}

impl<T> Future for StopOnDrop<T> {
    type Output = Result<T, SqlError>;

    fn poll(mut self: FuturePin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        FuturePin::new(&mut self.task).poll(context).map(|joined| match joined {
            Ok(answered) => answered,
            Err(error) if error.is_cancelled() => Err(SqlError::Stopped),
            Err(error) => {
                tracing::error!(%error, "a query broke an assumption of the engine: {error}");
                Err(SqlError::Run { message: "the engine failed on this query".to_owned() })
            }
        })
    }
}

impl<T> Drop for StopOnDrop<T> {
    fn drop(&mut self) {
        self.is_left.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}
