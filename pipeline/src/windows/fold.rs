//! Folds the accepted records of one partition into the slices of one view.
//!
//! Between publishes rows go into short-lived accumulators, one hash table over slice and group; a
//! drain takes their states out, at a cost that follows the groups touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt32Array, UInt64Array, new_null_array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{DataFusionError, HashSet, Result, internal_err, plan_err};

use super::assign::{Placement, SliceKey, Window, Windows};
use super::below::Runner;
use super::groups::Groups;
use super::placed::{
    Placed, SliceNumbers, Span, distinct_ascending, late_row, missed_of, place_cached,
};
use super::revisions::apart;
use super::session::{SessionList, Sessions};
use super::shared::Shared;
use crate::model::{Correction, MissedWindows};
use crate::sql::plan::{Shape, ViewPlan};
use crate::sql::window_function::WindowKind;

/// What became of the records of one partition in one view.
///
/// `accepted = counted + filtered + late`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViewCounts {
    /// Records offered to the view.
    pub accepted: u64,
    /// Records in every window that should hold them.
    pub counted: u64,
    /// Records the view's own conditions leave out.
    pub filtered: u64,
    /// Records left out of at least one window that should have held them.
    pub late: u64,
}

/// A record that missed a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRow {
    /// Row of the batch it came in.
    pub row: u32,
    /// The windows it missed.
    pub missed: MissedWindows,
}

/// What a drain takes out.
#[derive(Debug, Default)]
pub struct Drained {
    /// The slices that the numbers in `slice_of` mean.
    pub slices: Vec<SliceKey>,
    /// For each group, the number of its slice.
    pub slice_of: Vec<u32>,
    /// The group keys, and the grouping id where there are grouping sets.
    pub keys: Vec<ArrayRef>,
    /// The states of all calls.
    pub states: Vec<ArrayRef>,
    /// Kept rows by slice, for views that keep rows.
    pub rows: Vec<(SliceKey, RecordBatch)>,
    /// All sessions of the partition, when they changed.
    pub sessions: Option<SessionList>,
    /// Records of each slice that came after its windows' ends (revisions).
    pub revised: BTreeMap<SliceKey, u64>,
}

/// One batch of accepted records with what the engine knows of each.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'a> {
    /// The stream's columns and, last, the row number.
    pub batch: &'a RecordBatch,
    /// Event time of each row, epoch milliseconds.
    pub times: &'a [i64],
    /// The partition's watermark before each row.
    pub watermarks: &'a [i64],
    /// Place of each row in its log, for the order of kept rows.
    pub arrivals: &'a [u64],
    /// Where an operator made the rows: how many records it took, those without a row included; rows of one
    /// record stand together and have its arrival. `None` where each row is a record.
    pub records: Option<usize>,
    /// Records that take back what earlier ones counted, in the order of their rows.
    pub corrections: &'a [Correction],
}

impl Accepted<'_> {
    /// How many records there are.
    fn offered(&self) -> usize {
        self.records.unwrap_or(self.batch.num_rows())
    }

    /// What is the same for all rows of one record, and of no other.
    fn record_of(&self, number: u32) -> u64 {
        match self.records {
            None => u64::from(number),
            Some(_) => {
                let row = usize::try_from(number).unwrap_or(usize::MAX);
                self.arrivals.get(row).copied().unwrap_or(u64::MAX)
            }
        }
    }

    /// How many records have these rows, which are in the order of their records.
    fn distinct(&self, numbers: &[u32]) -> usize {
        match self.records {
            None => distinct_ascending(numbers),
            Some(_) => {
                let mut records: Vec<u64> =
                    numbers.iter().map(|number| self.record_of(*number)).collect();
                records.dedup();
                records.len()
            }
        }
    }
}

/// The fold of one view over one partition.
#[derive(Debug)]
pub struct ViewFold {
    plan: Arc<ViewPlan>,
    windows: Option<Windows>,
    below: Runner,
    groups: Option<Groups>,
    rows: Vec<(SliceKey, RecordBatch)>,
    slices: SliceNumbers,
    sessions: Option<SessionFold>,
    revised: BTreeMap<SliceKey, u64>,
    counts: ViewCounts,
}

#[derive(Debug)]
struct SessionFold {
    sessions: Sessions,
    /// Columns of the below plan's output that keep sessions apart.
    columns: Vec<usize>,
    converter: RowConverter,
    gap: i64,
    /// Whether sessions of its keys may go on in other partitions.
    is_spread: bool,
}

