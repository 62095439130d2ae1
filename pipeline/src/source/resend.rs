//! Corrected records on their way back to the log, each with the place of the one it stands for.

use serde::{Deserialize, Serialize};

use super::SourceError;
use super::writer::{LogWriter, NewRecord};
use crate::model::record::ORIGIN_HEADER;
use crate::model::{Offset, PartitionId};

/// A record that stands for a rejected one. Its JSON is a line of an exported file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resend {
    /// Topic of the rejected record.
    pub topic: String,
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
    /// The log's timestamp of it, epoch milliseconds.
    #[serde(default)]
    pub log_time: Option<i64>,
    /// The record as it shall stand in the log.
    pub record: String,
}

impl Resend {
    /// The place of the rejected record, as the header says it: `topic/partition/offset`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }

    /// Writes the record to its key's partition, or to the one of the rejected record where it has no
    /// key. Its timestamp is `now_ms`, or the rejected record's if that is later, so that a corrected
    /// record of simulated time is not ahead of its log.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn write(
        &self,
        key: Option<&[u8]>,
        now_ms: i64,
        writer: &mut dyn LogWriter,
    ) -> Result<(), SourceError> {
        let origin = self.origin();
        writer.write(&NewRecord {
            partition: if key.is_some() {
                None
            } else {
                Some(self.partition.min(writer.partitions() - 1))
            },
            key,
            timestamp_ms: self.log_time.unwrap_or(now_ms).max(now_ms),
            headers: &[(ORIGIN_HEADER, origin.as_bytes())],
            payload: self.record.as_bytes(),
        })
    }
}
