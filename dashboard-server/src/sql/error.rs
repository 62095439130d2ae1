//! What can go wrong with a query, told so that its author can mend it.

use std::time::Duration;

use datafusion::error::DataFusionError;
use tidemark_pipeline::sql::refusal::refusal_in;

use super::growth::Overrun;
use super::limits::{Bounds, Limit};
use super::session::{CATALOG, SCHEMA};

/// Where in the query's text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in letters.
    pub column: u64,
}

/// Why a query has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// The text is not SQL.
    #[error("{message}")]
    Syntax {
        /// What the parser expected and found.
        message: String,
        /// Where, if the parser says.
        place: Option<Place>,
    },
    /// The statement is not one that reads.
    #[error(
        "{what} is not allowed here: this door only reads (SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS)"
    )]
    Refused {
        /// The statement's first words, or the plan node.
        what: String,
    },
    /// The statement is larger than a statement may be.
    #[error("the statement has {has} {what}, and {most} may be; write it shorter, or raise {key}")]
    TooLarge {
        /// How many it has.
        has: usize,
        /// Of what.
        what: &'static str,
        /// The bound.
        most: usize,
        /// Its key.
        key: &'static str,
    },
    /// The query names something that does not exist or does not fit together.
    #[error("{message}")]
    Plan {
        /// What does not fit.
        message: String,
        /// Where, if the planner says.
        place: Option<Place>,
    },
    /// A table is not there yet: the server has started, and what was is being restored.
    #[error(
        "the figures are being restored after a start, and no table is there yet: ask again in a few seconds"
    )]
    Restoring,
    /// The query cannot be kept up to date.
    #[error("{message}")]
    NotLive {
        /// What stands in the way, and what to do instead.
        message: String,
        /// Where, if that is known.
        place: Option<Place>,
    },
    /// The parameters do not fit the placeholders.
    #[error("{message}")]
    Params {
        /// Which and why.
        message: String,
    },
    /// Too many queries run already.
    #[error("{running} are running, and no more may; try again in a moment ({limit})")]
    Busy {
        /// The bound.
        running: usize,
        /// Where it is configured.
        limit: Limit,
    },
    /// The query ran longer than it may.
    #[error("stopped after {}; ask for less, or raise {limit}", in_words(.after))]
    Timeout {
        /// The bound.
        after: Duration,
        /// Where it is configured.
        limit: Limit,
    },
    /// The query needs more memory than it may have.
    #[error("needs more than {bytes} bytes of memory; ask for less, or raise {limit}")]
    Memory {
        /// The bound.
        bytes: usize,
        /// Where it is configured.
        limit: Limit,
    },
    /// A value, or a row, is larger than it may be.
    #[error("{message}; ask for less, or raise sql.row-bytes-max")]
    Row {
        /// What makes it, its size and the bound.
        message: String,
    },
    /// The result is longer than it may be, and this door has no word for "there was more".
    #[error("the result is over {most} rows; add a LIMIT, or raise {limit}")]
    Rows {
        /// The bound.
        most: usize,
        /// Where it is configured.
        limit: Limit,
    },
    /// The query failed while it ran.
    #[error("{message}")]
    Run {
        /// The engine's own words.
        message: String,
    },
    /// Someone stopped it.
    #[error("the query was cancelled")]
    Cancelled,
    /// The server is going away.
    #[error("the query was stopped because the server is shutting down")]
    Stopped,
}