impl ViewFold {
    /// An empty fold.
    ///
    /// # Errors
    /// When the view's accumulators or keys cannot be made.
    pub fn new(plan: Arc<ViewPlan>, windows: Option<Windows>) -> Result<Self> {
        let groups = match &plan.shape {
            Shape::Aggregate(aggregate) => Some(Groups::new(aggregate)?),
            Shape::Rows | Shape::Pass => None,
        };
        let sessions = match windows.as_ref().map(Windows::kind) {
            Some(WindowKind::Session { gap }) => Some(SessionFold::new(&plan, *gap)?),
            _ => None,
        };
        let below = Runner::new(plan.below.clone());
        Ok(Self {
            plan,
            windows,
            below,
            groups,
            rows: Vec::new(),
            slices: SliceNumbers::default(),
            sessions,
            revised: BTreeMap::new(),
            counts: ViewCounts::default(),
        })
    }

    /// The fold of a partition beside which the log has others, where sessions of the same key may go on.
    #[must_use]
    pub fn beside_others(mut self) -> Self {
        let is_spread = !self.plan.sessions_stay;
        self.sessions.iter_mut().for_each(|sessions| sessions.is_spread = is_spread);
        self
    }

    /// An empty fold of the same view.
    ///
    /// # Errors
    /// As [`ViewFold::new`].
    pub fn alike(&self) -> Result<Self> {
        let mut alike = Self::new(Arc::clone(&self.plan), self.windows.clone())?;
        if let (Some(to), Some(from)) = (&mut alike.sessions, &self.sessions) {
            to.is_spread = from.is_spread;
        }
        Ok(alike)
    }

    /// The counts since the partition's first record.
    #[must_use]
    pub fn counts(&self) -> ViewCounts {
        self.counts
    }

    /// Takes up counts and sessions from a checkpoint.
    pub fn restore(&mut self, counts: ViewCounts, sessions: Option<(SessionList, i64)>) {
        self.counts = counts;
        if let (Some(fold), Some(saved)) = (&mut self.sessions, sessions) {
            fold.sessions = Sessions::restored(saved);
        }
    }

    /// The sessions to go on from after a restart.
    #[must_use]
    pub fn saved_sessions(&self) -> Option<(SessionList, i64)> {
        self.sessions.as_ref().map(|fold| fold.sessions.saved())
    }

    /// Folds one batch; late rows are handed to `late`.
    ///
    /// # Errors
    /// When an expression of the view fails on a row.
    pub fn fold(&mut self, accepted: Accepted<'_>, late: &mut dyn FnMut(LateRow)) -> Result<()> {
        self.fold_shared(accepted, &mut Shared::default(), late)
    }

    /// As [`ViewFold::fold`], beside other views over the same batch.
    ///
    /// # Errors
    /// As [`ViewFold::fold`].
    pub fn fold_shared(
        &mut self,
        accepted: Accepted<'_>,
        shared: &mut Shared,
        late: &mut dyn FnMut(LateRow),
    ) -> Result<()> {
        let offered = accepted.offered();
        let rows = in_row_order(self.below.run_shared(accepted.batch, shared)?)?;
        let numbers = rows.column(0).as_primitive::<UInt32Type>().clone();
        let distinct = accepted.distinct(numbers.values());
        // Without a row there is no slice to speak of.
        let span = if distinct > 0 { shared.span(accepted) } else { None };
        let placed = match self.slice_of_all(span) {
            Some(slice) => Placed::all_in(self.slices.number(slice), (numbers.len(), distinct)),
            None => self.place(&rows, numbers.values(), accepted, late)?,
        };
        let late_or_nowhere = distinct - placed.entered_whole;
        self.counts.accepted += wide(offered);
        self.counts.filtered += wide(offered - distinct) + placed.nowhere;
        self.counts.late += wide(late_or_nowhere) - placed.nowhere;
        self.counts.counted += wide(placed.entered_whole);
        let rows = match placed.kept {
            Some(kept) => take_record_batch(&rows, &UInt32Array::from(kept))?,
            None => rows,
        };
        if rows.num_rows() == 0 {
            return Ok(());
        }
        match &mut self.groups {
            Some(groups) if groups.plan.needs_arrival => {
                groups.add(&with_arrivals(&rows, rows.columns(), accepted)?, &placed.slices)
            }
            Some(groups) => groups.add(&rows, &placed.slices),
            None => self.keep(&rows, &placed.slices, accepted),
        }
    }

    /// The first row of a batch on which an expression of the view fails; `None` where none does by itself, as at an
    /// overflow of a sum.
    #[must_use]
    pub fn first_failing(&self, batch: &RecordBatch) -> Option<usize> {
        self.below.first_failing(batch)
    }

    /// The slice of every row, where it can be told at once.
    fn slice_of_all(&self, span: Option<Span>) -> Option<SliceKey> {
        match &self.windows {
            None => Some(SliceKey::on_time(0)),
            Some(_) if self.sessions.is_some() => None,
            Some(windows) => span?.slice(windows),
        }
    }

