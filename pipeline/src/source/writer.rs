//! Writing to a log: the other half of a source, used by the generator, `replay` and ingest.

use super::SourceError;
use super::partitioner::partition_for_key;
use crate::model::record::{SHADOW_HEADER, WATERMARK_HEADER};
use crate::model::{EventTime, Header, PartitionId, Space};

/// One record to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// Partition to write to; `None` takes the key's, or 0 without a key.
    pub partition: Option<PartitionId>,
    /// Message key.
    pub key: Option<&'a [u8]>,
    /// The log's timestamp, epoch milliseconds.
    pub timestamp_ms: i64,
    /// Headers in order; mostly empty.
    pub headers: &'a [Header<'a>],
    /// The bytes of the record.
    pub payload: &'a [u8],
}

impl NewRecord<'_> {
    /// The partition this record goes to in a log of `partitions`.
    #[must_use]
    pub fn partition_among(&self, partitions: u32) -> PartitionId {
        match (self.partition, self.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, partitions),
            (None, None) => 0,
        }
    }
}

/// A log that records are written to, in order per partition.
pub trait LogWriter: Send {
    /// Topic, stream or file, for messages.
    fn origin(&self) -> &str;

    /// Partitions the log has; at least 1.
    fn partitions(&self) -> u32;

    /// Takes one record. It may wait in a bounded buffer until [`LogWriter::flush`]; a full buffer
    /// is written out first, so the caller is slowed to the speed of the log.
    ///
    /// # Errors
    /// When this record or an earlier one could not be written; the log then lacks records.
    fn write(&mut self, record: &NewRecord<'_>) -> Result<(), SourceError>;

    /// Returns once every record taken so far is durable, or acknowledged by the broker.
    ///
    /// # Errors
    /// When one of them could not be written.
    fn flush(&mut self) -> Result<(), SourceError>;

    /// Writes a control record that moves the watermark of one partition on to `watermark`, in one space.
    ///
    /// # Errors
    /// As [`LogWriter::write`].
    fn write_watermark(
        &mut self,
        space: Space,
        partition: PartitionId,
        watermark: EventTime,
        timestamp_ms: i64,
    ) -> Result<(), SourceError> {
        let text = watermark.0.to_string();
        let headers: [Header<'_>; 2] = [(WATERMARK_HEADER, text.as_bytes()), (SHADOW_HEADER, b"1")];
        let headers = match space {
            Space::Live => &headers[..1],
            Space::Shadow => &headers[..],
        };
        self.write(&NewRecord {
            partition: Some(partition),
            key: None,
            timestamp_ms,
            headers,
            payload: b"",
        })
    }

    /// Moves the watermark of every partition on to `watermark` in one space and flushes: the end of a day.
    ///
    /// # Errors
    /// As [`LogWriter::flush`].
    fn close(
        &mut self,
        space: Space,
        watermark: EventTime,
        timestamp_ms: i64,
    ) -> Result<(), SourceError> {
        for partition in 0..self.partitions() {
            self.write_watermark(space, partition, watermark, timestamp_ms)?;
        }
        self.flush()
    }
}
