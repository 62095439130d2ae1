//! Puts windows together from slices and says which are provisional, settled and final.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;

use super::assign::{EVER, SliceKey, Window, Windows};
use super::below::Runner;
use super::cascade::Cascade;
pub use super::fire_steps::Base;
use super::fold::Drained;
use super::revisions::Revisions;
use super::sides::Side;
pub use super::sides::right_partition;
use super::table::{Codec, PartitionTable};
use super::top::{Fresh, TOP_FROM, Top, TopPlan};
use crate::model::PartitionId;
use crate::results::Mark;
use crate::sql::options::{Emit, Retention};
use crate::sql::plan::{Shape, ViewPlan};
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
    /// How many partitions the stream has: a session may have records in several.
    pub partitions: usize,
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
    /// Why it has no rows: an expression above the aggregate fails on what the window holds now. It is tried again
    /// whenever that changes.
    pub problem: Option<String>,
}

/// What a publish changes in a view.
#[derive(Debug, Default)]
pub struct Firing {
    /// Windows with new rows or a new mark, in the order of their ends.
    pub fired: Vec<Fired>,
    /// Windows that are no longer shown, as the provisional step of `CUMULATE` that moved on; instants.
    pub withdrawn: Vec<(i64, i64)>,
    /// The instant before which no step of `CUMULATE` that ended is shown any more; `None` where nothing goes by its age here.
    pub gone_before: Option<i64>,
}

/// All state of one view, of all partitions.
#[derive(Debug)]
pub struct ViewState {
    pub(super) plan: Arc<ViewPlan>,
    pub(super) windows: Option<Windows>,
    /// Of the groups, or of the left side's in a join; `None` where rows are kept.
    pub(super) codec: Option<Codec>,
    /// Of the groups of a join's right side.
    pub(super) right_codec: Option<Codec>,
    pub(super) above: Runner,
    /// The windows over these windows, if the view has them.
    pub(super) cascade: Option<Cascade>,
    pub(super) partitions: BTreeMap<PartitionId, PartitionTable>,
    /// Windows with rows that are not final yet, with the mark last shown.
    pub(super) pending: BTreeMap<Window, Option<Mark>>,
    /// Windows whose slices were touched since the last publish.
    pub(super) touched: BTreeSet<Window>,
    /// `CUMULATE`: by start of the longest window.
    pub(super) bases: BTreeMap<i64, Base>,
    pub(super) retention: Retention,
    /// Which windows are put together.
    emit: Emit,
    /// How leading rows are picked, if they are; their windows, and the groups touched since the last publish.
    pub(super) top_plan: Option<TopPlan>,
    pub(super) tops: BTreeMap<Window, Top>,
    pub(super) fresh: BTreeMap<Window, Fresh>,
    /// Windows with fewer groups have no [`Top`].
    pub(super) top_from: usize,
    /// Counts of late records by the windows they came too late for; `None` when some have come since.
    pub(super) revisions: Option<Revisions>,
    /// Bytes of the tables when they were last walked, and what was absorbed since.
    measured: (u64, u64),
}

impl ViewState {
    /// The state of a view before its first record.
    ///
    /// # Errors
    /// When its keys or states cannot be encoded.
    pub fn new(
        plan: Arc<ViewPlan>,
        windows: Option<Windows>,
        retention: Retention,
    ) -> Result<Self> {
        let codec = |shape: &Shape| match shape {
            Shape::Aggregate(aggregate) => Codec::new(aggregate).map(Some),
            Shape::Rows | Shape::Pass => Ok(None),
        };
        let right_codec = plan.join.as_ref().map(|join| codec(&join.shape)).transpose()?.flatten();
        let codec = codec(&plan.shape)?;
        let above = Runner::new(plan.above.clone());
        let cascade = plan
            .outer
            .clone()
            .zip(windows.as_ref())
            .map(|(outer, inner)| Cascade::new(outer, inner));
        let is_by_slices = matches!(
            windows.as_ref().map(Windows::kind),
            None | Some(WindowKind::Tumble { .. } | WindowKind::Hop { .. })
        );
        let top_plan = if is_by_slices { TopPlan::of(&plan) } else { None };
        Ok(Self {
            top_plan,
            tops: BTreeMap::new(),
            fresh: BTreeMap::new(),
            top_from: TOP_FROM,
            plan,
            windows,
            codec,
            right_codec,
            above,
            cascade,
            partitions: BTreeMap::new(),
            pending: BTreeMap::new(),
            touched: BTreeSet::new(),
            bases: BTreeMap::new(),
            retention,
            emit: Emit::Changes,
            revisions: None,
            measured: (0, 0),
        })
    }

