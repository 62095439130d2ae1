//! The ledgers of a data folder on disk: keyed entries, and how much each ledger holds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable as _,
};
use parking_lot::Mutex;

use super::entry::{Change, Entry, EntryId, LedgerKind, prefix};
use crate::model::{Offset, PartitionId};

/// What went wrong with the ledgers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another process has the folder.
    #[error(
        "the ledgers in {place} are in use by another process; stop it, or choose another --data-dir"
    )]
    Locked {
        /// The folder.
        place: String,
    },
    /// The disk, or what stands on it.
    #[error("the ledgers in {place}: {detail}")]
    Store {
        /// The folder.
        place: String,
        /// The store's own words.
        detail: String,
    },
}

/// How much a ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Entries.
    pub rows: u64,
    /// Bytes of their keys and contents, before compression.
    pub bytes: u64,
}

/// One result space's ledger.
type Name = (String, LedgerKind);

/// The ledgers of all streams and result spaces. One process a folder.
pub struct LedgerStore {
    dir: PathBuf,
    database: Database,
    totals: Keyspace,
    /// Also held while entries and totals are written, so that both are of one moment.
    held: Mutex<BTreeMap<Name, Total>>,
}

impl fmt::Debug for LedgerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LedgerStore({})", self.dir.display())
    }
}

/// Bytes of recently read blocks kept in memory.
const CACHE_BYTES: u64 = 8 * 1_024 * 1_024;
/// Bytes of journal before the store is made to write its files, the most a start has to replay.
const JOURNAL_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

