//! Dedup keys beyond the memory bound, in an embedded store on disk.
//!
//! ```text
//! partition u32 │ key u128 ─▶ { event time i64 │ offset i64 }…        keys big-endian, so that they sort
//! ```
//! Keys come in sorted runs, written straight into the store's own files. Nothing is deleted: a
//! compaction drops a key when all its sightings are past the horizon by the watermark of the oldest
//! checkpoint kept, because an earlier one may still be read again from there. A key that comes back
//! to life because a compaction dropped only the newer of two entries is past the horizon as well.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use parking_lot::Mutex;

use crate::admit::duplicate::{Key, Sighting, SpillError, SpilledKeys};
use crate::model::PartitionId;

/// Bytes of a stored key: partition and key.
const KEY_BYTES: usize = 20;
/// Bytes of a sighting: event time and offset.
const SIGHTING_BYTES: usize = 16;

/// The stores of all streams below one folder; opened when the first key has to go there.
pub struct DedupStore {
    dir: PathBuf,
    cache_bytes: u64,
    opened: Mutex<Option<Database>>,
    /// Event times at and below these count no more, by keyspace.
    past: Arc<Mutex<BTreeMap<String, Arc<Past>>>>,
}

/// By partition, the event time at and below which no sighting counts any more. The standard library's
/// lock, because the store asks for what is safe across a panic of its own threads.
#[derive(Debug, Default)]
struct Past(std::sync::Mutex<BTreeMap<PartitionId, Arc<AtomicI64>>>);

impl Past {
    fn of(&self, partition: PartitionId) -> Arc<AtomicI64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(partition).or_insert_with(|| Arc::new(AtomicI64::new(i64::MIN))))
    }
}

impl fmt::Debug for DedupStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DedupStore({})", self.dir.display())
    }
}

impl DedupStore {
    /// The store in `dir`, which is not touched before it is needed. `cache_bytes` is the memory for
    /// its blocks and filters; at ten bits a key, 1.25 MiB hold the filters of a million keys.
    #[must_use]
    pub fn new(dir: &Path, cache_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            dir: dir.to_path_buf(),
            cache_bytes,
            opened: Mutex::new(None),
            past: Arc::default(),
        })
    }

    /// A name that no other store has, kept beside it: by it a checkpoint knows whether the keys that it
    /// says are on disk are on this one. A store that has gone has lost its name too.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn identity(&self) -> Result<String, SpillError> {
        let path = self.dir.with_extension("id");
        let refused = |error: std::io::Error| SpillError {
            place: path.display().to_string(),
            detail: error.to_string(),
        };
        if self.dir.exists()
            && let Ok(known) = std::fs::read_to_string(&path)
            && !known.is_empty()
        {
            return Ok(known);
        }
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!("{nanos:x}-{:x}", std::process::id());
        std::fs::create_dir_all(self.dir.parent().unwrap_or(&self.dir)).map_err(refused)?;
        std::fs::write(&path, &name).map_err(refused)?;
        Ok(name)
    }

    /// The keys of one partition of a stream in a result space.
    #[must_use]
    pub fn partition(
        self: &Arc<Self>,
        keyspace: &str,
        partition: PartitionId,
    ) -> Arc<PartitionKeys> {
        Arc::new(PartitionKeys {
            store: Arc::clone(self),
            name: keyspace.to_owned(),
            partition,
            keyspace: Mutex::new(None),
        })
    }

    /// Lets go of the keys of a partition whose event time is at or below `event_time`.
    pub fn forget(&self, keyspace: &str, partition: PartitionId, event_time: i64) {
        self.past_of(keyspace).of(partition).fetch_max(event_time, Ordering::Relaxed);
    }

    /// Removes all keys of a stream in a result space.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn clear(&self, keyspace: &str) -> Result<(), SpillError> {
        if !self.dir.exists() {
            return Ok(());
        }
        let keys = self.keyspace(keyspace)?;
        // Cleared, it would be cleared once more after a crash: the store's journal knows of that, and nothing of the
        // runs that have been written since. Deleted, the next one of the name is another one.
        match self.opened.lock().as_ref() {
            Some(database) => database.delete_keyspace(keys).map_err(|error| self.refused(&error)),
            None => Ok(()),
        }
    }

    /// Bytes of the store on disk; 0 while it has not been needed.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let opened = self.opened.lock();
        opened.as_ref().and_then(|database| database.disk_space().ok()).unwrap_or(0)
    }

    fn past_of(&self, keyspace: &str) -> Arc<Past> {
        Arc::clone(self.past.lock().entry(keyspace.to_owned()).or_default())
    }

    fn keyspace(&self, name: &str) -> Result<Keyspace, SpillError> {
        let mut opened = self.opened.lock();
        let database = match opened.as_ref() {
            Some(database) => database,
            None => opened.insert(self.open().map_err(|error| self.refused(&error))?),
        };
        database
            .keyspace(name, KeyspaceCreateOptions::default)
            .map_err(|error| self.refused(&error))
    }

    fn open(&self) -> fjall::Result<Database> {
        let past = Arc::clone(&self.past);
        let filter_of = move |keyspace: &str| -> Option<Arc<dyn Factory>> {
            let past = Arc::clone(past.lock().entry(keyspace.to_owned()).or_default());
            Some(Arc::new(Forgetting(past)))
        };
        Database::builder(&self.dir)
            .worker_threads(1)
            .cache_size(self.cache_bytes)
            .with_compaction_filter_factories(Arc::new(filter_of))
            .open()
    }

    fn refused(&self, error: &fjall::Error) -> SpillError {
        SpillError { place: self.dir.display().to_string(), detail: error.to_string() }
    }
}

