//! The ledgers as tables: read from their store while a query runs, filtered by the offsets of its cut.
//!
//! Nothing of a ledger is held in memory or in a cut. An entry that was written after the pinned cut is
//! of a record that the cut has not read, and is passed over; so a ledger and the accounting of one
//! query agree.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use tidemark_pipeline::ledger::table::{self, LedgerRow};
use tidemark_pipeline::ledger::{Entry, LedgerError, LedgerKind, LedgerStore};
use tidemark_pipeline::model::{Offset, PartitionId, Zone};

use super::rules::RoleRules;
use super::tables::Pin;

/// Rows of one batch.
const BATCH_ROWS: usize = 1_024;

/// Offset after the last record read, by stream and partition.
type Offsets = BTreeMap<String, BTreeMap<PartitionId, Offset>>;

/// A ledger of a result space at the pinned cut.
#[derive(Debug)]
pub(super) struct LedgerTable {
    ledger: LedgerKind,
    space: &'static str,
    store: Arc<LedgerStore>,
    zone: Zone,
    schema: SchemaRef,
    pin: Arc<Pin>,
}

impl LedgerTable {
    /// The ledger of this name; `None` when there is none.
    pub(super) fn named(name: &str, space: &'static str, pin: &Arc<Pin>) -> Option<Self> {
        let ledger = LedgerKind::named(name)?;
        let store = Arc::clone(pin.ledgers()?);
        let zone = pin.ledger_zone();
        let schema = table::schema(ledger, zone);
        Some(Self { ledger, space, store, zone, schema, pin: Arc::clone(pin) })
    }
}

#[async_trait]
impl TableProvider for LedgerTable {
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
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let entries = Entries {
            ledger: self.ledger,
            space: self.space,
            store: Arc::clone(&self.store),
            zone: self.zone,
            schema: Arc::clone(&self.schema),
            offsets: Arc::new(self.pin.cut().offsets.clone()),
            rules: self.pin.rules(),
        };
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(entries)];
        let schema = Arc::clone(&self.schema);
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, projection, [], false, limit)?))
    }
}

/// The entries of a ledger that stand at some offsets.
#[derive(Debug)]
struct Entries {
    ledger: LedgerKind,
    space: &'static str,
    store: Arc<LedgerStore>,
    zone: Zone,
    schema: SchemaRef,
    offsets: Arc<Offsets>,
    rules: Arc<RoleRules>,
}

impl PartitionStream for Entries {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send> =
            match self.store.scan(self.space, self.ledger) {
                Ok(entries) => {
                    let offsets = Arc::clone(&self.offsets);
                    let rules = Arc::clone(&self.rules);
                    let is_told = move |entry: &Result<Entry, LedgerError>| {
                        stands(entry, &offsets)
                            && entry.as_ref().map_or(true, |entry| rules.tells_of(&entry.id.stream))
                    };
                    let entries = entries.filter(is_told);
                    let rows = entries.flat_map(rows_or_error);
                    Box::new(Batches { ledger: self.ledger, zone: self.zone, rows: Box::new(rows) })
                }
                Err(error) => Box::new(std::iter::once(Err(failed(error)))),
            };
        let stream = futures::stream::iter(batches);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

/// Whether a cut of these offsets shows an entry; one that cannot be read is told.
fn stands(entry: &Result<Entry, LedgerError>, offsets: &Offsets) -> bool {
    let Ok(entry) = entry else { return true };
    let next = offsets.get(&entry.id.stream).and_then(|stream| stream.get(&entry.id.partition));
    next.is_some_and(|next| entry.stands_at(*next))
}

type LedgerRows = Box<dyn Iterator<Item = Result<LedgerRow, LedgerError>> + Send>;

fn rows_or_error(entry: Result<Entry, LedgerError>) -> LedgerRows {
    match entry {
        Ok(entry) => Box::new(table::rows_of(entry).map(Ok)),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

/// Rows gathered into batches.
struct Batches {
    ledger: LedgerKind,
    zone: Zone,
    rows: LedgerRows,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows: Result<Vec<LedgerRow>, LedgerError> =
            self.rows.by_ref().take(BATCH_ROWS).collect();
        match rows {
            Ok(rows) if rows.is_empty() => None,
            Ok(rows) => {
                let batch = table::batch(self.ledger, self.zone, &rows);
                Some(batch.map_err(DataFusionError::from))
            }
            Err(error) => Some(Err(failed(error))),
        }
    }
}

fn failed(error: LedgerError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
