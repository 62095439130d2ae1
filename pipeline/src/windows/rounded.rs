//! `CAST(amount * rate AS DECIMAL(38, 2))`: a product of decimals that is rounded, half away from zero, in one pass.
//!
//! Every amount of every record is turned into the reporting currency so. DataFusion multiplies, looks whether each product has
//! its type's digits, divides by 128 bits and looks at the digits again. Amounts and rates mostly have less than 64
//! bits, and so has what they come to: then one multiplication and one division by a constant are the same. Where any
//! row is larger the expression is evaluated as it was, and says what it says.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Decimal128Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column};

use crate::sql::exact::unchecked;

/// The expression with its rounded products in one pass, over columns of `schema`.
///
/// # Errors
/// DataFusion's own, when the expression cannot be put together again.
pub(super) fn rounded(
    expr: Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Result<Arc<dyn PhysicalExpr>> {
    let made = expr.transform_down(|node| {
        Ok(match RoundedProduct::of(&node, schema) {
            Some(product) => {
                let product: Arc<dyn PhysicalExpr> = Arc::new(product);
                Transformed::new(product, true, TreeNodeRecursion::Jump)
            }
            None => Transformed::no(node),
        })
    })?;
    Ok(made.data)
}

/// A product of two columns, rounded.
#[derive(Debug)]
struct RoundedProduct {
    /// As it was.
    whole: Arc<dyn PhysicalExpr>,
    /// Numbers of the columns that are multiplied.
    factors: [usize; 2],
    /// What the product is divided by.
    pass: Pass,
    precision: u8,
    scale: i8,
}

/// Divides products of two columns and rounds them; nothing where one has more than 64 bits.
type Pass = fn(&[i128], &[i128]) -> Option<Vec<i128>>;

/// Digits that are rounded off at most.
const DIGITS_MAX: usize = 12;

const PASSES: [Pass; DIGITS_MAX + 1] = [
    pass::<1>,
    pass::<10>,
    pass::<100>,
    pass::<1_000>,
    pass::<10_000>,
    pass::<100_000>,
    pass::<1_000_000>,
    pass::<10_000_000>,
    pass::<100_000_000>,
    pass::<1_000_000_000>,
    pass::<10_000_000_000>,
    pass::<100_000_000_000>,
    pass::<1_000_000_000_000>,
];

/// Whether a type of so many digits has room for every value of 64 bits.
fn has_room(precision: u8) -> bool {
    precision >= 19
}

fn pass<const DIVISOR: u64>(left: &[i128], right: &[i128]) -> Option<Vec<i128>> {
    let half = DIVISOR / 2;
    let mut fits = true;
    let one = |(left, right): (&i128, &i128)| {
        #[expect(clippy::cast_possible_truncation, reason = "it is looked whether it is the same")]
        let (short_left, short_right) = (*left as i64, *right as i64);
        let product = short_left.checked_mul(short_right);
        fits &= i128::from(short_left) == *left
            && i128::from(short_right) == *right
            && product.is_some();
        let product = product.unwrap_or(0);
        // A product has 63 bits and the half that is added fewer, so this does not wrap.
        let rounded = i128::from((product.unsigned_abs() + half) / DIVISOR);
        if product < 0 { -rounded } else { rounded }
    };
    let made = left.iter().zip(right).map(one).collect();
    fits.then_some(made)
}

impl RoundedProduct {
    fn of(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Self> {
        let cast = expr.downcast_ref::<CastExpr>()?;
        let DataType::Decimal128(precision, scale) = *cast.cast_type() else { return None };
        let product = unchecked(cast.expr()).downcast_ref::<BinaryExpr>()?;
        if *product.op() != Operator::Multiply {
            return None;
        }
        let DataType::Decimal128(digits, from) = product.data_type(schema).ok()? else {
            return None;
        };
        let factor = |expr: &Arc<dyn PhysicalExpr>| {
            let at = expr.downcast_ref::<Column>()?.index();
            match schema.fields().get(at)?.data_type() {
                DataType::Decimal128(_, scale) => Some((at, *scale)),
                _ => None,
            }
        };
        let ((left, left_scale), (right, right_scale)) =
            (factor(product.left())?, factor(product.right())?);
        // A product has all digits of both.
        let is_whole = left_scale.checked_add(right_scale) == Some(from);
        if !is_whole || !has_room(digits) || !has_room(precision) {
            return None;
        }
        let pass = *PASSES.get(usize::try_from(from.checked_sub(scale)?).ok()?)?;
        Some(Self { whole: Arc::clone(expr), factors: [left, right], pass, precision, scale })
    }

    /// The values, where all have 64 bits.
    fn short(&self, rows: &RecordBatch) -> Option<ArrayRef> {
        let [left, right] =
            self.factors.map(|at| rows.columns().get(at)?.as_primitive_opt::<Decimal128Type>());
        let (left, right) = (left?, right?);
        let values = (self.pass)(left.values(), right.values())?;
        let nulls = NullBuffer::union(left.nulls(), right.nulls());
        let made = Decimal128Array::try_new(values.into(), nulls).ok()?;
        Some(Arc::new(made.with_precision_and_scale(self.precision, self.scale).ok()?))
    }
}

impl PartialEq for RoundedProduct {
    fn eq(&self, other: &Self) -> bool {
        self.whole.eq(&other.whole)
    }
}

impl Eq for RoundedProduct {}

impl Hash for RoundedProduct {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.whole.hash(state);
    }
}

impl fmt::Display for RoundedProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.whole, f)
    }
}

