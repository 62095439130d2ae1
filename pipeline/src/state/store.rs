//! Checkpoints on local disk: written aside, synced, renamed; the newest few are kept.
//!
//! ```text
//! TIDEMARK │ version u32 │ length u64 │ xxh3 of the body u64 │ body
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::checkpoint::{Checkpoint, decode};

const MAGIC: &[u8; 8] = b"TIDEMARK";
/// Version of the format. Version 1 held one stream, in a folder of its own below this one; from version 2
/// on one holds all streams, from 3 on their life cycles, from 4 on since when partitions and views count.
/// All are of Arrow's row format as of Arrow 59.
const VERSION: u32 = 4;
const HEADER_BYTES: usize = 28;

/// What is wrong with a checkpoint or its folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The disk refused.
    #[error("checkpoint {}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Another version of the program has written it.
    #[error("checkpoint {} has format version {version}, this program reads {VERSION}; start the version that wrote it, or move the file away to compute everything again from the log", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The bytes are not what was written.
    #[error("checkpoint {} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
}

/// The checkpoints of a data folder.
#[derive(Debug)]
pub struct CheckpointStore {
    dir: PathBuf,
    kept: usize,
    next: u64,
}

impl CheckpointStore {
    /// Opens the folder, which is made if it is missing; `kept` is at least 1.
    ///
    /// # Errors
    /// When it cannot be made or read, or holds checkpoints of version 1.
    pub fn open(dir: &Path, kept: usize) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io { path: dir.to_path_buf(), source };
        fs::create_dir_all(dir).map_err(io)?;
        refuse_first_version(dir)?;
        let next = numbers(dir).map_err(io)?.last().map_or(1, |last| last + 1);
        Ok(Self { dir: dir.to_path_buf(), kept, next })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a body as the newest checkpoint; when this returns it survives a power cut.
    ///
    /// # Errors
    /// When the disk refuses; the checkpoints before it are untouched.
    pub fn save(&mut self, body: &[u8]) -> Result<(), CheckpointError> {
        let path = self.path(self.next);
        let aside = path.with_extension("partial");
        let io = |source| CheckpointError::Io { path: aside.clone(), source };
        let mut file = File::create(&aside).map_err(io)?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&u64::try_from(body.len()).unwrap_or(u64::MAX).to_le_bytes());
        header.extend_from_slice(&xxh3_64(body).to_le_bytes());
        file.write_all(&header).and_then(|()| file.write_all(body)).map_err(io)?;
        file.sync_all().map_err(io)?;
        fs::rename(&aside, &path).map_err(io)?;
        sync_folder(&self.dir).map_err(io)?;
        self.next += 1;
        self.forget_old();
        Ok(())
    }

    /// The newest whole checkpoint; `None` when there is none. A damaged one is told and passed over
    /// for the one before it, whose offsets lead to the same state.
    ///
    /// # Errors
    /// When one has an unknown version, or all are damaged.
    pub fn load(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let io = |source| CheckpointError::Io { path: self.dir.clone(), source };
        let mut damaged = None;
        for number in numbers(&self.dir).map_err(io)?.into_iter().rev() {
            match read(&self.path(number)) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error @ CheckpointError::UnknownVersion { .. }) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "a checkpoint is passed over");
                    damaged = Some(error);
                }
            }
        }
        damaged.map_or(Ok(None), Err)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:012}.checkpoint"))
    }

    fn forget_old(&self) {
        let Ok(all) = numbers(&self.dir) else { return };
        for number in all.iter().take(all.len().saturating_sub(self.kept)) {
            if let Err(error) = fs::remove_file(self.path(*number)) {
                tracing::warn!(%error, number, "an old checkpoint could not be removed");
            }
        }
    }
}

fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut all: Vec<u64> = fs::read_dir(dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "checkpoint"))
        .filter_map(|path| path.file_stem()?.to_str()?.parse().ok())
        .collect();
    all.sort_unstable();
    Ok(all)
}

