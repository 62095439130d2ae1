//! An answer in pieces: the bytes of a file are made as they are taken, so that it is never held twice.

use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;

use super::binary::{Sink, arrow_writer, parquet_writer};
use super::{Answer, RowShape, csv, json};
use crate::sql::error::SqlError;

/// Bytes of a piece, at least; only the last may be smaller.
const PIECE_BYTES: usize = 262_144;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json(RowShape),
    /// RFC 4180 with a header line.
    Csv {
        /// Whether a spreadsheet is to be told that it is UTF-8.
        has_mark: bool,
    },
    /// An Arrow IPC stream, without compression of its own.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// Writes one answer, piece by piece.
pub struct Encoder {
    answer: Answer,
    writer: Writer,
    /// Batches that are written.
    written: usize,
    stage: Stage,
}

enum Writer {
    Json(RowShape),
    Csv { has_mark: bool },
    Arrow(Box<StreamWriter<Sink>>, Sink),
    Parquet(Option<Box<ArrowWriter<Sink>>>, Sink),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Rows,
    Over,
}

impl Encoder {
    /// Nothing is written yet.
    ///
    /// # Errors
    /// When a column has a type that the format does not know.
    pub fn new(answer: Answer, format: Format) -> Result<Self, SqlError> {
        let writer = match format {
            Format::Json(shape) => Writer::Json(shape),
            Format::Csv { has_mark } => Writer::Csv { has_mark },
            Format::Arrow => {
                let sink = Sink::default();
                let writer = arrow_writer(&answer, sink.clone()).map_err(unwritable)?;
                Writer::Arrow(Box::new(writer), sink)
            }
            Format::Parquet => {
                let sink = Sink::default();
                let writer = parquet_writer(&answer, sink.clone()).map_err(unwritable)?;
                Writer::Parquet(Some(Box::new(writer)), sink)
            }
        };
        Ok(Self { answer, writer, written: 0, stage: Stage::Head })
    }

    /// The next bytes; `None` behind the last.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn piece(&mut self) -> Result<Option<Vec<u8>>, SqlError> {
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES && self.stage != Stage::Over {
            self.step(&mut piece)?;
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// Whether the last piece is out.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    fn step(&mut self, piece: &mut Vec<u8>) -> Result<(), SqlError> {
        let (written, stage) = match (self.stage, self.answer.batches.get(self.written)) {
            (Stage::Head, _) => (self.writer.head(&self.answer), Stage::Rows),
            (_, Some(batch)) => {
                let follows = self.answer.batches.iter().take(self.written).any(has_rows);
                self.written += 1;
                (self.writer.rows(batch, follows)?, Stage::Rows)
            }
            (_, None) => (self.writer.tail(&self.answer)?, Stage::Over),
        };
        self.stage = stage;
        piece.extend_from_slice(&written);
        Ok(())
    }
}

impl Writer {
    fn head(&self, answer: &Answer) -> Vec<u8> {
        match self {
            Self::Json(_) => json::head(answer).into_bytes(),
            Self::Csv { has_mark } => {
                let mark = if *has_mark { csv::MARK } else { "" };
                format!("{mark}{}", csv::head(&answer.schema)).into_bytes()
            }
            Self::Arrow(_, sink) | Self::Parquet(_, sink) => sink.take(),
        }
    }

    fn rows(&mut self, batch: &RecordBatch, follows: bool) -> Result<Vec<u8>, SqlError> {
        match self {
            Self::Json(shape) => Ok(json::rows(batch, *shape, follows).into_bytes()),
            Self::Csv { .. } => csv::rows(batch).map(String::into_bytes).map_err(unwritable),
            Self::Arrow(writer, sink) => {
                writer.write(batch).map_err(unwritable)?;
                Ok(sink.take())
            }
            Self::Parquet(writer, sink) => {
                if let Some(writer) = writer {
                    writer.write(batch).map_err(unwritable)?;
                }
                Ok(sink.take())
            }
        }
    }

    fn tail(&mut self, answer: &Answer) -> Result<Vec<u8>, SqlError> {
        match self {
            Self::Json(_) => Ok(json::tail(answer).into_bytes()),
            Self::Csv { .. } => Ok(Vec::new()),
            Self::Arrow(writer, sink) => {
                writer.finish().map_err(unwritable)?;
                Ok(sink.take())
            }
            Self::Parquet(writer, sink) => {
                if let Some(writer) = writer.take() {
                    writer.close().map_err(unwritable)?;
                }
                Ok(sink.take())
            }
        }
    }
}

fn has_rows(batch: &RecordBatch) -> bool {
    batch.num_rows() > 0
}

fn unwritable(error: impl std::fmt::Display) -> SqlError {
    SqlError::Run { message: error.to_string() }
}
