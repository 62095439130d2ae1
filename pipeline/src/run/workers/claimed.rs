//! One partition in the hands of this worker: its folder claimed, its state taken up, its checkpoints written.
//!
//! ```text
//! claim ─▶ newest whole checkpoint ─▶ folded … drained ─▶ checkpoint with the drain behind it ─▶ … ─▶ let go
//!                                                          └─ refused: another has claimed the folder since
//! ```
//! A drain that could not be written goes with the next checkpoint, so that what stands behind the checkpoints one
//! after another is every record once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::agreement::partition_place;
use super::wire::{Part, encode, write_parts};
use crate::admit::KeyRoom;
use crate::config::PipelineConfig;
use crate::history::HistoryLayout;
use crate::ledger::{LedgerStore, Limits};
use crate::model::{Offset, PartitionId};
use crate::run::build::partition_run;
use crate::run::checkpoints::Backlog;
use crate::run::live::fold::{Drained, Owned};
use crate::run::live::{StartError, limits};
use crate::run::partition::{Drains, PartitionDrain, PartitionRun, Place};
use crate::run::publisher::{Publishers, views_to_run};
use crate::run::saving::{Resumed, Saving, SavingError, StreamToRead};
use crate::source::Source;
use crate::sql::{Catalog, StreamPlan};
use crate::state::CheckpointError;
use crate::state::dedup_store::DedupStore;
use crate::state::objects::{Fenced, Objects};
use crate::windows::Drained as Folded;

/// How long the end waits for a last checkpoint; what it lacks is read again by whoever comes next.
const LAST_MAX: Duration = Duration::from_secs(20);

/// Checkpoints that may wait for the server to read them: an hour of them on a local disk. Then the partition is not
/// read until it has, for without a server the place would fill up.
const UNREAD_MAX: usize = 3_600;

/// What the partitions of a worker have in common.
pub(super) struct Ground<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) config: &'a PipelineConfig,
    /// The place that all workers share.
    pub(super) place: &'a Arc<dyn Objects>,
    pub(super) ledgers: &'a Arc<LedgerStore>,
    /// Partitions of all streams: how small the share of one is, should all come here.
    pub(super) partitions: usize,
    /// How rows of a history look, for the streams that keep one.
    pub(super) layouts: &'a BTreeMap<String, Arc<HistoryLayout>>,
}

impl Ground<'_> {
    /// What one partition has of a bound for all.
    fn share(&self, bytes: u64) -> u64 {
        bytes / u64::try_from(self.partitions.max(1)).unwrap_or(1)
    }

    /// The dedup keys of a partition beyond its memory, and that memory: a store of its own, for it may come and go.
    fn keys(&self, stream: &str, partition: PartitionId) -> (Arc<DedupStore>, Arc<KeyRoom>) {
        let memory = u64::try_from(self.config.dedup_memory_bytes_max).unwrap_or(u64::MAX);
        let folder = self.config.data_dir.join("dedup").join(stream).join(partition.to_string());
        let in_memory = usize::try_from(self.share(memory / 4 * 3)).unwrap_or(usize::MAX);
        (DedupStore::new(&folder, self.share(memory / 4)), KeyRoom::within(in_memory, 1))
    }
}

/// A partition of this worker.
pub(super) struct Claimed {
    pub(super) stream: String,
    pub(super) partition: PartitionId,
    fence: Arc<Fenced>,
    publishers: Publishers,
    saving: Saving,
    backlog: Arc<Backlog>,
    /// What no checkpoint holds yet.
    waiting: Vec<Part>,
    /// How many of these are in the checkpoint that is being written.
    handed: usize,
    /// Offset behind what has been drained.
    at: Option<Offset>,
    unread: usize,
    /// Whether it waits for the server.
    is_held: bool,
}

