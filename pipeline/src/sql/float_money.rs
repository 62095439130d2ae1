//! What counts is exact: in a scope, and in what reads one, no decimal becomes a float and no float a decimal.
//!
//! A decimal times a double is a double, and a CAST back to DECIMAL hides that: 9007199254740993.01 times 1.0 is then
//! 9007199254740992.00. It is asked of the analyzed plan, in which the casts that nobody wrote stand too.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, LogicalPlan};

use super::instants::schema_under;
use super::refusal::refuse;

/// Refuses a plan, analyzed and not optimized, in which an exact number becomes a float or a float one; `scope` is what
/// it declares or reads. Whole numbers may be made floats over a scope, as counts are for a mean, and not in one.
/// Comparing a float with a column of decimals is refused too, for one would become the other.
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

fn check_expr(expr: &Expr, of: (&DFSchema, &str, bool)) -> Result<()> {
    check_cast(expr, of)?;
    // A float that is compared with a literal stays one: it decides whether its row counts, and is no figure.
    if let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr
        && op.supports_propagation()
        && let Some((Expr::Cast(cast), _)) = beside_a_literal(left, right)
        && cast.expr.get_type(of.0)?.is_floating()
    {
        return check_expr(&cast.expr, of);
    }
    expr.apply_children(|child| check_expr(child, of).map(|()| TreeNodeRecursion::Continue))
        .map(drop)
}

/// The side that is not a literal and the one that is.
fn beside_a_literal<'a>(left: &'a Expr, right: &'a Expr) -> Option<(&'a Expr, &'a Expr)> {
    match (left.column_refs().is_empty(), right.column_refs().is_empty()) {
        (true, false) => Some((right, left)),
        (false, true) => Some((left, right)),
        _ => None,
    }
}

fn check_cast(part: &Expr, (schema, scope, is_scope): (&DFSchema, &str, bool)) -> Result<()> {
    let (inner, to) = match part {
        Expr::Cast(cast) => (&cast.expr, cast.field.data_type()),
        Expr::TryCast(cast) => (&cast.expr, cast.field.data_type()),
        Expr::ScalarFunction(call) if ["arrow_cast", "arrow_try_cast"].contains(&call.name()) => {
            let message = format!(
                "{} in scope {scope}: write CAST, which says what becomes of an amount",
                call.name()
            );
            return refuse(part, message);
        }
        _ => return Ok(()),
    };
    let from = inner.get_type(schema)?;
    let is_exact = |of: &DataType| of.is_decimal() || is_scope && of.is_integer();
    if inner.column_refs().is_empty() {
        return Ok(());
    }
    if is_exact(&from) && to.is_floating() {
        let message = format!(
            "'{inner}' would become a float in scope {scope}: what counts is exact; reckon with DECIMAL, and CAST a \
             float beside it to DECIMAL where the stream declares it"
        );
        return refuse(inner, message);
    }
    if from.is_floating() && is_exact(to) {
        let message = format!(
            "'{inner}' is a float, and scope {scope} would count it as exact: declare the column DECIMAL"
        );
        return refuse(inner, message);
    }
    Ok(())
}
