//! The folding threads: each owns whole partitions, reads, folds, and hands its states over when asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::catcher::Catcher;
use crate::fail_points;
use crate::ledger::{Gauge, LedgerKind};
use crate::model::{BySpace, Offset, PartitionId, Space};
use crate::run::checkpoints::Backlog;
use crate::run::partition::space::Waiting;
use crate::run::partition::{Drains, PartitionRun};
use crate::source::PartitionReader;

/// How long an idle folding thread waits for a command before it reads again.
const IDLE_WAIT: Duration = Duration::from_millis(2);
/// Bytes of raw records on their way to the ledgers at which a partition waits for the next drain, so
/// that a topic of nothing but broken records does not fill the memory.
const WAITING_BYTES_MAX: u64 = 8 * 1_024 * 1_024;
/// Bytes that a record is taken to leave in a ledger, while room is short: more than ordinary records have.
const LEFT_BYTES_MAX: u64 = 4_096;
/// Records that a partition reads at once where a ledger is full. What they leave goes past the ledger's bound, of the
/// batch that fills it and of the one that shows that there is more: 64 records together. Reading them one by one
/// would slow down all partitions that have nothing to write into it.
const PAST_BOUND_RECORDS: usize = 32;
/// How long a failing reader is left alone.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A partition with its reader, owned by one folding thread.
pub(in crate::run) struct Owned {
    stream: String,
    reader: Box<dyn PartitionReader>,
    run: PartitionRun,
    /// Readings of the same partition whose views are taken over as soon as they stand where it stands.
    joining: Vec<Catcher>,
    problem: Option<String>,
    /// Why no record may be read any more.
    broken: Option<String>,
    retry_at: Option<Instant>,
    /// Which ledgers of each space have no room.
    gauges: BySpace<Arc<Gauge>>,
    /// How much waits for a checkpoint.
    backlog: Arc<Backlog>,
    /// The full ledger its last batch wrote into; it is read again when there is room.
    waits_for: Option<(Space, LedgerKind)>,
}

/// What a folding thread is asked for.
pub(super) enum Command {
    /// The states of all partitions since the last time.
    Drain {
        /// Where they go.
        reply: Sender<Vec<Drained>>,
        /// Whether the end of the log is wanted too.
        with_end: bool,
    },
    /// One more partition.
    Own(Box<Owned>),
    /// A partition is another's from now on.
    Release {
        /// The stream.
        stream: String,
        /// The partition.
        partition: PartitionId,
        /// Where what it has folded since the last time goes; `None` where nobody has it.
        reply: Sender<Option<Drained>>,
    },
    /// Views of a partition to be taken over once they stand where it stands.
    Join(Box<Catcher>),
    /// How many partitions the log of a stream has now.
    Partitions(String, u32),
    /// Views that are folded no longer, by key.
    Forget(Vec<Arc<str>>),
    /// The end.
    Stop,
}

/// One partition's part of a drain.
pub(in crate::run) struct Drained {
    /// The stream.
    pub(in crate::run) stream: String,
    /// The partition.
    pub(in crate::run) partition: PartitionId,
    /// Its state, or why there is none.
    pub(in crate::run) drain: Result<Drains, String>,
    /// Offset after the last record in the log, where it was wanted and is known.
    pub(in crate::run) end_offset: Option<Offset>,
    /// Why reading fails, while it does.
    pub(in crate::run) problem: Option<String>,
    /// The full ledger it waits for, while it does.
    pub(in crate::run) waits_for: Option<LedgerKind>,
}

/// The folding threads as the publisher sees them.
pub(in crate::run) struct Folds {
    threads: Vec<Fold>,
    /// Which thread owns a partition.
    owners: BTreeMap<(String, PartitionId), usize>,
}

