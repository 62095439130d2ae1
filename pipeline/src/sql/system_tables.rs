//! The engine's own tables.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::lifecycle::Counts;
use crate::model::space::{PROOF_COUNTS, PROOF_TABLE};

/// What `sequences_accounted` counts; NULL where it is not known.
const SEQUENCE_COUNTS: [&str; 5] = ["first", "last", "received", "missing", "repeated"];

/// The engine's own tables, as views and analysts see them.
#[must_use]
pub fn system_tables() -> Vec<(&'static str, SchemaRef)> {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let count = |name: &str| Field::new(name, DataType::Int64, false);
    let records =
        ["read", "accepted", "duplicate", "rejected", "shadow", "control", "misplaced"].map(count);
    let sources = ["read", "accepted", "duplicate", "rejected", "late"].map(count);
    let views = ["accepted", "counted", "filtered", "late"].map(count);
    let mut records_fields = vec![text("stream"), Field::new("partition", DataType::Int32, false)];
    records_fields.extend(records);
    let mut orders_fields = vec![text("stream"), Field::new("partition", DataType::Int32, false)];
    orders_fields.extend(Counts::NAMES.map(count));
    let mut views_fields =
        vec![text("view"), text("stream"), Field::new("partition", DataType::Int32, false)];
    views_fields.extend(views);
    let mut sources_fields = vec![
        text("stream"),
        Field::new("partition", DataType::Int32, false),
        Field::new("value", DataType::Utf8, true),
    ];
    sources_fields.extend(sources);
    let mut sequence_fields = vec![text("stream"), Field::new("value", DataType::Utf8, true)];
    sequence_fields.extend(SEQUENCE_COUNTS.map(|name| Field::new(name, DataType::Int64, true)));
    let mut proof_fields = vec![text("view"), text("stream")];
    proof_fields.extend(PROOF_COUNTS.map(count));
    vec![
        ("records_accounted", Arc::new(Schema::new(records_fields))),
        ("views_accounted", Arc::new(Schema::new(views_fields))),
        ("lifecycle_accounted", Arc::new(Schema::new(orders_fields))),
        ("sources_accounted", Arc::new(Schema::new(sources_fields))),
        ("sequences_accounted", Arc::new(Schema::new(sequence_fields))),
        (PROOF_TABLE, Arc::new(Schema::new(proof_fields))),
    ]
}
