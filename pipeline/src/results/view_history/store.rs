//! The entries of all views in an embedded store, in segments: how they are written, forgotten and read.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable as _};
use parking_lot::Mutex;

use super::ViewHistoryError;
use super::entry::{Entry, Kind, Place, Told, prefix, schema_bytes};
use super::looks::{Looks, LooksError};
use super::rows::Rows;

/// Bytes of recently read blocks kept in memory.
const CACHE_BYTES: u64 = 8 * 1_024 * 1_024;
/// Bytes of journal before the store is made to write its files, the most a start has to replay.
const JOURNAL_BYTES_MAX: u64 = 64 * 1_024 * 1_024;
/// Bytes of changes a segment has at least before another begins: some hundred seconds of a small view.
const SEGMENT_BYTES_MIN: u64 = if cfg!(test) { 2_048 } else { 256 * 1_024 };
/// Entries that are removed at one time.
const REMOVED_AT_ONCE: usize = 1_000;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Milliseconds for which the rows of any instant are kept.
    pub age_ms: i64,
    /// Bytes of all entries, before compression; past it the oldest segments go, however young they are.
    pub bytes_max: u64,
}

/// A view as it was shown.
#[derive(Debug, Clone)]
pub struct ViewThen {
    /// Its columns then.
    pub schema: SchemaRef,
    /// Its rows.
    pub rows: RecordBatch,
    /// When they were looked at, epoch milliseconds: the last look at or before the instant that was asked for.
    pub at: i64,
    /// The cut they are of, and how far its streams were.
    pub told: Told,
}

/// What a look at a view found.
#[derive(Debug, Clone)]
pub struct ViewEntry {
    /// The view.
    pub view: String,
    /// When, epoch milliseconds.
    pub at: i64,
    /// What it is.
    pub kind: Kind,
    /// What it says beside its rows.
    pub told: Told,
    /// Its rows, in the columns that the view had.
    pub rows: RecordBatch,
}

/// Entries that are read together.
#[derive(Debug, Clone)]
struct Segment {
    begins: Place,
    /// Bytes of the whole view with which it begins.
    whole_bytes: u64,
    bytes: u64,
}

/// What is known of each view without reading it.
type Segments = BTreeMap<String, VecDeque<Segment>>;

/// The history of all views. One process a folder.
pub struct ViewHistory {
    dir: PathBuf,
    database: Database,
    entries: Keyspace,
    schemas: Keyspace,
    segments: Keyspace,
    /// Also held while entries are written, so that nothing is forgotten beneath them.
    known: Mutex<Segments>,
    looks: Looks,
    room: Room,
}

impl fmt::Debug for ViewHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViewHistory({})", self.dir.display())
    }
}