    /// The same, of which only such rows are shown. Windows by slices are not put together before; the others may be.
    #[must_use]
    pub fn emitting(mut self, emit: Emit) -> Self {
        self.emit = emit;
        self
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
        (self.tops, self.fresh) = (BTreeMap::new(), BTreeMap::new());
        self.measured = (self.heap_bytes(), 0);
        self.revisions = None;
        self.bases = bases;
        // Every step that is still shown is put together anew.
        for base in self.bases.values_mut() {
            base.resume();
        }
        // The bases of CUMULATE say themselves which steps are closed; kept rows of those are still there.
        let has_bases =
            matches!(self.windows.as_ref().map(Windows::kind), Some(WindowKind::Cumulate { .. }));
        if !has_bases || self.cascade.is_some() {
            self.touch(&slices.into_iter().collect::<Vec<_>>());
        }
        // Every session is shown at every cut, so what is shown now is what the saved sessions make up.
        if matches!(self.windows.as_ref().map(Windows::kind), Some(WindowKind::Session { .. })) {
            let shown = self.session_windows().into_keys();
            self.pending = shown.map(|window| (window, Some(Mark::Provisional))).collect();
        }
        // A slice outlives the first of its windows, whose other slices are gone by then.
        let shown = self.cascade.as_ref().map(Cascade::windows).or(self.windows.as_ref());
        if let Some(windows) = shown {
            self.touched.retain(|window| !windows.is_closed(*window, watermark));
        }
    }

    /// Adds what one partition folded since the last publish.
    ///
    /// # Errors
    /// When states cannot be merged.
    pub fn absorb(&mut self, partition: PartitionId, drained: Drained) -> Result<()> {
        if !drained.revised.is_empty() {
            self.revisions = None;
        }
        self.measured.1 += drained.heap_bytes();
        let codec = match Side::of(partition) {
            Side::Left => &self.codec,
            Side::Right => &self.right_codec,
        };
        let table = self.partitions.entry(partition).or_default();
        let touched = match codec {
            Some(codec) => {
                let (windows, fresh) = (self.windows.as_ref(), &mut self.fresh);
                let picks = self.top_plan.is_some();
                codec.absorb(table, drained, &mut |slice, group| {
                    if picks {
                        for window in windows_of(windows, slice) {
                            fresh.entry(window).or_default().note(group);
                        }
                    }
                })?
            }
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
            if let Some(cascade) = &mut self.cascade {
                self.touched.extend(cascade.touch(windows, *slice));
                continue;
            }
            match windows.kind() {
                WindowKind::Session { .. } => {}
                WindowKind::Cumulate { step, .. } => {
                    let base = self.bases.entry(windows.base(slice.start));
                    base.or_insert_with(|| Base::beginning(slice.start, *step))
                        .touch(slice.start, *step);
                }
                _ => self.touched.extend(windows_of(Some(windows), *slice)),
            }
        }
    }

