//! Accepted rows into the views of one stream.
//!
//! ```text
//! accepted rows ─┬─▶ branch of the stream itself: a fold a view
//!                └─▶ operator ─▶ branch of a derived stream: a fold a view
//! ```
//! A branch knows rows, not records: what an operator hands on has columns, event times and arrival
//! numbers of its own and names the row of the batch it came from. It is judged late against the same
//! partition's watermark before the record.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use datafusion::common::Result;

use super::admission::cut;
use super::drain::{BranchDrain, LateRecord, ViewDrain};
use super::intake::Read;
use crate::state::SavedPartition;
use crate::windows::fold::Accepted;
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
    /// The row of the read batch each row came from.
    pub origins: Vec<usize>,
    /// Largest event time of the rows; `None` without rows or in a stream without a watermark.
    pub as_of: Option<i64>,
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
            origins: Vec::with_capacity(rows),
            as_of: None,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.origins.len()
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
    stream: Arc<str>,
    as_of: Option<i64>,
    views: Vec<BranchView>,
    late: Vec<LateRecord>,
}

/// A view's fold, or what is left of one that failed.
#[derive(Debug)]
struct BranchView {
    name: Arc<str>,
    fold: Option<ViewFold>,
    counts: ViewCounts,
    failed: Option<String>,
}

impl Branch {
    /// The branch of a stream before its first row.
    #[must_use]
    pub fn new(stream: Arc<str>, folds: Vec<(Arc<str>, ViewFold)>) -> Self {
        let mut branch = Self { stream, as_of: None, views: Vec::new(), late: Vec::new() };
        for (name, fold) in folds {
            branch.add(name, fold);
        }
        branch
    }

    /// The stream whose views it folds.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Adds a view whose fold has had all rows of this branch so far.
    pub fn add(&mut self, name: Arc<str>, fold: ViewFold) {
        let counts = fold.counts();
        self.views.retain(|view| view.name != name);
        self.views.push(BranchView { name, fold: Some(fold), counts, failed: None });
    }

    /// Takes a view out, with its fold unless it has failed.
    pub fn remove(&mut self, name: &str) -> Option<ViewFold> {
        let at = self.views.iter().position(|view| &*view.name == name)?;
        self.views.remove(at).fold
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, at: &SavedPartition) {
        self.as_of = at.as_of.get(&*self.stream).copied();
        for view in &mut self.views {
            let Some((counts, sessions)) = at.views.get(&*view.name) else { continue };
            view.counts = *counts;
            if let Some(fold) = &mut view.fold {
                fold.restore(*counts, sessions.clone());
            }
        }
    }

    /// Folds rows into every view; one that fails is stopped and the others go on.
    pub fn fold(&mut self, rows: &AcceptedRows, read: &Read) {
        if rows.is_empty() {
            return;
        }
        self.as_of = self.as_of.max(rows.as_of);
        let accepted = Accepted {
            batch: &rows.batch,
            times: &rows.times,
            watermarks: &rows.watermarks,
            arrivals: &rows.arrivals,
        };
        for view in &mut self.views {
            let Some(fold) = &mut view.fold else { continue };
            let (name, late) = (&view.name, &mut self.late);
            let outcome = fold.fold(accepted, &mut |missed| late.push(late_record(name, missed, rows, read)));
            view.counts = fold.counts();
            if let Err(error) = outcome {
                // A wrong figure must not be shown.
                view.failed = Some(error.strip_backtrace());
                view.fold = None;
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
            views.push(ViewDrain {
                view: Arc::clone(&view.name),
                drained,
                counts: view.counts,
                sessions: view.fold.as_ref().and_then(ViewFold::saved_sessions),
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

fn late_record(view: &Arc<str>, missed: LateRow, rows: &AcceptedRows, read: &Read) -> LateRecord {
    let at = usize::try_from(missed.row).unwrap_or(usize::MAX);
    let origin = rows.origins.get(at).copied().unwrap_or(usize::MAX);
    LateRecord {
        view: Arc::clone(view),
        offset: read.offset(origin),
        event_time: rows.times.get(at).copied().unwrap_or(0),
        watermark: rows.watermarks.get(at).copied().unwrap_or(i64::MIN),
        missed,
        raw: cut(read.raw(origin)),
    }
}
