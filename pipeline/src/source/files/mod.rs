//! Files and standard input as sources of one partition: JSON lines, CSV, Parquet.
//!
//! Offsets are line numbers (rows in Parquet) from 1; where a path names several files, they go on
//! counting, and [`PartitionReader::position`] gives the file and its own line. A record's payload
//! is its own bytes in the file, so that a dead letter can be looked at as it was.

mod input;
mod paths;
mod reader;
mod rows;
mod splitter;
mod mending;

use std::io::Read;
use std::path::PathBuf;

pub use reader::FilesReader;

use crate::model::{Offset, PartitionId};
use crate::source::{Bounds, PartitionReader, Source, SourceError};
use input::Input;
use reader::Place;

/// Bytes of a record where a stream says nothing else.
pub const RECORD_BYTES_MAX: usize = 1_024 * 1_024;

/// How a file's records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// One JSON object a line.
    JsonLines,
    /// Comma-separated values; a quoted field may hold line breaks.
    Csv {
        /// Whether the first record of every file names the columns.
        has_header: bool,
        /// The byte between fields, mostly a comma.
        delimiter: u8,
    },
    /// Parquet, given on as one JSON object a row.
    Parquet,
}

/// What to read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesOptions {
    /// File, directory or pattern (`orders-*.csv`); `.gz` is unpacked.
    pub path: String,
    /// Format of all of them.
    pub format: FileFormat,
    /// Of a larger record this many bytes and one more are given on, so that admission refuses it.
    pub record_bytes_max: usize,
}

/// Files, or standard input, as one partition.
pub struct FilesSource {
    origin: String,
    format: FileFormat,
    record_bytes_max: usize,
    /// In the order they are read; empty for standard input.
    files: Vec<PathBuf>,
    header: Option<Vec<String>>,
    /// Standard input, whose header has been read, until a reader takes it.
    pipe: Option<FilesReader>,
}

impl FilesSource {
    /// The files of a path, in the order of their names.
    ///
    /// # Errors
    /// [`SourceError::NoFile`] when there is none, [`SourceError::Read`] when the first one's
    /// header cannot be read.
    pub fn open(options: &FilesOptions) -> Result<Self, SourceError> {
        let files = paths::expand(&options.path)?;
        let mut source = Self {
            origin: options.path.clone(),
            format: options.format,
            record_bytes_max: options.record_bytes_max,
            files,
            header: None,
            pipe: None,
        };
        if source.has_header() {
            source.header = source.reader().read_header()?;
        }
        Ok(source)
    }

    /// Standard input. With a header this waits for the first record.
    ///
    /// # Errors
    /// [`SourceError::BadOption`] for Parquet, which cannot be read from a pipe,
    /// [`SourceError::Read`] when the header cannot be read.
    pub fn stdin(format: FileFormat, record_bytes_max: usize) -> Result<Self, SourceError> {
        Self::pipe(std::io::stdin(), format, record_bytes_max)
    }

    /// Any pipe in place of standard input.
    ///
    /// # Errors
    /// As [`FilesSource::stdin`].
    pub fn pipe(
        pipe: impl Read + Send + 'static,
        format: FileFormat,
        record_bytes_max: usize,
    ) -> Result<Self, SourceError> {
        let origin = "stdin".to_owned();
        if format == FileFormat::Parquet {
            return Err(SourceError::BadOption {
                option: "format".to_owned(),
                detail: "Parquet cannot be read from stdin; write it to a file first".to_owned(),
            });
        }
        let input = Input::pipe(pipe).map_err(|error| SourceError::Unreachable {
            place: origin.clone(),
            detail: error.to_string(),
        })?;
        let mut source =
            Self { origin, format, record_bytes_max, files: Vec::new(), header: None, pipe: None };
        let mut reader = source.reader();
        reader.start_pipe(input);
        if source.has_header() {
            source.header = reader.read_header()?;
        }
        source.pipe = Some(reader);
        Ok(source)
    }

    /// Names of the columns as the first file's header gives them; `None` without a header.
    #[must_use]
    pub fn csv_header(&self) -> Option<Vec<String>> {
        self.header.clone()
    }

    fn has_header(&self) -> bool {
        matches!(self.format, FileFormat::Csv { has_header: true, .. })
    }

    fn reader(&self) -> FilesReader {
        let place = Place { origin: self.origin.clone(), files: self.files.clone() };
        FilesReader::new(place, self.format, self.record_bytes_max, self.header.clone())
    }
}

impl Source for FilesSource {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn partitions(&mut self) -> Result<Vec<PartitionId>, SourceError> {
        Ok(vec![0])
    }

    fn bounds(&mut self, _: PartitionId) -> Result<Option<Bounds>, SourceError> {
        Ok(None)
    }

    fn offset_at(&mut self, _: PartitionId, _: i64) -> Result<Option<Offset>, SourceError> {
        Ok(None)
    }

    fn open(
        &mut self,
        _: PartitionId,
        from: Option<Offset>,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        let mut reader = match self.pipe.take() {
            Some(reader) => reader,
            None if self.files.is_empty() => {
                let place = self.origin.clone();
                let detail = "it can be read only once".to_owned();
                return Err(SourceError::Read { place, detail });
            }
            None => self.reader(),
        };
        if let Some(from) = from {
            reader.seek(from)?;
        }
        Ok(Box::new(reader))
    }
}

#[cfg(test)]
mod tests;
