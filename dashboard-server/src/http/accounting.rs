//! The accounting of a cut as metrics, told when someone asks for them: the same numbers as in SQL.

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use metrics::Label;
use tidemark_pipeline::results::Cut;

/// The names of a table's metrics after `tidemark_`: one a count, as `tidemark_records_accepted_total`.
const METRICS: [(&str, &str); 3] = [
    ("records_accounted", "records"),
    ("views_accounted", "view_records"),
    ("sources_accounted", "source_records"),
];

/// Sets the metrics to what stands in the cut.
pub fn tell(cut: &Cut) {
    tell_space(cut, "tidemark");
    // Under names of their own, so that no sum over a metric mixes load tests in.
    if let Some(shadow) = &cut.shadow {
        tell_space(shadow, "tidemark_shadow");
    }
}

fn tell_space(cut: &Cut, prefix: &str) {
    for (table, metric) in METRICS {
        if let Some(rows) = cut.tables.get(table) {
            (0..rows.num_rows()).for_each(|row| tell_row(&format!("{prefix}_{metric}"), rows, row));
        }
    }
}

fn tell_row(metric: &str, rows: &RecordBatch, row: usize) {
    let mut labels = Vec::new();
    let mut counts = Vec::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        match field.data_type() {
            DataType::Int64 => {
                counts.push((field.name().clone(), column.as_primitive::<Int64Type>().value(row)))
            }
            DataType::Int32 => {
                let number = column.as_primitive::<Int32Type>().value(row).to_string();
                labels.push(Label::new(field.name().clone(), number));
            }
            _ => {
                let text = column.as_string::<i32>();
                let text = if text.is_null(row) { "" } else { text.value(row) };
                labels.push(Label::new(field.name().clone(), text.to_owned()));
            }
        }
    }
    for (name, count) in counts {
        let counter = metrics::counter!(format!("{metric}_{name}_total"), labels.clone());
        counter.absolute(u64::try_from(count).unwrap_or(0));
    }
}
