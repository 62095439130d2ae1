//! `running_queries` and `query_log`: the queries of all doors as tables.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;

use super::running::{Queries, Running, Watch};

/// Table of what runs; the query that reads it is in it.
pub(super) const RUNNING_TABLE: &str = "running_queries";
/// Table of what ran.
pub(super) const LOG_TABLE: &str = "query_log";

fn common() -> Vec<Field> {
    let began = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("door", DataType::Utf8, false),
        Field::new("who", DataType::Utf8, false),
        Field::new("began_at", began, false),
        Field::new("ms", DataType::Int64, false),
        Field::new("statement", DataType::Utf8, false),
    ]
}

/// Columns of `running_queries`.
pub(super) fn running_schema() -> SchemaRef {
    Arc::new(Schema::new(common()))
}

/// Columns of `query_log`.
pub(super) fn log_schema() -> SchemaRef {
    let more =
        [Field::new("rows", DataType::UInt64, true), Field::new("outcome", DataType::Utf8, false)];
    Arc::new(Schema::new(common().into_iter().chain(more).collect::<Vec<_>>()))
}

/// What runs now, as far as it may be seen.
pub(super) fn running_batch(queries: &Queries, watch: &Watch) -> Result<RecordBatch> {
    let running = queries.running(watch);
    let all: Vec<(&Running, i64)> =
        running.iter().map(|query| (query.as_ref(), query.ran_ms())).collect();
    Ok(RecordBatch::try_new(running_schema(), columns(&all))?)
}

/// What ran, as far as it may be seen, the newest first.
pub(super) fn log_batch(queries: &Queries, watch: &Watch) -> Result<RecordBatch> {
    let log = queries.log(watch);
    let all: Vec<(&Running, i64)> =
        log.iter().map(|ran| (ran.query.as_ref(), ran.took_ms)).collect();
    let mut columns = columns(&all);
    columns.push(Arc::new(log.iter().map(|ran| ran.rows).collect::<UInt64Array>()));
    columns.push(Arc::new(log.iter().map(|ran| Some(ran.outcome)).collect::<StringArray>()));
    Ok(RecordBatch::try_new(log_schema(), columns)?)
}

fn columns(all: &[(&Running, i64)]) -> Vec<ArrayRef> {
    let texts = |of: fn(&Running) -> &str| -> ArrayRef {
        Arc::new(all.iter().map(|(query, _)| Some(of(query))).collect::<StringArray>())
    };
    let began = all.iter().map(|(query, _)| Some(query.began_at));
    vec![
        texts(|query| &query.id),
        texts(|query| query.door.as_str()),
        texts(|query| &query.who),
        Arc::new(began.collect::<TimestampMillisecondArray>().with_timezone("UTC")),
        Arc::new(all.iter().map(|(_, ms)| Some(*ms)).collect::<Int64Array>()),
        texts(|query| &query.statement),
    ]
}
