//! Dedup keys of the checkpoint: one append-only file a partition and hour of event time.
//!
//! A checkpoint names how long each file was, so that keys written after it are not believed, and how
//! many of its keys the store on disk has, so that only the others are taken into memory. A file goes
//! when its hour is past the horizon by the watermark of every checkpoint that is kept, so that each of
//! them can be taken up. A checkpoint costs the keys that came since the last.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::store::CheckpointError;
use crate::admit::duplicate::{HOUR_MS, KeyEntry, Sighting, past_horizon};
use crate::model::PartitionId;

/// 16 bytes of key, 8 of event time, 8 of offset with [`CAME_AGAIN`].
const ENTRY_BYTES: usize = 32;
/// Set in the offset of a key of which the disk has an older sighting; offsets are never negative.
const CAME_AGAIN: u64 = 1 << 63;

/// What a checkpoint believes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyFile {
    /// Its length in bytes.
    pub length: u64,
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
    dir: PathBuf,
    horizon_ms: i64,
    files: KeyFiles,
    /// Watermarks of the checkpoints that are kept, by partition, oldest first.
    kept: VecDeque<BTreeMap<PartitionId, i64>>,
    kept_max: usize,
}

impl DedupFiles {
    /// The files in `dir` as of a checkpoint, of which `kept_max` are kept.
    #[must_use]
    pub fn new(dir: &Path, horizon_ms: i64, kept_max: usize, files: KeyFiles) -> Self {
        Self { dir: dir.to_path_buf(), horizon_ms, files, kept: VecDeque::new(), kept_max }
    }

    /// No keys yet; what an earlier definition of the stream left in `dir` is removed.
    ///
    /// # Errors
    /// When the folder cannot be made or cleared.
    pub fn fresh(dir: &Path, horizon_ms: i64, kept_max: usize) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io { path: dir.to_path_buf(), source };
        fs::create_dir_all(dir).map_err(io)?;
        for entry in fs::read_dir(dir).map_err(io)?.filter_map(Result::ok) {
            if entry.path().extension().is_some_and(|extension| extension == "keys") {
                fs::remove_file(entry.path()).map_err(io)?;
            }
        }
        Ok(Self::new(dir, horizon_ms, kept_max, KeyFiles::new()))
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

    fn path(&self, partition: PartitionId, hour: i64) -> PathBuf {
        self.dir.join(format!("dedup-{partition}-{hour}.keys"))
    }

