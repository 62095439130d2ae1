//! What was accepted and is not in the table yet, by stream and partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::catalog::TableProvider;

use super::HistoryError;
use super::journal;
use super::layout::{HistoryLayout, OFFSET};
use super::provider::HistoryAt;
use super::stand::{OfCut, Stand};
use super::table::HistoryTable;
use super::writer::{HistoryWriter, Opened, Order, Outcome};
use crate::model::{Offset, PartitionId};

/// How long an end waits for the last commit; what it lacks is in the journal.
const LAST_MAX: Duration = Duration::from_secs(20);

/// When rows go to the table, and how many may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Time between two commits.
    pub commit_every: Duration,
    /// Rows of a stream after which it commits before the time.
    pub rows_max: usize,
    /// Bytes that may wait, all streams together; past it partitions are not read.
    pub bytes_max: u64,
}

/// Journal of a partition that is written anew: stream, partition, bytes.
pub type JournalAnew = (String, PartitionId, Vec<u8>);

/// How far a history is on the way to a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// This version of its table has every record up to the cut, and no other.
    Committed(u64),
    /// Rows up to the cut have been given to the writer.
    Given,
    /// The writer is busy with what it was given before.
    Busy,
}

/// Rows that wait.
#[derive(Debug)]
struct Run {
    rows: RecordBatch,
    last: Offset,
    bytes: usize,
}

/// One stream.
#[derive(Debug)]
struct KeptStream {
    layout: Arc<HistoryLayout>,
    table: HistoryTable,
    committed: BTreeMap<PartitionId, Offset>,
    tail: BTreeMap<PartitionId, Vec<Run>>,
    rows: usize,
    is_busy: bool,
    begun: Instant,
    /// Why the last commit did not succeed, if it did not.
    refused: Option<String>,
}

impl KeptStream {
    /// The rows that the table does not hold yet.
    fn add(&mut self, partition: PartitionId, batch: RecordBatch) -> Option<RecordBatch> {
        let held = self.committed.get(&partition).copied().unwrap_or(Offset::MIN);
        let fresh = from_offset(&batch, held)?;
        self.rows += fresh.num_rows();
        let (last, bytes) = (last_offset(&fresh), fresh.get_array_memory_size());
        self.tail.entry(partition).or_default().push(Run { rows: fresh.clone(), last, bytes });
        Some(fresh)
    }

    /// Whether rows before some offsets are not in the table yet.
    fn waits_before(&self, offsets: &BTreeMap<PartitionId, Offset>) -> bool {
        self.tail.iter().any(|(partition, runs)| {
            let until = offsets.get(partition).copied().unwrap_or(Offset::MIN);
            runs.iter().any(|run| run.last < until)
        })
    }

    fn failed(&self, partition: PartitionId, detail: &impl ToString) -> HistoryError {
        HistoryError::Journal {
            stream: self.layout.stream().to_owned(),
            partition,
            detail: detail.to_string(),
        }
    }
}

/// The histories of all streams that have one.
#[derive(Debug)]
pub struct History {
    streams: BTreeMap<String, KeptStream>,
    writer: HistoryWriter,
    bounds: Bounds,
}

impl History {
    /// Goes on from what the tables hold.
    #[must_use]
    pub fn new(
        writer: HistoryWriter,
        layouts: Vec<Arc<HistoryLayout>>,
        mut opened: BTreeMap<String, Opened>,
        bounds: Bounds,
    ) -> Self {
        let mut streams = BTreeMap::new();
        for layout in layouts {
            let Some(one) = opened.remove(layout.stream()) else { continue };
            let stream = KeptStream {
                table: one.table,
                committed: one.committed,
                tail: BTreeMap::new(),
                rows: 0,
                is_busy: false,
                begun: Instant::now(),
                refused: None,
                layout: Arc::clone(&layout),
            };
            streams.insert(layout.stream().to_owned(), stream);
        }
        Self { streams, writer, bounds }
    }

    /// How the rows of a stream are kept; `None` where it has no history.
    #[must_use]
    pub fn layout(&self, stream: &str) -> Option<Arc<HistoryLayout>> {
        self.streams.get(stream).map(|kept| Arc::clone(&kept.layout))
    }

