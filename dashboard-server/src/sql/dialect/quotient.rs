//! Decimals divided and averaged: half up at a scale of Flink's, not cut off.
//!
//! ```text
//! a(p1,s1) / b(p2,s2)   scale max(6, s1 + p2 + 1), digits p1 - s1 + s2 + scale
//! a(p1,s1) * b(p2,s2)   scale s1 + s2, digits p1 + p2 + 1; only where the engine has no room for the scale
//! above 38 digits       as many places go as are too many, down to 6
//! ```
//! The engine keeps four places more than the dividend has and cuts off what is behind: `1 / 3.0 * 1000000` would be 333300.
//! An integer column has 19 digits, a written integer 10, as BIGINT and INT have there.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, i256};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{
    AggregateUDF, BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, Operator,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;
use tidemark_pipeline::sql::aggregates;

use super::plans::rewritten;

/// The most digits there are.
const DIGITS_MAX: i16 = 38;
/// Places that are kept however many digits there are.
const PLACES_MIN: i16 = 6;
/// Places that a product of what is written or stored does not reach, and one of quotients does.
const PRODUCT_PLACES: i16 = 20;

/// Divides, multiplies what was divided, and averages.
#[derive(Debug)]
pub(super) struct Quotients {
    average: Arc<AggregateUDF>,
}

impl Default for Quotients {
    fn default() -> Self {
        Self { average: Arc::new(aggregates::rounded_average()) }
    }
}

impl AnalyzerRule for Quotients {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten(plan, |expr, schema| match expr {
            Expr::BinaryExpr(binary) => Ok(reckoned(binary, schema)),
            Expr::AggregateFunction(call) => Ok(self.averaged(call, schema)),
            Expr::WindowFunction(call) => Ok(self.averaged_over(call, schema)),
            expr => Ok(Transformed::no(expr)),
        })
    }

    fn name(&self) -> &str {
        "quotients"
    }
}

impl Quotients {
    fn is_other(&self, function: &Arc<AggregateUDF>, args: &[Expr], schema: &DFSchema) -> bool {
        let of = |arg: &Expr| arg.get_type(schema).ok();
        let is_decimal = matches!(args, [arg] if matches!(of(arg), Some(DataType::Decimal128(..))));
        function.name() == "avg" && *function != self.average && is_decimal
    }

    fn averaged(&self, mut call: AggregateFunction, schema: &DFSchema) -> Transformed<Expr> {
        let is_other = self.is_other(&call.func, &call.params.args, schema);
        if is_other {
            call.func = Arc::clone(&self.average);
        }
        Transformed::new_transformed(Expr::AggregateFunction(call), is_other)
    }

    fn averaged_over(&self, mut call: Box<WindowFunction>, schema: &DFSchema) -> Transformed<Expr> {
        let is_other = match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => {
                self.is_other(function, &call.params.args, schema)
            }
            WindowFunctionDefinition::WindowUDF(_) => false,
        };
        if is_other {
            call.fun = WindowFunctionDefinition::AggregateUDF(Arc::clone(&self.average));
        }
        Transformed::new_transformed(Expr::WindowFunction(call), is_other)
    }
}

/// A quotient or product in its own digits; everything else as it is.
fn reckoned(binary: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    // The type of a long product is not looked for at each of its steps: one that had no room is a function by now.
    let is_product =
        |side: &Expr| matches!(side, Expr::BinaryExpr(side) if side.op == Operator::Multiply);
    let is_reckoned = match binary.op {
        Operator::Divide => true,
        Operator::Multiply => !is_product(&binary.left) && !is_product(&binary.right),
        _ => false,
    };
    let digits =
        is_reckoned.then(|| Some((digits(&binary.left, schema)?, digits(&binary.right, schema)?)));
    let Some(Some((left, right))) = digits else {
        return Transformed::no(Expr::BinaryExpr(binary));
    };
    // Integers divide as in PostgreSQL and in Flink.
    if left.is_integer && right.is_integer {
        return Transformed::no(Expr::BinaryExpr(binary));
    }
    let told = match binary.op {
        Operator::Divide => {
            let scale = PLACES_MIN.max(left.scale + right.precision + 1);
            bounded(left.precision - left.scale + right.scale + scale, scale)
        }
        _ if left.scale + right.scale >= PRODUCT_PLACES => {
            bounded(left.precision + right.precision + 1, left.scale + right.scale)
        }
        _ => return Transformed::no(Expr::BinaryExpr(binary)),
    };
    let (Ok(precision), Ok(scale)) = (u8::try_from(told.0), i8::try_from(told.1)) else {
        return Transformed::no(Expr::BinaryExpr(binary));
    };
    let function = ScalarUDF::from(InDigits {
        is_quotient: binary.op == Operator::Divide,
        precision,
        scale,
        signature: Signature::any(2, Volatility::Immutable),
    });
    let args = vec![left.of(*binary.left), right.of(*binary.right)];
    Transformed::yes(function.call(args))
}

