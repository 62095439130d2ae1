//! A plan as plain steps: filters, projections and joins with rows that never change, each row by itself.
//!
//! A step is run over a batch without a stream, a task or a lock, and what several views have in common can be
//! done once. A plan with any other node is executed as DataFusion made it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;

use super::lookup::Lookup;
use super::row_by_row;
use crate::sql::slot::SlotExec;

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Keeps the rows for which the predicate is true, and of them the columns in `keep`.
    Filter { predicate: Arc<dyn PhysicalExpr>, keep: Option<Vec<usize>> },
    /// Makes other columns of the columns.
    Project { exprs: Vec<Arc<dyn PhysicalExpr>>, schema: SchemaRef },
    /// Finds for each row the one of a table that belongs to it.
    Lookup(Arc<Lookup>),
}

/// The steps of a plan from its slot up; `None` when it has another kind of node.
pub(super) fn plain_steps(plan: &Arc<dyn ExecutionPlan>) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    push_steps(plan, &mut steps).then_some(steps)
}

fn push_steps(plan: &Arc<dyn ExecutionPlan>, steps: &mut Vec<Step>) -> bool {
    if plan.is::<SlotExec>() {
        return true;
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return push_lookup(join, steps);
    }
    let children = plan.children();
    let [input] = children.as_slice() else { return false };
    if !push_steps(input, steps) {
        return false;
    }
    if plan.is::<CooperativeExec>() {
        // It only lets other tasks have their turn, and there are none.
        return true;
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let keep = filter.projection().as_ref().map(|keep| keep.to_vec());
        steps.push(Step::Filter { predicate: Arc::clone(filter.predicate()), keep });
        return filter.fetch().is_none();
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let exprs = projection.expr().iter().map(|found| Arc::clone(&found.expr)).collect();
        steps.push(Step::Project { exprs, schema: projection.schema() });
        return true;
    }
    false
}

fn push_lookup(join: &HashJoinExec, steps: &mut Vec<Step>) -> bool {
    let (left, right) = (has_slot(join.left()), has_slot(join.right()));
    let fed = match (left, right) {
        (true, false) => join.left(),
        (false, true) => join.right(),
        _ => return false,
    };
    if !push_steps(fed, steps) {
        return false;
    }
    match Lookup::of(join, left) {
        Some(lookup) => {
            steps.push(Step::Lookup(Arc::new(lookup)));
            true
        }
        None => false,
    }
}

fn has_slot(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<SlotExec>() || plan.children().into_iter().any(has_slot)
}

/// The columns of the slot that the steps look at, by number; `None` where it may be all of them.
pub(super) fn columns_of(steps: &[Step]) -> Option<BTreeSet<usize>> {
    let mut columns = BTreeSet::new();
    let mut look_at = |expr: &Arc<dyn PhysicalExpr>| {
        columns.extend(collect_columns(expr).into_iter().map(|column| column.index()));
    };
    for step in steps {
        match step {
            Step::Filter { predicate, keep } => {
                look_at(predicate);
                if let Some(keep) = keep {
                    columns.extend(keep);
                    return Some(columns);
                }
            }
            Step::Project { exprs, .. } => {
                exprs.iter().for_each(look_at);
                return Some(columns);
            }
            Step::Lookup(lookup) => {
                look_at(lookup.key());
                columns.extend(lookup.kept());
                return Some(columns);
            }
        }
    }
    None
}

/// What a step makes of rows.
///
/// # Errors
/// When an expression fails on them, as a division by zero.
pub(super) fn apply(rows: RecordBatch, step: &Step) -> Result<RecordBatch> {
    match step {
        Step::Filter { predicate, keep } => {
            let mask = row_by_row::evaluate(predicate.as_ref(), &rows)?;
            let rows = match keep {
                Some(keep) => rows.project(keep)?,
                None => rows,
            };
            let mask = mask.as_boolean();
            if mask.true_count() == rows.num_rows() {
                return Ok(rows);
            }
            Ok(filter_record_batch(&rows, mask)?)
        }
        Step::Project { exprs, schema } => {
            let count = rows.num_rows();
            let columns = exprs
                .iter()
                .map(|expr| row_by_row::evaluate(expr.as_ref(), &rows))
                .collect::<Result<Vec<_>>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
        }
        Step::Lookup(lookup) => lookup.apply(&rows),
    }
}
