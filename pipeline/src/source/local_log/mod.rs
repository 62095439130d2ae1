//! The embedded log: streams of partitions on local disk, for the demo, ingest and tests.
//!
//! It promises what Kafka does to a single reader: offsets from 0 without gaps, order per
//! partition, and an append that returned is on disk (`fdatasync`). Records lie in blocks, one
//! value of the store per partition and append, with a small summary beside each for times and
//! retention. One process has a directory at a time.

mod append;
mod block;
mod place;
mod reader;
mod retain;
mod stream;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use parking_lot::Mutex;

pub use reader::{LocalLogReader, LocalLogSource};
pub use retain::Retention;
pub use writer::LocalLogWriter;

use crate::model::{Offset, PartitionId};
use crate::source::writer::NewRecord;
use crate::source::{Bounds, SourceError};
use stream::{Stream, StreamMeta};

/// Most partitions of a stream; each keeps a lock and a few numbers in memory.
pub const PARTITIONS_MAX: u32 = 4_096;

/// Bytes of the write buffer of the block store before it goes to its own files.
const MEMTABLE_BYTES_MAX: u64 = 16 * 1_024 * 1_024;

/// Bytes of recently read blocks kept in memory.
const CACHE_BYTES_MAX: u64 = 16 * 1_024 * 1_024;

/// Bytes of journal before the store is made to write its files, the most a start has to replay.
const JOURNAL_BYTES_MAX: u64 = 128 * 1_024 * 1_024;

/// Where one record was written.
pub type Appended = (PartitionId, Offset);

/// A directory of durable streams. Cloning gives another handle to the same log.
#[derive(Clone)]
pub struct LocalLog {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    database: Database,
    blocks: Keyspace,
    summaries: Keyspace,
    metas: Keyspace,
    streams: Mutex<BTreeMap<String, Arc<Stream>>>,
}

impl LocalLog {
    /// Opens the log in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// [`SourceError::Locked`] when another opener has it, [`SourceError::Damaged`] when what is
    /// there cannot be read, [`SourceError::Unreachable`] when the disk refuses.
    pub fn open(dir: &Path) -> Result<Self, SourceError> {
        let opened = || -> fjall::Result<_> {
            let database = Database::builder(dir)
                .worker_threads(1)
                .cache_size(CACHE_BYTES_MAX)
                .max_journaling_size(JOURNAL_BYTES_MAX)
                .open()?;
            let blocks = database.keyspace("blocks", block_options)?;
            let summaries = database.keyspace("summaries", KeyspaceCreateOptions::default)?;
            let metas = database.keyspace("streams", KeyspaceCreateOptions::default)?;
            Ok((database, blocks, summaries, metas))
        };
        let (database, blocks, summaries, metas) =
            opened().map_err(|error| cannot_open(dir, error))?;
        let streams = Mutex::new(BTreeMap::new());
        let shared = Shared { dir: dir.to_owned(), database, blocks, summaries, metas, streams };
        let log = Self { shared: Arc::new(shared) };
        log.load()?;
        Ok(log)
    }

    /// Makes a stream, or takes the one there is when it has as many partitions. The retention
    /// given here is the one that holds from now on.
    ///
    /// # Errors
    /// [`SourceError::PartitionCount`] when the stream has another number of partitions,
    /// [`SourceError::BadOption`] when the number is 0 or over [`PARTITIONS_MAX`].
    pub fn create_stream(
        &self,
        name: &str,
        partitions: u32,
        retention: Retention,
    ) -> Result<(), SourceError> {
        check_partitions(name, partitions)?;
        let mut streams = self.shared.streams.lock();
        if let Some(found) = streams.get(name) {
            found.check_count(partitions)?;
            found.set_retention(retention);
            return self.shared.save(&found.meta());
        }
        let id = streams.values().map(|stream| stream.id() + 1).max().unwrap_or(0);
        let meta = StreamMeta { name: name.to_owned(), id, partitions, retention };
        self.shared.save(&meta)?;
        streams.insert(name.to_owned(), Arc::new(Stream::empty(meta)));
        Ok(())
    }

    /// Gives a stream that has fewer partitions the ones it lacks, without a record; another stream, or one that
    /// has as many or more, stays as it is. Sources and writers that were made before know the old ones only.
    ///
    /// # Errors
    /// [`SourceError::BadOption`] when the number is 0 or over [`PARTITIONS_MAX`], [`SourceError::Write`] when the
    /// disk refuses.
    pub fn grow_stream(&self, name: &str, partitions: u32) -> Result<(), SourceError> {
        check_partitions(name, partitions)?;
        let mut streams = self.shared.streams.lock();
        let Some(found) = streams.get(name).filter(|found| found.count() < partitions) else {
            return Ok(());
        };
        let meta = StreamMeta { partitions, ..found.meta() };
        self.shared.save(&meta)?;
        let grown = Stream::recover(&self.shared, meta)?;
        streams.insert(name.to_owned(), Arc::new(grown));
        Ok(())
    }

