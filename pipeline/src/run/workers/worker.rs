//! A worker: folds the partitions that the consumer group gives it, as long as it gives them.
//!
//! ```text
//! group ── assigned ──▶ claimed, read, folded ── every checkpoint-every-ms: drained, written ──▶ shared place
//!       ── revoked ───▶ drained, last checkpoint, let go
//! refused by the place: another has it; dropped, and claimed again only if the group still says it is ours
//! ```
//! One thread does all of this between two batches of the folding threads; it never waits for a reader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use parking_lot::Mutex;

use super::WorkersError;
use super::agreement::{Agreement, merged_place};
use super::claimed::{Claimed, Ground};
use super::merging::{ReadTo, read_to};
use crate::config::PipelineConfig;
use crate::history::{HashKey, HistoryLayout};
use crate::ledger::LedgerStore;
use crate::model::PartitionId;
use crate::run::live::fold::Folds;
use crate::run::live::{StartError, StreamInput, epoch, open};
use crate::run::saving::{SavingError, StreamToRead};
use crate::source::Source;
use crate::source::kafka_group::{Listener, Told};
use crate::sql::Catalog;
use crate::state::CheckpointError;
use crate::state::objects::{self, Objects};

/// How long what cannot be claimed for the moment is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Joins the group for a stream and has the listener told; what it gives stays in the group until it is dropped.
pub type Join<'a> = dyn FnMut(&str, Listener) -> Result<Member, WorkersError> + 'a;
/// A membership, to be dropped to leave the group.
pub type Member = Box<dyn Send>;
/// A partition of a stream.
type Name = (String, PartitionId);

/// A running worker. Dropping it without [`Worker::stop`] leaves its threads running.
pub struct Worker {
    events: Sender<Event>,
    thread: JoinHandle<()>,
    problem: Arc<Mutex<Option<String>>>,
    members: Vec<Member>,
}

/// What the worker's thread is told.
enum Event {
    /// By the group.
    Told(Told),
    /// The end.
    Stop,
}

/// Starts a worker of all `inputs`, which are streams of the catalogue.
///
/// # Errors
/// When its place cannot be shared or is another's, a log cannot be looked at, or the group not be joined.
pub fn start(
    catalog: Catalog,
    config: &PipelineConfig,
    inputs: &[StreamInput],
    join: &mut Join<'_>,
) -> Result<Worker, WorkersError> {
    let place = shared_place(config)?;
    let mut streams = BTreeMap::new();
    for input in inputs {
        let (to_read, source) = open(&catalog, input, config)?.into_parts();
        streams.insert(input.stream.clone(), Stream { to_read, source });
    }
    let to_read: Vec<StreamToRead> =
        streams.values().map(|stream| stream.to_read.clone()).collect();
    let (key, layouts) = histories(&catalog, config)?;
    Agreement::of(&catalog, &to_read, key.as_ref()).keep_or_compare(place.as_ref())?;
    let ledgers = LedgerStore::open(&config.data_dir.join("ledgers")).map_err(StartError::from)?;
    let folds =
        Folds::idle(config.fold_threads, config.batch_records_max).map_err(StartError::Threads)?;
    let (events, inbox) = unbounded();
    let problem = Arc::new(Mutex::new(None));
    let mut work = Work {
        catalog,
        config: config.clone(),
        merged: merged_place(&place),
        place,
        streams,
        ledgers,
        layouts,
        folds,
        assigned: BTreeSet::new(),
        wanted: BTreeMap::new(),
        claimed: BTreeMap::new(),
        read_to: ReadTo::new(),
        epoch: epoch(),
        claims: 0,
    };
    let broken = Arc::clone(&problem);
    let thread = std::thread::Builder::new()
        .name("tidemark-worker".to_owned())
        .spawn(move || {
            if let Err(error) = work.run(&inbox) {
                tracing::error!(%error, "the worker stops: {error}");
                *broken.lock() = Some(error.to_string());
            }
            work.end();
        })
        .map_err(StartError::Threads)?;
    let mut members = Vec::new();
    for input in inputs {
        let events = events.clone();
        let listener: Listener = Arc::new(move |told| events.send(Event::Told(told)).is_ok());
        members.push(join(&input.stream, listener)?);
    }
    Ok(Worker { events, thread, problem, members })
}

/// The place that workers and their server share.
///
/// # Errors
/// When it is this process's own, or has checkpoints of one that does everything.
pub fn shared_place(config: &PipelineConfig) -> Result<Arc<dyn Objects>, WorkersError> {
    let own = config.data_dir.join("checkpoints").display().to_string();
    if config.checkpoint_store == own {
        return Err(WorkersError::NotShared);
    }
    let place = objects::open(&config.checkpoint_store, &config.checkpoint_s3)?;
    let names = place.list("")?;
    let is_of_one = |name: &String| !name.contains('/') && name.ends_with(".checkpoint");
    match names.iter().any(is_of_one) {
        true => Err(WorkersError::OfOneProcess { place: place.place() }),
        false => Ok(place),
    }
}

