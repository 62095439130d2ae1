//! One record as a source hands it on: bytes with their position, never copied on the way.

use super::{Offset, PartitionId};

/// Header that marks a control record; its value is the watermark as text, epoch milliseconds.
pub const WATERMARK_HEADER: &str = "tidemark-watermark";

/// Header that marks shadow (load-test) traffic where the stream names no other.
pub const SHADOW_HEADER: &str = "tidemark-shadow";

/// Header of a corrected record: the place of the rejected one it stands for, `topic/partition/offset`.
pub const ORIGIN_HEADER: &str = "tidemark-origin";

/// One header: its name and its value.
pub type Header<'a> = (&'a str, &'a [u8]);

/// One record of a partition, borrowed from the source's own buffer.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Partition it was read from.
    pub partition: PartitionId,
    /// Its offset there.
    pub offset: Offset,
    /// The log's own timestamp in epoch milliseconds; `None` where the source has none (a file).
    pub timestamp_ms: Option<i64>,
    /// Headers in the order written; mostly empty.
    pub headers: &'a [Header<'a>],
    /// Message key; `None` where the producer gave none.
    pub key: Option<&'a [u8]>,
    /// The bytes of the record.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// Value of the first header called `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}
