//! Runs the part of a query below its aggregate over one batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execution_plan::reset_plan_states;

use super::collected::collected;
use super::row_by_row;
use super::shared::Shared;
use super::steps::Steps;
use crate::sql::plan::SlotPlan;

/// A plan over a slot, run many times.
#[derive(Debug)]
pub struct Runner {
    slot: SlotPlan,
    /// The plan as plain steps, where it is nothing else.
    steps: Option<Steps>,
    context: Arc<TaskContext>,
}

impl Runner {
    /// A runner of this plan; runners of the same plan take turns.
    #[must_use]
    pub fn new(slot: SlotPlan) -> Self {
        let steps = Steps::of(&slot.plan);
        Self { slot, steps, context: Arc::default() }
    }

    /// The columns of its rows that the plan looks at, by number; `None` where it may be all of them.
    #[must_use]
    pub fn columns(&self) -> Option<BTreeSet<usize>> {
        Some(self.steps.as_ref()?.columns())
    }

    /// Whether the plan is run as plain steps.
    #[cfg(test)]
    pub(super) fn is_plain(&self) -> bool {
        self.steps.is_some()
    }

    /// The columns of its result.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.slot.plan.schema()
    }

    /// The first of `rows` on which the plan fails; `None` where it fails on none.
    #[must_use]
    pub fn first_failing(&self, rows: &RecordBatch) -> Option<usize> {
        let fails =
            |count: usize| self.run_shared(&rows.slice(0, count), &mut Shared::default()).is_err();
        if !fails(rows.num_rows()) {
            return None;
        }
        let (mut right, mut wrong) = (0, rows.num_rows());
        while wrong - right > 1 {
            let middle = right + (wrong - right) / 2;
            if fails(middle) { wrong = middle } else { right = middle }
        }
        Some(wrong - 1)
    }

    /// The result of the plan over `rows`.
    ///
    /// # Errors
    /// When an expression fails on the rows, as a division by zero.
    pub fn run(&self, rows: RecordBatch) -> Result<RecordBatch> {
        match &self.steps {
            Some(steps) => Shared::default().run(&rows, steps),
            None => self.execute(rows),
        }
    }

    /// The result of the plan over `rows`, which other plans are run over too: what they have in common
    /// is done once. `shared` is of these rows, and the plan makes of each row what it makes of it alone.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run_shared(&self, rows: &RecordBatch, shared: &mut Shared) -> Result<RecordBatch> {
        match &self.steps {
            Some(steps) => shared.run(rows, steps),
            None => row_by_row::run(rows.clone(), &|rows| self.execute(rows)),
        }
    }

    /// The result of a join's plan over the rows of both sides.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run_join(&self, left: RecordBatch, right: RecordBatch) -> Result<RecordBatch> {
        let _turn = self.slot.turn.lock();
        *self.slot.right.lock() = vec![right];
        let joined = self.execute_in_turn(left);
        self.slot.right.lock().clear();
        joined
    }

    fn execute(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let _turn = self.slot.turn.lock();
        self.execute_in_turn(rows)
    }

    fn execute_in_turn(&self, rows: RecordBatch) -> Result<RecordBatch> {
        *self.slot.rows.lock() = vec![rows];
        // A plan keeps the metrics of every execution; a fresh one has none.
        let plan = reset_plan_states(Arc::clone(&self.slot.plan))?;
        let schema = plan.schema();
        let batches = collected(plan, Arc::clone(&self.context))?;
        self.slot.rows.lock().clear();
        Ok(concat_batches(&schema, &batches)?)
    }
}
