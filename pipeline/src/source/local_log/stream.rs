//! One stream in memory: what it is, and the bounds of each partition, with the readers that wait.

use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::place::{self, Summary};
use super::retain::Retention;
use crate::model::{Offset, PartitionId};
use crate::source::{Bounds, SourceError};

/// What is stored about a stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StreamMeta {
    pub(super) name: String,
    pub(super) id: u32,
    pub(super) partitions: u32,
    pub(super) retention: Retention,
}

/// What is known of a partition without reading it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartitionState {
    pub(super) bounds: Bounds,
    /// The largest timestamp ever written to it.
    pub(super) running_max_ms: i64,
    /// Bytes ever written to it.
    pub(super) bytes_total: u64,
    /// Bytes of those that retention has removed.
    pub(super) bytes_removed: u64,
}

impl PartitionState {
    const EMPTY: Self = Self {
        bounds: Bounds { first: 0, end: 0 },
        running_max_ms: i64::MIN,
        bytes_total: 0,
        bytes_removed: 0,
    };
}

struct Partition {
    state: Mutex<PartitionState>,
    grown: Condvar,
}

/// One stream; shared by its writers and readers.
pub(super) struct Stream {
    meta: Mutex<StreamMeta>,
    name: String,
    id: u32,
    partitions: Vec<Partition>,
    /// Held while offsets are given out and written, so that they are written in order.
    pub(super) appending: Mutex<()>,
}

impl Stream {
    /// A stream without records.
    pub(super) fn empty(meta: StreamMeta) -> Self {
        let states = (0..meta.partitions).map(|_| PartitionState::EMPTY).collect();
        Self::with_states(meta, states)
    }

    /// A stream as the store has it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn recover(shared: &Shared, meta: StreamMeta) -> Result<Self, SourceError> {
        let states = (0..meta.partitions)
            .map(|partition| recover_partition(shared, meta.id, partition))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::with_states(meta, states))
    }

    fn with_states(meta: StreamMeta, states: Vec<PartitionState>) -> Self {
        let partitions = states
            .into_iter()
            .map(|state| Partition { state: Mutex::new(state), grown: Condvar::new() })
            .collect();
        let (name, id) = (meta.name.clone(), meta.id);
        Self { meta: Mutex::new(meta), name, id, partitions, appending: Mutex::new(()) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn meta(&self) -> StreamMeta {
        self.meta.lock().clone()
    }

    pub(super) fn retention(&self) -> Retention {
        self.meta.lock().retention
    }

    pub(super) fn set_retention(&self, retention: Retention) {
        self.meta.lock().retention = retention;
    }

    pub(super) fn check_count(&self, wanted: u32) -> Result<(), SourceError> {
        let found = self.count();
        if found == wanted {
            return Ok(());
        }
        Err(SourceError::PartitionCount { topic: self.name.clone(), wanted, found })
    }

    pub(super) fn bounds(&self, partition: PartitionId) -> Result<Bounds, SourceError> {
        Ok(self.state(partition)?.bounds)
    }

    pub(super) fn state(&self, partition: PartitionId) -> Result<PartitionState, SourceError> {
        Ok(*self.lock(partition)?)
    }

    /// Takes over what an append has written and wakes the partition's readers.
    pub(super) fn set_state(&self, partition: PartitionId, state: PartitionState) {
        if let Some(found) = self.partition(partition) {
            *found.state.lock() = state;
            found.grown.notify_all();
        }
    }

    /// Moves the first offset on.
    pub(super) fn set_first(&self, partition: PartitionId, first: Offset, bytes_removed: u64) {
        if let Some(found) = self.partition(partition) {
            let mut state = found.state.lock();
            state.bounds.first = first;
            state.bytes_removed = bytes_removed;
        }
    }

    /// Waits until the partition has a record at `offset`, at most `wait`; its bounds then.
    pub(super) fn wait_for(
        &self,
        partition: PartitionId,
        offset: Offset,
        wait: Duration,
    ) -> Result<Bounds, SourceError> {
        let mut state = self.lock(partition)?;
        if let Some(found) = self.partition(partition)
            && state.bounds.end <= offset
            && !wait.is_zero()
        {
            let _timed_out =
                found.grown.wait_while_for(&mut state, |state| state.bounds.end <= offset, wait);
        }
        Ok(state.bounds)
    }

    fn lock(&self, partition: PartitionId) -> Result<MutexGuard<'_, PartitionState>, SourceError> {
        let found = self.partition(partition).map(|found| found.state.lock());
        found.ok_or_else(|| SourceError::Unreachable {
            place: format!("topic {} partition {partition}", self.name),
            detail: format!("the stream has partitions 0 to {}", self.count().saturating_sub(1)),
        })
    }

    fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        usize::try_from(partition).ok().and_then(|place| self.partitions.get(place))
    }
}

fn recover_partition(
    shared: &Shared,
    stream: u32,
    partition: PartitionId,
) -> Result<PartitionState, SourceError> {
    let mut summaries = shared.summaries_from(stream, partition, 0);
    let Some(oldest) = summaries.next().transpose()? else { return Ok(PartitionState::EMPTY) };
    let newest = summaries.next_back().transpose()?.unwrap_or(oldest);
    let (first, oldest) = oldest;
    let (base, newest) = newest;
    let bytes_removed = shared.bytes_before(stream, partition, first, oldest)?;
    Ok(PartitionState {
        bounds: Bounds { first, end: base + Offset::from(newest.count) },
        running_max_ms: newest.running_max_ms,
        bytes_total: newest.bytes_total,
        bytes_removed,
    })
}

impl Shared {
    /// Summaries of a partition's blocks with their base offsets, from the block at `from` on.
    pub(super) fn summaries_from(
        &self,
        stream: u32,
        partition: PartitionId,
        from: Offset,
    ) -> impl DoubleEndedIterator<Item = Result<(Offset, Summary), SourceError>> {
        let range =
            place::key(stream, partition, from)..=place::key(stream, partition, Offset::MAX);
        self.summaries.range(range).map(|entry| self.summary(entry))
    }

    /// The summary of the block that holds `offset`, with its base.
    pub(super) fn summary_at(
        &self,
        stream: u32,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Option<(Offset, Summary)>, SourceError> {
        let range = place::key(stream, partition, 0)..=place::key(stream, partition, offset);
        self.summaries.range(range).next_back().map(|entry| self.summary(entry)).transpose()
    }

    fn summary(&self, entry: fjall::Guard) -> Result<(Offset, Summary), SourceError> {
        let (key, value) = entry.into_inner().map_err(|error| self.unreadable(error))?;
        let found = place::base_of(&key).zip(Summary::decode(&value));
        found.ok_or_else(|| self.damaged("a block's summary", "it has another length"))
    }

    /// Bytes written to a partition before the block at `first`.
    fn bytes_before(
        &self,
        stream: u32,
        partition: PartitionId,
        first: Offset,
        oldest: Summary,
    ) -> Result<u64, SourceError> {
        let size = self.blocks.size_of(place::key(stream, partition, first));
        let size = size.map_err(|error| self.unreadable(error))?.unwrap_or(0);
        Ok(oldest.bytes_total.saturating_sub(u64::from(size)))
    }
}
