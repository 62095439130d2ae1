//! Views over what other views show: run again at a cut that changed one of their inputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::collect;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use tokio::runtime::Runtime;

use super::PublisherLimits;
use super::view::{published, view_key};
use crate::results::published::NewWindow;
use crate::results::{Mark, PublishedView, Snapshot, WindowRows};
use crate::sql::catalog::{Catalog, ViewDefinition, ViewQuery};
use crate::sql::over_results::OverResults;
use crate::sql::over_windows::WindowColumns;

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
    /// The mark of a window without a row in a view over a stream.
    pub(super) without_rows: &'a dyn Fn(&str, Bounds) -> Mark,
}

/// What a row says of its window: start, end or both, as instants.
pub(super) type Bounds = (Option<i64>, Option<i64>);

/// What a view over results shows without windows of its own: all there is, always provisional.
const EVER: (i64, i64) = (i64::MIN, i64::MAX);

impl Shown<'_> {
    fn rows(&self, name: &str) -> Vec<RecordBatch> {
        match (self.views.get(name), self.tables.get(name)) {
            (Some(view), _) => view.batches(),
            (None, Some(table)) => vec![table.clone()],
            (None, None) => Vec::new(),
        }
    }
}

/// The windows of the views that are read, by what a row says of its own.
struct InputWindows<'a> {
    /// For each view its windows and the views over streams that it rests on.
    views: Vec<(HashMap<Bounds, Vec<&'a WindowRows>>, &'a Snapshot, &'a BTreeSet<String>)>,
    without_rows: &'a dyn Fn(&str, Bounds) -> Mark,
}

impl<'a> InputWindows<'a> {
    fn of(over: &'a OverResults, shown: &Shown<'a>) -> Self {
        let has = over.windows;
        let mut views = Vec::new();
        for (name, rests_on) in &over.rests_on {
            let Some(snapshot) = shown.views.get(name) else { continue };
            let mut windows: HashMap<Bounds, Vec<&WindowRows>> = HashMap::new();
            for rows in &snapshot.windows {
                let (start, end) = rows.window;
                let bounds = (has.start.map(|_| start), has.end.map(|_| end));
                windows.entry(bounds).or_default().push(rows);
            }
            views.push((windows, snapshot.as_ref(), rests_on));
        }
        Self { views, without_rows: shown.without_rows }
    }

    /// The whole window that a row names by one of its bounds: the longest of those that are read.
    fn window(&self, bounds: Bounds) -> (i64, i64) {
        let found = self.views.iter().filter_map(|(windows, ..)| windows.get(&bounds)).flatten();
        let (starts, ends): (Vec<i64>, Vec<i64>) = found.map(|rows| rows.window).unzip();
        let start = bounds.0.or_else(|| starts.into_iter().min());
        let end = bounds.1.or_else(|| ends.into_iter().max());
        (start.or(end).unwrap_or(i64::MIN), end.or(start).unwrap_or(i64::MAX))
    }

