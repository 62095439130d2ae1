//! `CUMULATE`: one row a key for the step that runs, final rows for steps that are closed.
//!
//! ```text
//! base                                                                    base + size
//! ├──── closed for good ────┬──── passed, may be revised ────┬─ shown ─┬── to come ──┤
//!                        next_end                        passed_end  newest accepted event time
//! └── prefix, one state a group ──┘└────────── slices, one a step ─────┘
//! ```
//! A step holds all slices before its end, so what no shown step could be without is merged into the
//! prefix. A late row changes all steps after its slice: they are shown again as one range.

use std::collections::BTreeMap;

use datafusion::common::{Result, internal_err};

use super::assign::{SliceKey, Window, Windows};
use super::fire::{Fired, Firing, Progress, ViewState, mark_of};
use super::sides::Side;
use super::slice::Slice;
use super::table::Evaluated;
use crate::model::PartitionId;
use crate::results::Mark;
use crate::sql::options::Retention;

/// The state of one longest window of `CUMULATE`.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// End of the next step to be closed for good.
    pub next_end: i64,
    /// The provisional step shown now.
    pub shown: Option<i64>,
    /// Whether a slice was touched since the last publish.
    pub touched: bool,
    /// End of the first step the watermark had not passed at the last publish, or that is to be shown again.
    pub passed_end: i64,
    /// End of the first step that was not yet settled at the last publish.
    pub settled_end: i64,
}

impl Base {
    /// A base whose first slice begins here.
    pub(super) fn beginning(slice_start: i64, step: i64) -> Self {
        let end = slice_start + step;
        Self { next_end: end, passed_end: end, settled_end: end, ..Self::default() }
    }

    /// Takes note of a slice with new rows: every step after it is to be shown again.
    pub(super) fn touch(&mut self, slice_start: i64, step: i64) {
        let end = slice_start + step;
        self.next_end = self.next_end.min(end);
        self.passed_end = self.passed_end.min(end);
        self.touched = true;
    }

    /// As it was saved; all that is shown of it is put together anew.
    pub(super) fn resume(&mut self) {
        (self.passed_end, self.settled_end, self.touched) = (self.next_end, self.next_end, true);
    }
}

/// The steps of one base at one publish, by their ends.
#[derive(Debug, Clone, Copy)]
struct Steps {
    start: i64,
    step: i64,
    last: i64,
    /// The first step that stays open.
    next_end: i64,
    /// The first step the watermark has not passed.
    passed_end: i64,
    /// The first step that is not settled.
    settled_end: i64,
    /// Steps that end before this are not shown any more.
    retained_from: i64,
}

impl Steps {
    fn of(
        windows: &Windows,
        base: &Base,
        (start, step, last): (i64, i64, i64),
        retained_from: i64,
        progress: Progress,
    ) -> Self {
        let window = |end: i64| Window { start, end };
        // What is passed is passed before what is not, so the border is found by halving.
        let first_not = |from: i64, passed: &dyn Fn(i64) -> bool| {
            let (mut low, mut high) = (0, ((last - from).div_euclid(step) + 1).max(0));
            while low < high {
                let middle = low + (high - low) / 2;
                if passed(from + middle * step) { low = middle + 1 } else { high = middle }
            }
            from + low * step
        };
        let next_end = first_not(base.next_end, &|end| {
            progress.ended || windows.is_closed(window(end), progress.watermark)
        });
        let passed_end = first_not(next_end.max(base.passed_end), &|end| {
            windows.has_passed(window(end), progress.watermark)
        });
        let settled_end = first_not(next_end.max(base.settled_end), &|end| {
            windows.is_closed(window(end), progress.settled)
        });
        Self { start, step, last, next_end, passed_end, settled_end, retained_from }
    }

    fn ends(&self, from: i64, to: i64) -> impl Iterator<Item = i64> + use<> {
        let step = self.step;
        std::iter::successors(Some(from), move |end| Some(end + step))
            .take_while(move |end| *end < to)
    }

