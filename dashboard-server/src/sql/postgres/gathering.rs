//! Answers within their limits: gathered before their first row is sent, and counted for as long as they wait to be fetched.
//!
//! The library listens to a cancel request only until the first row, so gathering is what makes cancelling work; and a slow
//! client holds no turn. What it does hold is memory: rows of a portal or a cursor that it takes a part of at a time. All of
//! that, of every connection, is counted in one place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion_postgres::pgwire::api::results::{FieldInfo, QueryResponse};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use futures::StreamExt as _;

use super::error::pg_error;
use crate::config::SqlConfig;
use crate::sql::batches;
use crate::sql::dialect::columns_as_written;
use crate::sql::error::SqlError;
use crate::sql::limits::Bounds;
use crate::sql::tables::Pin;

/// Bytes of the answers that wait to be fetched, over all connections.
#[derive(Debug)]
pub(super) struct Waiting {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Waiting {
    /// As many as the queries that may run at one time may hold together; past it an answer is refused.
    pub(super) fn new(limits: &SqlConfig) -> Arc<Self> {
        let bytes_max = limits.memory_bytes_max.saturating_mul(limits.concurrent_max);
        Arc::new(Self { bytes_max, bytes: AtomicUsize::new(0) })
    }
}

/// The bytes of one answer; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    waiting: Arc<Waiting>,
    bytes: usize,
}

impl Held {
    fn new(waiting: &Arc<Waiting>) -> Self {
        Self { waiting: Arc::clone(waiting), bytes: 0 }
    }

    fn grow(&mut self, bytes: usize) -> PgWireResult<()> {
        self.bytes += bytes;
        let all = self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all <= self.waiting.bytes_max {
            return Ok(());
        }
        let told = format!(
            "answers that wait to be fetched would hold more than {} bytes: fetch or close cursors and portals, or raise \
             sql.memory-bytes-max",
            self.waiting.bytes_max
        );
        let info = ErrorInfo::new("ERROR".to_owned(), "53200".to_owned(), told);
        Err(PgWireError::UserError(Box::new(info)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How much of an answer is gathered: as much as the role of the connection's user may have.
#[derive(Debug, Clone)]
pub(super) struct Gathering {
    pin: Arc<Pin>,
    waiting: Arc<Waiting>,
}

/// A whole answer, as the engine has it.
#[derive(Debug)]
pub(super) struct Batches {
    /// Its columns.
    pub(super) schema: SchemaRef,
    /// Its rows.
    pub(super) batches: Vec<RecordBatch>,
    /// What it holds.
    pub(super) held: Held,
}

impl Gathering {
    /// Within what is left by what waits already.
    pub(super) fn new(pin: Arc<Pin>, waiting: Arc<Waiting>) -> Self {
        Self { pin, waiting }
    }

    fn check(bounds: &Bounds, rows: usize, bytes: usize) -> PgWireResult<()> {
        if rows > bounds.rows.most {
            // A figure cut off in silence is a wrong one.
            return Err(pg_error(&SqlError::of_rows(bounds)));
        }
        if bytes > bounds.memory_bytes.most {
            return Err(pg_error(&SqlError::of_memory(bounds)));
        }
        Ok(())
    }

    /// The answer with all its rows at hand.
    ///
    /// # Errors
    /// Those of the query, and where it has more rows or bytes than it may.
    pub(super) async fn rows(&self, mut query: QueryResponse) -> PgWireResult<QueryResponse> {
        let mut held = Held::new(&self.waiting);
        let bounds = self.pin.rules().bounds;
        let (mut rows, mut bytes) = (Vec::new(), 0_usize);
        while let Some(row) = query.data_rows().next().await {
            let row = row?;
            let more = row.data.len() + size_of_val(&row);
            bytes = bytes.saturating_add(more);
            Self::check(&bounds, rows.len() + 1, bytes)?;
            held.grow(more)?;
            rows.push(row);
        }
        let tag = query.command_tag().to_owned();
        let rows = futures::stream::iter(rows).map(move |row| {
            // Counted until the last of them is gone.
            let _waiting = &held;
            Ok(row)
        });
        let fields = fields_as_written(query.row_schema().as_ref().clone());
        let mut gathered = QueryResponse::new(Arc::new(fields), rows);
        gathered.set_command_tag(&tag);
        Ok(gathered)
    }

    /// All that a query answers.
    ///
    /// # Errors
    /// Those of the query, and where it has more rows or bytes than it may.
    pub(super) async fn batches(&self, frame: DataFrame) -> PgWireResult<Batches> {
        let mut stream =
            frame.execute_stream().await.map_err(|error| PgWireError::ApiError(Box::new(error)))?;
        let schema = batches::owned_schema(&stream.schema());
        let mut held = Held::new(&self.waiting);
        let bounds = self.pin.rules().bounds;
        let (mut gathered, mut rows, mut bytes) = (Vec::new(), 0, 0_usize);
        while let Some(batch) = stream.next().await {
            let batch = batch.and_then(|batch| batches::owned(&batch, &schema));
            let batch = batch.map_err(|error| PgWireError::ApiError(Box::new(error)))?;
            rows += batch.num_rows();
            let more = batch.get_array_memory_size();
            bytes = bytes.saturating_add(more);
            Self::check(&bounds, rows, bytes)?;
            held.grow(more)?;
            gathered.push(batch);
        }
        Ok(Batches { schema, batches: gathered, held })
    }
}

/// The columns of an answer under the names that were written.
pub(super) fn fields_as_written(fields: Vec<FieldInfo>) -> Vec<FieldInfo> {
    let Some(names) = columns_as_written(fields.iter().map(FieldInfo::name)) else { return fields };
    let renamed = |(field, name): (&FieldInfo, String)| {
        let (table, column) = (field.table_id(), field.column_id());
        FieldInfo::new(name, table, column, field.datatype().clone(), field.format())
            .with_format_options(Arc::clone(field.format_options()))
            .with_type_size(field.type_size())
            .with_type_modifier(field.type_modifier())
    };
    fields.iter().zip(names).map(renamed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted_until_it_is_gone() {
        let waiting = Arc::new(Waiting { bytes_max: 100, bytes: AtomicUsize::new(0) });
        let mut one = Held::new(&waiting);
        one.grow(60).expect("fits");
        let mut other = Held::new(&waiting);
        let refused = other.grow(60).expect_err("does not fit").to_string();
        assert!(refused.contains("more than 100 bytes"), "{refused}");
        drop(other);
        let mut other = Held::new(&waiting);
        other.grow(40).expect("fits");
        drop((one, other));
        assert_eq!(waiting.bytes.load(Ordering::Relaxed), 0);
    }
}
