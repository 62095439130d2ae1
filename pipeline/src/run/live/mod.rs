//! The pipeline as it serves: folding threads that own partitions, one thread that publishes.
//!
//! ```text
//! reader ─▶ partition ─┐            every publish:
//! reader ─▶ partition ─┤ fold thread ◀── drain ── publisher ──▶ results
//! reader ─▶ partition ─┘             ── states ─▶     │    └──▶ checkpoint
//! ```
//! All streams of the catalogue run side by side. A drain takes all partitions of a thread between two
//! batches, so what comes back is of one offset a partition, over all views of all streams: a cut.

mod fold;
mod freshness;
mod publish;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Sender, bounded};

use self::fold::Owned;
use self::freshness::Freshness;
use self::publish::PublishLoop;
use super::build::partition_run;
use super::partition::Place;
use super::publisher::{Publisher, PublisherLimits, view_info, views_to_run};
use super::saving::{Resumed, Saving, SavingError, StreamToRead};
use crate::config::PipelineConfig;
use crate::admit::Overflow;
use crate::ledger::{Gauge, LedgerError, LedgerStore, LedgerWriter, Limits};
use crate::model::PartitionId;
use crate::results::{Mode, Results};
use crate::state::dedup_store::DedupStore;
use crate::source::{Source, SourceError};
use crate::sql::Catalog;

/// Name of the space of real orders.
pub const LIVE: &str = "live";

/// Makes a stream's source; called again where a second reader of the same log is needed.
pub type OpenSource = Box<dyn Fn() -> Result<Box<dyn Source>, SourceError> + Send>;

/// One stream that is to be read.
pub struct StreamInput {
    /// Its name in the catalogue.
    pub stream: String,
    /// Its log.
    pub open: OpenSource,
}

