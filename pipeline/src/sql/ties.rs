//! What stands above the aggregate made independent of the order of its rows: ties broken by key,
//! aggregates from the list.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, SortExpr,
};

use super::aggregates::allowed::{Surroundings, allowed, allowed_over};
use super::cut::ARRIVAL_COLUMN;
use super::refusal::refuse;

/// Adds, to every sort that something picks from, all columns of its input as last criteria; what picks
/// without a sort gets one.
///
/// Rows still equal after that are the same row, so which is picked cannot be told. Kept rows go by
/// arrival (partition, offset) first, as in Flink.
///
/// # Errors
/// A refusal, when a function is not on the list; DataFusion's own, when a changed node cannot be made.
pub fn make_deterministic(plan: LogicalPlan, scope: Option<&str>) -> Result<LogicalPlan> {
    plan.transform_up(|node| match node {
        LogicalPlan::Window(mut window) => {
            let order = tie_breakers(&window.input);
            let place = Surroundings { input: &window.input, order: &order, scope };
            let exprs =
                window.window_expr.iter().map(|expr| over(expr, place)).collect::<Result<_>>()?;
            window.window_expr = exprs;
            let input = window.input.as_ref().clone();
            let node = LogicalPlan::Window(window);
            let exprs = node.expressions();
            Ok(Transformed::yes(node.with_new_exprs(exprs, vec![input])?))
        }
        LogicalPlan::Aggregate(aggregate) => {
            second_aggregate(aggregate, scope).map(Transformed::yes)
        }
        LogicalPlan::Sort(mut sort) => {
            sort.expr.extend(tie_breakers(&sort.input));
            Ok(Transformed::yes(LogicalPlan::Sort(sort)))
        }
        LogicalPlan::Limit(mut limit) if !is_sorted(&limit.input) => {
            let order = tie_breakers(&limit.input);
            if !order.is_empty() {
                let sorted =
                    LogicalPlanBuilder::from(limit.input.as_ref().clone()).sort(order)?.build()?;
                limit.input = sorted.into();
            }
            Ok(Transformed::yes(LogicalPlan::Limit(limit)))
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            let message =
                "DISTINCT ON takes whichever row comes first; use ROW_NUMBER() with an ORDER BY";
            match on.on_expr.first() {
                Some(expr) => refuse(expr, message),
                None => datafusion::common::plan_err!("{message}"),
            }
        }
        other => Ok(Transformed::no(other)),
    })
    .map(|done| done.data)
}

/// All columns that can be sorted by, the arrival first.
fn tie_breakers(input: &LogicalPlan) -> Vec<SortExpr> {
    let columns = input.schema().iter().filter(|(_, field)| !field.data_type().is_nested());
    let (arrival, rest): (Vec<_>, Vec<_>) =
        columns.partition(|(_, field)| field.name() == ARRIVAL_COLUMN);
    arrival
        .into_iter()
        .chain(rest)
        .map(|column| Expr::Column(Column::from(column)).sort(true, true))
        .collect()
}

/// Whether rows come out of a sort, through nothing that could mix them.
fn is_sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => is_sorted(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_sorted(&alias.input),
        LogicalPlan::Filter(filter) => is_sorted(&filter.input),
        _ => false,
    }
}

/// An aggregate over the rows of a window, which come in the order of their keys.
fn second_aggregate(aggregate: Aggregate, scope: Option<&str>) -> Result<LogicalPlan> {
    let order = tie_breakers(&aggregate.input);
    let place = Surroundings { input: &aggregate.input, order: &order, scope };
    let exprs =
        aggregate.aggr_expr.iter().map(|expr| listed(expr, place)).collect::<Result<_>>()?;
    Aggregate::try_new(Arc::clone(&aggregate.input), aggregate.group_expr, exprs)
        .map(LogicalPlan::Aggregate)
}

fn listed(expr: &Expr, place: Surroundings<'_>) -> Result<Expr> {
    let Expr::AggregateFunction(call) = unaliased(expr) else { return Ok(expr.clone()) };
    let changed: AggregateFunction = allowed(call, place)?;
    Ok(named_as(Expr::AggregateFunction(changed), expr))
}

fn over(expr: &Expr, place: Surroundings<'_>) -> Result<Expr> {
    let Expr::WindowFunction(function) = unaliased(expr) else { return Ok(expr.clone()) };
    let changed = allowed_over(function, place)?;
    Ok(named_as(Expr::WindowFunction(Box::new(changed)), expr))
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => &alias.expr,
        other => other,
    }
}

/// Nodes above know the column by its old name.
fn named_as(changed: Expr, old: &Expr) -> Expr {
    let name = old.schema_name().to_string();
    if changed.schema_name().to_string() == name { changed } else { changed.alias(name) }
}
