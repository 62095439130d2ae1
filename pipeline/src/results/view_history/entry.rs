//! An entry as bytes: what a view was told to have changed, its rows in Arrow's own form without their schema.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes to which Arrow fills up its buffers.
const ALIGNMENT_BYTES: usize = 8;
/// Bytes before the head: its length.
const LENGTH_BYTES: usize = 4;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// All rows: the first look at a view in one life of the publisher, or after too much had changed to tell.
    Begin,
    /// The rows that changed or went.
    Change,
    /// All rows again, so that a segment has an end.
    Whole,
}

impl Kind {
    const ALL: [(u8, Self); 3] = [(0, Self::Begin), (1, Self::Change), (2, Self::Whole)];

    fn number(self) -> u8 {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or(0, |(number, _)| *number)
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == number).map(|(_, kind)| *kind)
    }

    /// Whether a segment can begin with it.
    pub(super) fn begins(self) -> bool {
        self != Self::Change
    }
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) view: String,
    /// Epoch milliseconds.
    pub(super) at: i64,
    pub(super) kind: Kind,
}

/// Makes times that are less than zero come before the others as bytes.
const SIGN: u64 = 1 << 63;

impl Place {
    /// Its key: views by name, entries by time.
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = prefix(&self.view);
        key.extend((u64::from_le_bytes(self.at.to_le_bytes()) ^ SIGN).to_be_bytes());
        key.push(self.kind.number());
        key
    }

    /// The place of a key.
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        let (rest, kind) = key.split_last_chunk::<1>()?;
        let (rest, at) = rest.split_last_chunk::<8>()?;
        let (end, view) = rest.split_last()?;
        let at = i64::from_le_bytes((u64::from_be_bytes(*at) ^ SIGN).to_le_bytes());
        let view = String::from_utf8(view.to_vec()).ok().filter(|_| *end == 0)?;
        Some(Self { view, at, kind: Kind::of(kind[0])? })
    }
}

/// What the keys of a view begin with; no name has a zero in it.
pub(super) fn prefix(view: &str) -> Vec<u8> {
    let mut prefix = view.as_bytes().to_vec();
    prefix.push(0);
    prefix
}

/// What an entry says beside its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    /// The life of the publisher in which `cut` counts.
    pub epoch: String,
    /// The cut that was looked at.
    pub cut: u64,
    /// Largest accepted event time of the view's streams, epoch milliseconds.
    pub as_of: Option<i64>,
    /// Their watermark, epoch milliseconds.
    pub watermark: Option<i64>,
    /// The view is no more.
    #[serde(default)]
    pub is_gone: bool,
    /// Keys of the rows that went, each a JSON object.
    #[serde(default)]
    pub deleted: Vec<String>,
    /// Key of each row of the entry, each a JSON object.
    pub keys: Vec<String>,
    /// Names the schema of its rows.
    pub schema: u64,
}

/// An entry with its rows.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) told: Told,
    /// As many rows as there are keys.
    pub(super) rows: RecordBatch,
}

/// A schema as the head of an Arrow stream, and its name.
pub(super) fn schema_bytes(schema: &SchemaRef) -> Result<(u64, Vec<u8>), ArrowError> {
    let writer = writer(schema)?;
    let bytes = writer.get_ref().clone();
    Ok((xxh3_64(&bytes), bytes))
}

fn writer(schema: &SchemaRef) -> Result<StreamWriter<Vec<u8>>, ArrowError> {
    let options = IpcWriteOptions::try_new(ALIGNMENT_BYTES, false, MetadataVersion::V5)?;
    StreamWriter::try_new_with_options(Vec::new(), schema, options)
}

impl Entry {
    /// The entry as bytes. Its schema is told by name only.
    ///
    /// # Errors
    /// When rows cannot be written.
    pub(super) fn encode(&self) -> Result<Vec<u8>, ArrowError> {
        let head = serde_json::to_vec(&self.told)
            .map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
        let length = u32::try_from(head.len())
            .map_err(|_| ArrowError::InvalidArgumentError("too many keys".to_owned()))?;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(head);
        let mut writer = writer(&self.rows.schema())?;
        let begins = writer.get_ref().len();
        writer.write(&self.rows)?;
        bytes.extend_from_slice(writer.into_inner()?.get(begins..).unwrap_or_default());
        Ok(bytes)
    }

    /// What an entry says, and its rows as bytes.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(super) fn told(bytes: &[u8]) -> Result<(Told, &[u8]), String> {
        let torn = || "it ends too soon".to_owned();
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(torn)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| torn())?;
        let (head, rows) = rest.split_at_checked(length).ok_or_else(torn)?;
        let told = serde_json::from_slice(head).map_err(|error| error.to_string())?;
        Ok((told, rows))
    }

    /// The entry of these bytes; `schema` are those of [`schema_bytes`].
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(super) fn decode(told: Told, rows: &[u8], schema: &[u8]) -> Result<Self, String> {
        let stream = [schema, rows].concat();
        let mut reader =
            StreamReader::try_new(Cursor::new(stream), None).map_err(|error| error.to_string())?;
        let rows = reader.next().ok_or("it has no rows")?.map_err(|error| error.to_string())?;
        match rows.num_rows() == told.keys.len() {
            true => Ok(Self { told, rows }),
            false => Err("its keys are not those of its rows".to_owned()),
        }
    }
}
