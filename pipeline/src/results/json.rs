//! Rows as JSON objects: decimals as strings with all their digits, times as epoch milliseconds.

use std::fmt::Write as _;

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Appends row `row` of `batch` as a JSON object of the columns in `columns`.
pub fn write_row(out: &mut String, batch: &RecordBatch, columns: &[usize], row: usize) {
    out.push('{');
    let schema = batch.schema_ref();
    for (nth, &column) in columns.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write_text(out, schema.field(column).name());
        out.push(':');
        write_value(out, batch.column(column).as_ref(), row);
    }
    out.push('}');
}

/// Appends one value as JSON.
pub fn write_value(out: &mut String, array: &dyn Array, row: usize) {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        out.push_str("null");
        return;
    }
    match array.data_type() {
        DataType::Boolean => number(out, array.as_boolean().value(row)),
        DataType::Int8 => number(out, array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => number(out, array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => number(out, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => number(out, array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => number(out, array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => number(out, array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => number(out, array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => number(out, array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => float(out, f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => float(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, _) => {
            out.push('"');
            out.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row));
            out.push('"');
        }
        DataType::Timestamp(unit, _) => number(out, epoch_ms(array, *unit, row)),
        DataType::Utf8 => write_text(out, array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => write_text(out, array.as_string::<i64>().value(row)),
        DataType::Utf8View => write_text(out, array.as_string_view().value(row)),
        DataType::List(_) => list(out, array.as_list::<i32>().value(row).as_ref()),
        _ => write_text(out, &shown(array, row)),
    }
}

/// Appends `text` as a JSON string.
pub fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // The two separators end a line in JavaScript source, where such text may be pasted.
            control if control < ' ' || matches!(control, '\u{2028}' | '\u{2029}') => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

/// The value of a timestamp in epoch milliseconds, rounded down.
#[must_use]
pub fn epoch_ms(array: &dyn Array, unit: TimeUnit, row: usize) -> i64 {
    match unit {
        TimeUnit::Second => {
            array.as_primitive::<TimestampSecondType>().value(row).saturating_mul(1_000)
        }
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
        TimeUnit::Microsecond => {
            array.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1_000)
        }
        TimeUnit::Nanosecond => {
            array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000_000)
        }
    }
}

fn number(out: &mut String, value: impl std::fmt::Display) {
    let _infallible = write!(out, "{value}");
}

/// JSON has no NaN and no infinity; they go as text.
fn float(out: &mut String, value: f64) {
    if value.is_finite() {
        let _infallible = write!(out, "{value}");
    } else {
        let _infallible = write!(out, "\"{value}\"");
    }
}

fn list(out: &mut String, values: &dyn Array) {
    out.push('[');
    for row in 0..values.len() {
        if row > 0 {
            out.push(',');
        }
        write_value(out, values, row);
    }
    out.push(']');
}

fn shown(array: &dyn Array, row: usize) -> String {
    ArrayFormatter::try_new(array, &FormatOptions::default())
        .map_or_else(|error| error.to_string(), |formatter| formatter.value(row).to_string())
}
