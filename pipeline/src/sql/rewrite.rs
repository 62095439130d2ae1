//! Every expression of a plan rewritten, subqueries too, with its name kept.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The plan with `rewrite` done to every part of its expressions, from the inside out. Types may be others afterwards, and
/// its schemas say so.
///
/// # Errors
/// Those of `rewrite`; DataFusion's own, when a changed node cannot be made.
pub(super) fn rewritten(
    plan: LogicalPlan,
    rewrite: impl Fn(Expr) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(&rewrite)?.update_data(|expr| name.restore(expr)))
        })?;
        match node.transformed {
            true => Ok(Transformed::yes(node.data.recompute_schema()?)),
            false => Ok(Transformed::no(node.data)),
        }
    })?;
    Ok(rewritten.data)
}
