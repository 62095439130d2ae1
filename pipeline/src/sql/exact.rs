//! Arithmetic that fails where it would say something else than it means.
//!
//! DataFusion's sums, differences and products of integers wrap, and those of decimals may have more digits
//! than their type. Both would be wrong figures, so here they are errors: a record that is refused, or a
//! view that stops with its place.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, NegativeExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::rewrite::rewritten;

/// The expression with arithmetic that fails where its value does not fit its type.
///
/// # Errors
/// DataFusion's own, when the expression cannot be put together again.
pub fn checked(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let exact = expr.transform_up(|node| {
        if node.downcast_ref::<NegativeExpr>().is_some() {
            let within: Arc<dyn PhysicalExpr> = Arc::new(WithinType { value: node });
            return Ok(Transformed::yes(within));
        }
        let Some(binary) = node.downcast_ref::<BinaryExpr>() else {
            return Ok(Transformed::no(node));
        };
        if !matches!(binary.op(), Operator::Plus | Operator::Minus | Operator::Multiply) {
            return Ok(Transformed::no(node));
        }
        let strict =
            BinaryExpr::new(Arc::clone(binary.left()), *binary.op(), Arc::clone(binary.right()))
                .with_fail_on_overflow(true);
        let within: Arc<dyn PhysicalExpr> = Arc::new(WithinType { value: Arc::new(strict) });
        Ok(Transformed::yes(within))
    })?;
    Ok(exact.data)
}

/// The arithmetic under what [`checked`] has put around it, for those who look at what an expression is.
#[must_use]
pub fn unchecked(expr: &Arc<dyn PhysicalExpr>) -> &Arc<dyn PhysicalExpr> {
    expr.downcast_ref::<WithinType>().map_or(expr, |within| &within.value)
}