struct Fold {
    commands: Sender<Command>,
    /// Whether it found nothing to read when it last looked.
    is_idle: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Folds {
    /// Starts at most `threads` folding threads and shares the partitions out among them.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(in crate::run) fn spawn(
        partitions: Vec<Owned>,
        threads: usize,
        records_max: usize,
    ) -> std::io::Result<Self> {
        let count = threads.min(partitions.len()).max(1);
        let mut shares: Vec<Vec<Owned>> = (0..count).map(|_| Vec::new()).collect();
        let mut owners = BTreeMap::new();
        for (at, owned) in partitions.into_iter().enumerate() {
            owners.insert((owned.stream.clone(), owned.run.partition()), at % count);
            if let Some(share) = shares.get_mut(at % count) {
                share.push(owned);
            }
        }
        Ok(Self { threads: Self::threads(shares, records_max)?, owners })
    }

    /// Starts `threads` folding threads without a partition.
    ///
    /// # Errors
    /// As [`Folds::spawn`].
    pub(in crate::run) fn idle(threads: usize, records_max: usize) -> std::io::Result<Self> {
        let shares = (0..threads.max(1)).map(|_| Vec::new()).collect();
        Ok(Self { threads: Self::threads(shares, records_max)?, owners: BTreeMap::new() })
    }

    fn threads(shares: Vec<Vec<Owned>>, records_max: usize) -> std::io::Result<Vec<Fold>> {
        let mut folds = Vec::new();
        for (number, share) in shares.into_iter().enumerate() {
            let (commands, inbox) = bounded(1);
            let is_idle = Arc::new(AtomicBool::new(false));
            let idle = Arc::clone(&is_idle);
            let thread = std::thread::Builder::new()
                .name(format!("tidemark-fold-{number}"))
                .spawn(move || fold_loop(share, &inbox, &idle, records_max))?;
            folds.push(Fold { commands, is_idle, thread });
        }
        Ok(folds)
    }

    /// Everything folded since the last time, all partitions of a thread between the same two batches.
    ///
    /// # Errors
    /// When a thread has ended.
    pub(in crate::run) fn drain(&self, with_end: bool) -> Result<Vec<Drained>, String> {
        let ended = || "a folding thread has ended".to_owned();
        let mut answers = Vec::new();
        for fold in &self.threads {
            let (reply, answer) = bounded(1);
            fold.commands.send(Command::Drain { reply, with_end }).map_err(|_| ended())?;
            answers.push(answer);
        }
        let mut all = Vec::new();
        for answer in answers {
            all.extend(answer.recv().map_err(|_| ended())?);
        }
        Ok(all)
    }

    /// Whether none of them found anything to read when it last looked.
    pub(super) fn are_idle(&self) -> bool {
        self.threads.iter().all(|fold| fold.is_idle.load(Ordering::Relaxed))
    }

    /// Gives one more partition to the thread that owns the fewest.
    pub(in crate::run) fn own(&mut self, owned: Owned) {
        let share = |at: &usize| self.owners.values().filter(|owner| *owner == at).count();
        let Some(at) = (0..self.threads.len()).min_by_key(share) else { return };
        self.owners.insert((owned.stream.clone(), owned.run.partition()), at);
        self.send(at, Command::Own(Box::new(owned)));
    }

    /// Takes a partition from the thread that owns it, with what it has folded since the last drain; `None` where none
    /// does. Its reader is closed then.
    pub(in crate::run) fn release(
        &mut self,
        stream: &str,
        partition: PartitionId,
    ) -> Option<Drained> {
        let at = self.owners.remove(&(stream.to_owned(), partition))?;
        let (reply, answer) = bounded(1);
        self.send(at, Command::Release { stream: stream.to_owned(), partition, reply });
        answer.recv().ok().flatten()
    }

    /// Hands a reading over to the thread that owns its partition.
    pub(super) fn join(&self, catcher: Catcher) {
        let name = (catcher.stream().to_string(), catcher.partition());
        if let Some(at) = self.owners.get(&name) {
            self.send(*at, Command::Join(Box::new(catcher)));
        }
    }

    /// Says how many partitions the log of a stream has now.
    pub(super) fn set_partitions(&self, stream: &str, partitions: u32) {
        (0..self.threads.len())
            .for_each(|at| self.send(at, Command::Partitions(stream.to_owned(), partitions)));
    }

