//! `EXISTS (…)` among the columns of an answer, or in a CASE: whether the number of its rows is above none.
//!
//! The engine knows EXISTS only in a condition, as a join.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, plan_err};
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery, lit};
use datafusion::optimizer::AnalyzerRule;

/// Counts the rows.
#[derive(Debug)]
pub(super) struct Existence;

impl AnalyzerRule for Existence {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let told = plan.transform_up_with_subqueries(|node| {
            if matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_)) {
                return Ok(Transformed::no(node));
            }
            let names = NamePreserver::new(&node);
            let node = node.map_expressions(|expr| {
                let name = names.save(&expr);
                let told = expr.transform_up(counted)?;
                Ok(told.update_data(|expr| name.restore(expr)))
            })?;
            match node.transformed {
                true => Ok(Transformed::yes(node.data.recompute_schema()?)),
                false => Ok(Transformed::no(node.data)),
            }
        })?;
        Ok(told.data)
    }

    fn name(&self) -> &str {
        "existence"
    }
}

fn counted(expr: Expr) -> Result<Transformed<Expr>> {
    let Exists { subquery, negated } = match expr {
        Expr::Exists(exists) => exists,
        Expr::InSubquery(InSubquery { .. }) => {
            return plan_err!(
                "IN (SELECT …) can be asked in WHERE, not among the columns of an answer: write EXISTS (SELECT … WHERE …)"
            );
        }
        expr => return Ok(Transformed::no(expr)),
    };
    let rows = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
    // One row says it; where each row of the outer query asks anew, the engine makes a join of it, which has no limit.
    let rows = if subquery.outer_ref_columns.is_empty() { rows.limit(0, Some(1))? } else { rows };
    let count = rows.aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()?;
    let count = Subquery { subquery: Arc::new(count), ..subquery };
    let count = Expr::ScalarSubquery(count);
    Ok(Transformed::yes(if negated { count.eq(lit(0_i64)) } else { count.gt(lit(0_i64)) }))
}
