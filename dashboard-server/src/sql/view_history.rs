//! `view_history` as a table: read from its store while a query runs, of the views that are seen.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::scalar::ScalarValue;
use tidemark_pipeline::results::view_history::{self, ViewHistory};

use super::tables::Pin;

/// The history of the views that a session sees.
#[derive(Debug)]
pub(super) struct ViewHistoryTable {
    store: Arc<ViewHistory>,
    schema: SchemaRef,
    pin: Arc<Pin>,
}

impl ViewHistoryTable {
    /// The table; `None` where what views show is not kept.
    pub(super) fn of(pin: &Arc<Pin>) -> Option<Self> {
        let store = Arc::clone(pin.past()?.views.as_ref()?);
        Some(Self { store, schema: view_history::schema(), pin: Arc::clone(pin) })
    }
}

#[async_trait]
impl TableProvider for ViewHistoryTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// One view is read alone; every row is asked again.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let entries = Entries {
            store: Arc::clone(&self.store),
            schema: Arc::clone(&self.schema),
            pin: Arc::clone(&self.pin),
            view: filters.iter().find_map(view_of),
        };
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(entries)];
        let schema = Arc::clone(&self.schema);
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, projection, [], false, None)?))
    }
}

/// The view of a filter `view = '…'`.
fn view_of(filter: &Expr) -> Option<String> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else {
        return None;
    };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _))
        | (Expr::Literal(value, _), Expr::Column(column))
            if column.name == "view" =>
        {
            match value {
                ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) => text.clone(),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The entries of one view, or of all that are seen.
#[derive(Debug)]
struct Entries {
    store: Arc<ViewHistory>,
    schema: SchemaRef,
    pin: Arc<Pin>,
    view: Option<String>,
}

impl PartitionStream for Entries {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let pin = Arc::clone(&self.pin);
        let batches = self.store.scan(self.view.as_deref()).filter_map(move |entry| match entry {
            Ok(entry) if !pin.shows_raw_past_of(&entry.view, entry.at) => None,
            Ok(entry) => {
                let batch = view_history::batch(&entry).map_err(DataFusionError::from);
                Some(batch).filter(has_rows)
            }
            Err(error) => Some(Err(DataFusionError::External(Box::new(error)))),
        });
        let stream = futures::stream::iter(batches);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

fn has_rows(batch: &Result<RecordBatch>) -> bool {
    batch.as_ref().map_or(true, |batch| batch.num_rows() > 0)
}