    /// Decides the slice of every row that came through.
    fn place(
        &mut self,
        rows: &RecordBatch,
        numbers: &[u32],
        accepted: Accepted<'_>,
        late: &mut dyn FnMut(LateRow),
    ) -> Result<Placed> {
        let mut placed = Placed::with_capacity(numbers.len());
        let Some(windows) = self.windows.clone() else { return Ok(placed) };
        let session_keys = match &self.sessions {
            Some(fold) => Some(fold.keys(rows)?),
            None => None,
        };
        let mut cache = None;
        let not_made = self.not_made(&windows, numbers, accepted);
        let (mut previous, mut previous_row) = (None, None);
        let mut too_late = Vec::new();
        for (at, number) in numbers.iter().enumerate() {
            let row = usize::try_from(*number).unwrap_or(usize::MAX);
            let (Some(time), Some(watermark)) =
                (accepted.times.get(row), accepted.watermarks.get(row))
            else {
                return internal_err!("row {row} of a batch of {}", accepted.times.len());
            };
            let placement = match (&mut self.sessions, &session_keys) {
                (Some(fold), Some(keys)) => fold.place(keys.row(at).as_ref(), *time, *watermark),
                _ => place_cached(&windows, *time, *watermark, &mut cache),
            };
            let placement = match placement {
                Placement::In { .. } if not_made.contains(&at) => Placement::Nowhere,
                placement => placement,
            };
            let record = accepted.record_of(*number);
            let is_repeat = previous.replace(record) == Some(record);
            if !is_repeat {
                self.note_revisions(&windows, &mut too_late);
            }
            placed.note(at, placement, is_repeat, |slice| self.slices.number(slice));
            if let Placement::In { slice, .. } = placement
                && slice.passed != i64::MIN
            {
                too_late.push(slice);
            }
            let is_told = previous_row.replace(*number) == Some(*number);
            if let (false, Some((missed, window))) = (is_told, missed_of(placement)) {
                late(late_row(&windows, *number, missed, window));
            }
        }
        self.note_revisions(&windows, &mut too_late);
        placed.finish();
        Ok(placed)
    }

    /// The rows of corrections that are not made: where one would move an amount from an open window to one that is
    /// closed, the view keeps what it had. Otherwise the open day would lose what the closed one never gets. Where a
    /// row of a session goes is not known before it is there, so views with sessions go without.
    fn not_made(
        &self,
        windows: &Windows,
        numbers: &[u32],
        accepted: Accepted<'_>,
    ) -> HashSet<usize> {
        let mut not_made = HashSet::new();
        if self.sessions.is_some() {
            return not_made;
        }
        for correction in accepted.corrections {
            let at = |row: u32| numbers.partition_point(|number| *number < row);
            let own = at(correction.rows.start)..at(correction.rows.end);
            let of_view = numbers.get(own.clone()).unwrap_or(&[]);
            let is_late = |row: u32| {
                let row_at = of_view.contains(&row).then(|| usize::try_from(row).ok()).flatten()?;
                let time = *accepted.times.get(row_at)?;
                let watermark = *accepted.watermarks.get(row_at)?;
                Some(matches!(windows.place(time, watermark), Placement::Late { .. }))
            };
            if correction.is_lost(is_late) {
                not_made.extend(own);
            }
        }
        not_made
    }

    /// Takes note of one record that came after the ends of windows, by the slices its rows went to: it
    /// revises each window once, however many rows of it the window holds.
    fn note_revisions(&mut self, windows: &Windows, slices: &mut Vec<SliceKey>) {
        if slices.is_empty() {
            return;
        }
        for slice in apart(windows, std::mem::take(slices)) {
            *self.revised.entry(slice).or_insert(0) += 1;
        }
    }

    fn keep(&mut self, rows: &RecordBatch, slices: &[u32], accepted: Accepted<'_>) -> Result<()> {
        let kept = with_arrivals(rows, rows.columns().get(1..).unwrap_or(&[]), accepted)?;
        let mut by_slice: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (at, slice) in (0_u32..).zip(slices) {
            by_slice.entry(*slice).or_default().push(at);
        }
        for (slice, at) in by_slice {
            let slice = usize::try_from(slice).ok().and_then(|number| self.slices.keys.get(number));
            let Some(slice) = slice.copied() else { return internal_err!("a slice without a key") };
            self.rows.push((slice, take_record_batch(&kept, &UInt32Array::from(at))?));
        }
        Ok(())
    }

    /// Takes out everything since the last drain. `watermark` is the partition's own.
    ///
    /// # Errors
    /// DataFusion's own, when a state cannot be taken.
    pub fn drain(&mut self, watermark: i64) -> Result<Drained> {
        let slices = std::mem::take(&mut self.slices).keys;
        let mut drained = Drained {
            slices,
            rows: std::mem::take(&mut self.rows),
            sessions: self.sessions.as_mut().and_then(|fold| fold.sessions.take_changed(watermark)),
            revised: std::mem::take(&mut self.revised),
            ..Drained::default()
        };
        if let Some(groups) = &mut self.groups {
            groups.drain(&mut drained)?;
        }
        Ok(drained)
    }

