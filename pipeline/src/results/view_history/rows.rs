//! The rows of an instant, put together from the entries of a segment.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::error::ArrowError;

use super::entry::{Entry, Kind};

/// Rows that are put together from entries.
#[derive(Default)]
pub(super) struct Rows {
    batches: Vec<RecordBatch>,
    /// Batch and row of each key that is there.
    shown: HashMap<String, (usize, usize)>,
    /// Keys in the order in which they came.
    order: Vec<String>,
}

impl Rows {
    /// Takes the next entry in.
    pub(super) fn apply(&mut self, kind: Kind, entry: Entry) {
        if kind.begins() {
            *self = Self::default();
        }
        for key in &entry.told.deleted {
            self.shown.remove(key);
        }
        let batch = self.batches.len();
        for (row, key) in entry.told.keys.into_iter().enumerate() {
            if self.shown.insert(key.clone(), (batch, row)).is_none() {
                self.order.push(key);
            }
        }
        self.batches.push(entry.rows);
    }

    /// The rows that are there, in the order in which they came.
    ///
    /// # Errors
    /// When the entries have other columns than one another.
    pub(super) fn rows(mut self) -> Result<RecordBatch, ArrowError> {
        // A key that went and came again is there twice: the later place is its own.
        let mut rows = Vec::with_capacity(self.shown.len());
        for key in self.order.iter().rev() {
            rows.extend(self.shown.remove(key));
        }
        rows.reverse();
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        interleave_record_batch(&batches, &rows)
    }
}
