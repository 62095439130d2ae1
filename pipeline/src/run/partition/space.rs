//! One result space of a partition: its own watermark, dedup keys, accounting and views.

use std::collections::BTreeSet;
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

/// What of a partition is on its way to the ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Dead letters.
    pub dead_letters: usize,
    /// Late rows.
    pub late: usize,
    /// Events of orders that stand otherwise than before.
    pub unmatched: usize,
    /// Bytes of their raw records.
    pub bytes: usize,
}

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
        self.admission.by_value.restore(start.at.by_value.clone());
        self.admission.restore_keys(start.dedup);
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
        let late_before: Vec<usize> = self.branches().map(|branch| branch.late().len()).collect();
        self.branch.fold(&accepted, &batch.read);
        for derived in &mut self.derived {
            derived.process(&accepted, &batch.read, self.admission.watermark)?;
        }
        let late = self.branches().zip(late_before).flat_map(|(branch, before)| branch.late().iter().skip(before));
        let late: BTreeSet<Offset> = late.map(|late| late.offset).collect();
        self.admission.note_late(&late, batch);
        Ok(())
    }

    /// How many entries wait for each ledger since the last drain, and the bytes of their records.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let letters = self.admission.dead_letters();
        let late = || self.branches().flat_map(Branch::late);
        Waiting {
            dead_letters: letters.len(),
            late: late().count(),
            unmatched: self.derived.iter().map(DerivedRun::notices).sum(),
            bytes: letters.iter().map(|letter| letter.raw.len()).sum::<usize>()
                + late().map(|late| late.raw.len()).sum::<usize>(),
        }
    }

    fn branches(&self) -> impl Iterator<Item = &Branch> {
        std::iter::once(&self.branch).chain(self.derived.iter().flat_map(DerivedRun::branches))
    }

    /// The branch of the stream, or of a table derived from it.
    pub fn branch(&mut self, stream: &str) -> Option<&mut Branch> {
        match self.branch.stream() == stream {
            true => Some(&mut self.branch),
            false => self.derived.iter_mut().find_map(|derived| derived.branch(stream)),
        }
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
            by_value: self.admission.by_value.counts().clone(),
            branches,
            operators,
            dead_letters: self.admission.take_dead_letters(),
            dedup: self.admission.take_keys(),
        })
    }
}
