//! Views over what other views show: run again at a cut that changed one of their inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, RecordBatch};
use arrow::compute::concat_batches;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::collect;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use tokio::runtime::Runtime;

use super::PublisherLimits;
use super::view::{published, view_key};
use crate::results::published::NewWindow;
use crate::results::{Mark, PublishedView, Snapshot};
use crate::sql::catalog::{Catalog, ViewDefinition, ViewQuery};
use crate::sql::over_results::OverResults;

/// One view over results.
#[derive(Debug)]
pub(super) struct ResultsView {
    /// Its name and the beginning of its hash.
    pub(super) key: Arc<str>,
    over: Arc<OverResults>,
    context: Arc<TaskContext>,
    runtime: Arc<Runtime>,
    /// What its inputs were when it was last run; `None` before the first time.
    seen: Option<BTreeMap<String, Vec<RecordBatch>>>,
    pub(super) published: PublishedView,
    /// Why it was stopped, if it was.
    pub(super) failed: Option<String>,
}

/// What a view over results may read at a cut.
pub(super) struct Shown<'a> {
    pub(super) views: &'a BTreeMap<String, Arc<Snapshot>>,
    pub(super) tables: &'a BTreeMap<String, RecordBatch>,
}

impl Shown<'_> {
    fn rows(&self, name: &str) -> Vec<RecordBatch> {
        match (self.views.get(name), self.tables.get(name)) {
            (Some(view), _) => view.batches(),
            (None, Some(table)) => vec![table.clone()],
            (None, None) => Vec::new(),
        }
    }
}

impl ResultsView {
    /// All views over results of a catalogue, each after those it reads.
    ///
    /// # Errors
    /// When the system gives nothing to run them on.
    pub(super) fn of(catalog: &Catalog, limits: PublisherLimits) -> Result<Vec<Self>> {
        // Some operators of DataFusion spawn tasks; this thread runs them itself.
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let runtime = Arc::new(runtime);
        let one = |view| Self::new(catalog, view, limits, &runtime);
        let mut all: Vec<Self> = catalog.views.iter().filter_map(one).collect();
        all.sort_by_key(|view| view.over.level);
        Ok(all)
    }

    fn new(
        catalog: &Catalog,
        view: &ViewDefinition,
        limits: PublisherLimits,
        runtime: &Arc<Runtime>,
    ) -> Option<Self> {
        let ViewQuery::Results(over) = &view.query else { return None };
        Some(Self {
            key: view_key(view),
            over: Arc::clone(over),
            context: catalog.context.task_ctx(),
            runtime: Arc::clone(runtime),
            seen: None,
            published: published(catalog, view, limits),
            failed: None,
        })
    }

    /// The same view before it is first shown.
    pub(super) fn alike(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            over: Arc::clone(&self.over),
            context: Arc::clone(&self.context),
            runtime: Arc::clone(&self.runtime),
            seen: None,
            published: self.published.alike(),
            failed: None,
        }
    }

    /// Names of the views and tables it reads.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &String> {
        self.over.inputs.iter()
    }

    /// Shows the query's rows over what is shown at this cut, if one of its inputs is another than before. Where an
    /// expression fails on them it has no rows until it does no longer; no other view notices.
    pub(super) fn show(&mut self, cut: u64, shown: &Shown<'_>) {
        match self.show_changed(cut, shown) {
            Ok(true) => self.failed = None,
            Ok(false) => {}
            Err(error) => {
                let (name, reason) = (&self.published.info().name, error.strip_backtrace());
                if self.failed.as_ref() != Some(&reason) {
                    tracing::error!(view = %name, reason, "view {name} has no rows: {reason}");
                }
                self.published.withdraw(cut, (i64::MIN, i64::MAX));
                self.failed = Some(reason);
            }
        }
    }

    /// Whether it was run: one of its inputs is another than before.
    fn show_changed(&mut self, cut: u64, shown: &Shown<'_>) -> Result<bool> {
        let inputs: BTreeMap<String, Vec<RecordBatch>> =
            self.over.inputs.iter().map(|name| (name.clone(), shown.rows(name))).collect();
        if self.seen.as_ref().is_some_and(|seen| same(seen, &inputs)) {
            return Ok(false);
        }
        let rows = self.run(&inputs);
        self.seen = Some(inputs);
        let rows = rows?;
        let window = (i64::MIN, i64::MAX);
        self.published
            .show(cut, NewWindow { window, rows, mark: Mark::Provisional, revision: 0 })?;
        self.published.trim(cut);
        Ok(true)
    }

    fn run(&self, inputs: &BTreeMap<String, Vec<RecordBatch>>) -> Result<RecordBatch> {
        rows_over(&self.over, inputs, (&self.runtime, Arc::clone(&self.context)))
    }
}

/// The rows of a query over results, whose inputs have these rows.
///
/// # Errors
/// When an expression fails on a row.
pub fn rows_over(
    over: &OverResults,
    inputs: &BTreeMap<String, Vec<RecordBatch>>,
    (runtime, context): (&Runtime, Arc<TaskContext>),
) -> Result<RecordBatch> {
    let _turn = over.turn.lock();
    for (name, slot) in &over.slots {
        *slot.lock() = inputs.get(name).cloned().unwrap_or_default();
    }
    // A plan keeps the metrics of every execution; a fresh one has none.
    let plan = reset_plan_states(Arc::clone(&over.plan))?;
    let schema = plan.schema();
    let batches = runtime.block_on(collect(plan, context));
    over.slots.iter().for_each(|(_, slot)| slot.lock().clear());
    Ok(concat_batches(&schema, &batches?)?)
}

/// Whether all inputs are as they were; columns that are the very same are not compared.
fn same(
    before: &BTreeMap<String, Vec<RecordBatch>>,
    now: &BTreeMap<String, Vec<RecordBatch>>,
) -> bool {
    let same_batch = |left: &RecordBatch, right: &RecordBatch| {
        left.num_rows() == right.num_rows()
            && left.columns().iter().zip(right.columns()).all(|(left, right)| {
                Arc::ptr_eq(left, right) || left.to_data().ptr_eq(&right.to_data()) || left == right
            })
    };
    before.iter().zip(now).all(|((_, before), (_, now))| {
        before.len() == now.len()
            && before.iter().zip(now).all(|(before, now)| same_batch(before, now))
    })
}
