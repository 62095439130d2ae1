//! Sums, differences and products of constants: they fit their type or are errors.
//!
//! The optimizer computes constants while it plans, and wraps.

use arrow::array::RecordBatchOptions;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, Operator,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::create_physical_expr;

use super::exact::checked;
use super::rewrite::rewritten;

/// Computes them; behind the rules that make types alike.
#[derive(Debug)]
pub struct ExactConstants;

impl AnalyzerRule for ExactConstants {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten(plan, constant)
    }

    fn name(&self) -> &str {
        "exact_constants"
    }
}

fn constant(expr: Expr) -> Result<Transformed<Expr>> {
    let is_constant = |side: &Expr| match side {
        Expr::Literal(..) => true,
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Literal(..)),
        _ => false,
    };
    let of_constants = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
                && is_constant(left)
                && is_constant(right)
        }
        Expr::Negative(inner) => is_constant(inner),
        _ => false,
    };
    let schema = DFSchema::empty();
    if !of_constants || !expr.get_type(&schema)?.is_numeric() {
        return Ok(Transformed::no(expr));
    }
    match value_of(&expr) {
        Ok(value) => Ok(Transformed::yes(Expr::Literal(value, None))),
        Err(error) => plan_err!("'{expr}' cannot be computed: {}", error.strip_backtrace()),
    }
}

/// What a constant comes to.
///
/// # Errors
/// When it is none, or cannot be computed.
pub(super) fn value_of(expr: &Expr) -> Result<ScalarValue> {
    let schema = &DFSchema::empty();
    let (props, planning) = (ExecutionProps::new(), PhysicalPlanningContext::default());
    let computed = checked(create_physical_expr(expr, schema, &props, &planning)?)?;
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let rows = RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &one_row)?;
    match computed.evaluate(&rows)? {
        ColumnarValue::Scalar(value) => Ok(value),
        ColumnarValue::Array(values) => ScalarValue::try_from_array(&values, 0),
    }
}
