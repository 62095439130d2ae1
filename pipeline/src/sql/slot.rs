//! A leaf whose rows are put in before each execution: where a cut plan is fed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::common::{DFSchemaRef, Result, plan_err};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use parking_lot::Mutex;

use super::exact::checked_plan;
use super::leaf::{Leaf, LeafRows};
use super::own_columns::with_own_columns;

/// The rows of the next execution; shared by a slot and whoever fills it.
pub type SlotRows = Arc<Mutex<Vec<RecordBatch>>>;

/// What a logical leaf will give.
#[derive(Debug, Clone)]
enum Feed {
    /// The rows of a slot, by the number under which its physical twin is found.
    Slot(usize),
    /// Rows that never change.
    Rows(Arc<RecordBatch>),
}

impl Feed {
    /// Two leaves are the same when they are one slot or hold the very same rows.
    fn identity(&self) -> (usize, *const RecordBatch) {
        match self {
            Self::Slot(number) => (*number, std::ptr::null()),
            Self::Rows(rows) => (0, Arc::as_ptr(rows)),
        }
    }
}

/// The logical leaf: a schema, and what it will give.
#[derive(Debug, Clone)]
pub struct SlotNode {
    schema: DFSchemaRef,
    feed: Feed,
}

impl SlotNode {
    /// A leaf with this schema that is fed before each execution.
    #[must_use]
    pub fn plan(schema: DFSchemaRef, number: usize) -> LogicalPlan {
        Self::leaf(schema, Feed::Slot(number))
    }

    /// A leaf with these rows.
    #[must_use]
    pub fn with_rows(schema: DFSchemaRef, rows: RecordBatch) -> LogicalPlan {
        Self::leaf(schema, Feed::Rows(Arc::new(rows)))
    }

    fn leaf(schema: DFSchemaRef, feed: Feed) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(Self { schema, feed }) })
    }

    /// The slot that a node is, by its number, with its columns; `None` also for a leaf with rows of its own.
    #[must_use]
    pub fn of(plan: &LogicalPlan) -> Option<(usize, &DFSchemaRef)> {
        let LogicalPlan::Extension(extension) = plan else { return None };
        let leaf = extension.node.as_any().downcast_ref::<Self>()?;
        match leaf.feed {
            Feed::Slot(number) => Some((number, &leaf.schema)),
            Feed::Rows(_) => None,
        }
    }
}

impl PartialEq for SlotNode {
    fn eq(&self, other: &Self) -> bool {
        self.feed.identity() == other.feed.identity() && self.schema == other.schema
    }
}

impl Eq for SlotNode {}

impl Hash for SlotNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.feed.identity().hash(state);
    }
}

impl PartialOrd for SlotNode {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for SlotNode {
    fn name(&self) -> &'static str {
        "Slot"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.feed {
            Feed::Slot(number) => write!(f, "Slot {number}"),
            Feed::Rows(rows) => write!(f, "Rows: {}", rows.num_rows()),
        }
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

/// The physical leaf.
struct SlotExec(SlotRows);

impl LeafRows for SlotExec {
    fn name(&self) -> &'static str {
        "SlotExec"
    }
    fn open(
        &self,
        schema: &SchemaRef,
        _: usize,
        _: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.0.lock().clone();
        Ok(Box::pin(MemoryStream::try_new(rows, Arc::clone(schema), None)?))
    }
}

/// Whether a node of an executable plan is a slot.
#[must_use]
pub fn is_slot(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<Leaf>().is_some_and(|leaf| leaf.source::<SlotExec>().is_some())
}

/// Turns slots into their physical twins, each over the rows of its number.
#[derive(Debug)]
struct SlotPlanner {
    rows: Vec<SlotRows>,
}

#[async_trait]
impl ExtensionPlanner for SlotPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        _: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(leaf) = node.as_any().downcast_ref::<SlotNode>() else { return Ok(None) };
        let number = match &leaf.feed {
            Feed::Slot(number) => *number,
            Feed::Rows(rows) => {
                let (rows, schema) = (rows.as_ref().clone(), rows.schema());
                return Ok(Some(MemorySourceConfig::try_new_exec(&[vec![rows]], schema, None)?));
            }
        };
        let schema = Arc::clone(leaf.schema.inner());
        // A plan with one slot may give it any number.
        let Some(rows) = self.rows.get(number).or(self.rows.last()) else { return Ok(None) };
        Ok(Some(Leaf::of(schema, SlotExec(Arc::clone(rows)))))
    }
}

/// Number of the slot that the right side of a join feeds.
pub const RIGHT_SLOT: usize = 2;

/// An executable plan and the rows of its slots.
#[derive(Debug)]
pub struct Physical {
    /// The plan.
    pub plan: Arc<dyn ExecutionPlan>,
    /// The rows of its slot.
    pub rows: SlotRows,
    /// The rows of [`RIGHT_SLOT`], if it has one.
    pub right: SlotRows,
}

/// Optimizes a logical plan and makes it executable.
///
/// # Errors
/// DataFusion's own, when the plan cannot be made.
pub fn physical(state: &SessionState, plan: &LogicalPlan) -> Result<Physical> {
    let (rows, right) = (SlotRows::default(), SlotRows::default());
    let slots = vec![Arc::clone(&rows), Arc::clone(&rows), Arc::clone(&right)];
    let plan = physical_of(state, plan, slots)?;
    Ok(Physical { plan, rows, right })
}

/// Optimizes a logical plan with several slots and makes it executable over `rows`, by the slots' numbers.
///
/// # Errors
/// DataFusion's own, when the plan cannot be made.
pub fn physical_of(
    state: &SessionState,
    plan: &LogicalPlan,
    rows: Vec<SlotRows>,
) -> Result<Arc<dyn ExecutionPlan>> {
    physical_of_optimized(state, plan, &optimized(state, plan)?, rows)
}

/// The optimized plan of one that is to be made executable.
///
/// # Errors
/// DataFusion's own.
pub(super) fn optimized(state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    state.optimize(&with_own_columns(plan.clone())?)
}

/// As [`physical_of`], of a plan that has been [`optimized`] already.
///
/// # Errors
/// As there.
pub fn physical_of_optimized(
    state: &SessionState,
    plan: &LogicalPlan,
    optimized: &LogicalPlan,
    rows: Vec<SlotRows>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let planner =
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(SlotPlanner { rows })]);
    let made = futures::executor::block_on(planner.create_physical_plan(optimized, state))?;
    let made = checked_plan(made)?;
    // What is above or beside it was planned for these types, and would read other bytes as theirs.
    let schema = made.schema();
    for (planned, made) in plan.schema().fields().iter().zip(schema.fields()) {
        if !planned.data_type().equals_datatype(made.data_type()) {
            return plan_err!(
                "column {} is planned as {} and would be computed as {}; CAST it to the type it is to have",
                planned.name(),
                planned.data_type(),
                made.data_type()
            );
        }
    }
    Ok(made)
}
