//! Reads the files of a source one after another, counting lines on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::FileFormat;
use super::input::Input;
use super::rows::{ParquetRows, Rows, Step, TextRows};
use super::splitter::{RawRecord, Shape};
use crate::model::{Offset, PartitionId, Position, Record};
use crate::source::{PartitionReader, ReadOutcome, SourceError};

/// What is read, for messages and for opening.
pub(super) struct Place {
    pub(super) origin: String,
    /// In reading order; empty for a pipe.
    pub(super) files: Vec<PathBuf>,
}

/// Reads all files of a source as one partition.
pub struct FilesReader {
    place: Place,
    format: FileFormat,
    record_bytes_max: usize,
    /// Bytes of all files, and of those read to their end.
    bytes: (u64, u64),
    /// The first file's header, which every other must repeat.
    header: Option<Vec<String>>,
    rows: Option<Rows>,
    is_header_next: bool,
    /// For every file begun, the offset of its line 0.
    bases: Vec<Offset>,
    /// Records before this offset are not visited.
    from: Offset,
    /// The last offset visited or passed.
    last: Offset,
    is_ended: bool,
}

impl FilesReader {
    pub(super) fn new(
        place: Place,
        format: FileFormat,
        record_bytes_max: usize,
        header: Option<Vec<String>>,
    ) -> Self {
        let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |found| found.len());
        let bytes = place.files.iter().map(size).sum();
        Self {
            bytes: (bytes, 0),
            place,
            format,
            record_bytes_max,
            header,
            rows: None,
            is_header_next: false,
            bases: Vec::new(),
            from: 0,
            last: 0,
            is_ended: false,
        }
    }

    /// Begins to read a pipe.
    pub(super) fn start_pipe(&mut self, input: Input) {
        self.start(Rows::Text(TextRows::new(input, self.shape(), self.record_bytes_max)), 0);
    }

    /// Reads the header of the first file; `None` when the file is empty.
    pub(super) fn read_header(&mut self) -> Result<Option<Vec<String>>, SourceError> {
        loop {
            match self.step(Duration::from_secs(3_600), &mut |_| {})? {
                Step::Pending => {}
                Step::End => return Ok(None),
                Step::Record => return Ok(self.header.clone()),
            }
        }
    }

    /// One record of the current file: its header, a record visited or passed over, or its end.
    fn step(
        &mut self,
        wait: Duration,
        visit: &mut dyn FnMut(RawRecord<'_>),
    ) -> Result<Step, SourceError> {
        if self.rows.is_none() && !self.open_next()? {
            return Ok(Step::End);
        }
        let Some(rows) = &mut self.rows else { return Ok(Step::End) };
        let mut header = None;
        let is_header = self.is_header_next;
        let next = rows.next(wait, &mut |record| match is_header {
            true => header = Some((record.line, record.bytes.to_vec())),
            false => visit(record),
        });
        let step = next.map_err(|detail| self.failed(detail))?;
        if let Some((line, bytes)) = header {
            self.is_header_next = false;
            self.take_header(line, &bytes)?;
        }
        Ok(step)
    }

    /// Opens the file after the last one; `false` when there is none.
    fn open_next(&mut self) -> Result<bool, SourceError> {
        let Some(path) = self.place.files.get(self.bases.len()).cloned() else { return Ok(false) };
        let rows = match self.format {
            FileFormat::Parquet => {
                ParquetRows::open(&path, self.record_bytes_max).map(Rows::Parquet)
            }
            _ => Input::open(&path)
                .map_err(|error| error.to_string())
                .map(|input| Rows::Text(TextRows::new(input, self.shape(), self.record_bytes_max))),
        };
        let rows = rows.map_err(|detail| unreadable(&path, &detail))?;
        self.start(rows, self.last);
        Ok(true)
    }

    fn start(&mut self, rows: Rows, base: Offset) {
        self.bases.push(base);
        self.rows = Some(rows);
        self.is_header_next = matches!(self.format, FileFormat::Csv { has_header: true, .. });
    }

    fn take_header(&mut self, line: i64, bytes: &[u8]) -> Result<(), SourceError> {
        let found = self.parse_header(bytes).map_err(|detail| self.failed(detail))?;
        match &self.header {
            Some(first) if *first != found => {
                let first = first.join(", ");
                let detail =
                    format!("the header on line {line} differs from the first file's: {first}");
                Err(self.failed(detail))
            }
            _ => {
                self.header = Some(found);
                Ok(())
            }
        }
    }

    fn parse_header(&self, bytes: &[u8]) -> Result<Vec<String>, String> {
        let Shape::Csv { delimiter } = self.shape() else { return Ok(Vec::new()) };
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(bytes);
        let record = reader.records().next().transpose().map_err(|error| error.to_string())?;
        Ok(record.unwrap_or_default().iter().map(|name| name.trim().to_owned()).collect())
    }

    fn shape(&self) -> Shape {
        match self.format {
            FileFormat::Csv { delimiter, .. } => Shape::Csv { delimiter },
            _ => Shape::Lines,
        }
    }

    fn failed(&self, detail: String) -> SourceError {
        SourceError::Read { place: self.position(self.last + 1).to_string(), detail }
    }
}

