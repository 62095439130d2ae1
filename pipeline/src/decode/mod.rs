//! Bytes into Arrow columns: the declared fields of a stream, exact, or the reason why not.
//!
//! A record is first read into [`Value`]s and only then appended, so that a bad field in the middle
//! leaves no half row behind.

pub mod columns;
pub mod csv;
pub mod decimal;
pub mod json;
pub mod plain;
mod texts;
pub mod value;

pub use columns::Columns;
pub use plain::Plain;
pub use value::{FieldType, Value};

use std::collections::BTreeMap;

use crate::model::{Record, RejectReason};

/// One declared field of the record.
#[derive(Debug, Clone)]
pub struct FieldSpec {
    /// Name in the record and in SQL.
    pub name: String,
    /// How its text is read.
    pub field_type: FieldType,
    /// Type as declared, for messages.
    pub declared: String,
    /// Whether NOT NULL is declared.
    pub required: bool,
    /// What the log knows of the record that this column holds; `None` for a field of the record itself.
    pub metadata: Option<RecordMetadata>,
}

/// What a log knows of a record beside its bytes, as Flink's Kafka connector names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordMetadata {
    /// The log's own timestamp: when it arrived, or was sent. NULL where the source has none.
    Timestamp,
    /// Its partition.
    Partition,
    /// Its offset.
    Offset,
}

impl RecordMetadata {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Timestamp, Self::Partition, Self::Offset];

    /// Its name behind `METADATA FROM`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Partition => "partition",
            Self::Offset => "offset",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.key() == key)
    }

    fn of(self, record: &Record<'_>) -> Value<'static> {
        match self {
            Self::Timestamp => record.timestamp_ms.map_or(Value::Null, Value::Integer),
            Self::Partition => Value::Integer(i64::from(record.partition)),
            Self::Offset => Value::Integer(record.offset),
        }
    }
}

impl FieldSpec {
    /// Whether the record's field of this name is this column's.
    #[must_use]
    pub fn is_field(&self, name: &str) -> bool {
        self.metadata.is_none() && self.name == name
    }
}

/// The format of a stream's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// One CSV record; the columns by name, in the order of the file.
    Csv {
        /// The names in the header, or the declared fields in order.
        header: Vec<String>,
        /// The byte between fields.
        delimiter: u8,
    },
}

/// Reads the records of one stream.
#[derive(Debug)]
pub struct Decoder {
    fields: Vec<FieldSpec>,
    format: Format,
    reject_unknown: bool,
    /// See [`plain::wanted_of`].
    wanted: Vec<plain::Wanted>,
    /// The columns that are declared NOT NULL.
    required: Vec<usize>,
    /// Room for one row.
    row: Vec<Plain>,
    /// What could be read of the record decoded last, if it was refused.
    refused: Vec<Value<'static>>,
    /// The column that holds the record's own offset, where one is declared.
    offset_column: Option<usize>,
    /// The columns that hold what the log knows of the record.
    metadata: Vec<(usize, RecordMetadata)>,
    unknown: BTreeMap<String, u64>,
}

/// A column of this name, declared BIGINT, holds the record's offset (the line, in a file) and no field.
pub const OFFSET_COLUMN: &str = "__offset";

/// Names of unknown fields that are counted one by one; the rest are counted together under `…`.
const UNKNOWN_FIELDS_MAX: usize = 100;

impl Decoder {
    /// A decoder for these fields.
    #[must_use]
    pub fn new(fields: Vec<FieldSpec>, format: Format, reject_unknown: bool) -> Self {
        let row = Vec::with_capacity(fields.len());
        let wanted = plain::wanted_of(&fields);
        let required = (0..fields.len()).filter(|at| fields[*at].required).collect();
        let offset_column = fields.iter().position(|field| field.name == OFFSET_COLUMN);
        let metadata = fields
            .iter()
            .enumerate()
            .filter_map(|(at, field)| Some((at, field.metadata?)))
            .collect();
        let refused = Vec::new();
        Self {
            fields,
            wanted,
            required,
            format,
            reject_unknown,
            row,
            refused,
            offset_column,
            metadata,
            unknown: BTreeMap::new(),
        }
    }

    /// The declared fields.
    #[must_use]
    pub fn fields(&self) -> &[FieldSpec] {
        &self.fields
    }

    /// Fields that records had and the stream does not declare, with how often.
    #[must_use]
    pub fn unknown_fields(&self) -> &BTreeMap<String, u64> {
        &self.unknown
    }

