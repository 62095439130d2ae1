//! From the partitions to disk: what they change, the bound of each ledger, and the alarm.
//!
//! A bound is kept by waiting: until the next drain a partition takes at most its share of the room there
//! is, and one whose last batch wrote into a full ledger is not read until there is room. So a ledger
//! passes its bound by at most two batches a partition. A disk that refuses is
//! as a full ledger, except that nothing is checkpointed until it takes what waits.
//!
//! A load test must not stop real orders, which stand in the same partitions: a full ledger of the shadow
//! space takes no more entries and says how many it left out. Its counts go on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::entry::{Change, LedgerKind};
use super::store::{LedgerError, LedgerStore};
use crate::fail_points;
use crate::model::{Offset, PartitionId, Space};

/// How much room the ledgers have, for those who would write into them.
#[derive(Debug)]
pub struct Gauge {
    room: [AtomicU64; 3],
    partitions: u64,
}

impl Gauge {
    /// Says that there is room for all; to be measured before anyone asks.
    #[must_use]
    pub fn new(partitions: usize) -> Self {
        let room = [u64::MAX, u64::MAX, u64::MAX].map(AtomicU64::new);
        Self { room, partitions: u64::try_from(partitions.max(1)).unwrap_or(u64::MAX) }
    }

    /// Whether a ledger has no room.
    #[must_use]
    pub fn is_full(&self, ledger: LedgerKind) -> bool {
        self.flag(ledger).load(Ordering::Relaxed) == 0
    }

    /// Bytes that one partition may write into a ledger until the next drain, when all of them do.
    #[must_use]
    pub fn share(&self, ledger: LedgerKind) -> u64 {
        self.flag(ledger).load(Ordering::Relaxed) / self.partitions
    }

    fn set(&self, ledger: LedgerKind, bytes: u64) {
        self.flag(ledger).store(bytes, Ordering::Relaxed);
    }

    fn flag(&self, ledger: LedgerKind) -> &AtomicU64 {
        let [late, dead_letters, unmatched] = &self.room;
        match ledger {
            LedgerKind::Late => late,
            LedgerKind::DeadLetter => dead_letters,
            LedgerKind::Unmatched => unmatched,
        }
    }
}

/// Bounds of the ledgers of one result space.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of each ledger, before compression; past it partitions wait.
    pub bytes_max: u64,
    /// Checkpoints kept: what ended before the oldest of them is forgotten.
    pub checkpoints_kept: usize,
    /// Partitions that write into them.
    pub partitions: usize,
}

/// Offsets by stream and partition.
type Offsets = BTreeMap<String, BTreeMap<PartitionId, Offset>>;

/// Writes the ledgers of one result space.
#[derive(Debug)]
pub struct LedgerWriter {
    store: Arc<LedgerStore>,
    space: Space,
    limits: Limits,
    gauge: Arc<Gauge>,
    waiting: Vec<Change>,
    /// Why the disk takes nothing, while it does not.
    refused: Option<LedgerError>,
    /// Offsets of the checkpoints that are kept, oldest first.
    checkpoints: VecDeque<Offsets>,
    /// Whether anything has ended since the last time it was forgotten.
    has_ended: bool,
    /// Entries that a full ledger of the shadow space left out since the start.
    left_out: u64,
}

impl LedgerWriter {
    /// A writer of a result space's ledgers.
    #[must_use]
    pub fn new(store: Arc<LedgerStore>, space: Space, limits: Limits) -> Self {
        let writer = Self {
            store,
            space,
            limits,
            gauge: Arc::new(Gauge::new(limits.partitions)),
            waiting: Vec::new(),
            refused: None,
            checkpoints: VecDeque::new(),
            has_ended: false,
            left_out: 0,
        };
        writer.measure();
        writer
    }

    /// Tells another gauge how much room there is, one that partitions look at already.
    #[must_use]
    pub fn gauged_by(mut self, gauge: Arc<Gauge>) -> Self {
        self.gauge = gauge;
        self.measure();
        self
    }

