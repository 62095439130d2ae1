//! Which records count: time bounds and duplicates, judged record by record in offset order.

pub mod bounds;
pub mod by_value;
pub mod duplicate;
mod key_table;
pub mod sequence;

pub use bounds::Bounds;
pub use by_value::{ByValue, CountsByValue, ValueCounts};
pub use duplicate::{DedupDrain, Duplicates, KeyRoom, Overflow, Seen};

/// What became of the records of a stream.
///
/// `read = accepted + duplicate + rejected + shadow + control`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordCounts {
    /// Records read from the log.
    pub read: u64,
    /// Records that count.
    pub accepted: u64,
    /// Records whose dedup key had come before.
    pub duplicate: u64,
    /// Records with a dead letter.
    pub rejected: u64,
    /// Load-test records.
    pub shadow: u64,
    /// Records that only move the watermark.
    pub control: u64,
    /// Decoded records whose `partition.key` belongs to another partition. They are counted among the
    /// others as well; a duplicate of one could not be recognised.
    pub misplaced: u64,
}

impl RecordCounts {
    /// Whether nothing has disappeared.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.read == self.accepted + self.duplicate + self.rejected + self.shadow + self.control
    }
}
