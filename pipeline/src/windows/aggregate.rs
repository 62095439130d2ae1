//! DataFusion's accumulators, made and fed as its own aggregation would.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray};
use arrow::datatypes::FieldRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::GroupsAccumulatorAdapter;

use super::row_by_row;
use crate::sql::plan::AggregateCall;

/// One accumulator for each call of a view.
pub struct Accumulators {
    calls: Vec<AggregateCall>,
    all: Vec<Box<dyn GroupsAccumulator>>,
}

impl Accumulators {
    /// Empty accumulators.
    ///
    /// # Errors
    /// DataFusion's own, when a function has none for its types.
    pub fn new(calls: &[AggregateCall]) -> Result<Self> {
        let all = calls.iter().map(accumulator).collect::<Result<_>>()?;
        Ok(Self { calls: calls.to_vec(), all })
    }

    /// The columns of the state, of all calls one after another.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn state_fields(calls: &[AggregateCall]) -> Result<Vec<FieldRef>> {
        let fields =
            calls.iter().map(|call| call.function.state_fields()).collect::<Result<Vec<_>>>()?;
        Ok(fields.into_iter().flatten().collect())
    }

    /// Adds rows; `groups` has the group of each row.
    ///
    /// # Errors
    /// When an argument cannot be computed or an accumulator refuses a value.
    pub fn update(
        &mut self,
        inputs: &CallInputs,
        groups: &[usize],
        group_count: usize,
    ) -> Result<()> {
        for (accumulator, (arguments, filter)) in self.all.iter_mut().zip(&inputs.0) {
            accumulator.update_batch(arguments, groups, filter.as_ref(), group_count)?;
        }
        Ok(())
    }

    /// Adds states as [`Accumulators::state`] gave them.
    ///
    /// # Errors
    /// When an accumulator refuses a state.
    pub fn merge(
        &mut self,
        states: &[ArrayRef],
        groups: &[usize],
        group_count: usize,
    ) -> Result<()> {
        let mut rest = states;
        for (accumulator, call) in self.all.iter_mut().zip(&self.calls) {
            let (own, others) = rest.split_at(call.function.state_fields()?.len());
            accumulator.merge_batch(own, groups, group_count)?;
            rest = others;
        }
        Ok(())
    }

    /// The states of all groups, one after another; the accumulators are empty afterwards.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn state(&mut self) -> Result<Vec<ArrayRef>> {
        let mut all = Vec::new();
        for accumulator in &mut self.all {
            all.extend(accumulator.state(EmitTo::All)?);
        }
        Ok(all)
    }

    /// The values of all groups, one column a call; the accumulators are empty afterwards.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn evaluate(&mut self) -> Result<Vec<ArrayRef>> {
        self.all.iter_mut().map(|accumulator| accumulator.evaluate(EmitTo::All)).collect()
    }
}

impl std::fmt::Debug for Accumulators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accumulators").field("calls", &self.calls.len()).finish_non_exhaustive()
    }
}

/// The arguments and the filter of every call over one batch.
#[derive(Debug)]
pub struct CallInputs(Vec<(Vec<ArrayRef>, Option<BooleanArray>)>);

impl CallInputs {
    /// Computes them.
    ///
    /// # Errors
    /// When an argument cannot be computed.
    pub fn of(calls: &[AggregateCall], rows: &RecordBatch) -> Result<Self> {
        let one = |call: &AggregateCall| {
            let mut exprs = call.function.expressions();
            exprs.extend(call.function.order_bys().iter().map(|sort| Arc::clone(&sort.expr)));
            let arguments = exprs
                .iter()
                .map(|expr| row_by_row::evaluate(expr.as_ref(), rows))
                .collect::<Result<Vec<_>>>()?;
            let filter = match &call.filter {
                Some(filter) => {
                    Some(row_by_row::evaluate(filter.as_ref(), rows)?.as_boolean().clone())
                }
                None => None,
            };
            Ok((arguments, filter))
        };
        calls.iter().map(one).collect::<Result<_>>().map(Self)
    }
}

fn accumulator(call: &AggregateCall) -> Result<Box<dyn GroupsAccumulator>> {
    if call.function.groups_accumulator_supported() {
        return call.function.create_groups_accumulator();
    }
    let function = Arc::clone(&call.function);
    Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
}