impl Claimed {
    /// Claims a partition of a stream and takes up where its last owner stood. `name` says who claims, and never comes
    /// again.
    ///
    /// # Errors
    /// When the place or the log cannot be read, or what is there cannot be gone on from.
    pub(super) fn claim(
        ground: &Ground<'_>,
        (to_read, source): (&StreamToRead, &mut dyn Source),
        partition: PartitionId,
        name: &str,
    ) -> Result<(Self, Owned), StartError> {
        let stream = to_read.name.clone();
        let place = partition_place(ground.place, &stream, partition);
        let stored = |error| SavingError::from(CheckpointError::from(error));
        // Before anything is read there: what an earlier owner still writes afterwards is refused.
        let fence = Fenced::claim(place, name).map_err(stored)?;
        let objects: Arc<dyn Objects> = Arc::clone(&fence) as Arc<dyn Objects>;
        let config = ground.config;
        let ledger_limits = Limits {
            bytes_max: config.ledger_bytes_max,
            checkpoints_kept: config.checkpoints_kept,
            partitions: 1,
        };
        let ledgers = (Arc::clone(ground.ledgers), ledger_limits);
        let mut publishers = Publishers::without_views(ground.catalog, limits(config), ledgers);
        let backlog = Backlog::new(ground.share(config.checkpoint_waiting_bytes_max).max(1 << 16));
        let own = StreamToRead { partitions: vec![partition], ..to_read.clone() };
        let (mut saving, mut resumed) = Saving::open(
            (&objects, config.checkpoints_kept),
            ground.keys(&stream, partition),
            &[own],
            &mut publishers,
            Arc::clone(&backlog),
        )?;
        let mut run = folded(ground, to_read, source.origin(), partition)?;
        run.overflow_to(saving.overflow(&stream, partition)).map_err(SavingError::from)?;
        take_up(&mut run, &mut resumed, &mut publishers, (&stream, partition))?;
        let failed = |source| StartError::Source { stream: stream.clone(), source };
        let from = run.next_offset();
        if from.is_none()
            && let Some(bounds) = source.bounds(partition).map_err(failed)?
            && bounds.first > 0
        {
            run.begins_at(bounds.first, bounds.end);
        }
        let reader = source.open(partition, from).map_err(failed)?;
        saving.go_to_background().map_err(StartError::Threads)?;
        tracing::info!(
            stream,
            partition,
            generation = fence.generation(),
            "partition {partition} of stream {stream} is this worker's with generation {}, from offset {}",
            fence.generation(),
            from.unwrap_or(0)
        );
        let gauges = publishers.gauges();
        let owned = Owned::new(stream.clone(), reader, run, gauges, Arc::clone(&backlog));
        let waiting = Vec::new();
        let claimed = Self {
            stream,
            partition,
            fence,
            publishers,
            saving,
            backlog,
            waiting,
            handed: 0,
            at: from,
            unread: 0,
            is_held: false,
        };
        Ok((claimed, owned))
    }

    /// Takes what the folding thread gave for the next checkpoint.
    ///
    /// # Errors
    /// Why the partition cannot go on.
    pub(super) fn take(&mut self, drained: Drained) -> Result<(), String> {
        let mut drains = drained.drain?;
        let to = drains.live.next_offset;
        if to == self.at {
            return Ok(());
        }
        self.waiting.push(Part { from: self.at, to, bytes: encode(&drains)? });
        self.at = to;
        self.saving.note(&self.stream, &mut drains);
        leave_told(&mut drains);
        self.publishers.absorb(&self.stream, drains).map_err(|error| error.strip_backtrace())?;
        self.weigh();
        Ok(())
    }

    /// Begins a checkpoint where there is something new and none is being written. The server has read those up to the
    /// number `read_to`.
    pub(super) fn begin(&mut self, read_to: u64) {
        if self.waiting.is_empty() || self.saving.is_busy() {
            return;
        }
        let told = write_parts(&self.waiting);
        match self.saving.begin_telling(&self.publishers, told, read_to) {
            Ok(true) => self.handed = self.waiting.len(),
            Ok(false) => {}
            Err(error) => self.saving.refused(&error),
        }
    }

    /// Takes note of a checkpoint that has been written, or refused; waits for it at most `patience`.
    pub(super) fn hear(&mut self, patience: Duration) {
        if !self.saving.is_busy() {
            return;
        }
        let written = self.saving.finished(patience);
        if self.saving.is_busy() {
            return;
        }
        if let Some(written) = written {
            self.unread = written.unread;
            self.waiting.drain(..self.handed);
        }
        self.handed = 0;
        self.weigh();
    }

    /// Who has the partition now, once a write has been refused for that.
    pub(super) fn lost_to(&self) -> Option<String> {
        let taken = || "another worker has written its newest checkpoint".to_owned();
        self.fence.taken().map(str::to_owned).or_else(|| self.saving.is_taken().then(taken))
    }

