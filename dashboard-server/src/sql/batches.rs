//! How many rows the operators of a part of a plan make together.
//!
//! A batch of many rows costs less by the row, and where much is written into every row of it, as by a join, its bytes are
//! counted by no pool, or all at once. So such steps, and what is below them, make few rows together, and everything else
//! many. A session says few: by that what makes its rows out of nothing goes, which no part of a plan can tell otherwise.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

/// Rows of a batch.
pub(super) const ROWS: usize = 8_192;

/// Rows that are made together where much is written into each of them. A row has at most `sql.row-bytes-max` bytes, so
/// this many have what one query may hold anyway.
pub(super) const COPIED_ROWS: usize = 1_024;

/// Has what is below make batches of so many rows.
#[derive(Debug)]
pub(super) struct BatchesExec {
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
}

impl BatchesExec {
    /// A whole plan, which makes many rows together where nothing in it says few.
    pub(super) fn of_query(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Self::over(plan, ROWS)
    }

    /// A plan that is a part of another and goes by what that says.
    pub(super) fn without(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        match plan.downcast_ref::<Self>() {
            Some(batches) => Arc::clone(&batches.input),
            None => plan,
        }
    }

    /// A step that writes much into each row, and what is below it up to where rows are put into groups: those are read
    /// by the usual many.
    ///
    /// # Errors
    /// When an operator refuses its inputs.
    pub(super) fn of_copies(step: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        if step.children().is_empty() {
            return Ok(Self::over(step, COPIED_ROWS));
        }
        let inputs = step.children().into_iter().map(|input| up_to_groups(Arc::clone(input)));
        let inputs = inputs.collect::<Result<_>>()?;
        Ok(Self::over(step.replace_children(inputs, AS_NEW)?, COPIED_ROWS))
    }

    fn over(input: Arc<dyn ExecutionPlan>, rows: usize) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, rows })
    }
}

const AS_NEW: ReplaceChildrenOptions =
    ReplaceChildrenOptions { children_properties: ChildrenPropertiesMode::Recompute };

fn up_to_groups(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let changed = plan.transform_down(|node| {
        // What is below has been seen to.
        if node.downcast_ref::<BatchesExec>().is_some() {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        }
        if !reads_rows_into_groups(node.as_ref()) {
            return Ok(Transformed::no(node));
        }
        let inputs = node.children().into_iter();
        let inputs = inputs.map(|input| BatchesExec::over(Arc::clone(input), ROWS)).collect();
        let node = node.replace_children(inputs, AS_NEW)?;
        Ok(Transformed::new(node, true, TreeNodeRecursion::Jump))
    })?;
    Ok(changed.data)
}

/// What comes out of it are groups, whatever batches go in.
fn reads_rows_into_groups(node: &dyn ExecutionPlan) -> bool {
    let aggregate = node.downcast_ref::<AggregateExec>();
    aggregate.is_some_and(|one| one.mode().input_mode() == AggregateInputMode::Raw)
}

impl DisplayAs for BatchesExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchesExec: rows={}", self.rows)
    }
}

impl ExecutionPlan for BatchesExec {
    fn name(&self) -> &'static str {
        "BatchesExec"
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

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
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
            Ok([input]) => Ok(Self::over(input, self.rows)),
            Err(_) => Err(DataFusionError::Internal("batches have one input".to_owned())),
        }
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, with_batches_of(self.rows, task))
    }
}

/// The same task for operators that make batches of so many rows.
fn with_batches_of(rows: usize, task: Arc<TaskContext>) -> Arc<TaskContext> {
    if task.session_config().batch_size() == rows {
        return task;
    }
    Arc::new(TaskContext::new(
        task.task_id(),
        task.session_id(),
        task.session_config().clone().with_batch_size(rows),
        task.scalar_functions().clone(),
        task.higher_order_functions().clone(),
        task.aggregate_functions().clone(),
        task.window_functions().clone(),
        task.runtime_env(),
    ))
}

/// The columns as [`owned`] gives them: texts and bytes in the form that every client knows.
pub(super) fn owned_schema(schema: &Schema) -> SchemaRef {
    let own = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        DataType::BinaryView => Arc::new(field.as_ref().clone().with_data_type(DataType::Binary)),
        _ => Arc::clone(field),
    };
    let fields: Vec<_> = schema.fields().iter().map(own).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The rows with texts of their own: views hold on to whole pages of the files that were read.
