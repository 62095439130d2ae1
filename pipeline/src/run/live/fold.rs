//! The folding threads: each owns whole partitions, reads, folds, and hands its states over when asked.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::ledger::{Gauge, LedgerKind};
use crate::model::{Offset, PartitionId};
use crate::run::partition::space::Waiting;
use crate::run::partition::{PartitionDrain, PartitionRun};
use crate::source::PartitionReader;

/// How long an idle folding thread waits for a command before it reads again.
const IDLE_WAIT: Duration = Duration::from_millis(2);
/// Bytes of raw records on their way to the ledgers at which a partition waits for the next drain, so
/// that a topic of nothing but broken records does not fill the memory.
const WAITING_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// How long a failing reader is left alone.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A partition with its reader, owned by one folding thread.
pub(super) struct Owned {
    stream: String,
    reader: Box<dyn PartitionReader>,
    run: PartitionRun,
    problem: Option<String>,
    retry_at: Option<Instant>,
    /// Which ledgers have no room.
    gauge: Arc<Gauge>,
    /// The full ledger its last batch wrote into; it is read again when there is room.
    waits_for: Option<LedgerKind>,
    /// Why its state is no longer of its offset: records were taken and not judged.
    broken: Option<String>,
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
    /// The end.
    Stop,
}

/// One partition's part of a drain.
pub(super) struct Drained {
    /// The stream.
    pub(super) stream: String,
    /// The partition.
    pub(super) partition: PartitionId,
    /// Its state, or why there is none.
    pub(super) drain: Result<PartitionDrain, String>,
    /// Offset after the last record in the log, where it was wanted and is known.
    pub(super) end_offset: Option<Offset>,
    /// Why reading fails, while it does.
    pub(super) problem: Option<String>,
    /// The full ledger it waits for, while it does.
    pub(super) waits_for: Option<LedgerKind>,
}

/// A folding thread as the publisher sees it.
pub(super) struct Fold {
    /// Its inbox.
    pub(super) commands: Sender<Command>,
    /// Itself.
    pub(super) thread: JoinHandle<()>,
}

/// Starts at most `threads` folding threads and shares the partitions out among them.
///
/// # Errors
/// When the system gives no threads.
pub(super) fn spawn(partitions: Vec<Owned>, threads: usize, records_max: usize) -> std::io::Result<Vec<Fold>> {
    let count = threads.min(partitions.len()).max(1);
    let mut shares: Vec<Vec<Owned>> = (0..count).map(|_| Vec::new()).collect();
    for (at, owned) in partitions.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(at % count) {
            share.push(owned);
        }
    }
    let mut folds = Vec::new();
    for (number, share) in shares.into_iter().enumerate() {
        let (commands, inbox) = bounded(1);
        let thread = std::thread::Builder::new()
            .name(format!("tidemark-fold-{number}"))
            .spawn(move || fold_loop(share, &inbox, records_max))?;
        folds.push(Fold { commands, thread });
    }
    Ok(folds)
}

fn fold_loop(mut partitions: Vec<Owned>, inbox: &Receiver<Command>, records_max: usize) {
    loop {
        let records: usize = partitions.iter_mut().map(|owned| owned.read(records_max)).sum();
        let command = match records {
            0 => inbox.recv_timeout(IDLE_WAIT).ok(),
            _ => inbox.try_recv().ok(),
        };
        match command {
            None => {}
            Some(Command::Stop) => return,
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
    pub(super) fn new(
        stream: String,
        reader: Box<dyn PartitionReader>,
        run: PartitionRun,
        gauge: Arc<Gauge>,
    ) -> Self {
        Self { stream, reader, run, gauge, problem: None, retry_at: None, waits_for: None, broken: None }
    }

    /// Reads and folds one batch; how many records it was.
    fn read(&mut self, records_max: usize) -> usize {
        if self.broken.is_some() || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return 0;
        }
        let before = self.run.live().waiting();
        if before.bytes > WAITING_BYTES_MAX || self.waits_for.is_some_and(|ledger| self.gauge.is_full(ledger)) {
            return 0;
        }
        let run = &mut self.run;
        let outcome = self.reader.read(records_max, Duration::ZERO, &mut |record| run.take(record));
        let folded = run.process().map_err(|error| error.strip_backtrace());
        self.waits_for = self.wrote_since(before).into_iter().find(|ledger| self.gauge.is_full(*ledger));
        match (outcome, folded) {
            (Ok(outcome), Ok(())) => {
                self.problem = None;
                self.retry_at = None;
                outcome.records
            }
            (Err(error), Ok(())) => self.fails(error.to_string()),
            (_, Err(error)) => {
                // To read on would leave out the records of this batch without a word.
                self.broken = Some(format!("stream {} partition {}: {error}", self.stream, self.run.partition()));
                0
            }
        }
    }

    /// The ledgers that got entries since `before`.
    fn wrote_since(&mut self, before: Waiting) -> Vec<LedgerKind> {
        let now = self.run.live().waiting();
        let mut wrote = Vec::new();
        if now.dead_letters > before.dead_letters {
            wrote.push(LedgerKind::DeadLetter);
        }
        if now.late > before.late {
            wrote.push(LedgerKind::Late);
        }
        if now.unmatched > before.unmatched {
            wrote.push(LedgerKind::Unmatched);
        }
        wrote
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
                Some(why) => Err(why.clone()),
                None => self.run.drain().map_err(|error| error.strip_backtrace()),
            },
            end_offset: if with_end { self.reader.end_offset() } else { None },
            problem: self.problem.clone(),
            waits_for: self.waits_for.filter(|ledger| self.gauge.is_full(*ledger)),
        }
    }
}
