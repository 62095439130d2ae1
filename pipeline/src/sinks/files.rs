//! `INSERT INTO` a table of the connector `filesystem`: JSON lines, CSV or Parquet.
//!
//! The file is written aside and renamed when it is whole, so that a reader never sees half of it. The first
//! statement of a script that writes a file begins it anew, and each later one adds its rows.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use crate::results::json::write_row;
use crate::sql::StreamDefinition;

/// Why a sink cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The table cannot be written to.
    #[error("INSERT INTO {table}: {detail}")]
    BadTable {
        /// The table.
        table: String,
        /// What is missing or wrong.
        detail: String,
    },
    /// The file cannot be written.
    #[error("writing {} failed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The rows do not fit the table.
    #[error("INSERT INTO {table}: {source}")]
    Rows {
        /// The table.
        table: String,
        /// Arrow's reason.
        source: ArrowError,
    },
    /// The Parquet file cannot be written.
    #[error("INSERT INTO {table}: {source}")]
    Parquet {
        /// The table.
        table: String,
        /// The reason.
        source: ParquetError,
    },
}

enum Writer {
    Lines(BufWriter<File>),
    Csv(Box<arrow::csv::Writer<BufWriter<File>>>),
    Parquet(Box<ArrowWriter<File>>),
}

/// A file being written.
pub struct FileSink {
    table: String,
    path: PathBuf,
    aside: Aside,
    schema: SchemaRef,
    writer: Writer,
}

