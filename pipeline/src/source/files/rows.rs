//! The rows of one file, whatever its format: text cut into records, Parquet turned to JSON.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use arrow::json::LineDelimitedWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::input::{Filled, Input};
use super::mending::Mending;
use super::splitter::{RawRecord, Shape, Splitter};

/// Rows of Parquet turned to JSON at a time.
const PARQUET_ROWS: usize = 1_024;

/// What [`Rows::next`] gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// One record was visited.
    Record,
    /// None came in time.
    Pending,
    /// The file is at its end.
    End,
}

/// Rows of an open file.
pub(super) enum Rows {
    /// JSON lines or CSV.
    Text(TextRows),
    /// Parquet.
    Parquet(ParquetRows),
}

impl Rows {
    /// Visits the next record with its line or row, from 1.
    ///
    /// # Errors
    /// What the system or the format's reader said.
    pub(super) fn next(
        &mut self,
        wait: Duration,
        visit: &mut dyn FnMut(RawRecord<'_>),
    ) -> Result<Step, String> {
        match self {
            Self::Text(rows) => rows.next(wait, visit),
            Self::Parquet(rows) => rows.next(visit),
        }
    }

    /// Bytes read of the file; `None` where the format is not read from front to back.
    pub(super) fn bytes_read(&self) -> Option<u64> {
        match self {
            Self::Text(rows) => Some(rows.input.bytes_read()),
            Self::Parquet(_) => None,
        }
    }

    /// Lines or rows of the file; final at its end.
    pub(super) fn lines(&self) -> i64 {
        match self {
            Self::Text(rows) => rows.splitter.line() - 1,
            Self::Parquet(rows) => rows.row,
        }
    }
}

/// JSON lines or CSV records.
pub(super) struct TextRows {
    input: Input,
    splitter: Splitter,
    mending: Mending,
    chunk: Vec<u8>,
    at: usize,
    is_ended: bool,
}

impl TextRows {
    pub(super) fn new(input: Input, shape: Shape, bytes_max: usize) -> Self {
        let splitter = Splitter::new(shape, bytes_max);
        Self {
            input,
            splitter,
            mending: Mending::new(shape, bytes_max),
            chunk: Vec::new(),
            at: 0,
            is_ended: false,
        }
    }

    fn next(
        &mut self,
        wait: Duration,
        visit: &mut dyn FnMut(RawRecord<'_>),
    ) -> Result<Step, String> {
        loop {
            if self.mending.next(visit) {
                return Ok(Step::Record);
            }
            if self.is_ended {
                break;
            }
            if let Some(record) = self.splitter.next(&self.chunk, &mut self.at) {
                if self.mending.takes(record) {
                    continue;
                }
                visit(record);
                return Ok(Step::Record);
            }
            let filled =
                self.input.fill(&mut self.chunk, wait).map_err(|error| error.to_string())?;
            self.at = 0;
            match filled {
                Filled::Some => {}
                Filled::Pending => {
                    self.chunk.clear();
                    return Ok(Step::Pending);
                }
                Filled::End => self.is_ended = true,
            }
        }
        self.chunk.clear();
        match self.splitter.finish() {
            Some(record) if self.mending.takes(record) => {
                self.mending.next(visit);
                Ok(Step::Record)
            }
            Some(record) => {
                visit(record);
                Ok(Step::Record)
            }
            None => Ok(Step::End),
        }
    }
}

/// Rows of a Parquet file as JSON objects: decimals keep their digits, nulls are left out, times
/// are RFC 3339.
pub(super) struct ParquetRows {
    batches: ParquetRecordBatchReader,
    json: Vec<u8>,
    at: usize,
    row: i64,
    kept_max: usize,
}

impl ParquetRows {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is no Parquet file or cannot be read.
    pub(super) fn open(path: &Path, bytes_max: usize) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let batches = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(PARQUET_ROWS).build())
            .map_err(|error| error.to_string())?;
        let kept_max = bytes_max.saturating_add(1);
        Ok(Self { batches, json: Vec::new(), at: 0, row: 0, kept_max })
    }

    fn next(&mut self, visit: &mut dyn FnMut(RawRecord<'_>)) -> Result<Step, String> {
        while self.at == self.json.len() {
            let Some(batch) = self.batches.next() else { return Ok(Step::End) };
            let batch = batch.map_err(|error| error.to_string())?;
            self.json.clear();
            self.at = 0;
            let mut writer = LineDelimitedWriter::new(&mut self.json);
            let written = writer.write(&batch).and_then(|()| writer.finish());
            written.map_err(|error| error.to_string())?;
        }
        // JSON escapes line breaks in values, so every line is one row.
        let rest = self.json.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let bytes = rest.get(..length.min(self.kept_max)).unwrap_or_default();
        self.row += 1;
        self.at = (self.at + length + 1).min(self.json.len());
        visit(RawRecord { line: self.row, bytes });
        Ok(Step::Record)
    }
}
