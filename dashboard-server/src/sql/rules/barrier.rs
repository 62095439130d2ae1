//! A table with its guard: nothing that a query says reaches the rows that are not shown.
//!
//! To the planner it is a leaf. Predicates are not pushed through it (a division by zero, or a slow function, would tell
//! of rows that are not shown), it has no statistics (a count would), and EXPLAIN sees neither the condition nor how many
//! rows were passed over. What is below is planned and optimized by itself.

use std::sync::Arc;

use arrow::array::RecordBatchOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};
use futures::StreamExt as _;
use tidemark_pipeline::sql::leaf::{Leaf, LeafRows};

use super::guard::{Guard, Wanted};
use crate::sql::batches::BatchesExec;

/// A table as a role is shown it.
#[derive(Debug)]
pub(super) struct GuardedTable {
    table: Arc<dyn TableProvider>,
    guard: Arc<Guard>,
    schema: SchemaRef,
}

impl GuardedTable {
    /// The table behind its guard.
    pub(super) fn new(table: Arc<dyn TableProvider>, guard: Arc<Guard>) -> Self {
        let schema = Arc::new(guard.shown(&table.schema()));
        Self { table, guard, schema }
    }
}

#[async_trait]
impl TableProvider for GuardedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| match self.guard.may_ask_below(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let session = state.as_any().downcast_ref::<SessionState>();
        let session = session.ok_or_else(|| {
            DataFusionError::Internal("a guarded table is read by a session".to_owned())
        })?;
        // Asked again, for nothing says who else calls this.
        let conditions: Vec<Expr> =
            filters.iter().filter(|filter| self.guard.may_ask_below(filter)).cloned().collect();
        let wanted = Wanted { columns: projection, conditions: &conditions };
        let table = provider_as_source(Arc::clone(&self.table));
        let plan = self.guard.plan(session, table, &wanted)?;
        // How many rows come together says the query that reads it.
        let below = BatchesExec::without(session.create_physical_plan(&plan).await?);
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let partitions = below.output_partitioning().partition_count();
        let like = (partitions, below.pipeline_behavior(), below.boundedness());
        Ok(Leaf::like(schema, like, GuardedExec(below)))
    }
}

/// What is shown, as a leaf.
struct GuardedExec(Arc<dyn ExecutionPlan>);

impl LeafRows for GuardedExec {
    fn name(&self) -> &'static str {
        "GuardedExec"
    }

    fn open(
        &self,
        schema: &SchemaRef,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let shown = Arc::clone(schema);
        let below = self.0.execute(partition, task)?;
        let rows = below.map(move |batch| with_schema(&batch?, &shown));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), rows)))
    }
}

/// What a guarded table is read by, where a plan is one. For whoever looks at plans, never for who asks.
pub(in crate::sql) fn below_guard(
    plan: &Arc<dyn ExecutionPlan>,
) -> Option<&Arc<dyn ExecutionPlan>> {
    plan.downcast_ref::<Leaf>()?.source::<GuardedExec>().map(|guarded| &guarded.0)
}

/// The same rows under the names that were told; a count of rows has no columns.
fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().take(schema.fields().len()).map(Arc::clone).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)?)
}
