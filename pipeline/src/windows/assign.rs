//! Which slice a record belongs to, which windows a slice belongs to, and what is late.
//!
//! Windows of whole days follow the zone's days: their arithmetic is done on the wall clock, which is
//! why starts and ends here are wall-clock milliseconds and are turned into instants at the edge.

use crate::model::{MissedWindows, WindowRun, Zone};
use crate::sql::window_function::{WindowKind, WindowSpec};

/// A window's start and end in wall-clock milliseconds; ordered by end, then start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// First millisecond of the window.
    pub start: i64,
    /// The millisecond after its last.
    pub end: i64,
}

impl Ord for Window {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.end, self.start).cmp(&(other.end, other.start))
    }
}

impl PartialOrd for Window {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The one window of a running total.
pub const EVER: Window = Window { start: i64::MIN, end: i64::MAX };

/// Names a slice of one partition. Rows that missed some of the slice's windows are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SliceKey {
    /// Start in wall-clock milliseconds; the number of a session.
    pub start: i64,
    /// Only windows that end at or after this hold these rows; `i64::MIN` for all.
    pub open_from: i64,
    /// These rows came after the watermark had passed the windows that end before this (their
    /// revision); `i64::MIN` for rows that came in time.
    pub passed: i64,
}

impl SliceKey {
    /// The slice of rows that came in time.
    #[must_use]
    pub fn on_time(start: i64) -> Self {
        Self { start, open_from: i64::MIN, passed: i64::MIN }
    }
}

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Into this slice; `missed` windows that should have held it were closed, the last one given.
    In {
        /// The slice.
        slice: SliceKey,
        /// Number of windows it missed and the last of them.
        missed: Option<(u32, Window)>,
    },
    /// Every window that should have held it is closed.
    Late {
        /// Number of windows it missed.
        missed: u32,
        /// The last of them.
        last: Window,
    },
    /// It lies in no window (`HOP` with gaps).
    Nowhere,
}

/// The windows of one view.
#[derive(Debug, Clone)]
pub struct Windows {
    kind: WindowKind,
    offset: i64,
    /// `None` where windows are counted from the epoch in UTC.
    zone: Option<Zone>,
    stream_zone: Zone,
    allowed_lateness: i64,
    slice: i64,
}

impl Windows {
    /// The windows of `spec`; `allowed_lateness` in milliseconds.
    #[must_use]
    pub fn new(spec: &WindowSpec, zone: Zone, allowed_lateness: i64) -> Self {
        let follows_zone = spec.kind.follows(zone);
        Self {
            kind: spec.kind.clone(),
            offset: spec.offset,
            zone: follows_zone.then_some(zone),
            stream_zone: zone,
            allowed_lateness,
            slice: spec.kind.slice(),
        }
    }

    /// Other windows over the same stream; nothing is late for them, as they hold these windows' rows.
    #[must_use]
    pub fn over(&self, spec: &WindowSpec) -> Self {
        Self::new(spec, self.stream_zone, 0)
    }

    /// Which windows these are.
    #[must_use]
    pub fn kind(&self) -> &WindowKind {
        &self.kind
    }

    /// How long a closed window may still be revised, in milliseconds.
    #[must_use]
    pub fn allowed_lateness(&self) -> i64 {
        self.allowed_lateness
    }

    /// Wall-clock milliseconds of an instant.
    #[must_use]
    pub fn wall(&self, utc_ms: i64) -> i64 {
        self.zone.map_or(utc_ms, |zone| zone.wall_ms(utc_ms))
    }

    /// The instant that parts the windows before wall-clock milliseconds from those after.
    #[must_use]
    pub fn instant(&self, wall_ms: i64) -> i64 {
        self.zone.map_or(wall_ms, |zone| zone.boundary_ms(wall_ms))
    }

    /// Start of the slice that holds an instant.
    #[must_use]
    pub fn slice_start(&self, utc_ms: i64) -> i64 {
        floor(self.wall(utc_ms), self.slice, self.offset)
    }

    /// The instants of a slice, first and after the last, where the wall clock runs with them throughout.
    #[must_use]
    pub fn instants_of(&self, slice_start: i64) -> Option<(i64, i64)> {
        let first = self.instant(slice_start);
        self.zone.is_none_or(|zone| zone.is_fixed_from(first)).then(|| (first, first + self.slice))
    }

