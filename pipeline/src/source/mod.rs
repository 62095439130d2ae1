//! Where records come from: partitions of a log, read in offset order, from any offset.
//!
//! A [`Source`] is a whole stream, a [`PartitionReader`] one of its partitions. Readers are moved to
//! the folding threads; each belongs to one thread. Everything the pipeline asks of Kafka it asks
//! through these two traits, so the embedded log and plain files are sources of the same kind.

pub mod writer;
pub mod partitioner;
pub mod local_log;
pub mod kafka;
pub mod kafka_options;
pub mod kafka_batch;
pub mod kafka_group;
pub mod kafka_topic;
pub mod kafka_writer;
pub mod files;
pub mod parquet_writer;
pub mod pace;
pub mod progress;
pub mod player;
pub mod replay;
pub mod resend;

use std::time::Duration;

use crate::model::{Offset, PartitionId, Position, Record};

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
    #[error("topic {topic} partition {partition}: {}", out_of_range(*offset, *first, *end))]
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
    /// An option of the stream is unknown, or its value is not allowed.
    #[error("option '{option}': {detail}")]
    BadOption {
        /// The option as written in the stream's SQL or on the command line.
        option: String,
        /// What is wrong with it and what to do.
        detail: String,
    },
    /// No file matches the path.
    #[error("no file matches {path}: {detail}; correct the stream's `path`")]
    NoFile {
        /// Path, directory or pattern as written.
        path: String,
        /// The system's own words, or what was looked for.
        detail: String,
    },
    /// Another process writes to this directory.
    #[error("{place} is in use by another process; stop it, or choose another --data-dir")]
    Locked {
        /// The directory.
        place: String,
    },
    /// A stream exists with another number of partitions than asked for.
    #[error("topic {topic} has {found} partitions, not {wanted}; use its number or another topic")]
    PartitionCount {
        /// Topic or stream.
        topic: String,
        /// Partitions asked for.
        wanted: u32,
        /// Partitions it has.
        found: u32,
    },
    /// What stands in the log is not what was written.
    #[error("{place} is damaged: {detail}; restore it, or start with an empty directory")]
    Damaged {
        /// Stream, partition and offset.
        place: String,
        /// What does not fit.
        detail: String,
    },
    /// Writing failed; what was not flushed may or may not be in the log.
    #[error("writing {place} failed: {detail}")]
    Write {
        /// Topic and partition, directory or file.
        place: String,
        /// The library's own words.
        detail: String,
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

impl SourceError {
    /// Whether reading on would leave records out: the log no longer holds the next one.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::OffsetOutOfRange { .. })
    }
}

/// What an offset outside of the log means, and what to do.
fn out_of_range(offset: Offset, first: Offset, end: Offset) -> String {
    let what = match offset < first {
        true => format!(
            "reading stands at offset {offset}, but the earliest record left in the log is {first} (it ends at {end}): \
             {} offsets were deleted before they were read",
            first - offset
        ),
        false => format!(
            "reading stands at offset {offset}, but the log ends at {end} (its earliest record is {first}): it was cut \
             at its end or made anew"
        ),
    };
    format!(
        "{what}, so figures that go on from the checkpoint would be wrong; bring those records back, or move the \
         folder checkpoints of the data folder away to compute everything again from offset {first} on, and raise \
         the topic's retention"
    )
}

/// The records a partition holds: from `first` up to, not with, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Offset of the first record still in the log.
    pub first: Offset,
    /// Offset after the last record.
    pub end: Offset,
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

    /// The first and the end offset of one partition now; `None` where that is not known (a file).
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn bounds(&mut self, partition: PartitionId) -> Result<Option<Bounds>, SourceError>;

    /// Offset of the first record whose log timestamp is `time_ms` or later; the end offset when
    /// there is none yet, `None` where records have no timestamps (a file).
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn offset_at(
        &mut self,
        partition: PartitionId,
        time_ms: i64,
    ) -> Result<Option<Offset>, SourceError>;

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

    /// Bytes read and bytes there are, of a source whose end is known; `None` for a log or a pipe.
    fn bytes_read(&self) -> Option<(u64, u64)> {
        None
    }

    /// The place of the record at `offset`, for messages: topic and offset, or file and line.
    ///
    /// Right for every offset this reader has visited.
    fn position(&self, offset: Offset) -> Position;
}

#[cfg(test)]
mod kafka_tests;
