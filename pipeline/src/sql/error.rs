//! Errors in SQL files, each with its place.

use std::fmt;
use std::path::{Path, PathBuf};

/// A mistake in a SQL file: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// Line from 1; 0 where the whole file is meant.
    pub line: u64,
    /// Column from 1; 0 where the whole line is meant.
    pub column: u64,
    /// What is wrong, in one sentence.
    pub message: String,
}

impl SqlError {
    /// A mistake at one place of `file`.
    #[must_use]
    pub fn at(file: &Path, place: Place, message: impl Into<String>) -> Self {
        Self {
            file: file.to_path_buf(),
            line: place.line,
            column: place.column,
            message: message.into(),
        }
    }

    /// A mistake of the whole file.
    #[must_use]
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self::at(file, Place::default(), message)
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for SqlError {}

/// Line and column of a token, from 1; zeros where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line from 1.
    pub line: u64,
    /// Column from 1.
    pub column: u64,
}

impl Place {
    /// The place a parser or planner message names as `Line: 3, Column: 7`, if it names one.
    ///
    /// DataFusion and its parser carry the place only in their text.
    #[must_use]
    pub fn in_message(message: &str) -> Option<Self> {
        let after = message.split("Line: ").nth(1)?;
        let (line, rest) = after.split_once(", Column: ")?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some(Self { line: line.trim().parse().ok()?, column: digits.parse().ok()? })
    }
}
