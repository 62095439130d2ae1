//! The embedded log as a [`LogWriter`]: records wait in one arena until a flush appends them.

use std::ops::Range;
use std::sync::Arc;

use super::stream::Stream;
use super::{Shared, append};
use crate::model::{Header, PartitionId};
use crate::source::SourceError;
use crate::source::writer::{LogWriter, NewRecord};

/// Bytes that wait at most; a fuller buffer is appended by the next write.
const BUFFER_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Writes to one stream; what was written and not flushed is lost with it.
pub struct LocalLogWriter {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    arena: Vec<u8>,
    waiting: Vec<Waiting>,
}

struct Waiting {
    partition: PartitionId,
    timestamp_ms: i64,
    key: Option<Range<usize>>,
    headers: Vec<(String, Range<usize>)>,
    payload: Range<usize>,
}

impl LocalLogWriter {
    pub(super) fn new(shared: Arc<Shared>, stream: Arc<Stream>) -> Self {
        Self { shared, stream, arena: Vec::new(), waiting: Vec::new() }
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        start..self.arena.len()
    }
}

impl LogWriter for LocalLogWriter {
    fn origin(&self) -> &str {
        self.stream.name()
    }

    fn partitions(&self) -> u32 {
        self.stream.count()
    }

    fn write(&mut self, record: &NewRecord<'_>) -> Result<(), SourceError> {
        if self.arena.len() >= BUFFER_BYTES_MAX {
            self.flush()?;
        }
        let partition = record.partition_among(self.stream.count());
        let key = record.key.map(|key| self.keep(key));
        let headers = record.headers.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), self.keep(value))).collect();
        let payload = self.keep(record.payload);
        let timestamp_ms = record.timestamp_ms;
        self.waiting.push(Waiting { partition, timestamp_ms, key, headers, payload });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SourceError> {
        let part = |range: &Range<usize>| self.arena.get(range.clone()).unwrap_or_default();
        let headers: Vec<Vec<Header<'_>>> = self
            .waiting
            .iter()
            .map(|one| one.headers.iter().map(|(name, at)| (name.as_str(), part(at))).collect())
            .collect();
        let records: Vec<NewRecord<'_>> = std::iter::zip(&self.waiting, &headers)
            .map(|(one, headers)| NewRecord {
                partition: Some(one.partition),
                key: one.key.as_ref().map(part),
                timestamp_ms: one.timestamp_ms,
                headers,
                payload: part(&one.payload),
            })
            .collect();
        if !records.is_empty() {
            append::append(&self.shared, &self.stream, &records)?;
        }
        self.waiting.clear();
        self.arena.clear();
        Ok(())
    }
}
