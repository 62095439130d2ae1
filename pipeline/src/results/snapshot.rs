//! One view at one cut: its rows by window, and what changed since an earlier cut.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

/// Name of the column that says how settled a row is.
pub const MARK_COLUMN: &str = "_mark";
/// Name of the column that counts the records that changed a row after its window had closed.
pub const REVISION_COLUMN: &str = "_revision";

/// Name, on the wire, of what tells rows apart where the columns of the view do not: the last of
/// [`ViewInfo::keys`] there, and no column of SQL. A text without a meaning of its own.
pub const ROW_KEY: &str = "_row";

/// How settled a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Still moving.
    Provisional,
    /// Every partition but named idle ones has passed the window's end; for display only.
    Settled,
    /// Every partition has passed the window's end by what is in the log.
    Final,
}

impl Mark {
    /// The word used in SQL, JSON and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisional => "provisional",
            Self::Settled => "settled",
            Self::Final => "final",
        }
    }
}

/// What a view is, apart from its rows. It changes only when the SQL folder is read again.
#[derive(Debug, Clone)]
pub struct ViewInfo {
    /// Name in SQL, JSON and URLs.
    pub name: String,
    /// The streams its figures come from: two for a join of two, none for a view over results.
    pub streams: Vec<String>,
    /// Columns that identify a row, in the order of the schema.
    pub keys: Vec<String>,
    /// Columns of the rows, `_mark` and `_revision` last.
    pub schema: SchemaRef,
    /// Scope with its version, as `paid@1`; both where a join reads two, as `paid@1, visited@1`; `None` for a
    /// view that reads a stream directly.
    pub scope: Option<String>,
    /// Title in Chinese and English, from the head of the view's file; empty where it has none.
    pub title: Bilingual,
    /// What the scope counts, in Chinese and English.
    pub definition: Bilingual,
    /// Unit of the view's measure as written in its file (`CNY`, `GBP`), empty where it has none.
    pub unit: String,
    /// Columns that come from ones that tell of a person, and are declared to be shown to everyone.
    pub clear: BTreeSet<String>,
    /// IANA name of the zone in which the view's days begin.
    pub time_zone: String,
    /// The statement that defines it, as written.
    pub sql: String,
    /// Hash of its definition with the scopes and streams it reads: another text where its rows are made otherwise. What
    /// the views that it reads are is theirs.
    pub hash: String,
    /// Start of the window, if the view shows it, as an index into the schema.
    pub window_start: Option<usize>,
    /// End of the window, if the view shows it, as an index into the schema.
    pub window_end: Option<usize>,
    /// Its Kafka topic as its own `'result.topic'` says, empty for none; `None` where it does not say.
    pub result_topic: Option<String>,
}

/// The same words in Chinese and English.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Bilingual {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// One row, encoded once for all viewers.
#[derive(Debug, Clone)]
pub struct PublishedRow {
    /// The key columns as a JSON object; the same text for the same key.
    pub key: Arc<str>,
    /// The whole row as a JSON object.
    pub json: Arc<str>,
    /// The cut at which it last changed.
    pub changed_at: u64,
}

/// The rows of one window.
#[derive(Debug, Clone)]
pub struct WindowRows {
    /// Start and end of the window in epoch milliseconds; both `i64::MIN`/`i64::MAX` for a running total.
    pub window: (i64, i64),
    /// The rows as columns, in the order of `rows`.
    pub batch: RecordBatch,
    /// The rows as JSON.
    pub rows: Vec<PublishedRow>,
    /// The newest `changed_at` of the rows.
    pub changed_at: u64,
}

/// A row that is no longer in the view.
#[derive(Debug, Clone)]
pub struct Tombstone {
    /// Its key as a JSON object.
    pub key: Arc<str>,
    /// The cut at which it went.
    pub deleted_at: u64,
}

