//! Values gathered into Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int8Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::Value;

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
    Text(StringBuilder),
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

    /// The rows as a batch; the columns are empty afterwards.
    ///
    /// # Errors
    /// When a column does not fit the schema, which is a fault of the decoder.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns = self.builders.iter_mut().map(Builder::finish).collect();
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
        DataType::Utf8 => Builder::Text(StringBuilder::new()),
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
                Value::Text(value) => builder.append_value(value),
                _ => builder.append_null(),
            },
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
        }
    }
}
