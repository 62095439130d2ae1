//! Runs the part of a query below its aggregate over one batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _};
use arrow::compute::{FilterBuilder, FilterPredicate, concat_batches};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::collect;
use datafusion::physical_plan::execution_plan::reset_plan_states;

use super::fold::Accepted;
use super::placed::Span;
use super::row_by_row;
use super::steps::{Step, apply, columns_of, plain_steps};
use crate::sql::plan::SlotPlan;

/// A plan over a slot, run many times.
#[derive(Debug)]
pub struct Runner {
    slot: SlotPlan,
    /// The plan as plain steps, where it is nothing else.
    steps: Option<Vec<Step>>,
    context: Arc<TaskContext>,
}

impl Runner {
    /// A runner of this plan; runners of the same plan take turns.
    #[must_use]
    pub fn new(slot: SlotPlan) -> Self {
        let steps = plain_steps(&slot.plan);
        Self { slot, steps, context: Arc::default() }
    }

    /// The columns of its rows that the plan looks at, by number; `None` where it may be all of them.
    #[must_use]
    pub fn columns(&self) -> Option<BTreeSet<usize>> {
        columns_of(self.steps.as_ref()?)
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
            Some(steps) => steps.iter().try_fold(rows, apply),
            None => self.execute(rows),
        }
    }

    /// The result of the plan over `rows`, which other plans are run over too: what they have in common
    /// is done once. `shared` is of these rows, and the plan makes of each row what it makes of it alone.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run_shared(&self, rows: &RecordBatch, shared: &mut Shared) -> Result<RecordBatch> {
        match self.steps.as_deref() {
            Some([Step::Filter { predicate, keep }, rest @ ..]) => {
                let first = shared.filtered(rows, predicate, keep.as_deref())?;
                rest.iter().try_fold(first, apply)
            }
            Some(_) => self.run(rows.clone()),
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
        let batches = futures::executor::block_on(collect(plan, Arc::clone(&self.context)))?;
        self.slot.rows.lock().clear();
        Ok(concat_batches(&schema, &batches)?)
    }
}

/// What plans over the same rows have in common: views over one scope have one condition.
#[derive(Default)]
pub struct Shared {
    filters: Vec<SharedFilter>,
    /// Of the rows' times; `None` before anyone has asked.
    span: Option<Option<Span>>,
}

struct SharedFilter {
    predicate: Arc<dyn PhysicalExpr>,
    /// The rows it keeps; `None` for all.
    keeps: Option<FilterPredicate>,
    /// Columns that have been filtered, by their number.
    columns: Vec<Option<ArrayRef>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("filters", &self.filters.len()).finish()
    }
}

impl Shared {
    /// The times of the rows.
    pub(super) fn span(&mut self, rows: Accepted<'_>) -> Option<Span> {
        *self.span.get_or_insert_with(|| Span::of(rows.times, rows.watermarks))
    }

    fn filtered(
        &mut self,
        rows: &RecordBatch,
        predicate: &Arc<dyn PhysicalExpr>,
        keep: Option<&[usize]>,
    ) -> Result<RecordBatch> {
        let at = match self.filters.iter().position(|filter| filter.predicate.eq(predicate)) {
            Some(at) => at,
            None => {
                self.filters.push(SharedFilter::new(rows, predicate)?);
                self.filters.len() - 1
            }
        };
        let filter = &mut self.filters[at];
        let schema = match keep {
            Some(keep) => Arc::new(rows.schema().project(keep)?),
            None => rows.schema(),
        };
        let all: Vec<usize>;
        let keep = match keep {
            Some(keep) => keep,
            None => {
                all = (0..rows.num_columns()).collect();
                &all
            }
        };
        let count = filter.keeps.as_ref().map_or(rows.num_rows(), FilterPredicate::count);
        let columns = keep.iter().map(|at| filter.column(rows, *at)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

impl SharedFilter {
    fn new(rows: &RecordBatch, predicate: &Arc<dyn PhysicalExpr>) -> Result<Self> {
        let mask = row_by_row::evaluate(predicate.as_ref(), rows)?;
        let mask = mask.as_boolean();
        let keeps_all = mask.true_count() == rows.num_rows();
        let keeps = (!keeps_all).then(|| FilterBuilder::new(mask).optimize().build());
        Ok(Self {
            predicate: Arc::clone(predicate),
            keeps,
            columns: vec![None; rows.num_columns()],
        })
    }

    fn column(&mut self, rows: &RecordBatch, at: usize) -> Result<ArrayRef> {
        if let Some(column) = &self.columns[at] {
            return Ok(Arc::clone(column));
        }
        let column = match &self.keeps {
            Some(keeps) => keeps.filter(rows.column(at))?,
            None => Arc::clone(rows.column(at)),
        };
        self.columns[at] = Some(Arc::clone(&column));
        Ok(column)
    }
}
