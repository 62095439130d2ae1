//! Why a pipeline cannot start.

use crate::history::{HistoryError, PinsError};
use crate::ledger::LedgerError;
use crate::results::view_history::ViewHistoryError;
use crate::run::saving::SavingError;
use crate::source::SourceError;
use crate::state::scopes::ScopeConflict;

/// Why the pipeline cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log.
    #[error("stream {stream}: {source}")]
    Source {
        /// The stream.
        stream: String,
        /// What is wrong with it.
        source: SourceError,
    },
    /// The saved state.
    #[error(transparent)]
    Saving(#[from] SavingError),
    /// The ledgers.
    #[error(transparent)]
    Ledgers(#[from] LedgerError),
    /// The histories.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// What views showed.
    #[error(transparent)]
    ViewHistory(#[from] ViewHistoryError),
    /// What is held of histories.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// A view.
    #[error("the views cannot be set up: {0}")]
    Views(String),
    /// A version of a scope says something else than it did.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Scopes(Vec<ScopeConflict>),
    /// Views cannot go to their topics.
    #[error("{0}")]
    ResultTopics(String),
    /// What workers have folded cannot be merged.
    #[error("{0}")]
    Workers(String),
    /// The system gives no threads.
    #[error("a folding thread cannot be started: {0}")]
    Threads(std::io::Error),
}