/// Digits within those there are: places go before what is in front of the point.
fn bounded(precision: i16, scale: i16) -> (i16, i16) {
    if precision <= DIGITS_MAX {
        return (precision, scale);
    }
    let whole = precision - scale;
    (DIGITS_MAX, (DIGITS_MAX - whole).max(scale.min(PLACES_MIN)))
}

/// The digits of an exact number.
#[derive(Debug, Clone, Copy)]
struct Digits {
    precision: i16,
    scale: i16,
    is_integer: bool,
}

impl Digits {
    /// The number as a decimal.
    fn of(self, number: Expr) -> Expr {
        if !self.is_integer {
            return number;
        }
        let decimal = DataType::Decimal128(20, 0);
        Expr::Cast(Cast::new(Box::new(number), decimal))
    }
}

/// The digits of an expression; `None` where it is no exact number.
fn digits(expr: &Expr, schema: &DFSchema) -> Option<Digits> {
    let integer = |precision| Some(Digits { precision, scale: 0, is_integer: true });
    if let Expr::Literal(value, _) = expr
        && let Ok(ScalarValue::Int64(Some(value))) = value.cast_to(&DataType::Int64)
        && expr.get_type(schema).is_ok_and(|of| of.is_integer())
    {
        return integer(if i32::try_from(value).is_ok() { 10 } else { 19 });
    }
    match expr.get_type(schema).ok()? {
        DataType::Int8 | DataType::UInt8 => integer(3),
        DataType::Int16 | DataType::UInt16 => integer(5),
        DataType::Int32 => integer(10),
        DataType::UInt32 | DataType::Int64 => integer(19),
        DataType::UInt64 => integer(20),
        DataType::Decimal128(precision, scale) => {
            Some(Digits { precision: precision.into(), scale: scale.into(), is_integer: false })
        }
        _ => None,
    }
}

/// A quotient or product that is rounded half up, away from zero, to its own scale.
#[derive(Debug, PartialEq, Eq, Hash)]
struct InDigits {
    is_quotient: bool,
    precision: u8,
    scale: i8,
    signature: Signature,
}

