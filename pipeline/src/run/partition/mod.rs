//! One partition from bytes to slices: decode, admit, watermark, fold, in offset order.
//!
//! ```text
//! records ─▶ intake ─▶ batch ─┬─▶ live:   admission ─▶ accepted rows ─┬─▶ branch ──────────────▶ drain
//!            decode           │           judge                      │   a fold a view
//!                             │                                      └─▶ operator ─▶ branches ─▶ drain
//!                             └─▶ shadow: the same again, once there are shadow records
//! ```
//! The spaces share the decoder and nothing behind it: each has its own watermark, dedup keys, accounting,
//! operators and folds.

pub mod admission;
pub mod branch;
pub mod derived;
pub mod drain;
pub mod intake;
pub mod space;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};

pub use branch::{AcceptedRows, Branch};
pub use derived::{DerivedRun, Reading};
pub use drain::{BranchDrain, Drains, LateRecord, PartitionDrain, Told, ViewDrain};
use intake::{Batch, Intake, Taken};
use space::{SpaceRun, Waiting};

use crate::admit::Overflow;
use crate::admit::duplicate::SpillError;
use crate::decode::Decoder;
use crate::history::{HistoryLayout, HistoryRows};
use crate::model::{BySpace, Offset, PartitionId, Record, Space};
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
    /// Whether the log has other partitions, in which a session of a key may go on.
    pub has_others: bool,
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

/// One partition of one stream with the folds of all views over it, in each result space.
///
/// The shadow space comes into being with its first record, so that a log without load tests pays nothing
/// for it. Both spaces stand at the same offset.
#[derive(Debug)]
pub struct PartitionRun {
    place: Place,
    intake: Intake,
    live: SpaceRun,
    shadow: Option<Box<SpaceRun>>,
    /// Where dedup keys of the shadow space go.
    shadow_overflow: Option<Overflow>,
    /// Why the shadow space could not come into being.
    problem: Option<DataFusionError>,
    next_offset: Option<Offset>,
}

impl PartitionRun {
    /// A partition at its beginning.
    ///
    /// # Errors
    /// When the stream's columns cannot be decoded or its dedup key not be encoded.
    pub fn new(
        plan: Arc<StreamPlan>,
        place: Place,
        decoder: Decoder,
        folds: Folds,
    ) -> Result<Self> {
        Ok(Self {
            intake: Intake::new(Arc::clone(&plan), decoder)?,
            live: SpaceRun::new(plan, place.clone(), folds)?,
            shadow: None,
            shadow_overflow: None,
            problem: None,
            next_offset: None,
            place,
        })
    }

    /// Gives what is accepted from now on to the stream's history, too.
    pub fn keep_history(&mut self, layout: Arc<HistoryLayout>) {
        self.live.keep_history(HistoryRows::new(layout, self.place.partition));
    }

    /// Only counts shadow records from now on, where nobody looks at their results.
    pub fn leave_shadow(&mut self) {
        self.intake.leave_shadow();
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// When the orders of an operator are not what it saved.
    pub fn restore(&mut self, start: PartitionStart) -> Result<()> {
        self.next_offset = start.at.next_offset;
        self.live.restore(start)
    }

    /// Goes on with the shadow space of a checkpoint; after [`PartitionRun::restore`].
    ///
    /// # Errors
    /// As [`PartitionRun::restore`].
    pub fn restore_shadow(&mut self, start: PartitionStart) -> Result<()> {
        self.shadow_space()?.restore(start)
    }

    /// Lets dedup keys go to disk; before the first record.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn overflow_to(&mut self, overflow: BySpace<Overflow>) -> Result<(), SpillError> {
        self.shadow_overflow = Some(overflow.shadow);
        self.live.admission.overflow_to(overflow.live)
    }

    /// What is on its way to the ledgers of each space since the last drain.
    #[must_use]
    pub fn for_ledgers(&self) -> BySpace<Waiting> {
        let shadow = self.shadow.as_ref().map(|shadow| shadow.waiting()).unwrap_or_default();
        BySpace { live: self.live.waiting(), shadow }
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
        self.shadow.iter_mut().for_each(|shadow| shadow.admission.set_partitions(partitions));
    }

