//! Puts windows together from slices and says which are provisional, settled and final.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use arrow::compute::{cast, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::{Result, internal_err};

use super::assign::{EVER, SliceKey, Window, Windows};
use super::below::Runner;
use super::fold::Drained;
use super::session::Session;
use super::table::{Codec, Evaluated, PartitionTable, Slice};
use crate::model::PartitionId;
use crate::results::Mark;
use crate::sql::cut::ARRIVAL_COLUMN;
use crate::sql::options::Retention;
use crate::sql::plan::{AggregatePlan, Output, Shape, ViewPlan};
use crate::sql::window_function::WindowKind;

/// How far the stream is at a publish; all in epoch milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What every partition has passed by what is in the log; `i64::MIN` before all have begun.
    pub watermark: i64,
    /// What every partition but idle ones has passed.
    pub settled: i64,
    /// Largest accepted event time; `None` before the first record.
    pub as_of: Option<i64>,
    /// Whether the input has ended, so that every window closes.
    pub ended: bool,
}

/// A window whose rows are new.
#[derive(Debug, Clone)]
pub struct Fired {
    /// The window, in wall-clock milliseconds.
    pub window: Window,
    /// Its bounds as instants; `None` for a running total.
    pub instants: Option<(i64, i64)>,
    /// Its rows: the result's columns.
    pub rows: RecordBatch,
    /// How settled they are.
    pub mark: Mark,
    /// How many records came after its end.
    pub revision: u64,
}

/// What a publish changes in a view.
#[derive(Debug, Default)]
pub struct Firing {
    /// Windows with new rows or a new mark, in the order of their ends.
    pub fired: Vec<Fired>,
    /// Windows that are no longer shown, as the provisional step of `CUMULATE` that moved on; instants.
    pub withdrawn: Vec<(i64, i64)>,
}

/// All state of one view, of all partitions.
#[derive(Debug)]
pub struct ViewState {
    plan: Arc<ViewPlan>,
    windows: Option<Windows>,
    codec: Option<Codec>,
    above: Runner,
    partitions: BTreeMap<PartitionId, PartitionTable>,
    /// Windows with rows that are not final yet, with the mark last shown.
    pending: BTreeMap<Window, Option<Mark>>,
    /// Windows whose slices were touched since the last publish.
    touched: BTreeSet<Window>,
    /// `CUMULATE`: by start of the longest window.
    bases: BTreeMap<i64, Base>,
    retention: Retention,
}

/// The state of one longest window of `CUMULATE`.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// End of the next step to close.
    pub next_end: i64,
    /// The provisional step shown now.
    pub shown: Option<i64>,
    /// Whether a slice was touched since the last publish.
    pub touched: bool,
}

impl ViewState {
    /// The state of a view before its first record.
    ///
    /// # Errors
    /// When its keys or states cannot be encoded.
    pub fn new(plan: Arc<ViewPlan>, windows: Option<Windows>, retention: Retention) -> Result<Self> {
        let codec = match &plan.shape {
            Shape::Aggregate(aggregate) => Some(Codec::new(aggregate)?),
            Shape::Rows | Shape::Pass => None,
        };
        let above = Runner::new(plan.above.clone());
        Ok(Self {
            plan,
            windows,
            codec,
            above,
            partitions: BTreeMap::new(),
            pending: BTreeMap::new(),
            touched: BTreeSet::new(),
            bases: BTreeMap::new(),
            retention,
        })
    }

    /// The plan of the view.
    #[must_use]
    pub fn plan(&self) -> &Arc<ViewPlan> {
        &self.plan
    }

    /// The tables to be saved, by partition.
    #[must_use]
    pub fn tables(&self) -> &BTreeMap<PartitionId, PartitionTable> {
        &self.partitions
    }

    /// The `CUMULATE` steps to be saved.
    #[must_use]
    pub fn bases(&self) -> &BTreeMap<i64, Base> {
        &self.bases
    }

    /// Takes up saved state; every window in it that `watermark` had not passed is put together anew
    /// at the next publish. `watermark` is what every partition had passed when it was saved.
    pub fn restore(
        &mut self,
        tables: BTreeMap<PartitionId, PartitionTable>,
        bases: BTreeMap<i64, Base>,
        watermark: i64,
    ) {
        let slices: BTreeSet<SliceKey> = tables
            .values()
            .flat_map(|table| table.slices.keys().chain(table.rows.keys()))
            .copied()
            .collect();
        self.partitions = tables;
        self.bases = bases;
        for base in self.bases.values_mut() {
            base.touched = true;
        }
        self.touch(&slices.into_iter().collect::<Vec<_>>());
        // Every session is shown at every cut, so what is shown now is what the saved sessions make up.
        if matches!(self.windows.as_ref().map(Windows::kind), Some(WindowKind::Session { .. })) {
            let shown = self.session_windows().into_keys();
            self.pending = shown.map(|window| (window, Some(Mark::Provisional))).collect();
        }
        // A slice outlives the first of its windows, whose other slices are gone by then.
        if let Some(windows) = &self.windows {
            self.touched.retain(|window| !windows.is_closed(*window, watermark));
        }
    }