///
/// # Errors
/// When the engine cannot put them together again.
pub(super) fn owned(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        match column.data_type() {
            DataType::Utf8View | DataType::BinaryView => cast(column, field.data_type()),
            _ => Ok(Arc::clone(column)),
        }
    });
    let columns: Vec<ArrayRef> = columns.collect::<std::result::Result<_, _>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use arrow::array::{AsArray as _, Int64Array, StringViewArray};
    use datafusion::execution::FunctionRegistry as _;
    use datafusion::execution::memory_pool::UnboundedMemoryPool;
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::super::growth::{BoundFunctions, Budget, Running};
    use super::super::limits::Limit;
    use super::super::stopping::PauseAtJoins;
    use super::*;

    const ROW_BYTES_MAX: usize = 131_072;

    /// Two tables with ten thousand rows each, in one batch.
    fn session() -> (SessionContext, Running) {
        let config = SessionConfig::new().with_batch_size(COPIED_ROWS).with_target_partitions(1);
        let mut rules = PhysicalOptimizer::new().rules;
        rules.push(Arc::new(PauseAtJoins::new(ROW_BYTES_MAX)));
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .with_physical_optimizer_rules(rules)
            .build();
        let budget = Budget::new(Arc::new(UnboundedMemoryPool::default()), ROW_BYTES_MAX);
        let rewrite = Arc::new(BoundFunctions::new(Arc::clone(&budget)));
        state.register_function_rewrite(rewrite).expect("registered");
        let session = SessionContext::new_with_state(state);
        for name in ["a", "b"] {
            let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
            let rows = RecordBatch::try_from_iter([("x", rows)]).expect("fits");
            session.register_batch(name, rows).expect("registered");
        }
        let most = (Duration::from_secs(60), Limit::of_all("seconds-max"));
        (session, budget.begin(most, Arc::new(AtomicBool::new(false))))
    }

    /// The most rows of a batch of an answer, and how many there are.
    async fn most_rows(sql: &str) -> (usize, usize) {
        let (session, _running) = session();
        let batches = session.sql(sql).await.expect("plans").collect().await.expect("runs");
        let rows = || batches.iter().map(RecordBatch::num_rows);
        (rows().max().unwrap_or(0), rows().sum())
    }

    #[tokio::test]
    async fn many_rows_come_together_but_where_values_are_copied_into_each() {
        assert_eq!(most_rows("SELECT x + 1 FROM a WHERE x >= 0").await, (ROWS, 10_000));
        for join in [
            "SELECT a.x FROM a, b WHERE b.x < 3",
            "SELECT a.x FROM a JOIN b ON a.x = b.x",
            "SELECT a.x FROM a LEFT JOIN b ON a.x = b.x AND b.x < 5",
            "SELECT a.x FROM a JOIN b ON a.x < b.x AND b.x < 90",
            "SELECT a.x FROM generate_series(1, 5) a(x), generate_series(1, 9000) b(x)",
        ] {
            let (most, rows) = most_rows(join).await;
            assert!(most <= COPIED_ROWS && rows > COPIED_ROWS, "{join}: {most} of {rows}");
        }
    }

    #[tokio::test]
    async fn long_constants_and_what_can_grow_are_written_into_few_rows_at_a_time() {
        let constant =
            |bytes: usize| format!("SELECT x, '{}' AS t FROM a WHERE x >= 0", "t".repeat(bytes));
        assert_eq!(most_rows(&constant(100)).await, (ROWS, 10_000));
        assert_eq!(most_rows(&constant(ROW_BYTES_MAX / 2)).await, (COPIED_ROWS, 10_000));
        let grown = "SELECT lpad(CAST(x AS VARCHAR), 9) AS t FROM a WHERE x >= 0";
        assert_eq!(most_rows(grown).await, (COPIED_ROWS, 10_000));
    }

    #[tokio::test]
    async fn what_is_grouped_below_a_join_is_read_by_many_rows() {
        let sql = "SELECT a.x FROM a JOIN (SELECT x % 7 AS g, COUNT(*) AS n FROM b GROUP BY 1) AS g ON g.g = a.x";
        let (session, _running) = session();
        let plan = session.sql(sql).await.expect("plans").create_physical_plan().await;
        let plan = displayable(plan.expect("plans").as_ref()).indent(true).to_string();
        let place = |words: &str| plan.find(words).unwrap_or_else(|| panic!("{words}: {plan}"));
        assert!(place("BatchesExec: rows=1024") < place("HashJoinExec"), "{plan}");
        let grouped = &plan[place("AggregateExec: mode=")..];
        assert!(grouped.contains("BatchesExec: rows=8192"), "{plan}");
    }

    #[test]
    fn rows_that_are_kept_hold_on_to_nothing_else() {
        let text = "a text that is longer than a view";
        let texts = StringViewArray::from_iter_values(std::iter::repeat_n(text, 100_000));
        let few: ArrayRef = Arc::new(texts.slice(50_000, 2));
        let few = RecordBatch::try_from_iter([("text", few)]).expect("fits");
        assert!(few.get_array_memory_size() > 1_000_000);
        let own = owned(&few, &owned_schema(&few.schema())).expect("put together");
        assert_eq!(own.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some(text); 2]);
        assert!(own.get_array_memory_size() < 10_000, "{}", own.get_array_memory_size());
    }
}
