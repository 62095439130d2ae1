//! Appending: records of one call become at most a few blocks per partition, written as one batch.

use std::collections::BTreeMap;

use fjall::{OwnedWriteBatch, PersistMode};

use super::block::BlockBuilder;
use super::place::{self, Summary};
use super::stream::{PartitionState, Stream};
use super::{Appended, Shared, retain};
use crate::model::{Offset, PartitionId};
use crate::source::SourceError;
use crate::source::writer::NewRecord;

/// Bytes at which a block is closed. A reader holds one block, so this bounds its memory; larger
/// blocks compress no better.
const BLOCK_BYTES_MAX: usize = 256 * 1_024;

/// Bytes of one record at most; what is larger is no order.
const RECORD_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// A partition while it is appended to: its future state and the block that is still open.
struct Open {
    state: PartitionState,
    block: Option<BlockBuilder>,
}

/// Appends records in order; see [`super::LocalLog::append`].
pub(super) fn append(
    shared: &Shared,
    stream: &Stream,
    records: &[NewRecord<'_>],
) -> Result<Vec<Appended>, SourceError> {
    let _in_order = stream.appending.lock();
    let mut batch = shared.database.batch().durability(Some(PersistMode::SyncData));
    let mut open: BTreeMap<PartitionId, Open> = BTreeMap::new();
    let mut places = Vec::with_capacity(records.len());
    for record in records {
        let partition = record.partition_among(stream.count());
        check_size(stream, partition, record)?;
        let target = match open.entry(partition) {
            std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(Open { state: stream.state(partition)?, block: None })
            }
        };
        places.push((partition, target.push(record)));
        if target.block.as_ref().is_some_and(|block| block.bytes() >= BLOCK_BYTES_MAX) {
            target.close_block(shared, &mut batch, stream.id(), partition);
        }
    }
    for (partition, target) in &mut open {
        target.close_block(shared, &mut batch, stream.id(), *partition);
    }
    batch.commit().map_err(|error| shared.unwritten(&error))?;
    for (partition, target) in open {
        stream.set_state(partition, target.state);
        retain::retain(shared, stream, partition)?;
    }
    Ok(places)
}

impl Open {
    fn push(&mut self, record: &NewRecord<'_>) -> Offset {
        let block = self.block.get_or_insert_with(|| BlockBuilder::new(record.timestamp_ms));
        let offset = self.state.bounds.end + Offset::from(block.count());
        block.push(record);
        offset
    }

    fn close_block(
        &mut self,
        shared: &Shared,
        batch: &mut OwnedWriteBatch,
        stream: u32,
        partition: PartitionId,
    ) {
        let Some(block) = self.block.take() else { return };
        let (count, max_ms, state) = (block.count(), block.max_ms(), &mut self.state);
        let bytes = block.finish();
        state.running_max_ms = state.running_max_ms.max(max_ms);
        state.bytes_total += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let summary = Summary {
            count,
            running_max_ms: state.running_max_ms,
            max_ms,
            bytes_total: state.bytes_total,
        };
        let key = place::key(stream, partition, state.bounds.end);
        batch.insert(&shared.blocks, key, bytes);
        batch.insert(&shared.summaries, key, summary.encode());
        state.bounds.end += Offset::from(count);
    }
}

fn check_size(
    stream: &Stream,
    partition: PartitionId,
    record: &NewRecord<'_>,
) -> Result<(), SourceError> {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let bytes = record.payload.len() + record.key.map_or(0, <[u8]>::len) + headers;
    if bytes <= RECORD_BYTES_MAX {
        return Ok(());
    }
    Err(SourceError::Write {
        place: format!("topic {} partition {partition}", stream.name()),
        detail: format!("a record of {bytes} bytes is over the bound of {RECORD_BYTES_MAX}"),
    })
}