    /// Adds what one partition folded since the last publish.
    ///
    /// # Errors
    /// When states cannot be merged.
    pub fn absorb(&mut self, partition: PartitionId, drained: Drained) -> Result<()> {
        let table = self.partitions.entry(partition).or_default();
        let touched = match &self.codec {
            Some(codec) => codec.absorb(table, drained)?,
            None => absorb_rows(table, drained),
        };
        self.touch(&touched);
        Ok(())
    }

    fn touch(&mut self, slices: &[SliceKey]) {
        let Some(windows) = &self.windows else {
            if !slices.is_empty() {
                self.touched.insert(EVER);
            }
            return;
        };
        for slice in slices {
            match windows.kind() {
                WindowKind::Session { .. } => {}
                WindowKind::Cumulate { step, .. } => {
                    let base = self.bases.entry(windows.base(slice.start)).or_insert_with(|| Base {
                        next_end: slice.start + step,
                        ..Base::default()
                    });
                    base.next_end = base.next_end.min(slice.start + step);
                    base.touched = true;
                }
                _ => self.touched.extend(
                    windows.windows_of(slice.start).into_iter().filter(|window| window.end >= slice.open_from),
                ),
            }
        }
    }

    /// Puts together what changed and closes what the watermark has passed.
    ///
    /// # Errors
    /// When an expression above the aggregate fails.
    pub fn fire(&mut self, progress: Progress) -> Result<Firing> {
        match self.windows.clone() {
            None => self.fire_total(progress),
            Some(windows) => match windows.kind() {
                WindowKind::Cumulate { step, size } => self.fire_steps(&windows, (*step, *size), progress),
                WindowKind::Session { .. } => self.fire_sessions(&windows, progress),
                _ => self.fire_windows(&windows, progress),
            },
        }
    }

    fn fire_total(&mut self, progress: Progress) -> Result<Firing> {
        if self.touched.remove(&EVER) {
            self.pending.insert(EVER, None);
        }
        let mark = if progress.ended { Mark::Final } else { Mark::Provisional };
        let mut firing = Firing::default();
        if self.pending.get(&EVER) == Some(&None) || progress.ended && self.pending.contains_key(&EVER) {
            if matches!(self.plan.shape, Shape::Pass) {
                return self.pass_through();
            }
            let slices = |_: PartitionId, _: SliceKey| true;
            firing.fired.extend(self.put_together(None, EVER, &slices, mark)?);
            self.pending.insert(EVER, Some(mark));
        }
        if progress.ended {
            self.pending.clear();
        }
        Ok(firing)
    }

    /// Rows that are not kept: each is final as it comes.
    fn pass_through(&mut self) -> Result<Firing> {
        let slices = |_: PartitionId, _: SliceKey| true;
        let fired = self.put_together(None, EVER, &slices, Mark::Final)?;
        for table in self.partitions.values_mut() {
            table.rows.clear();
        }
        self.pending.clear();
        Ok(Firing { fired: fired.into_iter().collect(), withdrawn: Vec::new() })
    }

    fn fire_windows(&mut self, windows: &Windows, progress: Progress) -> Result<Firing> {
        let touched = std::mem::take(&mut self.touched);
        for window in &touched {
            self.pending.insert(*window, None);
        }
        let mut firing = Firing::default();
        let candidates: Vec<(Window, Option<Mark>)> =
            self.pending.iter().map(|(window, mark)| (*window, *mark)).collect();
        for (window, shown) in candidates {
            let mark = mark_of(windows, window, progress);
            if shown == Some(mark) {
                continue;
            }
            let holds = |_: PartitionId, slice: SliceKey| holds(windows, window, slice);
            firing.fired.extend(self.put_together(Some(windows), window, &holds, mark)?);
            if mark == Mark::Final {
                self.pending.remove(&window);
            } else {
                self.pending.insert(window, Some(mark));
            }
        }
        self.forget_closed(windows, progress);
        Ok(firing)
    }

