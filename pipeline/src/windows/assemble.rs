//! The rows of a window as the plan above the aggregate reads them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use arrow::compute::{cast, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::{Result, internal_err};

use super::assign::{Window, Windows};
use super::table::Evaluated;
use crate::sql::cut::ARRIVAL_COLUMN;
use crate::sql::plan::{AggregatePlan, Output};

/// The aggregate's output columns in their order.
pub(super) fn assemble(
    plan: &AggregatePlan,
    schema: &SchemaRef,
    windows: Option<&Windows>,
    window: Window,
    evaluated: Evaluated,
) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (output, field) in plan.outputs.iter().zip(schema.fields()) {
        columns.push(match output {
            Output::Window(nth) => {
                window_value(windows, window, *nth, field.data_type(), evaluated.count)?
            }
            Output::Key(nth) => typed(evaluated.keys.get(*nth), field.data_type())?,
            Output::GroupingId => typed(evaluated.keys.last(), field.data_type())?,
            Output::Aggregate(nth) => typed(evaluated.values.get(*nth), field.data_type())?,
        });
    }
    batch(schema, columns, evaluated.count)
}

fn typed(column: Option<&ArrayRef>, data_type: &DataType) -> Result<ArrayRef> {
    match column {
        Some(column) if column.data_type() == data_type => Ok(Arc::clone(column)),
        Some(column) => Ok(cast(column, data_type)?),
        None => internal_err!("a group without one of its columns"),
    }
}

pub(super) fn window_value(
    windows: Option<&Windows>,
    window: Window,
    nth: usize,
    data_type: &DataType,
    count: usize,
) -> Result<ArrayRef> {
    let Some(windows) = windows else {
        return internal_err!("a running total has no window columns");
    };
    let value = match nth {
        0 => windows.instant(window.start),
        1 => windows.instant(window.end),
        _ => windows.instant(window.end) - 1,
    };
    let times = TimestampMillisecondArray::from(vec![value; count]);
    // A cast from a stamp without a zone would read the instant as the zone's wall clock.
    let times = match data_type {
        DataType::Timestamp(_, Some(zone)) => times.with_timezone(Arc::clone(zone)),
        _ => times,
    };
    Ok(cast(&times, data_type)?)
}

pub(super) fn window_batch(
    windows: &Windows,
    window: Window,
    kept: &SchemaRef,
) -> Result<RecordBatch> {
    let zone = kept.fields().iter().find_map(|field| match field.data_type() {
        DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, zone) => Some(zone.clone()),
        _ => None,
    });
    let data_type = DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, zone.flatten());
    let columns = (0..3)
        .map(|nth| window_value(Some(windows), window, nth, &data_type, 1))
        .collect::<Result<Vec<_>>>()?;
    let fields: Vec<arrow::datatypes::Field> = crate::sql::window_function::WINDOW_COLUMNS
        .map(|name| arrow::datatypes::Field::new(name, data_type.clone(), false))
        .to_vec();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Kept rows by partition and offset.
pub(super) fn in_arrival_order(rows: &RecordBatch) -> Result<RecordBatch> {
    let Some(arrival) = rows.column_by_name(ARRIVAL_COLUMN) else { return Ok(rows.clone()) };
    let column = arrow::compute::SortColumn { values: Arc::clone(arrival), options: None };
    let order = lexsort_to_indices(&[column], None)?;
    Ok(take_record_batch(rows, &order)?)
}

/// Kept rows with the columns of the slot above: their own, the window's, and the arrival.
pub(super) fn with_window_columns(
    rows: &RecordBatch,
    schema: &SchemaRef,
    windows: Option<&Windows>,
    window: Window,
) -> Result<RecordBatch> {
    let own = rows.num_columns() - 1;
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (at, field) in schema.fields().iter().enumerate() {
        columns.push(if at < own {
            Arc::clone(rows.column(at))
        } else if field.name() == ARRIVAL_COLUMN {
            Arc::clone(rows.column(own))
        } else {
            window_value(windows, window, at - own, field.data_type(), rows.num_rows())?
        });
    }
    batch(schema, columns, rows.num_rows())
}

pub(super) fn batch(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    count: usize,
) -> Result<RecordBatch> {
    // A key that no row of this window lacks may still be declared as never NULL.
    let fields: Vec<_> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}
