//! What an operator keeps, on disk: one append-only file an operator and partition.
//!
//! A checkpoint names the file and how long it was, so that what was written after it is not believed.
//! When a file has grown to several times what it describes, the operator writes everything anew into
//! the next generation; the one before stays until no kept checkpoint names it. So a checkpoint costs
//! what changed since the last.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::store::CheckpointError;
use crate::model::PartitionId;

/// Which journal: the operator's name and its partition.
pub type JournalKey = (String, PartitionId);

/// A journal as a checkpoint names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalAt {
    /// Which file; a later one holds everything of its own.
    pub generation: u64,
    /// Bytes of it that belong to the checkpoint.
    pub length: u64,
}

/// All journals as of a checkpoint.
pub type JournalsAt = BTreeMap<JournalKey, JournalAt>;

/// The journals of one folder of checkpoints.
#[derive(Debug)]
pub struct Journals {
    dir: PathBuf,
    /// Checkpoints after which a retired file is named by none.
    kept: usize,
    at: JournalsAt,
    /// Files of earlier generations, with the checkpoints that may still name them.
    retired: Vec<(PathBuf, usize)>,
}

impl Journals {
    /// The journals in `dir` as of a checkpoint; `kept` is how many checkpoints are kept.
    #[must_use]
    pub fn new(dir: &Path, kept: usize, at: JournalsAt) -> Self {
        let mut journals = Self { dir: dir.to_path_buf(), kept, at, retired: Vec::new() };
        let current: Vec<PathBuf> = journals.at.iter().map(|(key, at)| journals.path(key, at.generation)).collect();
        let others = files(dir).into_iter().filter(|path| !current.contains(path));
        journals.retired = others.map(|path| (path, kept)).collect();
        journals
    }

    /// The journals as of now, for the checkpoint.
    #[must_use]
    pub fn at(&self) -> &JournalsAt {
        &self.at
    }

    fn path(&self, (operator, partition): &JournalKey, generation: u64) -> PathBuf {
        self.dir.join(format!("{operator}-{partition}-{generation}.journal"))
    }

    /// Appends to a journal; when this returns it survives a power cut.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, key: &JournalKey, bytes: &[u8]) -> Result<(), CheckpointError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let at = self.at.get(key).copied().unwrap_or_default();
        let path = self.path(key, at.generation);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(&path)?;
            // What an interrupted run wrote after its last checkpoint is written over.
            file.set_len(at.length)?;
            file.seek(SeekFrom::Start(at.length))?;
            file.write_all(bytes)?;
            file.sync_data()
        };
        write().map_err(|source| CheckpointError::Io { path: path.clone(), source })?;
        self.retired.retain(|(retired, _)| *retired != path);
        let length = at.length + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.at.insert(key.clone(), JournalAt { length, ..at });
        Ok(())
    }

    /// Begins the next generation of a journal with everything its operator keeps.
    ///
    /// # Errors
    /// When the disk refuses; the journal is then as it was.
    pub fn replace(&mut self, key: &JournalKey, bytes: &[u8]) -> Result<(), CheckpointError> {
        let before = self.at.get(key).copied().unwrap_or_default();
        let next = JournalAt { generation: before.generation + 1, length: 0 };
        self.at.insert(key.clone(), next);
        if let Err(error) = self.append(key, bytes) {
            self.at.insert(key.clone(), before);
            return Err(error);
        }
        self.retired.push((self.path(key, before.generation), self.kept));
        Ok(())
    }

    /// Everything a journal holds as of the checkpoint.
    ///
    /// # Errors
    /// When its file cannot be read or is shorter than the checkpoint says.
    pub fn load(&self, key: &JournalKey) -> Result<Vec<u8>, CheckpointError> {
        let Some(at) = self.at.get(key).filter(|at| at.length > 0) else { return Ok(Vec::new()) };
        let path = self.path(key, at.generation);
        let mut bytes =
            fs::read(&path).map_err(|source| CheckpointError::Io { path: path.clone(), source })?;
        let wanted = usize::try_from(at.length).unwrap_or(usize::MAX);
        if bytes.len() < wanted {
            let detail = format!("{} bytes where the checkpoint says {wanted}", bytes.len());
            return Err(CheckpointError::Damaged { path, detail });
        }
        bytes.truncate(wanted);
        Ok(bytes)
    }

    /// Everything the journals of a partition hold as of the checkpoint, by operator.
    ///
    /// # Errors
    /// As [`Journals::load`].
    pub fn load_all(&self, partition: PartitionId) -> Result<BTreeMap<String, Vec<u8>>, CheckpointError> {
        let own = self.at.keys().filter(|(_, of)| *of == partition);
        own.map(|key| Ok((key.0.clone(), self.load(key)?))).collect()
    }

    /// Removes the files that no kept checkpoint names any more; to be said after each checkpoint.
    pub fn forget_retired(&mut self) {
        for (_, left) in &mut self.retired {
            *left = left.saturating_sub(1);
        }
        let (gone, kept) = std::mem::take(&mut self.retired).into_iter().partition(|(_, left)| *left == 0);
        self.retired = kept;
        let gone: Vec<(PathBuf, usize)> = gone;
        for (path, _) in gone {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, path = %path.display(), "an old journal could not be removed");
            }
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "journal")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> JournalKey {
        ("order_flow".to_owned(), 3)
    }

    #[test]
    fn what_was_written_after_the_checkpoint_is_not_believed() {
        let dir = tempfile::tempdir().expect("folder");
        let mut journals = Journals::new(dir.path(), 3, JournalsAt::new());
        journals.append(&key(), b"one").expect("written");
        let as_of = journals.at().clone();
        journals.append(&key(), b"two").expect("written");
        let mut again = Journals::new(dir.path(), 3, as_of);
        assert_eq!(again.load(&key()).expect("read"), b"one");
        again.append(&key(), b"2").expect("written");
        assert_eq!(again.load(&key()).expect("read"), b"one2");
    }

    #[test]
    fn an_earlier_generation_stays_until_no_kept_checkpoint_names_it() {
        let dir = tempfile::tempdir().expect("folder");
        let mut journals = Journals::new(dir.path(), 2, JournalsAt::new());
        journals.append(&key(), b"long, long").expect("written");
        let as_of = journals.at().clone();
        journals.replace(&key(), b"short").expect("written");
        journals.forget_retired();
        assert_eq!(Journals::new(dir.path(), 2, as_of).load(&key()).expect("read"), b"long, long");
        assert_eq!(journals.load(&key()).expect("read"), b"short");
        journals.forget_retired();
        assert_eq!(files(dir.path()).len(), 1);
        assert_eq!(journals.load(&key()).expect("read"), b"short");
    }

    #[test]
    fn a_journal_cut_short_is_told_with_its_place() {
        let dir = tempfile::tempdir().expect("folder");
        let mut journals = Journals::new(dir.path(), 2, JournalsAt::new());
        journals.append(&key(), b"whole").expect("written");
        fs::write(journals.path(&key(), 0), b"w").expect("written");
        let error = journals.load(&key()).expect_err("damaged").to_string();
        assert!(error.contains("order_flow-3-0.journal") && error.contains("1 bytes"), "{error}");
    }
}