/// The keys of one partition on disk.
pub struct PartitionKeys {
    store: Arc<DedupStore>,
    name: String,
    partition: PartitionId,
    keyspace: Mutex<Option<Keyspace>>,
}

impl fmt::Debug for PartitionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionKeys({}/{} in {:?})", self.name, self.partition, self.store)
    }
}

impl PartitionKeys {
    fn keyspace(&self) -> Result<Keyspace, SpillError> {
        let mut opened = self.keyspace.lock();
        match opened.as_ref() {
            Some(keyspace) => Ok(keyspace.clone()),
            None => Ok(opened.insert(self.store.keyspace(&self.name)?).clone()),
        }
    }

    fn stored(&self, key: Key) -> [u8; KEY_BYTES] {
        let mut stored = [0; KEY_BYTES];
        let bytes = self.partition.to_be_bytes().into_iter().chain(key.to_be_bytes());
        stored.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        stored
    }
}

impl SpilledKeys for PartitionKeys {
    fn is_unused(&self) -> Result<bool, SpillError> {
        if !self.store.dir.exists() {
            return Ok(true);
        }
        self.keyspace()?.is_empty().map_err(|error| self.store.refused(&error))
    }

    fn find(&self, key: Key) -> Result<Vec<Sighting>, SpillError> {
        let found =
            self.keyspace()?.get(self.stored(key)).map_err(|error| self.store.refused(&error))?;
        match found {
            None => Ok(Vec::new()),
            Some(bytes) => decode(&bytes).ok_or_else(|| SpillError {
                place: self.store.dir.display().to_string(),
                detail: format!("a key of partition {} has {} bytes", self.partition, bytes.len()),
            }),
        }
    }

    fn write(&self, keys: &[(Key, Vec<Sighting>)]) -> Result<(), SpillError> {
        let refused = |error: fjall::Error| self.store.refused(&error);
        let keyspace = self.keyspace()?;
        let mut run = keyspace.start_ingestion().map_err(refused)?;
        for (key, seen) in keys {
            run.write(self.stored(*key), encode(seen)).map_err(refused)?;
        }
        run.finish().map_err(refused)
    }
}

fn encode(seen: &[Sighting]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(seen.len() * SIGHTING_BYTES);
    for at in seen {
        bytes.extend_from_slice(&at.event_time.to_le_bytes());
        bytes.extend_from_slice(&at.offset.to_le_bytes());
    }
    bytes
}

/// `None` when the bytes are not those of [`encode`].
fn decode(bytes: &[u8]) -> Option<Vec<Sighting>> {
    let (sightings, rest) = bytes.as_chunks::<SIGHTING_BYTES>();
    let number = |bytes: Option<&[u8; 8]>| bytes.map(|raw| i64::from_le_bytes(*raw));
    let one = |raw: &[u8; SIGHTING_BYTES]| {
        Some(Sighting { event_time: number(raw.first_chunk())?, offset: number(raw.last_chunk())? })
    };
    if rest.is_empty() { sightings.iter().map(one).collect() } else { None }
}

/// Makes the filters that compactions use.
struct Forgetting(Arc<Past>);

impl Factory for Forgetting {
    fn name(&self) -> &str {
        "past-the-dedup-horizon"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(ForgettingOnce { past: Arc::clone(&self.0), of: None })
    }
}

/// Drops keys past the horizon during one compaction.
struct ForgettingOnce {
    past: Arc<Past>,
    /// The bound of the partition of the last key, which the next one nearly always shares.
    of: Option<(PartitionId, i64)>,
}

impl CompactionFilter for ForgettingOnce {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let Some(partition) = item.key().first_chunk().map(|raw| PartitionId::from_be_bytes(*raw))
        else {
            return Ok(Verdict::Keep);
        };
        let bound = match self.of {
            Some((of, bound)) if of == partition => bound,
            _ => self.past.of(partition).load(Ordering::Relaxed),
        };
        self.of = Some((partition, bound));
        let value = item.value()?;
        let is_past =
            decode(&value).is_some_and(|seen| seen.iter().all(|at| at.event_time <= bound));
        Ok(if is_past { Verdict::Destroy } else { Verdict::Keep })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(event_time: i64, offset: i64) -> Sighting {
        Sighting { event_time, offset }
    }

