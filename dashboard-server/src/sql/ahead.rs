//! Answers what a condition asks first, before anything else of a query is planned.
//!
//! ```text
//! event_date = (SELECT MAX(event_date) FROM orders)   ─▶   event_date = DATE '2020-11-11'
//! ```
//! The engine answers such a subquery when the query already runs. Which files there are to read is decided when it is
//! planned, and only by what is known then: so a table of many days would be read whole for one of them. Only a subquery
//! that opens no file is answered ahead, for EXPLAIN plans too, and plans nothing that takes long.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{AnalyzerRule as _, Optimizer};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner as _};
use datafusion::scalar::ScalarValue;
use tidemark_pipeline::sql::constants::ExactConstants;

use super::rules::below_guard;

/// Plans a query with the answers to what its conditions ask first.
#[derive(Debug)]
pub(super) struct AnswersAhead;

#[async_trait]
impl QueryPlanner for AnswersAhead {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::default();
        let mut known = Vec::new();
        for asked in asked_by_conditions(plan)? {
            if let Some(value) = answer(&planner, &asked, session).await? {
                known.push((asked, value));
            }
        }
        let state = session.as_any().downcast_ref::<SessionState>();
        match state.filter(|_| !known.is_empty()) {
            Some(state) => {
                let plan = with_answers(plan, &known, state)?;
                planner.create_physical_plan(&plan, session).await
            }
            None => planner.create_physical_plan(plan, session).await,
        }
    }
}

/// The value of a subquery that opens no file; `None` where it does, or where what it answers is no single value: the query
/// itself then says so when it runs.
async fn answer(
    planner: &DefaultPhysicalPlanner,
    asked: &Subquery,
    session: &dyn Session,
) -> Result<Option<ScalarValue>> {
    let plan = planner.create_physical_plan(&asked.subquery, session).await?;
    if !opens_no_file(&plan) {
        return Ok(None);
    }
    let Some(column) = plan.schema().fields().first().cloned() else { return Ok(None) };
    // What goes wrong the query says where it asks the same.
    let Ok(rows) = collect(plan, session.task_ctx()).await else { return Ok(None) };
    let mut rows = rows.iter().filter(|batch| batch.num_rows() > 0);
    match (rows.next(), rows.next()) {
        (None, _) => ScalarValue::try_from(column.data_type()).map(Some),
        (Some(one), None) if one.num_rows() == 1 => {
            ScalarValue::try_from_array(one.column(0), 0).map(Some)
        }
        _ => Ok(None),
    }
}

/// The subqueries in conditions of a plan that ask for one value, whatever row the condition is about.
fn asked_by_conditions(plan: &LogicalPlan) -> Result<Vec<Subquery>> {
    let mut asked: Vec<Subquery> = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            filter.predicate.apply(|part| {
                if let Expr::ScalarSubquery(one) = part
                    && one.outer_ref_columns.is_empty()
                    && !asked.contains(one)
                {
                    asked.push(one.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(asked)
}

/// The plan with values in the place of subqueries, moved to where tables are read.
fn with_answers(
    plan: &LogicalPlan,
    known: &[(Subquery, ScalarValue)],
    state: &SessionState,
) -> Result<LogicalPlan> {
    let answered = plan.clone().transform_up_with_subqueries(|node| match node {
        LogicalPlan::Filter(_) => node.map_expressions(|expr| {
            expr.transform_up(|part| {
                let Expr::ScalarSubquery(asked) = &part else { return Ok(Transformed::no(part)) };
                match known.iter().find(|(one, _)| one == asked) {
                    Some((_, value)) => Ok(Transformed::yes(Expr::Literal(value.clone(), None))),
                    None => Ok(Transformed::no(part)),
                }
            })
        }),
        other => Ok(Transformed::no(other)),
    })?;
    // Sums with the values fit their type, or are errors, as where they are written.
    let options: &ConfigOptions = state.config_options();
    let answered = ExactConstants.analyze(answered.data, options)?;
    // No more than this: what a query means has been settled.
    let rules = Optimizer::with_rules(vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(PushDownFilter::new()),
        Arc::new(OptimizeProjections::new()),
    ]);
    match answered {
        LogicalPlan::Explain(mut explain) => {
            let inner = Arc::unwrap_or_clone(explain.plan);
            explain.plan = Arc::new(rules.optimize(inner, state, |_, _| {})?);
            Ok(LogicalPlan::Explain(explain))
        }
        other => rules.optimize(other, state, |_, _| {}),
    }
}

/// Whether a plan reads nothing but what is in memory, and joins nothing.
fn opens_no_file(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(below) = below_guard(plan) {
        return opens_no_file(below);
    }
    let inputs = plan.children();
    match (plan.name(), inputs.as_slice()) {
        // The files' own counts of rows, and the days they are of.
        ("DeltaScanMetaExec" | "PlaceholderRowExec" | "EmptyExec", _) => true,
        ("DataSourceExec", _) => {
            let source = plan.downcast_ref::<DataSourceExec>();
            source
                .is_some_and(|one| one.data_source().downcast_ref::<MemorySourceConfig>().is_some())
        }
        ("UnionExec", inputs) => inputs.iter().all(|input| opens_no_file(input)),
        (_, [input]) => opens_no_file(input),
        _ => false,
    }
}
