//! The planning session: DataFusion with the window functions, the streams and the scopes in it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::datasource::source_as_provider;
use datafusion::execution::context::SessionContext;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement};

use super::constants::ExactConstants;
use super::error::Place;
use super::exact::with_plain_literals;
use super::plain_numbers;
use super::pure;
use super::window_function::WindowFunctionPlanner;

/// Where the rows of a [`DeclaredTable`] come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOf {
    /// The log: the cut takes the table out of the plan.
    Stream,
    /// A view or one of the engine's own tables: the rows of the cut are put in the table's place.
    Results,
}

/// A table as the planner sees it, a name with columns. It is never scanned.
#[derive(Debug)]
pub struct DeclaredTable {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Where its rows come from.
    pub rows_of: RowsOf,
}

impl DeclaredTable {
    /// The table that a scan reads; `None` for one that has its rows, as a reference table.
    #[must_use]
    pub fn of(scan: &TableScan) -> Option<(String, RowsOf)> {
        let provider = source_as_provider(&scan.source).ok()?;
        provider.downcast_ref::<Self>().map(|table| (table.name.clone(), table.rows_of))
    }
}

#[async_trait]
impl TableProvider for DeclaredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
    fn table_type(&self) -> TableType {
        match self.rows_of {
            RowsOf::Stream => TableType::Base,
            RowsOf::Results => TableType::View,
        }
    }
    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match self.rows_of {
            RowsOf::Stream => {
                plan_err!("stream {} can only be read by a continuous query", self.name)
            }
            RowsOf::Results => plan_err!("{} can only be read by a query over results", self.name),
        }
    }
}

/// A session in which streams, scopes and reference tables are registered by name.
#[must_use]
pub fn new_session() -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(false)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        .set_bool("datafusion.sql_parser.collect_spans", true)
        // 0.1 is a tenth, not the double next to it.
        .set_bool("datafusion.sql_parser.parse_float_as_decimal", true)
        .set_bool("datafusion.optimizer.enable_round_robin_repartition", false)
        .set_bool("datafusion.optimizer.enable_dynamic_filter_pushdown", false);
    config.options_mut().sql_parser.default_null_ordering = "nulls_min".to_owned();
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_analyzer_rules(plain_numbers::rules())
        .build();
    let context = SessionContext::new_with_state(state);
    if let Err(error) =
        context.state_ref().write().register_relation_planner(Arc::new(WindowFunctionPlanner))
    {
        // It only fails for a session built without one, which this is not.
        tracing::error!(%error, "window functions could not be registered");
    }
    context.add_analyzer_rule(Arc::new(ExactConstants));
    for function in super::aggregates::own() {
        context.register_udaf(function);
    }
    context
}

/// The analyzed logical plan of a query that decides figures: names resolved, types made equal, grouping functions
/// expanded.
///
/// # Errors
/// DataFusion's planning errors; [`place_of`] finds their place. A refusal, when it calls what the log does not tell.
pub fn analyzed(state: &SessionState, query: &Query) -> Result<LogicalPlan> {
    pure::check_text(state, query)?;
    let statement = DfStatement::Statement(Box::new(Statement::Query(Box::new(query.clone()))));
    let plan = futures::executor::block_on(state.statement_to_plan(statement))?;
    analyzed_plan(state, plan)
}

/// As [`analyzed`], of a plan that has been put together already.
///
/// # Errors
/// As there.
pub(super) fn analyzed_plan(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    pure::check_plan(&plan)?;
    // With the literals as they are meant some types are others, which those around them have to follow.
    let plan = with_plain_literals(plan)?;
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    Ok(plan)
}

/// Names of the tables and views a query reads; none where they cannot be told.
#[must_use]
pub fn tables_of(state: &SessionState, query: &Query) -> Vec<String> {
    let statement = DfStatement::Statement(Box::new(Statement::Query(Box::new(query.clone()))));
    let tables = state.resolve_table_references(&statement).unwrap_or_default();
    tables.iter().map(|table| table.table().to_owned()).collect()
}

/// The place a planning error names, if it names one.
#[must_use]
pub fn place_of(error: &DataFusionError) -> Place {
    if let Some(span) = error.diagnostic().and_then(|diagnostic| diagnostic.span) {
        return Place { line: span.start.line, column: span.start.column };
    }
    Place::in_message(&error.to_string()).unwrap_or_default()
}

/// The error in one line, without the library's own prefixes.
#[must_use]
pub fn message_of(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text =
        ["Error during planning: ", "Schema error: ", "type_coercion\ncaused by\n", "SQL error: "]
            .iter()
            .fold(text, |text, prefix| text.replace(prefix, ""));
    text.replace('\n', " ")
}
