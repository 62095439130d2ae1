//! Entries as rows of SQL.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use super::entry::{Entry, LedgerKind};

/// A column: its name, its type and what it takes from an entry.
type Column = (&'static str, Value);

enum Value {
    Text(fn(&Entry) -> String),
    Integer(fn(&Entry) -> i64),
    Time(fn(&Entry) -> Option<i64>),
}

/// What stands first in every ledger: the place of the record.
const PLACE: [Column; 2] = [
    ("stream", Value::Text(|entry| entry.id.stream.clone())),
    ("topic", Value::Text(|entry| entry.topic.clone())),
];
const EVENT_TIME: Column = ("event_time", Value::Time(|entry| entry.event_time));
const KIND: Column = ("kind", Value::Text(|entry| entry.kind.clone()));
const REASON: Column = ("reason", Value::Text(|entry| entry.reason.clone()));
const OFFSET: Column = ("offset", Value::Integer(|entry| entry.id.offset));
const RAW_BYTES: Column =
    ("raw_bytes", Value::Integer(|entry| i64::try_from(entry.raw_bytes).unwrap_or(i64::MAX)));

fn columns(ledger: LedgerKind) -> Vec<Column> {
    let mut columns = Vec::from(PLACE);
    columns.push(OFFSET);
    match ledger {
        LedgerKind::Late => columns.extend([
            ("view", Value::Text(|entry| entry.id.part.clone())),
            ("window_start", Value::Time(|entry| entry.window.map(|window| window.0))),
            ("window_end", Value::Time(|entry| entry.window.map(|window| window.1))),
            ("windows_missed", Value::Integer(|entry| i64::from(entry.windows_missed))),
            EVENT_TIME,
            ("watermark", Value::Time(|entry| entry.watermark)),
        ]),
        LedgerKind::DeadLetter => {
            columns.extend([("log_time", Value::Time(|entry| entry.log_time)), KIND])
        }
        LedgerKind::Unmatched => columns.extend([
            ("view", Value::Text(|entry| entry.id.part.clone())),
            ("order_key", Value::Text(|entry| entry.order_key.clone())),
            EVENT_TIME,
            KIND,
        ]),
    }
    columns.push(REASON);
    columns.push(("raw", Value::Text(|entry| String::from_utf8_lossy(&entry.raw).into_owned())));
    columns.push(RAW_BYTES);
    columns
}

/// Columns of a ledger's table.
#[must_use]
pub fn schema(ledger: LedgerKind) -> SchemaRef {
    let mut fields: Vec<Field> = columns(ledger)
        .iter()
        .map(|(name, value)| match value {
            Value::Text(_) => Field::new(*name, DataType::Utf8, false),
            Value::Integer(_) => Field::new(*name, DataType::Int64, false),
            Value::Time(_) => Field::new(
                *name,
                DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
                true,
            ),
        })
        .collect();
    fields.insert(PLACE.len(), Field::new("partition", DataType::Int32, false));
    Arc::new(Schema::new(fields))
}

/// Entries as rows, in their order.
///
/// # Errors
/// Never, unless schema and columns disagree.
pub fn rows(ledger: LedgerKind, entries: &[Entry]) -> Result<RecordBatch, ArrowError> {
    let one = |(_, value): &Column| -> ArrayRef {
        match value {
            Value::Text(of) => {
                Arc::new(entries.iter().map(|entry| Some(of(entry))).collect::<StringArray>())
            }
            Value::Integer(of) => {
                Arc::new(entries.iter().map(|entry| Some(of(entry))).collect::<Int64Array>())
            }
            Value::Time(of) => {
                let times = entries.iter().map(|entry| of(entry).filter(|time| is_time(*time)));
                Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
            }
        }
    };
    let mut all: Vec<ArrayRef> = columns(ledger).iter().map(one).collect();
    let partitions = entries.iter().map(|entry| i32::try_from(entry.id.partition).ok());
    all.insert(PLACE.len(), Arc::new(partitions.collect::<Int32Array>()));
    RecordBatch::try_new(schema(ledger), all)
}

/// Before the first record a watermark is no time, and after the last one neither.
fn is_time(time: i64) -> bool {
    time != i64::MIN && time != i64::MAX
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray as _;

    use super::*;
    use crate::ledger::entry::EntryId;

    #[test]
    fn every_ledger_shows_place_reason_and_raw_record() {
        let id = EntryId {
            stream: "orders".to_owned(),
            partition: 2,
            offset: 40,
            part: "gmv_day".to_owned(),
        };
        let mut entry = Entry::about(id, "topic-of-orders");
        entry.reason = "too late".to_owned();
        entry.raw = b"{}".to_vec();
        entry.watermark = Some(i64::MIN);
        for ledger in LedgerKind::ALL {
            let rows = rows(ledger, std::slice::from_ref(&entry)).expect("fits its schema");
            let text = |name: &str| {
                rows.column_by_name(name).expect("column").as_string::<i32>().value(0).to_owned()
            };
            assert_eq!(
                ["stream", "topic", "reason", "raw"].map(text),
                ["orders", "topic-of-orders", "too late", "{}"]
            );
            assert!(
                rows.column_by_name("partition").is_some()
                    && rows.column_by_name("offset").is_some()
            );
        }
    }
}