/// Where a file is written until it is whole; taken away with what is in it where it never is.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // After the rename there is none, and one that cannot be removed is told apart by its name.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl FileSink {
    /// Begins the file of a table; `continues` where the rows that are in it stay before the new ones.
    ///
    /// # Errors
    /// When the table is no file, the file cannot be made, or what is in it cannot be read.
    pub fn create(definition: &StreamDefinition, continues: bool) -> Result<Self, SinkError> {
        let table = definition.name.clone();
        let bad =
            |detail: &str| SinkError::BadTable { table: table.clone(), detail: detail.to_owned() };
        if definition.connector != "filesystem" {
            return Err(bad("only the connector 'filesystem' can be written to"));
        }
        let path =
            definition.options.get("path").ok_or_else(|| bad("the option 'path' is missing"))?;
        let path = PathBuf::from(path);
        let aside = with_suffix(&path, ".partial");
        let io = |source| SinkError::Io { path: aside.clone(), source };
        let mut file = File::create(&aside).map_err(io)?;
        let aside_file = aside.clone();
        let aside = Aside(aside);
        let is_text = definition.format != "parquet";
        let mut is_begun = false;
        if continues && is_text {
            let read = |source| SinkError::Io { path: path.clone(), source };
            let io = |source| SinkError::Io { path: aside_file, source };
            let mut old = File::open(&path).map_err(read)?;
            is_begun = std::io::copy(&mut old, &mut file).map_err(io)? > 0;
        }
        let schema = definition.schema();
        let writer = match definition.format.as_str() {
            "csv" => {
                let header =
                    definition.options.get("csv.header").is_some_and(|text| text == "true");
                let builder = WriterBuilder::new().with_header(header && !is_begun);
                Writer::Csv(Box::new(builder.build(BufWriter::new(file))))
            }
            "parquet" => Writer::Parquet(Box::new(
                ArrowWriter::try_new(file, Arc::clone(&schema), None)
                    .map_err(|source| SinkError::Parquet { table: table.clone(), source })?,
            )),
            _ => Writer::Lines(BufWriter::new(file)),
        };
        let mut sink = Self { table, path, aside, schema, writer };
        if continues && !is_text {
            sink.copy_parquet()?;
        }
        Ok(sink)
    }

    /// Writes the rows that are in the file again: a Parquet file has its index at its end.
    fn copy_parquet(&mut self) -> Result<(), SinkError> {
        let io = |source| SinkError::Io { path: self.path.clone(), source };
        let parquet = |source| SinkError::Parquet { table: self.table.clone(), source };
        let old = File::open(&self.path).map_err(io)?;
        let rows = ParquetRecordBatchReaderBuilder::try_new(old)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(parquet)?;
        for rows in rows {
            let rows =
                rows.map_err(|source| SinkError::Rows { table: self.table.clone(), source })?;
            self.write(&rows)?;
        }
        Ok(())
    }

    /// Checks that a query's columns fit the table.
    ///
    /// # Errors
    /// When their number differs, or a column of the table would hold less than the query says: fewer digits behind the
    /// point, a float for a decimal, or a number for a text.
    pub fn expect(&self, columns: &SchemaRef) -> Result<(), SinkError> {
        let (has, wants) = (columns.fields().len(), self.schema.fields().len());
        let bad = |detail| Err(SinkError::BadTable { table: self.table.clone(), detail });
        if has != wants {
            return bad(format!("the query has {has} columns, the table {wants}"));
        }
        for (from, to) in columns.fields().iter().zip(self.schema.fields()) {
            if loses(from.data_type(), to.data_type()) {
                let (from_type, to_type) = (from.data_type(), to.data_type());
                return bad(format!(
                    "column {} is {to_type} and would cut what the query says ({}, {from_type}); declare it as wide, or \
                     CAST in the query",
                    to.name(),
                    from.name()
                ));
            }
        }
        Ok(())
    }

    /// Appends rows, each column cast to the table's type.
    ///
    /// # Errors
    /// When a value does not fit or the file cannot be written.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let bad = |source| SinkError::Rows { table: self.table.clone(), source };
        let columns = rows.columns().iter().zip(self.schema.fields());
        let columns = columns
            .map(|(column, field)| strict(column, field.data_type()))
            .collect::<Result<_, _>>()
            .map_err(bad)?;
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(bad)?;
        match &mut self.writer {
            Writer::Lines(file) => {
                let all: Vec<usize> = (0..rows.num_columns()).collect();
                let mut text = String::new();
                for row in 0..rows.num_rows() {
                    write_row(&mut text, &rows, &all, row);
                    text.push('\n');
                }
                file.write_all(text.as_bytes())
                    .map_err(|source| SinkError::Io { path: self.aside.0.clone(), source })
            }
            Writer::Csv(writer) => writer.write(&rows).map_err(bad),
            Writer::Parquet(writer) => writer
                .write(&rows)
                .map_err(|source| SinkError::Parquet { table: self.table.clone(), source }),
        }
    }

    /// Ends the file and puts it in its place.
    ///
    /// # Errors
    /// When it cannot be written out or renamed.
    pub fn finish(self) -> Result<(), SinkError> {
        let Self { table, path, aside, writer, .. } = self;
        let io = |source| SinkError::Io { path: aside.0.clone(), source };
        let file = match writer {
            Writer::Lines(file) => Some(file),
            Writer::Csv(writer) => Some(writer.into_inner()),
            Writer::Parquet(writer) => {
                writer.close().map_err(|source| SinkError::Parquet { table, source })?;
                None
            }
        };
        if let Some(file) = file {
            let file = file.into_inner().map_err(|error| io(error.into_error()))?;
            file.sync_all().map_err(io)?;
        }
        std::fs::rename(&aside.0, &path).map_err(io)
    }
}

/// A value that does not fit is an error and not NULL.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// A column as one of another type. A time without a zone is the instant that it is in UTC.
fn strict(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (column.data_type(), to) {
        (DataType::Timestamp(unit, None), DataType::Timestamp(_, Some(_))) => {
            let utc = DataType::Timestamp(*unit, Some(Arc::from("UTC")));
            cast_with_options(&cast_with_options(column, &utc, &STRICT)?, to, &STRICT)
        }
        _ => cast_with_options(column, to, &STRICT),
    }
}

/// Whether numbers of one type may be others in another, though each has its place there.
fn loses(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => from > to,
        (DataType::Decimal128(_, scale), to) if to.is_integer() => *scale > 0,
        (DataType::Decimal128(..) | DataType::Int64 | DataType::UInt64, to) => to.is_floating(),
        (DataType::Float64, DataType::Float32) => true,
        (from, to) if from.is_floating() => to.is_integer() || to.is_decimal(),
        // 1.005 as text would be 1.01 in two digits; Flink asks for a CAST too.
        (from, to) if from.is_string() => to.is_numeric(),
        _ => false,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
