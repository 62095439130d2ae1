//! What stands above the windows of a continuous query and looks across them.
//!
//! The rows of each window are put together and shown by themselves, whenever that window changes. A rank or a
//! running sum over several windows would see one window at a time and be wrong, so it is refused.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::plan::holds_slot;
use super::refusal::refuse;
use super::roles::{Role, roles};

/// Refuses window functions and second aggregates that take rows of several windows together; `slot` are the
/// roles of the slot's columns.
///
/// # Errors
/// The refusal.
pub(super) fn refuse_across_windows(plan: &LogicalPlan, slot: &[Option<Role>]) -> Result<()> {
    plan.apply(|node| {
        match node {
            LogicalPlan::Window(window) if holds_slot(&window.input) => {
                let found = roles(&window.input, slot);
                for expr in &window.window_expr {
                    let Expr::WindowFunction(function) = expr.clone().unalias() else { continue };
                    if !any_window(&function.params.partition_by, &window.input, &found) {
                        return refuse(
                            expr,
                            format!(
                                "{} OVER (…) looks across windows, which are shown one by one: add PARTITION BY \
                                 window_start, window_end, or ask a view over this one (`sql/views`), or ad hoc",
                                function.fun.name().to_uppercase()
                            ),
                        );
                    }
                }
            }
            LogicalPlan::Aggregate(second) if holds_slot(&second.input) => {
                let groups: Vec<Expr> = grouping_set_to_exprlist(&second.group_expr)?
                    .into_iter()
                    .cloned()
                    .collect();
                if !any_window(&groups, &second.input, &roles(&second.input, slot)) {
                    let first = second.aggr_expr.first().or(second.group_expr.first());
                    let message = "a second aggregate takes windows together, which are shown one by one: GROUP BY \
                                   window_start, window_end, or ask a view over this one";
                    return match first {
                        Some(expr) => refuse(expr, message),
                        None => datafusion::common::plan_err!("{message}"),
                    };
                }
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Refuses queries in the place of a value, which nothing computes while the rows of a log go by.
///
/// # Errors
/// The refusal.
pub(super) fn refuse_scalar_subqueries(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            let is_query = expr.exists(|part| Ok(matches!(part, Expr::ScalarSubquery(_))))?;
            match is_query {
                true => refuse(
                    expr,
                    "(SELECT …) in the place of a value cannot be kept up to date: JOIN a reference table by its key, \
                     or ask a view over the results of two",
                ),
                false => Ok(TreeNodeRecursion::Continue),
            }
        })
    })
    .map(drop)
}

fn any_window(exprs: &[Expr], input: &LogicalPlan, found: &[Option<Role>]) -> bool {
    exprs.iter().any(|expr| {
        let Expr::Column(column) = expr.clone().unalias() else { return false };
        let at = input.schema().maybe_index_of_column(&column);
        matches!(at.and_then(|at| found.get(at).copied().flatten()), Some(Role::Window(_)))
    })
}
