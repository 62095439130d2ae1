//! The accounting as tables: what became of every record, of streams and of views.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;

use crate::admit::RecordCounts;
use crate::lifecycle::Counts;
use crate::model::{DeadLetter, PartitionId};
use crate::sql::catalog::system_tables;
use crate::windows::ViewCounts;

/// One row of `records_accounted`.
pub type RecordRow<'a> = (&'a str, PartitionId, RecordCounts);
/// One row of `views_accounted`.
pub type ViewRow<'a> = (&'a str, PartitionId, ViewCounts);

/// One row of `lifecycle_accounted`.
pub type OrdersRow<'a> = (&'a str, PartitionId, Counts);

/// The table `records_accounted`.
///
/// # Errors
/// Never, unless its schema and its columns disagree.
pub fn records_accounted(rows: &[RecordRow<'_>]) -> Result<RecordBatch, ArrowError> {
    let counts: [fn(&RecordCounts) -> u64; 6] =
        [|c| c.read, |c| c.accepted, |c| c.duplicate, |c| c.rejected, |c| c.shadow, |c| c.control];
    let mut columns = named(rows.iter().map(|(stream, partition, _)| (*stream, *partition)));
    for count in counts {
        columns.push(numbers(rows.iter().map(|(.., counts)| count(counts))));
    }
    table("records_accounted", columns)
}

/// The table `views_accounted`.
///
/// # Errors
/// Never, unless its schema and its columns disagree.
pub fn views_accounted(rows: &[ViewRow<'_>]) -> Result<RecordBatch, ArrowError> {
    let counts: [fn(&ViewCounts) -> u64; 4] = [|c| c.accepted, |c| c.counted, |c| c.filtered, |c| c.late];
    let mut columns = named(rows.iter().map(|(view, partition, _)| (*view, *partition)));
    for count in counts {
        columns.push(numbers(rows.iter().map(|(.., counts)| count(counts))));
    }
    table("views_accounted", columns)
}

/// The table `lifecycle_accounted`.
///
/// # Errors
/// Never, unless its schema and its columns disagree.
pub fn lifecycle_accounted(rows: &[OrdersRow<'_>]) -> Result<RecordBatch, ArrowError> {
    let mut columns = named(rows.iter().map(|(table, partition, _)| (*table, *partition)));
    for nth in 0..Counts::NAMES.len() {
        columns.push(numbers(rows.iter().map(|(.., counts)| counts.to_numbers()[nth])));
    }
    table("lifecycle_accounted", columns)
}

fn named<'a>(rows: impl Iterator<Item = (&'a str, PartitionId)>) -> Vec<ArrayRef> {
    let (names, partitions): (Vec<&str>, Vec<i32>) =
        rows.map(|(name, partition)| (name, i32::try_from(partition).unwrap_or(i32::MAX))).unzip();
    vec![Arc::new(StringArray::from(names)), Arc::new(Int32Array::from(partitions))]
}

fn numbers(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(values.map(|value| Some(i64::try_from(value).unwrap_or(i64::MAX))).collect::<Int64Array>())
}

fn table(name: &str, columns: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
    let schema = system_tables().into_iter().find(|(found, _)| *found == name).map(|(_, schema)| schema);
    RecordBatch::try_new(schema.unwrap_or_else(|| Arc::new(Schema::empty())), columns)
}

/// A late record as its ledger shows it.
#[derive(Debug, Clone)]
pub struct LateEntry {
    /// Stream it was read for.
    pub stream: String,
    /// Partition and offset.
    pub position: (PartitionId, i64),
    /// The view whose window it missed.
    pub view: String,
    /// Last window it missed, epoch milliseconds.
    pub window: (i64, i64),
    /// How many windows it missed.
    pub windows_missed: u32,
    /// Its event time and the partition's watermark before it, epoch milliseconds.
    pub times: (i64, i64),
    /// The raw record.
    pub raw: Vec<u8>,
}

/// The newest entries of a ledger, at most `rows_max`; the counters never forget.
#[derive(Debug)]
pub struct Ledger<T> {
    entries: VecDeque<T>,
    rows_max: usize,
    table: Option<RecordBatch>,
}

impl<T> Ledger<T> {
    /// An empty ledger.
    #[must_use]
    pub fn new(rows_max: usize) -> Self {
        Self { entries: VecDeque::new(), rows_max, table: None }
    }

    /// Adds an entry; the oldest goes when there are too many.
    pub fn push(&mut self, entry: T) {
        if self.entries.len() == self.rows_max {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.table = None;
    }
}

fn text_field(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn time_field(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true)
}

fn times(values: impl Iterator<Item = i64>) -> ArrayRef {
    let values = values.map(|value| (value != i64::MIN && value != i64::MAX).then_some(value));
    Arc::new(values.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<StringArray>())
}

impl Ledger<LateEntry> {
    /// The table `late_orders`.
    ///
    /// # Errors
    /// Never, unless its schema and its columns disagree.
    pub fn table(&mut self) -> Result<RecordBatch, ArrowError> {
        if let Some(table) = &self.table {
            return Ok(table.clone());
        }
        let schema = Schema::new(vec![
            text_field("stream"),
            Field::new("partition", DataType::Int32, false),
            Field::new("offset", DataType::Int64, false),
            text_field("view"),
            time_field("window_start"),
            time_field("window_end"),
            Field::new("windows_missed", DataType::Int64, false),
            time_field("event_time"),
            time_field("watermark"),
            text_field("raw"),
        ]);
        let all = || self.entries.iter();
        let columns: Vec<ArrayRef> = vec![
            texts(all().map(|entry| entry.stream.clone())),
            Arc::new(all().map(|entry| i32::try_from(entry.position.0).ok()).collect::<Int32Array>()),
            Arc::new(all().map(|entry| Some(entry.position.1)).collect::<Int64Array>()),
            texts(all().map(|entry| entry.view.clone())),
            times(all().map(|entry| entry.window.0)),
            times(all().map(|entry| entry.window.1)),
            Arc::new(all().map(|entry| Some(i64::from(entry.windows_missed))).collect::<Int64Array>()),
            times(all().map(|entry| entry.times.0)),
            times(all().map(|entry| entry.times.1)),
            texts(all().map(|entry| String::from_utf8_lossy(&entry.raw).into_owned())),
        ];
        let table = RecordBatch::try_new(Arc::new(schema), columns)?;
        self.table = Some(table.clone());
        Ok(table)
    }
}

impl Ledger<DeadLetter> {
    /// The table `dead_letters`.
    ///
    /// # Errors
    /// Never, unless its schema and its columns disagree.
    pub fn table(&mut self) -> Result<RecordBatch, ArrowError> {
        if let Some(table) = &self.table {
            return Ok(table.clone());
        }
        let schema = Schema::new(vec![
            text_field("stream"),
            text_field("origin"),
            Field::new("partition", DataType::Int32, false),
            Field::new("offset", DataType::Int64, false),
            text_field("reason"),
            text_field("raw"),
        ]);
        let all = || self.entries.iter();
        let columns: Vec<ArrayRef> = vec![
            texts(all().map(|letter| letter.stream.clone())),
            texts(all().map(|letter| letter.position.origin.clone())),
            Arc::new(all().map(|letter| i32::try_from(letter.position.partition).ok()).collect::<Int32Array>()),
            Arc::new(all().map(|letter| Some(letter.position.offset)).collect::<Int64Array>()),
            texts(all().map(|letter| letter.reason.to_string())),
            texts(all().map(|letter| String::from_utf8_lossy(&letter.raw).into_owned())),
        ];
        let table = RecordBatch::try_new(Arc::new(schema), columns)?;
        self.table = Some(table.clone());
        Ok(table)
    }
}
