//! From a running publisher to a checkpoint and back.

use std::collections::BTreeMap;
use std::path::Path;

use super::partition::PartitionStart;
use super::publisher::{PartitionAt, Publisher};
use crate::model::PartitionId;
use crate::results::published::NewWindow;
use crate::results::{Mark, WindowRows};
use crate::state::checkpoint::{SavedPartition, ViewToSave, encode};
use crate::state::dedup_files::DedupFiles;
use crate::state::{Checkpoint, CheckpointError, CheckpointStore};

/// Saves a publisher's state with its offsets.
#[derive(Debug)]
pub struct Saving {
    store: CheckpointStore,
    dedup: DedupFiles,
    /// Dedup keys since the last checkpoint.
    fresh: BTreeMap<PartitionId, Vec<(u128, i64)>>,
}

/// What a stream goes on from.
#[derive(Debug, Default)]
pub struct Resumed {
    /// Where each partition goes on; empty for a fresh start.
    pub partitions: BTreeMap<PartitionId, PartitionStart>,
}

impl Saving {
    /// Opens a stream's checkpoints and puts the newest one into the publisher.
    ///
    /// A checkpoint of other views is set aside: the state is then rebuilt from the log.
    ///
    /// # Errors
    /// When a checkpoint cannot be read, or the number of partitions has changed.
    pub fn open(
        dir: &Path,
        kept: usize,
        (horizon_ms, partitions): (i64, &[PartitionId]),
        publisher: &mut Publisher,
    ) -> Result<(Self, Resumed), SavingError> {
        let mut store = CheckpointStore::open(dir, kept)?;
        let mut checkpoint = store.load()?.unwrap_or_default();
        if !checkpoint.partitions.is_empty() {
            if checkpoint.partitions.len() != partitions.len() {
                return Err(SavingError::PartitionCount {
                    before: checkpoint.partitions.len(),
                    now: partitions.len(),
                    dir: dir.display().to_string(),
                });
            }
            if !same_views(&checkpoint, publisher) {
                tracing::warn!(
                    "the views have changed since the last checkpoint; everything is computed again from the \
                     earliest record in the log"
                );
                store.set_aside()?;
                checkpoint = Checkpoint::default();
            }
        }
        let dedup = DedupFiles::new(store.dir(), horizon_ms, std::mem::take(&mut checkpoint.dedup));
        let mut resumed = Resumed::default();
        for (number, saved) in &checkpoint.partitions {
            resumed.partitions.insert(*number, start_of(saved, dedup.load(*number)?));
        }
        take_up(publisher, checkpoint)?;
        Ok((Self { store, dedup, fresh: BTreeMap::new() }, resumed))
    }

    /// Takes note of dedup keys that the next checkpoint must hold.
    pub fn note(&mut self, partition: PartitionId, keys: Vec<(u128, i64)>) {
        self.fresh.entry(partition).or_default().extend(keys);
    }

    /// Writes a checkpoint of the publisher's last cut.
    ///
    /// # Errors
    /// When the disk refuses; the next call tries again with everything.
    pub fn save(&mut self, publisher: &Publisher) -> Result<(), SavingError> {
        for (partition, keys) in &mut self.fresh {
            self.dedup.append(*partition, keys)?;
            keys.clear();
        }
        for (partition, at) in &publisher.partitions {
            self.dedup.forget(*partition, at.watermark);
        }
        let partitions: BTreeMap<PartitionId, SavedPartition> =
            publisher.partitions.iter().map(|(number, at)| (*number, saved(at))).collect();
        let views: Vec<ViewToSave<'_>> = publisher
            .views
            .iter()
            .map(|view| ViewToSave {
                name: &view.name,
                hash: &view.hash,
                tables: view.state.tables(),
                bases: view.state.bases(),
                windows: view.published.windows().values().map(|window| without_papers(window)).collect(),
            })
            .collect();
        let body = encode(publisher.stream(), &partitions, &views, self.dedup.lengths())
            .map_err(SavingError::Encode)?;
        self.store.save(&body)?;
        metrics::histogram!("tidemark_checkpoint_bytes").record(body.len() as f64);
        Ok(())
    }
}

/// Why state cannot be saved or taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavingError {
    /// The files.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Another number of partitions is another log.
    #[error("the stream had {before} partitions at the last checkpoint and has {now} now: figures of another partitioning are other figures; move {dir} away to compute everything again from the log")]
    PartitionCount {
        /// At the checkpoint.
        before: usize,
        /// Now.
        now: usize,
        /// The folder of the checkpoints.
        dir: String,
    },
    /// The state cannot be written as bytes.
    #[error("the state cannot be written: {0}")]
    Encode(String),
    /// The state does not fit the views.
    #[error("the checkpoint does not fit the views: {0}")]
    Restore(String),
}

fn same_views(checkpoint: &Checkpoint, publisher: &Publisher) -> bool {
    let saved = checkpoint.views.iter().map(|view| (view.name.as_str(), view.hash.as_str()));
    let now = publisher.views.iter().map(|view| (view.name.as_str(), view.hash.as_str()));
    saved.eq(now)
}

fn start_of(saved: &SavedPartition, dedup_keys: Vec<(u128, i64)>) -> PartitionStart {
    PartitionStart {
        next_offset: saved.next_offset,
        watermark: Some(saved.watermark),
        as_of: saved.as_of,
        counts: saved.counts,
        views: saved.views.clone(),
        dedup_keys,
    }
}

fn saved(at: &PartitionAt) -> SavedPartition {
    SavedPartition {
        next_offset: at.next_offset,
        watermark: at.watermark,
        as_of: at.as_of,
        counts: at.counts,
        views: at.views.clone(),
    }
}

fn take_up(publisher: &mut Publisher, checkpoint: Checkpoint) -> Result<(), SavingError> {
    for (number, saved) in checkpoint.partitions {
        let at = PartitionAt {
            next_offset: saved.next_offset,
            watermark: saved.watermark,
            as_of: saved.as_of,
            counts: saved.counts,
            views: saved.views,
        };
        publisher.partitions.insert(number, at);
    }
    let watermark = publisher.partitions.values().map(|at| at.watermark).min().unwrap_or(i64::MIN);
    for (view, saved) in publisher.views.iter_mut().zip(checkpoint.views) {
        view.state.restore(saved.tables, saved.bases, watermark);
        view.published.restore(0, saved.windows).map_err(|error| SavingError::Restore(error.to_string()))?;
    }
    Ok(())
}

/// The rows of a window without their mark and revision, which are told apart.
fn without_papers(window: &WindowRows) -> NewWindow {
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;
    let columns = window.batch.num_columns();
    let mark = match window.batch.column(columns - 2).as_string::<i32>().iter().next().flatten() {
        Some("final") => Mark::Final,
        Some("settled") => Mark::Settled,
        _ => Mark::Provisional,
    };
    let revision = window.batch.column(columns - 1).as_primitive::<Int64Type>().iter().next().flatten();
    let own: Vec<usize> = (0..columns - 2).collect();
    NewWindow {
        window: window.window,
        rows: window.batch.project(&own).unwrap_or_else(|_| window.batch.clone()),
        mark,
        revision: revision.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
    }
}
