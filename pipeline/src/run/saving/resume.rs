//! From a checkpoint to a running publisher.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use datafusion::common::DataFusionError;

use super::health::Health;
use super::{Saving, SavingError, Writer};
use crate::admit::KeyRoom;
use crate::model::{PartitionId, Space};
use crate::run::checkpoints::{Backlog, CheckpointFiles, Fresh, StreamLogs};
use crate::run::partition::PartitionStart;
use crate::run::publisher::{Publisher, Publishers, ViewRuntime};
use crate::state::dedup_files::{DedupFiles, KeyFiles, SavedKeys};
use crate::state::dedup_store::DedupStore;
use crate::state::journal::{Journals, JournalsAt};
use crate::state::objects::Objects;
use crate::state::{
    Checkpoint, CheckpointError, CheckpointStore, SavedStream, SavedView, ScopeRegister,
};

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
    /// The same of the shadow space, for partitions that have had shadow records.
    pub shadow: BTreeMap<(String, PartitionId), PartitionStart>,
    /// Keys of the views of these streams that the checkpoint does not hold: they have to be filled.
    pub unfilled: Vec<Arc<str>>,
}

/// A checkpoint with all that it names.
struct Whole {
    checkpoint: Checkpoint,
    logs: BTreeMap<String, (DedupFiles, Journals)>,
    keys: BTreeMap<(String, PartitionId), SavedKeys>,
    orders: BTreeMap<(String, PartitionId), BTreeMap<String, Vec<u8>>>,
}