    /// Puts together what changed and closes what the watermark has passed.
    ///
    /// # Errors
    /// When states cannot be merged or evaluated, as at an overflow.
    pub fn fire(&mut self, progress: Progress) -> Result<Firing> {
        if let (None, Some(windows)) = (&self.revisions, &self.windows) {
            let late = self.partitions.values().flat_map(|table| &table.revised);
            self.revisions =
                Some(Revisions::of(windows, late.map(|(slice, count)| (*slice, *count))));
        }
        if self.cascade.is_some() {
            return self.fire_cascade(progress);
        }
        match self.windows.clone() {
            None => self.fire_total(progress),
            Some(windows) => match windows.kind() {
                WindowKind::Cumulate { step, size } => {
                    self.fire_steps(&windows, (*step, *size), progress)
                }
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
        if self.pending.get(&EVER) == Some(&None)
            || progress.ended && self.pending.contains_key(&EVER)
        {
            if matches!(self.plan.shape, Shape::Pass) {
                return self.pass_through();
            }
            let slices = |_: PartitionId, _: SliceKey| true;
            firing.fired.extend(self.put_together_again(None, EVER, &slices, mark)?);
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
        Ok(Firing { fired: fired.into_iter().collect(), withdrawn: Vec::new(), gone_before: None })
    }

    fn fire_windows(&mut self, windows: &Windows, progress: Progress) -> Result<Firing> {
        let touched = std::mem::take(&mut self.touched);
        for window in &touched {
            self.pending.insert(*window, None);
        }
        let mut firing = Firing::default();
        for (window, mark) in self.changed(windows, &touched, progress) {
            let holds = |_: PartitionId, slice: SliceKey| holds(windows, window, slice);
            firing.fired.extend(self.put_together_again(Some(windows), window, &holds, mark)?);
            if mark == Mark::Final {
                self.pending.remove(&window);
                self.tops.remove(&window);
            } else {
                self.pending.insert(window, Some(mark));
            }
        }
        self.forget_closed(windows, progress);
        Ok(firing)
    }

    /// The windows that were touched or have another mark than they were shown with, in the order of
    /// their ends. Marks go by the end, so only the earliest windows that wait need to be looked at.
    pub(super) fn changed(
        &self,
        windows: &Windows,
        touched: &BTreeSet<Window>,
        progress: Progress,
    ) -> BTreeMap<Window, Mark> {
        let mark = |window: &Window| mark_of(windows, *window, progress);
        let closing = self
            .pending
            .iter()
            .map(|(window, shown)| (*window, mark(window), *shown))
            .take_while(|(_, mark, _)| *mark != Mark::Provisional)
            .filter(|(_, mark, shown)| *shown != Some(*mark))
            .map(|(window, mark, _)| (window, mark));
        let changed = touched.iter().map(|window| (*window, mark(window))).chain(closing);
        let is_shown = |mark: Mark| self.emit == Emit::Changes || mark == Mark::Final;
        changed.filter(|(_, mark)| is_shown(*mark)).collect()
    }

    /// The mark of a window without a row, by its start, its end or both, as instants. Provisional where these do
    /// not tell one window.
    #[must_use]
    pub fn mark_without_rows(
        &self,
        (start, end): (Option<i64>, Option<i64>),
        progress: Progress,
    ) -> Mark {
        let windows = match &self.cascade {
            Some(cascade) => Some(cascade.windows()),
            None => self.windows.as_ref(),
        };
        let (Some(windows), Some(within)) = (windows, start.or(end.map(|end| end - 1))) else {
            return Mark::Provisional;
        };
        let is_it = |window: &Window| {
            start.is_none_or(|start| windows.instant(window.start) == start)
                && end.is_none_or(|end| windows.instant(window.end) == end)
        };
        let mut found = match windows.kind() {
            WindowKind::Session { .. } => Vec::new(),
            _ => windows.windows_of(windows.slice_start(within)),
        };
        found.retain(is_it);
        match found.as_slice() {
            [window] => mark_of(windows, *window, progress),
            _ => Mark::Provisional,
        }
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

    /// Bytes of the state, once they are more than `bytes_max`. The tables are walked only when what was
    /// absorbed since the last walk could have brought them there.
    pub fn bytes_above(&mut self, bytes_max: u64) -> Option<u64> {
        let (walked, absorbed) = self.measured;
        if walked.saturating_add(absorbed) <= bytes_max {
            return None;
        }
        self.measured = (self.heap_bytes(), 0);
        Some(self.measured.0).filter(|bytes| *bytes > bytes_max)
    }

    fn heap_bytes(&self) -> u64 {
        let tops =
            self.tops.values().map(|top| u64::try_from(top.heap_bytes()).unwrap_or(u64::MAX));
        self.partitions.values().map(PartitionTable::heap_bytes).chain(tops).sum()
    }

    /// Lets go of everything: the view is stopped.
    pub fn clear(&mut self) {
        (self.partitions, self.bases, self.measured) = (BTreeMap::new(), BTreeMap::new(), (0, 0));
        (self.pending, self.touched) = (BTreeMap::new(), BTreeSet::new());
        (self.tops, self.fresh) = (BTreeMap::new(), BTreeMap::new());
        if let Some(cascade) = &mut self.cascade {
            cascade.clear();
        }
    }
}

/// The windows that the rows of a slice are in.
fn windows_of(windows: Option<&Windows>, slice: SliceKey) -> Vec<Window> {
    let Some(windows) = windows else { return vec![EVER] };
    let mut all = windows.windows_of(slice.start);
    all.retain(|window| window.end >= slice.open_from);
    all
}

fn absorb_rows(table: &mut PartitionTable, drained: Drained) -> Vec<SliceKey> {
    let mut touched = Vec::new();
    for (slice, count) in drained.revised {
        *table.revised.entry(slice).or_insert(0) += count;
    }
    for (slice, rows) in drained.rows {
        table.rows.entry(slice).or_default().push(rows);
        touched.push(slice);
    }
    if let Some(sessions) = drained.sessions {
        table.sessions = super::table::merged_sessions(&table.sessions, sessions);
    }
    touched
}

/// The slices a window may hold: those that begin in it. A view that catches up puts thousands of windows
/// together, so each must look at its own slices only. The slices of sessions are numbered, not timed.
pub(super) fn reach(windows: Option<&Windows>, window: Window) -> RangeInclusive<SliceKey> {
    let key = |start, rest| SliceKey { start, open_from: rest, passed: rest };
    match windows.map(Windows::kind) {
        None | Some(WindowKind::Session { .. }) => {
            key(i64::MIN, i64::MIN)..=key(i64::MAX, i64::MAX)
        }
        Some(_) => key(window.start, i64::MIN)..=key(window.end, i64::MIN),
    }
}

pub(super) fn holds(windows: &Windows, window: Window, slice: SliceKey) -> bool {
    let within = match windows.kind() {
        WindowKind::Session { .. } => false,
        _ => slice.start >= window.start && slice.start < window.end,
    };
    within && slice.open_from <= window.end
}

pub(super) fn mark_of(windows: &Windows, window: Window, progress: Progress) -> Mark {
    if progress.ended || windows.is_closed(window, progress.watermark) {
        Mark::Final
    } else if windows.is_closed(window, progress.settled) {
        Mark::Settled
    } else {
        Mark::Provisional
    }
}
