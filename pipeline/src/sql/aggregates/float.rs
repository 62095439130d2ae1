//! SUM and AVG of floats: the exact sum, rounded once, whatever the order.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BinaryArray, Float64Array, Int64Array};
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::common::{Result, internal_err};

use super::exact::Figure;
use super::per_group::{Fold, Rows};
use super::superaccumulator::ExactSum;

/// The fold of one call.
#[derive(Debug, Clone)]
pub struct FloatFold(pub Figure);

/// Exact sum and number of values of a group; nothing is allocated before the first.
#[derive(Debug, Clone, Default)]
pub struct FloatState {
    sum: Option<ExactSum>,
    count: i64,
}

impl FloatState {
    fn sum(&mut self) -> &mut ExactSum {
        self.sum.get_or_insert_with(ExactSum::default)
    }
}

impl Fold for FloatFold {
    type State = FloatState;
    const CAN_RETRACT: bool = true;

    fn update(&self, states: &mut [FloatState], values: &[ArrayRef], rows: Rows<'_>) -> Result<()> {
        let Some(column) = values.first() else {
            return internal_err!("a sum without its argument");
        };
        let values = column.as_primitive::<Float64Type>();
        rows.each(column, |row, group| {
            let Some(state) = states.get_mut(group) else {
                return internal_err!("a row of no group");
            };
            state.sum().add(values.value(row));
            state.count += 1;
            Ok(())
        })
    }

    fn retract(&self, state: &mut FloatState, values: &[ArrayRef]) -> Result<()> {
        let Some(column) = values.first() else { return Ok(()) };
        for value in column.as_primitive::<Float64Type>().iter().flatten() {
            state.sum().subtract(value);
            state.count -= 1;
        }
        Ok(())
    }

    fn save(&self, states: &[FloatState]) -> Result<Vec<ArrayRef>> {
        let sums: BinaryArray =
            states.iter().map(|state| state.sum.as_ref().map(ExactSum::to_bytes)).collect();
        let counts: Int64Array = states.iter().map(|state| Some(state.count)).collect();
        Ok(vec![Arc::new(sums), Arc::new(counts)])
    }

    fn merge(&self, states: &mut [FloatState], saved: &[ArrayRef], rows: Rows<'_>) -> Result<()> {
        let (Some(sums), Some(counts)) = (saved.first(), saved.get(1)) else {
            return internal_err!("a sum's state without its columns");
        };
        let (bytes, counts) = (sums.as_binary::<i32>(), counts.as_primitive::<Int64Type>());
        rows.each(sums, |row, group| {
            let (Some(state), Some(sum)) =
                (states.get_mut(group), ExactSum::from_bytes(bytes.value(row)))
            else {
                return internal_err!("not the state of an exact sum");
            };
            state.sum().merge(&sum);
            state.count += counts.value(row);
            Ok(())
        })
    }

    fn evaluate(&self, states: &[FloatState]) -> Result<ArrayRef> {
        let value = |state: &FloatState| {
            let sum = state.sum.clone().filter(|_| state.count > 0)?;
            Some(match self.0 {
                Figure::Sum => sum.rounded(),
                Figure::Avg | Figure::RoundedAvg => sum.average(state.count as f64),
            })
        };
        Ok(Arc::new(states.iter().map(value).collect::<Float64Array>()))
    }
}
