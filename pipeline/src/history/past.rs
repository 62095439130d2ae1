//! A history as it was: the rows of its files at a version of the table, or at the newest one of a time.
//!
//! A version is what one commit made of the table, and never changes. What was not committed then is not in it. Its
//! files stay for `pipeline.history-keep-hours` after a later commit has put others in their place, and for as long as
//! someone pins it ([`super::Pins`]).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::logstore::commit_uri_from_version;
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::StreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parking_lot::Mutex;

use super::provider::HistoryAt;
use super::stand::{self, OfCut};
use super::table::HistoryTable;

/// Versions that stay loaded, a stream: whoever asks for one asks again.
const LOADED_MAX: usize = 4;
/// Files that are looked for at one time.
const LOOKS_AT_ONCE: usize = 16;
/// How long one that asks of a time waits for a commit of which nobody knows yet of which time it will be.
const COMMIT_MAX: Duration = Duration::from_secs(5);

/// Which state of a history is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This version of its table.
    Version(u64),
    /// The newest version that was committed at or before this instant, epoch milliseconds.
    Time(i64),
}

/// Why a history cannot be had as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PastError {
    /// There is no such version yet.
    #[error("{stream} has no version {version} yet; its newest is {newest}")]
    NotYet {
        /// The stream.
        stream: String,
        /// As asked for.
        version: u64,
        /// The newest there is.
        newest: u64,
    },
    /// The first version that is left was committed later.
    #[error("{stream} has no version of that time any more, or had none yet; ask for a later time")]
    Before {
        /// The stream.
        stream: String,
    },
    /// A commit of about that time has not come to an end.
    #[error(
        "{stream} is being committed to, and nobody knows yet of which time that will be; ask again in a moment, or for an \
         earlier time"
    )]
    UnderWay {
        /// The stream.
        stream: String,
    },
    /// Files of the version are gone.
    #[error(
        "version {version} of {stream} is no longer kept: files of it were deleted after pipeline.history-keep-hours; \
         ask for a later one"
    )]
    Forgotten {
        /// The stream.
        stream: String,
        /// The version.
        version: u64,
    },
    /// The table refuses.
    #[error("the history of stream {stream} at {place}: {detail}")]
    Table {
        /// The stream.
        stream: String,
        /// Where the table is.
        place: String,
        /// The table's own words.
        detail: String,
    },
}

/// A history as it was at one version.
#[derive(Debug, Clone)]
pub struct PastHistory {
    /// Its rows, none of which was waiting for its commit.
    pub rows: HistoryAt,
    /// The version of the table.
    pub version: u64,
    /// When it was committed, epoch milliseconds by the clock of where the table is.
    pub committed_at: i64,
    /// The table's own name for itself; another one begins with other versions.
    pub table_id: String,
    /// The cut it is of; `None` for one that does not say so.
    pub of: Option<OfCut>,
}

/// The versions that were loaded last; shared by all clones of a table.
#[derive(Clone, Default)]
pub(super) struct Loaded(Arc<Mutex<VecDeque<DeltaTable>>>);

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} versions", self.0.lock().len())
    }
}

impl Loaded {
    fn get(&self, version: u64) -> Option<DeltaTable> {
        self.0.lock().iter().find(|table| table.version() == Some(version)).cloned()
    }

    fn put(&self, table: DeltaTable) {
        let mut loaded = self.0.lock();
        loaded.push_back(table);
        while loaded.len() > LOADED_MAX {
            loaded.pop_front();
        }
    }
}

impl HistoryAt {
    /// The history as it was.
    ///
    /// # Errors
    /// When it never was so, is no longer kept so, or the place refuses.
    pub async fn past(&self, wanted: Wanted) -> Result<PastHistory, PastError> {
        let table = self.table();
        let version = match wanted {
            Wanted::Version(version) => {
                let (stream, newest) = (table.stream().to_owned(), table.newest().await?);
                if version > newest {
                    return Err(PastError::NotYet { stream, version, newest });
                }
                version
            }
            Wanted::Time(ms) => table.version_of(ms).await?,
        };
        let committed_at = table.committed_at(version).await?;
        let committed_at = committed_at.ok_or_else(|| table.forgotten(version))?;
        let past = table.load(version).await?;
        table.check_whole(&past, version).await?;
        let snapshot = past.snapshot().map_err(|error| table.broken(&error))?;
        let table_id = snapshot.metadata().id().to_string();
        let rows = self.with_table(table.at(past));
        let of = table.of_cut(version).await?;
        Ok(PastHistory { rows, version, committed_at, table_id, of })
    }
}