/// Why the pipeline cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log.
    #[error("stream {stream}: {source}")]
    Source {
        /// The stream.
        stream: String,
        /// What is wrong with it.
        source: SourceError,
    },
    /// The saved state.
    #[error(transparent)]
    Saving(#[from] SavingError),
    /// The ledgers.
    #[error(transparent)]
    Ledgers(#[from] LedgerError),
    /// A view.
    #[error("the views cannot be set up: {0}")]
    Views(String),
    /// The system gives no threads.
    #[error("a folding thread cannot be started: {0}")]
    Threads(std::io::Error),
}

/// A running pipeline. Dropping it without [`Pipeline::stop`] leaves its threads running.
#[derive(Debug)]
pub struct Pipeline {
    results: Arc<Results>,
    stop: Sender<()>,
    publisher: JoinHandle<()>,
}

/// A stream's source with the partitions it has now.
struct Opened {
    to_read: StreamToRead,
    source: Box<dyn Source>,
}

/// Starts the pipeline of all `inputs`, which are streams of the catalogue.
///
/// # Errors
/// When a log cannot be read, the saved state not be taken up, or a view not be set up.
pub fn start(
    catalog: &Catalog,
    config: &PipelineConfig,
    mode: Mode,
    inputs: &[StreamInput],
) -> Result<Pipeline, StartError> {
    let store = LedgerStore::open(&config.data_dir.join("ledgers"))?;
    let limits = Limits { bytes_max: config.ledger_bytes_max, checkpoints_kept: config.checkpoints_kept };
    let ledgers = LedgerWriter::new(Arc::clone(&store), LIVE, limits);
    let limits = PublisherLimits { tombstones_max: config.tombstones_max };
    let mut publisher = Publisher::new(catalog, limits, ledgers).map_err(views_error)?;
    let mut opened = inputs.iter().map(|input| open(catalog, input)).collect::<Result<Vec<_>, _>>()?;
    let to_read: Vec<StreamToRead> = opened.iter().map(|one| one.to_read.clone()).collect();
    let dir = config.data_dir.join("checkpoints");
    // A quarter of the memory for dedup keys holds the filters of those on disk.
    let cache_bytes = u64::try_from(config.dedup_memory_bytes_max / 4).unwrap_or(u64::MAX);
    let keys = DedupStore::new(&config.data_dir.join("dedup"), cache_bytes);
    let (saving, mut resumed) =
        Saving::open((&dir, config.checkpoints_kept), Arc::clone(&keys), &to_read, &mut publisher)?;
    let partition_count: usize = to_read.iter().map(|stream| stream.partitions.len()).sum();
    let keys_max = Overflow::keys_within(config.dedup_memory_bytes_max / 4 * 3 / partition_count.max(1));
    let mut partitions = Vec::new();
    for one in &mut opened {
        for number in one.to_read.partitions.clone() {
            publisher.expect_partition(&one.to_read.name, number);
            // Entries of records that are about to be read again are about to be written again.
            let saved = resumed.partitions.get(&(one.to_read.name.clone(), number));
            let next_offset = saved.and_then(|start| start.at.next_offset).unwrap_or(0);
            store.rewind(LIVE, (&one.to_read.name, number), next_offset)?;
            let overflow = Overflow { store: keys.partition(&one.to_read.name, number), keys_max };
            partitions.push(owned(catalog, one, (number, overflow), (&mut resumed, publisher.ledgers.gauge()))?);
        }
        publisher.streams.entry(one.to_read.name.clone()).or_default().topic = one.source.origin().to_owned();
    }
    let infos = catalog.views.iter().map(|view| Arc::new(view_info(catalog, view))).collect();
    let results = Results::new(epoch(), mode, infos);
    results.set_ledgers(store);
    let folds =
        fold::spawn(partitions, config.fold_threads, config.batch_records_max).map_err(StartError::Threads)?;
    let (stop, stopped) = bounded(1);
    let publishing = PublishLoop {
        publisher,
        saving,
        folds,
        results: Arc::clone(&results),
        config: config.clone(),
        freshness: Freshness::default(),
    };
    let sources = opened.into_iter().map(|one| one.source).collect();
    let publisher = std::thread::Builder::new()
        .name("tidemark-publish".to_owned())
        .spawn(move || publishing.run(&stopped, sources))
        .map_err(StartError::Threads)?;
    Ok(Pipeline { results, stop, publisher })
}

fn open(catalog: &Catalog, input: &StreamInput) -> Result<Opened, StartError> {
    let Some(plan) = catalog.streams.get(&input.stream) else {
        return Err(StartError::Views(format!("there is no stream {}", input.stream)));
    };
    let failed = |source| StartError::Source { stream: input.stream.clone(), source };
    let mut source = (input.open)().map_err(failed)?;
    let to_read = StreamToRead {
        name: input.stream.clone(),
        hash: catalog.stream_hash(plan),
        dedup_horizon_ms: plan.definition.dedup_horizon_ms,
        partitions: source.partitions().map_err(failed)?,
    };
    Ok(Opened { to_read, source })
}

/// One partition with its reader, standing where the checkpoint left it.
fn owned(
    catalog: &Catalog,
    opened: &mut Opened,
    (partition, overflow): (PartitionId, Overflow),
    (resumed, gauge): (&mut Resumed, Arc<Gauge>),
) -> Result<Owned, StartError> {
    let stream = opened.to_read.name.clone();
    let Some(plan) = catalog.streams.get(&stream) else {
        return Err(StartError::Views(format!("there is no stream {stream}")));
    };
    let place = Place {
        origin: opened.source.origin().to_owned(),
        is_file: false,
        partition,
        partitions: u32::try_from(opened.to_read.partitions.len()).ok(),
    };
    let views = views_to_run(catalog, &stream);
    let derived = catalog.derived_from(&stream);
    let mut run = partition_run(plan, &derived, place, None, &views).map_err(views_error)?;
    run.live().admission.overflow_to(overflow).map_err(SavingError::from)?;
    if let Some(start) = resumed.partitions.remove(&(stream.clone(), partition)) {
        run.restore(start).map_err(views_error)?;
    }
    let reader = opened.source.open(partition, run.next_offset());
    let reader = reader.map_err(|source| StartError::Source { stream: stream.clone(), source })?;
    Ok(Owned::new(stream, reader, run, gauge))
}

fn views_error(error: datafusion::common::DataFusionError) -> StartError {
    StartError::Views(error.strip_backtrace())
}

impl Pipeline {
    /// What it publishes.
    #[must_use]
    pub fn results(&self) -> &Arc<Results> {
        &self.results
    }

    /// Whether the publishing thread has ended by itself, which only a broken invariant makes it do.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.publisher.is_finished()
    }

    /// Reads no more, publishes a last cut and writes a last checkpoint.
    pub fn stop(self) {
        // A full channel means that it is stopping already.
        let _told = self.stop.try_send(());
        if self.publisher.join().is_err() {
            tracing::error!("the publishing thread panicked; the last checkpoint is older than the last cut");
        }
    }
}

/// A name for this life of the publisher.
fn epoch() -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{nanos:x}")
}