impl ViewHistory {
    /// Opens the history in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// When another process has it, or it cannot be read.
    pub fn open(dir: &Path, room: Room) -> Result<Arc<Self>, ViewHistoryError> {
        let opened = || -> fjall::Result<_> {
            let database = Database::builder(dir)
                .worker_threads(1)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES_MAX)
                .open()?;
            let keyspace = |name: &str| database.keyspace(name, KeyspaceCreateOptions::default);
            let all = (keyspace("entries")?, keyspace("schemas")?, keyspace("segments")?);
            Ok((keyspace("looks")?, database, all))
        };
        let (looks, database, (entries, schemas, segments)) =
            opened().map_err(|error| refused(dir, error))?;
        let (dir, known, looks) = (dir.to_path_buf(), Mutex::default(), Looks::new(looks));
        let store = Self { dir, database, entries, schemas, segments, known, looks, room };
        store.learn()?;
        store.learn_looks()?;
        Ok(Arc::new(store))
    }

    fn learn(&self) -> Result<(), ViewHistoryError> {
        let mut known = self.known.lock();
        for item in self.segments.iter() {
            let (key, value) = item.into_inner().map_err(|error| refused(&self.dir, error))?;
            let (Some(begins), ([whole, bytes], [])) = (Place::of(&key), value.as_chunks::<8>())
            else {
                return Err(self.damaged("a segment is not one of this program's"));
            };
            let (whole_bytes, bytes) = (u64::from_le_bytes(*whole), u64::from_le_bytes(*bytes));
            let segments = known.entry(begins.view.clone()).or_default();
            segments.push_back(Segment { begins, whole_bytes, bytes });
        }
        Ok(())
    }

    /// The views of which anything is kept.
    #[must_use]
    pub fn views(&self) -> Vec<String> {
        self.known.lock().keys().cloned().collect()
    }

    /// Of a folder without looks nobody knows how its last life ended.
    fn learn_looks(&self) -> Result<(), ViewHistoryError> {
        let mut newest = None;
        for view in self.views() {
            newest = newest.max(self.newest(&view)?.map(|(at, _)| at));
        }
        self.looks.learn(newest).map_err(|error| self.of_looks(error))
    }

    /// The newest instant of which every view is known and stays as it is, epoch milliseconds; `None` before the very
    /// first look.
    #[must_use]
    pub fn looked_at(&self) -> Option<i64> {
        self.looks.newest()
    }

    /// Waits until everything that is shown at an instant is known, at most `patience`.
    pub async fn known_until(&self, ms: i64, patience: Duration) {
        self.looks.known_until(ms, patience).await;
    }

    /// Says that everything shown at an instant is written.
    pub(super) fn has_looked_at(&self, at: i64) -> Result<(), ViewHistoryError> {
        self.looks.note(at).map_err(|error| self.of_looks(error))
    }

    /// Says that the look before was the last of a life: what it found is shown until the next one begins.
    pub(super) fn ends(&self) -> Result<(), ViewHistoryError> {
        self.looks.end().map_err(|error| self.of_looks(error))
    }

    fn of_looks(&self, error: LooksError) -> ViewHistoryError {
        match error {
            LooksError::Store(error) => refused(&self.dir, error),
            LooksError::Form => {
                self.damaged("when was looked at last is not one of this program's")
            }
        }
    }

    /// Bytes of all entries, before compression.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.known.lock().values().flatten().map(|segment| segment.bytes).sum()
    }

    /// The instant of the newest entry of a view; `None` for none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn newest(&self, view: &str) -> Result<Option<(i64, Told)>, ViewHistoryError> {
        let Some(item) = self.entries.prefix(prefix(view)).next_back() else { return Ok(None) };
        let (key, value) = item.into_inner().map_err(|error| refused(&self.dir, error))?;
        let (told, _) = Entry::told(&value).map_err(|detail| self.damaged(&detail))?;
        let place = Place::of(&key).ok_or_else(|| self.damaged("a key is not one of ours"))?;
        Ok(Some((place.at, told)))
    }

    /// Writes an entry; whether its segment is now so long that another should begin.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn append(&self, place: &Place, entry: &Entry) -> Result<bool, ViewHistoryError> {
        let broken = |error: arrow::error::ArrowError| self.damaged(&error.to_string());
        let (name, schema) = schema_bytes(&entry.rows.schema()).map_err(broken)?;
        let mut entry = entry.clone();
        entry.told.schema = name;
        let value = entry.encode().map_err(broken)?;
        let key = place.key();
        let bytes = u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX);
        let mut known = self.known.lock();
        let segments = known.entry(place.view.clone()).or_default();
        let segment = match segments.back() {
            Some(segment) if !place.kind.begins() => {
                Segment { bytes: segment.bytes + bytes, ..segment.clone() }
            }
            _ => Segment { begins: place.clone(), whole_bytes: bytes, bytes },
        };
        let mut batch = self.database.batch();
        if !self
            .schemas
            .contains_key(name.to_be_bytes())
            .map_err(|error| refused(&self.dir, error))?
        {
            batch.insert(&self.schemas, name.to_be_bytes(), schema);
        }
        batch.insert(&self.entries, key, value);
        let sizes = [segment.whole_bytes.to_le_bytes(), segment.bytes.to_le_bytes()].concat();
        batch.insert(&self.segments, segment.begins.key(), sizes);
        batch.commit().map_err(|error| refused(&self.dir, error))?;
        let changed = segment.bytes - segment.whole_bytes;
        let is_long = changed > segment.whole_bytes.max(SEGMENT_BYTES_MIN);
        if segments.back().is_some_and(|last| last.begins == segment.begins) {
            segments.pop_back();
        }
        segments.push_back(segment);
        Ok(is_long)
    }

    /// Forgets the segments that are beyond the room there is. The newest of a view stays, for its rows are those of now;
    /// what comes back are the views whose newest one takes room that could be had by beginning another.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn forget(&self, now: i64) -> Result<Vec<String>, ViewHistoryError> {
        let mut known = self.known.lock();
        let since = now.saturating_sub(self.room.age_ms);
        self.looks.forget(since).map_err(|error| self.of_looks(error))?;
        for segments in known.values_mut() {
            // One whose successor had begun by then is of no instant that is kept.
            while segments.get(1).is_some_and(|next| next.begins.at <= since) {
                self.forget_first(segments)?;
            }
        }
        let total = |known: &Segments| -> u64 {
            known.values().flatten().map(|segment| segment.bytes).sum()
        };
        while total(&known) > self.room.bytes_max {
            let several = known.values_mut().filter(|segments| segments.len() > 1);
            let oldest = several.min_by_key(|segments| segments.front().map(|it| it.begins.at));
            let Some(segments) = oldest else {
                let long = known.iter().filter(|(_, segments)| {
                    segments.back().is_some_and(|last| last.bytes > 2 * last.whole_bytes)
                });
                return Ok(long.map(|(view, _)| view.clone()).collect());
            };
            self.forget_first(segments)?;
        }
        Ok(Vec::new())
    }

    fn forget_first(&self, segments: &mut VecDeque<Segment>) -> Result<(), ViewHistoryError> {
        let (Some(first), Some(next)) = (segments.front(), segments.get(1)) else { return Ok(()) };
        loop {
            let entries = self.entries.range(first.begins.key()..next.begins.key());
            let keys = entries.take(REMOVED_AT_ONCE).map(fjall::Guard::key);
            let keys = keys.collect::<fjall::Result<Vec<_>>>();
            let keys = keys.map_err(|error| refused(&self.dir, error))?;
            let mut batch = self.database.batch();
            let is_last = keys.len() < REMOVED_AT_ONCE;
            keys.into_iter().for_each(|key| batch.remove(&self.entries, key));
            if is_last {
                batch.remove(&self.segments, first.begins.key());
            }
            batch.commit().map_err(|error| refused(&self.dir, error))?;
            if is_last {
                break;
            }
        }
        segments.pop_front();
        Ok(())
    }

    /// Makes everything written so far survive a power cut.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn persist(&self) -> Result<(), ViewHistoryError> {
        self.database.persist(PersistMode::SyncData).map_err(|error| refused(&self.dir, error))
    }

    /// A view as it was shown at an instant, epoch milliseconds.
    ///
    /// # Errors
    /// When nothing is kept of it or of that time, nobody has looked at it yet, it was no more, or the disk refuses.
    pub fn at(&self, view: &str, ms: i64) -> Result<ViewThen, ViewHistoryError> {
        let (from, entries) = {
            let known = self.known.lock();
            let none = || ViewHistoryError::Unknown { view: view.to_owned() };
            let segments = known.get(view).filter(|all| !all.is_empty()).ok_or_else(none)?;
            let oldest = segments.front().map_or(ms, |segment| segment.begins.at);
            let segment = segments.iter().rev().find(|segment| segment.begins.at <= ms);
            let before = || ViewHistoryError::Before { view: view.to_owned(), oldest };
            let from = segment.ok_or_else(before)?.begins.clone();
            self.check_looks(view, ms)?;
            let until = Place { view: view.to_owned(), at: ms, kind: Kind::Whole };
            // What is forgotten from here on is still there for this reading.
            let snapshot = self.database.snapshot();
            (from.clone(), snapshot.range(&self.entries, from.key()..=until.key()))
        };
        let mut then = Rows::default();
        let mut last = None;
        for item in entries {
            let (place, entry) = self.entry(item)?;
            last = Some((place.at, entry.told.clone()));
            then.apply(place.kind, entry);
        }
        match last {
            Some((since, told)) if told.is_gone => {
                Err(ViewHistoryError::Gone { view: view.to_owned(), since })
            }
            Some((at, told)) => {
                let rows = then.rows().map_err(|error| self.damaged(&error.to_string()))?;
                Ok(ViewThen { schema: rows.schema(), rows, at, told })
            }
            None => Err(self.damaged(&format!("the segment of {view} at {} is gone", from.at))),
        }
    }

    /// Whether no later look can tell anything else of an instant.
    fn check_looks(&self, view: &str, at: i64) -> Result<(), ViewHistoryError> {
        let looked_at = self.looked_at();
        if looked_at.is_none_or(|looked_at| looked_at < at) {
            return Err(ViewHistoryError::NotYet { view: view.to_owned(), at, looked_at });
        }
        match self.looks.lost_around(at) {
            Some((from, until)) => {
                Err(ViewHistoryError::Lost { view: view.to_owned(), from, until })
            }
            None => Ok(()),
        }
    }

    /// The entries of one view, or of all, as they are now, in the order of views and times.
    pub fn scan(
        &self,
        view: Option<&str>,
    ) -> impl Iterator<Item = Result<ViewEntry, ViewHistoryError>> + Send + use<> {
        let from = view.map(prefix).unwrap_or_default();
        let entries = self.database.snapshot().prefix(&self.entries, from);
        let (dir, schemas) = (self.dir.clone(), self.schemas.clone());
        entries.map(move |item| {
            let (place, entry) = read(&dir, &schemas, item)?;
            let Place { view, at, kind } = place;
            Ok(ViewEntry { view, at, kind, told: entry.told, rows: entry.rows })
        })
    }

    fn entry(&self, item: fjall::Guard) -> Result<(Place, Entry), ViewHistoryError> {
        read(&self.dir, &self.schemas, item)
    }

    fn damaged(&self, detail: &str) -> ViewHistoryError {
        damaged(&self.dir, detail)
    }
}

fn read(
    dir: &Path,
    schemas: &Keyspace,
    item: fjall::Guard,
) -> Result<(Place, Entry), ViewHistoryError> {
    let (key, value) = item.into_inner().map_err(|error| refused(dir, error))?;
    let wrong = |detail: String| damaged(dir, &format!("an entry cannot be read: {detail}"));
    let place = Place::of(&key).ok_or_else(|| wrong("its key is not one of ours".to_owned()))?;
    let (told, rows) = Entry::told(&value).map_err(wrong)?;
    let schema = schemas.get(told.schema.to_be_bytes()).map_err(|error| refused(dir, error))?;
    let schema = schema.ok_or_else(|| wrong("its columns are not known".to_owned()))?;
    Ok((place, Entry::decode(told, rows, &schema).map_err(wrong)?))
}

fn damaged(dir: &Path, detail: &str) -> ViewHistoryError {
    ViewHistoryError::Store { place: dir.display().to_string(), detail: detail.to_owned() }
}

fn refused(dir: &Path, error: fjall::Error) -> ViewHistoryError {
    let place = dir.display().to_string();
    match error {
        fjall::Error::Locked => ViewHistoryError::Locked { place },
        other => ViewHistoryError::Store { place, detail: other.to_string() },
    }
}
