//! From a running publisher to a checkpoint and back (`resume`).

mod health;
mod resume;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use health::Health;
pub use resume::{Resumed, StreamToRead};

use super::checkpoints::{Background, Backlog, CheckpointFiles, Fresh, Job, ToldBehind, Written};
use super::partition::Drains;
use super::publisher::Publishers;
use crate::admit::duplicate::SpillError;
use crate::admit::{KeyRoom, Overflow};
use crate::history;
use crate::ledger::LedgerError;
use crate::model::{BySpace, PartitionId, Space};
use crate::sql::catalog::ScopeDefinition;
use crate::state::checkpoint::{StreamToSave, ViewToSave, encode};
use crate::state::dedup_store::DedupStore;
use crate::state::{CheckpointError, ScopeRegister};

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

impl Saving {
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

    /// As [`Saving::begin`], of a partition whose ledgers are another's, with what was folded since the checkpoint before
    /// behind it. Checkpoints after the number `read_to` stay until that one has read them.
    ///
    /// # Errors
    /// When the state cannot be written as bytes.
    pub fn begin_telling(
        &mut self,
        publisher: &Publishers,
        bytes: Vec<u8>,
        read_to: u64,
    ) -> Result<bool, SavingError> {
        if self.is_busy() {
            return Ok(false);
        }
        let mut job = self.job(publisher)?;
        job.told = Some(ToldBehind { bytes, read_to });
        if let Some(Writer::Away(background)) = &mut self.writer {
            background.begin(job);
        }
        Ok(true)
    }

    /// Whether a checkpoint is being written in the background.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(&self.writer, Some(Writer::Away(background)) if background.is_busy())
    }

    /// Whether someone else has written the checkpoint that was to be the last one.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.health.is_taken
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
            told: None,
        })
    }

    /// Says how much waits, to be said after each drain.
    pub fn weigh(&self) {
        self.backlog.note(self.fresh.values().map(Fresh::bytes).sum());
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