    /// The columns of accepted rows that it looks at, by number; `None` where it may be all of them.
    #[must_use]
    pub fn columns(&self) -> Option<BTreeSet<usize>> {
        self.below.columns()
    }

    /// The plan it folds for.
    #[must_use]
    pub fn plan(&self) -> &Arc<ViewPlan> {
        &self.plan
    }
}

/// Rows by their number: a join may give them in another order, and several for one record.
fn in_row_order(rows: RecordBatch) -> Result<RecordBatch> {
    let numbers = rows.column(0).as_primitive::<UInt32Type>().values();
    if numbers.is_sorted() {
        return Ok(rows);
    }
    let mut order: Vec<u32> = (0..).take(numbers.len()).collect();
    order.sort_by_key(|at| usize::try_from(*at).ok().and_then(|at| numbers.get(at)).copied());
    Ok(take_record_batch(&rows, &UInt32Array::from(order))?)
}

/// The last columns of `rows`, which has the row number first, and behind them where each record stands.
fn with_arrivals(
    rows: &RecordBatch,
    columns: &[ArrayRef],
    accepted: Accepted<'_>,
) -> Result<RecordBatch> {
    let numbers = rows.column(0).as_primitive::<UInt32Type>();
    let arrivals: UInt64Array = numbers
        .values()
        .iter()
        .map(|number| accepted.arrivals.get(usize::try_from(*number).ok()?).copied())
        .collect();
    let own = rows.schema();
    let mut fields: Vec<_> =
        own.fields().iter().skip(rows.num_columns() - columns.len()).cloned().collect();
    fields.push(Arc::new(Field::new(crate::sql::cut::ARRIVAL_COLUMN, DataType::UInt64, true)));
    let mut columns = columns.to_vec();
    columns.push(Arc::new(arrivals));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

impl SessionFold {
    fn new(plan: &ViewPlan, gap: i64) -> Result<Self> {
        let schema = plan.below.plan.schema();
        let names =
            plan.window.as_ref().map(|window| window.partition_by.clone()).unwrap_or_default();
        let mut columns = Vec::new();
        for name in names {
            columns.push(session_column(plan, &name, &schema)?);
        }
        let fields = columns
            .iter()
            .map(|at| SortField::new(schema.field(*at).data_type().clone()))
            .collect();
        Ok(Self {
            sessions: Sessions::default(),
            columns,
            converter: RowConverter::new(fields)?,
            gap,
            is_spread: false,
        })
    }

    fn keys(&self, rows: &RecordBatch) -> Result<arrow::row::Rows> {
        let columns: Vec<ArrayRef> =
            self.columns.iter().map(|at| Arc::clone(rows.column(*at))).collect();
        if columns.is_empty() {
            // No PARTITION BY: one key for all rows.
            let one: ArrayRef = new_null_array(&DataType::Null, rows.num_rows());
            let converter = RowConverter::new(vec![SortField::new(DataType::Null)])?;
            return converter.convert_columns(&[one]).map_err(DataFusionError::from);
        }
        self.converter.convert_columns(&columns).map_err(DataFusionError::from)
    }

    /// Where keys are spread over partitions, a record is late by its own gap alone, also when a session is
    /// still open that it would join: what is closed in all partitions can then not be reached any more,
    /// whatever has been published (`fire_sessions`).
    fn place(&mut self, key: &[u8], time: i64, watermark: i64) -> Placement {
        let own_end = time.saturating_add(self.gap);
        if self.is_spread && own_end - 1 <= watermark {
            return Placement::Late { missed: 1, last: Window { start: time, end: own_end } };
        }
        match self.sessions.place(key, time, self.gap, watermark) {
            Ok(slice) => Placement::In { slice: SliceKey::on_time(slice), missed: None },
            Err((start, end)) => Placement::Late { missed: 1, last: Window { start, end } },
        }
    }
}

/// The below column of a session's key: a group key of an aggregate, a column of kept rows.
fn session_column(plan: &ViewPlan, name: &str, schema: &Schema) -> Result<usize> {
    let found = match &plan.shape {
        Shape::Aggregate(aggregate) => {
            let outputs = aggregate.outputs.iter().zip(plan.kept_schema.fields());
            outputs.filter(|(_, field)| field.name() == name).find_map(|(output, _)| match output {
                crate::sql::plan::Output::Key(nth) => Some(nth + 1),
                _ => None,
            })
        }
        Shape::Rows | Shape::Pass => schema.index_of(name).ok(),
    };
    match found {
        Some(at) => Ok(at),
        None => plan_err!("SESSION … PARTITION BY {name}: GROUP BY must hold {name} too"),
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
