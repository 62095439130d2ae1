//! One result space of a partition: its own watermark, dedup keys, accounting and views.

use std::sync::Arc;

use datafusion::common::Result;

use super::Place;
use super::admission::Admission;
use super::branch::Branch;
use super::drain::PartitionDrain;
use super::intake::Batch;
use crate::model::Offset;
use crate::sql::StreamPlan;
use crate::state::SavedPartition;

/// Everything one partition has in one result space.
#[derive(Debug)]
pub struct SpaceRun {
    /// Which rows count.
    pub admission: Admission,
    /// The stream itself and, behind it, the streams derived from it.
    pub branches: Vec<Branch>,
}

impl SpaceRun {
    /// A space before its first record.
    ///
    /// # Errors
    /// When the stream's dedup key cannot be encoded.
    pub fn new(plan: Arc<StreamPlan>, place: Place, branches: Vec<Branch>) -> Result<Self> {
        Ok(Self { admission: Admission::new(plan, place)?, branches })
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, at: &SavedPartition, dedup_keys: Vec<(u128, i64)>) {
        self.admission.watermark = at.watermark;
        self.admission.counts = at.counts;
        self.admission.restore_keys(dedup_keys);
        for branch in &mut self.branches {
            branch.restore(at);
        }
    }

    /// Judges and folds the rows of a batch.
    ///
    /// # Errors
    /// When an expression of the stream fails; a view's failure stops only that view.
    pub fn process(&mut self, batch: &Batch) -> Result<()> {
        let accepted = self.admission.admit(batch)?;
        for branch in &mut self.branches {
            branch.fold(&accepted, &batch.read);
        }
        Ok(())
    }

    /// The branch of a stream.
    pub fn branch(&mut self, stream: &str) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|branch| branch.stream() == stream)
    }

    /// Everything since the last drain, all at `next_offset`.
    ///
    /// # Errors
    /// When an accumulator cannot give its state.
    pub fn drain(&mut self, place: &Place, next_offset: Option<Offset>) -> Result<PartitionDrain> {
        let watermark = self.admission.watermark;
        let branches = self.branches.iter_mut().map(|branch| branch.drain(watermark)).collect::<Result<_>>()?;
        Ok(PartitionDrain {
            partition: place.partition,
            next_offset,
            watermark,
            counts: self.admission.counts,
            branches,
            dead_letters: self.admission.take_dead_letters(),
            dedup_keys: self.admission.take_keys(),
        })
    }
}