/// The plan with the expressions of its filters, joins and projections and what its aggregates are given checked. What
/// its sorts, window functions and keys reckon has to stand in projections already (`own_columns.rs`).
///
/// # Errors
/// As [`checked`].
pub fn checked_plan(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let exact = plan.transform_up(|node| {
        if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
            return Ok(checked_aggregate(aggregate)?
                .map_or_else(|| Transformed::no(Arc::clone(&node)), Transformed::yes));
        }
        if let Some(filter) = node.downcast_ref::<FilterExec>() {
            let predicate = checked(Arc::clone(filter.predicate()))?;
            let built = FilterExecBuilder::from(filter).with_predicate(predicate).build()?;
            return Ok(Transformed::yes(Arc::new(built) as Arc<dyn ExecutionPlan>));
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>()
            && let Some(filter) = join.filter()
        {
            let filter = checked_join_filter(filter)?;
            let built = join.builder().with_filter(Some(filter)).build_exec()?;
            return Ok(Transformed::yes(built));
        }
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
            && let Some(filter) = join.filter()
        {
            let filter = checked_join_filter(filter)?;
            let built = NestedLoopJoinExecBuilder::from(join).with_filter(Some(filter)).build()?;
            return Ok(Transformed::yes(Arc::new(built) as Arc<dyn ExecutionPlan>));
        }
        let Some(projection) = node.downcast_ref::<ProjectionExec>() else {
            return Ok(Transformed::no(node));
        };
        let exprs = projection
            .expr()
            .iter()
            .map(|one| {
                Ok(ProjectionExpr {
                    expr: checked(Arc::clone(&one.expr))?,
                    alias: one.alias.clone(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let built = ProjectionExec::try_new(exprs, Arc::clone(projection.input()))?;
        Ok(Transformed::yes(Arc::new(built) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(exact.data)
}

fn checked_join_filter(filter: &JoinFilter) -> Result<JoinFilter> {
    Ok(JoinFilter::new(
        checked(Arc::clone(filter.expression()))?,
        filter.column_indices().to_vec(),
        Arc::clone(filter.schema()),
    ))
}

/// An aggregate with its arguments checked; `None` where it merges what another one has made of them.
fn checked_aggregate(aggregate: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if aggregate.mode().input_mode() == AggregateInputMode::Partial {
        return Ok(None);
    }
    let mut all = Vec::with_capacity(aggregate.aggr_expr().len());
    for one in aggregate.aggr_expr() {
        let parts = one.all_expressions();
        let args = parts.args.into_iter().map(checked).collect::<Result<Vec<_>>>()?;
        let order_by = parts.order_by_exprs.into_iter().map(checked).collect::<Result<Vec<_>>>()?;
        all.push(match one.with_new_expressions(args, order_by) {
            Some(exact) => Arc::new(exact),
            None => Arc::clone(one),
        });
    }
    Ok(Some(Arc::new(aggregate.with_new_aggr_exprs(all))))
}

/// The plan with numbers written as literals in the type a function wants them in. Some functions tell their
/// type by such a literal, `ROUND` by its digits, and would tell another before it is one.
///
/// # Errors
/// When a literal does not fit the type.
pub fn with_plain_literals(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewritten(plan, plain_literal)
}

fn plain_literal(expr: Expr) -> Result<Transformed<Expr>> {
    if let Expr::Cast(cast) = &expr
        && let Expr::Literal(value, metadata) = cast.expr.as_ref()
        && value.data_type().is_integer()
        && cast.field.data_type().is_integer()
    {
        let value: ScalarValue = value.cast_to(cast.field.data_type())?;
        return Ok(Transformed::yes(Expr::Literal(value, metadata.clone())));
    }
    Ok(Transformed::no(expr))
}

/// A value whose decimals have at most the digits of their type, and that is no smallest integer where it was negated: there
/// is no largest one to that.
#[derive(Debug)]
struct WithinType {
    value: Arc<dyn PhysicalExpr>,
}

impl PartialEq for WithinType {
    fn eq(&self, other: &Self) -> bool {
        self.value.eq(&other.value)
    }
}

impl Eq for WithinType {}

impl Hash for WithinType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl fmt::Display for WithinType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)
    }
}

/// Arrow negates the smallest integer to itself.
fn check_negated(value: &ColumnarValue) -> Result<()> {
    let smallest = match value.data_type() {
        DataType::Int8 => ScalarValue::Int8(Some(i8::MIN)),
        DataType::Int16 => ScalarValue::Int16(Some(i16::MIN)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::MIN)),
        DataType::Int64 => ScalarValue::Int64(Some(i64::MIN)),
        _ => return Ok(()),
    };
    let has_it = match value {
        ColumnarValue::Scalar(value) => *value == smallest,
        ColumnarValue::Array(values) => {
            let hits = arrow::compute::kernels::cmp::eq(values, &smallest.to_scalar()?)?;
            hits.true_count() > 0
        }
    };
    if has_it {
        exec_err!("overflow: - {smallest} does not fit {}", value.data_type())
    } else {
        Ok(())
    }
}

impl PhysicalExpr for WithinType {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.value.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.value.nullable(schema)
    }

    fn evaluate(&self, rows: &RecordBatch) -> Result<ColumnarValue> {
        let value = self.value.evaluate(rows)?;
        if self.value.downcast_ref::<NegativeExpr>().is_some() {
            check_negated(&value)?;
        }
        match &value {
            ColumnarValue::Array(array) => {
                if let (Some(decimals), DataType::Decimal128(digits, _)) =
                    (array.as_primitive_opt::<Decimal128Type>(), array.data_type())
                {
                    decimals.validate_decimal_precision(*digits)?;
                }
            }
            ColumnarValue::Scalar(ScalarValue::Decimal128(Some(_), digits, _)) => {
                let array = value.to_array(1)?;
                array.as_primitive::<Decimal128Type>().validate_decimal_precision(*digits)?;
            }
            ColumnarValue::Scalar(_) => {}
        }
        Ok(value)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.value.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.value]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let value = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.value));
        Ok(Arc::new(Self { value }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt_sql(f)
    }
}
