//! Writing checkpoints: the logs beside them, then the checkpoint that names how far they belong to it.
//!
//! ```text
//! publisher ── job: state of a cut, keys and orders since the last ──▶ writer ── logs, checkpoint ──▶ place
//!           ◀── written, or why not ──────────────────────────────────
//! ```
//! The writer is a thread of its own, so that a slow or failing place keeps nobody waiting. What could not
//! be written stays with it, and goes with the next job. There is one job at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::saving::SavingError;
use crate::admit::DedupDrain;
use crate::fail_points;
use crate::ledger::LedgerStore;
use crate::model::{Offset, PartitionId};
use crate::state::CheckpointStore;
use crate::state::checkpoint::{LogsToSave, encode_logs};
use crate::state::dedup_files::{DedupFiles, ENTRY_BYTES};
use crate::state::dedup_store::DedupStore;
use crate::state::journal::{JournalKey, Journals};

/// Keys and orders of a stream that no checkpoint holds yet.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    keys: BTreeMap<PartitionId, DedupDrain>,
    orders: BTreeMap<JournalKey, FreshOrders>,
}

/// What the next checkpoint must hold of one operator's orders.
#[derive(Debug, Default)]
struct FreshOrders {
    bytes: Vec<u8>,
    /// Whether they are all there are, so that the journal begins anew.
    is_whole: bool,
}

impl Fresh {
    pub(super) fn note_keys(&mut self, partition: PartitionId, drain: DedupDrain) {
        let waiting = self.keys.entry(partition).or_default();
        waiting.fresh.extend(drain.fresh);
        waiting.spilled = drain.spilled;
    }

    pub(super) fn note_orders(&mut self, key: JournalKey, mut bytes: Vec<u8>, is_whole: bool) {
        let waiting = self.orders.entry(key).or_default();
        if is_whole {
            *waiting = FreshOrders { bytes: Vec::new(), is_whole: true };
        }
        waiting.bytes.append(&mut bytes);
    }

    fn add(&mut self, later: Self) {
        for (partition, drain) in later.keys {
            self.note_keys(partition, drain);
        }
        for (key, orders) in later.orders {
            self.note_orders(key, orders.bytes, orders.is_whole);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        let keys: usize = self.keys.values().map(|drain| drain.fresh.len() * ENTRY_BYTES).sum();
        let orders: usize = self.orders.values().map(|orders| orders.bytes.len()).sum();
        u64::try_from(keys + orders).unwrap_or(u64::MAX)
    }
}

/// How much waits for a checkpoint, and how much may.
#[derive(Debug)]
pub struct Backlog {
    /// With the publisher.
    noted: AtomicU64,
    /// With the writer.
    handed: AtomicU64,
    bytes_max: u64,
    /// Whether more waits for the history than may.
    is_history_full: AtomicBool,
    /// Whether more waits for someone else than may.
    is_held: AtomicBool,
}

impl Backlog {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            noted: AtomicU64::new(0),
            handed: AtomicU64::new(0),
            bytes_max,
            is_history_full: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
        })
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.noted.load(Ordering::Relaxed) + self.handed.load(Ordering::Relaxed)
    }

    /// Whether no partition may be read until a checkpoint, or the history, has been written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.bytes_max
            || self.is_history_full.load(Ordering::Relaxed)
            || self.is_held.load(Ordering::Relaxed)
    }

    /// Says how many bytes wait for the history, and how many may.
    pub fn note_history(&self, bytes: u64, bytes_max: u64) {
        self.is_history_full.store(bytes >= bytes_max, Ordering::Relaxed);
    }

    /// Lets no partition be read, or again, until someone else has taken what waits.
    pub fn hold(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    /// Bytes that may wait.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    pub(super) fn note(&self, bytes: u64) {
        self.noted.store(bytes, Ordering::Relaxed);
    }

    fn hand(&self, bytes: u64) {
        self.handed.store(bytes, Ordering::Relaxed);
    }
}

/// Offsets by stream and partition.
pub type Offsets = BTreeMap<String, BTreeMap<PartitionId, Offset>>;

