//! From a running publisher to a checkpoint and back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::partition::PartitionStart;
use super::publisher::{Publisher, ViewRuntime};
use crate::admit::{DedupDrain, Overflow};
use crate::admit::duplicate::SpillError;
use crate::ledger::LedgerError;
use crate::lifecycle::operator::OperatorDrain;
use crate::model::PartitionId;
use crate::results::published::NewWindow;
use crate::sql::catalog::ScopeDefinition;
use crate::results::{Mark, WindowRows};
use crate::state::checkpoint::{StreamToSave, ViewToSave, encode};
use crate::state::dedup_files::DedupFiles;
use crate::state::dedup_store::DedupStore;
use crate::state::journal::{JournalKey, Journals, JournalsAt};
use crate::state::{CheckpointError, CheckpointStore, SavedStream, SavedView, ScopeRegister};

/// Saves the state of all streams and views with their offsets.
#[derive(Debug)]
pub struct Saving {
    store: CheckpointStore,
    scopes: ScopeRegister,
    streams: BTreeMap<String, StreamFiles>,
    keys: Arc<DedupStore>,
    keys_max: usize,
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
    /// Whether partitions that the log did not have before are taken in.
    pub accepts_partitions: bool,
    /// The partitions its log has now.
    pub partitions: Vec<PartitionId>,
}

/// What the streams go on from.
#[derive(Debug, Default)]
pub struct Resumed {
    /// By stream and partition; what is missing begins with the first record in the log.
    pub partitions: BTreeMap<(String, PartitionId), PartitionStart>,
    /// Keys of the views of these streams that the checkpoint does not hold: they have to be filled.
    pub unfilled: Vec<Arc<str>>,
}

impl Saving {
    /// Opens the checkpoints and puts the newest one into the publisher.
    ///
    /// A stream that is defined otherwise now begins again with the first record in the log, with all its
    /// views. A view that is new or defined otherwise is only told as unfilled.
    ///
    /// # Errors
    /// When a checkpoint cannot be read, or the number of partitions has changed.
    pub fn open(
        (dir, kept): (&Path, usize),
        (keys, keys_max): (Arc<DedupStore>, usize),
        streams: &[StreamToRead],
        publisher: &mut Publisher,
    ) -> Result<(Self, Resumed), SavingError> {
        let store = CheckpointStore::open(dir, kept)?;
        let mut checkpoint = store.load()?.unwrap_or_default();
        let mut saving =
            Self { store, scopes: ScopeRegister::open(dir)?, streams: BTreeMap::new(), keys, keys_max };
        let mut resumed = Resumed::default();
        for stream in streams {
            let saved = checkpoint.streams.remove(&stream.name).unwrap_or_default();
            let folder = dir.join(&stream.name);
            if saved.partitions.is_empty() || saved.hash != stream.hash {
                if !saved.partitions.is_empty() {
                    tracing::warn!(
                        stream = stream.name,
                        "stream {} is defined otherwise than at the last checkpoint; all its figures are computed \
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
            check_partitions(stream, &saved, dir)?;
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
            let of_stream = publisher.views.iter().filter(|view| *view.base == *stream.name);
            let unfilled = of_stream.filter(|view| !checkpoint.views.iter().any(|saved| is_same(saved, view)));
            resumed.unfilled.extend(unfilled.map(|view| Arc::clone(&view.key)));
        }
        take_up(publisher, checkpoint.views)?;
        Ok((saving, resumed))
    }

    /// Every version of every scope there has been.
    #[must_use]
    pub fn scopes(&self) -> &ScopeRegister {
        &self.scopes
    }

    /// Remembers the versions of scopes that have been checked.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn learn_scopes(&mut self, scopes: &BTreeMap<String, ScopeDefinition>) -> Result<(), CheckpointError> {
        self.scopes.learn(scopes)
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

    /// Where the dedup keys of a partition go that do not fit into memory.
    #[must_use]
    pub fn overflow(&self, stream: &str, partition: PartitionId) -> Overflow {
        Overflow { store: self.keys.partition(stream, partition), keys_max: self.keys_max }
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
        // What has failed or is not shown yet lacks records; it is filled again after a restart.
        let views: Vec<ViewToSave<'_>> = publisher
            .views
            .iter()
            .filter(|view| view.is_shown && view.failed.is_none())
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
         partitioning are other figures; move {dir} away to compute everything again from the log, or, for added \
         partitions, declare 'on-partition-added' = 'accept' in the stream"
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

/// Another number of partitions is another log, unless new ones are taken in as they are.
fn check_partitions(stream: &StreamToRead, saved: &SavedStream, dir: &Path) -> Result<(), SavingError> {
    let is_missing = |number: &PartitionId| !stream.partitions.contains(number);
    let (before, now) = (saved.partitions.len(), stream.partitions.len());
    let has_lost = saved.partitions.keys().any(is_missing);
    if before == now && !has_lost || stream.accepts_partitions && !has_lost {
        return Ok(());
    }
    Err(SavingError::PartitionCount { stream: stream.name.clone(), before, now, dir: dir.display().to_string() })
}

fn is_same(saved: &SavedView, view: &ViewRuntime) -> bool {
    *view.name == *saved.name && view.hash == saved.hash
}

fn take_up(publisher: &mut Publisher, saved: Vec<SavedView>) -> Result<(), SavingError> {
    for saved in saved {
        let watermark = publisher.streams.get(&saved.stream).map_or(i64::MIN, |stream| {
            stream.partitions.values().map(|at| at.watermark).min().unwrap_or(i64::MIN)
        });
        let Some(view) = publisher.views.iter_mut().find(|view| is_same(&saved, view)) else { continue };
        let partitions = publisher.streams.get(&saved.stream).map(|stream| &stream.partitions);
        for (number, at) in partitions.into_iter().flatten() {
            let since = at.views.get(&*view.key).and_then(|fold| fold.since);
            view.since.extend(since.map(|since| (*number, since)));
        }
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