    /// Takes up the rows of a checkpoint's journal. `log_end` is the offset after the last record of the log,
    /// where it is known.
    ///
    /// # Errors
    /// When the journal is not what was written, or the table is of another log.
    pub fn resume(
        &mut self,
        stream: &str,
        partition: PartitionId,
        journal: &[u8],
        log_end: Option<Offset>,
    ) -> Result<(), HistoryError> {
        let Some(kept) = self.streams.get_mut(stream) else { return Ok(()) };
        if let (Some(held), Some(end)) = (kept.committed.get(&partition).copied(), log_end)
            && held > end
        {
            let place = kept.table.place().to_owned();
            return Err(HistoryError::AnotherLog {
                stream: stream.to_owned(),
                partition,
                held,
                end,
                place,
            });
        }
        let batches = journal::decode(journal).map_err(|error| kept.failed(partition, &error))?;
        for batch in batches {
            if batch.schema() != kept.layout.schema {
                return Err(kept.failed(partition, &"its columns are others than the stream's now"));
            }
            kept.add(partition, batch);
        }
        Ok(())
    }

    /// Takes rows in that were accepted; what comes back belongs to the journal of the next checkpoint.
    ///
    /// # Errors
    /// When the rows cannot be encoded.
    pub fn note(
        &mut self,
        stream: &str,
        partition: PartitionId,
        rows: Vec<RecordBatch>,
    ) -> Result<Vec<u8>, HistoryError> {
        let Some(kept) = self.streams.get_mut(stream) else { return Ok(Vec::new()) };
        let fresh: Vec<RecordBatch> =
            rows.into_iter().filter_map(|batch| kept.add(partition, batch)).collect();
        journal::encode(&fresh).map_err(|error| kept.failed(partition, &error))
    }

    /// Lets rows go to the tables that a written checkpoint stands behind, but for streams that are `held_back`: someone waits
    /// for a version of them that goes up to an earlier one.
    pub fn checkpoint_written(&mut self, stand: &Stand, held_back: &dyn Fn(&str) -> bool) {
        let bounds = self.bounds;
        for (name, kept) in &mut self.streams {
            let is_due =
                kept.begun.elapsed() >= bounds.commit_every || kept.rows >= bounds.rows_max;
            if is_due
                && !held_back(name)
                && let Some(of) = stand.stream(name)
            {
                give(&self.writer, name, kept, of);
            }
        }
    }

    /// Commits a stream up to a written checkpoint, the newest that has been let go to it, and not further; `None` where it
    /// keeps no history. To be called until it is done, or [`Self::refusal`] says that it cannot be.
    pub fn commit_up_to(&mut self, stream: &str, stand: &Stand) -> Option<Standing> {
        let (kept, of) = self.streams.get_mut(stream).zip(stand.stream(stream))?;
        if !kept.waits_before(&of.offsets) {
            return Some(Standing::Committed(kept.table.version()));
        }
        if kept.is_busy {
            return Some(Standing::Busy);
        }
        give(&self.writer, stream, kept, of);
        Some(Standing::Given)
    }

    /// Why the last commit of a stream did not succeed; `None` where it did, or is under way.
    #[must_use]
    pub fn refusal(&self, stream: &str) -> Option<&str> {
        let kept = self.streams.get(stream).filter(|kept| !kept.is_busy)?;
        kept.refused.as_deref()
    }

    /// What has been committed meanwhile. The journals that come back begin anew.
    ///
    /// # Errors
    /// When rows cannot be encoded.
    pub fn hear(&mut self, patience: Duration) -> Result<Vec<JournalAnew>, HistoryError> {
        let mut anew = Vec::new();
        let mut patience = patience;
        while let Some(outcome) = self.writer.heard(patience) {
            patience = Duration::ZERO;
            anew.extend(self.take(outcome)?);
        }
        Ok(anew)
    }

