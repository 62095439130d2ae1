//! SUM and AVG of integers and decimals: added in 128 bits and checked, so that nothing ever wraps.
//!
//! What is checked is the sum of the magnitudes, not the running sum: that one only grows, so whether there is room
//! does not depend on the order of the rows or on when a view was published. A group without room is remembered as such in
//! its state, and is an error where its value is asked for: which rows were read together does not matter then, and
//! what is beside it stays right.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Decimal128Array, Float64Array, Int64Array, UInt64Array,
};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type, i256};
use datafusion::common::{Result, exec_err, internal_err};

use super::per_group::{Fold, Rows};

/// The largest number of 38 digits.
const DIGITS_38: i128 = 10_i128.pow(38) - 1;
/// Digits AVG of a decimal has after those of its argument.
pub const AVG_DIGITS: i8 = 4;

/// Which figure is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Figure {
    /// The sum.
    Sum,
    /// The sum divided by the number of values; of decimals what is beyond the last digit is cut off.
    Avg,
    /// As [`Self::Avg`], and the last digit is rounded half up.
    RoundedAvg,
}

/// The fold of one call.
#[derive(Debug, Clone)]
pub struct ExactFold {
    figure: Figure,
    /// `Int64`, `UInt64` or `Decimal128`.
    argument: DataType,
    result: DataType,
    /// The call as written, for messages.
    call: String,
}

/// Sum, sum of magnitudes and number of values of a group.
#[derive(Debug, Clone, Default)]
pub struct ExactState {
    sum: i128,
    magnitude: i128,
    count: i64,
}

/// The magnitude of a group that had no room; every other is zero or above.
const OVERFLOWN: i128 = -1;

impl ExactState {
    fn has_overflown(&self) -> bool {
        self.magnitude == OVERFLOWN
    }

    fn overflow(&mut self) {
        (self.sum, self.magnitude) = (0, OVERFLOWN);
        self.count = self.count.max(1);
    }

    fn add(&mut self, sum: i128, magnitude: i128, count: i64) {
        if self.has_overflown() {
            return;
        }
        // The sum is never larger than the magnitudes, and those are checked by the caller.
        self.sum = self.sum.wrapping_add(sum);
        self.magnitude = self.magnitude.saturating_add(magnitude);
        self.count += count;
    }
}

impl ExactFold {
    /// The fold of a call named `call` over values of type `argument`.
    pub fn new(figure: Figure, argument: DataType, result: DataType, call: &str) -> Self {
        Self { figure, argument, result, call: call.to_owned() }
    }

    /// The largest sum of magnitudes that can be kept.
    fn magnitude_max(&self) -> i128 {
        match (self.figure, &self.argument) {
            (Figure::Sum, DataType::Int64) => i128::from(i64::MAX),
            (Figure::Sum, DataType::UInt64) => i128::from(u64::MAX),
            _ => DIGITS_38,
        }
    }

    fn overflow<T>(&self) -> Result<T> {
        let limit = match self.magnitude_max() {
            DIGITS_38 => "38 digits".to_owned(),
            limit => limit.to_string(),
        };
        exec_err!("overflow: {} has added up more than {limit}", self.call)
    }

    fn update_with(
        &self,
        states: &mut [ExactState],
        column: &ArrayRef,
        rows: Rows<'_>,
        value: impl Fn(usize) -> i128,
    ) -> Result<()> {
        let limit = self.magnitude_max();
        rows.each(column, |row, group| {
            let Some(state) = states.get_mut(group) else {
                return internal_err!("a row of no group");
            };
            let value = value(row);
            // Neither is above 38 digits, so in 128 bits without a sign the sum of both is what it is. A group that
            // had no room before has the largest number of all.
            let before = state.magnitude.cast_unsigned();
            let magnitude = before.saturating_add(value.unsigned_abs());
            if magnitude > limit.cast_unsigned() {
                state.overflow();
                return Ok(());
            }
            state.sum = state.sum.wrapping_add(value);
            state.magnitude = magnitude.cast_signed();
            state.count += 1;
            Ok(())
        })
    }
}

/// The values of a column of one of the argument types.
fn value_of(column: &ArrayRef) -> Result<Box<dyn Fn(usize) -> i128 + '_>> {
    Ok(match column.data_type() {
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            Box::new(|row| i128::from(column.value(row)))
        }
        DataType::UInt64 => {
            let column = column.as_primitive::<UInt64Type>();
            Box::new(|row| i128::from(column.value(row)))
        }
        DataType::Decimal128(..) => {
            let column = column.as_primitive::<Decimal128Type>();
            Box::new(|row| column.value(row))
        }
        other => return internal_err!("a sum over {other}"),
    })
}

impl Fold for ExactFold {
    type State = ExactState;
    const CAN_RETRACT: bool = true;

    fn update(&self, states: &mut [ExactState], values: &[ArrayRef], rows: Rows<'_>) -> Result<()> {
        let Some(column) = values.first() else {
            return internal_err!("a sum without its argument");
        };
        // The money path has no call through a pointer for each row.
        if let DataType::Decimal128(..) = column.data_type() {
            let values = column.as_primitive::<Decimal128Type>();
            return self.update_with(states, column, rows, |row| values.value(row));
        }
        let value = value_of(column)?;
        self.update_with(states, column, rows, value)
    }

