//! MIN and MAX of floats in one total order: negative zero is zero, not-a-number larger than all.
//!
//! DataFusion's keep whichever of two equal values came first and whichever follows not-a-number.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};

use super::per_group::{Fold, PerGroup, Rows};

/// `MIN` or `MAX` over floats; it has DataFusion's name, so that plans do not tell them apart.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FloatExtreme {
    wants_largest: bool,
    signature: Signature,
}

impl FloatExtreme {
    /// The function of this name over floats, if it is one of the two.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let wants_largest = match name {
            "max" => true,
            "min" => false,
            _ => return None,
        };
        Some(Self { wants_largest, signature: Signature::user_defined(Volatility::Immutable) })
    }

    fn fold(&self, args: &AccumulatorArgs<'_>) -> ExtremeFold {
        ExtremeFold {
            wants_largest: self.wants_largest,
            result: args.return_field.data_type().clone(),
        }
    }
}

#[derive(Debug, Clone)]
struct ExtremeFold {
    wants_largest: bool,
    result: DataType,
}

impl Fold for ExtremeFold {
    type State = Option<f64>;

    fn update(
        &self,
        states: &mut [Option<f64>],
        values: &[ArrayRef],
        rows: Rows<'_>,
    ) -> Result<()> {
        let Some(column) = values.first() else {
            return internal_err!("an extreme without its argument");
        };
        // A double holds every shorter float.
        let wide = cast(column, &DataType::Float64)?;
        let values = wide.as_primitive::<Float64Type>();
        rows.each(&wide, |row, group| {
            let Some(state) = states.get_mut(group) else {
                return internal_err!("a row of no group");
            };
            let value = canonical(values.value(row));
            let wanted = if self.wants_largest {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Less
            };
            if state.is_none_or(|best| value.total_cmp(&best) == wanted) {
                *state = Some(value);
            }
            Ok(())
        })
    }

    fn save(&self, states: &[Option<f64>]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(states)?])
    }

    fn merge(&self, states: &mut [Option<f64>], saved: &[ArrayRef], rows: Rows<'_>) -> Result<()> {
        self.update(states, saved, rows)
    }

    fn evaluate(&self, states: &[Option<f64>]) -> Result<ArrayRef> {
        let column: ArrayRef = Arc::new(states.iter().copied().collect::<Float64Array>());
        Ok(cast(&column, &self.result)?)
    }
}

fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

impl AggregateUDFImpl for FloatExtreme {
    fn name(&self) -> &str {
        if self.wants_largest { "max" } else { "min" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arguments.to_vec())
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [one] => Ok(one.clone()),
            _ => plan_err!("{} takes one argument", self.name().to_uppercase()),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, self.name());
        Ok(vec![Field::new(name, args.return_field.data_type().clone(), true).into()])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(PerGroup::one(self.fold(&args))))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(PerGroup::new(self.fold(&args))))
    }
}
