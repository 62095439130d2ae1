//! Accepted rows into the views of one stream.
//!
//! ```text
//! accepted rows ─┬─▶ branch of the stream itself: a fold a view
//!                └─▶ operator ─▶ branch of a derived stream: a fold a view
//! ```
//! A branch knows rows, not records: what an operator hands on has columns, event times and arrival
//! numbers of its own and names the row of the batch it came from. It is judged late against the same
//! partition's watermark before the record.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use datafusion::common::Result;

use super::admission::cut;
use super::drain::{BranchDrain, LateRecord, ViewDrain};
use super::intake::Read;
use crate::model::{Correction, Offset, Space};
use crate::state::{SavedFold, SavedPartition, Since};
use crate::windows::fold::Accepted;
use crate::windows::shared::Shared;
use crate::windows::{Drained, LateRow, ViewCounts, ViewFold};

/// Rows that count, in the order of their records.
#[derive(Debug, Clone)]
pub struct AcceptedRows {
    /// The stream's columns and, last, the row number.
    pub batch: RecordBatch,
    /// Event time of each row, epoch milliseconds; 0 in a stream without a watermark.
    pub times: Vec<i64>,
    /// The partition's watermark before the record of each row.
    pub watermarks: Vec<i64>,
    /// Place of each row in the log, ascending, for the order of kept rows.
    pub arrivals: Vec<u64>,
    /// Where an operator made the rows, how many records it took; `None` where each row is a record.
    pub records: Option<usize>,
    /// Records that take back what earlier ones counted, in the order of their rows.
    pub corrections: Vec<Correction>,
    /// The row of the read batch each row came from.
    pub origins: Vec<usize>,
    /// Largest event time of the rows; `None` without rows or in a stream without a watermark.
    pub as_of: Option<i64>,
    /// Largest event time that a record before one of the rows may have had, by the delay the watermark allows and
    /// if that row was not late.
    pub before: Option<i64>,
}

impl AcceptedRows {
    /// No rows yet.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            batch: RecordBatch::new_empty(Arc::new(Schema::empty())),
            times: Vec::with_capacity(rows),
            watermarks: Vec::with_capacity(rows),
            arrivals: Vec::with_capacity(rows),
            records: None,
            corrections: Vec::new(),
            origins: Vec::with_capacity(rows),
            as_of: None,
            before: None,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Offset of the first row; 0 without rows.
    fn first_offset(&self) -> Offset {
        let offset = self.arrivals.first().copied().unwrap_or(0) & OFFSET_OF_ARRIVAL;
        Offset::try_from(offset).unwrap_or(0)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Adds what is known of a row; its columns come with the batch.
    pub fn note(&mut self, time: Option<i64>, watermark: i64, arrival: u64, origin: usize) {
        self.as_of = self.as_of.max(time);
        self.times.push(time.unwrap_or(0));
        self.watermarks.push(watermark);
        self.arrivals.push(arrival);
        self.origins.push(origin);
    }
}

/// The views of one stream over one partition.
#[derive(Debug)]
pub struct Branch {
    space: Space,
    stream: Arc<str>,
    as_of: Option<i64>,
    views: Vec<BranchView>,
    late: Vec<LateRecord>,
}

/// A view's fold, or what is left of one that failed.
#[derive(Debug)]
struct BranchView {
    key: Arc<str>,
    fold: Option<ViewFold>,
    counts: ViewCounts,
    since: Option<Since>,
    /// Up to this offset the rows are those there were when the view began. How late a record is that stands just
    /// behind the cut is not known, so all of them say together what may have been cut away.
    rest_ends: Offset,
    /// What the running system knows to have been before.
    known: Option<i64>,
    /// Rows of the other space that came to it; see [`SavedFold::foreign`].
    foreign: u64,
    failed: Option<String>,
}

impl Branch {
    /// The branch of a stream before its first row.
    #[must_use]
    pub fn new(stream: Arc<str>, folds: Vec<(Arc<str>, ViewFold)>) -> Self {
        let view = |(key, fold)| BranchView {
            key,
            fold: Some(fold),
            counts: ViewCounts::default(),
            since: None,
            rest_ends: 0,
            known: None,
            foreign: 0,
            failed: None,
        };
        let views = folds.into_iter().map(view).collect();
        Self { space: Space::Live, stream, as_of: None, views, late: Vec::new() }
    }

