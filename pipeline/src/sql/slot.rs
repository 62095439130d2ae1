//! A leaf whose rows are put in before each execution: where a cut plan is fed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchemaRef, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use parking_lot::Mutex;

/// The rows of the next execution; shared by a slot and whoever fills it.
pub type SlotRows = Arc<Mutex<Vec<RecordBatch>>>;

/// The logical leaf: a schema, and the number by which its physical twin is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotNode {
    schema: DFSchemaRef,
    /// Which slot of the plan this is.
    number: usize,
}

impl SlotNode {
    /// A leaf with this schema.
    #[must_use]
    pub fn plan(schema: DFSchemaRef, number: usize) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(Self { schema, number }) })
    }

    /// The slot that a node is, by its number, with its columns.
    #[must_use]
    pub fn of(plan: &LogicalPlan) -> Option<(usize, &DFSchemaRef)> {
        match plan {
            LogicalPlan::Extension(extension) => extension
                .node
                .as_any()
                .downcast_ref::<Self>()
                .map(|slot| (slot.number, &slot.schema)),
            _ => None,
        }
    }
}

impl Hash for SlotNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl PartialOrd for SlotNode {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.number.partial_cmp(&other.number)
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
        write!(f, "Slot {}", self.number)
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

/// A leaf with rows that never change.
#[derive(Debug, Clone)]
pub struct RowsNode {
    schema: DFSchemaRef,
    rows: Arc<RecordBatch>,
}

impl RowsNode {
    /// A leaf with these rows.
    #[must_use]
    pub fn plan(schema: DFSchemaRef, rows: RecordBatch) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(Self { schema, rows: Arc::new(rows) }) })
    }
}

/// Two leaves are the same when they hold the very same rows.
impl PartialEq for RowsNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rows, &other.rows) && self.schema == other.schema
    }
}

impl Eq for RowsNode {}

impl Hash for RowsNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.rows).hash(state);
    }
}

impl PartialOrd for RowsNode {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for RowsNode {
    fn name(&self) -> &'static str {
        "Rows"
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
        write!(f, "Rows: {}", self.rows.num_rows())
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

/// The physical leaf.
#[derive(Debug)]
pub struct SlotExec {
    rows: SlotRows,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl SlotExec {
    fn new(schema: SchemaRef, rows: SlotRows) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Self { rows, schema, properties }
    }
}

impl DisplayAs for SlotExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlotExec")
    }
}

impl ExecutionPlan for SlotExec {
    fn name(&self) -> &'static str {
        "SlotExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }
    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }
    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }
    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.rows.lock().clone();
        Ok(Box::pin(MemoryStream::try_new(rows, Arc::clone(&self.schema), None)?))
    }
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
        if let Some(fixed) = node.as_any().downcast_ref::<RowsNode>() {
            let rows = fixed.rows.as_ref().clone();
            let schema = rows.schema();
            return Ok(Some(MemorySourceConfig::try_new_exec(&[vec![rows]], schema, None)?));
        }
        let Some(slot) = node.as_any().downcast_ref::<SlotNode>() else { return Ok(None) };
        let schema = Arc::clone(slot.schema.inner());
        // A plan with one slot may give it any number.
        let Some(rows) = self.rows.get(slot.number).or(self.rows.last()) else { return Ok(None) };
        Ok(Some(Arc::new(SlotExec::new(schema, Arc::clone(rows)))))
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
    let planner =
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(SlotPlanner { rows })]);
    let optimized = state.optimize(plan)?;
    futures::executor::block_on(planner.create_physical_plan(&optimized, state))
}
