//! One state a group as DataFusion's accumulator: what a function has to say is only how a state
//! takes a row, another state, and what it is worth.

use std::fmt::Debug;

use arrow::array::{Array as _, ArrayRef, BooleanArray};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// The arithmetic of one aggregate function.
pub trait Fold: Debug + Send + Sync + 'static {
    /// What is kept of a group.
    type State: Clone + Debug + Default + Send + Sync;

    /// Adds the rows of `values` that are given with their groups.
    ///
    /// # Errors
    /// When a group's value passes what its type can hold.
    fn update(&self, states: &mut [Self::State], values: &[ArrayRef], rows: Rows<'_>)
    -> Result<()>;

    /// Takes rows out again, for sliding frames; only called where [`Fold::CAN_RETRACT`].
    ///
    /// # Errors
    /// When the function cannot.
    fn retract(&self, _: &mut Self::State, _: &[ArrayRef]) -> Result<()> {
        internal_err!("this aggregate cannot take rows out again")
    }

    /// Whether [`Fold::retract`] works.
    const CAN_RETRACT: bool = false;

    /// The states as columns, the same bytes for the same rows whatever their order.
    ///
    /// # Errors
    /// When a column cannot be made.
    fn save(&self, states: &[Self::State]) -> Result<Vec<ArrayRef>>;

    /// Adds states as [`Fold::save`] gave them.
    ///
    /// # Errors
    /// As [`Fold::update`], and when the columns are not such states.
    fn merge(&self, states: &mut [Self::State], saved: &[ArrayRef], rows: Rows<'_>) -> Result<()>;

    /// The values of the groups.
    ///
    /// # Errors
    /// When a value passes its type.
    fn evaluate(&self, states: &[Self::State]) -> Result<ArrayRef>;
}

/// The group of each row, and which rows count.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    groups: &'a [usize],
    filter: Option<&'a BooleanArray>,
}

impl Rows<'_> {
    /// Calls `take` with every row that counts and its group; `column`'s NULLs do not count.
    ///
    /// # Errors
    /// The first that `take` gives.
    pub fn each(
        self,
        column: &ArrayRef,
        mut take: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        let all_valid = column.null_count() == 0;
        if all_valid && self.filter.is_none() {
            // What nearly every figure is: nothing to be asked of each row.
            return self.groups.iter().enumerate().try_for_each(|(row, group)| take(row, *group));
        }
        for (row, group) in self.groups.iter().enumerate() {
            let passes = self.filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if passes && (all_valid || column.is_valid(row)) {
                take(row, *group)?;
            }
        }
        Ok(())
    }
}

/// A function's states by group.
#[derive(Debug)]
pub struct PerGroup<F: Fold> {
    fold: F,
    states: Vec<F::State>,
}

impl<F: Fold> PerGroup<F> {
    /// No group yet.
    pub fn new(fold: F) -> Self {
        Self { fold, states: Vec::new() }
    }

    /// The one group of a query without groups, or of a window frame.
    pub fn one(fold: F) -> Self {
        Self { fold, states: vec![F::State::default()] }
    }
}

impl<F: Fold> GroupsAccumulator for PerGroup<F> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.states.resize(count, F::State::default());
        self.fold.update(&mut self.states, values, Rows { groups, filter })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.fold.evaluate(&emit_to.take_needed(&mut self.states))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.fold.save(&emit_to.take_needed(&mut self.states))
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.states.resize(count, F::State::default());
        self.fold.merge(&mut self.states, values, Rows { groups, filter: None })
    }

    /// Each row as a group of its own: what is asked for where there are nearly as many groups as rows.
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let groups: Vec<usize> = (0..values.first().map_or(0, |column| column.len())).collect();
        let mut states = vec![F::State::default(); groups.len()];
        self.fold.update(&mut states, values, Rows { groups: &groups, filter })?;
        self.fold.save(&states)
    }

    fn size(&self) -> usize {
        self.states.capacity() * size_of::<F::State>()
    }
}

impl<F: Fold> Accumulator for PerGroup<F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; values.first().map_or(0, |column| column.len())];
        self.fold.update(&mut self.states, values, Rows { groups: &groups, filter: None })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.fold.evaluate(&self.states)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.states.capacity() * size_of::<F::State>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.fold
            .save(&self.states)?
            .iter()
            .map(|column| ScalarValue::try_from_array(column, 0))
            .collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; states.first().map_or(0, |column| column.len())];
        self.fold.merge(&mut self.states, states, Rows { groups: &groups, filter: None })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match self.states.first_mut() {
            Some(state) => self.fold.retract(state, values),
            None => Ok(()),
        }
    }

    fn supports_retract_batch(&self) -> bool {
        F::CAN_RETRACT
    }
}
