//! What an operator keeps, on disk: one append-only log an operator and partition.
//!
//! A checkpoint names the log and how much of it belongs to it, so that what was written after it is not
//! believed. When a log has grown to several times what it describes, the operator writes everything anew
//! into the next generation; the one before stays until no kept checkpoint names it. So a checkpoint costs
//! what changed since the last.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::log_files::{LogAt, LogFiles};
use super::objects::Objects;
use super::store::CheckpointError;
use crate::fail_points;
use crate::model::PartitionId;

/// Which journal: the operator's name and its partition.
pub type JournalKey = (String, PartitionId);

/// A journal as a checkpoint names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalAt {
    /// Which log; a later one holds everything of its own.
    pub generation: u64,
    /// Where it is.
    pub log: LogAt,
}

/// All journals as of a checkpoint.
pub type JournalsAt = BTreeMap<JournalKey, JournalAt>;

/// The journals of one stream.
#[derive(Debug)]
pub struct Journals {
    logs: LogFiles,
    at: JournalsAt,
}

impl Journals {
    /// The journals of a stream as of a checkpoint; `kept` is how many checkpoints are kept.
    ///
    /// # Errors
    /// When the place cannot be listed.
    pub fn open(
        objects: &Arc<dyn Objects>,
        stream: &str,
        kept: usize,
        at: JournalsAt,
    ) -> Result<Self, CheckpointError> {
        let named = at.values().map(|journal| &journal.log);
        let logs = LogFiles::open(Arc::clone(objects), (stream, ".journal"), kept, named)?;
        Ok(Self { logs, at })
    }

    /// The journals as of now, for the checkpoint.
    #[must_use]
    pub fn at(&self) -> &JournalsAt {
        &self.at
    }

    /// Appends to a journal; when this returns it survives a power cut.
    ///
    /// # Errors
    /// When the place refuses; the journal is then as it was.
    pub fn append(&mut self, key: &JournalKey, bytes: &[u8]) -> Result<(), CheckpointError> {
        let at = self.at.get(key).cloned().unwrap_or_default();
        self.write(key, at, bytes)
    }

    /// Begins the next generation of a journal with everything its operator keeps.
    ///
    /// # Errors
    /// When the place refuses; the journal is then as it was.
    pub fn replace(&mut self, key: &JournalKey, bytes: &[u8]) -> Result<(), CheckpointError> {
        let before = self.at.get(key).cloned().unwrap_or_default();
        let next = JournalAt { generation: before.generation + 1, log: LogAt::default() };
        self.write(key, next, bytes)?;
        self.logs.retire(before.log);
        Ok(())
    }

    fn write(
        &mut self,
        key: &JournalKey,
        at: JournalAt,
        bytes: &[u8],
    ) -> Result<(), CheckpointError> {
        fail_points::hit("journal-append");
        let (operator, partition) = key;
        let name = format!("{operator}-{partition}-{}.journal", at.generation);
        let log = self.logs.append(&at.log, &name, bytes)?;
        self.at.insert(key.clone(), JournalAt { log, ..at });
        Ok(())
    }

    /// Everything a journal holds as of the checkpoint.
    ///
    /// # Errors
    /// When its log cannot be read or is shorter than the checkpoint says.
    pub fn load(&self, key: &JournalKey) -> Result<Vec<u8>, CheckpointError> {
        self.at.get(key).map_or(Ok(Vec::new()), |at| self.logs.read(&at.log, 0))
    }

    /// Everything the journals of a partition hold as of the checkpoint, by operator.
    ///
    /// # Errors
    /// As [`Journals::load`].
    pub fn load_all(
        &self,
        partition: PartitionId,
    ) -> Result<BTreeMap<String, Vec<u8>>, CheckpointError> {
        let own = self.at.keys().filter(|(_, of)| *of == partition);
        own.map(|key| Ok((key.0.clone(), self.load(key)?))).collect()
    }

    /// Removes the logs that no kept checkpoint names any more; to be said after each checkpoint.
    pub fn checkpoint_written(&mut self) {
        self.logs.checkpoint_written();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::objects::Disk;

    fn key() -> JournalKey {
        ("order_flow".to_owned(), 3)
    }

    fn journals(dir: &tempfile::TempDir, at: JournalsAt) -> Journals {
        let objects: Arc<dyn Objects> = Arc::new(Disk::open(dir.path()).expect("opens"));
        Journals::open(&objects, "orders", 2, at).expect("opens")
    }

    #[test]
    fn what_was_written_after_the_checkpoint_is_not_believed() {
        let dir = tempfile::tempdir().expect("folder");
        let mut before = journals(&dir, JournalsAt::new());
        before.append(&key(), b"one").expect("written");
        let as_of = before.at().clone();
        before.append(&key(), b"two").expect("written");
        let mut again = journals(&dir, as_of);
        assert_eq!(again.load(&key()).expect("read"), b"one");
        again.append(&key(), b"2").expect("written");
        assert_eq!(again.load(&key()).expect("read"), b"one2");
    }

    #[test]
    fn an_earlier_generation_stays_until_no_kept_checkpoint_names_it() {
        let dir = tempfile::tempdir().expect("folder");
        let mut journals = journals(&dir, JournalsAt::new());
        journals.append(&key(), b"long, long").expect("written");
        let as_of = journals.at().clone();
        journals.replace(&key(), b"short").expect("written");
        journals.checkpoint_written();
        assert_eq!(self::journals(&dir, as_of).load(&key()).expect("read"), b"long, long");
        assert_eq!(journals.load(&key()).expect("read"), b"short");
        journals.checkpoint_written();
        assert_eq!(std::fs::read_dir(dir.path().join("orders")).expect("listed").count(), 1);
        assert_eq!(journals.load(&key()).expect("read"), b"short");
    }

    #[test]
    fn a_journal_cut_short_is_told_with_its_place() {
        let dir = tempfile::tempdir().expect("folder");
        let mut journals = journals(&dir, JournalsAt::new());
        journals.append(&key(), b"whole").expect("written");
        std::fs::write(dir.path().join("orders/order_flow-3-0.journal"), b"w").expect("written");
        let error = journals.load(&key()).expect_err("damaged").to_string();
        assert!(error.contains("order_flow-3-0.journal") && error.contains("1 bytes"), "{error}");
    }
}
