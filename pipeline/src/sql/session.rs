//! The planning session: DataFusion with the window functions, the streams and the scopes in it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::execution::SessionState;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement};

use super::error::Place;
use super::pure;
use super::window_function::WindowFunctionPlanner;

/// A stream as the planner sees it: a schema. It is never scanned; the cut takes it out.
#[derive(Debug)]
pub struct StreamTable {
    /// Name of the stream.
    pub name: String,
    /// Its declared columns.
    pub schema: SchemaRef,
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
    fn table_type(&self) -> TableType {
        TableType::Base
    }
    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan_err!("stream {} can only be read by a continuous query", self.name)
    }
}

/// The rows of a view or of one of the engine's own tables, as the planner sees them. Never scanned: the
/// rows of the cut are put in their place.
#[derive(Debug)]
pub struct ResultTable {
    /// Name of the view or table.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
}

#[async_trait]
impl TableProvider for ResultTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
    fn table_type(&self) -> TableType {
        TableType::View
    }
    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan_err!("{} can only be read by a query over results", self.name)
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
        .set_bool("datafusion.optimizer.enable_round_robin_repartition", false)
        .set_bool("datafusion.optimizer.enable_dynamic_filter_pushdown", false);
    config.options_mut().sql_parser.default_null_ordering = "nulls_min".to_owned();
    let context = SessionContext::new_with_config(config);
    if let Err(error) =
        context.state_ref().write().register_relation_planner(Arc::new(WindowFunctionPlanner))
    {
        // It only fails for a session built without one, which this is not.
        tracing::error!(%error, "window functions could not be registered");
    }
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
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    pure::check_plan(&plan)?;
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
