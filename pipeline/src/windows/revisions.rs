//! How many records came too late for a window, looked up without walking the slices of all late records.
//!
//! A late record counts for the windows that hold its slice, that took it, and that its partition's
//! watermark had passed: those whose ends lie in one span. The spans are added up once a publish.

use std::collections::BTreeMap;

use super::assign::{SliceKey, Window, Windows};
use crate::sql::window_function::WindowKind;

/// The revisions of all windows of a view.
#[derive(Debug, Default)]
pub(super) struct Revisions {
    /// By base (of `CUMULATE`; 0 for windows that slide) and end: records that are too late for windows that
    /// end here or later, up to the next entry.
    running: BTreeMap<(i64, i64), u64>,
}

impl Revisions {
    /// Adds up late records, each slice with their number. Sessions have none.
    pub(super) fn of(windows: &Windows, late: impl Iterator<Item = (SliceKey, u64)>) -> Self {
        let mut steps: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        for (slice, count) in late {
            let Some((from, to)) = ends(windows, slice) else { continue };
            let base = base_of(windows, slice.start);
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            *steps.entry((base, from)).or_insert(0) += count;
            *steps.entry((base, to)).or_insert(0) -= count;
        }
        let (mut sum, mut within) = (0, None);
        let running = steps.into_iter().map(|((base, end), step)| {
            sum = if within == Some(base) { sum + step } else { step };
            within = Some(base);
            ((base, end), u64::try_from(sum).unwrap_or(0))
        });
        Self { running: running.collect() }
    }

    /// The revision of a window.
    pub(super) fn of_window(&self, windows: &Windows, window: Window) -> u64 {
        let base = base_of(windows, window.start);
        let before = self.running.range((base, i64::MIN)..=(base, window.end)).next_back();
        before.map_or(0, |(_, count)| *count)
    }
}

/// The first end of the windows a late record counts for, and the first after them; `None` without any.
fn ends(windows: &Windows, slice: SliceKey) -> Option<(i64, i64)> {
    let after_last = match windows.kind() {
        WindowKind::Tumble { size } | WindowKind::Hop { size, .. } => {
            slice.start.saturating_add(*size).saturating_add(1)
        }
        WindowKind::Cumulate { .. } => i64::MAX,
        WindowKind::Session { .. } => return None,
    };
    let (from, to) =
        (slice.open_from.max(slice.start.saturating_add(1)), slice.passed.min(after_last));
    (from < to).then_some((from, to))
}

/// The late slices of one record's rows as slices whose windows are all different, so that each window counts
/// the record once.
pub(super) fn apart(windows: &Windows, mut slices: Vec<SliceKey>) -> Vec<SliceKey> {
    if slices.len() < 2 {
        return slices;
    }
    let span = |slice: &SliceKey| (base_of(windows, slice.start), ends(windows, *slice));
    slices.sort_by_key(span);
    let mut apart: Vec<SliceKey> = Vec::with_capacity(slices.len());
    let mut counted: Option<(i64, i64)> = None;
    for slice in slices {
        let (base, Some((from, to))) = span(&slice) else { continue };
        let counted_to = counted.filter(|(of, _)| *of == base).map_or(i64::MIN, |(_, to)| to);
        if to > counted_to {
            let open_from = if from < counted_to { counted_to } else { slice.open_from };
            apart.push(SliceKey { open_from, ..slice });
            counted = Some((base, to));
        }
    }
    apart
}

fn base_of(windows: &Windows, start: i64) -> i64 {
    match windows.kind() {
        WindowKind::Cumulate { .. } => windows.base(start),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::model::Zone;
    use crate::sql::window_function::WindowSpec;
    use crate::windows::fire::holds;

    fn windows(kind: WindowKind) -> Windows {
        let spec =
            WindowSpec { kind, offset: 0, time_column: "t".into(), partition_by: Vec::new() };
        Windows::new(&spec, Zone::UTC, 50)
    }

    #[test]
    fn a_record_with_rows_in_several_slices_revises_each_window_once() {
        for seed in 0..200 {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let kinds = [
                WindowKind::Tumble { size: 5 },
                WindowKind::Hop { slide: 5, size: 15 },
                WindowKind::Cumulate { step: 5, size: 20 },
            ];
            let windows = windows(kinds[dice.random_range(0..3)].clone());
            let watermark = dice.random_range(0..60);
            let place = |time: i64| match windows.place(time, watermark) {
                crate::windows::assign::Placement::In { slice, .. } => Some(slice),
                _ => None,
            };
            let rows = dice.random_range(1..6);
            let slices: Vec<SliceKey> = (0..rows)
                .filter_map(|_| place(dice.random_range(-20..60)))
                .filter(|slice| slice.passed != i64::MIN)
                .collect();
            let told = apart(&windows, slices.clone());
            let revisions = Revisions::of(&windows, told.into_iter().map(|slice| (slice, 1)));
            for window in (-8..16).flat_map(|nth| windows.windows_of(nth * 5)) {
                let held = slices
                    .iter()
                    .any(|slice| slice.passed > window.end && holds(&windows, window, *slice));
                assert_eq!(
                    revisions.of_window(&windows, window),
                    u64::from(held),
                    "seed {seed}: {window:?} of {slices:?}"
                );
            }
        }
    }

    #[test]
    fn a_revision_is_the_number_of_late_records_that_the_window_holds() {
        for seed in 0..200 {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let kinds = [
                WindowKind::Tumble { size: 5 },
                WindowKind::Hop { slide: 5, size: 15 },
                WindowKind::Cumulate { step: 5, size: 20 },
            ];
            let windows = windows(kinds[dice.random_range(0..3)].clone());
            let mut late: BTreeMap<SliceKey, u64> = BTreeMap::new();
            for _ in 0..dice.random_range(0..30) {
                let start = dice.random_range(-4..12) * 5;
                let open_from = if dice.random_bool(0.5) {
                    i64::MIN
                } else {
                    start + dice.random_range(1..4) * 5
                };
                let passed = if dice.random_bool(0.1) {
                    i64::MAX
                } else {
                    start + dice.random_range(1..6) * 5
                };
                *late.entry(SliceKey { start, open_from, passed }).or_default() +=
                    dice.random_range(1..4);
            }
            let revisions =
                Revisions::of(&windows, late.iter().map(|(slice, count)| (*slice, *count)));
            for window in (-4..12).flat_map(|nth| windows.windows_of(nth * 5)) {
                let held =
                    |slice: &SliceKey| slice.passed > window.end && holds(&windows, window, *slice);
                let want: u64 =
                    late.iter().filter(|(slice, _)| held(slice)).map(|(_, count)| count).sum();
                assert_eq!(
                    revisions.of_window(&windows, window),
                    want,
                    "seed {seed}: {window:?} of {late:?}"
                );
            }
        }
    }
}