    /// Folds views no longer.
    pub(super) fn forget(&self, keys: &[Arc<str>]) {
        if !keys.is_empty() {
            (0..self.threads.len()).for_each(|at| self.send(at, Command::Forget(keys.to_vec())));
        }
    }

    /// A thread that has ended is told at the next drain.
    fn send(&self, at: usize, command: Command) {
        if let Some(fold) = self.threads.get(at) {
            let _ended = fold.commands.send(command);
        }
    }

    /// Ends all threads.
    pub(in crate::run) fn stop(self) {
        for fold in self.threads {
            let _told = fold.commands.send(Command::Stop);
            if fold.thread.join().is_err() {
                tracing::error!("a folding thread panicked");
            }
        }
    }
}

fn fold_loop(
    mut partitions: Vec<Owned>,
    inbox: &Receiver<Command>,
    is_idle: &AtomicBool,
    records_max: usize,
) {
    loop {
        let records: usize = partitions.iter_mut().map(|owned| owned.read(records_max)).sum();
        is_idle.store(records == 0, Ordering::Relaxed);
        let command = match records {
            0 => inbox.recv_timeout(IDLE_WAIT).ok(),
            _ => inbox.try_recv().ok(),
        };
        match command {
            None => {}
            Some(Command::Stop) => return,
            Some(Command::Own(owned)) => partitions.push(*owned),
            Some(Command::Release { stream, partition, reply }) => {
                let is_it =
                    |owned: &Owned| owned.stream == stream && owned.run.partition() == partition;
                let at = partitions.iter().position(is_it);
                let drained = at.map(|at| partitions.swap_remove(at).drain(false));
                // Whoever asked may have gone.
                let _told = reply.send(drained);
            }
            Some(Command::Join(catcher)) => {
                let is_its = |owned: &&mut Owned| {
                    *owned.stream == **catcher.stream()
                        && owned.run.partition() == catcher.partition()
                };
                if let Some(owned) = partitions.iter_mut().find(is_its) {
                    owned.joining.push(*catcher);
                }
            }
            Some(Command::Partitions(stream, count)) => {
                let of_stream = partitions.iter_mut().filter(|owned| owned.stream == stream);
                of_stream.for_each(|owned| owned.run.set_partitions(count));
            }
            Some(Command::Forget(keys)) => {
                partitions.iter_mut().for_each(|owned| owned.forget(&keys))
            }
            Some(Command::Drain { reply, with_end }) => {
                let drains = partitions.iter_mut().map(|owned| owned.drain(with_end)).collect();
                if reply.send(drains).is_err() {
                    return;
                }
            }
        }
    }
}

impl Owned {
    /// A partition of `stream` with its reader, which stands where the run goes on.
    pub(in crate::run) fn new(
        stream: String,
        reader: Box<dyn PartitionReader>,
        run: PartitionRun,
        gauges: BySpace<Arc<Gauge>>,
        backlog: Arc<Backlog>,
    ) -> Self {
        let joining = Vec::new();
        Self {
            stream,
            reader,
            run,
            joining,
            gauges,
            backlog,
            problem: None,
            retry_at: None,
            waits_for: None,
            broken: None,
        }
    }

    /// Reads and folds one batch; how many records it was.
    fn read(&mut self, records_max: usize) -> usize {
        // Not reading is what pauses a partition; its source holds no more than its own queue.
        if self.backlog.is_full()
            || self.broken.is_some()
            || self.retry_at.is_some_and(|at| Instant::now() < at)
        {
            return 0;
        }
        let before = self.run.for_ledgers();
        if self.has_its_share(before) || self.full_one().is_some() {
            return 0;
        }
        if let Err(error) = self.take_over(records_max) {
            self.broken = Some(error);
            return 0;
        }
        fail_points::hit("source-read");
        let records_max = records_max.min(self.records_with_room());
        let run = &mut self.run;
        let outcome = self.reader.read(records_max, Duration::ZERO, &mut |record| run.take(record));
        if let Err(error) = run.process() {
            // The batch is gone: to go on would leave records out without a word.
            self.broken = Some(error.strip_backtrace());
            return 0;
        }
        if matches!(&outcome, Ok(outcome) if outcome.records > 0) {
            fail_points::hit("fold");
        }
        let now = self.run.for_ledgers();
        self.waits_for = Space::ALL.into_iter().find_map(|space| {
            let more = now
                .of(space)
                .since(*before.of(space))
                .find(|ledger| self.gauges.of(space).is_full(*ledger));
            more.map(|ledger| (space, ledger))
        });
        match outcome {
            Ok(outcome) => {
                self.problem = None;
                self.retry_at = None;
                outcome.records
            }
            Err(error) if error.is_loss() => {
                // The next record is gone: to go on would be a silent jump.
                self.broken = Some(error.to_string());
                0
            }
            Err(error) => self.fails(error.to_string()),
        }
    }

