//! Dedup keys of the checkpoint: one append-only log a partition and hour of event time.
//!
//! A checkpoint names how much of each log belongs to it, so that keys written after it are not believed,
//! and how many of its keys the store on disk has, so that only the others are taken into memory. A log
//! goes when its hour is past the horizon by the watermark of every checkpoint that is kept, so that each
//! of them can be taken up. A checkpoint costs the keys that came since the last.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::log_files::{LogAt, LogFiles};
use super::objects::Objects;
use super::store::CheckpointError;
use crate::admit::duplicate::{HOUR_MS, KeyEntry, Sighting, past_horizon};
use crate::fail_points;
use crate::model::PartitionId;

/// 16 bytes of key, 8 of event time, 8 of offset.
pub const ENTRY_BYTES: usize = 32;
/// The bit of an offset that is never set, for offsets are never negative; older versions kept a flag there.
const NO_OFFSET: u64 = 1 << 63;

/// What a checkpoint believes of one log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyFile {
    /// Where its keys are.
    pub log: LogAt,
    /// How many of its keys, from the first, are in the store on disk.
    pub spilled: u64,
}

/// The dedup files of a checkpoint, by partition and hour of event time.
pub type KeyFiles = BTreeMap<(PartitionId, i64), KeyFile>;

/// The keys of one partition at a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct SavedKeys {
    /// Those in memory, in order of arrival within each hour.
    pub in_memory: Vec<KeyEntry>,
    /// How many of each hour are in the store on disk.
    pub spilled: BTreeMap<i64, u64>,
}

/// The dedup files of one stream.
#[derive(Debug)]
pub struct DedupFiles {
    logs: LogFiles,
    horizon_ms: i64,
    files: KeyFiles,
    /// Watermarks of the checkpoints that are kept, by partition, oldest first.
    kept: VecDeque<BTreeMap<PartitionId, i64>>,
    kept_max: usize,
}

impl DedupFiles {
    /// The files of a stream as of a checkpoint, of which `kept_max` are kept.
    ///
    /// # Errors
    /// When the place cannot be listed.
    pub fn open(
        objects: &Arc<dyn Objects>,
        (stream, horizon_ms): (&str, i64),
        kept_max: usize,
        files: KeyFiles,
    ) -> Result<Self, CheckpointError> {
        let named = files.values().map(|file| &file.log);
        let logs = LogFiles::open(Arc::clone(objects), (stream, ".keys"), kept_max, named)?;
        Ok(Self { logs, horizon_ms, files, kept: VecDeque::new(), kept_max })
    }

    /// How long a key counts after its event time, in milliseconds.
    #[must_use]
    pub fn horizon_ms(&self) -> i64 {
        self.horizon_ms
    }

    /// The files as of now, for the checkpoint.
    #[must_use]
    pub fn files(&self) -> &KeyFiles {
        &self.files
    }

    /// Appends keys and takes them out of `keys`; what is no longer among them survives a power cut.
    ///
    /// # Errors
    /// When the place refuses; the next call goes on with the rest.
    pub fn append(
        &mut self,
        partition: PartitionId,
        keys: &mut Vec<KeyEntry>,
    ) -> Result<(), CheckpointError> {
        if keys.is_empty() {
            return Ok(());
        }
        fail_points::hit("dedup-append");
        let mut by_hour: BTreeMap<i64, Vec<KeyEntry>> = BTreeMap::new();
        for entry in keys.drain(..) {
            by_hour.entry(entry.at.event_time.div_euclid(HOUR_MS)).or_default().push(entry);
        }
        while let Some((hour, entries)) = by_hour.pop_first() {
            if let Err(error) = self.append_hour((partition, hour), &entries) {
                // Within an hour they stay in order of arrival.
                keys.extend(entries.into_iter().chain(by_hour.into_values().flatten()));
                return Err(error);
            }
        }
        Ok(())
    }

    fn append_hour(
        &mut self,
        at: (PartitionId, i64),
        entries: &[KeyEntry],
    ) -> Result<(), CheckpointError> {
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        entries.iter().for_each(|entry| write_entry(&mut bytes, entry));
        let before = self.files.get(&at).cloned().unwrap_or_default();
        let log =
            self.logs.append(&before.log, &format!("dedup-{}-{}.keys", at.0, at.1), &bytes)?;
        self.files.insert(at, KeyFile { log, ..before });
        Ok(())
    }

    /// Takes note of how many keys of a partition the store on disk has, by hour.
    pub fn note_spilled(&mut self, partition: PartitionId, spilled: &BTreeMap<i64, u64>) {
        for (hour, count) in spilled {
            if let Some(file) = self.files.get_mut(&(partition, *hour)) {
                file.spilled = file.spilled.max(*count);
            }
        }
    }

