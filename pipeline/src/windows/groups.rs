//! The groups of a view between two drains, in DataFusion's own hash table and accumulators.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt32Array, UInt64Array, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use datafusion::common::Result;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::aggregate::{Accumulators, CallInputs};
use super::fold::Drained;
use crate::sql::plan::AggregatePlan;

/// The groups of a view since the last drain, with their accumulators.
pub(super) struct Groups {
    pub(super) plan: AggregatePlan,
    values: Box<dyn GroupValues>,
    accumulators: Accumulators,
    numbers: Vec<usize>,
    /// Numbers of the first rows of runs, where there are no keys.
    heads: Vec<usize>,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups").field("groups", &self.values.len()).finish_non_exhaustive()
    }
}

impl Groups {
    /// No groups yet.
    ///
    /// # Errors
    /// When the accumulators or keys of the view cannot be made.
    pub(super) fn new(plan: &AggregatePlan) -> Result<Self> {
        Ok(Self {
            plan: plan.clone(),
            values: group_values(plan)?,
            accumulators: Accumulators::new(&plan.calls)?,
            numbers: Vec::new(),
            heads: Vec::new(),
        })
    }

    /// Adds rows with their slices.
    ///
    /// # Errors
    /// When an argument cannot be computed or an accumulator refuses a value.
    pub(super) fn add(&mut self, rows: &RecordBatch, slices: &[u32]) -> Result<()> {
        let inputs = CallInputs::of(&self.plan.calls, rows)?;
        if self.plan.keys.is_empty() && self.plan.grouping_id_type.is_none() {
            self.number_runs(slices)?;
            return self.accumulators.update(&inputs, &self.numbers, self.values.len());
        }
        let slices: ArrayRef = Arc::new(UInt32Array::from(slices.to_vec()));
        let keys = rows.columns().get(1..=self.plan.keys.len()).unwrap_or(&[]);
        for (absent, id) in &self.plan.grouping_sets {
            let mut columns = vec![Arc::clone(&slices)];
            for (key, absent) in keys.iter().zip(absent) {
                columns.push(match absent {
                    true => new_null_array(key.data_type(), key.len()),
                    false => Arc::clone(key),
                });
            }
            if self.plan.grouping_id_type.is_some() {
                columns.push(Arc::new(UInt64Array::from(vec![*id; rows.num_rows()])));
            }
            self.numbers.clear();
            self.values.intern(&columns, &mut self.numbers)?;
            self.accumulators.update(&inputs, &self.numbers, self.values.len())?;
        }
        Ok(())
    }

    /// Numbers the groups of rows without keys: a group is a slice, and rows of one slice mostly stand together.
    fn number_runs(&mut self, slices: &[u32]) -> Result<()> {
        let runs = || slices.chunk_by(|before, after| before == after);
        let heads: UInt32Array = runs().filter_map(|run| run.first().copied()).map(Some).collect();
        self.heads.clear();
        self.values.intern(&[Arc::new(heads) as ArrayRef], &mut self.heads)?;
        self.numbers.clear();
        for (run, number) in runs().zip(&self.heads) {
            self.numbers.resize(self.numbers.len() + run.len(), *number);
        }
        Ok(())
    }

    /// Takes all groups with their states out.
    ///
    /// # Errors
    /// DataFusion's own.
    pub(super) fn drain(&mut self, drained: &mut Drained) -> Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        let mut keys = self.values.emit(EmitTo::All)?;
        let slices = keys.remove(0);
        drained.slice_of = slices.as_primitive::<UInt32Type>().values().to_vec();
        drained.keys = keys;
        drained.states = self.accumulators.state()?;
        self.values = group_values(&self.plan)?;
        self.accumulators = Accumulators::new(&self.plan.calls)?;
        Ok(())
    }
}

/// A hash table over the slice number, the keys and, with grouping sets, the grouping id.
fn group_values(plan: &AggregatePlan) -> Result<Box<dyn GroupValues>> {
    let mut fields = vec![Arc::new(Field::new("slice", DataType::UInt32, false))];
    fields.extend(plan.keys.iter().map(|key| Arc::new(key.as_ref().clone().with_nullable(true))));
    if plan.grouping_id_type.is_some() {
        fields.push(Arc::new(Field::new("grouping_id", DataType::UInt64, false)));
    }
    new_group_values(Arc::new(Schema::new(fields)), &GroupOrdering::None)
}
