//! What a query's figures depend on beside the log: the rows of reference tables it can see.
//!
//! Those rows are computed once, as the query's own conditions select them, and stand in the plan in the
//! place of the tables. A view's plan hash holds them too: a rate that is added outside of what a scope
//! pins changes nothing; a changed rate inside is another plan, and the view is computed again.

use std::collections::{BTreeMap, BTreeSet};
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

use super::across::refuse_scalar_subqueries;
use super::slot::{self, SlotNode};

/// The plan, which has a slot, with the rows it reads elsewhere in it; they are added to `hash`.
///
/// # Errors
/// DataFusion's own, when the rows cannot be computed.
pub fn pin(hash: &mut Sha256, state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    if !reads_tables(&plan) {
        return Ok(plan);
    }
    // Optimized, a condition stands at the table it is about, and only the columns in use are read.
    let optimized = state.optimize(&plan)?;
    // Those that could be put in other words have been.
    refuse_scalar_subqueries(&optimized)?;
    let mut rows = Vec::new();
    let pinned = pin_tables(&mut rows, state, &optimized)?;
    rows.iter().try_for_each(|rows| add_rows(hash, &rows.rows))?;
    Ok(pinned)
}

/// The rows a plan reads elsewhere than in its slots, by the tables they are of, each part as its SHA-256.
///
/// # Errors
/// DataFusion's own, when the rows cannot be computed.
pub fn parts(
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<BTreeMap<BTreeSet<String>, [u8; 32]>> {
    let mut rows = Vec::new();
    if reads_tables(plan) {
        pin_tables(&mut rows, state, &state.optimize(plan)?)?;
    }
    let mut hashes: BTreeMap<BTreeSet<String>, Sha256> = BTreeMap::new();
    // What stands in the text itself is of no table.
    for ReadRows { tables, rows } in rows.into_iter().filter(|read| !read.tables.is_empty()) {
        add_rows(hashes.entry(tables).or_default(), &rows)?;
    }
    Ok(hashes.into_iter().map(|(tables, hash)| (tables, hash.finalize().into())).collect())
}

/// Rows that a plan reads elsewhere than in its slots.
struct ReadRows {
    /// The tables they are of.
    tables: BTreeSet<String>,
    rows: RecordBatch,
}

impl ReadRows {
    fn of(state: &SessionState, plan: &LogicalPlan) -> Result<Self> {
        let mut tables = BTreeSet::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                tables.insert(scan.table_name.table().to_owned());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Self { tables, rows: rows_of(state, plan)? })
    }
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

fn pin_tables(
    read: &mut Vec<ReadRows>,
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<LogicalPlan> {
    if !has_slot(plan) {
        let found = ReadRows::of(state, plan)?;
        let leaf = SlotNode::with_rows(Arc::clone(plan.schema()), found.rows.clone());
        read.push(found);
        return Ok(leaf);
    }
    let mut subqueries = Vec::new();
    plan.apply_subqueries(|subquery| {
        subqueries.push(subquery.clone());
        Ok(TreeNodeRecursion::Jump)
    })?;
    for subquery in &subqueries {
        read.push(ReadRows::of(state, subquery)?);
    }
    if plan.inputs().is_empty() {
        return Ok(plan.clone());
    }
    let inputs = plan
        .inputs()
        .into_iter()
        .map(|input| pin_tables(read, state, input))
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
