//! What became of the records of a script: the accounting of every query that has read to the end, and,
//! where a statement reads one, the ledgers, in a temporary folder that goes with the job.
//!
//! Statements read the same stream again, each to its end. So the counts of a stream must be the same every
//! time; where they are not, the figures of two statements are of different inputs, and the job stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use tempfile::TempDir;

use crate::admit::RecordCounts;
use crate::ledger::{Entry, LedgerError, LedgerKind, LedgerStore, LedgerWriter, Limits, table};
use crate::lifecycle::Counts;
use crate::model::{PartitionId, Space, Zone};
use crate::run::accounting::{Accounts, ViewRef};
use crate::run::ledgers;
use crate::run::partition::Told;
use crate::state::SavedPartition;

/// Why what became of the records cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BooksError {
    /// Records have disappeared: a fault of the engine.
    #[error("the accounting does not add up: {}", .0.join("; "))]
    Discrepancies(Vec<String>),
    /// An earlier statement read another number of records of the same stream.
    #[error(
        "stream {stream} partition {partition}: an earlier statement read {} records and accepted {}, this one {} and {}; the \
         input has changed in between, or can be read once only, as standard input can",
        before.read,
        before.accepted,
        now.read,
        now.accepted
    )]
    Changed {
        /// The stream.
        stream: String,
        /// Its partition.
        partition: PartitionId,
        /// Its records then.
        before: RecordCounts,
        /// Its records now.
        now: RecordCounts,
    },
    /// A ledger has reached its bound, and nobody can make room in it.
    #[error("{0} (a job's ledgers are in a temporary folder; read fewer records, or no ledger)")]
    Full(String),
    /// A ledger cannot be written or read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no folder for the ledgers.
    #[error("no temporary folder for the ledgers: {0}")]
    Folder(#[from] std::io::Error),
    /// A table cannot be made, which is a fault of the engine.
    #[error(transparent)]
    Table(#[from] ArrowError),
}

/// A view or query as the accounting and the ledgers know it.
#[derive(Debug, Clone)]
pub(super) struct ViewAccount {
    /// Name of the view, or place of the query.
    pub(super) name: Arc<str>,
    /// What partitions know it by.
    pub(super) key: Arc<str>,
    /// The stream it reads.
    pub(super) stream: Arc<str>,
}

impl ViewAccount {
    fn to_account(&self) -> ViewRef<'_> {
        let Self { name, key, stream } = self;
        ViewRef { name, key, streams: vec![&**stream], is_running: true }
    }
}

/// Partitions by stream.
type Streams = BTreeMap<String, BTreeMap<PartitionId, SavedPartition>>;

/// One reading of one query's streams.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// The query, by side of a join.
    pub(super) views: Vec<ViewAccount>,
    streams: Streams,
}

/// What a pass counted over all its partitions.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Records.
    pub(super) records: RecordCounts,
    /// Records that missed a window.
    pub(super) late: u64,
    /// Events of orders.
    pub(super) life_cycle: Counts,
}

impl Pass {
    /// Takes how far a partition is.
    pub(super) fn note(&mut self, (stream, partition): (&str, PartitionId), at: SavedPartition) {
        let partitions = self.streams.entry(stream.to_owned()).or_default();
        match partitions.get_mut(&partition) {
            // The other side of a stream that is joined with itself.
            Some(known) => join(known, at),
            None => drop(partitions.insert(partition, at)),
        }
    }

    /// What was counted.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for at in self.streams.values().flat_map(BTreeMap::values) {
            sums.records = super::added(sums.records, at.counts);
            sums.late += at.views.values().map(|fold| fold.counts.late).sum::<u64>();
            for counts in at.operators.values() {
                sums.life_cycle = sums.life_cycle.plus(*counts);
            }
        }
        sums
    }
}

/// Adds what another reading of a partition knows; the counts are those of the later one.
fn join(known: &mut SavedPartition, mut at: SavedPartition) {
    at.views.extend(
        std::mem::take(&mut known.views)
            .into_iter()
            .filter(|(key, _)| !at.views.contains_key(key))
            .collect::<Vec<_>>(),
    );
    for (name, counts) in std::mem::take(&mut known.operators) {
        at.operators.entry(name).or_insert(counts);
    }
    for (stream, time) in std::mem::take(&mut known.as_of) {
        at.as_of.entry(stream).or_insert(time);
    }
    *known = at;
}

/// What became of the records so far.
#[derive(Debug)]
pub(super) struct Books {
    streams: Streams,
    views: Vec<ViewAccount>,
    ledgers: Option<Ledgers>,
}

#[derive(Debug)]
struct Ledgers {
    writer: LedgerWriter,
    store: Arc<LedgerStore>,
    /// Of the times in their tables.
    zone: Zone,
    /// Removed last.
    _folder: TempDir,
}