impl PhysicalExpr for RoundedProduct {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.whole.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.whole.nullable(schema)
    }

    fn evaluate(&self, rows: &RecordBatch) -> Result<ColumnarValue> {
        match self.short(rows) {
            Some(values) => Ok(ColumnarValue::Array(values)),
            None => self.whole.evaluate(rows),
        }
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.whole.return_field(schema)
    }

    /// None: what it is made of is not to be made anew from outside.
    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;
    use crate::sql::exact::checked;

    fn column(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
        let column = Decimal128Array::from(values);
        Arc::new(column.with_precision_and_scale(precision, scale).expect("a type"))
    }

    /// What the product of two columns comes to, as it was and in one pass.
    fn both(
        left: ArrayRef,
        right: ArrayRef,
        to: DataType,
    ) -> (Result<ArrayRef>, Result<ArrayRef>, bool) {
        let rows = RecordBatch::try_from_iter([("a", left), ("b", right)]).expect("rows");
        let schema = rows.schema();
        let product = BinaryExpr::new(
            Arc::new(Column::new("a", 0)),
            Operator::Multiply,
            Arc::new(Column::new("b", 1)),
        );
        let product = checked(Arc::new(product)).expect("checked");
        let field = Arc::new(Field::new("cast", to, true));
        let whole: Arc<dyn PhysicalExpr> =
            Arc::new(CastExpr::new_with_target_field(product, field, None));
        let quick = rounded(Arc::clone(&whole), &schema).expect("put together");
        let is_quick = quick.is::<RoundedProduct>();
        let value = |expr: &Arc<dyn PhysicalExpr>| {
            expr.evaluate(&rows).and_then(|value| value.into_array(rows.num_rows()))
        };
        (value(&whole), value(&quick), is_quick)
    }

    #[test]
    fn amounts_at_a_rate_are_rounded_as_they_were() {
        let rates = [0, 1, 49, 50, 51, 99_999_999, 100_000_000, 150_000_000, 712_345_678, 1 << 40];
        let amounts = [0, 1, 2, 3, 50, 7_259, 86_010, 1 << 20, 999_999_999_999, (1 << 40) + 1];
        for digits in 0..=10_i8 {
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for rate in rates {
                for amount in amounts {
                    left.extend([Some(amount), Some(-amount), None, Some(amount)]);
                    right.extend([Some(rate), Some(rate), Some(rate), None]);
                }
            }
            let (whole, quick, is_quick) =
                both(column(left, 18, 2), column(right, 18, 8), DataType::Decimal128(38, digits));
            assert!(is_quick, "{digits}");
            assert_eq!(*whole.expect("fits"), *quick.expect("fits"), "{digits}");
        }
    }

    #[test]
    fn what_is_larger_is_reckoned_as_it_was() {
        let large = i128::from(i64::MAX);
        for (left, right) in [
            (large, 2),
            (large, 1),
            (-large - 1, 1),
            (large + 1, 1),
            (10_i128.pow(37), 1),
            (10_i128.pow(37), 100),
            (10_i128.pow(30), 10_i128.pow(30)),
        ] {
            let one = |value| column(vec![Some(7), Some(value)], 38, 2);
            let (whole, quick, is_quick) = both(one(left), one(right), DataType::Decimal128(38, 2));
            assert!(is_quick);
            match (whole, quick) {
                (Ok(whole), Ok(quick)) => assert_eq!(*whole, *quick, "{left} * {right}"),
                (whole, quick) => assert_eq!(
                    whole.map_err(|error| error.strip_backtrace()),
                    quick.map_err(|error| error.strip_backtrace()),
                    "{left} * {right}"
                ),
            }
        }
    }

    #[test]
    fn a_type_that_may_be_too_narrow_is_left_as_it_is() {
        let one = || column(vec![Some(99)], 18, 2);
        assert!(!both(one(), one(), DataType::Decimal128(18, 2)).2);
        assert!(!both(one(), one(), DataType::Decimal128(38, 5)).2, "more digits than there are");
        let narrow = || column(vec![Some(9)], 4, 2);
        assert!(!both(narrow(), narrow(), DataType::Decimal128(38, 2)).2);
    }
}
