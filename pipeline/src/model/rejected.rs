//! Records that do not count, each with its place and its reason.

use super::Position;

/// Why a record was refused. None of these stop the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// The bytes are not the declared format.
    #[error("not valid {format}: {detail}")]
    Malformed {
        /// The stream's declared format (`json`, `csv`).
        format: &'static str,
        /// What the parser said.
        detail: String,
    },
    /// A NOT NULL field is absent or null.
    #[error("field `{field}` is missing")]
    MissingField {
        /// Column as declared in the stream's SQL.
        field: String,
    },
    /// A value cannot be read as its column's type, or does not fit it.
    #[error("{text:?} is not a {expected} for `{field}`")]
    BadValue {
        /// Column as declared in the stream's SQL.
        field: String,
        /// The declared SQL type.
        expected: String,
        /// The value as it stood in the record, cut to 200 bytes.
        text: String,
    },
    /// The event time is earlier than the stream's `event-time.min`.
    #[error("event time {event_time} is before event-time.min {minimum}")]
    TooOld {
        /// Event time of the record, RFC 3339.
        event_time: String,
        /// The bound, RFC 3339.
        minimum: String,
    },
    /// The event time is further ahead of the log's timestamp than `max-future-skew`.
    #[error("event time {event_time} is more than {max_skew_ms} ms ahead of the log's {log_time}")]
    Future {
        /// Event time of the record, RFC 3339.
        event_time: String,
        /// Timestamp of the record in the log, RFC 3339.
        log_time: String,
        /// The bound in milliseconds.
        max_skew_ms: i64,
    },
    /// A duplicate of this record could no longer be recognised.
    #[error("older than the dedup horizon")]
    OlderThanDedupHorizon,
    /// The record is larger than the stream's `record.bytes-max`.
    #[error("record of {bytes} bytes is over record.bytes-max {maximum}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        maximum: usize,
    },
    /// A declared field holds a value that `unknown-fields = 'reject'` or a `CHECK` forbids.
    #[error("{detail}")]
    Refused {
        /// Which rule and which value.
        detail: String,
    },
}

impl RejectReason {
    /// One word for the rule that was broken, the same for all records it refuses.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::MissingField { .. } => "missing-field",
            Self::BadValue { .. } => "bad-value",
            Self::TooOld { .. } => "too-old",
            Self::Future { .. } => "future",
            Self::OlderThanDedupHorizon => "dedup-horizon",
            Self::TooLarge { .. } => "too-large",
            Self::Refused { .. } => "refused",
        }
    }
}

/// A rejected record with everything needed to look at it and send it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Stream it was read for.
    pub stream: String,
    /// Where it stands in the log.
    pub position: Position,
    /// Why it was refused.
    pub reason: RejectReason,
    /// The log's timestamp of the record, epoch milliseconds; `None` where the source has none.
    pub log_time: Option<i64>,
    /// The raw record, cut to the ledger's bound.
    pub raw: Vec<u8>,
    /// Bytes of the whole raw record.
    pub raw_bytes: usize,
}
