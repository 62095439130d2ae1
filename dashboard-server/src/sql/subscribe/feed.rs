//! The rows of a view as a leaf of a plan that is run again and again, each time over other windows.

use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::memory::MemoryStream;
use parking_lot::Mutex;
use tidemark_pipeline::sql::leaf::{Leaf, LeafRows};

/// The column that numbers the rows of a feed, behind those of the view. No query can name it: it is put in when the
/// query has been planned.
pub(super) const NUMBER: &str = "__number";

/// The rows of the next run.
type Rows = Arc<Mutex<Vec<RecordBatch>>>;

/// A view as a table that is fed.
#[derive(Debug)]
pub(super) struct FeedTable {
    schema: SchemaRef,
    rows: Rows,
}

impl FeedTable {
    /// A table of a view with these columns; nothing is in it.
    pub(super) fn new(view: &Schema) -> Self {
        let number = Arc::new(Field::new(NUMBER, DataType::UInt64, false));
        let fields = view.fields().iter().map(Arc::clone).chain([number]);
        Self { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), rows: Rows::default() }
    }

    /// Puts rows in, numbered over all batches, in place of those that were there.
    ///
    /// # Errors
    /// When they are not of the view's columns.
    pub(super) fn fill(&self, batches: &[&RecordBatch]) -> Result<()> {
        let mut numbered = Vec::with_capacity(batches.len());
        let mut first = 0_u64;
        for batch in batches {
            let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
            let numbers = UInt64Array::from_iter_values(first..first.saturating_add(rows));
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(numbers));
            numbered.push(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
            first = first.saturating_add(rows);
        }
        *self.rows.lock() = numbered;
        Ok(())
    }

    /// Takes the rows out.
    pub(super) fn clear(&self) {
        self.rows.lock().clear();
    }
}

#[async_trait]
impl TableProvider for FeedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let (rows, projection) = (Arc::clone(&self.rows), projection.cloned());
        Ok(Leaf::of(schema, FeedExec { rows, projection }))
    }
}

/// Reads the rows when it runs, and not when it is planned.
struct FeedExec {
    rows: Rows,
    projection: Option<Vec<usize>>,
}

impl LeafRows for FeedExec {
    fn name(&self) -> &'static str {
        "FeedExec"
    }

    fn open(
        &self,
        schema: &SchemaRef,
        _partition: usize,
        _task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.rows.lock().clone();
        let rows = match &self.projection {
            Some(columns) => {
                rows.iter().map(|batch| batch.project(columns)).collect::<Result<_, _>>()?
            }
            None => rows,
        };
        Ok(Box::pin(MemoryStream::try_new(rows, Arc::clone(schema), None)?))
    }
}