    /// The full ledger it waits for, while it does.
    fn full_one(&self) -> Option<LedgerKind> {
        let (space, ledger) = self.waits_for?;
        self.gauges.of(space).is_full(ledger).then_some(ledger)
    }

    /// How many records it reads at once: fewer when a ledger has little room for what they may leave in it.
    fn records_with_room(&self) -> usize {
        let gauge = self.gauges.of(Space::Live);
        let room = LedgerKind::ALL.map(|ledger| gauge.share(ledger)).into_iter().min();
        let records = room.unwrap_or(u64::MAX) / LEFT_BYTES_MAX;
        usize::try_from(records).unwrap_or(usize::MAX).max(PAST_BOUND_RECORDS)
    }

    /// Takes over the views of readings that have come to where this one stands.
    fn take_over(&mut self, records_max: usize) -> Result<(), String> {
        let mut outcome = Ok(());
        let (run, stream) = (&mut self.run, &self.stream);
        self.joining.retain_mut(|catcher| {
            let bound = run.next_offset().unwrap_or(catcher.first());
            while catcher.next() < bound {
                match catcher.read_up_to(bound, records_max) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(
                            stream,
                            error,
                            "a view of stream {stream} cannot be filled yet: {error}"
                        );
                        break;
                    }
                }
            }
            let stands = catcher.next() == bound;
            if stands && let Err(error) = run.join(catcher.run()) {
                outcome = Err(error.strip_backtrace());
            }
            !stands
        });
        outcome
    }

    fn forget(&mut self, keys: &[Arc<str>]) {
        self.run.remove(keys);
        self.joining.iter_mut().for_each(|catcher| catcher.run().remove(keys));
    }

    /// Whether it has given the ledgers as much as it may before the next drain.
    fn has_its_share(&self, waiting: BySpace<Waiting>) -> bool {
        Space::ALL.into_iter().any(|space| self.has_its_share_of(space, *waiting.of(space)))
    }

    fn has_its_share_of(&self, space: Space, waiting: Waiting) -> bool {
        let gauge = self.gauges.of(space);
        waiting.each().any(|(ledger, rows, bytes)| {
            let is_full = gauge.is_full(ledger);
            // Into a full one it may write once, so that it is known to have more.
            rows > 0 && (is_full || bytes >= gauge.share(ledger).min(WAITING_BYTES_MAX))
        })
    }

    fn fails(&mut self, problem: String) -> usize {
        if self.problem.as_ref() != Some(&problem) {
            let (stream, partition) = (&self.stream, self.run.partition());
            tracing::error!(stream, partition, problem, "reading stream {stream} fails: {problem}");
        }
        self.problem = Some(problem);
        self.retry_at = Some(Instant::now() + RETRY_AFTER);
        0
    }

    fn drain(&mut self, with_end: bool) -> Drained {
        Drained {
            stream: self.stream.clone(),
            partition: self.run.partition(),
            drain: match &self.broken {
                None => self.run.drain().map_err(|error| error.strip_backtrace()),
                Some(error) => Err(format!("stream {}: {error}", self.stream)),
            },
            end_offset: if with_end { self.reader.end_offset() } else { None },
            problem: self.problem.clone(),
            waits_for: self.full_one(),
        }
    }
}