    /// No key is in the store on disk: it is another one than when the checkpoint was written.
    pub fn forget_spilled(&mut self) {
        self.files.values_mut().for_each(|file| file.spilled = 0);
    }

    /// The keys of a partition as of the checkpoint, at which its watermark was `watermark`.
    ///
    /// # Errors
    /// When a file cannot be read or is shorter than the checkpoint says.
    pub fn load(
        &mut self,
        partition: PartitionId,
        watermark: i64,
    ) -> Result<SavedKeys, CheckpointError> {
        let horizon = self.horizon_ms;
        // A file past the horizon may be gone already, as it is removed after the checkpoint.
        self.files
            .retain(|(of, hour), _| *of != partition || !past_horizon(*hour, horizon, watermark));
        let mut all = SavedKeys::default();
        for ((_, hour), file) in self.files.iter().filter(|((of, _), _)| *of == partition) {
            let bytes =
                self.logs.read(&file.log, file.spilled.saturating_mul(wide(ENTRY_BYTES)))?;
            let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
            all.in_memory.extend(entries.iter().map(read_entry));
            if file.spilled > 0 {
                all.spilled.insert(*hour, file.spilled);
            }
        }
        Ok(all)
    }

    /// Removes the files of hours that are past the horizon for every checkpoint that is kept, once
    /// one with these watermarks has been written. The watermarks of the oldest one kept come back:
    /// what is past the horizon by them, nothing needs any more.
    pub fn checkpoint_written(
        &mut self,
        watermarks: BTreeMap<PartitionId, i64>,
    ) -> BTreeMap<PartitionId, i64> {
        self.kept.push_back(watermarks);
        // Before this life has written as many as are kept, an older one may be of an earlier life.
        if self.kept.len() < self.kept_max {
            self.logs.checkpoint_written();
            return BTreeMap::new();
        }
        while self.kept.len() > self.kept_max {
            self.kept.pop_front();
        }
        let Some(oldest) = self.kept.front().cloned() else { return BTreeMap::new() };
        for (partition, watermark) in &oldest {
            self.forget(*partition, *watermark);
        }
        self.logs.checkpoint_written();
        oldest
    }

