//! Where the rows of a batch go, one after another or all at once.

use hashbrown::HashMap;

use super::assign::{Placement, SliceKey, Window, Windows};
use super::fold::LateRow;

/// The slices since the last drain, numbered in the order they came.
#[derive(Debug, Default)]
pub(super) struct SliceNumbers {
    pub(super) keys: Vec<SliceKey>,
    numbers: HashMap<SliceKey, u32>,
    last: Option<(SliceKey, u32)>,
}

impl SliceNumbers {
    /// The number of a slice, a new one for one that has none.
    pub(super) fn number(&mut self, key: SliceKey) -> u32 {
        if let Some((last, number)) = self.last
            && last == key
        {
            return number;
        }
        let keys = &mut self.keys;
        let number = *self.numbers.entry(key).or_insert_with(|| {
            keys.push(key);
            u32::try_from(keys.len() - 1).unwrap_or(u32::MAX)
        });
        self.last = Some((key, number));
        number
    }
}

/// The times of a batch: where all of its rows lie in one slice that is open to all of them, no row needs to
/// be looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    first: i64,
    last: i64,
    /// The largest watermark before any of the rows.
    watermark: i64,
}

impl Span {
    /// That of these rows; `None` without rows.
    pub(super) fn of(times: &[i64], watermarks: &[i64]) -> Option<Self> {
        let first = times.iter().copied().min()?;
        let last = times.iter().copied().max()?;
        Some(Self { first, last, watermark: watermarks.iter().copied().max()? })
    }

    /// The slice into which all go in time, if there is one.
    pub(super) fn slice(self, windows: &Windows) -> Option<SliceKey> {
        let Placement::In { slice, missed: None } = windows.place(self.first, self.watermark)
        else {
            return None;
        };
        let (first, after) = windows.instants_of(slice.start)?;
        let all = first <= self.first && self.last < after;
        (all && slice == SliceKey::on_time(slice.start)).then_some(slice)
    }
}

/// The slices of a batch's rows, and what became of the records.
pub(super) struct Placed {
    /// Slice numbers of the rows that entered, in order.
    pub(super) slices: Vec<u32>,
    /// The rows that entered, when not all did.
    pub(super) kept: Option<Vec<u32>>,
    /// Records that entered every window.
    pub(super) entered_whole: usize,
    /// Records that lie in no window.
    pub(super) nowhere: u64,
    /// What became of the rows of the record that is looked at.
    record: Option<Fate>,
}

/// What became of the rows of one record so far.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    /// Whether one of them is in a window.
    entered: bool,
    /// Whether one of them missed a window.
    missed: bool,
}

impl Placed {
    /// None yet, with room for this many.
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            slices: Vec::with_capacity(rows),
            kept: None,
            entered_whole: 0,
            nowhere: 0,
            record: None,
        }
    }

    /// So many rows of so many records, all in the slice of this number and in time.
    pub(super) fn all_in(slice: u32, (rows, records): (usize, usize)) -> Self {
        let slices = vec![slice; rows];
        Self { slices, kept: None, entered_whole: records, nowhere: 0, record: None }
    }

    /// Takes note of where a row goes; `is_repeat` when it is of the same record as the row before.
    #[inline]
    pub(super) fn note(
        &mut self,
        at: usize,
        placement: Placement,
        is_repeat: bool,
        number: impl FnOnce(SliceKey) -> u32,
    ) {
        if !is_repeat {
            self.finish();
        }
        let fate = self.record.get_or_insert_default();
        fate.entered |= matches!(placement, Placement::In { .. });
        fate.missed |= missed_of(placement).is_some();
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let first_left_out = |kept: &mut Option<Vec<u32>>| {
            kept.get_or_insert_with(|| (0..at).collect());
        };
        match placement {
            Placement::In { slice, .. } => {
                self.slices.push(number(slice));
                if let Some(kept) = &mut self.kept {
                    kept.push(at);
                }
            }
            Placement::Late { .. } | Placement::Nowhere => first_left_out(&mut self.kept),
        }
    }

    /// Counts the record of the last row: one of whose rows any missed a window is late.
    pub(super) fn finish(&mut self) {
        if let Some(fate) = self.record.take() {
            self.entered_whole += usize::from(fate.entered && !fate.missed);
            self.nowhere += u64::from(!fate.entered && !fate.missed);
        }
    }
}

/// The slice a placement was last asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cached {
    start: i64,
    /// The first end at which it could be late.
    first_end: i64,
    /// The instants that lie in it for sure, first and after the last.
    instants: (i64, i64),
}

/// Where a record goes, quickly where the one before it went there too.
pub(super) fn place_cached(
    windows: &Windows,
    time: i64,
    watermark: i64,
    cache: &mut Option<Cached>,
) -> Placement {
    let of_cached = |cached: &Cached| {
        let is_in = (cached.instants.0..cached.instants.1).contains(&time)
            || windows.slice_start(time) == cached.start;
        is_in && cached.first_end - 1 > watermark
    };
    if let Some(cached) = cache.filter(of_cached) {
        return Placement::In { slice: SliceKey::on_time(cached.start), missed: None };
    }
    let placement = windows.place(time, watermark);
    if !matches!(placement, Placement::Nowhere) {
        let start = windows.slice_start(time);
        let instants = windows.instants_of(start).unwrap_or((0, 0));
        *cache = Some(Cached { start, first_end: windows.first_end(start), instants });
    }
    placement
}

/// The windows that a record missed, and the last of them.
pub(super) fn missed_of(placement: Placement) -> Option<(u32, Window)> {
    match placement {
        Placement::In { missed, .. } => missed,
        Placement::Late { missed, last } => Some((missed, last)),
        Placement::Nowhere => None,
    }
}

/// What is told of a record that missed windows.
pub(super) fn late_row(windows: &Windows, row: u32, missed: u32, window: Window) -> LateRow {
    LateRow { row, missed: windows.missed(missed, window) }
}

/// How many different numbers there are; equal ones stand together.
pub(super) fn distinct_ascending(numbers: &[u32]) -> usize {
    match numbers {
        [] => 0,
        all => 1 + all.windows(2).filter(|pair| pair[0] != pair[1]).count(),
    }
}