    /// Start of the longest `CUMULATE` window around a slice.
    #[must_use]
    pub fn base(&self, slice_start: i64) -> i64 {
        match self.kind {
            WindowKind::Cumulate { size, .. } => floor(slice_start, size, self.offset),
            _ => slice_start,
        }
    }

    /// The windows that hold a slice, in the order of their ends.
    #[must_use]
    pub fn windows_of(&self, slice_start: i64) -> Vec<Window> {
        let (first, last, every) = self.span_of(slice_start);
        match self.kind {
            WindowKind::Cumulate { .. } => {
                let start = self.base(slice_start);
                steps(first, last, every).map(|end| Window { start, end }).collect()
            }
            WindowKind::Tumble { size } | WindowKind::Hop { size, .. } => {
                steps(first, last, every).map(|end| Window { start: end - size, end }).collect()
            }
            WindowKind::Session { .. } => Vec::new(),
        }
    }

    /// The first and last end of the windows that hold a slice, and the distance between ends.
    fn span_of(&self, slice_start: i64) -> (i64, i64, i64) {
        match self.kind {
            WindowKind::Tumble { size } => (slice_start + size, slice_start + size, size),
            WindowKind::Hop { slide, size } => {
                let last = floor(slice_start, slide, self.offset) + size;
                let earliest = slice_start + self.slice;
                (last - (last - earliest).div_euclid(slide) * slide, last, slide)
            }
            WindowKind::Cumulate { step, size } => {
                (slice_start + step, self.base(slice_start) + size, step)
            }
            WindowKind::Session { .. } => (slice_start, slice_start, 1),
        }
    }

    /// The instant at which the first window of a slice ends; records before it miss nothing.
    #[must_use]
    pub fn first_end(&self, slice_start: i64) -> i64 {
        self.instant(self.span_of(slice_start).0)
    }

    /// The instant at which the last window of a slice ends.
    #[must_use]
    pub fn last_end(&self, slice_start: i64) -> i64 {
        self.instant(self.span_of(slice_start).1)
    }

    /// Whether a watermark has passed a window for good (allowed lateness included).
    #[must_use]
    pub fn is_closed(&self, window: Window, watermark: i64) -> bool {
        window.end != i64::MAX
            && self.instant(window.end) - 1 <= watermark.saturating_sub(self.allowed_lateness)
    }

    /// Whether a watermark has passed a window's end, allowed lateness or not.
    #[must_use]
    pub fn has_passed(&self, window: Window, watermark: i64) -> bool {
        window.end != i64::MAX && self.instant(window.end) - 1 <= watermark
    }

    /// The `count` windows up to `last` that a record missed, as instants.
    #[must_use]
    pub fn missed(&self, count: u32, last: Window) -> MissedWindows {
        let (starts, ends) = match self.kind {
            WindowKind::Cumulate { step, .. } => (0, step),
            WindowKind::Tumble { size } => (size, size),
            WindowKind::Hop { slide, .. } => (slide, slide),
            WindowKind::Session { .. } => (0, 0),
        };
        let back = i64::from(count.saturating_sub(1));
        let first = Window { start: last.start - back * starts, end: last.end - back * ends };
        let instants = |window: Window| (self.instant(window.start), self.instant(window.end));
        let first_instants = instants(first);
        if count < 2 || self.zone.is_none_or(|zone| zone.is_fixed_from(first_instants.0)) {
            let step = if count < 2 { (0, 0) } else { (starts, ends) };
            return MissedWindows::of_runs([WindowRun { first: first_instants, step, count }]);
        }
        let nth = |at: i64| Window { start: first.start + at * starts, end: first.end + at * ends };
        MissedWindows::of_each((0..=back).map(|at| instants(nth(at))))
    }

