//! History: every accepted record of a stream in a Delta Lake table, exactly once.
//!
//! ```text
//! partition ── rows ──▶ kept ─┬─▶ journal of the checkpoint
//!                             └─▶ tail ── up to a written checkpoint ──▶ writer ── commit ──▶ table
//!                                   └───────────── a query reads both ──────────────────────────┘
//! ```
//! A commit carries, for every partition, the offset up to which the table holds it. So what a crash makes
//! the pipeline read again is known to be there, and what was accepted and not committed is in the journal
//! that belongs to the checkpoint: no record is missing and none is twice, at any instant.

mod days;
mod journal;
mod layout;
mod past;
mod pins;
mod provider;
mod stand;
mod sync;
mod table;
mod tail;
mod under_way;
mod writer;

pub use journal::JOURNAL;
pub use layout::{HashKey, HistoryLayout, HistoryRows};
pub use past::{PastError, PastHistory, Wanted};
pub use pins::{HeldVersions, Pins, PinsError};
pub use provider::HistoryAt;
pub use stand::{OfCut, Stand};
pub use table::{HistoryPlace, HistoryTable};
pub use tail::{Bounds, History, JournalAnew, Standing};
pub use writer::{HistoryWriter, Upkeep};

use crate::model::{Offset, PartitionId};

/// Something is wrong with a history.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The table refuses.
    #[error("the history of stream {stream} at {place}: {detail}")]
    Table {
        /// The stream.
        stream: String,
        /// Where the table is.
        place: String,
        /// The table's own words.
        detail: String,
    },
    /// The stream cannot be kept as it is declared.
    #[error("the history of stream {stream}: {detail}")]
    Layout {
        /// The stream.
        stream: String,
        /// What does not fit.
        detail: String,
    },
    /// The journal of a checkpoint is not what was written.
    #[error(
        "the history of stream {stream}, partition {partition}: its part of the checkpoint cannot be read: {detail}"
    )]
    Journal {
        /// The stream.
        stream: String,
        /// The partition.
        partition: PartitionId,
        /// What was found.
        detail: String,
    },
    /// The table holds records that the log never had.
    #[error(
        "the history of stream {stream} holds partition {partition} up to offset {held}, and its log ends at {end}: \
         that is another log; move the table at {place} away, or read the log it belongs to"
    )]
    AnotherLog {
        /// The stream.
        stream: String,
        /// The partition.
        partition: PartitionId,
        /// Offset after the last record of the table.
        held: Offset,
        /// Offset after the last record of the log.
        end: Offset,
        /// Where the table is.
        place: String,
    },
    /// The rows of the table were accepted under another declaration of the stream.
    #[error(
        "the history of stream {stream} at {place} was kept while the stream was declared otherwise, so other records were \
         accepted, or other columns read: move that table away, and a new one is filled from the log; or declare the \
         stream as it was"
    )]
    AnotherDeclaration {
        /// The stream.
        stream: String,
        /// Where the table is.
        place: String,
    },
    /// What is held of it.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The key of the hashes.
    #[error("the key for hashes in the history, {place}: {detail}")]
    Key {
        /// The file.
        place: String,
        /// What is wrong.
        detail: String,
    },
    /// The system gives no thread.
    #[error("the thread that writes the history cannot be started: {0}")]
    Thread(std::io::Error),
}