impl HistoryAt {
    /// The versions whose commits are left, the oldest first, with when each was committed, epoch milliseconds. Of the
    /// older ones the files may be gone.
    ///
    /// # Errors
    /// When the place refuses.
    pub async fn versions(&self) -> Result<Vec<(u64, i64)>, PastError> {
        let table = self.table();
        let log = table.delta().log_store();
        let store = log.object_store(None);
        let mut listed = store.list(Some(log.log_path()));
        let mut versions = Vec::new();
        while let Some(found) = listed.next().await {
            let found = found.map_err(|error| table.broken(&error))?;
            let number = found.location.filename().and_then(|name| name.strip_suffix(".json"));
            let number = number.and_then(|number| number.parse().ok());
            versions.extend(number.map(|number| (number, found.last_modified.timestamp_millis())));
        }
        versions.sort_unstable();
        Ok(versions)
    }
}

impl HistoryTable {
    fn broken(&self, error: &dyn std::error::Error) -> PastError {
        PastError::Table {
            stream: self.stream().to_owned(),
            place: self.place().to_owned(),
            detail: error.to_string(),
        }
    }

    fn forgotten(&self, version: u64) -> PastError {
        PastError::Forgotten { stream: self.stream().to_owned(), version }
    }

    /// The newest version there is, which may be newer than this one.
    async fn newest(&self) -> Result<u64, PastError> {
        let log = self.delta().log_store();
        let newest = log.get_latest_version(self.version()).await;
        newest.map_err(|error| self.broken(&error))
    }

    /// When a version was committed; `None` where its commit is gone.
    async fn committed_at(&self, version: u64) -> Result<Option<i64>, PastError> {
        let store = self.delta().log_store().object_store(None);
        match store.head(&commit_uri_from_version(Some(version))).await {
            Ok(found) => Ok(Some(found.last_modified.timestamp_millis())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// The cut that a version is of; `None` where its commit does not say so.
    async fn of_cut(&self, version: u64) -> Result<Option<OfCut>, PastError> {
        let commit = self.delta().log_store().read_commit_entry(version).await;
        let commit = commit.map_err(|error| self.broken(&error))?;
        Ok(commit.and_then(|text| stand::of_commit(&text)))
    }

    /// The newest version that was committed by then. Commits follow one another in time, and those that are gone are before
    /// those that are left. One that adds or takes rows and is under way is waited for, so that the same time is always told
    /// the same rows; one that only puts files together is not.
    async fn version_of(&self, ms: i64) -> Result<u64, PastError> {
        if !self.under_way().past(ms, COMMIT_MAX).await {
            return Err(PastError::UnderWay { stream: self.stream().to_owned() });
        }
        let newest = self.newest().await?;
        let before = || PastError::Before { stream: self.stream().to_owned() };
        let (mut low, mut high) = (0, newest + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.committed_at(middle).await?.is_none_or(|at| at <= ms) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let version = low.checked_sub(1).ok_or_else(before)?;
        let is_left = self.committed_at(version).await?.is_some();
        is_left.then_some(version).ok_or_else(before)
    }

    async fn load(&self, version: u64) -> Result<DeltaTable, PastError> {
        if let Some(loaded) = self.loaded().get(version) {
            return Ok(loaded);
        }
        let mut table = DeltaTable::new(self.delta().log_store());
        match table.load_version(version).await {
            Ok(()) => {
                self.loaded().put(table.clone());
                Ok(table)
            }
            // What is before the first commit that is left cannot be put together.
            Err(DeltaTableError::InvalidVersion(_)) => Err(self.forgotten(version)),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Files that are no longer in the table may have been deleted.
    async fn check_whole(&self, past: &DeltaTable, version: u64) -> Result<(), PastError> {
        let now = files(self.delta()).map_err(|error| self.broken(&error))?;
        let then = files(past).map_err(|error| self.broken(&error))?;
        let replaced: Vec<Path> = then.into_iter().filter(|file| !now.contains(file)).collect();
        let store: Arc<dyn ObjectStore> = self.delta().log_store().object_store(None);
        let looks = futures::stream::iter(replaced).map(|file| {
            let store = Arc::clone(&store);
            async move { store.head(&file).await }
        });
        let mut looks = looks.buffer_unordered(LOOKS_AT_ONCE);
        while let Some(found) = looks.next().await {
            match found {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => return Err(self.forgotten(version)),
                Err(error) => return Err(self.broken(&error)),
            }
        }
        Ok(())
    }
}

fn files(table: &DeltaTable) -> Result<BTreeSet<Path>, DeltaTableError> {
    let files = table.snapshot()?.log_data().into_iter();
    Ok(files.map(|file| file.object_store_path()).collect())
}