/// The key of hashed columns and how rows look, for the streams that keep a history; no key where none does.
///
/// # Errors
/// When the key cannot be read.
pub fn histories(
    catalog: &Catalog,
    config: &PipelineConfig,
) -> Result<(Option<HashKey>, BTreeMap<String, Arc<HistoryLayout>>), StartError> {
    let kept: Vec<_> = catalog.logs().filter(|plan| plan.definition.keeps_history).collect();
    if kept.is_empty() || !config.history.is_on {
        return Ok((None, BTreeMap::new()));
    }
    let key = HashKey::read_or_make(&config.history.key_file)?;
    let mut layouts = BTreeMap::new();
    for plan in kept {
        let layout = HistoryLayout::of(&plan.definition, key.clone())?;
        layouts.insert(plan.definition.name.clone(), Arc::new(layout));
    }
    Ok((Some(key), layouts))
}

impl Worker {
    /// Why it has ended by itself, if it has.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let has_ended = || "the worker's thread panicked".to_owned();
        self.problem.lock().clone().or_else(|| self.thread.is_finished().then(has_ended))
    }

    /// Writes a last checkpoint of every partition, lets go of them and leaves the group.
    pub fn stop(self) {
        // It may have ended by itself.
        let _told = self.events.send(Event::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the worker's thread panicked; partitions have no last checkpoint");
        }
        drop(self.members);
    }
}

/// A stream that the group's partitions are of.
struct Stream {
    to_read: StreamToRead,
    source: Box<dyn Source>,
}

/// What the worker's thread works with.
struct Work {
    catalog: Catalog,
    config: PipelineConfig,
    place: Arc<dyn Objects>,
    merged: Arc<dyn Objects>,
    streams: BTreeMap<String, Stream>,
    ledgers: Arc<LedgerStore>,
    layouts: BTreeMap<String, Arc<HistoryLayout>>,
    folds: Folds,
    /// What the group says is ours.
    assigned: BTreeSet<Name>,
    /// What of this is to be claimed, and when.
    wanted: BTreeMap<Name, Instant>,
    claimed: BTreeMap<Name, Claimed>,
    /// How far the server has read.
    read_to: ReadTo,
    epoch: String,
    claims: u64,
}

