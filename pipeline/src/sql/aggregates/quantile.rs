//! `APPROX_PERCENTILE(x, p)`, `APPROX_PERCENTILE_CONT`, `APPROX_MEDIAN(x)`: within 1 % of the value at
//! that rank, whatever the order and batching of the rows. Values nearer to zero than 1e-9 count as zero.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BinaryArray, Decimal128Array, Float64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;

use super::per_group::{Fold, PerGroup, Rows};
use super::sketch::Sketch;

/// A quantile function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Quantile {
    name: &'static str,
    signature: Signature,
}

impl Quantile {
    /// The function under all its names.
    pub fn all() -> Vec<Self> {
        ["approx_percentile", "approx_percentile_cont", "approx_median"]
            .map(|name| Self { name, signature: Signature::user_defined(Volatility::Immutable) })
            .into()
    }

    fn is_median(&self) -> bool {
        self.name == "approx_median"
    }

    fn fold(&self, args: &AccumulatorArgs<'_>) -> Result<QuantileFold> {
        let rank = if self.is_median() { 0.5 } else { rank_of(args, self.name)? };
        Ok(QuantileFold { rank, result: args.return_field.data_type().clone() })
    }
}

/// The literal between 0 and 1.
fn rank_of(args: &AccumulatorArgs<'_>, name: &str) -> Result<f64> {
    let literal = args.exprs.get(1).and_then(|expr| expr.downcast_ref::<Literal>());
    match literal.map(Literal::value) {
        Some(ScalarValue::Float64(Some(rank))) if (0.0..=1.0).contains(rank) => Ok(*rank),
        Some(other) => plan_err!("{name}: the rank is a number from 0 to 1, not {other}"),
        None => plan_err!("{name}: the rank must be written as a number from 0 to 1, as 0.95"),
    }
}

#[derive(Debug, Clone)]
struct QuantileFold {
    rank: f64,
    /// The argument's own type for decimals, `Float64` otherwise.
    result: DataType,
}

impl Fold for QuantileFold {
    type State = Sketch;

    fn update(&self, states: &mut [Sketch], values: &[ArrayRef], rows: Rows<'_>) -> Result<()> {
        let Some(column) = values.first() else {
            return internal_err!("a quantile without its argument");
        };
        let mut add = |group: usize, value: f64| match states.get_mut(group) {
            Some(state) => {
                state.add(value);
                Ok(())
            }
            None => internal_err!("a row of no group"),
        };
        if let DataType::Decimal128(_, scale) = column.data_type() {
            let (values, unit) = (column.as_primitive::<Decimal128Type>(), unit(*scale));
            return rows.each(column, |row, group| add(group, values.value(row) as f64 / unit));
        }
        let wide = cast(column, &DataType::Float64)?;
        let values = wide.as_primitive::<Float64Type>();
        rows.each(&wide, |row, group| add(group, values.value(row)))
    }

    fn save(&self, states: &[Sketch]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(
            states.iter().map(|state| Some(state.to_bytes())).collect::<BinaryArray>(),
        )])
    }

    fn merge(&self, states: &mut [Sketch], saved: &[ArrayRef], rows: Rows<'_>) -> Result<()> {
        let Some(column) = saved.first() else {
            return internal_err!("a quantile's state without its column");
        };
        let bytes = column.as_binary::<i32>();
        rows.each(column, |row, group| {
            match (states.get_mut(group), Sketch::from_bytes(bytes.value(row))) {
                (Some(state), Some(sketch)) => {
                    state.merge(&sketch);
                    Ok(())
                }
                _ => internal_err!("not the state of a quantile"),
            }
        })
    }

    fn evaluate(&self, states: &[Sketch]) -> Result<ArrayRef> {
        let found = states.iter().map(|state| state.quantile(self.rank));
        let DataType::Decimal128(precision, scale) = self.result else {
            return Ok(Arc::new(found.collect::<Float64Array>()));
        };
        let unit = unit(scale);
        let decimals = found
            .map(|value| match value.map(|value| (value * unit).round()) {
                Some(value) if value.abs() >= 1e38 => {
                    exec_err!("a percentile has more than 38 digits")
                }
                Some(value) => Ok(Some(value as i128)),
                None => Ok(None),
            })
            .collect::<Result<Decimal128Array>>()?;
        Ok(Arc::new(decimals.with_precision_and_scale(precision, scale)?))
    }
}

fn unit(scale: i8) -> f64 {
    10_f64.powi(i32::from(scale))
}

impl AggregateUDFImpl for Quantile {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let argument = match (arguments, self.is_median()) {
            ([argument], true) | ([argument, _], false) => argument,
            (_, true) => return plan_err!("{} takes one argument", self.name),
            _ => {
                return plan_err!(
                    "{} takes the value and the rank, as {}(amount, 0.95)",
                    self.name,
                    self.name
                );
            }
        };
        let argument = match argument {
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
            number if number.is_numeric() => DataType::Float64,
            other => return plan_err!("{} of {other}: it needs numbers", self.name),
        };
        Ok(if self.is_median() { vec![argument] } else { vec![argument, DataType::Float64] })
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match arguments.first() {
            // A bucket's middle may be one digit longer than what fell into it.
            Some(DataType::Decimal128(_, scale)) => DataType::Decimal128(38, *scale),
            _ => DataType::Float64,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Field::new(format_state_name(args.name, "sketch"), DataType::Binary, true).into()])
    }

    fn supports_within_group_clause(&self) -> bool {
        !self.is_median()
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(PerGroup::one(self.fold(&args)?)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(PerGroup::new(self.fold(&args)?)))
    }
}