    fn forget(&mut self, partition: PartitionId, watermark: i64) {
        let is_past = |hour: i64| past_horizon(hour, self.horizon_ms, watermark);
        let of_partition =
            self.files.keys().filter(|(of, hour)| *of == partition && is_past(*hour));
        let gone: Vec<i64> = of_partition.map(|(_, hour)| *hour).collect();
        for hour in gone {
            // The checkpoint before this one may name it, and goes on without it.
            if let Some(file) = self.files.remove(&(partition, hour)) {
                self.logs.remove(file.log);
            }
        }
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn write_entry(out: &mut Vec<u8>, entry: &KeyEntry) {
    out.extend_from_slice(&entry.key.to_le_bytes());
    out.extend_from_slice(&entry.at.event_time.to_le_bytes());
    out.extend_from_slice(&entry.at.offset.max(0).cast_unsigned().to_le_bytes());
}

fn read_entry(bytes: &[u8; ENTRY_BYTES]) -> KeyEntry {
    let word = |from: usize| {
        let mut raw = [0; 8];
        raw.iter_mut().zip(bytes.iter().skip(from)).for_each(|(to, byte)| *to = *byte);
        u64::from_le_bytes(raw)
    };
    let place = word(24);
    KeyEntry {
        key: u128::from(word(8)) << 64 | u128::from(word(0)),
        at: Sighting {
            event_time: word(16).cast_signed(),
            offset: (place & !NO_OFFSET).cast_signed(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::objects::Disk;
    use crate::state::objects::faulty::Faulty;

    fn key(key: u128, event_time: i64) -> KeyEntry {
        let offset = i64::try_from(key).expect("small");
        KeyEntry { key, at: Sighting { event_time, offset } }
    }

    fn disk(dir: &tempfile::TempDir) -> Arc<dyn Objects> {
        Arc::new(Disk::open(dir.path()).expect("opens"))
    }

    fn files(objects: &Arc<dyn Objects>, as_of: KeyFiles) -> DedupFiles {
        DedupFiles::open(objects, ("orders", HOUR_MS), 2, as_of).expect("opens")
    }

    #[test]
    fn keys_written_after_the_checkpoint_are_not_believed() {
        let dir = tempfile::tempdir().expect("folder");
        let mut before = files(&disk(&dir), KeyFiles::new());
        before.append(0, &mut vec![key(1, 5), key(2, HOUR_MS + 5)]).expect("written");
        let as_of = before.files().clone();
        before.append(0, &mut vec![key(3, 6)]).expect("written");
        let mut again = files(&disk(&dir), as_of);
        assert_eq!(
            again.load(0, i64::MIN).expect("read").in_memory,
            [key(1, 5), key(2, HOUR_MS + 5)]
        );
        again.append(0, &mut vec![key(4, 7)]).expect("written");
        let found = again.load(0, i64::MIN).expect("read").in_memory;
        assert_eq!(found, [key(1, 5), key(4, 7), key(2, HOUR_MS + 5)]);
    }

    #[test]
    fn a_flag_that_older_versions_set_in_an_offset_is_passed_over() {
        let mut bytes = Vec::new();
        write_entry(&mut bytes, &key(7, 5));
        bytes[31] |= 0x80;
        let entry: &[u8; ENTRY_BYTES] = bytes.first_chunk().expect("an entry");
        assert_eq!(read_entry(entry), key(7, 5));
    }

    #[test]
    fn keys_that_are_in_the_store_are_not_taken_into_memory_unless_it_is_another_store() {
        let dir = tempfile::tempdir().expect("folder");
        let mut before = files(&disk(&dir), KeyFiles::new());
        before.append(3, &mut vec![key(1, 5), key(2, 6), key(3, 7)]).expect("written");
        before.note_spilled(3, &BTreeMap::from([(0, 2)]));
        let mut again = files(&disk(&dir), before.files().clone());
        let found = again.load(3, i64::MIN).expect("read");
        assert_eq!(found.in_memory, [key(3, 7)]);
        assert_eq!(found.spilled, BTreeMap::from([(0, 2)]));
        again.forget_spilled();
        let found = again.load(3, i64::MIN).expect("read");
        assert_eq!((found.in_memory.len(), found.spilled), (3, BTreeMap::new()));
    }

    #[test]
    fn an_hour_is_removed_only_when_no_kept_checkpoint_needs_it() {
        let dir = tempfile::tempdir().expect("folder");
        let mut files = files(&disk(&dir), KeyFiles::new());
        files.append(0, &mut vec![key(1, 5)]).expect("written");
        let as_of = files.files().clone();
        let at = |watermark| BTreeMap::from([(0, watermark)]);
        assert_eq!(
            files.checkpoint_written(at(2 * HOUR_MS - 1)),
            BTreeMap::new(),
            "an earlier life's may be kept"
        );
        files.checkpoint_written(at(2 * HOUR_MS));
        assert_eq!(files.files().len(), 1, "the checkpoint before still needs it");
        files.checkpoint_written(at(2 * HOUR_MS));
        assert!(files.files().is_empty());
        // The two checkpoints that are kept name the file, and go on without it.
        let mut again = self::files(&disk(&dir), as_of);
        assert!(again.load(0, 2 * HOUR_MS).expect("loads").in_memory.is_empty());
        assert_eq!(disk(&dir).list("").expect("listed"), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_shorter_than_the_checkpoint_says_is_damaged() {
        let dir = tempfile::tempdir().expect("folder");
        let mut written = files(&disk(&dir), KeyFiles::new());
        written.append(0, &mut vec![key(1, 5)]).expect("written");
        let as_of = KeyFiles::from([(
            (0, 0),
            KeyFile { log: LogAt::whole("orders/dedup-0-0.keys".to_owned(), 64), spilled: 0 },
        )]);
        let error = files(&disk(&dir), as_of).load(0, i64::MIN).expect_err("short").to_string();
        assert!(error.contains("damaged"), "{error}");
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_taken_by_the_next_call() {
        let dir = tempfile::tempdir().expect("folder");
        let place = Faulty::new(disk(&dir));
        let objects: Arc<dyn Objects> = Arc::clone(&place) as Arc<dyn Objects>;
        let mut files = files(&objects, KeyFiles::new());
        files.append(0, &mut vec![key(1, 5)]).expect("written");
        let mut keys = vec![key(2, 6), key(3, HOUR_MS + 7)];
        place.refuse(&["grow"]);
        files.append(0, &mut keys).expect_err("is full");
        assert_eq!(keys.len(), 2);
        assert_eq!(
            files.load(0, i64::MIN).expect("read").in_memory,
            [key(1, 5)],
            "half of a key is not believed"
        );
        place.refuse(&[]);
        files.append(0, &mut keys).expect("written");
        assert!(keys.is_empty());
        let found = files.load(0, i64::MIN).expect("read").in_memory;
        assert_eq!(found, [key(1, 5), key(2, 6), key(3, HOUR_MS + 7)]);
    }
}