    /// The steps that are passed and open and whose rows or marks are new.
    fn again(&self, base: &Base) -> impl Iterator<Item = i64> + use<> {
        let is_resettled =
            base.settled_end < self.settled_end && self.settled_end > self.retained_from;
        let from =
            if is_resettled { base.passed_end.min(base.settled_end) } else { base.passed_end };
        self.ends(self.shown_from(from.max(self.next_end)), self.passed_end)
    }

    /// The first step at or after `end` that is shown.
    fn shown_from(&self, end: i64) -> i64 {
        let beyond = self.retained_from.saturating_sub(end).max(0);
        end + (beyond + self.step - 1) / self.step * self.step
    }
}

impl ViewState {
    pub(super) fn fire_steps(
        &mut self,
        windows: &Windows,
        (step, size): (i64, i64),
        progress: Progress,
    ) -> Result<Firing> {
        let retained_from = self.steps_retained_from(windows, step, progress);
        let gone_before = progress.as_of.map(|_| windows.instant(retained_from));
        let mut firing = Firing { gone_before, ..Firing::default() };
        for start in self.bases.keys().copied().collect::<Vec<_>>() {
            let Some(base) = self.bases.get(&start).cloned() else { continue };
            let steps =
                Steps::of(windows, &base, (start, step, start + size), retained_from, progress);
            self.fire_base(windows, base, steps, progress, &mut firing)?;
        }
        Ok(firing)
    }

    /// The end before which no step is shown.
    fn steps_retained_from(&self, windows: &Windows, step: i64, progress: Progress) -> i64 {
        let Some(as_of) = progress.as_of else { return i64::MIN };
        let newest = windows.slice_start(as_of).saturating_add(step);
        let back = match self.retention {
            // Every step has at least one row.
            Retention::Rows(rows) => i64::try_from(rows).unwrap_or(i64::MAX).saturating_mul(step),
            Retention::Time(ms) => ms,
        };
        newest.saturating_sub(back)
    }

    fn fire_base(
        &mut self,
        windows: &Windows,
        base: Base,
        steps: Steps,
        progress: Progress,
        firing: &mut Firing,
    ) -> Result<()> {
        let mut running = None;
        for end in steps.ends(steps.shown_from(base.next_end), steps.next_end) {
            let window = Window { start: steps.start, end };
            self.fire_step(windows, window, &mut running, Mark::Final, firing)?;
        }
        if steps.next_end > steps.last {
            self.withdraw_shown(windows, &base, &steps, None, firing);
            self.forget_base(steps.start, steps.last);
            return Ok(());
        }
        let newest = progress
            .as_of
            .map_or(steps.passed_end, |as_of| windows.slice_start(as_of) + steps.step);
        let provisional = (steps.passed_end <= steps.last)
            .then(|| newest.clamp(steps.passed_end, steps.last))
            .filter(|end| *end >= steps.retained_from);
        self.withdraw_shown(windows, &base, &steps, provisional, firing);
        let is_resettled = base.settled_end < steps.settled_end;
        let is_new = base.touched || is_resettled || base.shown != provisional;
        for end in steps.again(&base).chain(provisional.filter(|_| is_new)) {
            let window = Window { start: steps.start, end };
            self.fire_step(
                windows,
                window,
                &mut running,
                mark_of(windows, window, progress),
                firing,
            )?;
        }
        // Slices that every step still shown holds need not be kept apart. Of a base that is open long after its
        // end no step may be shown any more; the slices behind it are the next one's.
        let held_by_all = steps.shown_from(steps.next_end) - steps.step;
        self.merge_into_prefix(steps.start, held_by_all.min(steps.last))?;
        let Steps { next_end, passed_end, settled_end, .. } = steps;
        self.bases.insert(
            steps.start,
            Base { next_end, shown: provisional, touched: false, passed_end, settled_end },
        );
        Ok(())
    }

