//! Windows over windows: hours over minutes.
//!
//! ```text
//! slices ─▶ inner windows ─▶ middle plan ─▶ rows by inner window (kept while nothing in them changes)
//!                                              └─▶ outer windows ─▶ above plan
//! ```
//! A record is late by its inner windows, as in Flink; inner slices are kept until the last outer window
//! over them is closed, and an outer window is put together from the rows of the inner ones that end in it.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use datafusion::common::{Result, exec_err, internal_err};

use super::assemble::{batch, window_value};
use super::assign::{SliceKey, Window, Windows};
use super::below::Runner;
use super::fire::{Fired, Firing, Progress, ViewState, holds};
use crate::results::Mark;
use crate::sql::plan::OuterWindow;

/// The outer windows of a view.
#[derive(Debug)]
pub struct Cascade {
    plan: OuterWindow,
    windows: Windows,
    middle: Runner,
    /// What the middle plan gives of each inner window that has rows.
    rows: BTreeMap<Window, RecordBatch>,
    /// Inner windows that have no rows because something fails on what they hold, and why.
    broken: BTreeMap<Window, String>,
    /// Inner windows whose slices were touched since the last publish.
    stale: BTreeSet<Window>,
}

impl Cascade {
    pub(super) fn new(plan: OuterWindow, inner: &Windows) -> Self {
        let (windows, middle) = (inner.over(&plan.window), Runner::new(plan.middle.clone()));
        Self {
            plan,
            windows,
            middle,
            rows: BTreeMap::new(),
            broken: BTreeMap::new(),
            stale: BTreeSet::new(),
        }
    }

    /// Lets go of all rows.
    pub(super) fn clear(&mut self) {
        (self.rows, self.stale) = (BTreeMap::new(), BTreeSet::new());
        self.broken.clear();
    }

    /// The outer windows.
    pub(super) fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Takes note of a slice with new rows; answers the outer windows that hold some of them.
    pub(super) fn touch(&mut self, inner: &Windows, slice: SliceKey) -> Vec<Window> {
        let mut outer = Vec::new();
        for window in
            inner.windows_of(slice.start).into_iter().filter(|window| window.end >= slice.open_from)
        {
            self.stale.insert(window);
            outer.extend(self.windows.windows_of(self.windows.slice_start(time_of(inner, window))));
        }
        outer
    }

    /// The end, as an instant, of the last outer window over an inner slice.
    fn last_end(&self, inner: &Windows, slice_start: i64) -> i64 {
        self.windows.last_end(self.windows.slice_start(inner.last_end(slice_start) - 1))
    }

    /// The rows of the inner windows that end in an outer one, with the outer window's columns.
    fn rows_in(&self, inner: &Windows, outer: Window) -> Result<Option<RecordBatch>> {
        let within = |window: &Window| {
            let time = self.windows.wall(time_of(inner, *window));
            time >= outer.start && time < outer.end
        };
        if let Some((_, reason)) = self.broken.iter().find(|(window, _)| within(window)) {
            return exec_err!("{reason}");
        }
        let parts: Vec<&RecordBatch> =
            self.rows.iter().filter(|(window, _)| within(window)).map(|(_, rows)| rows).collect();
        let Some(first) = parts.first() else { return Ok(None) };
        let rows = concat_batches(&first.schema(), parts.iter().copied())?;
        let own = rows.num_columns();
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for (nth, field) in self.plan.schema.fields().iter().skip(own).enumerate() {
            columns.push(window_value(
                Some(&self.windows),
                outer,
                nth,
                field.data_type(),
                rows.num_rows(),
            )?);
        }
        batch(&self.plan.schema, columns, rows.num_rows()).map(Some)
    }
}

/// `window_time` of an inner window, as an instant.
fn time_of(inner: &Windows, window: Window) -> i64 {
    inner.instant(window.end) - 1
}

impl ViewState {
    pub(super) fn fire_cascade(&mut self, progress: Progress) -> Result<Firing> {
        let (Some(inner), Some(cascade)) = (self.windows.clone(), self.cascade.take()) else {
            return internal_err!("windows over windows that are not there");
        };
        let mut cascade = cascade;
        let firing = self.fire_outer(&inner, &mut cascade, progress);
        self.cascade = Some(cascade);
        firing
    }

    fn fire_outer(
        &mut self,
        inner: &Windows,
        cascade: &mut Cascade,
        progress: Progress,
    ) -> Result<Firing> {
        for window in std::mem::take(&mut cascade.stale) {
            cascade.rows.remove(&window);
            cascade.broken.remove(&window);
            let rows = self.inner_rows(inner, window).transpose();
            match rows.map(|rows| rows.and_then(|rows| cascade.middle.run(rows))) {
                Some(Ok(rows)) => drop(cascade.rows.insert(window, rows)),
                Some(Err(error)) => {
                    drop(cascade.broken.insert(window, error.strip_backtrace()));
                }
                None => {}
            }
        }
        let touched = std::mem::take(&mut self.touched);
        self.pending.extend(touched.iter().map(|window| (*window, None)));
        let mut firing = Firing::default();
        for (window, mark) in self.changed(&cascade.windows, &touched, progress) {
            if let Some(rows) = cascade.rows_in(inner, window).transpose() {
                let instants = Some((
                    cascade.windows.instant(window.start),
                    cascade.windows.instant(window.end),
                ));
                let (rows, problem) = self.or_problem(rows.and_then(|rows| self.above.run(rows)));
                firing.fired.push(Fired { window, instants, rows, mark, revision: 0, problem });
            }
            match mark {
                Mark::Final => self.pending.remove(&window),
                _ => self.pending.insert(window, Some(mark)),
            };
        }
        let open = |end: i64| !progress.ended && end - 1 > progress.watermark;
        for table in self.partitions.values_mut() {
            table.slices.retain(|slice, _| open(cascade.last_end(inner, slice.start)));
            table.revised.clear();
        }
        let outer = &cascade.windows;
        let is_open =
            |window: &Window| open(outer.last_end(outer.slice_start(time_of(inner, *window))));
        cascade.rows.retain(|window, _| is_open(window));
        cascade.broken.retain(|window, _| is_open(window));
        Ok(firing)
    }

    /// The aggregate's rows of one inner window; `None` where it has none.
    fn inner_rows(&self, inner: &Windows, window: Window) -> Result<Option<RecordBatch>> {
        let Some(codec) = &self.codec else {
            return internal_err!("windows over windows without an aggregate");
        };
        let slices = self.partitions.values().flat_map(|table| &table.slices);
        let evaluated = codec.evaluate(
            slices.filter(|(key, _)| holds(inner, window, **key)).map(|(_, slice)| slice),
        )?;
        self.kept_rows(Some(inner), window, evaluated)
    }
}
