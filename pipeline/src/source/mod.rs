//! Where records come from: partitions of a log, read in offset order, from any offset.
//!
//! A [`Source`] is a whole stream, a [`PartitionReader`] one of its partitions. Readers are moved to
//! the folding threads; each belongs to one thread. Everything the pipeline asks of Kafka it asks
//! through these two traits, so the embedded log and plain files are sources of the same kind.

pub mod files;
pub mod kafka;
pub mod kafka_batch;
pub mod local_log;

use std::time::Duration;

use crate::model::{Offset, PartitionId, Record};

/// What went wrong with a source, with what an operator needs to find it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The topic or stream does not exist.
    #[error("topic {topic} does not exist on {place}; create it, or correct the stream's `topic`")]
    MissingTopic {
        /// Topic asked for.
        topic: String,
        /// Brokers or directory asked.
        place: String,
    },
    /// The log cannot be reached.
    #[error("cannot reach {place}: {detail}")]
    Unreachable {
        /// Brokers, directory or file.
        place: String,
        /// The library's own words.
        detail: String,
    },
    /// The wanted offset is no longer, or not yet, in the log.
    #[error("topic {topic} partition {partition}: offset {offset} is not in the log ({first} to {end})")]
    OffsetOutOfRange {
        /// Topic.
        topic: String,
        /// Partition.
        partition: PartitionId,
        /// Wanted offset.
        offset: Offset,
        /// First offset still there.
        first: Offset,
        /// Offset after the last record.
        end: Offset,
    },
    /// Reading failed.
    #[error("reading {place} failed: {detail}")]
    Read {
        /// Topic and partition, or file and line.
        place: String,
        /// The library's own words.
        detail: String,
    },
}

/// What one call of [`PartitionReader::read`] gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOutcome {
    /// Records visited by this call.
    pub records: usize,
    /// Whether the input has an end and it has been reached; never true for a topic.
    pub ended: bool,
}

/// A stream as a whole.
pub trait Source: Send {
    /// Topic, directory or path, for messages.
    fn origin(&self) -> &str;

    /// The partitions there are now, from 0.
    ///
    /// # Errors
    /// When the topic is missing or the log cannot be reached.
    fn partitions(&mut self) -> Result<Vec<PartitionId>, SourceError>;

    /// A reader of one partition that begins at `from`, or at the first record still in the log.
    ///
    /// # Errors
    /// When the partition cannot be opened or `from` is not in the log.
    fn open(
        &mut self,
        partition: PartitionId,
        from: Option<Offset>,
    ) -> Result<Box<dyn PartitionReader>, SourceError>;
}

/// One partition, read in offset order. Dropping it closes it.
pub trait PartitionReader: Send {
    /// The partition it reads.
    fn partition(&self) -> PartitionId;

    /// Visits up to `records_max` records, waiting at most `wait` for the first of them.
    ///
    /// No record for `wait` is not an error: the outcome says 0 records. Pausing is not calling.
    ///
    /// # Errors
    /// When the log cannot be read; the reader may be asked again.
    fn read(
        &mut self,
        records_max: usize,
        wait: Duration,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<ReadOutcome, SourceError>;

    /// Goes to `offset`; the next record read is the first at or after it.
    ///
    /// # Errors
    /// When the offset is not in the log.
    fn seek(&mut self, offset: Offset) -> Result<(), SourceError>;

    /// The offset after the last record in the log, if known; `None` for files.
    fn end_offset(&mut self) -> Option<Offset>;
}
