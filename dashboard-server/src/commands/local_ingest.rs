//! `POST /api/ingest/{stream}` into the embedded log.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use tidemark_pipeline::model::record::Header;
use tidemark_pipeline::model::{EventTime, Space};
use tidemark_pipeline::source::local_log::LocalLog;
use tidemark_pipeline::source::resend::Resend;
use tidemark_pipeline::source::writer::{LogWriter as _, NewRecord};

use crate::clock::Clock;
use crate::ingest::{IngestError, IngestSink, LineResult};

/// The embedded log as a sink of lines. A line's key is its partition-key field, so a retried line
/// goes to the partition where its first arrival is remembered.
pub(super) struct LocalIngest {
    pub(super) log: LocalLog,
    /// The streams in the log.
    pub(super) streams: BTreeMap<String, Fed>,
    pub(super) clock: Clock,
}

/// What producers of a stream have to know.
pub(super) struct Fed {
    /// The field that they partition by.
    pub(super) partition_key: Option<String>,
    /// The header that marks load tests; empty for none.
    pub(super) shadow_header: String,
}

impl LocalIngest {
    /// The field that a stream is partitioned by.
    fn partition_key(&self, stream: &str) -> Result<Option<&str>, IngestError> {
        let found = self.streams.get(stream).map(|fed| fed.partition_key.as_deref());
        found.ok_or_else(|| IngestError::UnknownStream { stream: stream.to_owned() })
    }
}

/// The key of a line, or why the line cannot be a record.
fn key(field: Option<&str>, line: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let Some(field) = field else {
        let read: Result<IgnoredAny, _> = serde_json::from_slice(line);
        return read.map(|_| None).map_err(|error| format!("not valid json: {error}"));
    };
    let read: Value =
        serde_json::from_slice(line).map_err(|error| format!("not valid json: {error}"))?;
    let Value::Object(object) = read else { return Err("not a json object".to_owned()) };
    Ok(match object.get(field) {
        Some(Value::String(text)) => Some(text.clone().into_bytes()),
        None | Some(Value::Null) => None,
        Some(other) => Some(other.to_string().into_bytes()),
    })
}

fn failed(error: impl std::fmt::Display) -> IngestError {
    IngestError::Failed { detail: error.to_string() }
}

impl IngestSink for LocalIngest {
    fn append(
        &self,
        stream: &str,
        lines: Vec<Bytes>,
        headers: &[Header<'_>],
    ) -> Result<Vec<LineResult>, IngestError> {
        let field = self.partition_key(stream)?;
        let keys: Vec<Result<Option<Vec<u8>>, String>> =
            lines.iter().map(|line| key(field, line)).collect();
        let timestamp_ms = self.clock.now_ms();
        let records: Vec<NewRecord<'_>> = lines
            .iter()
            .zip(&keys)
            .filter_map(|(line, key)| {
                let key = key.as_ref().ok()?.as_deref();
                Some(NewRecord { partition: None, key, timestamp_ms, headers, payload: line })
            })
            .collect();
        let mut stored = self.log.append(stream, &records).map_err(failed)?.into_iter();
        let outcome = |key: Result<Option<Vec<u8>>, String>| match key {
            Err(reason) => LineResult::Refused { reason },
            Ok(_) => match stored.next() {
                Some((partition, offset)) => LineResult::Stored { partition, offset },
                None => LineResult::Refused { reason: "the log gave no offset".to_owned() },
            },
        };
        Ok(keys.into_iter().map(outcome).collect())
    }

    fn shadow_header(&self, stream: &str) -> Option<&str> {
        let header = self.streams.get(stream).map(|fed| fed.shadow_header.as_str());
        header.filter(|header| !header.is_empty())
    }

    fn replay(&self, stream: &str, records: &[Resend]) -> Result<(), IngestError> {
        let field = self.partition_key(stream)?;
        let mut writer = self.log.writer(stream).map_err(failed)?;
        let now_ms = self.clock.now_ms();
        for record in records {
            // A record that cannot be read has no key and becomes a dead letter where the first one did.
            let key = key(field, record.record.as_bytes()).unwrap_or_default();
            record.write(key.as_deref(), now_ms, &mut writer).map_err(failed)?;
        }
        writer.flush().map_err(failed)
    }

    fn advance_watermark(
        &self,
        stream: &str,
        watermark_ms: i64,
    ) -> Result<Vec<LineResult>, IngestError> {
        self.partition_key(stream)?;
        let mut writer = self.log.writer(stream).map_err(failed)?;
        writer.close(Space::Live, EventTime(watermark_ms), self.clock.now_ms()).map_err(failed)?;
        let partitions = 0..writer.partitions();
        let end = |partition| self.log.bounds(stream, partition).map(|bounds| bounds.end - 1);
        partitions
            .map(|partition| {
                Ok(LineResult::Stored { partition, offset: end(partition).map_err(failed)? })
            })
            .collect()
    }
}