impl Saving {
    /// Opens the checkpoints and puts the newest whole one into the publisher. A damaged one is told and
    /// passed over for the one before it, whose offsets lead to the same state.
    ///
    /// A stream that is defined otherwise now begins again with the first record in the log, with all its
    /// views. A view that is new or defined otherwise is only told as unfilled.
    ///
    /// # Errors
    /// When the place cannot be read, all checkpoints are damaged, one is of an unknown version, or the
    /// number of partitions has changed.
    pub fn open(
        (objects, kept): (&Arc<dyn Objects>, usize),
        (keys, key_room): (Arc<DedupStore>, Arc<KeyRoom>),
        streams: &[StreamToRead],
        publishers: &mut Publishers,
        backlog: Arc<Backlog>,
    ) -> Result<(Self, Resumed), SavingError> {
        let store = CheckpointStore::open(Arc::clone(objects), kept)?;
        let keys_id = keys.identity()?;
        let of_shadow = |stream: &StreamToRead| StreamToRead {
            name: Space::Shadow.saved_name(&stream.name),
            ..stream.clone()
        };
        let saved_streams: Vec<StreamToRead> =
            streams.iter().cloned().chain(streams.iter().map(of_shadow)).collect();
        let (whole, skipped) = newest_whole(&store, (kept, &keys_id), &saved_streams)?;
        let Whole { mut checkpoint, mut logs, keys: mut saved_keys, mut orders } = whole;
        let is_other_store = checkpoint.keys_id.as_ref().is_some_and(|id| *id != keys_id);
        let mut files = CheckpointFiles {
            store,
            streams: BTreeMap::new(),
            keys: Arc::clone(&keys),
            keys_id,
            backlog: Arc::clone(&backlog),
        };
        let mut resumed = Resumed::default();
        // One that was stopped by its bound is given another chance by another bound.
        let has_same_bound = |view: &SavedView| {
            let known = publishers.live.views.iter().find(|known| is_same(view, known));
            let bound = view.stopped.as_ref().map(|(_, bytes_max)| *bytes_max);
            known.zip(bound).is_none_or(|(known, bound)| known.is_still_stopped(bound))
        };
        // A view over a stream that begins again begins again with it, and so does a join of it with another.
        let is_whole = |view: &SavedView| {
            let known = publishers.live.views.iter().find(|known| is_same(view, known));
            let space = Space::of_saved_name(&view.stream);
            known
                .into_iter()
                .flat_map(ViewRuntime::bases)
                .all(|base| logs.contains_key(&space.saved_name(&base)))
        };
        checkpoint.views.retain(|view| is_whole(view) && has_same_bound(view));
        for (stream, (base, space)) in saved_streams.iter().zip(spaces_of(streams)) {
            let saved = checkpoint.streams.remove(&stream.name).unwrap_or_default();
            let horizon = stream.dedup_horizon_ms;
            let Some((dedup, journals)) = logs.remove(&stream.name) else {
                if !saved.partitions.is_empty() && space == Space::Live {
                    tracing::warn!(
                        stream = stream.name,
                        "stream {} is defined otherwise than at the last checkpoint; all its figures are computed \
                         again from the earliest record in the log",
                        stream.name
                    );
                }
                if space == Space::Live || !saved.partitions.is_empty() {
                    keys.clear(&stream.name)?;
                }
                let dedup =
                    DedupFiles::open(objects, (&stream.name, horizon), kept, KeyFiles::new())?;
                let journals = Journals::open(objects, &stream.name, kept, JournalsAt::new())?;
                let logs = StreamLogs { dedup, journals, waiting: Fresh::default() };
                files.streams.insert(stream.name.clone(), logs);
                continue;
            };
            check_partitions(stream, &saved, &objects.place())?;
            if space == Space::Live {
                publishers.sequences.restore(base, saved.sequences);
            }
            if is_other_store {
                keys.clear(&stream.name)?;
            }
            for (number, at) in saved.partitions {
                let name = (stream.name.clone(), number);
                let dedup = saved_keys.remove(&name).unwrap_or_default();
                let start =
                    PartitionStart { at, dedup, orders: orders.remove(&name).unwrap_or_default() };
                resumed.take(space, (base, number), start, publishers)?;
            }
            files.streams.insert(
                stream.name.clone(),
                StreamLogs { dedup, journals, waiting: Fresh::default() },
            );
            let is_saved = |view: &ViewRuntime| {
                let of_space = |saved: &&SavedView| Space::of_saved_name(&saved.stream) == space;
                checkpoint.views.iter().filter(of_space).any(|saved| is_same(saved, view))
            };
            // One that is missing in one space is filled in both.
            let of_stream = publishers
                .live
                .views
                .iter()
                .filter(|view| view.input(base).is_some() && !is_saved(view));
            let unfilled: Vec<Arc<str>> = of_stream.map(|view| Arc::clone(&view.key)).collect();
            let is_new = |key: &Arc<str>| !resumed.unfilled.contains(key);
            let unfilled: Vec<Arc<str>> = unfilled.into_iter().filter(is_new).collect();
            resumed.unfilled.extend(unfilled);
        }
        let (shadow, live) = checkpoint
            .views
            .into_iter()
            .partition(|view| Space::of_saved_name(&view.stream) == Space::Shadow);
        take_up(&mut publishers.live, live)?;
        if let Some(publisher) = &mut publishers.shadow {
            take_up(publisher, shadow)?;
        }
        let health = Health {
            kept,
            skipped,
            written: 0,
            written_at: Instant::now(),
            refused: None,
            is_taken: false,
        };
        let saving = Self {
            scopes: ScopeRegister::open(objects)?,
            hashes: streams
                .iter()
                .map(|stream| (stream.name.clone(), stream.hash.clone()))
                .collect(),
            fresh: BTreeMap::new(),
            keys,
            key_room,
            backlog,
            writer: Some(Writer::Here(Box::new(files))),
            health,
        };
        Ok((saving, resumed))
    }
}

/// The names of the streams as they are saved, with the streams and spaces they are of.
fn spaces_of(streams: &[StreamToRead]) -> impl Iterator<Item = (&str, Space)> {
    let of = move |space| streams.iter().map(move |stream| (stream.name.as_str(), space));
    of(Space::Live).chain(of(Space::Shadow))
}

impl Resumed {
    /// Takes note of what a partition goes on from in a space, and puts it into the publisher.
    fn take(
        &mut self,
        space: Space,
        (stream, number): (&str, PartitionId),
        start: PartitionStart,
        publishers: &mut Publishers,
    ) -> Result<(), SavingError> {
        let restore = |error: DataFusionError| SavingError::Restore(error.strip_backtrace());
        let publisher = match space {
            Space::Live => &mut publishers.live,
            Space::Shadow => publishers.begin_shadow().map_err(restore)?,
        };
        let target = publisher.streams.entry(stream.to_owned()).or_default();
        target.partitions.insert(number, start.at.clone());
        let name = (stream.to_owned(), number);
        match space {
            Space::Live => drop(self.partitions.insert(name, start)),
            Space::Shadow if start.at.counts.read > 0 => drop(self.shadow.insert(name, start)),
            Space::Shadow => {}
        }
        Ok(())
    }
}

