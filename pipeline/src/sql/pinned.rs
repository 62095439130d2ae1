//! What a query's figures depend on beside the log: the rows of reference tables it can see.
//!
//! Those rows are computed once, as the query's own conditions select them, and stand in the plan in the
//! place of the tables. A view's plan hash holds them too: a rate that is added outside of what a scope
//! pins changes nothing; a changed rate inside is another plan, and the view is computed again.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::SessionState;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::collect;
use sha2::{Digest as _, Sha256};

use super::slot::{self, RowsNode, SlotNode};

/// The plan, which has a slot, with the rows it reads elsewhere in it; they are added to `hash`.
///
/// # Errors
/// DataFusion's own, when the rows cannot be computed.
pub fn pin(hash: &mut Sha256, state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    if !reads_tables(&plan) {
        return Ok(plan);
    }
    // Optimized, a condition stands at the table it is about, and only the columns in use are read.
    pin_tables(hash, state, &state.optimize(&plan)?)
}

fn reads_tables(plan: &LogicalPlan) -> bool {
    let mut subqueries = false;
    // Whether the visit succeeds is known: the closure never fails.
    let _visited = plan.apply_subqueries(|_| {
        subqueries = true;
        Ok(TreeNodeRecursion::Stop)
    });
    subqueries
        || matches!(plan, LogicalPlan::TableScan(_) | LogicalPlan::Values(_))
        || plan.inputs().into_iter().any(reads_tables)
}

fn pin_tables(hash: &mut Sha256, state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    if !has_slot(plan) {
        let rows = rows_of(state, plan)?;
        add_rows(hash, &rows)?;
        return Ok(RowsNode::plan(Arc::clone(plan.schema()), rows));
    }
    let mut subqueries = Vec::new();
    plan.apply_subqueries(|subquery| {
        subqueries.push(subquery.clone());
        Ok(TreeNodeRecursion::Jump)
    })?;
    for subquery in &subqueries {
        add_rows(hash, &rows_of(state, subquery)?)?;
    }
    if plan.inputs().is_empty() {
        return Ok(plan.clone());
    }
    let inputs = plan
        .inputs()
        .into_iter()
        .map(|input| pin_tables(hash, state, input))
        .collect::<Result<_>>()?;
    plan.with_new_exprs(plan.expressions(), inputs)
}

fn has_slot(plan: &LogicalPlan) -> bool {
    SlotNode::of(plan).is_some() || plan.inputs().into_iter().any(has_slot)
}

fn rows_of(state: &SessionState, plan: &LogicalPlan) -> Result<RecordBatch> {
    let physical = slot::physical(state, plan)?.plan;
    let schema = physical.schema();
    let batches = run_apart(collect(physical, Arc::<TaskContext>::default()))?;
    Ok(concat_batches(&schema, &batches)?)
}

/// Runs to its end on a thread and a runtime of its own: parts of a plan, such as the sides of a UNION, run as tasks,
/// and a folder may be read from within a runtime or without one.
fn run_apart<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    std::thread::scope(|scope| scope.spawn(|| runtime.block_on(work)).join())
        .unwrap_or_else(|_| internal_err!("a query over reference tables panicked"))
}

/// Adds rows in an order of their own, so that only what they say counts.
fn add_rows(hash: &mut Sha256, rows: &RecordBatch) -> Result<()> {
    for field in rows.schema().fields() {
        hash.update(format!("\n{}:{}", field.name(), field.data_type()));
    }
    hash.update(rows.num_rows().to_le_bytes());
    if rows.num_columns() == 0 {
        return Ok(());
    }
    let fields = rows
        .schema()
        .fields()
        .iter()
        .map(|field| SortField::new(field.data_type().clone()))
        .collect();
    let encoded = RowConverter::new(fields)?.convert_columns(rows.columns())?;
    let mut sorted: Vec<_> = encoded.iter().collect();
    sorted.sort();
    for row in sorted {
        hash.update(row.data().len().to_le_bytes());
        hash.update(row.data());
    }
    Ok(())
}
