//! One result space of a partition: its own watermark, dedup keys, accounting and views.

use std::sync::Arc;

use datafusion::common::Result;

use super::{Folds, PartitionStart, Place};
use super::admission::Admission;
use super::branch::Branch;
use super::derived::DerivedRun;
use super::drain::PartitionDrain;
use super::intake::Batch;
use crate::model::Offset;
use crate::sql::StreamPlan;

/// Everything one partition has in one result space.
#[derive(Debug)]
pub struct SpaceRun {
    /// Which rows count.
    pub admission: Admission,
    /// The views over the stream itself.
    branch: Branch,
    /// Its life cycles with the views over them.
    derived: Vec<DerivedRun>,
}

impl SpaceRun {
    /// A space before its first record.
    ///
    /// # Errors
    /// When the stream's dedup key cannot be encoded.
    pub fn new(plan: Arc<StreamPlan>, place: Place, folds: Folds) -> Result<Self> {
        Ok(Self { admission: Admission::new(plan, place)?, branch: folds.branch, derived: folds.derived })
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// When the orders of an operator are not what it saved.
    pub fn restore(&mut self, start: PartitionStart) -> Result<()> {
        self.admission.watermark = start.at.watermark;
        self.admission.counts = start.at.counts;
        self.admission.restore_keys(start.dedup_keys);
        self.branch.restore(&start.at);
        for derived in &mut self.derived {
            let orders = start.orders.get(&**derived.name()).map_or(&[][..], Vec::as_slice);
            derived.restore(&start.at, orders)?;
        }
        Ok(())
    }

    /// Judges and folds the rows of a batch.
    ///
    /// # Errors
    /// When an expression of the stream fails; a view's failure stops only that view.
    pub fn process(&mut self, batch: &Batch) -> Result<()> {
        let accepted = self.admission.admit(batch)?;
        self.branch.fold(&accepted, &batch.read);
        for derived in &mut self.derived {
            derived.process(&accepted, &batch.read, self.admission.watermark)?;
        }
        Ok(())
    }

    /// Takes over the views of a space that has read the same records.
    pub fn join(&mut self, other: &mut Self) {
        self.branch.join(&mut other.branch);
        for derived in &mut other.derived {
            if let Some(own) = self.derived.iter_mut().find(|own| own.name() == derived.name()) {
                own.join(derived);
            }
        }
    }

    /// Takes views out.
    pub fn remove(&mut self, keys: &[Arc<str>]) {
        self.branch.remove(keys);
        self.derived.iter_mut().for_each(|derived| derived.remove(keys));
    }

    /// Says that the log had been cut before `offset` when it was first read.
    pub fn begins_at(&mut self, offset: Offset) {
        self.branch.begins_at(offset);
        self.derived.iter_mut().for_each(|derived| derived.begins_at(offset));
    }

    /// Everything since the last drain, all at `next_offset`.
    ///
    /// # Errors
    /// When an accumulator cannot give its state.
    pub fn drain(&mut self, place: &Place, next_offset: Option<Offset>) -> Result<PartitionDrain> {
        let watermark = self.admission.watermark;
        let mut branches = vec![self.branch.drain(watermark)?];
        let mut operators = Vec::with_capacity(self.derived.len());
        for derived in &mut self.derived {
            let (drain, of_tables) = derived.drain(watermark)?;
            operators.push((Arc::clone(derived.name()), drain));
            branches.extend(of_tables);
        }
        Ok(PartitionDrain {
            partition: place.partition,
            next_offset,
            watermark,
            counts: self.admission.counts,
            branches,
            operators,
            dead_letters: self.admission.take_dead_letters(),
            dedup_keys: self.admission.take_keys(),
        })
    }
}