/// A view at one cut.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the view is.
    pub info: Arc<ViewInfo>,
    /// The cut at which its rows last changed.
    pub changed_at: u64,
    /// Windows in the order of their end, then their start.
    pub windows: Vec<Arc<WindowRows>>,
    /// Rows that went, oldest first; bounded.
    pub tombstones: Arc<VecDeque<Tombstone>>,
    /// Changes can be told since this cut and later ones; before it, only the whole snapshot.
    pub complete_since: u64,
    /// How far back windows are kept.
    pub keep: Keep,
    /// The instant before which no window that ended is kept, whatever `keep` says; `i64::MIN` for none.
    pub gone_before: i64,
}

/// How many rows or how much event time is kept.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    /// The newest windows that together hold at least this many rows.
    Rows(usize),
    /// Windows that ended at most this long before the newest, in milliseconds.
    Time(i64),
}

impl Keep {
    /// Whether a window is older than all that is kept, given the oldest and the newest of these and how many rows
    /// they have, so that it would be dropped at once.
    #[must_use]
    pub fn is_beyond(self, place: Place, (oldest, newest): (Place, Place), rows: usize) -> bool {
        place < oldest
            && match self {
                Self::Rows(most) => rows >= most,
                Self::Time(ms) => place.0 < newest.0.saturating_sub(ms),
            }
    }
}

/// Order of windows in a snapshot: by end, then start.
pub type Place = (i64, i64);

/// What a reader that last saw an earlier cut has to apply.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// New and changed rows as JSON objects.
    pub upsert: Vec<Arc<str>>,
    /// Keys of the rows that went, as JSON objects.
    pub delete: Vec<Arc<str>>,
}

impl Snapshot {
    /// A view before its first row.
    #[must_use]
    pub fn empty(info: Arc<ViewInfo>) -> Self {
        Self {
            info,
            changed_at: 0,
            windows: Vec::new(),
            tombstones: Arc::default(),
            complete_since: 0,
            keep: Keep::Rows(usize::MAX),
            gone_before: i64::MIN,
        }
    }

    /// Whether a window is older than all that the view keeps, so that it may have been there and gone.
    #[must_use]
    pub fn is_beyond(&self, (start, end): (i64, i64)) -> bool {
        if end < self.gone_before {
            return true;
        }
        let place = |window: &Arc<WindowRows>| (window.window.1, window.window.0);
        let (Some(oldest), Some(newest)) = (self.windows.first(), self.windows.last()) else {
            return false;
        };
        self.keep.is_beyond((end, start), (place(oldest), place(newest)), self.row_count())
    }

    /// Number of rows.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.windows.iter().map(|window| window.rows.len()).sum()
    }

    /// The rows in order as JSON objects; with `last`, only those of the newest windows that hold
    /// at least that many rows, cut to exactly `last`.
    pub fn rows(&self, last: Option<usize>) -> impl Iterator<Item = &PublishedRow> {
        let skip = last.map_or(0, |last| self.row_count().saturating_sub(last));
        self.windows.iter().flat_map(|window| &window.rows).skip(skip)
    }

    /// What changed after cut `base`, or `None` when that is no longer known.
    #[must_use]
    pub fn changes_since(&self, base: u64) -> Option<Changes> {
        if base < self.complete_since {
            return None;
        }
        let upsert = self
            .windows
            .iter()
            .filter(|window| window.changed_at > base)
            .flat_map(|window| &window.rows)
            .filter(|row| row.changed_at > base)
            .map(|row| Arc::clone(&row.json))
            .collect();
        let delete = self
            .tombstones
            .iter()
            .filter(|gone| gone.deleted_at > base)
            .map(|gone| Arc::clone(&gone.key))
            .collect();
        Some(Changes { upsert, delete })
    }

    /// The rows as columns, one batch a window, in order.
    #[must_use]
    pub fn batches(&self) -> Vec<RecordBatch> {
        self.windows.iter().map(|window| window.batch.clone()).collect()
    }
}