impl LedgerStore {
    /// Opens the ledgers in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// When another process has it, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Arc<Self>, LedgerError> {
        let opened = || -> fjall::Result<_> {
            let database = Database::builder(dir)
                .worker_threads(1)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES_MAX)
                .open()?;
            let totals = database.keyspace("totals", KeyspaceCreateOptions::default)?;
            Ok((database, totals))
        };
        let (database, totals) = opened().map_err(|error| refused(dir, error))?;
        let store = Self { dir: dir.to_path_buf(), database, totals, held: Mutex::default() };
        store.load_totals()?;
        Ok(Arc::new(store))
    }

    fn load_totals(&self) -> Result<(), LedgerError> {
        let mut held = self.held.lock();
        for item in self.totals.iter() {
            let (key, value) = item.into_inner().map_err(|error| refused(&self.dir, error))?;
            let name = std::str::from_utf8(&key).ok().and_then(|name| name.split_once('.'));
            let name =
                name.and_then(|(space, table)| Some((space.to_owned(), LedgerKind::named(table)?)));
            match (name, value.as_chunks::<8>()) {
                (Some(name), ([rows, bytes], [])) => {
                    let total = Total {
                        rows: u64::from_le_bytes(*rows),
                        bytes: u64::from_le_bytes(*bytes),
                    };
                    held.insert(name, total);
                }
                _ => return Err(self.damaged("a total is not one of this program's")),
            }
        }
        Ok(())
    }

    /// How much a ledger of a result space holds.
    #[must_use]
    pub fn total(&self, space: &str, ledger: LedgerKind) -> Total {
        self.held.lock().get(&(space.to_owned(), ledger)).copied().unwrap_or_default()
    }

    /// Writes changes in order, all or none. They survive the process; [`LedgerStore::persist`] makes
    /// them survive a power cut.
    ///
    /// # Errors
    /// When the disk refuses; the store then takes no more writes until it is opened again.
    pub fn apply(&self, space: &str, changes: &[Change]) -> Result<(), LedgerError> {
        let mut writing = Writing::begin(self, space);
        for change in changes {
            match change {
                Change::Begins(ledger, entry) => match writing.get(*ledger, &entry.id)? {
                    Some(before) => writing.put(*ledger, &entry.clone().after(before))?,
                    None => writing.put(*ledger, entry)?,
                },
                Change::Ends { ledger, id, until } => {
                    if let Some(mut entry) = writing.get(*ledger, id)? {
                        entry.until = Some(*until);
                        writing.put(*ledger, &entry)?;
                    }
                }
            }
        }
        writing.commit()
    }

    /// Takes the entries of a partition back to where `next_offset` is the next record to be read: what
    /// later records brought about is removed, and what they ended stands again.
    ///
    /// # Errors
    /// As [`LedgerStore::apply`].
    pub fn rewind(
        &self,
        space: &str,
        (stream, partition): (&str, PartitionId),
        next_offset: Offset,
    ) -> Result<(), LedgerError> {
        self.each_of(space, &prefix(stream, partition), &mut |writing, ledger, entry| {
            writing.replace(ledger, &entry, entry.clone().taken_back(next_offset))
        })
    }

    /// Removes what ended before `offset` in a partition, which no reader asks for any more.
    ///
    /// # Errors
    /// As [`LedgerStore::apply`].
    pub fn forget_ended(
        &self,
        space: &str,
        (stream, partition): (&str, PartitionId),
        offset: Offset,
    ) -> Result<(), LedgerError> {
        let mut writing = Writing::begin(self, space);
        for entry in self.scan_from(space, LedgerKind::Unmatched, &prefix(stream, partition))? {
            let entry = entry?;
            let left = entry.clone().from_offset_on(offset);
            writing.replace(LedgerKind::Unmatched, &entry, left)?;
        }
        writing.commit()
    }

    /// Removes the entries about a view that is no more, or is computed again.
    ///
    /// # Errors
    /// As [`LedgerStore::apply`].
    pub fn forget_view(&self, space: &str, view: &str) -> Result<(), LedgerError> {
        let mut writing = Writing::begin(self, space);
        for entry in self.scan(space, LedgerKind::Late)? {
            let entry = entry?;
            if entry.id.part == view {
                writing.remove(LedgerKind::Late, &entry.id)?;
            }
        }
        writing.commit()
    }

    /// Removes entries that someone has dealt with; how many there were.
    ///
    /// # Errors
    /// As [`LedgerStore::apply`].
    pub fn remove(
        &self,
        space: &str,
        ledger: LedgerKind,
        ids: &[EntryId],
    ) -> Result<usize, LedgerError> {
        let mut writing = Writing::begin(self, space);
        let mut removed = 0;
        for id in ids {
            if writing.get(ledger, id)?.is_some() {
                writing.remove(ledger, id)?;
                removed += 1;
            }
        }
        writing.commit()?;
        Ok(removed)
    }

    fn each_of(
        &self,
        space: &str,
        prefix: &[u8],
        act: &mut dyn FnMut(&mut Writing<'_>, LedgerKind, Entry) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut writing = Writing::begin(self, space);
        for ledger in LedgerKind::ALL {
            for entry in self.scan_from(space, ledger, prefix)? {
                act(&mut writing, ledger, entry?)?;
            }
        }
        writing.commit()
    }

    /// Makes everything written so far survive a power cut.
    ///
    /// # Errors
    /// As [`LedgerStore::apply`].
    pub fn persist(&self) -> Result<(), LedgerError> {
        self.database.persist(PersistMode::SyncData).map_err(|error| refused(&self.dir, error))
    }

    /// All entries of a ledger in the order of their places, as they are now.
    ///
    /// # Errors
    /// When the ledger cannot be opened; each entry can be damaged by itself.
    pub fn scan(
        &self,
        space: &str,
        ledger: LedgerKind,
    ) -> Result<impl Iterator<Item = Result<Entry, LedgerError>> + Send + use<>, LedgerError> {
        self.scan_from(space, ledger, &[])
    }

    fn scan_from(
        &self,
        space: &str,
        ledger: LedgerKind,
        prefix: &[u8],
    ) -> Result<impl Iterator<Item = Result<Entry, LedgerError>> + Send + use<>, LedgerError> {
        let keyspace = self.keyspace(space, ledger)?;
        let dir = self.dir.clone();
        let entries = self.database.snapshot().prefix(&keyspace, prefix);
        Ok(entries.map(move |item| {
            let (key, value) = item.into_inner().map_err(|error| refused(&dir, error))?;
            Entry::decode(&key, &value).map_err(|detail| LedgerError::Store {
                place: dir.display().to_string(),
                detail: format!("an entry of {} cannot be read: {detail}", ledger.table()),
            })
        }))
    }

    fn keyspace(&self, space: &str, ledger: LedgerKind) -> Result<Keyspace, LedgerError> {
        let opened =
            self.database.keyspace(&name_of(space, ledger), KeyspaceCreateOptions::default);
        opened.map_err(|error| refused(&self.dir, error))
    }

    fn damaged(&self, detail: &str) -> LedgerError {
        LedgerError::Store { place: self.dir.display().to_string(), detail: detail.to_owned() }
    }
}

fn name_of(space: &str, ledger: LedgerKind) -> String {
    format!("{space}.{}", ledger.table())
}