impl ScalarUDFImpl for InDigits {
    fn name(&self) -> &str {
        if self.is_quotient { "quotient" } else { "product" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(self.precision, self.scale))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let are_scalars = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let numbers = args.args.iter().map(narrow).collect::<Result<Vec<_>>>()?;
        let arrays = ColumnarValue::values_to_arrays(&numbers)?;
        let [left, right] = arrays.as_slice() else {
            return plan_err!("{} takes two numbers", self.name());
        };
        let (DataType::Decimal128(_, left_scale), DataType::Decimal128(_, right_scale)) =
            (left.data_type(), right.data_type())
        else {
            return plan_err!("{} takes decimals", self.name());
        };
        let (left_scale, right_scale) = (i16::from(*left_scale), i16::from(*right_scale));
        let scale = i16::from(self.scale);
        let places = match self.is_quotient {
            true => scale + right_scale - left_scale,
            false => scale - left_scale - right_scale,
        };
        let (left, right) =
            (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
        let mut values = Vec::with_capacity(left.len());
        for (left, right) in left.iter().zip(right.iter()) {
            values.push(match (left, right) {
                (Some(left), Some(right)) => Some(self.value(left, right, places)?),
                _ => None,
            });
        }
        let values = Decimal128Array::from(values);
        let values = values.with_precision_and_scale(self.precision, self.scale)?;
        if are_scalars {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}

/// A number that was given more room to be compared, as in `NULLIF(x, 0)`, with as many digits as are reckoned with here.
fn narrow(number: &ColumnarValue) -> Result<ColumnarValue> {
    match number.data_type() {
        DataType::Decimal256(_, scale) => number.cast_to(&DataType::Decimal128(38, scale), None),
        _ => Ok(number.clone()),
    }
}

impl InDigits {
    /// What two whole numbers come to, `places` further behind the point.
    fn value(&self, left: i128, right: i128, places: i16) -> Result<i128> {
        if self.is_quotient && right == 0 {
            return exec_err!(
                "a decimal was divided by zero: write NULLIF(divisor, 0) for no value there"
            );
        }
        let value = match self.is_quotient {
            true => quotient(left, right, places),
            false => product(left, right, places),
        };
        let most = 10_i128.pow(self.precision.into());
        match value.filter(|value| value.unsigned_abs() < most.unsigned_abs()) {
            Some(value) => Ok(value),
            None => exec_err!(
                "overflow: a {} does not fit DECIMAL({}, {})",
                self.name(),
                self.precision,
                self.scale
            ),
        }
    }
}

fn quotient(left: i128, right: i128, places: i16) -> Option<i128> {
    let power = power_of_ten(places.unsigned_abs())?;
    // Most fit 128 bits, where it takes a tenth of the time.
    if places >= 0
        && let Some(dividend) = power.to_i128().and_then(|power| left.checked_mul(power))
    {
        let (whole, rest) = (dividend.checked_div(right)?, dividend.checked_rem(right)?);
        let is_up = rest.unsigned_abs() >= right.unsigned_abs() - rest.unsigned_abs();
        return whole.checked_add(if is_up { dividend.signum() * right.signum() } else { 0 });
    }
    let (left, right) = (i256::from_i128(left), i256::from_i128(right));
    match places >= 0 {
        true => half_up(left.checked_mul(power)?, right),
        false => half_up(left, right.checked_mul(power)?),
    }
}

fn product(left: i128, right: i128, places: i16) -> Option<i128> {
    let power = power_of_ten(places.unsigned_abs())?;
    let product = i256::from_i128(left).checked_mul(i256::from_i128(right))?;
    match places >= 0 {
        true => product.checked_mul(power)?.to_i128(),
        false => half_up(product, power),
    }
}

fn power_of_ten(places: u16) -> Option<i256> {
    i256::from_i128(10).checked_pow(places.into())
}

fn half_up(dividend: i256, divisor: i256) -> Option<i128> {
    let (whole, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
    let (rest, divisor_size) = (rest.wrapping_abs(), divisor.wrapping_abs());
    let is_up = rest >= divisor_size.wrapping_sub(rest);
    let is_below = dividend.is_negative() != divisor.is_negative();
    let one = i256::from_i128(if is_below { -1 } else { 1 });
    if is_up { whole.checked_add(one)?.to_i128() } else { whole.to_i128() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotient_is_rounded_half_away_from_zero() {
        for (left, right, places, told) in [
            (1, 3, 6, 333_333),
            (2, 3, 6, 666_667),
            (-2, 3, 6, -666_667),
            (2, -3, 6, -666_667),
            (1, 2, 0, 1),
            (-1, 2, 0, -1),
            (1, -2, 0, -1),
            (49, 100, 0, 0),
            (12_345, 1, -2, 123),
            (12_350, 1, -2, 124),
            (0, -7, 6, 0),
        ] {
            assert_eq!(quotient(left, right, places), Some(told), "{left} / {right}");
        }
        // Beyond 128 bits on the way.
        let large = 10_i128.pow(37);
        assert_eq!(quotient(large, 3 * large, 30), Some(333_333_333_333_333_333_333_333_333_333));
        assert_eq!(quotient(-large, 7 * large, 3), Some(-143));
        assert_eq!(quotient(large, 1, 10), None);
        assert_eq!(product(25, -3, -1), Some(-8));
    }

    #[test]
    fn digits_are_those_of_flink() {
        // SUM(DECIMAL(18,2)) by an INT, BIGINT by DECIMAL(2,1), DECIMAL(38,6) by DECIMAL(38,6).
        assert_eq!(bounded(38 - 2 + 13, 13), (38, 6));
        assert_eq!(bounded(10 + 1 + 6, 6), (17, 6));
        assert_eq!(bounded(38 + 45, 45), (38, 6));
        assert_eq!(bounded(16 + 13, 13), (29, 13));
    }
}
