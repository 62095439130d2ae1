//! Results as text and bytes: JSON, CSV, Arrow.

use arrow::array::{Array as _, ArrayRef};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tidemark_pipeline::results::json::{write_text, write_value};

/// The result of a query, and the cut it is true at.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Columns.
    pub schema: SchemaRef,
    /// Rows.
    pub batches: Vec<RecordBatch>,
    /// The cut every table of the query was at.
    pub cut: u64,
    /// The life of the publisher in which `cut` counts.
    pub epoch: String,
    /// Whether rows beyond the limit were cut off.
    pub truncated: bool,
}

/// How a row is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowShape {
    /// `["Zhejiang","1.50"]`, in the order of the columns; two columns may have one name.
    #[default]
    Arrays,
    /// `{"province":"Zhejiang","gmv":"1.50"}`.
    Objects,
}

/// The name of a column's type in SQL, as analysts write it.
#[must_use]
pub fn sql_type(of: &DataType) -> String {
    match of {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt8 => "TINYINT UNSIGNED".to_owned(),
        DataType::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        DataType::UInt32 => "INTEGER UNSIGNED".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".to_owned(),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", digits(*unit)),
        DataType::Timestamp(unit, Some(_)) => {
            format!("TIMESTAMP({}) WITH TIME ZONE", digits(*unit))
        }
        DataType::List(inner) => format!("{}[]", sql_type(inner.data_type())),
        other => other.to_string(),
    }
}

fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// The answer as one JSON object. Decimals are strings, times epoch milliseconds.
#[must_use]
pub fn write_json(answer: &Answer, shape: RowShape) -> String {
    let mut out = String::from("{\"columns\":[");
    for (nth, field) in answer.schema.fields().iter().enumerate() {
        out.push_str(if nth > 0 { ",{\"name\":" } else { "{\"name\":" });
        write_text(&mut out, field.name());
        out.push_str(",\"type\":");
        write_text(&mut out, &sql_type(field.data_type()));
        out.push('}');
    }
    out.push_str("],\"rows\":[");
    let mut first = true;
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            write_json_row(&mut out, batch, row, shape);
        }
    }
    out.push_str("],\"cut\":");
    out.push_str(&answer.cut.to_string());
    out.push_str(",\"epoch\":");
    write_text(&mut out, &answer.epoch);
    out.push_str(if answer.truncated { ",\"truncated\":true}" } else { ",\"truncated\":false}" });
    out
}

fn write_json_row(out: &mut String, batch: &RecordBatch, row: usize, shape: RowShape) {
    let (open, close) = match shape {
        RowShape::Arrays => ('[', ']'),
        RowShape::Objects => ('{', '}'),
    };
    out.push(open);
    for (nth, (column, field)) in
        batch.columns().iter().zip(batch.schema_ref().fields()).enumerate()
    {
        if nth > 0 {
            out.push(',');
        }
        if shape == RowShape::Objects {
            write_text(out, field.name());
            out.push(':');
        }
        if is_null(column, row) {
            out.push_str("null");
        } else {
            write_value(out, column.as_ref(), row);
        }
    }
    out.push(close);
}

/// A column of nothing but NULL has no marks for it.
fn is_null(column: &ArrayRef, row: usize) -> bool {
    column.is_null(row) || *column.data_type() == DataType::Null
}

/// The answer as CSV (RFC 4180) with a header line.
///
/// A text that a spreadsheet would run as a formula gets an apostrophe in front: shop names are
/// written by strangers. NULL is an empty cell, an empty text is `""`.
///
/// # Errors
/// When a column has a type that has no text.
pub fn write_csv(answer: &Answer) -> Result<String, ArrowError> {
    let mut out = String::new();
    for (nth, field) in answer.schema.fields().iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write_cell(&mut out, &harmless(field.name()));
    }
    out.push_str("\r\n");
    for batch in &answer.batches {
        write_csv_batch(&mut out, batch)?;
    }
    Ok(out)
}

fn write_csv_batch(out: &mut String, batch: &RecordBatch) -> Result<(), ArrowError> {
    let options = FormatOptions::default().with_display_error(false);
    let columns = batch
        .columns()
        .iter()
        .map(|column| {
            Ok((column, is_text(column.data_type()), ArrayFormatter::try_new(column, &options)?))
        })
        .collect::<Result<Vec<_>, ArrowError>>()?;
    for row in 0..batch.num_rows() {
        for (nth, (column, text, formatter)) in columns.iter().enumerate() {
            if nth > 0 {
                out.push(',');
            }
            if !is_null(column, row) {
                let value = formatter.value(row).try_to_string()?;
                write_cell(out, &if *text { harmless(&value) } else { value });
            }
        }
        out.push_str("\r\n");
    }
    Ok(())
}

/// Numbers and times are ours; only what came from outside can be a formula.
fn is_text(of: &DataType) -> bool {
    !(of.is_numeric() || of.is_temporal() || *of == DataType::Boolean)
}

fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn write_cell(out: &mut String, text: &str) {
    if !text.is_empty() && !text.contains(['"', ',', '\r', '\n']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

/// The answer as an Arrow IPC stream; the schema's metadata holds `cut`, `epoch` and `truncated`.
///
/// # Errors
/// When a column has a type that Arrow IPC cannot carry.
pub fn write_arrow(answer: &Answer) -> Result<Vec<u8>, ArrowError> {
    let mut metadata = answer.schema.metadata().clone();
    metadata.insert("cut".to_owned(), answer.cut.to_string());
    metadata.insert("epoch".to_owned(), answer.epoch.clone());
    metadata.insert("truncated".to_owned(), answer.truncated.to_string());
    let schema = answer.schema.as_ref().clone().with_metadata(metadata);
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    for batch in &answer.batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}
