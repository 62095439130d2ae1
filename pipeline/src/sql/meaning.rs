//! What a version of a scope means: not only its own text but all that decides what it counts.
//!
//! A scope reads streams, derived tables, other scopes and the rows of reference tables; a change of any of them
//! changes its figures as surely as a change of its text. So its meaning is a list of *parts*, by name: the columns,
//! `CHECK`s and `WATERMARK` of each stream, the options that decide which records are admitted, the rules of life
//! cycles, the texts of the scopes beneath it, and the rows of reference tables that its conditions select. Where the
//! log is kept is no part of it. `state/scopes.rs` compares the parts with those the version had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use sha2::{Digest as _, Sha256};

use super::pinned;
use super::scope::{ScopeDefinition, hex};
use super::session::DeclaredTable;
use super::slot::SlotNode;
use super::stream::StreamDefinition;
use super::stream_plan::StreamPlan;

/// The parts of a scope's meaning by their names, each as written or, where that is long, as its SHA-256 in hex.
pub type Meaning = BTreeMap<String, String>;

/// Begins the name of a part that may come later: a column that may be NULL rejects no record, and no figure of the
/// version has used it.
pub const OPTIONAL_PART: &str = "column that may be NULL: ";

/// Options that decide which records of a stream count; the others say how its log is reached and kept.
const DECIDING: [&str; 8] = [
    "event-time.min",
    "max-future-skew",
    "dedup.key",
    "dedup.horizon",
    "shadow.header",
    "shadow.column",
    "unknown-fields",
    "record.bytes-max",
];

/// Name of the part that is the text of a scope beneath.
pub(super) fn part_of_scope(name: &str) -> String {
    format!("scope {name}")
}

/// What a scope may read.
pub(super) struct Beneath<'a> {
    /// Streams and derived tables.
    pub streams: &'a BTreeMap<String, Arc<StreamPlan>>,
    /// Scopes declared before it.
    pub scopes: &'a BTreeMap<String, ScopeDefinition>,
}

/// The meaning of a scope that reads the tables `reads`, without its own text; the rows of tables in `follows` are
/// no part of it.
///
/// # Errors
/// DataFusion's own, when the rows of reference tables cannot be computed.
pub(super) fn meaning_of(
    state: &SessionState,
    plan: &LogicalPlan,
    (reads, follows): (&[String], &BTreeSet<String>),
    beneath: &Beneath<'_>,
) -> Result<Meaning> {
    let mut meaning = Meaning::new();
    for name in reads {
        if let Some(stream) = beneath.streams.get(name) {
            add_stream(&mut meaning, &stream.definition, beneath);
        }
        if let Some(scope) = beneath.scopes.get(name) {
            let text = hex(&Sha256::digest(scope.text.as_bytes()));
            meaning.insert(part_of_scope(name), text);
            let parts = scope.meaning.iter().map(|(name, value)| (name.clone(), value.clone()));
            meaning.extend(parts);
        }
    }
    for table in follows {
        meaning.insert(format!("'-- follows: {table}'"), "declared".to_owned());
    }
    for (tables, rows) in pinned_rows(state, plan)? {
        if !tables.is_subset(follows) {
            let names: Vec<&str> = tables.iter().map(String::as_str).collect();
            meaning.insert(format!("rows it reads of {}", names.join(", ")), rows);
        }
    }
    Ok(meaning)
}

/// The parts that a stream's declaration is, with those of the stream it is derived from.
fn add_stream(meaning: &mut Meaning, stream: &StreamDefinition, beneath: &Beneath<'_>) {
    let of = &stream.name;
    for column in &stream.columns {
        let name = column.field.name();
        let from =
            column.metadata.as_ref().map_or(String::new(), |key| format!(" METADATA FROM '{key}'"));
        let (part, value) = match (&column.computed, column.field.is_nullable()) {
            (Some(_), _) => (format!("column {of}.{name}"), format!("AS {}", column.declared)),
            (None, false) => {
                (format!("column {of}.{name}"), format!("{} NOT NULL{from}", column.declared))
            }
            (None, true) => {
                (format!("{OPTIONAL_PART}{of}.{name}"), format!("{}{from}", column.declared))
            }
        };
        meaning.insert(part, value);
    }
    for (_, text) in &stream.checks {
        meaning.insert(format!("CHECK ({text}) of {of}"), "declared".to_owned());
    }
    let event_time = stream.event_time.and_then(|at| stream.columns.get(at));
    if let Some(column) = event_time {
        let watermark = stream.watermark.as_ref().map(|(expression, _)| expression.to_string());
        let watermark = watermark.unwrap_or_else(|| "SOURCE_WATERMARK()".to_owned());
        let value = format!("FOR {} AS {watermark}", column.field.name());
        meaning.insert(format!("WATERMARK of {of}"), value);
    }
    meaning.insert(format!("time zone of {of}"), stream.zone.name().to_owned());
    let is_derived = stream.derived.is_some();
    for (key, value) in &stream.options {
        if is_derived || DECIDING.contains(&key.as_str()) {
            meaning.insert(format!("option '{key}' of {of}"), format!("'{value}'"));
        }
    }
    if let Some(derived) = &stream.derived
        && let Some(source) = beneath.streams.get(&derived.source)
    {
        add_stream(meaning, &source.definition, beneath);
    }
}

/// The rows of reference tables that a query can see, by the tables they are of, each as the SHA-256 of them.
fn pinned_rows(
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<Vec<(BTreeSet<String>, String)>> {
    let fed = plan.clone().transform_up_with_subqueries(|node| {
        Ok(match &node {
            LogicalPlan::TableScan(scan) if DeclaredTable::of(scan).is_some() => {
                Transformed::yes(SlotNode::plan(Arc::clone(&scan.projected_schema), 0))
            }
            _ => Transformed::no(node),
        })
    })?;
    let pinned = pinned::parts(state, &fed.data)?;
    Ok(pinned.into_iter().map(|(tables, hash)| (tables, hex(&hash))).collect())
}
