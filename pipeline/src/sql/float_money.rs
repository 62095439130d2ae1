//! What counts is exact: in a scope, and in what reads one, no decimal becomes a float and no float a decimal.
//!
//! A decimal times a double is a double, and a CAST back to DECIMAL hides that: 9007199254740993.01 times 1.0 is then
//! 9007199254740992.00. It is asked of the analyzed plan, in which the casts that nobody wrote stand too.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan};

use super::instants::schema_under;
use super::refusal::refuse;

/// Refuses a plan, analyzed and not optimized, in which an exact number becomes a float or a float one; `scope` is what
/// it declares or reads. Whole numbers may be made floats over a scope, as counts are for a mean, and not in one.
/// Comparing a float with a decimal is refused too, for the decimal would become one; CAST the literal AS DOUBLE.
///
/// # Errors
/// A refusal with the place of the first such expression.
pub(super) fn check(plan: &LogicalPlan, scope: &str, is_scope: bool) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let schema = schema_under(node)?;
        node.apply_expressions(|expr| {
            check_expr(expr, (&schema, scope, is_scope)).map(|()| TreeNodeRecursion::Continue)
        })
    })
    .map(drop)
}

fn check_expr(expr: &Expr, (schema, scope, is_scope): (&DFSchema, &str, bool)) -> Result<()> {
    expr.apply(|part| {
        let (inner, to) = match part {
            Expr::Cast(cast) => (&cast.expr, cast.field.data_type()),
            Expr::TryCast(cast) => (&cast.expr, cast.field.data_type()),
            Expr::ScalarFunction(call) if ["arrow_cast", "arrow_try_cast"].contains(&call.name()) => {
                let message = format!("{} in scope {scope}: write CAST, which says what becomes of an amount", call.name());
                return refuse(part, message);
            }
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        let from = inner.get_type(schema)?;
        let is_exact = |of: &DataType| of.is_decimal() || is_scope && of.is_integer();
        let is_literal = inner.column_refs().is_empty();
        let message = if is_literal {
            return Ok(TreeNodeRecursion::Continue);
        } else if is_exact(&from) && to.is_floating() {
            format!(
                "'{inner}' would become a float in scope {scope}: what counts is exact; reckon with DECIMAL, and CAST a \
                 float beside it to DECIMAL where the stream declares it"
            )
        } else if from.is_floating() && is_exact(to) {
            format!(
                "'{inner}' is a float, and scope {scope} would count it as exact: declare the column DECIMAL"
            )
        } else {
            return Ok(TreeNodeRecursion::Continue);
        };
        refuse(inner, message)
    })
    .map(drop)
}