    fn take(&mut self, outcome: Outcome) -> Result<Vec<JournalAnew>, HistoryError> {
        let committed = match outcome {
            Ok(committed) => committed,
            Err((stream, error)) => {
                metrics::counter!("tidemark_history_failures").increment(1);
                let error = error.to_string();
                if let Some(kept) = self.streams.get_mut(&stream) {
                    kept.is_busy = false;
                    if kept.refused.as_ref() != Some(&error) {
                        tracing::error!(error, "the history was not written: {error}");
                    }
                    kept.refused = Some(error);
                }
                return Ok(Vec::new());
            }
        };
        let Some(kept) = self.streams.get_mut(&committed.stream) else { return Ok(Vec::new()) };
        (kept.is_busy, kept.table) = (false, committed.table);
        if kept.refused.take().is_some() {
            tracing::info!("the history of stream {} is written again", committed.stream);
        }
        let mut anew = Vec::new();
        for (partition, next) in committed.next {
            let Some(tail) = kept.tail.get_mut(&partition) else { continue };
            tail.retain(|run| run.last >= next);
            let rows: Vec<RecordBatch> = tail.iter().map(|run| run.rows.clone()).collect();
            let bytes = journal::encode(&rows);
            kept.committed.insert(partition, next);
            anew.push((
                committed.stream.clone(),
                partition,
                bytes.map_err(|error| kept.failed(partition, &error))?,
            ));
        }
        kept.rows = kept.tail.values().flatten().map(|run| run.rows.num_rows()).sum();
        Ok(anew)
    }

    /// The histories as tables, with every row accepted so far.
    #[must_use]
    pub fn tables(&self) -> BTreeMap<String, Arc<dyn TableProvider>> {
        let table = |kept: &KeptStream| -> Arc<dyn TableProvider> {
            let tail = kept.tail.values().flatten().map(|run| run.rows.clone()).collect();
            Arc::new(HistoryAt::new(&kept.layout, kept.table.clone(), tail))
        };
        self.streams.iter().map(|(name, kept)| (name.clone(), table(kept))).collect()
    }

    /// Bytes of the rows that wait for their commit.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        let runs = self.streams.values().flat_map(|kept| kept.tail.values().flatten());
        let bytes: usize = runs.map(|run| run.bytes).sum();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Bytes that may wait.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bounds.bytes_max
    }

    /// What someone must look at.
    pub fn alarms(&self) -> impl Iterator<Item = String> + '_ {
        self.streams.values().filter_map(|kept| {
            let why = kept.refused.as_ref()?;
            Some(format!("the history is not written, {} records wait: {why}", kept.rows))
        })
    }

    /// Commits what the last checkpoint stands behind, and ends.
    pub fn stop(mut self, stand: &Stand) {
        let until = Instant::now() + LAST_MAX;
        self.wait(until);
        for (name, kept) in &mut self.streams {
            if let Some(of) = stand.stream(name) {
                give(&self.writer, name, kept, of);
            }
        }
        self.wait(until);
        match self.streams.values().any(|kept| kept.is_busy) {
            true => tracing::warn!(
                "the history's last commit has not come to an end; its records are in the checkpoint"
            ),
            false => self.writer.stop(),
        }
    }

    fn wait(&mut self, until: Instant) {
        while self.streams.values().any(|kept| kept.is_busy) {
            let left = until.saturating_duration_since(Instant::now());
            // The journals stay as they are: what the table holds is known from the table.
            if left.is_zero() || self.hear(left).is_err() {
                return;
            }
        }
    }
}

fn give(writer: &HistoryWriter, name: &str, kept: &mut KeptStream, of: &OfCut) {
    if kept.is_busy {
        return;
    }
    kept.begun = Instant::now();
    let (mut rows, mut next) = (Vec::new(), BTreeMap::new());
    for (partition, offset) in &of.offsets {
        let Some(tail) = kept.tail.get(partition) else { continue };
        let before = rows.len();
        rows.extend(tail.iter().filter(|run| run.last < *offset).map(|run| run.rows.clone()));
        if rows.len() > before {
            next.insert(*partition, *offset);
        }
    }
    if !rows.is_empty() {
        kept.is_busy = writer.give(Order { stream: name.to_owned(), rows, next, of: of.clone() });
    }
}

fn offsets_of(batch: &RecordBatch) -> Option<&arrow::array::Int64Array> {
    batch.column_by_name(OFFSET)?.as_primitive_opt::<Int64Type>()
}

/// The rows from an offset on; `None` when there is none. Offsets ascend.
fn from_offset(batch: &RecordBatch, from: Offset) -> Option<RecordBatch> {
    let offsets = offsets_of(batch)?;
    let skipped = offsets.values().partition_point(|offset| *offset < from);
    match skipped < offsets.len() {
        true => Some(batch.slice(skipped, offsets.len() - skipped)),
        false => None,
    }
}

fn last_offset(batch: &RecordBatch) -> Offset {
    offsets_of(batch).and_then(|offsets| offsets.values().last().copied()).unwrap_or(Offset::MIN)
}
