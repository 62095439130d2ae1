//! Runs the part of a query below its aggregate over one batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _};
use arrow::compute::{FilterBuilder, FilterPredicate, concat_batches, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, collect};

use super::fold::Accepted;
use super::placed::Span;
use super::row_by_row;
use crate::sql::plan::SlotPlan;
use crate::sql::slot::SlotExec;

/// A plan over a slot, run many times.
#[derive(Debug)]
pub struct Runner {
    slot: SlotPlan,
    /// The plan as plain steps, where it is nothing but filters and projections.
    steps: Option<Vec<Step>>,
    context: Arc<TaskContext>,
}

#[derive(Debug, Clone)]
enum Step {
    Filter { predicate: Arc<dyn PhysicalExpr>, keep: Option<Vec<usize>> },
    Project { exprs: Vec<Arc<dyn PhysicalExpr>>, schema: SchemaRef },
}

impl Runner {
    /// A runner of this plan; runners of the same plan take turns.
    #[must_use]
    pub fn new(slot: SlotPlan) -> Self {
        let mut steps = Vec::new();
        let plain = plain_steps(&slot.plan, &mut steps);
        Self { slot, steps: plain.then_some(steps), context: Arc::default() }
    }

    /// The columns of its rows that the plan looks at, by number; `None` where it may be all of them.
    #[must_use]
    pub fn columns(&self) -> Option<BTreeSet<usize>> {
        let mut columns = BTreeSet::new();
        for step in self.steps.as_ref()? {
            let exprs = match step {
                Step::Filter { predicate, .. } => std::slice::from_ref(predicate),
                Step::Project { exprs, .. } => exprs.as_slice(),
            };
            columns.extend(exprs.iter().flat_map(collect_columns).map(|column| column.index()));
            match step {
                Step::Filter { keep: None, .. } => {}
                Step::Filter { keep: Some(keep), .. } => {
                    columns.extend(keep);
                    return Some(columns);
                }
                Step::Project { .. } => return Some(columns),
            }
        }
        None
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

/// Pushes the plan's steps from the slot up; false when it has another kind of node.
fn plain_steps(plan: &Arc<dyn ExecutionPlan>, steps: &mut Vec<Step>) -> bool {
    if plan.is::<SlotExec>() {
        return true;
    }
    let children = plan.children();
    let [input] = children.as_slice() else { return false };
    if !plain_steps(input, steps) {
        return false;
    }
    if plan.is::<CooperativeExec>() {
        // It only lets other tasks have their turn, and there are none.
        return true;
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let keep = filter.projection().as_ref().map(|keep| keep.to_vec());
        steps.push(Step::Filter { predicate: Arc::clone(filter.predicate()), keep });
        return filter.fetch().is_none();
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let exprs = projection.expr().iter().map(|found| Arc::clone(&found.expr)).collect();
        steps.push(Step::Project { exprs, schema: projection.schema() });
        return true;
    }
    false
}

fn apply(rows: RecordBatch, step: &Step) -> Result<RecordBatch> {
    match step {
        Step::Filter { predicate, keep } => {
            let mask = row_by_row::evaluate(predicate.as_ref(), &rows)?;
            let rows = match keep {
                Some(keep) => rows.project(keep)?,
                None => rows,
            };
            let mask = mask.as_boolean();
            if mask.true_count() == rows.num_rows() {
                return Ok(rows);
            }
            Ok(filter_record_batch(&rows, mask)?)
        }
        Step::Project { exprs, schema } => {
            let count = rows.num_rows();
            let columns = exprs
                .iter()
                .map(|expr| row_by_row::evaluate(expr.as_ref(), &rows))
                .collect::<Result<Vec<_>>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
        }
    }
}
