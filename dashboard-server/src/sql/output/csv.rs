//! An answer as CSV (RFC 4180) with a header line.
//!
//! A text that a spreadsheet would run as a formula gets an apostrophe in front: shop names are written by
//! strangers. NULL is an empty cell, an empty text is `""`.

use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::is_null;

/// By it a spreadsheet knows UTF-8; in Chinese ones it would otherwise take the text for GBK.
pub(super) const MARK: &str = "\u{feff}";

/// The header line.
pub(super) fn head(schema: &SchemaRef) -> String {
    let mut out = String::new();
    for (nth, field) in schema.fields().iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write_cell(&mut out, &harmless(field.name()));
    }
    out.push_str("\r\n");
    out
}

/// The rows of one batch.
///
/// # Errors
/// When a column has a type that has no text.
pub(super) fn rows(batch: &RecordBatch) -> Result<String, ArrowError> {
    let mut out = String::new();
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
                write_cell(&mut out, &if *text { harmless(&value) } else { value });
            }
        }
        out.push_str("\r\n");
    }
    Ok(out)
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