    /// Waits for a checkpoint that is being written, and begins the last one.
    pub(super) fn begin_last(&mut self, read_to: u64) {
        self.hear(LAST_MAX);
        self.begin(read_to);
    }

    /// Waits for the last checkpoint and lets go.
    pub(super) fn let_go(mut self) {
        self.hear(LAST_MAX);
        let (stream, partition) = (&self.stream, self.partition);
        match self.waiting.last() {
            None => tracing::info!(
                stream,
                partition,
                "partition {partition} of stream {stream} is let go of at offset {}",
                self.at.unwrap_or(0)
            ),
            Some(_) => {
                let why = self.lost_to().unwrap_or_else(|| self.saving.alarms().join("; "));
                tracing::warn!(
                    stream,
                    partition,
                    "partition {partition} of stream {stream} is let go of without a last checkpoint, and its next \
                     owner reads again from the one before: {why}"
                );
            }
        }
        self.saving.stop();
    }

    /// Lets go without a checkpoint: the partition is another's.
    pub(super) fn drop_it(self) {
        self.saving.stop();
    }

    /// Says how much waits, and lets the partition wait where it is too much.
    fn weigh(&mut self) {
        self.saving.weigh();
        let bytes: usize = self.waiting.iter().map(|part| part.bytes.len()).sum();
        let is_full = u64::try_from(bytes).unwrap_or(u64::MAX) >= self.backlog.bytes_max();
        let is_held = is_full || self.unread >= UNREAD_MAX;
        self.backlog.hold(is_held);
        let (stream, partition, unread) = (&self.stream, self.partition, self.unread);
        if is_held && !self.is_held {
            tracing::warn!(
                stream,
                partition,
                unread,
                bytes,
                "partition {partition} of stream {stream} waits: {bytes} bytes are in no checkpoint, and {unread} checkpoints \
                 have not been merged; is the shared place slow, or no `tidemark server` running?"
            );
        }
        self.is_held = is_held;
    }
}

/// The partition as it is folded, before its first record.
fn folded(
    ground: &Ground<'_>,
    to_read: &StreamToRead,
    origin: &str,
    partition: PartitionId,
) -> Result<PartitionRun, StartError> {
    let stream = &to_read.name;
    let plan: &Arc<StreamPlan> = ground
        .catalog
        .streams
        .get(stream)
        .ok_or_else(|| StartError::Views(format!("there is no stream {stream}")))?;
    let place = Place {
        origin: origin.to_owned(),
        is_file: false,
        partition,
        partitions: u32::try_from(to_read.partitions.len()).ok(),
        has_others: to_read.partitions.len() > 1,
    };
    let derived = ground.catalog.derived_from(stream);
    let views = views_to_run(ground.catalog, stream);
    let mut run = partition_run(plan, &derived, place, None, &views).map_err(restore)?;
    if let Some(layout) = ground.layouts.get(stream) {
        run.keep_history(Arc::clone(layout));
    }
    Ok(run)
}

/// Goes on from what was saved, or begins.
fn take_up(
    run: &mut PartitionRun,
    resumed: &mut Resumed,
    publishers: &mut Publishers,
    (stream, partition): (&str, PartitionId),
) -> Result<(), StartError> {
    let here = (stream.to_owned(), partition);
    match resumed.partitions.remove(&here) {
        Some(start) => run.restore(start).map_err(restore)?,
        None => publishers.expect_partition(stream, partition),
    }
    if let Some(shadow) = resumed.shadow.remove(&here) {
        run.restore_shadow(shadow).map_err(restore)?;
    }
    Ok(())
}

fn restore(error: datafusion::common::DataFusionError) -> StartError {
    StartError::Views(error.strip_backtrace())
}

/// Takes out of drains what has been told: the checkpoint itself holds only where the partition stands.
fn leave_told(drains: &mut Drains) {
    let leave = |space: &mut PartitionDrain| {
        space.dead_letters.clear();
        space.history.clear();
        for branch in &mut space.branches {
            branch.late.clear();
            branch.views.iter_mut().for_each(|view| view.drained = Folded::default());
        }
        space.operators.iter_mut().for_each(|(_, told)| told.notices.clear());
    };
    leave(&mut drains.live);
    drains.shadow.iter_mut().for_each(leave);
    drains.numbers.clear();
}
