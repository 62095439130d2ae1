//! Recorded orders through a SQL script into the records of a stream.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use crossbeam_channel::{Receiver, Sender, bounded};

use super::build::decoder;
use super::job::{Emit, JobEvent, JobOptions, run_script_for};
use crate::decode::Columns;
use crate::model::Record;
use crate::results::json::write_row;
use crate::source::SourceError;
use crate::source::replay::ReplayRecord;
use crate::sql::stream_plan::RefusedRows;
use crate::sql::{StreamDefinition, StreamPlan};

/// Batches of mapped rows that wait to be written.
const WAITING_MAX: usize = 4;
/// Recorded rows mapped at a time.
const BATCH_RECORDS: usize = 8_192;

type Batch = Result<Vec<ReplayRecord>, SourceError>;

/// What is to be told while a recording is mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A recorded row that is not written, with its place and reason; the others are.
    DeadLetter(String),
    /// Bytes read of the recording, and all there are.
    Read(u64, u64),
}

/// The records of a script's `INSERT INTO stream SELECT …`, mapped on a thread of its own.
#[derive(Debug)]
pub struct MappedRecords {
    batches: Receiver<Batch>,
    current: std::vec::IntoIter<ReplayRecord>,
    thread: Option<JoinHandle<()>>,
}

impl MappedRecords {
    /// Begins to map. Mistakes of the script come as the first error of the records; `tell` is
    /// called on the mapping thread.
    #[must_use]
    pub fn start(
        script: PathBuf,
        text: String,
        stream: Arc<StreamPlan>,
        tell: impl FnMut(Told) + Send + 'static,
    ) -> Self {
        let (sender, batches) = bounded(WAITING_MAX);
        let thread = std::thread::spawn(move || map(&script, &text, &stream, (&sender, tell)));
        Self { batches, current: Vec::new().into_iter(), thread: Some(thread) }
    }
}

impl Iterator for MappedRecords {
    type Item = Result<ReplayRecord, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.current.next() {
                return Some(Ok(record));
            }
            match self.batches.recv() {
                Ok(Ok(batch)) => self.current = batch.into_iter(),
                Ok(Err(error)) => return Some(Err(error)),
                Err(_) => {
                    let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
                    return panicked.then(|| Err(failed("the mapping thread panicked".to_owned())));
                }
            }
        }
    }
}

fn failed(detail: String) -> SourceError {
    SourceError::Read { place: "the replay script".to_owned(), detail }
}

fn map(
    script: &std::path::Path,
    text: &str,
    stream: &Arc<StreamPlan>,
    (sender, mut tell): (&Sender<Batch>, impl FnMut(Told)),
) {
    let options =
        JobOptions { emit: Emit::Changes, batch_records: BATCH_RECORDS, ..JobOptions::default() };
    let mut problem = None;
    let outcome =
        run_script_for(
            script,
            text,
            &options,
            Some(&stream.definition),
            &mut |event| match event {
                JobEvent::Rows { rows, .. } if problem.is_none() => {
                    match records(stream, rows, &mut tell) {
                        Ok(batch) => {
                            // Nobody listens any more once playing has been stopped.
                            let _sent = sender.send(Ok(batch));
                        }
                        Err(error) => problem = Some(error),
                    }
                }
                JobEvent::DeadLetter(letter) => {
                    tell(Told::DeadLetter(format!("{}: {}", letter.position, letter.reason)));
                }
                JobEvent::Read { bytes: Some((read, all)) } => tell(Told::Read(read, all)),
                _ => {}
            },
        );
    let error = match (problem, outcome) {
        (Some(error), _) => Some(error),
        (None, Err(error)) => Some(failed(error.to_string())),
        (None, Ok(_)) => None,
    };
    if let Some(error) = error {
        let _sent = sender.send(Err(error));
    }
}

/// Rows as the JSON records of the stream, with key and event time as the stream will read them.
/// A row the stream would refuse is told and left out.
fn records(
    stream: &Arc<StreamPlan>,
    rows: &RecordBatch,
    tell: &mut impl FnMut(Told),
) -> Result<Vec<ReplayRecord>, SourceError> {
    let definition = &stream.definition;
    let named: Vec<Field> = stream
        .fields()
        .fields()
        .iter()
        .zip(rows.schema().fields())
        .map(|(target, own)| Field::new(target.name(), own.data_type().clone(), true))
        .collect();
    let arrow = |error: arrow::error::ArrowError| failed(error.to_string());
    let rows = RecordBatch::try_new(Arc::new(Schema::new(named)), rows.columns().to_vec())
        .map_err(arrow)?;
    let columns: Vec<usize> = (0..rows.num_columns()).collect();
    let mut decoder = decoder(stream, None);
    let mut decoded = Columns::new(Arc::clone(&stream.decoded)).map_err(arrow)?;
    let mut payloads = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let mut text = String::new();
        write_row(&mut text, &rows, &columns, row);
        let record = Record {
            partition: 0,
            offset: 0,
            // The log stamps it when it is written; here only fields and event time are looked at.
            timestamp_ms: Some(0),
            headers: &[],
            key: None,
            payload: text.as_bytes(),
        };
        match decoder.decode(&record, &mut decoded) {
            Ok(()) => payloads.push(text),
            Err(reason) => tell(refused(definition, &text, &reason.to_string())),
        }
    }
    let executing = |error: datafusion::common::DataFusionError| failed(error.strip_backtrace());
    let mut failing = RefusedRows::new();
    let complete =
        stream.complete(&decoded.take().map_err(arrow)?, &mut failing).map_err(executing)?;
    let times = stream.event_times(&complete).map_err(executing)?.unwrap_or_default();
    let keys = match definition.partition_key {
        Some(at) => Some(
            arrow::compute::cast(complete.column(at), &arrow::datatypes::DataType::Utf8)
                .map_err(arrow)?,
        ),
        None => None,
    };
    let mut all = Vec::with_capacity(payloads.len());
    for (row, payload) in payloads.into_iter().enumerate() {
        let time = times.get(row).copied().flatten();
        let Some(event_time_ms) = time.filter(|_| !failing.contains_key(&row)) else {
            let reason = failing.get(&row).map_or("it has no event time", String::as_str);
            tell(refused(definition, &payload, reason));
            continue;
        };
        let key = keys.as_ref().map_or(String::new(), |keys| {
            use arrow::array::{Array as _, AsArray as _};
            let keys = keys.as_string::<i32>();
            if keys.is_null(row) { String::new() } else { keys.value(row).to_owned() }
        });
        all.push(ReplayRecord {
            event_time_ms,
            key: key.into_bytes(),
            payload: payload.into_bytes(),
        });
    }
    Ok(all)
}

fn refused(definition: &StreamDefinition, text: &str, reason: &str) -> Told {
    Told::DeadLetter(format!("the stream {} would refuse {text}: {reason}", definition.name))
}
