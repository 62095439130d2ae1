//! The rows of a history: the stream's columns as Delta Lake holds them, and where each record stands.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch,
    StringArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{DataFusionError, Result};

use super::HistoryError;
use crate::model::{MS_A_DAY, Offset, PartitionId, Zone};
use crate::sql::StreamDefinition;

/// What a history knows of a record beside the stream's columns.
const OWN: [(&str, DataType); 4] = [
    ("event_date", DataType::Date32),
    ("partition", DataType::Int32),
    ("offset", DataType::Int64),
    ("late", DataType::Boolean),
];
/// The column by which the files are laid out.
pub const DATE: &str = "event_date";
/// The column with the record's partition.
pub const PARTITION: &str = "partition";
/// The column with the record's offset.
pub const OFFSET: &str = "offset";

/// Bytes of a hash that are written, as hexadecimal digits: 128 bits, so that no two buyers meet.
const HASH_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// The key by which values are hashed; with it a value can be looked up, without it a hash says nothing.
#[derive(Clone)]
pub struct HashKey([u8; KEY_BYTES]);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(secret)")
    }
}

impl HashKey {
    /// A key of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key in `file`: 64 hexadecimal digits. Where there is no such file, it is made with a random key
    /// that only its owner may read; whoever loses it cannot link old hashes with new ones.
    ///
    /// # Errors
    /// When the file cannot be read or made, or holds something else.
    pub fn read_or_make(file: &Path) -> std::result::Result<Self, HistoryError> {
        let failed =
            |detail: String| HistoryError::Key { place: file.display().to_string(), detail };
        match std::fs::read_to_string(file) {
            Ok(text) => parse(text.trim()).map(Self).ok_or_else(|| {
                failed(format!("it must hold {} hexadecimal digits", 2 * KEY_BYTES))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key: [u8; KEY_BYTES] = rand::random();
                make(file, &hex(&key)).map_err(|error| failed(error.to_string()))?;
                Ok(Self(key))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// The keyed BLAKE3 hash of a value, 32 hexadecimal digits.
    #[must_use]
    pub fn hash(&self, value: &str) -> String {
        let hash = blake3::keyed_hash(&self.0, value.as_bytes());
        hex(hash.as_bytes().get(..HASH_BYTES).unwrap_or(&[]))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

fn parse(text: &str) -> Option<[u8; KEY_BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let mut key = [0; KEY_BYTES];
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

fn make(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut made =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(made, "{text}")?;
    made.sync_all()
}

/// How the rows of a stream are kept.
#[derive(Debug)]
pub struct HistoryLayout {
    stream: String,
    /// What is kept.
    pub schema: SchemaRef,
    /// The same columns as SQL shows them, with the types that a view over the stream sees, but texts as views of what was
    /// read from files, which copies none.
    pub shown: SchemaRef,
    /// A number of what is declared of the stream: under another declaration other records are accepted.
    pub declaration: i64,
    /// Days that are kept behind the newest; `None` for all.
    pub days: Option<i32>,
    hashed: Vec<usize>,
    zone: Zone,
    key: HashKey,
}

impl HistoryLayout {
    /// The layout of a stream.
    ///
    /// # Errors
    /// When the stream has a column with the name of one of the history's own, or a hashed one is no text.
    pub fn of(
        definition: &StreamDefinition,
        key: HashKey,
    ) -> std::result::Result<Self, HistoryError> {
        let stream = definition.name.clone();
        let wrong = |detail: String| HistoryError::Layout { stream: stream.clone(), detail };
        let mut fields = Vec::with_capacity(definition.columns.len() + OWN.len());
        let mut shown = Vec::with_capacity(definition.columns.len() + OWN.len());
        for (at, column) in definition.columns.iter().enumerate() {
            let name = column.field.name();
            if OWN.iter().any(|(own, _)| own == name) {
                return Err(wrong(format!(
                    "it has a column {name} of its own; rename the stream's, or leave 'history' away"
                )));
            }
            let kept = match definition.history_hashed.contains(&at) {
                true if *column.field.data_type() == DataType::Utf8 => DataType::Utf8,
                true => {
                    return Err(wrong(format!(
                        "only text is hashed, and {name} is {}",
                        column.declared
                    )));
                }
                false => as_kept(column.field.data_type()),
            };
            fields.push(Field::new(name, kept, true));
            shown.push(Field::new(name, as_shown(column.field.data_type()), true));
        }
        let own = OWN.map(|(name, kind)| Field::new(name, kind, true));
        fields.extend(own.clone());
        shown.extend(own);
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            shown: Arc::new(Schema::new(shown)),
            declaration: number_of(&definition.hash()),
            days: definition.history_days,
            hashed: definition.history_hashed.clone(),
            zone: definition.zone,
            stream,
            key,
        })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The rows as they are kept. `rows` begins with the stream's columns; `times` and `watermarks` are each
    /// row's event time and the partition's watermark before it, epoch milliseconds.
    ///
    /// # Errors
    /// When a column does not have the declared type.
    pub fn rows(
        &self,
        rows: &RecordBatch,
        partition: PartitionId,
        (offsets, times, watermarks): (&[Offset], &[i64], &[i64]),
    ) -> Result<RecordBatch> {
        let declared = self.schema.fields().len() - OWN.len();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (at, field) in self.schema.fields().iter().take(declared).enumerate() {
            let column = rows.column(at);
            columns.push(match self.hashed.contains(&at) {
                true => self.hashes(column)?,
                false if column.data_type() == field.data_type() => Arc::clone(column),
                false => cast(column, field.data_type())?,
            });
        }
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        let day = |time: &i64| {
            i32::try_from(self.zone.wall_ms(*time).div_euclid(MS_A_DAY)).unwrap_or(i32::MAX)
        };
        columns.push(Arc::new(Date32Array::from_iter_values(times.iter().map(day))));
        columns.push(Arc::new(Int32Array::from_iter_values(std::iter::repeat_n(
            partition,
            times.len(),
        ))));
        columns.push(Arc::new(Int64Array::from_iter_values(offsets.iter().copied())));
        // Late by the stream's own watermark: whatever views there are, it is the same.
        let late = times.iter().zip(watermarks).map(|(time, watermark)| Some(time <= watermark));
        columns.push(Arc::new(BooleanArray::from_iter(late)));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn hashes(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let not_text = || DataFusionError::Internal("a hashed column is not text".to_owned());
        let values = column.as_any().downcast_ref::<StringArray>().ok_or_else(not_text)?;
        let mut hashes = StringBuilder::with_capacity(values.len(), values.len() * 2 * HASH_BYTES);
        for value in values {
            hashes.append_option(value.map(|value| self.key.hash(value)));
        }
        Ok(Arc::new(hashes.finish()))
    }
}

/// The leading 60 bits of a hash in hexadecimal digits: Delta Lake keeps a number for an application, not a text.
fn number_of(hash: &str) -> i64 {
    hash.get(..15).and_then(|digits| i64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// The type in Delta Lake: microseconds, signed integers.
fn as_kept(declared: &DataType) -> DataType {
    match declared {
        DataType::Timestamp(_, _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        other => other.clone(),
    }
}

/// The type in SQL.
fn as_shown(declared: &DataType) -> DataType {
    match declared {
        DataType::Utf8 => DataType::Utf8View,
        other => other.clone(),
    }
}

/// Rows of one partition on their way into the history, ascending by offset.
#[derive(Debug)]
pub struct HistoryRows {
    layout: Arc<HistoryLayout>,
    partition: PartitionId,
    waiting: Vec<RecordBatch>,
}

impl HistoryRows {
    /// No rows yet.
    #[must_use]
    pub fn new(layout: Arc<HistoryLayout>, partition: PartitionId) -> Self {
        Self { layout, partition, waiting: Vec::new() }
    }

    /// Takes rows in, as [`HistoryLayout::rows`].
    ///
    /// # Errors
    /// When a column does not have the declared type.
    pub fn note(&mut self, rows: &RecordBatch, told: (&[Offset], &[i64], &[i64])) -> Result<()> {
        if rows.num_rows() > 0 {
            self.waiting.push(self.layout.rows(rows, self.partition, told)?);
        }
        Ok(())
    }

    /// The rows since the last call.
    pub fn take(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.waiting)
    }
}