impl PartitionReader for FilesReader {
    fn partition(&self) -> PartitionId {
        0
    }

    fn read(
        &mut self,
        records_max: usize,
        wait: Duration,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<ReadOutcome, SourceError> {
        let mut records = 0;
        while records < records_max && !self.is_ended {
            // A file that is opened by this step begins where the last one ended.
            let current = self.bases.last().copied().filter(|_| self.rows.is_some());
            let base = current.unwrap_or(self.last);
            let (from, mut last, mut is_visited) = (self.from, self.last, false);
            // Only the first record is waited for.
            let wait = if records == 0 { wait } else { Duration::ZERO };
            let step = self.step(wait, &mut |raw| {
                let offset = base + raw.line;
                last = offset;
                is_visited = offset >= from;
                if is_visited {
                    visit(record(offset, raw.bytes));
                }
            })?;
            self.last = last;
            records += usize::from(is_visited);
            match step {
                Step::Record => {}
                Step::Pending => break,
                Step::End => self.end_file(),
            }
        }
        Ok(ReadOutcome { records, ended: self.is_ended })
    }

    fn seek(&mut self, offset: Offset) -> Result<(), SourceError> {
        if offset <= self.last {
            if self.place.files.is_empty() {
                let place = self.place.origin.clone();
                let detail = format!("it cannot go back to line {offset}");
                return Err(SourceError::Read { place, detail });
            }
            self.rows = None;
            self.bytes.1 = 0;
            self.bases.clear();
            self.last = 0;
            self.is_ended = false;
        }
        self.from = offset;
        Ok(())
    }

    fn end_offset(&mut self) -> Option<Offset> {
        None
    }

    fn bytes_read(&self) -> Option<(u64, u64)> {
        let (all, ended) = self.bytes;
        let current = self.rows.as_ref().and_then(Rows::bytes_read).unwrap_or(0);
        (all > 0).then(|| ((ended + current).min(all), all))
    }

    fn position(&self, offset: Offset) -> Position {
        let file = self.bases.partition_point(|base| *base < offset).saturating_sub(1);
        let base = self.bases.get(file).copied().unwrap_or(0);
        let path = self.place.files.get(file);
        let origin = path.map_or_else(|| self.place.origin.clone(), |p| p.display().to_string());
        Position { origin, partition: 0, offset: offset - base, is_file: true }
    }
}

impl FilesReader {
    fn end_file(&mut self) {
        let path = self.bases.len().checked_sub(1).and_then(|at| self.place.files.get(at));
        self.bytes.1 +=
            path.and_then(|path| std::fs::metadata(path).ok()).map_or(0, |found| found.len());
        let lines = self.rows.take().map_or(0, |rows| rows.lines());
        self.last = self.last.max(self.bases.last().copied().unwrap_or(0) + lines);
        self.is_ended = self.bases.len() >= self.place.files.len();
    }
}

fn record(offset: Offset, payload: &[u8]) -> Record<'_> {
    Record { partition: 0, offset, timestamp_ms: None, headers: &[], key: None, payload }
}

fn unreadable(path: &Path, detail: &str) -> SourceError {
    SourceError::Read { place: path.display().to_string(), detail: detail.to_owned() }
}