    /// Drops slices all of whose windows are closed.
    fn forget_closed(&mut self, windows: &Windows, progress: Progress) {
        let bound = progress.watermark.saturating_sub(windows.allowed_lateness());
        let open = |slice: &SliceKey| !progress.ended && windows.last_end(slice.start) - 1 > bound;
        for table in self.partitions.values_mut() {
            table.slices.retain(|slice, _| open(slice));
            table.rows.retain(|slice, _| open(slice));
            table.revised.retain(|slice, _| open(slice));
        }
    }

    fn fire_sessions(&mut self, windows: &Windows, progress: Progress) -> Result<Firing> {
        let sessions = self.session_windows();
        let mut firing = Firing::default();
        let gone: Vec<Window> =
            self.pending.keys().filter(|window| !sessions.contains_key(window)).copied().collect();
        for window in gone {
            self.pending.remove(&window);
            firing.withdrawn.push((windows.instant(window.start), windows.instant(window.end)));
        }
        for (window, members) in sessions {
            let mark = mark_of(windows, window, progress);
            let within = |partition: PartitionId, slice: SliceKey| members.contains(&(partition, slice.start));
            firing.fired.extend(self.put_together(Some(windows), window, &within, mark)?);
            if mark == Mark::Final {
                self.pending.remove(&window);
                self.forget_session(&members);
            } else {
                self.pending.insert(window, Some(mark));
            }
        }
        Ok(firing)
    }

    /// The sessions of all partitions, touching ones of one key merged, by their windows.
    fn session_windows(&self) -> BTreeMap<Window, BTreeSet<(PartitionId, i64)>> {
        let mut by_key: BTreeMap<&[u8], Vec<(PartitionId, &Session)>> = BTreeMap::new();
        for (partition, table) in &self.partitions {
            for (key, session) in &table.sessions {
                by_key.entry(key).or_default().push((*partition, session));
            }
        }
        let mut all: BTreeMap<Window, BTreeSet<(PartitionId, i64)>> = BTreeMap::new();
        for mut spans in by_key.into_values() {
            spans.sort_by_key(|(_, session)| session.start);
            let mut open: Vec<(PartitionId, &Session)> = Vec::new();
            for (partition, session) in spans {
                if !joins(&open, partition, session) {
                    close_session(&mut all, &open);
                    open.clear();
                }
                open.push((partition, session));
            }
            close_session(&mut all, &open);
        }
        all
    }

    fn forget_session(&mut self, members: &BTreeSet<(PartitionId, i64)>) {
        for (partition, table) in &mut self.partitions {
            let gone = |slice: &i64| members.contains(&(*partition, *slice));
            table.slices.retain(|slice, _| !gone(&slice.start));
            table.rows.retain(|slice, _| !gone(&slice.start));
            table.sessions.retain(|(_, session)| !session.slices.iter().any(gone));
        }
    }

    fn fire_steps(&mut self, windows: &Windows, (step, size): (i64, i64), progress: Progress) -> Result<Firing> {
        let mut firing = Firing::default();
        for start in self.bases.keys().copied().collect::<Vec<_>>() {
            let Some(base) = self.bases.get(&start).cloned() else { continue };
            let last = start + size;
            let closing = closing_steps(windows, start, &base, (step, last), progress);
            let next_end = closing.last().map_or(base.next_end, |end| end + step);
            let shown_is_final = base.shown.is_some_and(|shown| shown < next_end);
            self.close_steps(windows, start, &closing, &mut firing)?;
            if next_end > last {
                self.forget_base(start, last);
                continue;
            }
            let newest = progress.as_of.map_or(next_end, |as_of| windows.slice_start(as_of) + step);
            let provisional = newest.clamp(next_end, last);
            if let Some(shown) = base.shown
                && shown != provisional
                && !shown_is_final
            {
                firing.withdrawn.push((windows.instant(start), windows.instant(shown)));
            }
            let window = Window { start, end: provisional };
            if base.touched || base.shown != Some(provisional) {
                let holds = |_: PartitionId, slice: SliceKey| slice.start >= start && slice.start < provisional;
                let mark = mark_of(windows, window, progress);
                firing.fired.extend(self.put_together(Some(windows), window, &holds, mark)?);
            }
            self.bases.insert(start, Base { next_end, shown: Some(provisional), touched: false });
        }
        Ok(firing)
    }

