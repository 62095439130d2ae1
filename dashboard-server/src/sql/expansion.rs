//! How large the expressions of a plan become once every name stands for what it means.
//!
//! The optimizer moves a filter below the columns it names and writes them out on the way. In a
//! chain of `SELECT a + a AS a FROM (…)` each step doubles it: forty short lines are more
//! expressions than any machine holds. So the size is computed beforehand, without writing any.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::error::SqlError;

/// Parts of an expression once it is written out; ten times what a statement may be written with.
const PER_OPERATOR: usize = 10;

/// Refuses a plan with an expression that would grow too large.
///
/// # Errors
/// When one would.
pub(super) fn check_expansion(plan: &LogicalPlan, operators_max: usize) -> Result<(), SqlError> {
    let most = operators_max.saturating_mul(PER_OPERATOR);
    let mut largest = 0;
    columns(plan, &mut largest).map_err(|error| SqlError::of_planning(&error))?;
    if largest <= most {
        return Ok(());
    }
    let what = "parts in one expression, each name written out";
    Err(SqlError::TooLarge { has: largest, what, most, key: "sql.operators-max" })
}

/// Size of each column a plan gives; `largest` becomes that of its largest expression.
fn columns(plan: &LogicalPlan, largest: &mut usize) -> Result<Vec<usize>> {
    let mut given = Vec::new();
    for input in plan.inputs() {
        given.push(columns(input, largest)?);
    }
    inside(plan, largest)?;
    let width = plan.schema().fields().len();
    let of = |expression: &Expr| size(expression, plan, &given);
    for expression in plan.expressions() {
        *largest = (*largest).max(of(&expression)?);
    }
    Ok(match plan {
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().map(of).collect::<Result<_>>()?
        }
        LogicalPlan::Aggregate(aggregate) => {
            let groups = aggregate.group_expr.iter().map(of).collect::<Result<Vec<_>>>()?;
            fitted(groups, width)
        }
        LogicalPlan::Union(_) => {
            let widest = |at: usize| given.iter().filter_map(|sizes| sizes.get(at)).max().copied();
            (0..width).map(|at| widest(at).unwrap_or(1)).collect()
        }
        _ => fitted(given.concat(), width),
    })
}

/// What comes after is new here, and stands for itself.
fn fitted(mut sizes: Vec<usize>, width: usize) -> Vec<usize> {
    sizes.resize(width, 1);
    sizes
}

/// The plans of subqueries inside a node's expressions.
fn inside(plan: &LogicalPlan, largest: &mut usize) -> Result<()> {
    plan.apply_subqueries(|subquery| {
        columns(subquery, largest)?;
        Ok(TreeNodeRecursion::Jump)
    })?;
    Ok(())
}

fn size(expression: &Expr, plan: &LogicalPlan, given: &[Vec<usize>]) -> Result<usize> {
    let mut sum = 0_usize;
    expression.apply(|part| {
        let parts = match part {
            Expr::Column(column) => {
                let inputs = plan.inputs();
                let found = inputs.iter().zip(given).find_map(|(input, sizes)| {
                    sizes.get(position(input.schema(), column)?).copied()
                });
                found.unwrap_or(1)
            }
            Expr::Alias(_) => 0,
            _ => 1,
        };
        sum = sum.saturating_add(parts);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(sum.max(1))
}

fn position(schema: &DFSchema, column: &datafusion::common::Column) -> Option<usize> {
    schema.maybe_index_of_column(column)
}