fn refused(dir: &Path, error: fjall::Error) -> LedgerError {
    let place = dir.display().to_string();
    match error {
        fjall::Error::Locked => LedgerError::Locked { place },
        other => LedgerError::Store { place, detail: other.to_string() },
    }
}

/// Changes of one result space on their way to disk, with what they make of the totals.
struct Writing<'a> {
    store: &'a LedgerStore,
    space: &'a str,
    batch: OwnedWriteBatch,
    keyspaces: BTreeMap<LedgerKind, Keyspace>,
    /// What this batch has done so far, which the disk does not know yet.
    done: BTreeMap<(LedgerKind, Vec<u8>), Option<Vec<u8>>>,
    held: parking_lot::MutexGuard<'a, BTreeMap<Name, Total>>,
    totals: BTreeMap<LedgerKind, Total>,
}

impl<'a> Writing<'a> {
    fn begin(store: &'a LedgerStore, space: &'a str) -> Self {
        Self {
            batch: store.database.batch(),
            keyspaces: BTreeMap::new(),
            done: BTreeMap::new(),
            held: store.held.lock(),
            totals: BTreeMap::new(),
            store,
            space,
        }
    }

    fn keyspace(&mut self, ledger: LedgerKind) -> Result<Keyspace, LedgerError> {
        if let Some(found) = self.keyspaces.get(&ledger) {
            return Ok(found.clone());
        }
        let opened = self.store.keyspace(self.space, ledger)?;
        self.keyspaces.insert(ledger, opened.clone());
        Ok(opened)
    }

    fn stored(&mut self, ledger: LedgerKind, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        if let Some(done) = self.done.get(&(ledger, key.to_vec())) {
            return Ok(done.clone());
        }
        let found =
            self.keyspace(ledger)?.get(key).map_err(|error| refused(&self.store.dir, error))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn get(&mut self, ledger: LedgerKind, id: &EntryId) -> Result<Option<Entry>, LedgerError> {
        let key = id.encode();
        let found = self.stored(ledger, &key)?;
        let read = found.map(|value| Entry::decode(&key, &value)).transpose();
        read.map_err(|detail| self.store.damaged(&detail))
    }

    fn put(&mut self, ledger: LedgerKind, entry: &Entry) -> Result<(), LedgerError> {
        let (key, value) = (entry.id.encode(), entry.encode());
        self.set(ledger, key, Some(value))
    }

    fn remove(&mut self, ledger: LedgerKind, id: &EntryId) -> Result<(), LedgerError> {
        self.set(ledger, id.encode(), None)
    }

    /// Writes what has become of an entry; nothing when it is as it was.
    fn replace(
        &mut self,
        ledger: LedgerKind,
        before: &Entry,
        after: Option<Entry>,
    ) -> Result<(), LedgerError> {
        match after {
            None => self.remove(ledger, &before.id),
            Some(after) if after != *before => self.put(ledger, &after),
            Some(_) => Ok(()),
        }
    }

    fn set(
        &mut self,
        ledger: LedgerKind,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
    ) -> Result<(), LedgerError> {
        let before = self.stored(ledger, &key)?;
        let keyspace = self.keyspace(ledger)?;
        let begun = self.held.get(&(self.space.to_owned(), ledger)).copied().unwrap_or_default();
        let total = self.totals.entry(ledger).or_insert(begun);
        let size = |value: &Vec<u8>| u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX);
        if let Some(before) = &before {
            total.rows = total.rows.saturating_sub(1);
            total.bytes = total.bytes.saturating_sub(size(before));
        }
        if let Some(value) = &value {
            total.rows += 1;
            total.bytes += size(value);
        }
        match &value {
            Some(value) => self.batch.insert(&keyspace, key.clone(), value.clone()),
            None => self.batch.remove(&keyspace, key.clone()),
        }
        self.done.insert((ledger, key), value);
        Ok(())
    }

    fn commit(mut self) -> Result<(), LedgerError> {
        if self.totals.is_empty() {
            return Ok(());
        }
        for (ledger, total) in &self.totals {
            let mut value = total.rows.to_le_bytes().to_vec();
            value.extend_from_slice(&total.bytes.to_le_bytes());
            self.batch.insert(&self.store.totals, name_of(self.space, *ledger), value);
        }
        self.batch.commit().map_err(|error| refused(&self.store.dir, error))?;
        for (ledger, total) in self.totals {
            self.held.insert((self.space.to_owned(), ledger), total);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
