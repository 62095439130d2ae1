//! Dedup keys on disk: one append-only file a partition and hour of event time.
//!
//! A checkpoint names how long each file was, so that keys written after it are not believed; a file
//! goes when its hour is past the horizon. So a checkpoint costs the keys that came since the last.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::checkpoint::DedupLengths;
use super::store::CheckpointError;
use crate::model::PartitionId;

const HOUR_MS: i64 = 3_600_000;
/// 16 bytes of key, 8 of event time.
const ENTRY_BYTES: usize = 24;

/// The dedup files of one stream.
#[derive(Debug)]
pub struct DedupFiles {
    dir: PathBuf,
    horizon_ms: i64,
    lengths: DedupLengths,
}

impl DedupFiles {
    /// The files in `dir` as of a checkpoint.
    #[must_use]
    pub fn new(dir: &Path, horizon_ms: i64, lengths: DedupLengths) -> Self {
        Self { dir: dir.to_path_buf(), horizon_ms, lengths }
    }

    /// No keys yet; what an earlier definition of the stream left in `dir` is removed.
    ///
    /// # Errors
    /// When the folder cannot be made or cleared.
    pub fn fresh(dir: &Path, horizon_ms: i64) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io { path: dir.to_path_buf(), source };
        fs::create_dir_all(dir).map_err(io)?;
        for entry in fs::read_dir(dir).map_err(io)?.filter_map(Result::ok) {
            if entry.path().extension().is_some_and(|extension| extension == "keys") {
                fs::remove_file(entry.path()).map_err(io)?;
            }
        }
        Ok(Self::new(dir, horizon_ms, DedupLengths::new()))
    }

    /// The lengths as of now, for the checkpoint.
    #[must_use]
    pub fn lengths(&self) -> &DedupLengths {
        &self.lengths
    }

    fn path(&self, partition: PartitionId, hour: i64) -> PathBuf {
        self.dir.join(format!("dedup-{partition}-{hour}.keys"))
    }

    /// Appends keys with their event times; when this returns they survive a power cut.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, partition: PartitionId, keys: &[(u128, i64)]) -> Result<(), CheckpointError> {
        let mut by_hour: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        for (key, event_time) in keys {
            let bytes = by_hour.entry(event_time.div_euclid(HOUR_MS)).or_default();
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&event_time.to_le_bytes());
        }
        for (hour, bytes) in by_hour {
            let path = self.path(partition, hour);
            let length = self.lengths.entry((partition, hour)).or_insert(0);
            let io = |source| CheckpointError::Io { path: path.clone(), source };
            let mut file =
                OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(io)?;
            // What an interrupted run wrote after its last checkpoint is written over.
            file.set_len(*length).map_err(io)?;
            file.seek(SeekFrom::Start(*length)).map_err(io)?;
            file.write_all(&bytes).map_err(io)?;
            file.sync_data().map_err(io)?;
            *length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// The keys of a partition as of the checkpoint.
    ///
    /// # Errors
    /// When a file cannot be read or is shorter than the checkpoint says.
    pub fn load(&self, partition: PartitionId) -> Result<Vec<(u128, i64)>, CheckpointError> {
        let mut all = Vec::new();
        for ((_, hour), length) in self.lengths.iter().filter(|((of, _), _)| *of == partition) {
            let path = self.path(partition, *hour);
            let bytes = fs::read(&path).map_err(|source| CheckpointError::Io { path: path.clone(), source })?;
            let wanted = usize::try_from(*length).unwrap_or(usize::MAX);
            let Some(bytes) = bytes.get(..wanted) else {
                let detail = format!("{} bytes where the checkpoint says {wanted}", bytes.len());
                return Err(CheckpointError::Damaged { path, detail });
            };
            all.extend(bytes.chunks_exact(ENTRY_BYTES).map(entry));
        }
        Ok(all)
    }

    /// Removes the files of hours that the partition's watermark has passed by more than the horizon.
    pub fn forget(&mut self, partition: PartitionId, watermark: i64) {
        let horizon = self.horizon_ms;
        let past = |hour: i64| ((hour + 1) * HOUR_MS).saturating_add(horizon) <= watermark;
        let gone: Vec<i64> =
            self.lengths.keys().filter(|(of, hour)| *of == partition && past(*hour)).map(|(_, hour)| *hour).collect();
        for hour in gone {
            self.lengths.remove(&(partition, hour));
            if let Err(error) = fs::remove_file(self.path(partition, hour)) {
                tracing::warn!(%error, partition, hour, "an old dedup file could not be removed");
            }
        }
    }
}

fn entry(bytes: &[u8]) -> (u128, i64) {
    let (mut key, mut time) = ([0; 16], [0; 8]);
    key.iter_mut().chain(&mut time).zip(bytes).for_each(|(to, from)| *to = *from);
    (u128::from_le_bytes(key), i64::from_le_bytes(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_written_after_the_checkpoint_are_not_believed() {
        let dir = tempfile::tempdir().expect("folder");
        let mut files = DedupFiles::new(dir.path(), HOUR_MS, DedupLengths::new());
        files.append(0, &[(1, 5), (2, HOUR_MS + 5)]).expect("written");
        let as_of = files.lengths().clone();
        files.append(0, &[(3, 6)]).expect("written");
        let mut again = DedupFiles::new(dir.path(), HOUR_MS, as_of);
        assert_eq!(again.load(0).expect("read"), [(1, 5), (2, HOUR_MS + 5)]);
        again.append(0, &[(4, 7)]).expect("written");
        assert_eq!(again.load(0).expect("read"), [(1, 5), (4, 7), (2, HOUR_MS + 5)]);
    }

    #[test]
    fn an_hour_past_the_horizon_is_removed() {
        let dir = tempfile::tempdir().expect("folder");
        let mut files = DedupFiles::new(dir.path(), HOUR_MS, DedupLengths::new());
        files.append(0, &[(1, 5)]).expect("written");
        files.forget(0, 2 * HOUR_MS);
        assert!(files.lengths().is_empty());
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
    }
}