/// One checkpoint to be written.
#[derive(Debug)]
pub(super) struct Job {
    /// The state at the cut, encoded.
    pub(super) state: Vec<u8>,
    /// What has come since the last job, by stream.
    pub(super) fresh: BTreeMap<String, Fresh>,
    /// Watermarks at the cut.
    pub(super) watermarks: BTreeMap<String, BTreeMap<PartitionId, i64>>,
    /// Offsets at the cut.
    pub(super) offsets: Offsets,
    /// Ledgers whose entries must survive before the checkpoint does.
    pub(super) ledgers: Option<Arc<LedgerStore>>,
    /// What stands behind the checkpoint, for someone else to read.
    pub(super) told: Option<ToldBehind>,
}

/// What a worker tells the server behind a checkpoint.
#[derive(Debug)]
pub(super) struct ToldBehind {
    /// What was folded since the checkpoint before.
    pub(super) bytes: Vec<u8>,
    /// The number up to which checkpoints have been read by whoever they are for.
    pub(super) read_to: u64,
}

/// A checkpoint that has been written.
#[derive(Debug)]
pub struct Written {
    /// Its offsets.
    pub offsets: Offsets,
    /// Checkpoints that stay because whoever they are for has not read them.
    pub unread: usize,
}

/// The logs of a stream and what waits to go there.
#[derive(Debug)]
pub(super) struct StreamLogs {
    pub(super) dedup: DedupFiles,
    pub(super) journals: Journals,
    pub(super) waiting: Fresh,
}

/// Checkpoints with the logs beside them.
#[derive(Debug)]
pub(super) struct CheckpointFiles {
    pub(super) store: CheckpointStore,
    pub(super) streams: BTreeMap<String, StreamLogs>,
    pub(super) keys: Arc<DedupStore>,
    pub(super) keys_id: String,
    pub(super) backlog: Arc<Backlog>,
}

impl CheckpointFiles {
    /// Writes a checkpoint.
    ///
    /// # Errors
    /// When the place refuses; what could not be written goes with the next job.
    pub(super) fn write(&mut self, job: Job) -> Result<Written, SavingError> {
        for (stream, fresh) in job.fresh {
            if let Some(logs) = self.streams.get_mut(&stream) {
                logs.waiting.add(fresh);
            }
        }
        let told = job.told.map(|told| {
            self.store.want_after(told.read_to);
            told.bytes
        });
        let written = self.write_all(job.state, job.ledgers.as_deref(), &told.unwrap_or_default());
        self.backlog.hand(self.streams.values().map(|logs| logs.waiting.bytes()).sum());
        written?;
        self.forget(&job.watermarks);
        Ok(Written { offsets: job.offsets, unread: self.store.wanted() })
    }

