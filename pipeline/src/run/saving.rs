//! From a running publisher to a checkpoint and back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::partition::PartitionStart;
use super::publisher::Publisher;
use crate::admit::DedupDrain;
use crate::admit::duplicate::SpillError;
use crate::ledger::LedgerError;
use crate::lifecycle::operator::OperatorDrain;
use crate::model::PartitionId;
use crate::results::published::NewWindow;
use crate::results::{Mark, WindowRows};
use crate::state::checkpoint::{StreamToSave, ViewToSave, encode};
use crate::state::dedup_files::DedupFiles;
use crate::state::dedup_store::DedupStore;
use crate::state::journal::{JournalKey, Journals, JournalsAt};
use crate::state::{Checkpoint, CheckpointError, CheckpointStore, SavedView};

/// Saves the state of all streams and views with their offsets.
#[derive(Debug)]
pub struct Saving {
    store: CheckpointStore,
    streams: BTreeMap<String, StreamFiles>,
    keys: Arc<DedupStore>,
}

/// What of a stream is kept beside its state.
#[derive(Debug)]
struct StreamFiles {
    hash: String,
    dedup: DedupFiles,
    /// Dedup keys since the last checkpoint.
    fresh: BTreeMap<PartitionId, DedupDrain>,
    journals: Journals,
    /// Orders since the last checkpoint.
    fresh_orders: BTreeMap<JournalKey, FreshOrders>,
}

/// What the next checkpoint must hold of one operator's orders.
#[derive(Debug, Default)]
struct FreshOrders {
    bytes: Vec<u8>,
    /// Whether they are all there are, so that the journal begins anew.
    is_whole: bool,
}

/// A stream that is about to be read.
#[derive(Debug, Clone)]
pub struct StreamToRead {
    /// Its name.
    pub name: String,
    /// SHA-256 of its definition.
    pub hash: String,
    /// `dedup.horizon` in milliseconds.
    pub dedup_horizon_ms: i64,
    /// The partitions its log has now.
    pub partitions: Vec<PartitionId>,
}

/// What the streams go on from.
#[derive(Debug, Default)]
pub struct Resumed {
    /// By stream and partition; what is missing begins with the first record in the log.
    pub partitions: BTreeMap<(String, PartitionId), PartitionStart>,
}

impl Saving {
    /// Opens the checkpoints and puts the newest one into the publisher.
    ///
    /// A stream that is defined otherwise now, or of which a view is, begins again with the first
    /// record in the log.
    ///
    /// # Errors
    /// When a checkpoint cannot be read, or the number of partitions has changed.
    pub fn open(
        (dir, kept): (&Path, usize),
        keys: Arc<DedupStore>,
        streams: &[StreamToRead],
        publisher: &mut Publisher,
    ) -> Result<(Self, Resumed), SavingError> {
        let store = CheckpointStore::open(dir, kept)?;
        let mut checkpoint = store.load()?.unwrap_or_default();
        let mut saving = Self { store, streams: BTreeMap::new(), keys };
        let mut resumed = Resumed::default();
        for stream in streams {
            let saved = checkpoint.streams.remove(&stream.name).unwrap_or_default();
            let folder = dir.join(&stream.name);
            let is_known = !saved.partitions.is_empty();
            if is_known {
                check_partitions(stream, saved.partitions.len(), dir)?;
            }
            if !is_known || saved.hash != stream.hash || !same_views(&checkpoint, publisher, &stream.name) {
                if is_known {
                    tracing::warn!(
                        stream = stream.name,
                        "stream {} or a view of it has changed since the last checkpoint; its figures are computed \
                         again from the earliest record in the log",
                        stream.name
                    );
                }
                checkpoint.views.retain(|view| view.stream != stream.name);
                saving.keys.clear(&stream.name)?;
                let dedup = DedupFiles::fresh(&folder, stream.dedup_horizon_ms, kept)?;
                saving.add(stream, dedup, Journals::new(&folder, kept, JournalsAt::new()));
                continue;
            }
            let mut dedup = DedupFiles::new(&folder, stream.dedup_horizon_ms, kept, saved.dedup);
            let journals = Journals::new(&folder, kept, saved.journals);
            for (number, at) in saved.partitions {
                let keys = dedup.load(number, at.watermark)?;
                let orders = journals.load_all(number)?;
                let target = publisher.streams.entry(stream.name.clone()).or_default();
                target.partitions.insert(number, at.clone());
                let start = PartitionStart { at, dedup: keys, orders };
                resumed.partitions.insert((stream.name.clone(), number), start);
            }
            saving.add(stream, dedup, journals);
        }
        take_up(publisher, checkpoint.views)?;
        Ok((saving, resumed))
    }

    fn add(&mut self, stream: &StreamToRead, dedup: DedupFiles, journals: Journals) {
        let files = StreamFiles {
            hash: stream.hash.clone(),
            dedup,
            fresh: BTreeMap::new(),
            journals,
            fresh_orders: BTreeMap::new(),
        };
        self.streams.insert(stream.name.clone(), files);
    }