    /// Says which ledgers have no room.
    #[must_use]
    pub fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&self.gauge)
    }

    /// The store, for readers.
    #[must_use]
    pub fn store(&self) -> &Arc<LedgerStore> {
        &self.store
    }

    /// Takes changes in the order of their records.
    pub fn note(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.waiting.extend(changes);
    }

    /// Removes the late records of a view that is gone or defined otherwise.
    pub fn forget_view(&mut self, view: &str) {
        self.write();
        if let Err(error) = self.store.forget_view(self.space.as_str(), view) {
            // They are still true of the definition before; only nobody needs them any more.
            tracing::warn!(%error, view, "late records of view {view} could not be removed: {error}");
        }
    }

    /// Writes what waits, so that readers of the next cut see it. A disk that refuses is told by
    /// [`LedgerWriter::alarms`]; the changes go on waiting.
    pub fn write(&mut self) {
        if self.waiting.is_empty() && self.refused.is_none() {
            self.measure();
            return;
        }
        self.leave_out();
        fail_points::hit("ledger-write");
        match self.store.apply(self.space.as_str(), &self.waiting) {
            Ok(()) => {
                self.has_ended |=
                    self.waiting.iter().any(|change| matches!(change, Change::Ends { .. }));
                self.waiting.clear();
                self.refused = None;
            }
            Err(error) => {
                if self.refused.as_ref() != Some(&error) {
                    tracing::error!(%error, "a ledger cannot be written, so partitions wait: {error}");
                }
                self.refused = Some(error);
            }
        }
        self.measure();
    }

    /// Takes out what a full ledger of the shadow space has no room for.
    fn leave_out(&mut self) {
        if self.space == Space::Live {
            return;
        }
        let full = LedgerKind::ALL.map(|ledger| (ledger, self.is_full(ledger)));
        let is_left = |change: &Change| match change {
            Change::Begins(ledger, _) => full.contains(&(*ledger, true)),
            Change::Ends { .. } => false,
        };
        let before = self.waiting.len();
        self.waiting.retain(|change| !is_left(change));
        self.left_out += u64::try_from(before - self.waiting.len()).unwrap_or(u64::MAX);
    }

    fn is_full(&self, ledger: LedgerKind) -> bool {
        self.store.total(self.space.as_str(), ledger).bytes >= self.limits.bytes_max
    }

    /// Makes everything noted so far survive a power cut; before the checkpoint that goes with it.
    ///
    /// # Errors
    /// When the disk refuses; no checkpoint may be written then, or a crash would lose entries.
    pub fn persist(&mut self) -> Result<(), LedgerError> {
        self.write_all()?;
        self.store.persist()
    }

    /// Writes what waits; [`LedgerStore::persist`] makes it survive.
    ///
    /// # Errors
    /// When the disk refuses; no checkpoint may be written then.
    pub fn write_all(&mut self) -> Result<(), LedgerError> {
        self.write();
        match &self.refused {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Takes note that a checkpoint with these offsets has been written.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn checkpoint_written(&mut self, offsets: Offsets) -> Result<(), LedgerError> {
        self.checkpoints.push_back(offsets);
        if self.checkpoints.len() > self.limits.checkpoints_kept {
            self.checkpoints.pop_front();
        }
        if !self.has_ended || self.checkpoints.len() < self.limits.checkpoints_kept {
            return Ok(());
        }
        let Some(oldest) = self.checkpoints.front() else { return Ok(()) };
        for (stream, partitions) in oldest {
            for (partition, offset) in partitions {
                self.store.forget_ended(self.space.as_str(), (stream, *partition), *offset)?;
            }
        }
        self.has_ended = false;
        Ok(())
    }

    /// What someone must look at: ledgers that are full or nearly, and a disk that refuses.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let mut alarms: Vec<String> = self.refused.iter().map(ToString::to_string).collect();
        let max = self.limits.bytes_max;
        for ledger in LedgerKind::ALL {
            let (bytes, table) =
                (self.store.total(self.space.as_str(), ledger).bytes, ledger.table());
            if bytes >= max && self.space == Space::Shadow {
                let left_out = self.left_out;
                alarms.push(format!(
                    "ledger {table} is full ({bytes} of {max} bytes): further entries are left out, {left_out} so far"
                ));
            } else if bytes >= max {
                alarms.push(format!(
                    "ledger {table} is full ({bytes} of {max} bytes): partitions with more to write into it wait; \
                     deal with its entries and remove them, or raise pipeline.ledger-bytes-max"
                ));
            } else if bytes >= max / 10 * 8 {
                alarms.push(format!(
                    "ledger {table} is nearly full ({bytes} of {max} bytes): when it is, partitions wait"
                ));
            }
        }
        alarms
    }

    fn measure(&self) {
        for ledger in LedgerKind::ALL {
            let total = self.store.total(self.space.as_str(), ledger);
            let is_full = total.bytes >= self.limits.bytes_max;
            // Partitions never wait for a ledger of the shadow space that is only full.
            let waits = self.space == Space::Live;
            if is_full && waits && !self.gauge.is_full(ledger) {
                let table = ledger.table();
                tracing::error!(
                    table,
                    bytes = total.bytes,
                    "ledger {table} is full; partitions wait"
                );
            }
            let room =
                if waits { self.limits.bytes_max.saturating_sub(total.bytes) } else { u64::MAX };
            self.gauge.set(ledger, if self.refused.is_some() { 0 } else { room });
            let labels = [("space", self.space.as_str()), ("ledger", ledger.table())];
            #[expect(clippy::cast_precision_loss, reason = "for graphs; bounded far below 2^53")]
            {
                metrics::gauge!("tidemark_ledger_rows", &labels).set(total.rows as f64);
                metrics::gauge!("tidemark_ledger_bytes", &labels).set(total.bytes as f64);
            }
            metrics::gauge!("tidemark_ledger_full", &labels).set(f64::from(u8::from(is_full)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::{Entry, EntryId};

    fn letter(offset: Offset) -> Change {
        let id = EntryId { stream: "orders".to_owned(), partition: 0, offset, part: String::new() };
        Change::Begins(
            LedgerKind::DeadLetter,
            Box::new(Entry { raw: vec![b'x'; 100], ..Entry::about(id, "orders") }),
        )
    }

    fn writer(dir: &std::path::Path, bytes_max: u64) -> LedgerWriter {
        let store = LedgerStore::open(dir).expect("opens");
        LedgerWriter::new(
            store,
            Space::Live,
            Limits { bytes_max, checkpoints_kept: 2, partitions: 1 },
        )
    }

    #[test]
    fn a_full_ledger_drops_nothing_raises_an_alarm_and_says_that_it_is_full() {
        let dir = tempfile::tempdir().expect("folder");
        let mut ledgers = writer(dir.path(), 900);
        ledgers.note((0..2).map(letter));
        ledgers.write();
        assert!(ledgers.alarms().is_empty(), "{:?}", ledgers.alarms());
        ledgers.note([letter(2)]);
        ledgers.write();
        assert!(ledgers.alarms().concat().contains("nearly full"), "{:?}", ledgers.alarms());
        ledgers.note((3..20).map(letter));
        ledgers.write();
        let gauge = ledgers.gauge();
        assert!(gauge.is_full(LedgerKind::DeadLetter) && !gauge.is_full(LedgerKind::Late));
        assert!(ledgers.alarms().concat().contains("dead_letters is full"));
        assert_eq!(
            ledgers.store().total("live", LedgerKind::DeadLetter).rows,
            20,
            "nothing is dropped"
        );
        let all: Vec<EntryId> = ledgers
            .store()
            .scan("live", LedgerKind::DeadLetter)
            .expect("opens")
            .map(|entry| entry.expect("whole").id)
            .collect();
        ledgers.store().remove("live", LedgerKind::DeadLetter, &all).expect("removed");
        ledgers.write();
        assert!(!gauge.is_full(LedgerKind::DeadLetter), "room again");
    }

    #[test]
    fn a_ledger_that_is_full_at_the_start_says_so_before_the_first_record() {
        let dir = tempfile::tempdir().expect("folder");
        let mut ledgers = writer(dir.path(), 1 << 20);
        ledgers.note([letter(1)]);
        ledgers.persist().expect("written");
        drop(ledgers);
        assert!(writer(dir.path(), 10).gauge().is_full(LedgerKind::DeadLetter));
    }

    #[test]
    fn what_ended_is_forgotten_when_no_kept_checkpoint_can_need_it() {
        let dir = tempfile::tempdir().expect("folder");
        let mut ledgers = writer(dir.path(), 1 << 20);
        let Change::Begins(_, entry) = letter(1) else { unreachable!("a letter begins") };
        let id = entry.id.clone();
        ledgers.note([Change::Begins(LedgerKind::Unmatched, entry)]);
        ledgers.note([Change::Ends { ledger: LedgerKind::Unmatched, id, until: 5 }]);
        ledgers.persist().expect("written");
        let at = |offset| BTreeMap::from([("orders".to_owned(), BTreeMap::from([(0, offset)]))]);
        let rows =
            |ledgers: &LedgerWriter| ledgers.store().total("live", LedgerKind::Unmatched).rows;
        ledgers.checkpoint_written(at(4)).expect("noted");
        ledgers.checkpoint_written(at(7)).expect("noted");
        assert_eq!(rows(&ledgers), 1, "the checkpoint before may be taken up");
        ledgers.has_ended = true;
        ledgers.checkpoint_written(at(9)).expect("noted");
        assert_eq!(rows(&ledgers), 0);
    }
}