    /// Takes the provisional row off when another step takes its place and it was not passed.
    fn withdraw_shown(
        &self,
        windows: &Windows,
        base: &Base,
        steps: &Steps,
        provisional: Option<i64>,
        firing: &mut Firing,
    ) {
        if let Some(shown) = base.shown
            && base.shown != provisional
            && (shown >= steps.passed_end.max(steps.next_end) || shown < steps.retained_from)
        {
            firing.withdrawn.push((windows.instant(steps.start), windows.instant(shown)));
        }
    }

    /// Puts one step together; `running` goes on from the step before it.
    fn fire_step(
        &self,
        windows: &Windows,
        window: Window,
        running: &mut Option<Running>,
        mark: Mark,
        firing: &mut Firing,
    ) -> Result<()> {
        if self.codec.is_none() || self.plan().join.is_some() {
            let holds = |_: PartitionId, slice: SliceKey| {
                slice.start >= window.start && slice.start < window.end
            };
            firing.fired.extend(self.put_together(Some(windows), window, &holds, mark)?);
            return Ok(());
        }
        let running = running.get_or_insert_with(|| self.running(window.start));
        self.advance(running, window.end)?;
        let fired: Option<Fired> =
            self.rows_of_groups(Some(windows), window, running.evaluated(self), mark)?;
        firing.fired.extend(fired);
        Ok(())
    }

    /// Merges the slices of a base that end at or before `end` into its prefix.
    fn merge_into_prefix(&mut self, start: i64, end: i64) -> Result<()> {
        for (partition, table) in &mut self.partitions {
            let codec = match Side::of(*partition) {
                Side::Left => &self.codec,
                Side::Right => &self.right_codec,
            };
            let Some(codec) = codec else { continue };
            let closed: Vec<SliceKey> = table
                .slices
                .range(SliceKey { start, open_from: i64::MIN, passed: i64::MIN }..)
                .map(|(key, _)| *key)
                .take_while(|key| key.start < end)
                .collect();
            for key in closed {
                if let Some(slice) = table.slices.remove(&key) {
                    codec.merge_into(table.prefixes.entry(start).or_default(), &slice)?;
                }
            }
        }
        Ok(())
    }

    fn running(&self, start: i64) -> Running {
        let prefix = |(partition, table): (&PartitionId, &super::table::PartitionTable)| {
            (*partition, table.prefixes.get(&start).cloned().unwrap_or_default())
        };
        Running { to: start, slices: self.partitions.iter().map(prefix).collect(), evaluated: None }
    }

    /// Adds the slices up to `end`.
    fn advance(&self, running: &mut Running, end: i64) -> Result<()> {
        let Some(codec) = &self.codec else {
            return internal_err!("steps of kept rows have no prefix");
        };
        let from = SliceKey { start: running.to, open_from: i64::MIN, passed: i64::MIN };
        for (partition, sum) in &mut running.slices {
            let Some(table) = self.partitions.get(partition) else { continue };
            for (_, slice) in table.slices.range(from..).take_while(|(key, _)| key.start < end) {
                codec.merge_into(sum, slice)?;
                running.evaluated = None;
            }
        }
        running.to = running.to.max(end);
        Ok(())
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
}

/// What the steps of a base have added up so far, by partition.
#[derive(Debug)]
struct Running {
    to: i64,
    slices: BTreeMap<PartitionId, Slice>,
    /// The values, as long as no slice was added.
    evaluated: Option<Evaluated>,
}

impl Running {
    fn evaluated(&mut self, state: &ViewState) -> Result<Evaluated> {
        if let Some(evaluated) = &self.evaluated {
            return Ok(evaluated.clone());
        }
        let Some(codec) = &state.codec else {
            return internal_err!("steps of kept rows have no prefix");
        };
        let evaluated = codec.evaluate(self.slices.values())?;
        self.evaluated = Some(evaluated.clone());
        Ok(evaluated)
    }
}
