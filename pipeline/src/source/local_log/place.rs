//! Keys of the log on disk, and the summary that stands beside every block.

use crate::model::{Offset, PartitionId};

/// Length of a key: stream, partition, base offset, all big-endian so that bytes sort as numbers.
const KEY_BYTES: usize = 16;
const SUMMARY_BYTES: usize = 28;

/// Key of the block that begins at `base`. Offsets are never negative.
pub(super) fn key(stream: u32, partition: PartitionId, base: Offset) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let parts = stream.to_be_bytes().into_iter().chain(partition.to_be_bytes());
    for (to, from) in key.iter_mut().zip(parts.chain(base.max(0).to_be_bytes())) {
        *to = from;
    }
    key
}

/// The base offset in a key; `None` when it is no key of ours.
pub(super) fn base_of(key: &[u8]) -> Option<Offset> {
    (key.len() == KEY_BYTES).then(|| key.last_chunk().map(|raw| Offset::from_be_bytes(*raw)))?
}

/// What is known of a block without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    /// Records in it.
    pub(super) count: u32,
    /// The largest timestamp in the partition up to and with this block.
    pub(super) running_max_ms: i64,
    /// The largest timestamp in this block.
    pub(super) max_ms: i64,
    /// Bytes of this partition's blocks up to and with this one, removed ones included.
    pub(super) bytes_total: u64,
}

impl Summary {
    /// As it is stored.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SUMMARY_BYTES);
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.running_max_ms.to_le_bytes());
        out.extend_from_slice(&self.max_ms.to_le_bytes());
        out.extend_from_slice(&self.bytes_total.to_le_bytes());
        out
    }

    /// From what is stored; `None` when it is no summary.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let (running_max, rest) = rest.split_first_chunk::<8>()?;
        let (max, rest) = rest.split_first_chunk::<8>()?;
        let (bytes_total, rest) = rest.split_first_chunk::<8>()?;
        rest.is_empty().then_some(Self {
            count: u32::from_le_bytes(*count),
            running_max_ms: i64::from_le_bytes(*running_max),
            max_ms: i64::from_le_bytes(*max),
            bytes_total: u64::from_le_bytes(*bytes_total),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_numbers() {
        let mut keys = vec![key(1, 0, 256), key(1, 0, 2), key(0, 9, 0), key(1, 1, 0)];
        keys.sort_unstable();
        assert_eq!(keys, [key(0, 9, 0), key(1, 0, 2), key(1, 0, 256), key(1, 1, 0)]);
        assert_eq!(base_of(&key(1, 0, 256)), Some(256));
    }

    #[test]
    fn a_summary_comes_back() {
        let summary = Summary { count: 3, running_max_ms: -4, max_ms: -5, bytes_total: 6 };
        assert_eq!(Summary::decode(&summary.encode()), Some(summary));
        assert_eq!(Summary::decode(b"short"), None);
    }
}