    #[test]
    fn keys_come_back_by_partition_and_the_newest_writing_holds() {
        let dir = tempfile::tempdir().expect("folder");
        let store = DedupStore::new(dir.path(), 1 << 20);
        let (zero, one) = (store.partition("orders", 0), store.partition("orders", 1));
        zero.write(&[(1, vec![at(5, 6)]), (9, vec![at(-7, 8)])]).expect("written");
        one.write(&[(1, vec![at(1, 1)])]).expect("written");
        zero.write(&[(1, vec![at(5, 6), at(50, 60)])]).expect("written");
        assert_eq!(zero.find(1).expect("read"), [at(5, 6), at(50, 60)]);
        assert_eq!(zero.find(9).expect("read"), [at(-7, 8)]);
        assert_eq!(one.find(1).expect("read"), [at(1, 1)]);
        assert_eq!(one.find(9).expect("read"), []);
    }

    #[test]
    fn keys_survive_the_process_and_clearing_a_stream_leaves_the_others() {
        let dir = tempfile::tempdir().expect("folder");
        let write = |stream: &str| {
            let store = DedupStore::new(dir.path(), 1 << 20);
            store.partition(stream, 0).write(&[(1, vec![at(5, 6)])]).expect("written");
        };
        write("orders");
        write("parcels");
        let store = DedupStore::new(dir.path(), 1 << 20);
        store.clear("orders").expect("cleared");
        assert_eq!(store.partition("orders", 0).find(1).expect("read"), []);
        assert_eq!(store.partition("parcels", 0).find(1).expect("read"), [at(5, 6)]);
    }

    #[test]
    fn keys_that_are_written_after_a_stream_was_cleared_survive_the_process_too() {
        let dir = tempfile::tempdir().expect("folder");
        let written = |key: Key| {
            let store = DedupStore::new(dir.path(), 1 << 20);
            store.partition("orders", 0).write(&[(key, vec![at(5, 6)])]).expect("written");
            store
        };
        drop(written(1));
        let store = DedupStore::new(dir.path(), 1 << 20);
        store.clear("orders").expect("cleared");
        store.partition("orders", 0).write(&[(2, vec![at(7, 8)])]).expect("written");
        drop(store);
        drop(written(3));
        let store = DedupStore::new(dir.path(), 1 << 20);
        let orders = store.partition("orders", 0);
        assert_eq!(orders.find(1).expect("read"), []);
        assert_eq!(orders.find(2).expect("read"), [at(7, 8)]);
        assert_eq!(orders.find(3).expect("read"), [at(5, 6)]);
    }

    #[test]
    fn a_compaction_drops_only_keys_of_which_no_sighting_counts() {
        let dir = tempfile::tempdir().expect("folder");
        let store = DedupStore::new(dir.path(), 1 << 20);
        let (zero, one) = (store.partition("orders", 0), store.partition("orders", 1));
        zero.write(&[(1, vec![at(5, 6)]), (2, vec![at(5, 6), at(50, 60)]), (3, vec![at(11, 7)])])
            .expect("written");
        one.write(&[(1, vec![at(5, 6)])]).expect("written");
        store.forget("orders", 0, 10);
        store.keyspace("orders").expect("opens").major_compact().expect("compacts");
        assert_eq!(zero.find(1).expect("read"), []);
        assert_eq!(zero.find(2).expect("read").len(), 2);
        assert_eq!(zero.find(3).expect("read").len(), 1);
        assert_eq!(one.find(1).expect("read").len(), 1, "its own watermark is not there yet");
    }

    #[test]
    #[ignore = "a measurement, not a proof: scripts/bench.sh prints it"]
    fn measure_dedup_keys_on_disk() {
        use rand::{Rng as _, SeedableRng as _};
        let dir = tempfile::tempdir().expect("folder");
        let store = DedupStore::new(dir.path(), 64 << 20);
        let keys = store.partition("orders", 0);
        let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(11);
        let mut known: Vec<Key> = Vec::new();
        let mut offset = 0;
        let began = std::time::Instant::now();
        for _ in 0..10 {
            let mut run: Vec<(Key, Vec<Sighting>)> = (0..500_000)
                .map(|_| {
                    offset += 1;
                    (dice.random(), vec![at(offset, offset)])
                })
                .collect();
            known.extend(run.iter().step_by(5).map(|(key, _)| *key));
            run.sort_unstable_by_key(|(key, _)| *key);
            keys.write(&run).expect("written");
        }
        let written = began.elapsed().as_secs_f64();
        let began = std::time::Instant::now();
        let found =
            (0..1_000_000).filter(|_| !keys.find(dice.random()).expect("read").is_empty()).count();
        println!(
            "dedup on disk: 5 M keys, {} bytes a key, {:.2} s per million written, {:.2} s per million new \
             keys looked up ({found} found)",
            store.disk_bytes() / 5_000_000,
            written / 5.0,
            began.elapsed().as_secs_f64(),
        );
        let began = std::time::Instant::now();
        let found = known.iter().filter(|key| !keys.find(**key).expect("read").is_empty()).count();
        println!(
            "dedup on disk: {:.2} s per million spilled keys looked up ({found} found)",
            began.elapsed().as_secs_f64()
        );
    }
}
