//! `history_versions`: which versions of histories there are to be asked for.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use tidemark_pipeline::history::HistoryAt;

use super::tables::Pin;

/// The versions of all histories; read from where these are when a query begins to run.
#[derive(Debug)]
pub(super) struct VersionsTable {
    schema: SchemaRef,
    pin: Arc<Pin>,
}

impl VersionsTable {
    /// Of the histories of a pin.
    pub(super) fn of(pin: &Arc<Pin>) -> Self {
        let at = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("stream", DataType::Utf8, false),
            Field::new("version", DataType::UInt64, false),
            Field::new("committed_at", at, false),
        ]);
        Self { schema: Arc::new(schema), pin: Arc::clone(pin) }
    }

    async fn rows(&self) -> Result<RecordBatch> {
        let (cut, rules) = (self.pin.cut(), self.pin.rules());
        let (mut streams, mut versions, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for (stream, table) in cut.histories.iter().filter(|(stream, _)| rules.tells_of(stream)) {
            let table: &dyn Any = table.as_ref();
            let Some(history) = table.downcast_ref::<HistoryAt>() else { continue };
            let found = history.versions().await;
            for (version, at) in
                found.map_err(|error| DataFusionError::External(Box::new(error)))?
            {
                streams.push(stream.as_str());
                versions.push(version);
                times.push(at);
            }
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(streams)),
            Arc::new(UInt64Array::from(versions)),
            Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

#[async_trait]
impl TableProvider for VersionsTable {
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
        let rows = vec![self.rows().await?];
        let schema = Arc::clone(&self.schema);
        let exec = MemorySourceConfig::try_new_exec(&[rows], schema, projection.cloned())?;
        Ok(exec)
    }
}
