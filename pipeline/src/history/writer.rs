//! The thread that commits: a slow or failing place keeps nobody waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::RecordBatch;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use tokio::runtime::{Builder, Runtime};

use super::HistoryError;
use super::layout::HistoryLayout;
use super::pins::Pins;
use super::stand::OfCut;
use super::table::{HistoryPlace, HistoryTable};
use crate::model::{Offset, PartitionId};

/// How small files are put together and old ones deleted.
#[derive(Debug, Clone, Copy)]
pub struct Upkeep {
    /// Commits after which small files are put together; 0 for never.
    pub compact_every: u64,
    /// How long a version that is not the newest stays readable.
    pub keep: Duration,
}

/// Rows to be committed.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) stream: String,
    pub(super) rows: Vec<RecordBatch>,
    /// The offset each partition is then held up to.
    pub(super) next: BTreeMap<PartitionId, Offset>,
    /// The cut that the table is of then.
    pub(super) of: OfCut,
}

/// Rows that are in the table.
#[derive(Debug)]
pub struct Committed {
    /// The stream.
    pub stream: String,
    /// The offset each partition is held up to.
    pub next: BTreeMap<PartitionId, Offset>,
    /// The table with them.
    pub table: HistoryTable,
}

/// What came of an order: the rows are in the table, or the stream and why not.
pub type Outcome = Result<Committed, (String, HistoryError)>;

/// What a history goes on from.
#[derive(Debug)]
pub struct Opened {
    /// Its table.
    pub table: HistoryTable,
    /// Offset after the last record it holds, by partition.
    pub committed: BTreeMap<PartitionId, Offset>,
}

/// The thread with the tables of all streams.
#[derive(Debug)]
pub struct HistoryWriter {
    orders: Sender<Order>,
    done: Receiver<Outcome>,
    thread: JoinHandle<()>,
}

impl HistoryWriter {
    /// Opens the tables of all streams, each with its partitions, and starts the thread.
    ///
    /// # Errors
    /// When a place refuses or the system gives no threads.
    pub fn start(
        place: &HistoryPlace,
        (upkeep, pins): (Upkeep, &Arc<Pins>),
        streams: &[(Arc<HistoryLayout>, Vec<PartitionId>)],
    ) -> Result<(Self, BTreeMap<String, Opened>), HistoryError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tidemark-history")
            .enable_all()
            .build()
            .map_err(HistoryError::Thread)?;
        let mut opened = BTreeMap::new();
        let mut tables = BTreeMap::new();
        for (layout, partitions) in streams {
            let name = layout.stream().to_owned();
            let one = runtime.block_on(open((place, pins), layout, partitions))?;
            tables.insert(name.clone(), one.table.clone());
            opened.insert(name, one);
        }
        let (orders, inbox) = unbounded();
        let (outbox, done) = bounded(streams.len().max(1));
        let thread = std::thread::Builder::new()
            .name("tidemark-history".to_owned())
            .spawn(move || serve(&runtime, tables, upkeep, &inbox, &outbox))
            .map_err(HistoryError::Thread)?;
        Ok((Self { orders, done, thread }, opened))
    }

    pub(super) fn give(&self, order: Order) -> bool {
        self.orders.send(order).is_ok()
    }

    pub(super) fn heard(&self, patience: Duration) -> Option<Outcome> {
        self.done.recv_timeout(patience).ok()
    }

    /// Ends the thread once it has done what it was given.
    pub(super) fn stop(self) {
        drop(self.orders);
        drop(self.done);
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes the history panicked");
        }
    }
}

async fn open(
    (place, pins): (&HistoryPlace, &Arc<Pins>),
    layout: &HistoryLayout,
    partitions: &[PartitionId],
) -> Result<Opened, HistoryError> {
    let table = HistoryTable::open(place, layout, Arc::clone(pins)).await?;
    let mut committed = BTreeMap::new();
    for partition in partitions {
        committed.extend(table.committed(*partition).await?.map(|next| (*partition, next)));
    }
    Ok(Opened { table, committed })
}

fn serve(
    runtime: &Runtime,
    mut tables: BTreeMap<String, HistoryTable>,
    upkeep: Upkeep,
    inbox: &Receiver<Order>,
    outbox: &Sender<Outcome>,
) {
    let mut commits: BTreeMap<String, u64> = BTreeMap::new();
    for order in inbox {
        let Some(table) = tables.get_mut(&order.stream) else { continue };
        let begun = std::time::Instant::now();
        let rows: usize = order.rows.iter().map(RecordBatch::num_rows).sum();
        let appended = runtime.block_on(table.append(order.rows, &order.next, Some(order.of)));
        let outcome = match appended {
            Ok(()) => {
                metrics::histogram!("tidemark_history_commit_seconds")
                    .record(begun.elapsed().as_secs_f64());
                metrics::counter!("tidemark_history_records_total", "stream" => order.stream.clone())
                    .increment(u64::try_from(rows).unwrap_or(0));
                let count = commits.entry(order.stream.clone()).or_default();
                *count += 1;
                trim(runtime, table);
                if upkeep.compact_every > 0 && count.is_multiple_of(upkeep.compact_every) {
                    tidy(runtime, table, upkeep.keep);
                }
                Ok(Committed { stream: order.stream, next: order.next, table: table.clone() })
            }
            Err(error) => Err((order.stream, error)),
        };
        if outbox.send(outcome).is_err() {
            return;
        }
    }
}

/// Old days go. That it fails costs room and nothing else.
fn trim(runtime: &Runtime, table: &mut HistoryTable) {
    match runtime.block_on(table.trim()) {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "{files} files of old days removed from the history"),
        Err(error) => {
            tracing::warn!(%error, "old days stay in the history until its next commit: {error}")
        }
    }
}

/// Small files become large ones. That it fails costs queries time and nothing else.
fn tidy(runtime: &Runtime, table: &mut HistoryTable, keep: Duration) {
    let done = runtime.block_on(async {
        let compacted = table.compact().await?;
        let deleted = table.forget(keep).await?;
        Ok::<_, HistoryError>((compacted, deleted))
    });
    match done {
        Ok((compacted, deleted)) => {
            tracing::info!(
                compacted,
                deleted,
                "{compacted} small files of the history put together, {deleted} old ones deleted"
            );
        }
        Err(error) => {
            tracing::warn!(%error, "small files of the history are left as they are: {error}")
        }
    }
}
