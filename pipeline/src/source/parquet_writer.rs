//! Generated or replayed records as a Parquet file with the stream's own columns.
//!
//! A file has no partitions, no watermarks and no log timestamps: control records are left out, and
//! the end of the file closes the day. What the columns cannot hold (a broken record) is left out
//! and counted. The file appears under its name only when it is finished.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::SourceError;
use super::writer::{LogWriter, NewRecord};
use crate::model::record::WATERMARK_HEADER;

/// Records turned to columns at a time.
const BATCH_RECORDS: usize = 8_192;

/// Writes the JSON payloads of records to one Parquet file.
pub struct ParquetFileWriter {
    path: PathBuf,
    origin: String,
    schema: SchemaRef,
    file: Option<ArrowWriter<File>>,
    /// Payloads that wait, one after another, and where each ends.
    payloads: Vec<u8>,
    ends: Vec<usize>,
    left_out: u64,
}

impl ParquetFileWriter {
    /// Begins a file with these columns; decimals are taken from the JSON digit by digit.
    ///
    /// # Errors
    /// [`SourceError::Write`] when the file cannot be made.
    pub fn create(path: &Path, schema: SchemaRef) -> Result<Self, SourceError> {
        let origin = path.display().to_string();
        let unwritten = |detail: String| SourceError::Write { place: origin.clone(), detail };
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let file = File::create(part(path)).map_err(|error| unwritten(error.to_string()))?;
        let file = ArrowWriter::try_new(file, SchemaRef::clone(&schema), Some(properties))
            .map_err(|error| unwritten(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            origin,
            schema,
            file: Some(file),
            payloads: Vec::new(),
            ends: Vec::new(),
            left_out: 0,
        })
    }

    /// Writes what waits and the file's end, and gives it its name. Later writes are refused.
    ///
    /// # Errors
    /// [`SourceError::Write`] when the disk refuses.
    pub fn finish(&mut self) -> Result<(), SourceError> {
        self.write_batch()?;
        let Some(writer) = self.file.take() else { return Ok(()) };
        let file = writer.into_inner().map_err(|error| self.unwritten(&error))?;
        let done = file.sync_all().and_then(|()| std::fs::rename(part(&self.path), &self.path));
        done.map_err(|error| self.unwritten(&error))
    }

    /// Records left out because the columns could not hold them.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn write_batch(&mut self) -> Result<(), SourceError> {
        let ends = std::mem::take(&mut self.ends);
        let payloads = std::mem::take(&mut self.payloads);
        match decode(&self.schema, &payloads) {
            Ok(batches) => batches.iter().try_for_each(|batch| self.write_rows(batch))?,
            // One broken record spoils its batch, so they are taken one by one.
            Err(_) => {
                let starts = std::iter::once(0).chain(ends.iter().copied());
                for (start, end) in std::iter::zip(starts, &ends) {
                    let payload = payloads.get(start..*end).unwrap_or_default();
                    match decode(&self.schema, payload) {
                        Ok(batches) => {
                            batches.iter().try_for_each(|batch| self.write_rows(batch))?
                        }
                        Err(_) => self.left_out += 1,
                    }
                }
            }
        }
        Ok(())
    }

    fn write_rows(&mut self, batch: &RecordBatch) -> Result<(), SourceError> {
        let written = self.file.as_mut().map(|file| file.write(batch));
        match written {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(self.unwritten(&error)),
            None => Err(SourceError::Write {
                place: self.origin.clone(),
                detail: "the file is finished".to_owned(),
            }),
        }
    }

    fn unwritten(&self, error: &dyn std::error::Error) -> SourceError {
        SourceError::Write { place: self.origin.clone(), detail: error.to_string() }
    }
}

impl LogWriter for ParquetFileWriter {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn write(&mut self, record: &NewRecord<'_>) -> Result<(), SourceError> {
        if record.headers.iter().any(|(name, _)| *name == WATERMARK_HEADER) {
            return Ok(());
        }
        self.payloads.extend_from_slice(record.payload);
        self.payloads.push(b'\n');
        self.ends.push(self.payloads.len());
        if self.ends.len() >= BATCH_RECORDS { self.write_batch() } else { Ok(()) }
    }

    /// Hands on what waits; a Parquet file is durable only once it is finished.
    fn flush(&mut self) -> Result<(), SourceError> {
        self.write_batch()
    }
}

/// The name while the file is being written.
fn part(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

fn decode(schema: &SchemaRef, payloads: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
    let reader = ReaderBuilder::new(SchemaRef::clone(schema)).with_batch_size(BATCH_RECORDS);
    reader.build(payloads)?.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    use super::*;
    use crate::model::EventTime;
    use crate::source::Source as _;
    use crate::source::files::{FileFormat, FilesOptions, FilesSource, RECORD_BYTES_MAX};

    #[test]
    fn orders_come_back_to_the_fen_and_broken_ones_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orders.parquet");
        let time = DataType::Timestamp(TimeUnit::Millisecond, Some("+08:00".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("amount", DataType::Decimal128(18, 2), true),
            Field::new("at", time, true),
        ]));
        let mut writer = ParquetFileWriter::create(&path, schema).unwrap();
        let write = |writer: &mut ParquetFileWriter, payload: &str| {
            let payload = payload.as_bytes();
            let record =
                NewRecord { partition: None, key: None, timestamp_ms: 0, headers: &[], payload };
            writer.write(&record).unwrap();
        };
        write(&mut writer, r#"{"id":"a","amount":90071992547409.93,"other":1}"#);
        write(&mut writer, r#"{"id":"b","amount":"free"}"#);
        write(&mut writer, r#"{"id":"c","am"#);
        write(&mut writer, r#"{"id":"d","at":"2020-11-11T00:00:00.123+08:00"}"#);
        writer.close(crate::model::Space::Live, EventTime(1), 1).unwrap();
        assert!(!path.exists(), "not before it is finished");
        writer.finish().unwrap();
        assert_eq!(writer.left_out(), 2);

        let path = path.to_str().unwrap().to_owned();
        let record_bytes_max = RECORD_BYTES_MAX;
        let options = FilesOptions { path, format: FileFormat::Parquet, record_bytes_max };
        let mut reader = FilesSource::open(&options).unwrap().open(0, None).unwrap();
        let mut seen = Vec::new();
        let mut visit = |r: crate::model::Record<'_>| {
            seen.push(String::from_utf8_lossy(r.payload).into_owned());
        };
        while !reader.read(10, std::time::Duration::ZERO, &mut visit).unwrap().ended {}
        let expected = [
            r#"{"id":"a","amount":90071992547409.93}"#,
            r#"{"id":"d","at":"2020-11-11T00:00:00.123+08:00"}"#,
        ];
        assert_eq!(seen, expected);
    }
}
