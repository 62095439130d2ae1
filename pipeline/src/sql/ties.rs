//! Ties broken by key: what a row number or a limit picks among equals must not depend on timing.

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr};

use super::cut::ARRIVAL_COLUMN;

/// Adds, to every sort that something picks from, all columns of its input as last criteria.
///
/// Rows still equal after that are the same row, so which is picked cannot be told. Kept rows go by
/// arrival (partition, offset) first, as in Flink.
///
/// # Errors
/// DataFusion's own, when the changed node cannot be made.
pub fn break_ties(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up(|node| match node {
        LogicalPlan::Window(mut window) => {
            let ties = tie_breakers(&window.input);
            let exprs = window.window_expr.iter().map(|expr| with_ties(expr, &ties)).collect();
            window.window_expr = exprs;
            let input = window.input.as_ref().clone();
            let node = LogicalPlan::Window(window);
            let exprs = node.expressions();
            Ok(Transformed::yes(node.with_new_exprs(exprs, vec![input])?))
        }
        LogicalPlan::Sort(mut sort) => {
            sort.expr.extend(tie_breakers(&sort.input));
            Ok(Transformed::yes(LogicalPlan::Sort(sort)))
        }
        other => Ok(Transformed::no(other)),
    })
    .map(|done| done.data)
}

fn tie_breakers(input: &LogicalPlan) -> Vec<SortExpr> {
    let columns = input.schema().iter().filter(|(_, field)| !field.data_type().is_nested());
    let (arrival, rest): (Vec<_>, Vec<_>) = columns.partition(|(_, field)| field.name() == ARRIVAL_COLUMN);
    arrival
        .into_iter()
        .chain(rest)
        .map(|column| Expr::Column(Column::from(column)).sort(true, true))
        .collect()
}

/// Functions whose value depends on the order among equal rows.
const POSITIONAL: [&str; 7] =
    ["row_number", "ntile", "lag", "lead", "first_value", "last_value", "nth_value"];

fn with_ties(expr: &Expr, ties: &[SortExpr]) -> Expr {
    let name = expr.schema_name().to_string();
    let inner = match expr {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    let Expr::WindowFunction(function) = inner else { return expr.clone() };
    if !POSITIONAL.contains(&function.fun.name()) {
        return expr.clone();
    }
    let mut changed: WindowFunction = function.as_ref().clone();
    changed.params.order_by.extend(ties.iter().cloned());
    // Nodes above know the column by its old name.
    Expr::WindowFunction(Box::new(changed)).alias(name)
}