    /// Takes note of dedup keys that the next checkpoint must hold.
    pub fn note(&mut self, stream: &str, partition: PartitionId, keys: DedupDrain) {
        if let Some(files) = self.streams.get_mut(stream) {
            let waiting = files.fresh.entry(partition).or_default();
            waiting.fresh.extend(keys.fresh);
            waiting.spilled = keys.spilled;
        }
    }

    /// Takes note of orders that the next checkpoint must hold.
    pub fn note_orders(&mut self, stream: &str, partition: PartitionId, operators: &mut [(Arc<str>, OperatorDrain)]) {
        let Some(files) = self.streams.get_mut(stream) else { return };
        for (operator, drain) in operators {
            let fresh = files.fresh_orders.entry((operator.to_string(), partition)).or_default();
            if drain.is_whole {
                *fresh = FreshOrders { bytes: Vec::new(), is_whole: true };
            }
            fresh.bytes.append(&mut drain.orders);
        }
    }

    /// Writes a checkpoint of the publisher's last cut.
    ///
    /// # Errors
    /// When the disk refuses; the next call tries again with everything.
    pub fn save(&mut self, publisher: &Publisher) -> Result<(), SavingError> {
        for files in self.streams.values_mut() {
            for (partition, keys) in &mut files.fresh {
                files.dedup.append(*partition, &keys.fresh)?;
                files.dedup.note_spilled(*partition, &keys.spilled);
                keys.fresh.clear();
            }
            for (key, fresh) in &mut files.fresh_orders {
                match fresh.is_whole {
                    true => files.journals.replace(key, &fresh.bytes)?,
                    false => files.journals.append(key, &fresh.bytes)?,
                }
                *fresh = FreshOrders::default();
            }
        }
        let streams: Vec<StreamToSave<'_>> = self
            .streams
            .iter()
            .filter_map(|(name, files)| {
                let partitions = &publisher.streams.get(name)?.partitions;
                let (dedup, journals) = (files.dedup.files(), files.journals.at());
                Some(StreamToSave { name, hash: &files.hash, partitions, dedup, journals })
            })
            .collect();
        let views: Vec<ViewToSave<'_>> = publisher
            .views
            .iter()
            .map(|view| ViewToSave {
                name: &view.name,
                hash: &view.hash,
                stream: &view.base,
                tables: view.state.tables(),
                bases: view.state.bases(),
                windows: view.published.windows().values().map(|window| without_papers(window)).collect(),
            })
            .collect();
        let body = encode(&streams, &views).map_err(SavingError::Encode)?;
        self.store.save(&body)?;
        self.streams.values_mut().for_each(|files| files.journals.forget_retired());
        self.forget_keys(publisher);
        metrics::histogram!("tidemark_checkpoint_bytes").record(body.len() as f64);
        Ok(())
    }
}

impl Saving {
    /// Lets go of dedup keys that none of the checkpoints kept can need.
    fn forget_keys(&mut self, publisher: &Publisher) {
        for (name, files) in &mut self.streams {
            let Some(stream) = publisher.streams.get(name) else { continue };
            let watermarks = stream.partitions.iter().map(|(number, at)| (*number, at.watermark));
            for (partition, watermark) in files.dedup.checkpoint_written(watermarks.collect()) {
                self.keys.forget(name, partition, watermark.saturating_sub(files.dedup.horizon_ms()));
            }
        }
    }
}

/// Why state cannot be saved or taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavingError {
    /// The files.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The dedup keys beyond the memory bound.
    #[error(transparent)]
    Keys(#[from] SpillError),
    /// The ledgers.
    #[error(transparent)]
    Ledgers(#[from] LedgerError),
    /// Another number of partitions is another log.
    #[error(
        "stream {stream} had {before} partitions at the last checkpoint and has {now} now: figures of another \
         partitioning are other figures; move {dir} away to compute everything again from the log"
    )]
    PartitionCount {
        /// The stream.
        stream: String,
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

fn check_partitions(stream: &StreamToRead, before: usize, dir: &Path) -> Result<(), SavingError> {
    let now = stream.partitions.len();
    if before == now {
        return Ok(());
    }
    Err(SavingError::PartitionCount { stream: stream.name.clone(), before, now, dir: dir.display().to_string() })
}

fn same_views(checkpoint: &Checkpoint, publisher: &Publisher, stream: &str) -> bool {
    let saved = checkpoint.views.iter().filter(|view| view.stream == stream);
    let now = publisher.views.iter().filter(|view| &*view.base == stream);
    let saved = saved.map(|view| (view.name.as_str(), view.hash.as_str()));
    saved.eq(now.map(|view| (&*view.name, view.hash.as_str())))
}

fn take_up(publisher: &mut Publisher, saved: Vec<SavedView>) -> Result<(), SavingError> {
    for saved in saved {
        let watermark = publisher.streams.get(&saved.stream).map_or(i64::MIN, |stream| {
            stream.partitions.values().map(|at| at.watermark).min().unwrap_or(i64::MIN)
        });
        let Some(view) = publisher.views.iter_mut().find(|view| *view.name == *saved.name && view.hash == saved.hash) else { continue };
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
