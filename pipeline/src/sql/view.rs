//! A view as the catalogue holds it: what it runs, and what was declared with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::options::{Emit, Retention};
use super::over_results::OverResults;
use super::plan::ViewPlan;
use super::scope::{ScopeDefinition, head};
use super::script::Statement;
use crate::results::snapshot::Bilingual;

/// A continuous query that is kept up to date.
#[derive(Debug, Clone)]
pub struct ViewDefinition {
    /// Name in SQL, JSON and URLs.
    pub name: String,
    /// Its text with place and head.
    pub statement: Statement,
    /// What it runs.
    pub query: ViewQuery,
    /// The scope it reads, if it reads one.
    pub scope: Option<ScopeDefinition>,
    /// The other scopes that a join of two streams reads.
    pub other_scopes: Vec<ScopeDefinition>,
    /// How long a closed window may be revised, in milliseconds.
    pub allowed_lateness: i64,
    /// How much the snapshot holds.
    pub retention: Retention,
    /// Which of its rows are shown.
    pub emit: Emit,
    /// Bytes of state at which it is stopped.
    pub state_bytes_max: u64,
    /// Kafka topic it goes to, empty for none; `None` where it does not say.
    pub result_topic: Option<String>,
    /// Title in Chinese and English.
    pub title: Bilingual,
    /// Unit of its measure.
    pub unit: String,
    /// Columns that its author declares to be shown to everyone, although they come from columns that tell of a person.
    pub clear: BTreeSet<String>,
    /// SHA-256 over its text, its plan, in which the scopes and views it reads are written out, and the
    /// definition of its stream, in hex.
    pub hash: String,
}

/// The columns that the head of a view declares clear: `-- clear: COLUMN, COLUMN`.
///
/// # Errors
/// When it has no such column.
pub(super) fn clear_columns(
    statement: &Statement,
    schema: &SchemaRef,
) -> Result<BTreeSet<String>, String> {
    let declared = head(statement, "clear").unwrap_or_default();
    let names = declared.split(',').map(str::trim).filter(|name| !name.is_empty());
    let known = |name: &str| match schema.field_with_name(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => {
            let all: Vec<&str> =
                schema.fields().iter().map(|field| field.name().as_str()).collect();
            let all = all.join(", ");
            Err(format!("'-- clear: {declared}': the view has no column {name}; it has {all}"))
        }
    };
    names.map(known).collect()
}

/// What a view runs.
#[derive(Debug, Clone)]
pub enum ViewQuery {
    /// A continuous query over a stream.
    Stream(Arc<ViewPlan>),
    /// A query over other views, the engine's own tables and reference tables, run again when one of
    /// them has changed.
    Results(Arc<OverResults>),
}

impl ViewQuery {
    /// The result's columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        match self {
            Self::Stream(plan) => Arc::clone(&plan.schema),
            Self::Results(over) => over.plan.schema(),
        }
    }

    /// Result columns that identify a row.
    #[must_use]
    pub fn keys(&self) -> &[usize] {
        match self {
            Self::Stream(plan) => &plan.keys,
            Self::Results(over) => &over.keys,
        }
    }

    /// Whether those tell all rows apart, by what the query is.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        match self {
            Self::Stream(plan) => plan.is_keyed,
            Self::Results(_) => false,
        }
    }
}
