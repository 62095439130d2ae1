//! Stages made from definitions: decoders, folds, view states.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Result;

use super::partition::{Branch, DerivedRun, Folds, PartitionRun, Place, Reading};
use crate::decode::{Decoder, FieldSpec, FieldType, Format, RecordMetadata};
use crate::lifecycle::Operator;
use crate::model::Zone;
use crate::sql::options::{Emit, Retention};
use crate::sql::stream::UnknownFields;
use crate::sql::{StreamPlan, ViewPlan};
use crate::windows::fire::ViewState;
use crate::windows::{ViewFold, Windows};

/// A view to be run, apart from its papers.
#[derive(Debug, Clone)]
pub struct ViewToRun {
    /// Its name and the beginning of its hash: two definitions of one name are two views.
    pub key: Arc<str>,
    /// Its plan.
    pub plan: Arc<ViewPlan>,
    /// How long its closed windows may be revised, in milliseconds.
    pub allowed_lateness: i64,
    /// How much its snapshot holds.
    pub retention: Retention,
    /// Which of its rows are shown.
    pub emit: Emit,
}

impl ViewToRun {
    /// Its windows; `None` for a running total.
    #[must_use]
    pub fn windows(&self, zone: Zone) -> Option<Windows> {
        let window = self.plan.window.as_ref()?;
        // Rows that only pass through a window function are late for nothing.
        let allowed = if self.plan.passes_late { i64::MAX } else { self.allowed_lateness };
        Some(Windows::new(window, zone, allowed))
    }

    /// The view as each of its streams folds it: itself, and for a join of two streams its right side too.
    pub fn sides(&self) -> impl Iterator<Item = Self> {
        let right = self.plan.right_side();
        let right = right.map(|plan| Self { plan: Arc::new(plan), ..self.clone() });
        std::iter::once(self.clone()).chain(right)
    }

    /// The state of the view before its first record.
    ///
    /// # Errors
    /// When its keys or states cannot be encoded.
    pub fn state(&self, zone: Zone) -> Result<ViewState> {
        let state = ViewState::new(Arc::clone(&self.plan), self.windows(zone), self.retention)?;
        Ok(state.emitting(self.emit))
    }
}

/// A partition with the folds of all views over the stream and over `derived`, the tables derived from it.
///
/// # Errors
/// When a fold cannot be made.
pub fn partition_run(
    stream: &Arc<StreamPlan>,
    derived: &[Arc<StreamPlan>],
    place: Place,
    csv_header: Option<Vec<String>>,
    views: &[ViewToRun],
) -> Result<PartitionRun> {
    let others = place.has_others;
    let folds = Folds {
        branch: branch(stream, views, others)?,
        derived: life_cycles(derived, views, others)?,
    };
    PartitionRun::new(Arc::clone(stream), place, decoder(stream, csv_header), folds)
}

/// The folds of those views that read this stream; `has_others` as in [`Place`].
///
/// # Errors
/// When a fold cannot be made.
pub fn branch(stream: &StreamPlan, views: &[ViewToRun], has_others: bool) -> Result<Branch> {
    let (name, zone) = (stream.definition.name.as_str(), stream.definition.zone);
    let fold = |view: &ViewToRun| {
        let fold = ViewFold::new(Arc::clone(&view.plan), view.windows(zone))?;
        Ok((Arc::clone(&view.key), if has_others { fold.beside_others() } else { fold }))
    };
    let own = views.iter().filter(|view| view.plan.stream == name);
    Ok(Branch::new(name.into(), own.map(fold).collect::<Result<_>>()?))
}

/// One operator for all tables that are LIKE one another.
fn life_cycles(
    derived: &[Arc<StreamPlan>],
    views: &[ViewToRun],
    has_others: bool,
) -> Result<Vec<DerivedRun>> {
    let mut by_operator: BTreeMap<&str, (Operator, Vec<Reading>)> = BTreeMap::new();
    for plan in derived {
        let Some(how) = &plan.definition.derived else { continue };
        let reading = Reading {
            plan: Arc::clone(plan),
            time: how.time,
            branch: branch(plan, views, has_others)?,
        };
        let operator =
            || (Operator::new(Arc::clone(&how.columns), Arc::clone(&how.rules)), Vec::new());
        by_operator.entry(&how.operator).or_insert_with(operator).1.push(reading);
    }
    let all = by_operator.into_iter();
    Ok(all
        .map(|(name, (operator, readings))| DerivedRun::new(name.into(), operator, readings))
        .collect())
}

/// The decoder of a stream's records.
#[must_use]
pub fn decoder(stream: &StreamPlan, csv_header: Option<Vec<String>>) -> Decoder {
    let definition = &stream.definition;
    let fields: Vec<FieldSpec> = definition
        .columns
        .iter()
        .filter(|column| column.computed.is_none())
        .map(|column| FieldSpec {
            name: column.field.name().clone(),
            field_type: field_type(column.field.data_type(), definition.zone),
            declared: column.declared.clone(),
            required: !column.field.is_nullable(),
            metadata: column.metadata.as_deref().and_then(RecordMetadata::named),
        })
        .collect();
    let format = match definition.format.as_str() {
        "csv" => Format::Csv {
            header: csv_header.unwrap_or_else(|| {
                let own = fields.iter().filter(|field| field.metadata.is_none());
                own.map(|field| field.name.clone()).collect()
            }),
            delimiter: definition
                .options
                .get("csv.delimiter")
                .and_then(|text| text.bytes().next())
                .unwrap_or(b','),
        },
        // Parquet rows come as JSON objects.
        _ => Format::Json,
    };
    Decoder::new(fields, format, definition.unknown_fields == UnknownFields::Reject)
}

fn field_type(data_type: &DataType, zone: Zone) -> FieldType {
    match data_type {
        DataType::Boolean => FieldType::Boolean,
        DataType::Int8 => FieldType::Integer(8),
        DataType::Int16 => FieldType::Integer(16),
        DataType::Int32 => FieldType::Integer(32),
        DataType::Int64 => FieldType::Integer(64),
        DataType::Float32 => FieldType::Float(32),
        DataType::Float64 => FieldType::Float(64),
        DataType::Decimal128(precision, scale) => FieldType::Decimal(*precision, *scale),
        DataType::Date32 => FieldType::Date,
        DataType::Timestamp(TimeUnit::Millisecond, _) => FieldType::Timestamp(zone),
        _ => FieldType::Text,
    }
}
