//! The leaf of an executable plan: no plan below it that an optimizer could look into, only rows that come when it runs.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};

/// Where the rows of a leaf come from.
pub trait LeafRows: Any + Send + Sync {
    /// What the leaf is called in a plan.
    fn name(&self) -> &'static str;

    /// The rows of a partition, which have the columns of `schema`.
    ///
    /// # Errors
    /// When they cannot be had.
    fn open(
        &self,
        schema: &SchemaRef,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream>;
}

/// A leaf; nothing is said of it but its columns and how its rows come.
pub struct Leaf {
    rows: Box<dyn LeafRows>,
    properties: Arc<PlanProperties>,
}

impl Leaf {
    /// A leaf of one partition, whose rows end.
    #[must_use]
    pub fn of(schema: SchemaRef, rows: impl LeafRows) -> Arc<dyn ExecutionPlan> {
        Self::like(schema, (1, EmissionType::Incremental, Boundedness::Bounded), rows)
    }

    /// Where its rows come from, if that is of this type.
    #[must_use]
    pub fn source<R: LeafRows>(&self) -> Option<&R> {
        let rows: &dyn Any = self.rows.as_ref();
        rows.downcast_ref::<R>()
    }

    /// A leaf whose rows come in so many partitions, and so.
    #[must_use]
    pub fn like(
        schema: SchemaRef,
        (partitions, emission, boundedness): (usize, EmissionType, Boundedness),
        rows: impl LeafRows,
    ) -> Arc<dyn ExecutionPlan> {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            emission,
            boundedness,
        ));
        Arc::new(Self { rows: Box::new(rows), properties })
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rows.name())
    }
}

impl DisplayAs for Leaf {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rows.name())
    }
}

impl ExecutionPlan for Leaf {
    fn name(&self) -> &str {
        self.rows.name()
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
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }
    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.rows.open(&self.schema(), partition, task)
    }
}