    /// Where a record goes whose partition had this watermark before it.
    ///
    /// Flink's rules: a window is closed to a record when `end - 1 <= watermark - allowed lateness`,
    /// and a record that is late for some of its windows still enters those that are open.
    #[must_use]
    pub fn place(&self, utc_ms: i64, watermark: i64) -> Placement {
        let start = self.slice_start(utc_ms);
        let (first, last, every) = self.span_of(start);
        if first > last {
            return Placement::Nowhere;
        }
        if self.instant(first) - 1 > watermark {
            return Placement::In { slice: SliceKey::on_time(start), missed: None };
        }
        let closed_to = |end: i64, watermark: i64| self.instant(end) - 1 <= watermark;
        let ends = || steps(first, last, every);
        let bound = watermark.saturating_sub(self.allowed_lateness);
        let missed = ends().take_while(|end| closed_to(*end, bound)).count();
        let window = |end: i64| match self.kind {
            WindowKind::Cumulate { .. } => Window { start: self.base(start), end },
            WindowKind::Tumble { size } | WindowKind::Hop { size, .. } => {
                Window { start: end - size, end }
            }
            WindowKind::Session { .. } => EVER,
        };
        let missed_count = u32::try_from(missed).unwrap_or(u32::MAX);
        let Some(open) = ends().nth(missed) else {
            return Placement::Late { missed: missed_count, last: window(last) };
        };
        let passed = ends().find(|end| !closed_to(*end, watermark)).unwrap_or(i64::MAX);
        let passed = if passed > open { passed } else { i64::MIN };
        let slice = match self.kind {
            // The step that is still open takes the row; the steps before it are frozen.
            WindowKind::Cumulate { step, .. } => {
                SliceKey { start: open - step, open_from: i64::MIN, passed }
            }
            _ => SliceKey { start, open_from: if missed > 0 { open } else { i64::MIN }, passed },
        };
        let missed = (missed > 0).then(|| (missed_count, window(open - every)));
        Placement::In { slice, missed }
    }
}

/// The largest number at or below `value` that is `offset` more than a multiple of `every`.
fn floor(value: i64, every: i64, offset: i64) -> i64 {
    (value - offset).div_euclid(every) * every + offset
}

fn steps(first: i64, last: i64, every: i64) -> impl Iterator<Item = i64> {
    std::iter::successors(Some(first), move |end| Some(end + every))
        .take_while(move |end| *end <= last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::window_function::DAY_MS;

    fn windows(kind: WindowKind) -> Windows {
        let spec =
            WindowSpec { kind, offset: 0, time_column: "t".into(), partition_by: Vec::new() };
        Windows::new(&spec, Zone::UTC, 0)
    }

    #[test]
    fn a_hopping_slice_is_in_every_window_over_it() {
        let hop = windows(WindowKind::Hop { slide: 5, size: 10 });
        let found: Vec<_> =
            hop.windows_of(hop.slice_start(7)).iter().map(|w| (w.start, w.end)).collect();
        assert_eq!(found, [(0, 10), (5, 15)]);
    }

    #[test]
    fn hopping_with_gaps_leaves_records_in_no_window() {
        let hop = windows(WindowKind::Hop { slide: 10, size: 4 });
        assert_eq!(hop.place(7, i64::MIN), Placement::Nowhere);
        assert!(matches!(hop.place(3, i64::MIN), Placement::In { .. }));
    }

    #[test]
    fn a_record_late_for_one_hopping_window_enters_the_open_one() {
        let hop = windows(WindowKind::Hop { slide: 5, size: 10 });
        let Placement::In { slice, missed } = hop.place(7, 9) else { panic!("still open") };
        assert_eq!((slice.start, slice.open_from), (5, 15));
        assert_eq!(missed, Some((1, Window { start: 0, end: 10 })));
        assert!(matches!(hop.place(7, 14), Placement::Late { missed: 2, .. }));
    }

    #[test]
    fn a_late_record_goes_to_the_first_open_step_of_cumulate() {
        let cumulate = windows(WindowKind::Cumulate { step: 5, size: 15 });
        let Placement::In { slice, missed } = cumulate.place(1, 9) else { panic!("still open") };
        assert_eq!(slice, SliceKey::on_time(10));
        assert_eq!(missed, Some((2, Window { start: 0, end: 10 })));
    }

    #[test]
    fn the_last_millisecond_of_a_window_closes_it() {
        let tumble = windows(WindowKind::Tumble { size: 5 });
        assert!(matches!(tumble.place(4, 3), Placement::In { missed: None, .. }));
        assert!(matches!(tumble.place(4, 4), Placement::Late { .. }));
    }

    #[test]
    fn day_windows_follow_the_zones_days() {
        let spec = WindowSpec {
            kind: WindowKind::Tumble { size: DAY_MS },
            offset: 0,
            time_column: "t".into(),
            partition_by: Vec::new(),
        };
        let shanghai = Zone::named("Asia/Shanghai").expect("zone");
        let days = Windows::new(&spec, shanghai, 0);
        let midnight = 1_605_024_000_000; // 2020-11-11T00:00+08:00
        let [day] = days.windows_of(days.slice_start(midnight))[..] else { panic!("one window") };
        assert_eq!(days.instant(day.start), midnight);
        assert_eq!(days.instant(day.end), midnight + DAY_MS);
    }
}