    fn write_all(
        &mut self,
        state: Vec<u8>,
        ledgers: Option<&LedgerStore>,
        behind: &[u8],
    ) -> Result<(), SavingError> {
        let begun = Instant::now();
        if let Some(ledgers) = ledgers {
            // Entries of records before the checkpoint first: those records are not read again.
            fail_points::hit("ledger-persist");
            ledgers.persist()?;
        }
        for logs in self.streams.values_mut() {
            for (partition, keys) in &mut logs.waiting.keys {
                logs.dedup.append(*partition, &mut keys.fresh)?;
                logs.dedup.note_spilled(*partition, &keys.spilled);
            }
            for (key, fresh) in &mut logs.waiting.orders {
                match fresh.is_whole {
                    true => logs.journals.replace(key, &fresh.bytes)?,
                    false => logs.journals.append(key, &fresh.bytes)?,
                }
                *fresh = FreshOrders::default();
            }
        }
        let logs: Vec<LogsToSave<'_>> = self
            .streams
            .iter()
            // A shadow space that has not begun has no stream in the state that its logs could belong to.
            .filter(|(_, logs)| !logs.dedup.files().is_empty() || !logs.journals.at().is_empty())
            .map(|(stream, logs)| LogsToSave {
                stream,
                dedup: logs.dedup.files(),
                journals: logs.journals.at(),
            })
            .collect();
        let mut body = encode_logs(state, &self.keys_id, &logs);
        body.extend_from_slice(behind);
        self.store.save(&body)?;
        #[expect(clippy::cast_precision_loss, reason = "for graphs; far below 2^53")]
        metrics::histogram!("tidemark_checkpoint_bytes").record(body.len() as f64);
        metrics::histogram!("tidemark_checkpoint_seconds").record(begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Lets go of what none of the checkpoints kept can need.
    fn forget(&mut self, watermarks: &BTreeMap<String, BTreeMap<PartitionId, i64>>) {
        for (name, logs) in &mut self.streams {
            logs.journals.checkpoint_written();
            let watermarks = watermarks.get(name).cloned().unwrap_or_default();
            for (partition, watermark) in logs.dedup.checkpoint_written(watermarks) {
                self.keys.forget(
                    name,
                    partition,
                    watermark.saturating_sub(logs.dedup.horizon_ms()),
                );
            }
        }
    }
}

/// The writer in a thread of its own.
#[derive(Debug)]
pub(super) struct Background {
    jobs: Sender<Job>,
    done: Receiver<Result<Written, SavingError>>,
    thread: JoinHandle<()>,
    backlog: Arc<Backlog>,
    is_busy: bool,
}

impl Background {
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(mut files: CheckpointFiles) -> std::io::Result<Self> {
        let (jobs, inbox) = bounded::<Job>(1);
        let (outbox, done) = bounded(1);
        let backlog = Arc::clone(&files.backlog);
        let thread = std::thread::Builder::new().name("tidemark-checkpoint".to_owned()).spawn(
            move || {
                for job in inbox {
                    if outbox.send(files.write(job)).is_err() {
                        return;
                    }
                }
            },
        )?;
        Ok(Self { jobs, done, thread, backlog, is_busy: false })
    }

    /// Whether a job is being done.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Hands a job over; only while none is being done.
    pub(super) fn begin(&mut self, job: Job) {
        let fresh: u64 = job.fresh.values().map(Fresh::bytes).sum();
        self.backlog.hand(self.backlog.handed.load(Ordering::Relaxed) + fresh);
        self.backlog.note(0);
        self.is_busy = self.jobs.send(job).is_ok();
    }

    /// What came of the job, as soon as it is done; waits for it at most `patience`.
    pub(super) fn finished(&mut self, patience: Duration) -> Option<Result<Written, SavingError>> {
        let done = self.done.recv_timeout(patience).ok()?;
        self.is_busy = false;
        Some(done)
    }

    /// Ends the thread, unless it still waits for the place.
    pub(super) fn stop(self) {
        drop(self.jobs);
        if !self.is_busy && self.thread.join().is_err() {
            tracing::error!("the thread that writes checkpoints panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::admit::duplicate::{KeyEntry, Sighting};
    use crate::state::SavedPartition;
    use crate::state::checkpoint::{StreamToSave, encode};
    use crate::state::dedup_files::KeyFiles;
    use crate::state::journal::JournalsAt;
    use crate::state::objects::faulty::{Faulty, STEPS};
    use crate::state::objects::{Disk, Objects, Remote};

    fn files(place: &Arc<dyn Objects>, dir: &tempfile::TempDir) -> CheckpointFiles {
        let logs = StreamLogs {
            dedup: DedupFiles::open(place, ("orders", 1), 2, KeyFiles::new()).expect("opens"),
            journals: Journals::open(place, "orders", 2, JournalsAt::new()).expect("opens"),
            waiting: Fresh::default(),
        };
        CheckpointFiles {
            store: CheckpointStore::open(Arc::clone(place), 2).expect("opens"),
            streams: BTreeMap::from([("orders".to_owned(), logs)]),
            keys: DedupStore::new(&dir.path().join("dedup"), 1 << 20),
            keys_id: "keys".to_owned(),
            backlog: Backlog::new(1_000),
        }
    }

    /// A checkpoint at this offset, with one key and one order since the one before.
    fn job(offset: u8) -> Job {
        let at =
            SavedPartition { next_offset: Some(i64::from(offset)), ..SavedPartition::default() };
        let partitions = BTreeMap::from([(0, at)]);
        let stream =
            StreamToSave { name: "orders", hash: "h", partitions: &partitions, sequences: None };
        let state = encode(&[stream], &[]);
        let mut fresh = Fresh::default();
        let at = Sighting { event_time: 5, offset: i64::from(offset) };
        let key = KeyEntry { key: u128::from(offset), at };
        fresh.note_keys(0, DedupDrain { fresh: vec![key], spilled: BTreeMap::new() });
        fresh.note_orders(("flow".to_owned(), 0), vec![offset], false);
        Job {
            state: state.expect("encodes"),
            fresh: BTreeMap::from([("orders".to_owned(), fresh)]),
            watermarks: BTreeMap::new(),
            offsets: Offsets::new(),
            ledgers: None,
            told: None,
        }
    }

    /// The offset of the newest whole checkpoint, with the keys and orders that it names.
    fn newest(place: &Arc<dyn Objects>) -> (i64, Vec<u128>, Vec<u8>) {
        let store = CheckpointStore::open(Arc::clone(place), 2).expect("opens");
        let mut checkpoint =
            store.numbers().iter().rev().find_map(|number| store.read(*number).ok()).expect("one");
        let saved = checkpoint.streams.remove("orders").expect("the stream");
        let mut dedup = DedupFiles::open(place, ("orders", 1), 2, saved.dedup).expect("opens");
        let keys = dedup
            .load(0, i64::MIN)
            .expect("whole")
            .in_memory
            .iter()
            .map(|entry| entry.key)
            .collect();
        let journals = Journals::open(place, "orders", 2, saved.journals).expect("opens");
        let orders = journals.load(&("flow".to_owned(), 0)).expect("whole");
        (saved.partitions[&0].next_offset.expect("an offset"), keys, orders)
    }

    #[test]
    fn whatever_step_fails_the_checkpoint_before_stays_whole_and_the_next_holds_everything() {
        let dir = tempfile::tempdir().expect("folder");
        let inner: [Arc<dyn Objects>; 2] = [
            Arc::new(Disk::open(&dir.path().join("place")).expect("opens")),
            Arc::new(Remote::new(Arc::new(InMemory::new()), "memory://", "").expect("opens")),
        ];
        for inner in inner {
            let faulty = Faulty::new(inner);
            let place: Arc<dyn Objects> = Arc::clone(&faulty) as Arc<dyn Objects>;
            let mut files = files(&place, &dir);
            files.write(job(1)).expect("written");
            let (mut offset, mut failures) = (1_u8, 0);
            for step in STEPS {
                let before = newest(&place);
                offset += 1;
                faulty.refuse(&[step]);
                let outcome = files.write(job(offset));
                faulty.refuse(&[]);
                if outcome.is_err() {
                    failures += 1;
                    assert_eq!(newest(&place), before, "{step}");
                    assert!(
                        files.backlog.bytes() > 0 || step == "write" || step == "torn",
                        "{step}"
                    );
                }
                offset += 1;
                files.write(job(offset)).expect("works again");
                let all: Vec<u8> = (1..=offset).collect();
                let keys: Vec<u128> = all.iter().map(|at| u128::from(*at)).collect();
                assert_eq!(newest(&place), (i64::from(offset), keys, all), "after {step}");
                assert_eq!(files.backlog.bytes(), 0);
            }
            assert!(failures >= 3, "{failures} steps failed");
        }
    }

    #[test]
    fn a_slow_place_keeps_nobody_waiting_and_what_waits_is_weighed() {
        let dir = tempfile::tempdir().expect("folder");
        let faulty = Faulty::new(Arc::new(Disk::open(dir.path()).expect("opens")));
        let place: Arc<dyn Objects> = Arc::clone(&faulty) as Arc<dyn Objects>;
        let files = files(&place, &dir);
        let backlog = Arc::clone(&files.backlog);
        let mut background = Background::start(files).expect("a thread");
        faulty.slow(300);
        let begun = Instant::now();
        background.begin(job(1));
        assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
        assert!(background.is_busy() && background.finished(Duration::ZERO).is_none());
        assert_eq!(backlog.bytes(), 33, "a key and an order");
        backlog.note(1_000);
        assert!(backlog.is_full());
        backlog.note(0);
        background.finished(Duration::from_secs(10)).expect("ends").expect("written");
        assert_eq!(backlog.bytes(), 0);
        background.stop();
        assert_eq!(newest(&place), (1, vec![1], vec![1]));
    }
}
