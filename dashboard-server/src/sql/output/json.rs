//! An answer as one JSON object. Decimals are strings, times epoch milliseconds.

use arrow::record_batch::RecordBatch;
use tidemark_pipeline::results::json::{write_text, write_value};

use super::{Answer, RowShape, is_null, past_told, sql_type};

/// The columns, up to the first row.
pub(super) fn head(answer: &Answer) -> String {
    let mut out = String::from("{\"columns\":[");
    for (nth, field) in answer.schema.fields().iter().enumerate() {
        out.push_str(if nth > 0 { ",{\"name\":" } else { "{\"name\":" });
        write_text(&mut out, field.name());
        out.push_str(",\"type\":");
        write_text(&mut out, &sql_type(field.data_type()));
        out.push('}');
    }
    out.push_str("],\"rows\":[");
    out
}

/// The rows of one batch; `follows` says whether there were rows before.
pub(super) fn rows(batch: &RecordBatch, shape: RowShape, mut follows: bool) -> String {
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        if std::mem::replace(&mut follows, true) {
            out.push(',');
        }
        write_json_row(&mut out, batch, row, shape);
    }
    out
}

/// What is behind the last row.
pub(super) fn tail(answer: &Answer) -> String {
    let mut out = String::from("],\"cut\":");
    out.push_str(&answer.cut.to_string());
    out.push_str(",\"epoch\":");
    write_text(&mut out, &answer.epoch);
    if let Some(past) = past_told(&answer.past) {
        out.push_str(",\"past\":");
        out.push_str(&past);
    }
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
