//! Bytes into Arrow columns: the declared fields of a stream, exact, or the reason why not.
//!
//! A record is first read into [`Value`]s and only then appended, so that a bad field in the middle
//! leaves no half row behind.

pub mod columns;
pub mod csv;
pub mod decimal;
pub mod json;
pub mod value;

pub use columns::Columns;
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
    row: Vec<Value>,
    /// The column that holds the record's own offset, where one is declared.
    offset_column: Option<usize>,
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
        let row = vec![Value::Null; fields.len()];
        let offset_column = fields.iter().position(|field| field.name == OFFSET_COLUMN);
        Self { fields, format, reject_unknown, row, offset_column, unknown: BTreeMap::new() }
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

    /// Appends one record to `columns`, or says why it cannot be; then `columns` is as before.
    ///
    /// # Errors
    /// The reason of the rejection.
    pub fn decode(&mut self, record: &Record<'_>, columns: &mut Columns) -> Result<(), RejectReason> {
        self.row.fill(Value::Null);
        let mut unknown = |name: &str| count_unknown(&mut self.unknown, name);
        let foreign = match &self.format {
            Format::Json => json::read(record.payload, &self.fields, &mut self.row, &mut unknown)?,
            Format::Csv { header, delimiter } => {
                csv::read(record.payload, (header, *delimiter), &self.fields, &mut self.row, &mut unknown)?
            }
        };
        if let (true, Some(name)) = (self.reject_unknown, foreign) {
            return Err(RejectReason::Refused { detail: format!("field `{name}` is not declared") });
        }
        if let Some(value) = self.offset_column.and_then(|at| self.row.get_mut(at)) {
            *value = Value::Integer(record.offset);
        }
        for (field, value) in self.fields.iter().zip(&self.row) {
            if field.required && *value == Value::Null {
                return Err(RejectReason::MissingField { field: field.name.clone() });
            }
        }
        columns.append(&self.row);
        Ok(())
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
        tracing::warn!(field = name, "records hold a field `{name}` that the stream does not declare; it is ignored");
    }
}