/// Version 1 kept the checkpoints of each stream in a folder of its own. To pass over them would count
/// the log again without a word.
fn refuse_first_version(dir: &Path) -> Result<(), CheckpointError> {
    let io = |source| CheckpointError::Io { path: dir.to_path_buf(), source };
    for entry in fs::read_dir(dir).map_err(io)?.filter_map(Result::ok).filter(|entry| entry.path().is_dir()) {
        if let Some(number) = numbers(&entry.path()).map_err(io)?.last() {
            let path = entry.path().join(format!("{number:012}.checkpoint"));
            return Err(CheckpointError::UnknownVersion { path, version: 1 });
        }
    }
    Ok(())
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn read(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let bytes = fs::read(path).map_err(|source| CheckpointError::Io { path: path.to_path_buf(), source })?;
    let damaged = |detail: String| CheckpointError::Damaged { path: path.to_path_buf(), detail };
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(damaged("it is shorter than its header".to_owned()));
    };
    let word = |from: usize| {
        let mut raw = [0; 8];
        header.iter().skip(from).zip(&mut raw).for_each(|(byte, to)| *to = *byte);
        u64::from_le_bytes(raw)
    };
    if header.get(..8) != Some(MAGIC.as_slice()) {
        return Err(damaged("it is no checkpoint".to_owned()));
    }
    let version = u32::try_from(word(8) & 0xFFFF_FFFF).unwrap_or(u32::MAX);
    if version != VERSION {
        return Err(CheckpointError::UnknownVersion { path: path.to_path_buf(), version });
    }
    if word(12) != u64::try_from(body.len()).unwrap_or(u64::MAX) || word(20) != xxh3_64(body) {
        return Err(damaged("its length or checksum is wrong".to_owned()));
    }
    decode(body).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::checkpoint::{StreamToSave, encode};

    fn body(name: &str) -> Vec<u8> {
        let (partitions, dedup, journals) = (&Default::default(), &Default::default(), &Default::default());
        encode(&[StreamToSave { name, hash: "h", partitions, dedup, journals }], &[]).expect("encodes")
    }

    fn stream_of(store: &CheckpointStore) -> String {
        store.load().expect("loads").expect("one").streams.into_keys().next().expect("a stream")
    }

    #[test]
    fn the_newest_whole_checkpoint_is_taken_and_a_damaged_one_passed_over() {
        let dir = tempfile::tempdir().expect("folder");
        let mut store = CheckpointStore::open(dir.path(), 3).expect("opens");
        store.save(&body("first")).expect("saves");
        store.save(&body("second")).expect("saves");
        let newest = store.path(2);
        assert_eq!(stream_of(&store), "second");
        let mut bytes = fs::read(&newest).expect("read");
        *bytes.last_mut().expect("bytes") ^= 1;
        fs::write(&newest, bytes).expect("written");
        assert_eq!(stream_of(&store), "first");
    }

    #[test]
    fn an_unknown_version_is_refused_with_its_number() {
        let dir = tempfile::tempdir().expect("folder");
        let mut store = CheckpointStore::open(dir.path(), 3).expect("opens");
        store.save(&body("a")).expect("saves");
        let mut bytes = fs::read(store.path(1)).expect("read");
        bytes[8] = 9;
        fs::write(store.path(1), bytes).expect("written");
        let error = store.load().expect_err("unknown").to_string();
        assert!(error.contains("version 9"), "{error}");
    }

    #[test]
    fn checkpoints_of_the_first_version_in_their_own_folders_are_refused_with_its_number() {
        let dir = tempfile::tempdir().expect("folder");
        fs::create_dir(dir.path().join("orders")).expect("folder");
        fs::write(dir.path().join("orders/000000000007.checkpoint"), b"TIDEMARK").expect("written");
        let error = CheckpointStore::open(dir.path(), 3).expect_err("old").to_string();
        assert!(error.contains("version 1") && error.contains("orders/000000000007"), "{error}");
    }

    #[test]
    fn only_the_newest_are_kept() {
        let dir = tempfile::tempdir().expect("folder");
        let mut store = CheckpointStore::open(dir.path(), 2).expect("opens");
        for name in ["a", "b", "c"] {
            store.save(&body(name)).expect("saves");
        }
        assert_eq!(numbers(dir.path()).expect("listed"), [2, 3]);
    }
}