    /// Publishes closed steps as final rows and merges their slices into the prefix.
    fn close_steps(&mut self, windows: &Windows, start: i64, closing: &[i64], firing: &mut Firing) -> Result<()> {
        // What retention would drop at once need not be put together.
        let kept = match self.retention {
            Retention::Rows(rows) => closing.len().saturating_sub(rows),
            Retention::Time(ms) => {
                let newest = closing.last().copied().unwrap_or(0);
                closing.iter().take_while(|end| **end < newest - ms).count()
            }
        };
        let mut unchanged: Option<Evaluated> = None;
        for (nth, end) in closing.iter().enumerate() {
            if nth < kept && nth + 1 < closing.len() {
                continue;
            }
            let window = Window { start, end: *end };
            if self.codec.is_some() {
                if self.merge_into_prefix(start, *end)? {
                    unchanged = None;
                }
                let evaluated = match unchanged.take() {
                    Some(evaluated) => evaluated,
                    None => self.evaluate_prefix(start)?,
                };
                firing.fired.extend(self.rows_of_groups(Some(windows), window, evaluated.clone(), Mark::Final)?);
                unchanged = Some(evaluated);
            } else {
                let holds = |_: PartitionId, slice: SliceKey| slice.start >= start && slice.start < *end;
                firing.fired.extend(self.put_together(Some(windows), window, &holds, Mark::Final)?);
            }
        }
        Ok(())
    }

    /// Merges the slices of a base that end at or before `end`; whether there were any.
    fn merge_into_prefix(&mut self, start: i64, end: i64) -> Result<bool> {
        let Some(codec) = &self.codec else { return Ok(false) };
        let mut any = false;
        for table in self.partitions.values_mut() {
            let closed: Vec<SliceKey> = table
                .slices
                .keys()
                .filter(|slice| slice.start >= start && slice.start < end)
                .copied()
                .collect();
            for key in closed {
                if let Some(slice) = table.slices.remove(&key) {
                    codec.merge_into(table.prefixes.entry(start).or_default(), slice)?;
                    any = true;
                }
            }
        }
        Ok(any)
    }

    fn evaluate_prefix(&self, start: i64) -> Result<Evaluated> {
        let Some(codec) = &self.codec else { return internal_err!("steps of kept rows have no prefix") };
        codec.evaluate(self.partitions.values().filter_map(|table| table.prefixes.get(&start)))
    }

    fn forget_base(&mut self, start: i64, last: i64) {
        self.bases.remove(&start);
        for table in self.partitions.values_mut() {
            table.prefixes.remove(&start);
            let other = |slice: &SliceKey| !(start..last).contains(&slice.start);
            table.slices.retain(|slice, _| other(slice));
            table.rows.retain(|slice, _| other(slice));
            table.revised.retain(|slice, _| other(slice));
        }
    }

    /// The rows of one window from all its slices in all partitions.
    fn put_together(
        &self,
        windows: Option<&Windows>,
        window: Window,
        holds: &dyn Fn(PartitionId, SliceKey) -> bool,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        let Some(codec) = &self.codec else { return self.rows_of_kept(windows, window, holds, mark) };
        let mut slices: Vec<&Slice> = Vec::new();
        for (partition, table) in &self.partitions {
            slices.extend(table.prefixes.get(&window.start));
            slices.extend(table.slices.iter().filter(|(key, _)| holds(*partition, **key)).map(|(_, slice)| slice));
        }
        let evaluated = codec.evaluate(slices.into_iter())?;
        self.rows_of_groups(windows, window, evaluated, mark)
    }

    fn rows_of_groups(
        &self,
        windows: Option<&Windows>,
        window: Window,
        evaluated: Evaluated,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        let Shape::Aggregate(plan) = &self.plan.shape else { return internal_err!("groups of a view without an aggregate") };
        if evaluated.count == 0 && !plan.keys.is_empty() {
            return Ok(None);
        }
        let rows = assemble(plan, &self.plan.kept_schema, windows, window, evaluated)?;
        self.finish(windows, window, rows, mark)
    }

    fn rows_of_kept(
        &self,
        windows: Option<&Windows>,
        window: Window,
        holds: &dyn Fn(PartitionId, SliceKey) -> bool,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        let mut batches = Vec::new();
        for (partition, table) in &self.partitions {
            let held = table.rows.iter().filter(|(slice, _)| holds(*partition, **slice));
            batches.extend(held.flat_map(|(_, rows)| rows.iter().cloned()));
        }
        let Some(first) = batches.first() else { return Ok(None) };
        let rows = in_arrival_order(&concat_batches(&first.schema(), &batches)?)?;
        let rows = with_window_columns(&rows, &self.plan.kept_schema, windows, window)?;
        self.finish(windows, window, rows, mark)
    }

