//! Expressions over a batch as if each row came by itself.
//!
//! `i <> 0 AND 10 / i > 1` is right for every row; over many rows at once DataFusion may divide by the zero of a
//! row that the left side leaves out. What a query says must not depend on how many rows are read together,
//! so where a batch fails its halves are tried, down to the row that fails by itself.

use arrow::array::ArrayRef;
use arrow::compute::{concat, concat_batches};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;

/// The values of an expression, a row each.
///
/// # Errors
/// When it fails on a row by itself.
pub(super) fn evaluate(expr: &dyn PhysicalExpr, rows: &RecordBatch) -> Result<ArrayRef> {
    let failed = match expr.evaluate(rows).and_then(|value| value.into_array(rows.num_rows())) {
        Ok(values) => return Ok(values),
        Err(failed) => failed,
    };
    let Some((first, second)) = halves(rows) else { return Err(failed) };
    let (first, second) = (evaluate(expr, &first)?, evaluate(expr, &second)?);
    Ok(concat(&[&first, &second])?)
}

/// What `run` makes of the rows.
///
/// # Errors
/// When it fails on a row by itself.
pub(super) fn run(
    rows: RecordBatch,
    run_once: &dyn Fn(RecordBatch) -> Result<RecordBatch>,
) -> Result<RecordBatch> {
    let failed = match run_once(rows.clone()) {
        Ok(made) => return Ok(made),
        Err(failed) => failed,
    };
    let Some((first, second)) = halves(&rows) else { return Err(failed) };
    let (first, second) = (run(first, run_once)?, run(second, run_once)?);
    Ok(concat_batches(&first.schema(), [&first, &second])?)
}

fn halves(rows: &RecordBatch) -> Option<(RecordBatch, RecordBatch)> {
    let (count, middle) = (rows.num_rows(), rows.num_rows() / 2);
    (count > 1).then(|| (rows.slice(0, middle), rows.slice(middle, count - middle)))
}
