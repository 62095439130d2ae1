//! Where a record stands in its log: partition and offset.

use std::fmt;

/// Number of a partition within its stream, from 0.
pub type PartitionId = u32;

/// Number of a record within its partition, from 0. Gaps are allowed (Kafka has them).
pub type Offset = i64;

/// The place of one record, as an operator needs it to find the record again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Topic, or path of the file.
    pub origin: String,
    /// Partition of the topic; 0 for a file.
    pub partition: PartitionId,
    /// Offset in the partition; for a file, the line (from 1).
    pub offset: Offset,
    /// Whether `origin` is a file, so that the text says "line" and not "offset".
    pub is_file: bool,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_file {
            write!(f, "{} line {}", self.origin, self.offset)
        } else {
            write!(f, "topic {} partition {} offset {}", self.origin, self.partition, self.offset)
        }
    }
}