impl Work {
    /// Works until it is told to stop.
    ///
    /// # Errors
    /// Why it must not go on.
    fn run(&mut self, inbox: &Receiver<Event>) -> Result<(), WorkersError> {
        let mut due = Instant::now();
        loop {
            match inbox.recv_deadline(due) {
                Ok(Event::Told(told)) => self.told(told)?,
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    self.save()?;
                    due = Instant::now() + self.config.checkpoint_every;
                }
            }
            self.claim_wanted()?;
        }
    }

    fn told(&mut self, told: Told) -> Result<(), WorkersError> {
        match told {
            Told::Assigned { stream, partitions } => {
                tracing::info!(
                    stream,
                    ?partitions,
                    "the group gives this worker partitions {partitions:?} of stream {stream}"
                );
                for partition in partitions {
                    let name = (stream.clone(), partition);
                    self.assigned.insert(name.clone());
                    if !self.claimed.contains_key(&name) {
                        self.wanted.insert(name, Instant::now());
                    }
                }
            }
            Told::Revoked { stream, partitions, is_lost, done } => {
                let why = if is_lost { "has given up this worker and takes" } else { "takes" };
                tracing::info!(
                    stream,
                    ?partitions,
                    is_lost,
                    "the group {why} partitions {partitions:?} of stream {stream}"
                );
                let names: Vec<Name> =
                    partitions.into_iter().map(|number| (stream.clone(), number)).collect();
                for name in &names {
                    self.assigned.remove(name);
                    self.wanted.remove(name);
                }
                let outcome = self.let_go(names);
                // The group may have stopped waiting.
                let _told = done.send(());
                outcome?;
            }
        }
        Ok(())
    }

    /// Claims what is due; what cannot be claimed for the moment is tried again.
    fn claim_wanted(&mut self) -> Result<(), WorkersError> {
        let now = Instant::now();
        let due: Vec<Name> = self
            .wanted
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            match self.claim(&name) {
                Ok(()) => drop(self.wanted.remove(&name)),
                Err(error) if is_for_now(&error) => {
                    let (stream, partition) = &name;
                    tracing::warn!(
                        stream,
                        partition,
                        %error,
                        "partition {partition} of stream {stream} cannot be claimed yet: {error}"
                    );
                    self.wanted.insert(name, now + RETRY_AFTER);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn claim(&mut self, name: &Name) -> Result<(), StartError> {
        let (stream, partition) = name;
        let all = self.streams.values().map(|stream| stream.to_read.partitions.len()).sum();
        let Some(of) = self.streams.get_mut(stream) else { return Ok(()) };
        if !of.to_read.partitions.contains(partition) {
            let known = of.to_read.partitions.len();
            return Err(StartError::Views(format!(
                "stream {stream} had {known} partitions and has more now: figures of another partitioning are other \
                 figures; give all workers and their server another checkpoint-store and another \
                 pipeline.worker-group to compute everything again from the log"
            )));
        }
        self.claims += 1;
        let claimer = format!("{}-{} (pid {})", self.epoch, self.claims, std::process::id());
        let ground = Ground {
            catalog: &self.catalog,
            config: &self.config,
            place: &self.place,
            ledgers: &self.ledgers,
            partitions: all,
            layouts: &self.layouts,
        };
        let source = of.source.as_mut();
        let (claimed, owned) =
            Claimed::claim(&ground, (&of.to_read, source), *partition, &claimer)?;
        self.claimed.insert(name.clone(), claimed);
        self.folds.own(owned);
        Ok(())
    }

    /// Drains everything and begins the checkpoints.
    fn save(&mut self) -> Result<(), WorkersError> {
        self.claimed.values_mut().for_each(|claimed| claimed.hear(Duration::ZERO));
        self.drop_lost();
        for drained in self.folds.drain(false).map_err(WorkersError::Broken)? {
            let name = (drained.stream.clone(), drained.partition);
            if let Some(problem) = &drained.problem {
                tracing::debug!(problem, "reading fails: {problem}");
            }
            if let Some(claimed) = self.claimed.get_mut(&name) {
                claimed.take(drained).map_err(WorkersError::Broken)?;
            }
        }
        match read_to(self.merged.as_ref()) {
            Ok(read_to) => self.read_to = read_to,
            Err(error) => {
                tracing::warn!(%error, "how far the server has read is not known: {error}");
            }
        }
        for (name, claimed) in &mut self.claimed {
            claimed.begin(self.read_to.get(name).copied().unwrap_or(0));
        }
        Ok(())
    }

    /// Drops partitions that another has claimed. Where the group still says that they are ours, that one woke late,
    /// and they are claimed again once it must have heard so.
    fn drop_lost(&mut self) {
        let lost = |(name, claimed): (&Name, &Claimed)| Some((name.clone(), claimed.lost_to()?));
        let all: Vec<(Name, String)> = self.claimed.iter().filter_map(lost).collect();
        for (name, why) in all {
            let (stream, partition) = &name;
            tracing::error!(
                stream,
                partition,
                why,
                "a write for partition {partition} of stream {stream} was refused, and it is dropped here: {why}"
            );
            metrics::counter!("tidemark_worker_partitions_lost_total").increment(1);
            drop(self.folds.release(stream, *partition));
            if let Some(claimed) = self.claimed.remove(&name) {
                claimed.drop_it();
            }
            if self.assigned.contains(&name) {
                self.wanted.insert(name, Instant::now() + self.config.workers.session_timeout);
            }
        }
    }

    /// Writes a last checkpoint of partitions and lets go of them.
    fn let_go(&mut self, names: Vec<Name>) -> Result<(), WorkersError> {
        let (mut going, mut broken) = (Vec::new(), None);
        for name in names {
            let drained = self.folds.release(&name.0, name.1);
            let Some(mut claimed) = self.claimed.remove(&name) else { continue };
            if let Some(Err(error)) = drained.map(|drained| claimed.take(drained)) {
                broken = Some(WorkersError::Broken(error));
            }
            going.push((self.read_to.get(&name).copied().unwrap_or(0), claimed));
        }
        // All of them at once: each has a thread of its own that writes.
        for (read_to, claimed) in &mut going {
            claimed.begin_last(*read_to);
        }
        going.into_iter().for_each(|(_, claimed)| claimed.let_go());
        broken.map_or(Ok(()), Err)
    }

    fn end(mut self) {
        let names = self.claimed.keys().cloned().collect();
        if let Err(error) = self.let_go(names) {
            tracing::error!(%error, "a partition has no last checkpoint: {error}");
        }
        self.folds.stop();
    }
}

/// Whether what went wrong may be right in a moment: a broker or a place that is away.
fn is_for_now(error: &StartError) -> bool {
    match error {
        StartError::Source { source, .. } => !source.is_loss(),
        StartError::Saving(error) => {
            matches!(error, SavingError::Checkpoint(CheckpointError::Store(_)))
        }
        _ => false,
    }
}