    /// The same views in another space, before their first row. One that has been stopped is stopped there
    /// too, and one that began in a log that had been cut begins there too.
    ///
    /// # Errors
    /// When a fold cannot be made.
    pub fn alike(&self, space: Space) -> Result<Self> {
        let view = |of: &BranchView| {
            Ok(BranchView {
                key: Arc::clone(&of.key),
                fold: of.fold.as_ref().map(ViewFold::alike).transpose()?,
                counts: ViewCounts::default(),
                since: of.since.map(|since| Since { time: None, ..since }),
                rest_ends: of.rest_ends,
                known: of.known,
                foreign: 0,
                failed: of.failed.clone(),
            })
        };
        let views = self.views.iter().map(view).collect::<Result<_>>()?;
        Ok(Self { space, stream: Arc::clone(&self.stream), as_of: None, views, late: Vec::new() })
    }

    /// The stream whose views it folds.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The columns of the stream that its views look at, by number; `None` where it may be all of them.
    #[must_use]
    pub fn columns(&self) -> Option<BTreeSet<usize>> {
        let folds = self.views.iter().filter_map(|view| view.fold.as_ref());
        folds.map(ViewFold::columns).try_fold(BTreeSet::new(), |mut all, columns| {
            all.extend(columns?);
            Some(all)
        })
    }

    /// Late rows since the last drain.
    #[must_use]
    pub fn late(&self) -> &[LateRecord] {
        &self.late
    }

    /// Takes over the views of a branch that has had the same rows as this one, as far as they were still there: of what
    /// had been cut away before, this one knows the largest event time.
    pub fn join(&mut self, other: &mut Self) {
        for view in &mut other.views {
            (view.rest_ends, view.known) = (0, self.as_of);
            if let Some(Since { time: Some(time), .. }) = &mut view.since {
                *time = (*time).max(self.as_of.map_or(i64::MIN, |as_of| as_of.saturating_add(1)));
            }
        }
        self.views.append(&mut other.views);
        self.late.append(&mut other.late);
    }

    /// Takes views out.
    pub fn remove(&mut self, keys: &[Arc<str>]) {
        self.views.retain(|view| !keys.contains(&view.key));
    }

    /// Says that the log had been cut before `offset` when its views began with it, and ended at `end` then.
    pub fn begins_at(&mut self, offset: Offset, end: Offset) {
        for view in &mut self.views {
            view.since = Some(Since { offset, time: None });
            view.rest_ends = end;
        }
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, at: &SavedPartition) {
        self.as_of = at.as_of.get(&*self.stream).copied();
        for view in &mut self.views {
            let Some(saved) = at.views.get(&*view.key) else { continue };
            view.counts = saved.counts;
            view.since = saved.since;
            view.foreign = saved.foreign;
            if let Some(reason) = &saved.failed {
                (view.fold, view.failed) = (None, Some(reason.clone()));
            }
            if let Some(fold) = &mut view.fold {
                fold.restore(saved.counts, saved.sessions.clone());
            }
        }
    }

    /// Folds rows into every view; one that fails is stopped and the others go on.
    pub fn fold(&mut self, rows: &AcceptedRows, read: &Read) {
        if rows.is_empty() && rows.records.is_none() {
            return;
        }
        self.as_of = self.as_of.max(rows.as_of);
        let accepted = Accepted {
            batch: &rows.batch,
            times: &rows.times,
            watermarks: &rows.watermarks,
            arrivals: &rows.arrivals,
            records: rows.records,
            corrections: &rows.corrections,
        };
        let mut shared = Shared::default();
        for view in &mut self.views {
            let Some(fold) = view.fold.as_mut().filter(|_| view.failed.is_none()) else { continue };
            if let Some(since) = &mut view.since
                && (since.time.is_none() || rows.first_offset() < view.rest_ends)
                // What is derived never says it: the events that are cut away belong to orders that are still there.
                && let Some(before) = rows.before
            {
                let before = before.max(view.known.unwrap_or(i64::MIN));
                since.time = since.time.max(Some(before.saturating_add(1)));
            }
            let (key, late) = (&view.key, &mut self.late);
            let mut missed = |missed| late.push(late_record(key, missed, rows, read));
            let outcome = fold.fold_shared(accepted, &mut shared, &mut missed);
            view.counts = fold.counts();
            view.foreign += read.foreign(self.space, &rows.origins);
            if let Err(error) = outcome {
                // A wrong figure must not be shown. What stands before the row is right, however many were read with it.
                let failing = fold.first_failing(&rows.batch);
                let is_sound = failing.is_some_and(|row| {
                    let mut missed = |missed| late.push(late_record(key, missed, rows, read));
                    fold_before(fold, accepted, row, &mut missed)
                });
                view.counts = fold.counts();
                let arrivals = match failing.and_then(|row| rows.arrivals.get(row)) {
                    Some(arrival) => std::slice::from_ref(arrival),
                    None => &rows.arrivals,
                };
                let place = place_of(&self.stream, arrivals);
                view.failed = Some(format!("{} ({place})", error.strip_backtrace()));
                if !is_sound {
                    // What it has taken of the batch cannot be told apart any more.
                    view.fold = None;
                }
            }
        }
    }