    fn retract(&self, state: &mut ExactState, values: &[ArrayRef]) -> Result<()> {
        let Some(column) = values.first() else { return Ok(()) };
        let value = value_of(column)?;
        for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
            state.add(
                value(row).saturating_neg(),
                value(row).saturating_abs().saturating_neg(),
                -1,
            );
        }
        Ok(())
    }

    fn save(&self, states: &[ExactState]) -> Result<Vec<ArrayRef>> {
        let sums = || states.iter().map(|state| (state.count > 0).then_some(state.sum));
        let magnitudes = || states.iter().map(|state| (state.count > 0).then_some(state.magnitude));
        // Narrow where the type is: a state is kept for every slice and group.
        let narrow = |values: &mut dyn Iterator<Item = Option<i128>>| -> ArrayRef {
            Arc::new(
                values
                    .map(|value| value.and_then(|value| i64::try_from(value).ok()))
                    .collect::<Int64Array>(),
            )
        };
        let mut columns = match (self.figure, &self.argument) {
            (Figure::Sum, DataType::Int64) => vec![narrow(&mut sums()), narrow(&mut magnitudes())],
            _ => vec![decimals(sums(), 38, 0)?, decimals(magnitudes(), 38, 0)?],
        };
        if self.figure != Figure::Sum {
            columns.push(Arc::new(
                states.iter().map(|state| Some(state.count)).collect::<Int64Array>(),
            ));
        }
        Ok(columns)
    }

    fn merge(&self, states: &mut [ExactState], saved: &[ArrayRef], rows: Rows<'_>) -> Result<()> {
        let (Some(sums), Some(magnitudes)) = (saved.first(), saved.get(1)) else {
            return internal_err!("a sum's state without its columns");
        };
        let (sum, magnitude) = (value_of(sums)?, value_of(magnitudes)?);
        let counts = saved.get(2).map(|column| column.as_primitive::<Int64Type>());
        let limit = self.magnitude_max();
        rows.each(sums, |row, group| {
            let Some(state) = states.get_mut(group) else {
                return internal_err!("a state of no group");
            };
            state.add(sum(row), magnitude(row), counts.map_or(1, |counts| counts.value(row)));
            if magnitude(row) == OVERFLOWN || state.magnitude > limit {
                state.overflow();
            }
            Ok(())
        })
    }

    fn evaluate(&self, states: &[ExactState]) -> Result<ArrayRef> {
        if states.iter().any(ExactState::has_overflown) {
            return self.overflow();
        }
        let sums = states.iter().map(|state| (state.count > 0).then_some(state.sum));
        match (self.figure, &self.result) {
            (Figure::Sum, DataType::Int64) => Ok(Arc::new(
                sums.map(|sum| sum.and_then(|sum| i64::try_from(sum).ok())).collect::<Int64Array>(),
            )),
            (Figure::Sum, DataType::UInt64) => Ok(Arc::new(
                sums.map(|sum| sum.and_then(|sum| u64::try_from(sum).ok()))
                    .collect::<UInt64Array>(),
            )),
            (Figure::Sum, DataType::Decimal128(precision, scale)) => {
                decimals(sums, *precision, *scale)
            }
            (Figure::Avg | Figure::RoundedAvg, DataType::Decimal128(precision, scale)) => {
                let DataType::Decimal128(_, own) = self.argument else {
                    return internal_err!("a decimal average of {}", self.argument);
                };
                let averages = states
                    .iter()
                    .map(|state| self.average(state, scale - own))
                    .collect::<Result<Vec<_>>>()?;
                decimals(averages.into_iter(), *precision, *scale)
            }
            (Figure::Avg | Figure::RoundedAvg, _) => {
                let average = |state: &ExactState| {
                    (state.count > 0).then(|| state.sum as f64 / state.count as f64)
                };
                Ok(Arc::new(states.iter().map(average).collect::<Float64Array>()))
            }
            (Figure::Sum, other) => internal_err!("a sum of type {other}"),
        }
    }
}

impl ExactFold {
    /// The average with `digits` more places than its argument; what is beyond them is cut off, or rounded.
    fn average(&self, state: &ExactState, digits: i8) -> Result<Option<i128>> {
        if state.count == 0 {
            return Ok(None);
        }
        let power = 10_i128.pow(u32::try_from(digits).unwrap_or(0));
        let scaled = i256::from_i128(state.sum).wrapping_mul(i256::from_i128(power));
        let count = i256::from_i128(i128::from(state.count));
        let rest = scaled.checked_rem(count).map(i256::wrapping_abs);
        let is_up = self.figure == Figure::RoundedAvg
            && rest.is_some_and(|rest| rest >= count.wrapping_sub(rest));
        let away = if is_up { state.sum.signum() } else { 0 };
        let average = scaled.checked_div(count).and_then(i256::to_i128);
        let average = average.and_then(|average| average.checked_add(away));
        match average.filter(|average| average.abs() <= DIGITS_38) {
            Some(average) => Ok(Some(average)),
            None => exec_err!("overflow: {} has more than 38 digits", self.call),
        }
    }
}

fn decimals(
    values: impl Iterator<Item = Option<i128>>,
    precision: u8,
    scale: i8,
) -> Result<ArrayRef> {
    let column: Decimal128Array = values.collect();
    Ok(Arc::new(column.with_precision_and_scale(precision, scale)?))
}