    /// Filters by the window, and runs what stands above.
    fn finish(
        &self,
        windows: Option<&Windows>,
        window: Window,
        rows: RecordBatch,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        if let (Some(filter), Some(windows)) = (&self.plan.window_filter, windows) {
            let bounds = window_batch(windows, window, &self.plan.kept_schema)?;
            let passes = filter.evaluate(&bounds)?.into_array(1)?;
            if passes.is_null(0) || !passes.as_boolean().value(0) {
                return Ok(None);
            }
        }
        let rows = self.above.run(rows)?;
        let instants = windows.map(|windows| (windows.instant(window.start), windows.instant(window.end)));
        let revision = self.revision(windows, window);
        Ok(Some(Fired { window, instants, rows, mark, revision }))
    }

    fn revision(&self, windows: Option<&Windows>, window: Window) -> u64 {
        let Some(windows) = windows else { return 0 };
        self.partitions
            .values()
            .flat_map(|table| &table.revised)
            .filter(|(slice, _)| slice.passed > window.end && holds(windows, window, **slice))
            .map(|(_, count)| count)
            .sum()
    }
}

/// Whether a session goes on the one that `open` makes up.
///
/// Two sessions of one partition that touch would be one already, had the first not been closed
/// before the second began.
fn joins(open: &[(PartitionId, &Session)], partition: PartitionId, session: &Session) -> bool {
    let touching = |other: &Session| session.start <= other.end;
    let touches_closed = open.iter().any(|(owner, other)| *owner == partition && touching(other));
    open.iter().any(|(_, other)| touching(other)) && !touches_closed
}

fn close_session(
    all: &mut BTreeMap<Window, BTreeSet<(PartitionId, i64)>>,
    parts: &[(PartitionId, &Session)],
) {
    let start = parts.iter().map(|(_, session)| session.start).min();
    let end = parts.iter().map(|(_, session)| session.end).max();
    if let (Some(start), Some(end)) = (start, end) {
        let slices = parts.iter().flat_map(|(owner, part)| part.slices.iter().map(|slice| (*owner, *slice)));
        all.entry(Window { start, end }).or_default().extend(slices);
    }
}

/// The steps of a base that the watermark has passed and that are not closed yet.
fn closing_steps(
    windows: &Windows,
    start: i64,
    base: &Base,
    (step, last): (i64, i64),
    progress: Progress,
) -> Vec<i64> {
    std::iter::successors(Some(base.next_end), |end| Some(end + step))
        .take_while(|end| {
            *end <= last
                && (progress.ended || windows.is_closed(Window { start, end: *end }, progress.watermark))
        })
        .collect()
}

fn absorb_rows(table: &mut PartitionTable, drained: Drained) -> Vec<SliceKey> {
    let mut touched = Vec::new();
    for (slice, rows) in drained.rows {
        table.rows.entry(slice).or_default().push(rows);
        touched.push(slice);
    }
    if let Some(sessions) = drained.sessions {
        table.sessions = super::table::merged_sessions(&table.sessions, sessions);
    }
    touched
}

fn holds(windows: &Windows, window: Window, slice: SliceKey) -> bool {
    let within = match windows.kind() {
        WindowKind::Session { .. } => false,
        _ => slice.start >= window.start && slice.start < window.end,
    };
    within && slice.open_from <= window.end
}

fn mark_of(windows: &Windows, window: Window, progress: Progress) -> Mark {
    if progress.ended || windows.is_closed(window, progress.watermark) {
        Mark::Final
    } else if windows.is_closed(window, progress.settled) {
        Mark::Settled
    } else {
        Mark::Provisional
    }
}

/// The aggregate's output columns in their order.
fn assemble(
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

fn window_value(
    windows: Option<&Windows>,
    window: Window,
    nth: usize,
    data_type: &DataType,
    count: usize,
) -> Result<ArrayRef> {
    let Some(windows) = windows else { return internal_err!("a running total has no window columns") };
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

fn window_batch(windows: &Windows, window: Window, kept: &SchemaRef) -> Result<RecordBatch> {
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
fn in_arrival_order(rows: &RecordBatch) -> Result<RecordBatch> {
    let Some(arrival) = rows.column_by_name(ARRIVAL_COLUMN) else { return Ok(rows.clone()) };
    let column = arrow::compute::SortColumn { values: Arc::clone(arrival), options: None };
    let order = lexsort_to_indices(&[column], None)?;
    Ok(take_record_batch(rows, &order)?)
}

/// Kept rows with the columns of the slot above: their own, the window's, and the arrival.
fn with_window_columns(
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

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, count: usize) -> Result<RecordBatch> {
    // A key that no row of this window lacks may still be declared as never NULL.
    let fields: Vec<_> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}