    /// Everything since the last drain. `watermark` is the partition's own.
    ///
    /// # Errors
    /// When an accumulator cannot give its state.
    pub fn drain(&mut self, watermark: i64) -> Result<BranchDrain> {
        let mut views = Vec::with_capacity(self.views.len());
        for view in &mut self.views {
            let drained = match &mut view.fold {
                Some(fold) => fold.drain(watermark)?,
                None => Drained::default(),
            };
            let sessions = view.fold.as_ref().and_then(ViewFold::saved_sessions);
            if view.failed.is_some() {
                view.fold = None;
            }
            views.push(ViewDrain {
                view: Arc::clone(&view.key),
                drained,
                fold: SavedFold {
                    counts: view.counts,
                    sessions,
                    since: view.since,
                    foreign: view.foreign,
                    failed: view.failed.clone(),
                },
                failed: view.failed.clone(),
            });
        }
        Ok(BranchDrain {
            stream: Arc::clone(&self.stream),
            as_of: self.as_of,
            views,
            late: std::mem::take(&mut self.late),
        })
    }
}

/// Folds the rows before the one on which an expression fails, of which none has been folded yet; whether the fold is
/// then sound.
fn fold_before(
    fold: &mut ViewFold,
    accepted: Accepted<'_>,
    row: usize,
    missed: &mut dyn FnMut(LateRow),
) -> bool {
    let (Some(times), Some(watermarks), Some(arrivals)) =
        (accepted.times.get(..row), accepted.watermarks.get(..row), accepted.arrivals.get(..row))
    else {
        return false;
    };
    // How many of the records before it have no row at all is not known, so that they could not be accounted for.
    if accepted.records.is_some() {
        return true;
    }
    let batch = &accepted.batch.slice(0, row);
    fold.fold(Accepted { batch, times, watermarks, arrivals, ..accepted }, missed).is_ok()
}

/// Stream, partition and offsets of the rows that a view was stopped at.
/// The part of an arrival that is the offset; above it is the partition.
const OFFSET_OF_ARRIVAL: u64 = 0xFFFF_FFFF_FFFF;

fn place_of(stream: &str, arrivals: &[u64]) -> String {
    let offset = |arrival: Option<&u64>| arrival.copied().unwrap_or(0) & OFFSET_OF_ARRIVAL;
    let partition = arrivals.first().copied().unwrap_or(0) >> 48;
    let (first, last) = (offset(arrivals.first()), offset(arrivals.last()));
    match first == last {
        true => format!("stream {stream}, partition {partition}, offset {first}"),
        false => format!("stream {stream}, partition {partition}, offsets {first} to {last}"),
    }
}

fn late_record(view: &Arc<str>, missed: LateRow, rows: &AcceptedRows, read: &Read) -> LateRecord {
    let at = usize::try_from(missed.row).unwrap_or(usize::MAX);
    let origin = rows.origins.get(at).copied().unwrap_or(usize::MAX);
    LateRecord {
        view: Arc::clone(view),
        offset: read.offset(origin),
        event_time: rows.times.get(at).copied().unwrap_or(0),
        watermark: rows.watermarks.get(at).copied().unwrap_or(i64::MIN),
        missed,
        log_time: read.log_times.get(origin).copied().flatten(),
        raw: cut(read.raw(origin)),
        raw_bytes: read.raw(origin).len(),
    }
}
