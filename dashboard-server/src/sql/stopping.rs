//! Makes queries stoppable: a time limit or a cancel takes hold only where a query pauses.
//!
//! The engine pauses at the leaves of a plan, and there only now and then. A join makes a million
//! rows of a thousand without asking a leaf, so without this a cross join runs on for hours after
//! its client has gone.
//!
//! The same places hold rows to their bound. A join or a list taken apart copies a value into every
//! row it makes, and no pool counts that; so what goes in and comes out must be narrow rows.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{InListExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::scalar::ScalarValue;
use futures::Stream;

use super::batches::{BatchesExec, COPIED_ROWS, ROWS};
use super::growth::{Overrun, is_bounded, lengths};

/// The last rule of planning: a pause below and above every operator that multiplies rows.
///
/// Above, because it may make rows for hours; below, because it may look for hours and find none.
#[derive(Debug)]
pub(super) struct PauseAtJoins {
    row_bytes_max: usize,
}

impl PauseAtJoins {
    /// Rows that pass a pause have at most so many bytes.
    pub(super) fn new(row_bytes_max: usize) -> Self {
        Self { row_bytes_max }
    }

    fn paused(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(PauseExec { input, row_bytes_max: self.row_bytes_max })
    }
}

impl PhysicalOptimizerRule for PauseAtJoins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let paused = plan.transform_up(|node| {
            let fills_rows = self.fills_rows(node.as_ref())?;
            let is_gathering = gathers(node.as_ref());
            if multiplies(node.as_ref()) {
                let inputs = node.children().into_iter();
                let inputs = inputs.map(|input| self.paused(Arc::clone(input))).collect();
                let node = BatchesExec::of_copies(node.replace_children(inputs, AS_NEW)?)?;
                return Ok(Transformed::yes(self.paused(node)));
            }
            let node = if fills_rows { BatchesExec::of_copies(node)? } else { node };
            Ok(match is_gathering {
                true => Transformed::yes(self.paused(node)),
                false => Transformed::new_transformed(node, fills_rows),
            })
        })?;
        Ok(BatchesExec::of_query(paused.data))
    }

    fn name(&self) -> &'static str {
        "pause_at_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies(node: &dyn ExecutionPlan) -> bool {
    node.name().ends_with("JoinExec") || node.name() == "UnnestExec"
}

/// One value may hold what a whole group had. Half-made aggregates do too, and are the pool's to count.
fn gathers(node: &dyn ExecutionPlan) -> bool {
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        return !matches!(aggregate.mode(), AggregateMode::Partial | AggregateMode::PartialReduce);
    }
    node.name().ends_with("WindowAggExec")
}

impl PauseAtJoins {
    /// Whether a step writes much into each row of a batch: long constants, or what a function makes that can grow.
    ///
    /// # Errors
    /// When what is constant is longer than a row may be.
    fn fills_rows(&self, node: &dyn ExecutionPlan) -> Result<bool> {
        let (mut bytes, mut grows) = (0_usize, false);
        node.apply_expressions(&mut |expression| {
            bytes = bytes.saturating_add(constant_bytes(expression));
            grows |= can_grow(expression);
            Ok(TreeNodeRecursion::Continue)
        })?;
        check_row("the constants of one step", bytes, self.row_bytes_max)?;
        Ok(grows || bytes.saturating_mul(ROWS / COPIED_ROWS) > self.row_bytes_max)
    }
}

fn can_grow(expression: &Arc<dyn PhysicalExpr>) -> bool {
    let call = expression.downcast_ref::<ScalarFunctionExpr>();
    call.is_some_and(|call| is_bounded(call.fun()))
        || expression.children().into_iter().any(can_grow)
}

/// Bytes of the constants in an expression; those of an `IN` list stay a list.
fn constant_bytes(expression: &Arc<dyn PhysicalExpr>) -> usize {
    if expression.downcast_ref::<InListExpr>().is_some() {
        return 0;
    }
    if let Some(constant) = expression.downcast_ref::<Literal>() {
        // What a value has beside its own fixed place, and a word for it.
        return constant.value().size().saturating_sub(size_of::<ScalarValue>()) + size_of::<u64>();
    }
    let children = expression.children();
    children.into_iter().fold(0, |sum, child| sum.saturating_add(constant_bytes(child)))
}

fn check_row(what: &str, bytes: usize, most: usize) -> Result<()> {
    if bytes <= most {
        return Ok(());
    }
    Err(Overrun::Row { what: what.to_owned(), bytes, most }.into())
}

/// The widest row is no wider than the widest values of its columns together.
fn widest_row(batch: &RecordBatch) -> usize {
    let widest = |column: &ArrayRef| lengths(column.as_ref()).into_iter().max().unwrap_or(0);
    batch.columns().iter().fold(0, |sum, column| sum.saturating_add(widest(column)))
}

/// Its inputs are others now, so it has to look at them again.
const AS_NEW: ReplaceChildrenOptions =
    ReplaceChildrenOptions { children_properties: ChildrenPropertiesMode::Recompute };

/// Passes batches on and pauses after each.
#[derive(Debug)]
struct PauseExec {
    input: Arc<dyn ExecutionPlan>,
    row_bytes_max: usize,
}

impl DisplayAs for PauseExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PauseExec")
    }
}

impl ExecutionPlan for PauseExec {
    fn name(&self) -> &'static str {
        "PauseExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[Arc<dyn ExecutionPlan>; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self { input, row_bytes_max: self.row_bytes_max })),
            Err(_) => Err(DataFusionError::Internal("a pause has one input".to_owned())),
        }
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, task)?;
        Ok(Box::pin(PauseStream { input, is_due: false, row_bytes_max: self.row_bytes_max }))
    }
}

struct PauseStream {
    input: SendableRecordBatchStream,
    /// Whether a batch has passed since the last pause.
    is_due: bool,
    row_bytes_max: usize,
}

impl Stream for PauseStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.is_due) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.input.as_mut().poll_next(context);
        self.is_due = matches!(next, Poll::Ready(Some(_)));
        next.map(|next| next.map(|batch| self.narrow(batch?)))
    }
}

impl PauseStream {
    fn narrow(&self, batch: RecordBatch) -> Result<RecordBatch> {
        check_row("one row", widest_row(&batch), self.row_bytes_max).map(|()| batch)
    }
}

impl RecordBatchStream for PauseStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
