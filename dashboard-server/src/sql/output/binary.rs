//! An answer as Arrow IPC or Parquet; the metadata of either holds its papers.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::KeyValue;
use datafusion::parquet::file::properties::WriterProperties;
use parking_lot::Mutex;

use super::Answer;

/// Rows of a Parquet row group, and so what is held before a piece of the file goes out.
const GROUP_ROWS: usize = 65_536;

/// Takes what a writer writes, until someone takes it out.
#[derive(Debug, Clone, Default)]
pub(super) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    /// What was written since the last time.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer of an Arrow IPC stream.
///
/// # Errors
/// When a column has a type that Arrow IPC cannot carry.
pub(super) fn arrow_writer(answer: &Answer, sink: Sink) -> Result<StreamWriter<Sink>, ArrowError> {
    StreamWriter::try_new(sink, &with_papers(answer))
}

/// A writer of a Parquet file.
///
/// # Errors
/// When a column has a type that Parquet does not know.
pub(super) fn parquet_writer(
    answer: &Answer,
    sink: Sink,
) -> Result<ArrowWriter<Sink>, ParquetError> {
    let mut papers: Vec<KeyValue> = answer
        .papers()
        .into_iter()
        .map(|(name, value)| KeyValue::new(format!("tidemark.{name}"), value))
        .collect();
    papers.sort_by(|left, right| left.key.cmp(&right.key));
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_key_value_metadata(Some(papers))
        .build();
    ArrowWriter::try_new(sink, SchemaRef::clone(&answer.schema), Some(properties))
}

fn with_papers(answer: &Answer) -> Schema {
    let mut metadata = answer.schema.metadata().clone();
    metadata.extend(answer.papers());
    answer.schema.as_ref().clone().with_metadata(metadata)
}
