//! Records that come in over HTTP. Whoever owns the log implements [`IngestSink`].

use bytes::Bytes;
use tidemark_pipeline::model::record::Header;
use tidemark_pipeline::source::resend::Resend;

/// What became of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineResult {
    /// It is in the log and will survive a power cut.
    Stored {
        /// Partition it went to.
        partition: u32,
        /// Its offset there.
        offset: i64,
    },
    /// It is not in the log.
    Refused {
        /// Why, in one sentence.
        reason: String,
    },
}

/// Why nothing of a request was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// There is no embedded log of this name.
    #[error("stream {stream:?} has no embedded log here; write to its Kafka topic instead")]
    UnknownStream {
        /// As asked for.
        stream: String,
    },
    /// The log cannot take more right now.
    #[error("the log is busy; try again in {retry_after_s} s")]
    Busy {
        /// When to come back, in seconds.
        retry_after_s: u32,
    },
    /// The log cannot be moved on by hand.
    #[error("stream {stream:?} takes no watermarks over HTTP")]
    NoWatermarks {
        /// As asked for.
        stream: String,
    },
    /// Writing failed; nothing is promised about the lines of this request.
    #[error("writing to the log failed: {detail}")]
    Failed {
        /// The store's own words.
        detail: String,
    },
}

/// The log that `POST /api/ingest/{stream}` writes to.
///
/// Calls block until the records are durable, and come from threads that may block.
pub trait IngestSink: Send + Sync {
    /// Appends `lines` in order, each with these headers, and answers one result a line.
    ///
    /// # Errors
    /// When nothing could be stored.
    fn append(
        &self,
        stream: &str,
        lines: Vec<Bytes>,
        headers: &[Header<'_>],
    ) -> Result<Vec<LineResult>, IngestError>;

    /// The header that marks load tests of a stream; `None` where it has none.
    fn shadow_header(&self, stream: &str) -> Option<&str> {
        let _unused = stream;
        None
    }

    /// Writes corrected records back, each with the place of the rejected one in its header.
    ///
    /// # Errors
    /// When the stream is not here or a record could not be written; those before it may be stored.
    fn replay(&self, stream: &str, records: &[Resend]) -> Result<(), IngestError> {
        let _unused = records;
        Err(IngestError::UnknownStream { stream: stream.to_owned() })
    }

    /// Writes a control record to every partition: no later record will be older than
    /// `watermark_ms` (epoch milliseconds), so that a day can be closed.
    ///
    /// # Errors
    /// When nothing could be stored, or the log takes no control records.
    fn advance_watermark(
        &self,
        stream: &str,
        watermark_ms: i64,
    ) -> Result<Vec<LineResult>, IngestError> {
        let _unused = watermark_ms;
        Err(IngestError::NoWatermarks { stream: stream.to_owned() })
    }
}
