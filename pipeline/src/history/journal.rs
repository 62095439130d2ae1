//! Rows of the history as bytes of a checkpoint: frames of a length and an Arrow stream.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

/// Name of the journal beside those of the life cycles; no table can have it.
pub const JOURNAL: &str = "@history";

/// Bytes of a frame before the rows: their length.
const LENGTH_BYTES: usize = 8;

/// The rows as bytes; several runs of bytes may follow one another.
pub(super) fn encode(batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = Vec::new();
    let Some(first) = batches.first() else { return Ok(bytes) };
    bytes.extend([0; LENGTH_BYTES]);
    let mut writer = StreamWriter::try_new(&mut bytes, &first.schema())?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    drop(writer);
    let length = u64::try_from(bytes.len() - LENGTH_BYTES).unwrap_or(u64::MAX).to_le_bytes();
    bytes.iter_mut().zip(length).for_each(|(byte, part)| *byte = part);
    Ok(bytes)
}

/// The rows that were encoded, run after run.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
    let torn = || ArrowError::ParseError("it ends within a row".to_owned());
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(torn)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| torn())?;
        let (frame, rest) = rest.split_at_checked(length).ok_or_else(torn)?;
        for batch in StreamReader::try_new(frame, None)? {
            batches.push(batch?);
        }
        bytes = rest;
    }
    Ok(batches)
}
