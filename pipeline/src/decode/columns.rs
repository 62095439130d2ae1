//! Values gathered into Arrow columns.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder,
    TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::texts::Texts;
use super::{Plain, Value};

/// Columns that grow row by row and are taken out as a batch.
#[derive(Debug)]
pub struct Columns {
    schema: SchemaRef,
    builders: Vec<Builder>,
    rows: usize,
}

#[derive(Debug)]
enum Builder {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    Text(Texts),
    Date(Date32Builder),
    Timestamp(TimestampMillisecondBuilder),
}

impl Columns {
    /// Empty columns of this schema; it may hold the types a stream can declare.
    ///
    /// # Errors
    /// When the schema holds another type.
    pub fn new(schema: SchemaRef) -> Result<Self, ArrowError> {
        let builders = schema
            .fields()
            .iter()
            .map(|field| builder(field.data_type()))
            .collect::<Result<_, _>>()?;
        Ok(Self { schema, builders, rows: 0 })
    }

    /// Rows since the last [`Columns::take`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row has come since the last [`Columns::take`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Appends one row; `row` has a value of the right kind, or Null, for every column.
    pub fn append(&mut self, row: &[Value<'_>]) {
        for (builder, value) in self.builders.iter_mut().zip(row) {
            builder.append(value);
        }
        self.rows += 1;
    }

    /// As [`Columns::append`], with texts that are parts of `record`.
    pub fn append_plain(&mut self, row: &[Plain], record: &[u8]) {
        for (builder, value) in self.builders.iter_mut().zip(row) {
            match (builder, value) {
                (Builder::Text(builder), Plain::Text(from, to)) => {
                    builder.append(record.get(*from..*to).unwrap_or_default());
                }
                (Builder::Int64(builder), Plain::Integer(value)) => builder.append_value(*value),
                (Builder::Timestamp(builder), Plain::Integer(value)) => {
                    builder.append_value(*value);
                }
                (Builder::Decimal(builder), Plain::Decimal(value)) => builder.append_value(*value),
                (builder, value) => builder.append(&value.scalar()),
            }
        }
        self.rows += 1;
    }

    /// The rows as a batch; the columns are empty afterwards.
    ///
    /// # Errors
    /// When a column does not fit the schema, which is a fault of the decoder, or has more than 2 GiB of text.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns = self.builders.iter_mut().map(Builder::finish).collect::<Result<_, _>>()?;
        let options =
            RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

fn builder(data_type: &DataType) -> Result<Builder, ArrowError> {
    Ok(match data_type {
        DataType::Boolean => Builder::Boolean(BooleanBuilder::new()),
        DataType::Int8 => Builder::Int8(Int8Builder::new()),
        DataType::Int16 => Builder::Int16(Int16Builder::new()),
        DataType::Int32 => Builder::Int32(Int32Builder::new()),
        DataType::Int64 => Builder::Int64(Int64Builder::new()),
        DataType::Float32 => Builder::Float32(Float32Builder::new()),
        DataType::Float64 => Builder::Float64(Float64Builder::new()),
        DataType::Decimal128(precision, scale) => {
            Builder::Decimal(Decimal128Builder::new().with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Utf8 => Builder::Text(Texts::default()),
        DataType::Date32 => Builder::Date(Date32Builder::new()),
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            Builder::Timestamp(TimestampMillisecondBuilder::new().with_timezone_opt(zone.clone()))
        }
        other => return Err(ArrowError::SchemaError(format!("a stream cannot hold {other}"))),
    })
}

/// Appends a whole number to a column of fewer bits; the decoder has checked that it fits.
macro_rules! narrow {
    ($builder:expr, $value:expr) => {
        match $value {
            Value::Integer(value) => $builder.append_option((*value).try_into().ok()),
            _ => $builder.append_null(),
        }
    };
}

/// Takes a column out, and leaves room for another as long.
macro_rules! finished {
    ($builder:expr, $with_capacity:expr) => {{
        let column = $builder.finish();
        *$builder = $with_capacity(column.len());
        Arc::new(column)
    }};
}

impl Builder {
    fn append(&mut self, value: &Value<'_>) {
        match self {
            Self::Boolean(builder) => match value {
                Value::Boolean(value) => builder.append_value(*value),
                _ => builder.append_null(),
            },
            Self::Int8(builder) => narrow!(builder, value),
            Self::Int16(builder) => narrow!(builder, value),
            Self::Int32(builder) => narrow!(builder, value),
            Self::Int64(builder) => narrow!(builder, value),
            Self::Date(builder) => narrow!(builder, value),
            Self::Timestamp(builder) => narrow!(builder, value),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the decoder has checked the range"
            )]
            Self::Float32(builder) => match value {
                Value::Float(value) => builder.append_value(*value as f32 + 0.0),
                _ => builder.append_null(),
            },
            Self::Float64(builder) => match value {
                Value::Float(value) => builder.append_value(*value),
                _ => builder.append_null(),
            },
            Self::Decimal(builder) => match value {
                Value::Decimal(value) => builder.append_value(*value),
                _ => builder.append_null(),
            },
            Self::Text(builder) => match value {
                Value::Text(value) => builder.append(value.as_bytes()),
                _ => builder.append_null(),
            },
        }
    }

    /// The column. The next one has room for as much, for batches are mostly of one size.
    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(builder) => finished!(builder, BooleanBuilder::with_capacity),
            Self::Int8(builder) => finished!(builder, Int8Builder::with_capacity),
            Self::Int16(builder) => finished!(builder, Int16Builder::with_capacity),
            Self::Int32(builder) => finished!(builder, Int32Builder::with_capacity),
            Self::Int64(builder) => finished!(builder, Int64Builder::with_capacity),
            Self::Float32(builder) => finished!(builder, Float32Builder::with_capacity),
            Self::Float64(builder) => finished!(builder, Float64Builder::with_capacity),
            Self::Date(builder) => finished!(builder, Date32Builder::with_capacity),
            Self::Decimal(builder) => {
                let column = builder.finish();
                let next = Decimal128Builder::with_capacity(column.len());
                *builder = next.with_data_type(column.data_type().clone());
                Arc::new(column)
            }
            Self::Timestamp(builder) => {
                let column = builder.finish();
                let next = TimestampMillisecondBuilder::with_capacity(column.len());
                *builder = next.with_data_type(column.data_type().clone());
                Arc::new(column)
            }
            Self::Text(builder) => Arc::new(builder.finish()?),
        })
    }
}
