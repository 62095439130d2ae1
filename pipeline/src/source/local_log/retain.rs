//! How much of a stream is kept, and the removal of the rest.

use serde::{Deserialize, Serialize};

use super::Shared;
use super::place;
use super::stream::Stream;
use crate::model::{Offset, PartitionId};
use crate::source::SourceError;

/// Blocks removed from one partition after one append, so that no append pays for a long backlog.
const REMOVED_BLOCKS_MAX: usize = 64;

/// How much of a stream is kept; the default keeps everything.
///
/// Age is measured from the newest log timestamp of the partition, not from the clock, so that a
/// replay of an old day is not thrown away as it is written. Whole blocks are removed, and never
/// the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retention {
    /// Records older than this many milliseconds may go; `None` keeps them.
    pub age_ms: Option<i64>,
    /// Bytes a partition may have on disk, before compression; `None` is unlimited.
    pub partition_bytes: Option<u64>,
}

/// Removes what the stream's retention no longer keeps in one partition.
///
/// # Errors
/// When the store cannot be read or written.
pub(super) fn retain(
    shared: &Shared,
    stream: &Stream,
    partition: PartitionId,
) -> Result<(), SourceError> {
    let retention = stream.retention();
    if retention == Retention::default() {
        return Ok(());
    }
    let Some(gone) = expired(shared, stream, partition, retention)? else { return Ok(()) };
    // Readers stop at the new first offset before the blocks before it are gone.
    stream.set_first(partition, gone.first, gone.bytes_removed);
    let mut batch = shared.database.batch();
    for base in gone.bases {
        let key = place::key(stream.id(), partition, base);
        batch.remove(&shared.blocks, key);
        batch.remove(&shared.summaries, key);
    }
    batch.commit().map_err(|error| shared.unwritten(&error))
}

struct Expired {
    bases: Vec<Offset>,
    first: Offset,
    bytes_removed: u64,
}

fn expired(
    shared: &Shared,
    stream: &Stream,
    partition: PartitionId,
    retention: Retention,
) -> Result<Option<Expired>, SourceError> {
    let state = stream.state(partition)?;
    let oldest_ms = retention.age_ms.map(|age_ms| state.running_max_ms.saturating_sub(age_ms));
    let mut gone = Expired { bases: Vec::new(), first: 0, bytes_removed: 0 };
    for entry in shared.summaries_from(stream.id(), partition, state.bounds.first) {
        let (base, summary) = entry?;
        let end = base + Offset::from(summary.count);
        let too_old = oldest_ms.is_some_and(|oldest_ms| summary.max_ms < oldest_ms);
        let kept = state.bytes_total.saturating_sub(gone.bytes_removed.max(state.bytes_removed));
        let too_big = retention.partition_bytes.is_some_and(|limit| kept > limit);
        let is_newest = end >= state.bounds.end;
        if is_newest || !(too_old || too_big) || gone.bases.len() == REMOVED_BLOCKS_MAX {
            break;
        }
        gone.bases.push(base);
        gone.first = end;
        gone.bytes_removed = summary.bytes_total;
    }
    Ok((!gone.bases.is_empty()).then_some(gone))
}