    /// Records taken in since the last [`PartitionRun::process`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.intake.waiting()
    }

    /// Takes one record in: shadow and control first, then decoding. The ordinary space has read every
    /// record; one of the shadow space is for it a number and nothing else.
    pub fn take(&mut self, record: Record<'_>) {
        self.live.admission.counts.read += 1;
        self.next_offset = Some(record.offset + 1);
        let (at, payload) = ((record.offset, record.timestamp_ms), record.payload);
        let (space, taken) = self.intake.take(record);
        let of_space = match space {
            Space::Live => &mut self.live,
            Space::Shadow => {
                self.live.admission.counts.shadow += 1;
                if matches!(taken, Taken::Left) {
                    return;
                }
                match begun(&mut self.shadow, &self.live, self.shadow_overflow.as_ref()) {
                    Ok(shadow) => {
                        shadow.admission.counts.read += 1;
                        shadow
                    }
                    Err(error) => {
                        self.problem = Some(error);
                        return;
                    }
                }
            }
        };
        match taken {
            Taken::Row | Taken::Left => {}
            Taken::Control => of_space.admission.counts.control += 1,
            Taken::Rejected(reason) => {
                let value = of_space
                    .admission
                    .accounted_by()
                    .and_then(|column| self.intake.last_text(column));
                of_space.admission.reject_undecoded(at, payload, *reason, value);
            }
        }
    }

    /// Admits and folds the records taken in.
    ///
    /// # Errors
    /// When a stream's own expression fails; a view's failure stops only that view.
    pub fn process(&mut self) -> Result<()> {
        if let Some(error) = self.problem.take() {
            return Err(error);
        }
        let Some(batch) = self.intake.batch()? else { return Ok(()) };
        let outcome = self.fold(&batch);
        self.intake.reuse(batch.read);
        outcome
    }

    fn fold(&mut self, batch: &Batch) -> Result<()> {
        let by_column = batch.read.marked_by_column();
        self.live.admission.counts.shadow += by_column;
        self.live.process(batch)?;
        if !batch.read.concerns(Space::Shadow) || !self.intake.takes_shadow() {
            return Ok(());
        }
        let shadow = self.shadow_space()?;
        shadow.admission.counts.read += by_column;
        shadow.process(batch)
    }

    /// The shadow space, which begins now if it has not.
    fn shadow_space(&mut self) -> Result<&mut SpaceRun> {
        begun(&mut self.shadow, &self.live, self.shadow_overflow.as_ref())
    }

    /// Takes over the views of a run that stands at the same offset.
    ///
    /// # Errors
    /// When a fold cannot be made.
    pub fn join(&mut self, other: &mut Self) -> Result<()> {
        if self.shadow.is_some() || other.shadow.is_some() {
            // One of them may have seen no shadow record, where the log has been cut between the two.
            let joining = other.shadow_space()?;
            self.shadow_space()?.join(joining);
        }
        self.live.join(&mut other.live);
        Ok(())
    }

    /// Takes views out.
    pub fn remove(&mut self, keys: &[Arc<str>]) {
        self.live.remove(keys);
        self.shadow.iter_mut().for_each(|shadow| shadow.remove(keys));
    }

    /// Says that the log had been cut before `offset`, and ended at `end`, when it was first read; before the first record.
    pub fn begins_at(&mut self, offset: Offset, end: Offset) {
        self.live.begins_at(offset, end);
    }

    /// Everything since the last drain, all at one offset.
    ///
    /// # Errors
    /// When an accumulator cannot give its state.
    pub fn drain(&mut self) -> Result<Drains> {
        let live = self.live.drain(&self.place, self.next_offset)?;
        let shadow_drain =
            self.shadow.as_mut().map(|shadow| shadow.drain(&self.place, self.next_offset));
        let mut numbers = self.live.admission.by_value.take_numbers();
        if let Some(shadow) = &mut self.shadow {
            numbers.extend(shadow.admission.by_value.take_numbers());
        }
        Ok(Drains { live, shadow: shadow_drain.transpose()?, numbers })
    }
}

/// The shadow space beside `live`, which begins now if it has not.
fn begun<'a>(
    shadow: &'a mut Option<Box<SpaceRun>>,
    live: &SpaceRun,
    overflow: Option<&Overflow>,
) -> Result<&'a mut SpaceRun> {
    let space = match shadow.take() {
        Some(space) => space,
        None => {
            let mut space = Box::new(live.alike(Space::Shadow)?);
            if let Some(overflow) = overflow {
                let refused = |error: SpillError| DataFusionError::External(Box::new(error));
                space.admission.overflow_to(overflow.clone()).map_err(refused)?;
            }
            space
        }
    };
    Ok(shadow.insert(space))
}