impl Books {
    /// Books without an entry; ledgers are kept where one is among the tables that are read, with times in this zone.
    ///
    /// # Errors
    /// When there can be no folder for them.
    pub(super) fn open(
        read: &BTreeSet<String>,
        bytes_max: u64,
        zone: Zone,
    ) -> Result<Self, BooksError> {
        let is_kept = read.iter().any(|name| LedgerKind::named(name).is_some());
        let ledgers = if is_kept { Some(Ledgers::open(bytes_max, zone)?) } else { None };
        Ok(Self { streams: Streams::new(), views: Vec::new(), ledgers })
    }

    /// Takes what a partition tells of single records.
    pub(super) fn note(
        &mut self,
        (stream, origin): (&str, &str),
        told: Told,
        views: &[ViewAccount],
    ) {
        let Some(Ledgers { writer, .. }) = &mut self.ledgers else { return };
        let place = (stream, origin, told.partition);
        for late in told.late {
            if let Some(view) = views.iter().find(|view| view.key == late.view) {
                writer.note([ledgers::late(place, &view.name, late)]);
            }
        }
        writer.note(told.dead_letters.into_iter().map(ledgers::dead_letter));
        for (table, notice) in told.notices {
            writer.note(ledgers::unmatched(place, &table, notice));
        }
    }

    /// Writes what was noted.
    ///
    /// # Errors
    /// When a ledger is full or the disk refuses.
    pub(super) fn write_ledgers(&mut self) -> Result<(), BooksError> {
        let Some(Ledgers { writer, .. }) = &mut self.ledgers else { return Ok(()) };
        writer.write_all()?;
        let gauge = writer.gauge();
        match LedgerKind::ALL.into_iter().find(|ledger| gauge.is_full(*ledger)) {
            Some(ledger) => Err(BooksError::Full(format!("ledger {} is full", ledger.table()))),
            None => Ok(()),
        }
    }

    /// Takes a query that has read to the end.
    ///
    /// # Errors
    /// When a record has disappeared, or its stream was another one before.
    pub(super) fn close(&mut self, pass: Pass) -> Result<(), BooksError> {
        for (stream, partitions) in pass.streams {
            let known = self.streams.entry(stream.clone()).or_default();
            for (partition, at) in partitions {
                let Some(before) = known.get_mut(&partition) else {
                    known.insert(partition, at);
                    continue;
                };
                if before.counts != at.counts {
                    let (before, now) = (before.counts, at.counts);
                    return Err(BooksError::Changed { stream, partition, before, now });
                }
                join(before, at);
            }
        }
        self.views.extend(pass.views);
        match self.accounts().discrepancies() {
            found if found.is_empty() => Ok(()),
            found => Err(BooksError::Discrepancies(found)),
        }
    }

    /// The rows of one of the engine's own tables; none where there is no such table.
    ///
    /// # Errors
    /// When a ledger cannot be read.
    pub(super) fn table(&self, name: &str) -> Result<Vec<RecordBatch>, BooksError> {
        match (LedgerKind::named(name), &self.ledgers) {
            (Some(ledger), Some(ledgers)) => Ok(vec![ledgers.rows(ledger)?]),
            (Some(_), None) => Ok(Vec::new()),
            (None, _) => Ok(self.accounts().tables()?.remove(name).into_iter().collect()),
        }
    }

    fn accounts(&self) -> Accounts<'_> {
        Accounts {
            streams: self.streams.iter().map(|(name, at)| (name.as_str(), at)).collect(),
            views: self.views.iter().map(ViewAccount::to_account).collect(),
        }
    }
}

impl Ledgers {
    fn open(bytes_max: u64, zone: Zone) -> Result<Self, BooksError> {
        let folder = tempfile::Builder::new().prefix("tidemark-run-").tempdir()?;
        let store = LedgerStore::open(&folder.path().join("ledgers"))?;
        let limits = Limits { bytes_max, checkpoints_kept: 1, partitions: 1 };
        let writer = LedgerWriter::new(Arc::clone(&store), Space::Live, limits);
        Ok(Self { writer, store, zone, _folder: folder })
    }

    /// The entries that stand when everything has been read.
    fn rows(&self, ledger: LedgerKind) -> Result<RecordBatch, BooksError> {
        let stands = |entry: &Result<Entry, LedgerError>| {
            entry.as_ref().map_or(true, |entry| entry.stands_at(i64::MAX))
        };
        let entries = self.store.scan(Space::Live.as_str(), ledger)?.filter(stands);
        let entries = entries.collect::<Result<Vec<Entry>, _>>()?;
        let rows: Vec<_> = entries.into_iter().flat_map(table::rows_of).collect();
        Ok(table::batch(ledger, self.zone, &rows)?)
    }
}
