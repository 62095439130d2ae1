//! A view over other views: their current rows, the engine's own tables and reference tables, joined as
//! one likes, run again at a publish that changed one of them. So its rows are of the very same cut.
//!
//! It cannot read a stream too: a stream's records come one by one, a view's rows are what is shown now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Result, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{FetchType, LogicalPlan, TableScan};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use super::cut::reads_stream;
use super::over_windows::{WindowColumns, window_columns};
use super::roles::key_columns;
use super::session::{DeclaredTable, RowsOf};
use super::slot::{self, SlotNode, SlotRows};
use crate::results::snapshot::{MARK_COLUMN, REVISION_COLUMN};

/// A query over results, ready to be run.
#[derive(Debug, Clone)]
pub struct OverResults {
    /// The views and tables it reads, each once.
    pub inputs: BTreeSet<String>,
    /// Result columns that identify a row.
    pub keys: Vec<usize>,
    /// 1 above the highest of the views it reads; 1 where it reads none.
    pub level: usize,
    /// Result columns that name the window a row is of, and that window alone.
    pub windows: WindowColumns,
    /// Whether either of them tells the other: all it reads has windows of one length.
    pub is_told_by_one: bool,
    /// For each view it reads the views over streams that this one rests on; a view over a stream on itself.
    pub rests_on: BTreeMap<String, BTreeSet<String>>,
    /// The plan with its slots.
    pub plan: Arc<dyn ExecutionPlan>,
    /// For each slot what it is fed with.
    pub slots: Vec<(String, SlotRows)>,
    /// Held while the plan runs: its slots are filled first.
    pub turn: Arc<Mutex<()>>,
}

/// What a query over results knows of a view that it reads.
#[derive(Debug, Clone)]
pub struct InputView {
    /// 0 for a view over a stream.
    pub level: usize,
    /// Its columns with the start and the end of a row's window.
    pub window: (Option<String>, Option<String>),
    /// Whether either tells the other, as it does for windows of one length.
    pub is_told_by_one: bool,
    /// The views over streams that it rests on.
    pub rests_on: BTreeSet<String>,
}

/// Whether a query reads a view or one of the engine's own tables.
#[must_use]
pub fn reads_results(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _visited = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(scan) if result_of(scan).is_some());
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// Whether a query has one row at the most, whatever it reads.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => values.values.len() <= 1,
        LogicalPlan::Limit(limit) => {
            let most = limit.get_fetch_type();
            matches!(most, Ok(FetchType::Literal(Some(0 | 1)))) || has_one_row(&limit.input)
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Join(_) => plan.inputs().into_iter().all(has_one_row),
        _ => false,
    }
}

fn result_of(scan: &TableScan) -> Option<String> {
    DeclaredTable::of(scan).filter(|(_, of)| *of == RowsOf::Results).map(|(name, _)| name)
}

impl OverResults {
    /// Plans an analyzed query; `view` knows the views by their names.
    ///
    /// # Errors
    /// When it reads a stream besides, shows the columns that every view has anyway, or has rows that no column
    /// tells apart.
    pub fn new(
        state: &SessionState,
        plan: &LogicalPlan,
        view: &dyn Fn(&str) -> Option<InputView>,
    ) -> Result<Self> {
        for name in [MARK_COLUMN, REVISION_COLUMN] {
            if plan.schema().fields().iter().any(|field| field.name() == name) {
                return plan_err!(
                    "every view has a column {name} of its own; name the columns you want, or give it another name"
                );
            }
        }
        let over = Self::planned(state, plan, view)?;
        if over.keys.is_empty() && !has_one_row(plan) {
            return plan_err!(
                "nothing tells the rows of this view apart, so that one would be shown over the other: show a window or \
                 text column, or group by what tells them apart and show that"
            );
        }
        Ok(over)
    }

    /// Plans an analyzed query that is run once, and no view; its level is 1.
    ///
    /// # Errors
    /// When it reads a stream besides.
    pub fn of_query(state: &SessionState, plan: &LogicalPlan) -> Result<Self> {
        Self::planned(state, plan, &|_| None)
    }

    fn planned(
        state: &SessionState,
        plan: &LogicalPlan,
        view: &dyn Fn(&str) -> Option<InputView>,
    ) -> Result<Self> {
        if reads_stream(plan) {
            return plan_err!(
                "a query reads streams or views, not both: make a view over the stream first, and join that"
            );
        }
        let mut slots: Vec<(String, SlotRows)> = Vec::new();
        let replaced = plan
            .clone()
            .transform_up_with_subqueries(|node| {
                let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
                let Some(name) = result_of(scan) else { return Ok(Transformed::no(node)) };
                let leaf = SlotNode::plan(Arc::clone(&scan.projected_schema), slots.len());
                slots.push((name, SlotRows::default()));
                Ok(Transformed::yes(leaf))
            })?
            .data;
        let keys = key_columns(&replaced);
        let ordered = super::ties::make_deterministic(replaced, None)?;
        let rows = slots.iter().map(|(_, rows)| Arc::clone(rows)).collect();
        let inputs: BTreeSet<String> = slots.iter().map(|(name, _)| name.clone()).collect();
        let views: BTreeMap<&String, InputView> =
            inputs.iter().filter_map(|name| Some((name, view(name)?))).collect();
        let optimized = slot::optimized(state, &ordered)?;
        let mut windows = window_columns(&optimized, &|slot, schema| {
            let Some(view) = slots.get(slot).and_then(|(name, _)| views.get(name)) else {
                return WindowColumns::default();
            };
            let at = |column: &Option<String>| {
                schema.fields().iter().position(|field| Some(field.name()) == column.as_ref())
            };
            WindowColumns { start: at(&view.window.0), end: at(&view.window.1) }
        })?;
        let is_told_by_one = views.values().all(|view| view.is_told_by_one);
        if !is_told_by_one && (windows.start.is_none() || windows.end.is_none()) {
            windows = WindowColumns::default();
        }
        let level = views.values().map(|view| view.level).max().unwrap_or(0) + 1;
        let rests_on =
            views.iter().map(|(name, view)| ((*name).clone(), view.rests_on.clone())).collect();
        let plan = slot::physical_of_optimized(state, &ordered, &optimized, rows)?;
        let turn = Arc::default();
        Ok(Self { inputs, keys, level, windows, is_told_by_one, rests_on, plan, slots, turn })
    }

    /// What a query over this view knows of it.
    #[must_use]
    pub fn as_input(&self) -> InputView {
        let schema = self.plan.schema();
        let name = |at: Option<usize>| at.map(|at| schema.field(at).name().clone());
        InputView {
            level: self.level,
            window: (name(self.windows.start), name(self.windows.end)),
            is_told_by_one: self.is_told_by_one,
            rests_on: self.rests_on.values().flatten().cloned().collect(),
        }
    }
}
