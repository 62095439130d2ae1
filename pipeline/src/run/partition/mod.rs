//! One partition from bytes to slices: decode, admit, watermark, fold, in offset order.
//!
//! ```text
//! records ─▶ intake ─▶ batch ─▶ admission ─▶ accepted rows ─┬─▶ branch ──────────────▶ drain
//!            decode             one judge a space           │   a fold a view
//!                                                           └─▶ operator ─▶ branches ─▶ drain
//! ```

pub mod admission;
pub mod branch;
pub mod derived;
pub mod drain;
pub mod intake;
pub mod space;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Result;

pub use branch::{AcceptedRows, Branch};
pub use derived::{DerivedRun, Reading};
pub use drain::{BranchDrain, LateRecord, PartitionDrain, ViewDrain};
use intake::{Intake, Taken};
use space::{SpaceRun, Waiting};

use crate::admit::Overflow;
use crate::admit::duplicate::SpillError;
use crate::decode::Decoder;
use crate::model::{Offset, PartitionId, Record};
use crate::sql::StreamPlan;
use crate::state::SavedPartition;
use crate::state::dedup_files::SavedKeys;

/// Which partition of which log a run reads, for messages.
#[derive(Debug, Clone)]
pub struct Place {
    /// Topic or path.
    pub origin: String,
    /// Whether the origin is a file.
    pub is_file: bool,
    /// The partition.
    pub partition: PartitionId,
    /// How many partitions the log has, by which producers place their keys; `None` where a record's
    /// partition says nothing about its key.
    pub partitions: Option<u32>,
}

/// The views of a stream and of what is derived from it.
#[derive(Debug)]
pub struct Folds {
    /// Those over the stream itself.
    pub branch: Branch,
    /// Its life cycles.
    pub derived: Vec<DerivedRun>,
}

/// What a partition goes on from.
#[derive(Debug, Clone, Default)]
pub struct PartitionStart {
    /// Where it stands.
    pub at: SavedPartition,
    /// Its dedup keys.
    pub dedup: SavedKeys,
    /// The orders its operators kept, by operator.
    pub orders: BTreeMap<String, Vec<u8>>,
}

/// One partition of one stream with the folds of all views over it.
#[derive(Debug)]
pub struct PartitionRun {
    place: Place,
    intake: Intake,
    live: SpaceRun,
    next_offset: Option<Offset>,
}

impl PartitionRun {
    /// A partition at its beginning.
    ///
    /// # Errors
    /// When the stream's columns cannot be decoded or its dedup key not be encoded.
    pub fn new(plan: Arc<StreamPlan>, place: Place, decoder: Decoder, folds: Folds) -> Result<Self> {
        Ok(Self {
            intake: Intake::new(Arc::clone(&plan), decoder)?,
            live: SpaceRun::new(plan, place.clone(), folds)?,
            next_offset: None,
            place,
        })
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// When the orders of an operator are not what it saved.
    pub fn restore(&mut self, start: PartitionStart) -> Result<()> {
        self.next_offset = start.at.next_offset;
        self.live.restore(start)
    }

    /// Lets dedup keys go to disk; before the first record.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn overflow_to(&mut self, overflow: Overflow) -> Result<(), SpillError> {
        self.live.admission.overflow_to(overflow)
    }

    /// What is on its way to the ledgers since the last drain.
    #[must_use]
    pub fn for_ledgers(&self) -> Waiting {
        self.live.waiting()
    }

    /// The partition it runs.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.place.partition
    }

    /// Offset of the next record to read; `None` for the first in the log.
    #[must_use]
    pub fn next_offset(&self) -> Option<Offset> {
        self.next_offset
    }

    /// The log has another number of partitions now, by which producers place their keys.
    pub fn set_partitions(&mut self, partitions: u32) {
        self.place.partitions = Some(partitions);
        self.live.admission.set_partitions(partitions);
    }

    /// Records taken in since the last [`PartitionRun::process`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.intake.waiting()
    }

    /// Takes one record in: shadow and control first, then decoding.
    pub fn take(&mut self, record: Record<'_>) {
        let admission = &mut self.live.admission;
        admission.counts.read += 1;
        self.next_offset = Some(record.offset + 1);
        match self.intake.take(record) {
            Taken::Row => {}
            Taken::Control => admission.counts.control += 1,
            Taken::Shadow => admission.counts.shadow += 1,
            Taken::Rejected(reason) => {
                let at = (record.offset, record.timestamp_ms);
                let value = admission.accounted_by().and_then(|column| self.intake.last_text(column));
                admission.reject_undecoded(at, record.payload, reason, value);
            }
        }
    }

    /// Admits and folds the records taken in.
    ///
    /// # Errors
    /// When a stream's own expression fails; a view's failure stops only that view.
    pub fn process(&mut self) -> Result<()> {
        let Some(batch) = self.intake.batch()? else { return Ok(()) };
        let outcome = self.live.process(&batch);
        self.intake.reuse(batch.read);
        outcome
    }

    /// Takes over the views of a run that stands at the same offset.
    pub fn join(&mut self, other: &mut Self) {
        self.live.join(&mut other.live);
    }

    /// Takes views out.
    pub fn remove(&mut self, keys: &[Arc<str>]) {
        self.live.remove(keys);
    }

    /// Says that the log had been cut before `offset` when it was first read.
    pub fn begins_at(&mut self, offset: Offset) {
        self.live.begins_at(offset);
    }

    /// Everything since the last drain, all at one offset.
    ///
    /// # Errors
    /// When an accumulator cannot give its state.
    pub fn drain(&mut self) -> Result<PartitionDrain> {
        self.live.drain(&self.place, self.next_offset)
    }
}
