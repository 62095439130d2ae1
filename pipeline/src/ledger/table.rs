//! Entries as rows of SQL.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use super::entry::{Entry, LedgerKind};
use crate::model::Zone;

/// A row: an entry, and of the late ledger one of the windows that its record missed, epoch milliseconds.
#[derive(Debug, Clone)]
pub struct LedgerRow {
    entry: Arc<Entry>,
    window: Option<(i64, i64)>,
}

/// The rows of an entry: one for each window that a late record missed, and one in the other ledgers.
pub fn rows_of(entry: Entry) -> impl Iterator<Item = LedgerRow> + Send {
    let entry = Arc::new(entry);
    let (windows, count) = (Arc::clone(&entry), entry.missed.runs().len());
    let missed = (0..count).flat_map(move |run| {
        let entry = Arc::clone(&windows);
        let run = entry.missed.runs().get(run).copied();
        run.into_iter()
            .flat_map(|run| run.windows())
            .map(move |window| LedgerRow { entry: Arc::clone(&entry), window: Some(window) })
    });
    let without = (count == 0).then_some(LedgerRow { entry, window: None });
    without.into_iter().chain(missed)
}

/// A column: its name, its type and what it takes from a row.
type Column = (&'static str, Value);

enum Value {
    Text(fn(&Entry) -> String),
    Integer(fn(&Entry) -> i64),
    Time(fn(&LedgerRow) -> Option<i64>),
}

/// What stands first in every ledger: the place of the record.
const PLACE: [Column; 2] = [
    ("stream", Value::Text(|entry| entry.id.stream.clone())),
    ("topic", Value::Text(|entry| entry.topic.clone())),
];
const EVENT_TIME: Column = ("event_time", Value::Time(|row| row.entry.event_time));
const KIND: Column = ("kind", Value::Text(|entry| entry.kind.clone()));
const REASON: Column = ("reason", Value::Text(|entry| entry.reason.clone()));
const OFFSET: Column = ("offset", Value::Integer(|entry| entry.id.offset));
const RAW_BYTES: Column = ("raw_bytes", Value::Integer(|entry| integer(entry.raw_bytes)));

fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn columns(ledger: LedgerKind) -> Vec<Column> {
    let mut columns = Vec::from(PLACE);
    columns.push(OFFSET);
    match ledger {
        LedgerKind::Late => columns.extend([
            ("view", Value::Text(|entry| entry.id.part.clone())),
            ("window_start", Value::Time(|row| row.window.map(|window| window.0))),
            ("window_end", Value::Time(|row| row.window.map(|window| window.1))),
            ("windows_missed", Value::Integer(|entry| integer(entry.missed.count()))),
            EVENT_TIME,
            ("watermark", Value::Time(|row| row.entry.watermark)),
        ]),
        LedgerKind::DeadLetter => {
            columns.extend([("log_time", Value::Time(|row| row.entry.log_time)), KIND])
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

/// Columns of a ledger's table; its times have the zone of the streams it tells of.
#[must_use]
pub fn schema(ledger: LedgerKind, zone: Zone) -> SchemaRef {
    let mut fields: Vec<Field> = columns(ledger)
        .iter()
        .map(|(name, value)| match value {
            Value::Text(_) => Field::new(*name, DataType::Utf8, false),
            Value::Integer(_) => Field::new(*name, DataType::Int64, false),
            Value::Time(_) => Field::new(
                *name,
                DataType::Timestamp(TimeUnit::Millisecond, Some(zone.name().into())),
                true,
            ),
        })
        .collect();
    fields.insert(PLACE.len(), Field::new("partition", DataType::Int32, false));
    Arc::new(Schema::new(fields))
}

/// Rows as a batch of this [`schema`], in their order.
///
/// # Errors
/// Never, unless schema and columns disagree.
pub fn batch(
    ledger: LedgerKind,
    zone: Zone,
    rows: &[LedgerRow],
) -> Result<RecordBatch, ArrowError> {
    let one = |(_, value): &Column| -> ArrayRef {
        match value {
            Value::Text(of) => {
                Arc::new(rows.iter().map(|row| Some(of(&row.entry))).collect::<StringArray>())
            }
            Value::Integer(of) => {
                Arc::new(rows.iter().map(|row| Some(of(&row.entry))).collect::<Int64Array>())
            }
            Value::Time(of) => {
                let times = rows.iter().map(|row| of(row).filter(|time| is_time(*time)));
                Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone(zone.name()))
            }
        }
    };
    let mut all: Vec<ArrayRef> = columns(ledger).iter().map(one).collect();
    let partitions = rows.iter().map(|row| i32::try_from(row.entry.id.partition).ok());
    all.insert(PLACE.len(), Arc::new(partitions.collect::<Int32Array>()));
    RecordBatch::try_new(schema(ledger, zone), all)
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
    use crate::model::MissedWindows;

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
            let rows: Vec<LedgerRow> = rows_of(entry.clone()).collect();
            assert_eq!(rows.len(), 1);
            let rows = batch(ledger, Zone::UTC, &rows).expect("fits its schema");
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

    #[test]
    fn a_late_record_has_a_row_for_each_window_it_missed() {
        let id = EntryId {
            stream: "orders".to_owned(),
            partition: 0,
            offset: 7,
            part: "gmv_by_second".to_owned(),
        };
        let mut entry = Entry::about(id, "orders");
        entry.missed = MissedWindows::of_each((1..=600).map(|end| (0, end * 1_000)));
        let rows: Vec<LedgerRow> = rows_of(entry).collect();
        let table = batch(LedgerKind::Late, Zone::UTC, &rows).expect("fits its schema");
        let ends = table.column_by_name("window_end").expect("column");
        let ends = ends.as_primitive::<arrow::datatypes::TimestampMillisecondType>();
        let wanted: Vec<i64> = (1..=600).map(|end| end * 1_000).collect();
        assert_eq!(ends.values().to_vec(), wanted);
    }
}
