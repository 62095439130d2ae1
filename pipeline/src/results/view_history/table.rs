//! `view_history`: the rows that changed, as a table.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, RecordBatch, StringArray, StringBuilder, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use super::entry::Kind;
use super::store::ViewEntry;
use crate::results::json::write_row;

/// Its columns.
#[must_use]
pub fn schema() -> SchemaRef {
    let at = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("view", DataType::Utf8, false),
        Field::new("at", at, false),
        Field::new("epoch", DataType::Utf8, false),
        Field::new("cut", DataType::UInt64, false),
        Field::new("op", DataType::Utf8, false),
        Field::new("row", DataType::Utf8, false),
    ]))
}

/// The rows of one entry: `begin` for a row that a view had when it was first looked at, `upsert` for one that came or
/// changed, `delete` with the key of one that went, `gone` where the view itself did.
///
/// # Errors
/// Never in practice: the columns are made here.
pub fn batch(entry: &ViewEntry) -> Result<RecordBatch, ArrowError> {
    let ViewEntry { view, at, kind, told, rows } = entry;
    let mut texts = StringBuilder::new();
    let mut ops = Vec::new();
    let columns: Vec<usize> = (0..rows.num_columns()).collect();
    // A whole view again says nothing new.
    if *kind != Kind::Whole {
        for key in &told.deleted {
            texts.append_value(key);
            ops.push("delete");
        }
        let mut text = String::new();
        for row in 0..rows.num_rows() {
            text.clear();
            write_row(&mut text, rows, &columns, row);
            texts.append_value(&text);
            ops.push(if *kind == Kind::Begin { "begin" } else { "upsert" });
        }
        if told.is_gone {
            texts.append_value("{}");
            ops.push("gone");
        }
    }
    let count = ops.len();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![view.as_str(); count])),
        Arc::new(TimestampMillisecondArray::from(vec![*at; count]).with_timezone("UTC")),
        Arc::new(StringArray::from(vec![told.epoch.as_str(); count])),
        Arc::new(UInt64Array::from(vec![told.cut; count])),
        Arc::new(StringArray::from(ops)),
        Arc::new(texts.finish()),
    ];
    RecordBatch::try_new(schema(), columns)
}
