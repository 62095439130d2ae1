//! From a running publisher to a checkpoint and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::common::DataFusionError;

use super::checkpoints::{Background, Backlog, CheckpointFiles, Fresh, Job, StreamLogs, Written};
use super::partition::Drains;
use super::partition::PartitionStart;
use super::publisher::{Publisher, Publishers, ViewRuntime};
use crate::admit::duplicate::SpillError;
use crate::admit::{KeyRoom, Overflow};
use crate::history;
use crate::ledger::LedgerError;
use crate::model::{BySpace, PartitionId, Space};
use crate::sql::catalog::ScopeDefinition;
use crate::state::checkpoint::{StreamToSave, ViewToSave, encode};
use crate::state::dedup_files::{DedupFiles, KeyFiles, SavedKeys};
use crate::state::dedup_store::DedupStore;
use crate::state::journal::{Journals, JournalsAt};
use crate::state::objects::Objects;
use crate::state::{
    Checkpoint, CheckpointError, CheckpointStore, SavedStream, SavedView, ScopeRegister,
};

/// Saves the state of all streams and views with their offsets.
#[derive(Debug)]
pub struct Saving {
    scopes: ScopeRegister,
    hashes: BTreeMap<String, String>,
    /// What has come since the last job, by stream.
    fresh: BTreeMap<String, Fresh>,
    keys: Arc<DedupStore>,
    key_room: Arc<KeyRoom>,
    backlog: Arc<Backlog>,
    /// `None` only while it goes to the background.
    writer: Option<Writer>,
    health: Health,
}

/// Who writes.
#[derive(Debug)]
enum Writer {
    /// Whoever calls.
    Here(Box<CheckpointFiles>),
    /// A thread of its own.
    Away(Background),
}

/// How writing goes.
#[derive(Debug)]
struct Health {
    kept: usize,
    /// Checkpoints that were damaged when this process started, until as many as are kept are newer.
    skipped: Vec<String>,
    written: usize,
    written_at: Instant,
    /// Why the last one was not written, if it was not.
    refused: Option<String>,
}

impl Health {
    fn hear(&mut self, outcome: Result<&Written, &SavingError>) {
        match outcome {
            Ok(_) => {
                if self.refused.take().is_some() {
                    tracing::info!("checkpoints are written again");
                }
                self.written += 1;
                self.written_at = Instant::now();
                if self.written >= self.kept {
                    self.skipped.clear();
                }
            }
            Err(error) => {
                metrics::counter!("tidemark_checkpoint_failures").increment(1);
                let error = error.to_string();
                if self.refused.as_ref() != Some(&error) {
                    tracing::error!(error, "the checkpoint was not written: {error}");
                }
                self.refused = Some(error);
            }
        }
        metrics::gauge!("tidemark_checkpoint_failing")
            .set(f64::from(u8::from(self.refused.is_some())));
    }
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
        let health =
            Health { kept, skipped, written: 0, written_at: Instant::now(), refused: None };
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

    /// Every version of every scope there has been.
    #[must_use]
    pub fn scopes(&self) -> &ScopeRegister {
        &self.scopes
    }

