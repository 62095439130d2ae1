//! Bytes to the decoder alone. The fuzz target compiles this file too, beside the decoder's own files, so it
//! names nothing else of the pipeline.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::decode::{Columns, Decoder, FieldSpec, FieldType, Format};
use crate::model::{Record, Zone};

/// The names of the stream's fields in order, and their types.
const FIELDS: [(&str, FieldType, bool); 13] = [
    ("id", FieldType::Text, true),
    ("amount", FieldType::Decimal(12, 2), true),
    ("event_time", FieldType::Timestamp(Zone::UTC), true),
    ("flag", FieldType::Boolean, false),
    ("tiny", FieldType::Integer(8), false),
    ("small", FieldType::Integer(16), false),
    ("whole", FieldType::Integer(32), false),
    ("big", FieldType::Integer(64), false),
    ("narrow", FieldType::Float(32), false),
    ("wide", FieldType::Float(64), false),
    ("day", FieldType::Date, false),
    ("long", FieldType::Decimal(38, 10), false),
    ("note", FieldType::Text, false),
];

/// Gives any bytes to the decoder, as JSON and as CSV: it answers, and a row is there or is not.
///
/// # Panics
/// When a rejected record leaves a row behind, an accepted one none, or the columns do not fit together.
pub fn feed(bytes: &[u8]) {
    let header: Vec<String> = FIELDS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    for format in [Format::Json, Format::Csv { header, delimiter: b',' }] {
        let fields = FIELDS.map(|(name, field_type, required)| FieldSpec {
            name: name.to_owned(),
            field_type,
            declared: name.to_uppercase(),
            required,
            metadata: None,
        });
        let mut decoder = Decoder::new(fields.to_vec(), format, false);
        let Ok(mut columns) = Columns::new(schema()) else { return };
        let record = Record {
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            headers: &[],
            key: None,
            payload: bytes,
        };
        let outcome = decoder.decode(&record, &mut columns);
        assert_eq!(columns.len(), usize::from(outcome.is_ok()), "{outcome:?}");
        if let Err(reason) = &outcome {
            assert!(!reason.to_string().is_empty() && reason.to_string().len() < 4_096, "{reason}");
        }
        assert!(columns.take().is_ok_and(|batch| batch.num_rows() == usize::from(outcome.is_ok())));
    }
}

fn schema() -> SchemaRef {
    let data_type = |field: FieldType| match field {
        FieldType::Boolean => DataType::Boolean,
        FieldType::Integer(8) => DataType::Int8,
        FieldType::Integer(16) => DataType::Int16,
        FieldType::Integer(32) => DataType::Int32,
        FieldType::Integer(_) => DataType::Int64,
        FieldType::Float(32) => DataType::Float32,
        FieldType::Float(_) => DataType::Float64,
        FieldType::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
        FieldType::Text => DataType::Utf8,
        FieldType::Date => DataType::Date32,
        FieldType::Timestamp(_) => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
    };
    let field = |(name, field, required): (&str, FieldType, bool)| {
        Field::new(name, data_type(field), !required)
    };
    Arc::new(Schema::new(FIELDS.map(field).to_vec()))
}