/// The newest checkpoint that is whole with all it names, and what was passed over for it.
fn newest_whole(
    store: &CheckpointStore,
    as_now: (usize, &str),
    streams: &[StreamToRead],
) -> Result<(Whole, Vec<String>), SavingError> {
    let mut damaged = Vec::new();
    for number in store.numbers().iter().rev() {
        match whole(store, *number, as_now, streams) {
            Ok(whole) => return Ok((whole, damaged.iter().map(ToString::to_string).collect())),
            Err(error @ CheckpointError::Damaged { .. }) => {
                tracing::error!(%error, "a checkpoint is passed over: {error}");
                metrics::counter!("tidemark_checkpoints_passed_over_total").increment(1);
                damaged.push(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match damaged.into_iter().next() {
        Some(error) => Err(error.into()),
        None => {
            let (logs, keys, orders) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            Ok((Whole { checkpoint: Checkpoint::default(), logs, keys, orders }, Vec::new()))
        }
    }
}

/// A checkpoint with the logs of the streams that are still what they were.
fn whole(
    store: &CheckpointStore,
    number: u64,
    (kept, keys_id): (usize, &str),
    streams: &[StreamToRead],
) -> Result<Whole, CheckpointError> {
    let mut checkpoint = store.read(number)?;
    let is_other_store = checkpoint.keys_id.as_ref().is_some_and(|id| id != keys_id);
    let (mut logs, mut keys, mut orders) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for stream in streams {
        let Some(saved) = checkpoint.streams.get_mut(&stream.name) else { continue };
        if saved.partitions.is_empty() || saved.hash != stream.hash {
            continue;
        }
        let (key_files, journals_at) =
            (std::mem::take(&mut saved.dedup), std::mem::take(&mut saved.journals));
        let objects = store.objects();
        let mut dedup =
            DedupFiles::open(objects, (&stream.name, stream.dedup_horizon_ms), kept, key_files)?;
        if is_other_store {
            dedup.forget_spilled();
        }
        let journals = Journals::open(objects, &stream.name, kept, journals_at)?;
        for (partition, at) in &saved.partitions {
            keys.insert((stream.name.clone(), *partition), dedup.load(*partition, at.watermark)?);
            orders.insert((stream.name.clone(), *partition), journals.load_all(*partition)?);
        }
        logs.insert(stream.name.clone(), (dedup, journals));
    }
    Ok(Whole { checkpoint, logs, keys, orders })
}

/// Another number of partitions is another log, unless new ones are taken in as they are.
fn check_partitions(
    stream: &StreamToRead,
    saved: &SavedStream,
    place: &str,
) -> Result<(), SavingError> {
    let is_missing = |number: &PartitionId| !stream.partitions.contains(number);
    let (before, now) = (saved.partitions.len(), stream.partitions.len());
    let has_lost = saved.partitions.keys().any(is_missing);
    if !has_lost && (before == now || stream.accepts_partitions) {
        return Ok(());
    }
    Err(SavingError::PartitionCount {
        stream: stream.name.clone(),
        before,
        now,
        dir: place.to_owned(),
    })
}

fn is_same(saved: &SavedView, view: &ViewRuntime) -> bool {
    *view.name == *saved.name && view.hash == saved.hash
}

fn take_up(publisher: &mut Publisher, saved: Vec<SavedView>) -> Result<(), SavingError> {
    for saved in saved {
        let Some(view) = publisher.views.iter_mut().find(|view| is_same(&saved, view)) else {
            continue;
        };
        let mut watermark = i64::MAX;
        for input in &view.inputs {
            let stream = publisher.streams.get(&*input.base);
            let partitions = stream.map(|stream| &stream.partitions);
            let passed = partitions.and_then(|all| all.values().map(|at| at.watermark).min());
            watermark = watermark.min(passed.unwrap_or(i64::MIN));
            for (number, at) in partitions.into_iter().flatten() {
                let since = at.views.get(&*view.key).and_then(|fold| fold.since);
                view.since.extend(since.map(|since| (input.side.partition(*number), since)));
            }
        }
        view.problems = saved.problems;
        view.failed = saved.stopped.map(|(reason, _)| reason);
        view.state.restore(saved.tables, saved.bases, watermark);
        view.published
            .restore(0, saved.windows)
            .map_err(|error| SavingError::Restore(error.to_string()))?;
    }
    Ok(())
}
