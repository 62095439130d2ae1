//! Every expression of a plan rewritten, with what its columns are.

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// A plan and its subqueries with each part of each expression rewritten, from below. Names stay, types may be others.
///
/// # Errors
/// Those of `rewrite`; the engine's own, when a changed node cannot be made.
pub(super) fn rewritten(
    plan: LogicalPlan,
    rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        node.inputs().iter().for_each(|input| schema.merge(input.schema()));
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let told = expr.transform_up(|part| rewrite(part, &schema))?;
            Ok(told.update_data(|expr| name.restore(expr)))
        })?;
        match node.transformed {
            true => Ok(Transformed::yes(node.data.recompute_schema()?)),
            false => Ok(Transformed::no(node.data)),
        }
    })?;
    Ok(rewritten.data)
}