    /// The weakest mark of the windows that a row is made of and how often they were revised; `None` where one of the
    /// views that are read no longer keeps its window, so that the row would lack what had been there.
    fn papers(&self, bounds: Bounds) -> Option<(Mark, u64)> {
        let (mut mark, mut revision) = (Mark::Final, 0);
        for (windows, snapshot, rests_on) in &self.views {
            match windows.get(&bounds) {
                Some(windows) => {
                    for (of_one, revised) in windows.iter().map(|rows| rows.papers()) {
                        (mark, revision) = (mark.min(of_one), revision + revised);
                    }
                }
                None if snapshot.is_beyond(self.window(bounds)) => return None,
                None => {
                    let marks = rests_on.iter().map(|view| (self.without_rows)(view, bounds));
                    mark = mark.min(marks.min().unwrap_or(Mark::Provisional));
                }
            }
        }
        Some((mark, revision))
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
                self.withdraw_all(cut, |_| true);
                self.failed = Some(reason);
            }
        }
    }

    /// Whether it was run: one of its inputs is another than before.
    fn show_changed(&mut self, cut: u64, shown: &Shown<'_>) -> Result<bool> {
        let inputs: BTreeMap<String, Vec<RecordBatch>> =
            self.over.inputs.iter().map(|name| (name.clone(), shown.rows(name))).collect();
        if self.seen.as_ref().is_some_and(|seen| same(seen, &inputs)) {
            self.mark_again(cut, shown)?;
            return Ok(false);
        }
        let rows = self.run(&inputs);
        self.seen = Some(inputs);
        let windows = by_window(self.over.windows, rows?)?;
        let over = Arc::clone(&self.over);
        let of_inputs = InputWindows::of(&over, shown);
        let mut seen = BTreeSet::new();
        for (bounds, rows) in windows {
            let (window, papers) = match bounds {
                (None, None) => (EVER, Some((Mark::Provisional, 0))),
                bounds => (of_inputs.window(bounds), of_inputs.papers(bounds)),
            };
            if let Some((mark, revision)) = papers {
                seen.insert(window);
                self.published.show(cut, NewWindow { window, rows, mark, revision })?;
            }
        }
        self.withdraw_all(cut, |window| !seen.contains(&window));
        self.published.trim(cut);
        Ok(true)
    }

    /// Windows become final also where no row changes: what is read has none there, and none can come any more.
    fn mark_again(&mut self, cut: u64, shown: &Shown<'_>) -> Result<()> {
        let windows = self.published.windows().values();
        let open: Vec<NewWindow> = windows
            .filter(|rows| rows.window != EVER && rows.papers().0 != Mark::Final)
            .map(|rows| rows.as_new())
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let over = Arc::clone(&self.over);
        let of_inputs = InputWindows::of(&over, shown);
        for shown in open {
            let (start, end) = shown.window;
            let bounds = (over.windows.start.map(|_| start), over.windows.end.map(|_| end));
            if let Some((mark, revision)) = of_inputs.papers(bounds)
                && mark != shown.mark
            {
                self.published.show(cut, NewWindow { mark, revision, ..shown })?;
            }
        }
        Ok(())
    }

    fn withdraw_all(&mut self, cut: u64, which: impl Fn((i64, i64)) -> bool) {
        let windows = self.published.windows().values().map(|rows| rows.window);
        let gone: Vec<(i64, i64)> = windows.filter(|window| which(*window)).collect();
        for window in gone {
            self.published.withdraw(cut, window);
        }
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

/// Rows by what they say of their window, in the order they have; those without one have no bounds.
fn by_window(columns: WindowColumns, rows: RecordBatch) -> Result<Vec<(Bounds, RecordBatch)>> {
    if !columns.is_some() {
        return Ok(vec![((None, None), rows)]);
    }
    let bound = |column: Option<usize>| -> Result<Option<ArrayRef>> {
        let Some(column) = column.map(|at| rows.column(at)) else { return Ok(None) };
        let instants = match column.data_type() {
            DataType::Timestamp(_, zone) => {
                DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
            }
            other => other.clone(),
        };
        Ok(Some(cast(&cast(column, &instants)?, &DataType::Int64)?))
    };
    let (starts, ends) = (bound(columns.start)?, bound(columns.end)?);
    let value = |column: &Option<ArrayRef>, row: usize| {
        let column = column.as_ref()?.as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let mut all: BTreeMap<Bounds, Vec<u32>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let (start, end) = (value(&starts, row), value(&ends, row));
        let is_whole = start.is_some() == starts.is_some() && end.is_some() == ends.is_some();
        let bounds = if is_whole { (start, end) } else { (None, None) };
        all.entry(bounds).or_default().push(u32::try_from(row).unwrap_or(u32::MAX));
    }
    let part = |(bounds, numbers): (Bounds, Vec<u32>)| {
        Ok((bounds, take_record_batch(&rows, &UInt32Array::from(numbers))?))
    };
    all.into_iter().map(part).collect()
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