    /// Names and numbers of partitions of the streams there are, by name.
    #[must_use]
    pub fn streams(&self) -> Vec<(String, u32)> {
        let streams = self.shared.streams.lock();
        streams.iter().map(|(name, stream)| (name.clone(), stream.count())).collect()
    }

    /// Appends records, each to its own partition or its key's, in the order given. On return all
    /// of them are on disk and readers that wait have been woken; after an error none of them is
    /// readable.
    ///
    /// # Errors
    /// [`SourceError::MissingTopic`] for an unknown stream, [`SourceError::Write`] when the disk
    /// refused; the store then takes no more writes until it is opened again.
    pub fn append(
        &self,
        stream: &str,
        records: &[NewRecord<'_>],
    ) -> Result<Vec<Appended>, SourceError> {
        append::append(&self.shared, &*self.stream(stream)?, records)
    }

    /// A source over one stream.
    ///
    /// # Errors
    /// [`SourceError::MissingTopic`] for an unknown stream.
    pub fn source(&self, stream: &str) -> Result<LocalLogSource, SourceError> {
        Ok(LocalLogSource::new(Arc::clone(&self.shared), self.stream(stream)?))
    }

    /// A buffering writer to one stream.
    ///
    /// # Errors
    /// [`SourceError::MissingTopic`] for an unknown stream.
    pub fn writer(&self, stream: &str) -> Result<LocalLogWriter, SourceError> {
        Ok(LocalLogWriter::new(Arc::clone(&self.shared), self.stream(stream)?))
    }

    /// First and end offset of a partition.
    ///
    /// # Errors
    /// [`SourceError::MissingTopic`] for an unknown stream or partition.
    pub fn bounds(&self, stream: &str, partition: PartitionId) -> Result<Bounds, SourceError> {
        self.stream(stream)?.bounds(partition)
    }

    fn stream(&self, name: &str) -> Result<Arc<Stream>, SourceError> {
        let found = self.shared.streams.lock().get(name).map(Arc::clone);
        found.ok_or_else(|| SourceError::MissingTopic {
            topic: name.to_owned(),
            place: self.shared.dir.display().to_string(),
        })
    }

    fn load(&self) -> Result<(), SourceError> {
        for entry in self.shared.metas.iter() {
            let (_, value) = entry.into_inner().map_err(|error| self.shared.unreadable(error))?;
            let meta: StreamMeta = serde_json::from_slice(&value)
                .map_err(|error| self.shared.damaged("list of streams", &error.to_string()))?;
            let stream = Stream::recover(&self.shared, meta)?;
            self.shared.streams.lock().insert(stream.name().to_owned(), Arc::new(stream));
        }
        Ok(())
    }
}

impl Shared {
    fn save(&self, meta: &StreamMeta) -> Result<(), SourceError> {
        let text = serde_json::to_vec(meta).map_err(|error| self.unwritten(&error))?;
        let saved = self.metas.insert(meta.name.as_bytes(), text);
        saved
            .and_then(|()| self.database.persist(PersistMode::SyncAll))
            .map_err(|error| self.unwritten(&error))
    }

    fn unreadable(&self, error: fjall::Error) -> SourceError {
        let place = self.dir.display().to_string();
        SourceError::Read { place, detail: error.to_string() }
    }

    fn unwritten(&self, error: &dyn std::error::Error) -> SourceError {
        let place = self.dir.display().to_string();
        SourceError::Write { place, detail: error.to_string() }
    }

    fn damaged(&self, what: &str, detail: &str) -> SourceError {
        let place = format!("{} in {}", what, self.dir.display());
        SourceError::Damaged { place, detail: detail.to_owned() }
    }
}

/// Blocks go to blob files, which are not rewritten when keys are merged: an append is written twice
/// (journal, file) and then left alone.
fn block_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES_MAX)
        .with_kv_separation(Some(KvSeparationOptions::default()))
}

fn cannot_open(dir: &Path, error: fjall::Error) -> SourceError {
    let place = dir.display().to_string();
    match error {
        fjall::Error::Locked => SourceError::Locked { place },
        fjall::Error::Io(error) => SourceError::Unreachable { place, detail: error.to_string() },
        other => SourceError::Damaged { place, detail: other.to_string() },
    }
}

fn check_partitions(name: &str, partitions: u32) -> Result<(), SourceError> {
    if name.is_empty() || !(1..=PARTITIONS_MAX).contains(&partitions) {
        return Err(SourceError::BadOption {
            option: "partitions".to_owned(),
            detail: format!(
                "stream '{name}' with {partitions}: needs a name and 1 to {PARTITIONS_MAX}"
            ),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