    /// The text of a declared field in the record decoded last, where that was refused: as far as it
    /// could be read. `None` where it could not, or is NULL or no text.
    #[must_use]
    pub fn last_text(&self, field: &str) -> Option<&str> {
        let at = self.fields.iter().position(|one| one.name == field)?;
        match self.refused.get(at) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The truth value of a declared field in the record decoded last, where that was refused: as far as it could
    /// be read. `None` where it could not, or is NULL or no truth value.
    #[must_use]
    pub fn last_boolean(&self, field: &str) -> Option<bool> {
        let at = self.fields.iter().position(|one| one.name == field)?;
        match self.refused.get(at) {
            Some(Value::Boolean(value)) => Some(*value),
            _ => None,
        }
    }

    /// Forgets the record decoded last.
    pub fn forget_last(&mut self) {
        self.refused.clear();
    }

    /// Appends one record to `columns`, or says why it cannot be; then `columns` is as before.
    ///
    /// # Errors
    /// The reason of the rejection.
    pub fn decode(
        &mut self,
        record: &Record<'_>,
        columns: &mut Columns,
    ) -> Result<(), RejectReason> {
        self.refused.clear();
        if self.append_plain(record, columns).is_some() {
            return Ok(());
        }
        let mut row = vec![Value::Null; self.fields.len()];
        let outcome = self.read(record, &mut row);
        match outcome {
            Ok(()) => columns.append(&row),
            Err(_) => self.refused.extend(row.into_iter().map(Value::into_owned)),
        }
        outcome
    }

    /// Appends a record as producers mostly write it; gives up on every other, which is then to be read
    /// generally.
    fn append_plain(&mut self, record: &Record<'_>, columns: &mut Columns) -> Option<()> {
        if self.format != Format::Json || self.offset_column.is_some() {
            return None;
        }
        self.row.clear();
        self.row.resize(self.fields.len(), Plain::Null);
        let fields = (self.fields.as_slice(), self.wanted.as_slice());
        plain::read(record.payload, fields, &mut self.row)?;
        for (at, metadata) in &self.metadata {
            *self.row.get_mut(*at)? = match metadata.of(record) {
                Value::Integer(value) => Plain::Integer(value),
                _ => Plain::Null,
            };
        }
        if self.required.iter().any(|at| matches!(self.row.get(*at), None | Some(Plain::Null))) {
            return None;
        }
        columns.append_plain(&self.row, record.payload);
        Some(())
    }

    fn read<'a>(&mut self, record: &Record<'a>, row: &mut [Value<'a>]) -> Result<(), RejectReason> {
        self.read_generally(record, row)?;
        if let Some(value) = self.offset_column.and_then(|at| row.get_mut(at)) {
            *value = Value::Integer(record.offset);
        }
        for (at, metadata) in &self.metadata {
            if let Some(value) = row.get_mut(*at) {
                *value = metadata.of(record);
            }
        }
        for (field, value) in self.fields.iter().zip(row) {
            if field.required && matches!(value, Value::Null) {
                return Err(RejectReason::MissingField { field: field.name.clone() });
            }
        }
        Ok(())
    }

    fn read_generally<'a>(
        &mut self,
        record: &Record<'a>,
        row: &mut [Value<'a>],
    ) -> Result<(), RejectReason> {
        let mut unknown = |name: &str| count_unknown(&mut self.unknown, name);
        let strange = match &self.format {
            Format::Json => json::read(record.payload, &self.fields, row, &mut unknown)?,
            Format::Csv { header, delimiter } => {
                let layout = (header.as_slice(), *delimiter);
                let undeclared =
                    csv::read(record.payload, layout, &self.fields, row, &mut unknown)?;
                json::Strange { undeclared, repeated: None }
            }
        };
        let refused = |detail: String| Err(RejectReason::Refused { detail });
        match strange {
            _ if !self.reject_unknown => Ok(()),
            json::Strange { undeclared: Some(name), .. } => {
                refused(format!("field `{name}` is not declared"))
            }
            json::Strange { repeated: Some(name), .. } => {
                refused(format!("field `{name}` stands there twice"))
            }
            json::Strange { .. } => Ok(()),
        }
    }
}

fn count_unknown(unknown: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = unknown.get_mut(name) {
        *count += 1;
        return;
    }
    let name = if unknown.len() < UNKNOWN_FIELDS_MAX { name } else { "…" };
    let count = unknown.entry(name.to_owned()).or_insert(0);
    *count += 1;
    if *count == 1 {
        tracing::warn!(
            field = name,
            "records hold a field `{name}` that the stream does not declare; it is ignored"
        );
    }
}