    /// Appends keys; when this returns they survive a power cut.
    ///
    /// # Errors
    /// When the disk refuses; what was written is written over by the next call.
    pub fn append(&mut self, partition: PartitionId, keys: &[KeyEntry]) -> Result<(), CheckpointError> {
        let mut by_hour: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        for entry in keys {
            let hour = entry.at.event_time.div_euclid(HOUR_MS);
            write_entry(by_hour.entry(hour).or_default(), entry);
        }
        // All files before any length, so that a failure leaves all as they were.
        let mut grown = Vec::with_capacity(by_hour.len());
        for (hour, bytes) in by_hour {
            let before = self.files.get(&(partition, hour)).map_or(0, |file| file.length);
            write_at(&self.path(partition, hour), before, &bytes)?;
            grown.push((hour, before + u64::try_from(bytes.len()).unwrap_or(u64::MAX)));
        }
        for (hour, length) in grown {
            self.files.entry((partition, hour)).or_default().length = length;
        }
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

    /// The keys of a partition as of the checkpoint, at which its watermark was `watermark`.
    ///
    /// # Errors
    /// When a file cannot be read or is shorter than the checkpoint says.
    pub fn load(&mut self, partition: PartitionId, watermark: i64) -> Result<SavedKeys, CheckpointError> {
        let horizon = self.horizon_ms;
        // A file past the horizon may be gone already, as it is removed after the checkpoint.
        self.files.retain(|(of, hour), _| *of != partition || !past_horizon(*hour, horizon, watermark));
        let mut all = SavedKeys::default();
        for ((_, hour), file) in self.files.iter().filter(|((of, _), _)| *of == partition) {
            let begin = file.spilled.saturating_mul(wide(ENTRY_BYTES));
            let bytes = read_between(&self.path(partition, *hour), begin, file.length)?;
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
    pub fn checkpoint_written(&mut self, watermarks: BTreeMap<PartitionId, i64>) -> BTreeMap<PartitionId, i64> {
        self.kept.push_back(watermarks);
        // Before this life has written as many as are kept, an older one may be of an earlier life.
        if self.kept.len() < self.kept_max {
            return BTreeMap::new();
        }
        while self.kept.len() > self.kept_max {
            self.kept.pop_front();
        }
        let Some(oldest) = self.kept.front().cloned() else { return BTreeMap::new() };
        for (partition, watermark) in &oldest {
            self.forget(*partition, *watermark);
        }
        oldest
    }

    fn forget(&mut self, partition: PartitionId, watermark: i64) {
        let is_past = |hour: i64| past_horizon(hour, self.horizon_ms, watermark);
        let of_partition = self.files.keys().filter(|(of, hour)| *of == partition && is_past(*hour));
        let gone: Vec<i64> = of_partition.map(|(_, hour)| *hour).collect();
        for hour in gone {
            self.files.remove(&(partition, hour));
            // The checkpoint before this one may name it, and the next will not; a crash between
            // leaves a file that nothing names.
            if let Err(error) = fs::remove_file(self.path(partition, hour)) {
                tracing::warn!(%error, partition, hour, "an old dedup file could not be removed");
            }
        }
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn write_entry(out: &mut Vec<u8>, entry: &KeyEntry) {
    let flag = if entry.came_again { CAME_AGAIN } else { 0 };
    out.extend_from_slice(&entry.key.to_le_bytes());
    out.extend_from_slice(&entry.at.event_time.to_le_bytes());
    out.extend_from_slice(&(entry.at.offset.max(0).cast_unsigned() | flag).to_le_bytes());
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
            offset: (place & !CAME_AGAIN).cast_signed(),
        },
        came_again: place & CAME_AGAIN != 0,
    }
}

/// Writes `bytes` at `length`, where the file then ends: what an interrupted run wrote after its last
/// checkpoint is written over.
fn write_at(path: &Path, length: u64, bytes: &[u8]) -> Result<(), CheckpointError> {
    let io = |source| CheckpointError::Io { path: path.to_path_buf(), source };
    let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(path).map_err(io)?;
    file.set_len(length).map_err(io)?;
    file.seek(SeekFrom::Start(length)).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.sync_data().map_err(io)
}

fn read_between(path: &Path, begin: u64, end: u64) -> Result<Vec<u8>, CheckpointError> {
    let io = |source| CheckpointError::Io { path: path.to_path_buf(), source };
    let mut file = fs::File::open(path).map_err(io)?;
    let found = file.metadata().map_err(io)?.len();
    if found < end || begin > end {
        let detail = format!("{found} bytes where the checkpoint says {begin} to {end}");
        return Err(CheckpointError::Damaged { path: path.to_path_buf(), detail });
    }
    file.seek(SeekFrom::Start(begin)).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(end - begin).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: u128, event_time: i64) -> KeyEntry {
        let offset = i64::try_from(key).expect("small");
        KeyEntry { key, at: Sighting { event_time, offset }, came_again: key % 2 == 0 }
    }

    fn files(dir: &Path, as_of: KeyFiles) -> DedupFiles {
        DedupFiles::new(dir, HOUR_MS, 2, as_of)
    }

    #[test]
    fn keys_written_after_the_checkpoint_are_not_believed() {
        let dir = tempfile::tempdir().expect("folder");
        let mut before = files(dir.path(), KeyFiles::new());
        before.append(0, &[key(1, 5), key(2, HOUR_MS + 5)]).expect("written");
        let as_of = before.files().clone();
        before.append(0, &[key(3, 6)]).expect("written");
        let mut again = files(dir.path(), as_of);
        assert_eq!(again.load(0, i64::MIN).expect("read").in_memory, [key(1, 5), key(2, HOUR_MS + 5)]);
        again.append(0, &[key(4, 7)]).expect("written");
        let found = again.load(0, i64::MIN).expect("read").in_memory;
        assert_eq!(found, [key(1, 5), key(4, 7), key(2, HOUR_MS + 5)]);
    }

    #[test]
    fn keys_that_are_in_the_store_are_not_taken_into_memory() {
        let dir = tempfile::tempdir().expect("folder");
        let mut before = files(dir.path(), KeyFiles::new());
        before.append(3, &[key(1, 5), key(2, 6), key(3, 7)]).expect("written");
        before.note_spilled(3, &BTreeMap::from([(0, 2)]));
        let found = files(dir.path(), before.files().clone()).load(3, i64::MIN).expect("read");
        assert_eq!(found.in_memory, [key(3, 7)]);
        assert_eq!(found.spilled, BTreeMap::from([(0, 2)]));
    }

    #[test]
    fn an_hour_is_removed_only_when_no_kept_checkpoint_needs_it() {
        let dir = tempfile::tempdir().expect("folder");
        let mut files = files(dir.path(), KeyFiles::new());
        files.append(0, &[key(1, 5)]).expect("written");
        let at = |watermark| BTreeMap::from([(0, watermark)]);
        assert_eq!(files.checkpoint_written(at(2 * HOUR_MS - 1)), BTreeMap::new(), "an earlier life's may be kept");
        files.checkpoint_written(at(2 * HOUR_MS));
        assert_eq!(files.files().len(), 1, "the checkpoint before still needs it");
        files.checkpoint_written(at(2 * HOUR_MS));
        assert!(files.files().is_empty());
        // The two checkpoints that are kept name the file, and go on without it.
        let as_of = KeyFiles::from([((0, 0), KeyFile { length: 32, spilled: 0 })]);
        let mut again = DedupFiles::new(dir.path(), HOUR_MS, 2, as_of);
        assert!(again.load(0, 2 * HOUR_MS).expect("loads").in_memory.is_empty());
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
    }

    #[test]
    fn a_file_that_is_shorter_than_the_checkpoint_says_is_damaged() {
        let dir = tempfile::tempdir().expect("folder");
        let as_of = KeyFiles::from([((0, 0), KeyFile { length: 64, spilled: 0 })]);
        let mut written = files(dir.path(), KeyFiles::new());
        written.append(0, &[key(1, 5)]).expect("written");
        let error = files(dir.path(), as_of).load(0, i64::MIN).expect_err("short").to_string();
        assert!(error.contains("damaged"), "{error}");
    }
}