impl SqlError {
    /// The word for programs; it stays the same when the message changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "sql_syntax",
            Self::Refused { .. } => "sql_refused",
            Self::TooLarge { .. } => "sql_too_large",
            Self::Plan { .. } => "sql_plan",
            Self::Restoring => "restoring",
            Self::NotLive { .. } => "sql_not_live",
            Self::Params { .. } => "sql_params",
            Self::Busy { .. } => "sql_busy",
            Self::Timeout { .. } => "sql_timeout",
            Self::Memory { .. } => "sql_memory",
            Self::Row { .. } => "sql_row_too_large",
            Self::Rows { .. } => "sql_rows",
            Self::Run { .. } => "sql_failed",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
        }
    }

    /// Where in the text the mistake is, if that is known.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Syntax { place, .. } | Self::Plan { place, .. } | Self::NotLive { place, .. } => {
                *place
            }
            _ => None,
        }
    }

    /// An error of parsing or planning.
    #[must_use]
    pub fn of_planning(error: &DataFusionError) -> Self {
        if let Some(refused) = Self::of_refusal(error) {
            return refused;
        }
        let place = place_of(error);
        match error.find_root() {
            DataFusionError::SQL(parser, _) => {
                let message = parser.to_string();
                let place = place.or_else(|| place_in_text(&message));
                Self::Syntax { message: without_place(&message), place }
            }
            DataFusionError::ResourcesExhausted(message) => Self::Run { message: message.clone() },
            DataFusionError::External(cause) if cause.is::<Overrun>() => {
                Self::of_overrun(cause.as_ref())
            }
            root => Self::Plan { message: plain(root), place },
        }
    }

    /// The error while this is the newest cut: before the first one no table is found.
    #[must_use]
    pub(super) fn before_cut(self, cut: u64) -> Self {
        match self {
            Self::Plan { message, .. } if cut == 0 && message.contains("not found") => {
                Self::Restoring
            }
            error => error,
        }
    }

    /// An error of a query that was running within `bounds`.
    #[must_use]
    pub(super) fn of_running(error: &DataFusionError, bounds: &Bounds) -> Self {
        // A query is analysed when it begins to run.
        if let Some(refused) = Self::of_refusal(error) {
            return refused;
        }
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::of_memory(bounds),
            DataFusionError::External(cause) if cause.is::<Overrun>() => {
                Self::of_overrun(cause.as_ref())
            }
            root => Self::Run { message: plain(root) },
        }
    }

    /// More bytes than there may be.
    #[must_use]
    pub(super) fn of_memory(bounds: &Bounds) -> Self {
        Self::Memory { bytes: bounds.memory_bytes.most, limit: bounds.memory_bytes.limit }
    }

    /// More time than there is.
    #[must_use]
    pub(super) fn of_time(bounds: &Bounds) -> Self {
        Self::Timeout { after: bounds.time.most, limit: bounds.time.limit }
    }

    /// More rows than there may be.
    #[must_use]
    pub(super) fn of_rows(bounds: &Bounds) -> Self {
        Self::Rows { most: bounds.rows.most, limit: bounds.rows.limit }
    }

    fn of_refusal(error: &DataFusionError) -> Option<Self> {
        let (message, place) = refusal_in(error)?;
        let place = place.map(|place| Place { line: place.line, column: place.column });
        Some(Self::Plan { message: message.to_owned(), place })
    }

    fn of_overrun(cause: &(dyn std::error::Error + 'static)) -> Self {
        match cause.downcast_ref() {
            Some(Overrun::Stopped { after: Some((after, limit)) }) => {
                Self::Timeout { after: *after, limit: *limit }
            }
            Some(row @ Overrun::Row { .. }) => Self::Row { message: row.to_string() },
            _ => Self::Stopped,
        }
    }
}

/// A time that a query had: whole seconds, or milliseconds.
fn in_words(time: &Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

fn place_of(error: &DataFusionError) -> Option<Place> {
    let span = error.diagnostic()?.span?;
    (span.start.line > 0).then_some(Place { line: span.start.line, column: span.start.column })
}

/// The parser says its place only in its text: `… at Line: 2, Column: 7`.
fn place_in_text(message: &str) -> Option<Place> {
    let (_, rest) = message.rsplit_once("Line: ")?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(Place { line: line.parse().ok()?, column: digits.parse().ok()? })
}

fn without_place(message: &str) -> String {
    let cut = message.rfind(" at Line: ").unwrap_or(message.len());
    let text = message.get(..cut).unwrap_or(message);
    text.trim_start_matches("sql parser error: ").to_owned()
}

/// The error without the engine's name for its own layer, and without a stack trace.
fn plain(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let known = ["Error during planning: ", "Schema error: ", "Execution error: ", "SQL error: "];
    let text = known.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
    // The names of our one catalogue and schema say nothing to who wrote the query without them.
    text.replace(&format!("{CATALOG}.{SCHEMA}."), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsers_place_is_taken_from_its_text() {
        let message = "sql parser error: Expected: a thing, found: EOF at Line: 12, Column: 7";
        assert_eq!(place_in_text(message), Some(Place { line: 12, column: 7 }));
        assert_eq!(without_place(message), "Expected: a thing, found: EOF");
        assert_eq!(place_in_text("no place"), None);
    }
}
