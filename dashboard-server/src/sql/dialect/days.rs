//! A day and a number: `DATE '2020-11-11' + 1` is the day after, as in PostgreSQL.
//!
//! The engine makes an interval of seconds of the number, which is then refused beside a day.

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err, plan_err};
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, Operator,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, binary_expr,
};
use datafusion::optimizer::AnalyzerRule;

use super::plans::rewritten;

/// Says it in days.
#[derive(Debug)]
pub(super) struct DaysLater;

impl AnalyzerRule for DaysLater {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten(plan, later)
    }

    fn name(&self) -> &str {
        "days_later"
    }
}

fn later(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) =
        &expr
    else {
        return Ok(Transformed::no(expr));
    };
    let of = |side: &Expr| side.get_type(schema).ok();
    let is_number = |side: &Expr| of(side).is_some_and(|of| of.is_integer());
    // The type of a long sum is not looked for at each of its steps: a day that a number was added to is a function by now.
    let is_day =
        |side: &Expr| !matches!(side, Expr::BinaryExpr(_)) && of(side) == Some(DataType::Date32);
    let (day, number) = match op {
        _ if is_day(left) && is_number(right) => (left, right),
        Operator::Plus if is_day(right) && is_number(left) => (right, left),
        _ => return Ok(Transformed::no(expr)),
    };
    let cast = |expr: Expr, to: DataType| Expr::Cast(Cast::new(Box::new(expr), to));
    let count = cast(cast(day.as_ref().clone(), DataType::Int32), DataType::Int64);
    let number = cast(number.as_ref().clone(), DataType::Int64);
    let day = ScalarUDF::from(Day {
        signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable),
    });
    Ok(Transformed::yes(day.call(vec![binary_expr(count, *op, number)])))
}

/// The day of so many days since 1970: a function, because a cast of a number to a day may stand for a mistake.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Day {
    signature: Signature,
}

impl ScalarUDFImpl for Day {
    fn name(&self) -> &str {
        "day_of_count"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [count] = args.args.as_slice() else { return plan_err!("a day is of one number") };
        match count.cast_to(&DataType::Int32, None) {
            Ok(count) => count.cast_to(&DataType::Date32, None),
            Err(_) => exec_err!("overflow: there is no day so far away"),
        }
    }
}
