//! The columns an order carries, as bytes: for every column its length plus one and its value, 0 for NULL.
//!
//! An order lives for weeks and there are millions of them, so their attributes are one small allocation
//! each and not columns; they become columns again only in the rows that are handed on.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray as _, BooleanBuilder, StringBuilder, make_array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// How the values of one column become bytes.
#[derive(Debug, Clone)]
enum Source {
    Text(arrow::array::StringArray),
    Boolean(arrow::array::BooleanArray),
    /// Values of this many bytes, and where the first begins.
    Fixed(ArrayRef, Buffer, usize),
}

/// The columns of one batch, ready to be written row by row.
#[derive(Debug)]
pub struct Writer {
    sources: Vec<Source>,
}

impl Writer {
    /// Prepares columns.
    ///
    /// # Errors
    /// When a column is of a type that no stream can declare.
    pub fn new(columns: &[ArrayRef]) -> Result<Self, ArrowError> {
        let source = |column: &ArrayRef| match column.data_type() {
            DataType::Utf8 => Ok(Source::Text(column.as_string::<i32>().clone())),
            DataType::Boolean => Ok(Source::Boolean(column.as_boolean().clone())),
            other => {
                let Some(width) = other.primitive_width() else {
                    return Err(ArrowError::SchemaError(format!(
                        "an order cannot carry a column of type {other}"
                    )));
                };
                let data = column.to_data();
                let Some(buffer) = data.buffers().first() else {
                    return Err(ArrowError::SchemaError(format!(
                        "a column of type {other} without values"
                    )));
                };
                // The buffer is that of the whole array; a slice begins further on.
                let buffer = buffer.slice(data.offset() * width);
                Ok(Source::Fixed(Arc::clone(column), buffer, width))
            }
        };
        Ok(Self { sources: columns.iter().map(source).collect::<Result<_, _>>()? })
    }

    /// Appends one row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        for source in &self.sources {
            match source {
                Source::Text(column) if !column.is_null(row) => {
                    put(out, column.value(row).as_bytes())
                }
                Source::Boolean(column) if !column.is_null(row) => {
                    put(out, &[u8::from(column.value(row))])
                }
                Source::Fixed(column, buffer, width) if !column.is_null(row) => {
                    put(out, buffer.get(row * width..(row + 1) * width).unwrap_or(&[]));
                }
                _ => out.push(0),
            }
        }
    }
}

