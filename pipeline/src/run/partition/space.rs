//! One result space of a partition: its own watermark, dedup keys, accounting and views.

use std::sync::Arc;

use datafusion::common::Result;

use super::admission::Admission;
use super::branch::Branch;
use super::derived::DerivedRun;
use super::drain::PartitionDrain;
use super::intake::Batch;
use super::{Folds, PartitionStart, Place};
use crate::history::HistoryRows;
use crate::ledger::LedgerKind;
use crate::model::{Offset, Space};
use crate::sql::StreamPlan;

/// What of a partition is on its way to the ledgers since the last drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Late rows, dead letters and events that stand otherwise than before: how many, and their bytes.
    amounts: [(usize, u64); 3],
}

impl Waiting {
    /// Every ledger with how many entries wait for it, and their bytes.
    pub fn each(&self) -> impl Iterator<Item = (LedgerKind, usize, u64)> {
        LedgerKind::ALL
            .into_iter()
            .zip(self.amounts)
            .map(|(ledger, (rows, bytes))| (ledger, rows, bytes))
    }

    /// The ledgers that have more to come than at `before`.
    pub fn since(&self, before: Self) -> impl Iterator<Item = LedgerKind> {
        self.each()
            .zip(before.amounts)
            .filter(|((_, rows, _), before)| *rows > before.0)
            .map(|(now, _)| now.0)
    }
}

/// Bytes of an entry beside its raw record, roughly.
const ENTRY_BYTES: usize = 200;

fn amount(lengths: impl Iterator<Item = usize>) -> (usize, u64) {
    let (rows, bytes) =
        lengths.fold((0, 0), |(rows, bytes), length| (rows + 1, bytes + length + ENTRY_BYTES));
    (rows, u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Everything one partition has in one result space.
#[derive(Debug)]
pub struct SpaceRun {
    space: Space,
    /// Which rows count.
    pub admission: Admission,
    /// The views over the stream itself.
    branch: Branch,
    /// Its life cycles with the views over them.
    derived: Vec<DerivedRun>,
    /// What goes to the history, where the stream has one.
    history: Option<HistoryRows>,
}

impl SpaceRun {
    /// The ordinary space before its first record.
    ///
    /// # Errors
    /// When the stream's dedup key cannot be encoded.
    pub fn new(plan: Arc<StreamPlan>, place: Place, folds: Folds) -> Result<Self> {
        let admission = Admission::new(Space::Live, plan, place)?;
        Ok(Self {
            space: Space::Live,
            admission,
            branch: folds.branch,
            derived: folds.derived,
            history: None,
        })
    }

    /// Another space of the same partition with the same views, before its first record.
    ///
    /// # Errors
    /// When a fold cannot be made.
    pub fn alike(&self, space: Space) -> Result<Self> {
        Ok(Self {
            space,
            admission: self.admission.alike(space)?,
            branch: self.branch.alike(space)?,
            derived: self
                .derived
                .iter()
                .map(|derived| derived.alike(space))
                .collect::<Result<_>>()?,
            // No shadow record is in a history.
            history: None,
        })
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
        if !batch.read.concerns(self.space) {
            return Ok(());
        }
        let accepted = self.admission.admit(batch)?;
        if let Some(history) = &mut self.history {
            let offsets: Vec<Offset> =
                accepted.origins.iter().map(|row| batch.read.offset(*row)).collect();
            let told = (&*offsets, &*accepted.times, &*accepted.watermarks);
            history.note(&accepted.batch, told)?;
        }
        self.branch.fold(&accepted, &batch.read);
        for derived in &mut self.derived {
            derived.process(&accepted, &batch.read, self.admission.watermark)?;
        }
        Ok(())
    }

    /// What is on its way to the ledgers since the last drain.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let late = amount(self.branches().flat_map(Branch::late).map(|late| late.raw.len()));
        let letters = amount(self.admission.dead_letters().iter().map(|letter| letter.raw.len()));
        let unmatched = self.derived.iter().map(DerivedRun::notices).sum();
        Waiting { amounts: [late, letters, amount(std::iter::repeat_n(ENTRY_BYTES, unmatched))] }
    }

    fn branches(&self) -> impl Iterator<Item = &Branch> {
        std::iter::once(&self.branch).chain(self.derived.iter().flat_map(DerivedRun::branches))
    }

    /// Gives what is accepted from now on to a history, too.
    pub fn keep_history(&mut self, history: HistoryRows) {
        self.history = Some(history);
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

    /// Says that the log had been cut before `offset`, and ended at `end`, when it was first read.
    pub fn begins_at(&mut self, offset: Offset, end: Offset) {
        self.branch.begins_at(offset, end);
        self.derived.iter_mut().for_each(|derived| derived.begins_at(offset, end));
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
            by_value: self.admission.by_value.counts(),
            branches,
            operators,
            dead_letters: self.admission.take_dead_letters(),
            dedup: self.admission.take_keys(),
            history: self.history.as_mut().map(HistoryRows::take).unwrap_or_default(),
        })
    }
}