    /// Remembers the versions of scopes that have been checked.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn learn_scopes(
        &mut self,
        scopes: &BTreeMap<String, ScopeDefinition>,
    ) -> Result<(), CheckpointError> {
        self.scopes.learn(scopes)
    }

    /// Where the dedup keys of a partition go that do not fit into memory, in each space.
    #[must_use]
    pub fn overflow(&self, stream: &str, partition: PartitionId) -> BySpace<Overflow> {
        let of = |space: Space| Overflow {
            store: self.keys.partition(&space.saved_name(stream), partition),
            room: Arc::clone(&self.key_room),
        };
        BySpace { live: of(Space::Live), shadow: of(Space::Shadow) }
    }

    /// How much waits for a checkpoint.
    #[must_use]
    pub fn backlog(&self) -> &Arc<Backlog> {
        &self.backlog
    }

    /// Takes out of a partition's drains what the next checkpoint must hold beside the cut: dedup keys and
    /// orders.
    pub fn note(&mut self, stream: &str, drains: &mut Drains) {
        for (space, drain) in
            [(Space::Live, Some(&mut drains.live)), (Space::Shadow, drains.shadow.as_mut())]
        {
            let Some(drain) = drain else { continue };
            let fresh = self.fresh.entry(space.saved_name(stream)).or_default();
            fresh.note_keys(drain.partition, std::mem::take(&mut drain.dedup));
            for (operator, told) in &mut drain.operators {
                let bytes = std::mem::take(&mut told.orders);
                fresh.note_orders((operator.to_string(), drain.partition), bytes, told.is_whole);
            }
        }
    }

    /// Puts rows of a stream's history into the next checkpoint; `is_whole` where the journal begins anew.
    pub fn note_history(
        &mut self,
        stream: &str,
        partition: PartitionId,
        bytes: Vec<u8>,
        is_whole: bool,
    ) {
        if is_whole || !bytes.is_empty() {
            let fresh = self.fresh.entry(stream.to_owned()).or_default();
            fresh.note_orders((history::JOURNAL.to_owned(), partition), bytes, is_whole);
        }
    }

    /// Lets a thread of its own write from now on.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn go_to_background(&mut self) -> std::io::Result<()> {
        self.writer = match self.writer.take() {
            Some(Writer::Here(files)) => Some(Writer::Away(Background::start(*files)?)),
            other => other,
        };
        Ok(())
    }

    /// Writes a checkpoint of the publisher's last cut, and answers when it is there; the ledgers are
    /// left to the caller. Not for a writer in the background.
    ///
    /// # Errors
    /// When the place refuses; the next call tries again with everything.
    pub fn save(&mut self, publisher: &Publishers) -> Result<(), SavingError> {
        let job = self.job(publisher)?;
        let written = match &mut self.writer {
            Some(Writer::Here(files)) => files.write(job),
            _ => {
                return Err(SavingError::Encode(
                    "checkpoints are written in the background".to_owned(),
                ));
            }
        };
        self.health.hear(written.as_ref());
        written.map(|_| ())
    }

    /// Begins to write a checkpoint of the publisher's last cut in the background; `false` while the one
    /// before is still being written.
    ///
    /// # Errors
    /// When the state cannot be written as bytes, or the ledgers have not taken what belongs to it.
    pub fn begin(&mut self, publisher: &mut Publishers) -> Result<bool, SavingError> {
        match &self.writer {
            Some(Writer::Away(background)) if !background.is_busy() => {}
            _ => return Ok(false),
        }
        publisher.write_ledgers()?;
        let mut job = self.job(publisher)?;
        job.ledgers = Some(Arc::clone(publisher.live.ledgers.store()));
        if let Some(Writer::Away(background)) = &mut self.writer {
            background.begin(job);
        }
        Ok(true)
    }

    /// The checkpoint that has been written since the last call, if one has; waits for it at most `patience`.
    /// What has failed is told by [`Saving::alarms`].
    pub fn finished(&mut self, patience: Duration) -> Option<Written> {
        let Some(Writer::Away(background)) = &mut self.writer else { return None };
        if !background.is_busy() {
            return None;
        }
        let outcome = background.finished(patience)?;
        self.health.hear(outcome.as_ref());
        outcome.ok()
    }

    /// Takes note that a checkpoint could not even be begun.
    pub fn refused(&mut self, error: &SavingError) {
        self.health.hear(Err(error));
    }

    /// Ends the writer; a place that does not answer is not waited for.
    pub fn stop(self) {
        if let Some(Writer::Away(background)) = self.writer {
            background.stop();
        }
    }

    /// What someone must look at, with the metrics of it.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let age = self.health.written_at.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "for graphs; bounded far below 2^53")]
        metrics::gauge!("tidemark_checkpoint_waiting_bytes").set(self.backlog.bytes() as f64);
        metrics::gauge!("tidemark_checkpoint_age_seconds").set(age.as_secs_f64());
        let refused = self.health.refused.as_ref().map(|error| {
            format!(
                "no checkpoint has been written for {} s: {error}; figures go on, and what came since is read again \
                 after a restart",
                age.as_secs()
            )
        });
        let skipped =
            self.health.skipped.iter().map(|error| format!("passed over at start: {error}"));
        refused.into_iter().chain(self.pauses()).chain(skipped).collect()
    }

    /// Why no partition is read until a checkpoint has been written; `None` while they are.
    pub(super) fn pauses(&self) -> Option<String> {
        self.backlog.is_full().then(|| {
            format!(
                "partitions wait: {} bytes are not in a checkpoint yet (pipeline.checkpoint-waiting-bytes-max)",
                self.backlog.bytes()
            )
        })
    }

    /// Everything the next checkpoint holds.
    fn job(&mut self, publishers: &Publishers) -> Result<Job, SavingError> {
        let spaces =
            [(Space::Live, Some(&publishers.live)), (Space::Shadow, publishers.shadow.as_ref())];
        let spaces =
            || spaces.into_iter().filter_map(|(space, publisher)| Some((space, publisher?)));
        let names: BTreeMap<(Space, &str), String> = spaces()
            .flat_map(|(space, publisher)| publisher.streams.keys().map(move |name| (space, name)))
            .map(|(space, name)| ((space, name.as_str()), space.saved_name(name)))
            .collect();
        let (mut streams, mut views, mut watermarks) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (space, publisher) in spaces() {
            for (name, hash) in &self.hashes {
                let (Some(stream), Some(saved)) =
                    (publisher.streams.get(name), names.get(&(space, name.as_str())))
                else {
                    continue;
                };
                let at =
                    stream.partitions.iter().map(|(number, at)| (*number, at.watermark)).collect();
                watermarks.insert(saved.clone(), at);
                let sequences = publishers.sequences.stream(name).filter(|_| space == Space::Live);
                let partitions = &stream.partitions;
                streams.push(StreamToSave { name: saved, hash, partitions, sequences });
            }
            // What is not shown yet lacks records; it is filled again after a restart.
            for view in publisher.views.iter().filter(|view| view.is_shown) {
                let stopped = match view.stopped() {
                    Some(None) => continue,
                    stopped => stopped.flatten(),
                };
                // A join of two streams is saved with its left one.
                let base = view.inputs.first().map_or("", |input| &*input.base);
                let Some(stream) = names.get(&(space, base)) else { continue };
                views.push(ViewToSave {
                    name: &view.name,
                    hash: &view.hash,
                    stream,
                    tables: view.state.tables(),
                    bases: view.state.bases(),
                    windows: view
                        .published
                        .windows()
                        .values()
                        .map(|window| window.as_new())
                        .collect(),
                    problems: &view.problems,
                    stopped,
                });
            }
        }
        let state = encode(&streams, &views).map_err(SavingError::Encode)?;
        Ok(Job {
            state,
            fresh: std::mem::take(&mut self.fresh),
            watermarks,
            offsets: publishers.offsets(),
            ledgers: None,
        })
    }

    /// Says how much waits, to be said after each drain.
    pub fn weigh(&self) {
        self.backlog.note(self.fresh.values().map(Fresh::bytes).sum());
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