/// A value with its length in front: one byte up to 253, otherwise 255 and four bytes.
fn put(out: &mut Vec<u8>, value: &[u8]) {
    match u8::try_from(value.len()).ok().filter(|length| *length < 254) {
        Some(length) => out.push(length + 1),
        None => {
            out.push(255);
            out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
    out.extend_from_slice(value);
}

/// Takes the first value off a row: its bytes as written, and its value; nothing at the end.
fn take(row: &[u8]) -> Option<(&[u8], Option<&[u8]>, &[u8])> {
    let (first, rest) = row.split_first()?;
    let (head, length) = match first {
        0 => return Some((row.get(..1)?, None, rest)),
        255 => (5, usize::try_from(u32::from_le_bytes(rest.get(..4)?.try_into().ok()?)).ok()?),
        short => (1, usize::from(*short) - 1),
    };
    let (whole, rest) = row.split_at_checked(head + length)?;
    Some((whole, whole.get(head..), rest))
}

/// One value of a row, by its column; `None` where it is NULL.
#[must_use]
pub fn value(row: &[u8], column: usize) -> Option<&[u8]> {
    let mut row = row;
    for _ in 0..column {
        row = take(row)?.2;
    }
    take(row)?.1
}

/// Appends a row with another value in one of its columns; `None` makes it NULL.
pub fn replace(row: &[u8], column: usize, with: Option<&[u8]>, out: &mut Vec<u8>) {
    let mut rest = row;
    for _ in 0..column {
        let Some((whole, _, next)) = take(rest) else { break };
        out.extend_from_slice(whole);
        rest = next;
    }
    match with {
        Some(value) => put(out, value),
        None => out.push(0),
    }
    out.extend_from_slice(take(rest).map_or(&[], |(_, _, next)| next));
}

/// Appends the first row with its NULLs filled in from the second; an empty row is one of NULLs.
pub fn merge(first: &[u8], second: &[u8], out: &mut Vec<u8>) {
    let (mut first, mut second) = (first, second);
    loop {
        match (take(first), take(second)) {
            (Some((whole, Some(_), rest)), other) => {
                out.extend_from_slice(whole);
                first = rest;
                second = other.map_or(&[], |(_, _, rest)| rest);
            }
            (Some((_, None, rest)), Some((whole, _, other))) => {
                out.extend_from_slice(whole);
                (first, second) = (rest, other);
            }
            (Some((whole, None, rest)), None) => {
                out.extend_from_slice(whole);
                first = rest;
            }
            (None, Some((whole, _, rest))) => {
                out.extend_from_slice(whole);
                second = rest;
            }
            (None, None) => return,
        }
    }
}

/// The first value of a row as text; empty where it is NULL.
#[must_use]
pub fn text_of(row: &[u8], data_type: &DataType) -> String {
    let written = || -> Result<String, ArrowError> {
        let mut reader = Reader::new(std::slice::from_ref(data_type))?;
        reader.append(row);
        let columns = reader.finish()?;
        let column =
            columns.first().ok_or_else(|| ArrowError::SchemaError("no column".to_owned()))?;
        arrow::util::display::array_value_to_string(column, 0)
    };
    // Only what a Writer has written comes here, and that can be read.
    written().unwrap_or_default()
}

/// Rows of bytes as columns again.
#[derive(Debug)]
pub struct Reader {
    columns: Vec<Sink>,
}

#[derive(Debug)]
enum Sink {
    Text(StringBuilder),
    Boolean(BooleanBuilder),
    Fixed { data_type: DataType, width: usize, bytes: Vec<u8>, valid: Vec<bool> },
}

impl Reader {
    /// Empty columns of these types, which a [`Writer`] has written.
    ///
    /// # Errors
    /// When a type is one that no stream can declare.
    pub fn new(types: &[DataType]) -> Result<Self, ArrowError> {
        let sink = |data_type: &DataType| match data_type {
            DataType::Utf8 => Ok(Sink::Text(StringBuilder::new())),
            DataType::Boolean => Ok(Sink::Boolean(BooleanBuilder::new())),
            other => match other.primitive_width() {
                Some(width) => Ok(Sink::Fixed {
                    data_type: other.clone(),
                    width,
                    bytes: Vec::new(),
                    valid: Vec::new(),
                }),
                None => Err(ArrowError::SchemaError(format!(
                    "an order cannot carry a column of type {other}"
                ))),
            },
        };
        Ok(Self { columns: types.iter().map(sink).collect::<Result<_, _>>()? })
    }

    /// Appends one row.
    pub fn append(&mut self, row: &[u8]) {
        let mut row = row;
        for column in &mut self.columns {
            let value = match take(row) {
                Some((_, value, rest)) => {
                    row = rest;
                    value
                }
                None => None,
            };
            match column {
                Sink::Text(builder) => {
                    builder.append_option(value.and_then(|bytes| std::str::from_utf8(bytes).ok()));
                }
                Sink::Boolean(builder) => builder.append_option(value.map(|bytes| bytes == [1])),
                Sink::Fixed { width, bytes, valid, .. } => {
                    let value = value.filter(|value| value.len() == *width);
                    valid.push(value.is_some());
                    match value {
                        Some(value) => bytes.extend_from_slice(value),
                        None => bytes.resize(bytes.len() + *width, 0),
                    }
                }
            }
        }
    }

    /// The rows as columns.
    ///
    /// # Errors
    /// Never, unless Arrow refuses what it gave.
    pub fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.columns
            .into_iter()
            .map(|column| match column {
                Sink::Text(mut builder) => Ok(Arc::new(builder.finish()) as ArrayRef),
                Sink::Boolean(mut builder) => Ok(Arc::new(builder.finish()) as ArrayRef),
                Sink::Fixed { data_type, bytes, valid, .. } => {
                    let data = ArrayData::builder(data_type)
                        .len(valid.len())
                        .add_buffer(Buffer::from(bytes.as_slice()))
                        .nulls(Some(NullBuffer::from(valid)))
                        .build()?;
                    Ok(make_array(data))
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Decimal128Array, Int32Array, StringArray, TimestampMillisecondArray,
    };

    use super::*;

    fn columns() -> Vec<ArrayRef> {
        let long = "长".repeat(200);
        vec![
            Arc::new(StringArray::from(vec![Some("浙江"), None, Some(long.as_str()), Some("")])),
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None])),
            Arc::new(Int32Array::from(vec![Some(-7), None, Some(i32::MAX), Some(0)])),
            Arc::new(Decimal128Array::from(vec![Some(1), Some(-1), None, Some(i128::MAX / 3)])),
            Arc::new(
                TimestampMillisecondArray::from(vec![None, Some(0), Some(5), None])
                    .with_timezone("UTC"),
            ),
        ]
    }

    fn rows(columns: &[ArrayRef]) -> Vec<Vec<u8>> {
        let writer = Writer::new(columns).expect("types of a stream");
        let row = |row| {
            let mut out = Vec::new();
            writer.write(row, &mut out);
            out
        };
        (0..columns[0].len()).map(row).collect()
    }

    #[test]
    fn what_was_written_is_read_again_slices_too() {
        let whole = columns();
        let slice: Vec<ArrayRef> = whole.iter().map(|column| column.slice(1, 2)).collect();
        for columns in [whole, slice] {
            let types: Vec<DataType> =
                columns.iter().map(|column| column.data_type().clone()).collect();
            let mut reader = Reader::new(&types).expect("types of a stream");
            rows(&columns).iter().for_each(|row| reader.append(row));
            assert_eq!(reader.finish().expect("columns"), columns);
        }
    }

    fn merged(first: &[u8], second: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        merge(first, second, &mut out);
        out
    }

    #[test]
    fn what_an_event_lacks_is_filled_in_from_its_order() {
        let rows = rows(&columns());
        assert_eq!(merged(&[], &rows[1]), rows[1]);
        assert_eq!(merged(&rows[1], &[]), rows[1]);
        assert_eq!(merged(&rows[0], &rows[0]), rows[0]);
        assert_eq!(text_of(&rows[0], &DataType::Utf8), "浙江");
        let types: Vec<DataType> =
            columns().iter().map(|column| column.data_type().clone()).collect();
        let mut reader = Reader::new(&types).expect("types of a stream");
        reader.append(&merged(&rows[1], &rows[0]));
        let filled = reader.finish().expect("columns");
        assert_eq!(filled[0].as_string::<i32>().value(0), "浙江");
        assert!(!filled[1].as_boolean().value(0));
        assert_eq!(filled[2].as_primitive::<arrow::datatypes::Int32Type>().value(0), -7);
    }
}
