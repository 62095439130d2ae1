//! What a checkpoint holds and how it is written as bytes.
//!
//! Everything is of one cut: the offsets say which records are in the state, no more and no less.

mod logs;
mod streams;
mod views;

use std::collections::BTreeMap;

pub use logs::encode_logs;
use logs::{read_logs, read_logs_of_format_4};
pub use streams::{read_partition, read_sessions, write_partition, write_sessions};
use streams::{read_stream, write_stream};
pub use views::{read_slice_key, write_slice_key};
use views::{read_view, write_view};

use super::bytes::{Decoder, Encoder};
use super::dedup_files::KeyFiles;
use super::journal::JournalsAt;
use crate::admit::sequence::Sequences;
use crate::admit::{CountsByValue, RecordCounts};
use crate::lifecycle::Counts;
use crate::model::{Offset, PartitionId};
use crate::results::published::NewWindow;
use crate::windows::ViewCounts;
use crate::windows::fire::Base;
use crate::windows::session::SessionList;
use crate::windows::table::PartitionTable;

/// The fold of one view over one partition, apart from its state.
#[derive(Debug, Clone, Default)]
pub struct SavedFold {
    /// Its accounting since the first record.
    pub counts: ViewCounts,
    /// Its open sessions and the number of the next; `None` for a view without sessions.
    pub sessions: Option<(SessionList, i64)>,
    /// Where it began, if the log had been cut by then.
    pub since: Option<Since>,
    /// Rows of the other result space that came to it, counted at its door by the rows' own marks: 0, or
    /// spaces are mixed.
    pub foreign: u64,
    /// Why it was stopped, if it was; then it folds no more.
    pub failed: Option<String>,
}

/// The first record there was in a log that had been cut when it was first read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// Its offset.
    pub offset: Offset,
    /// Windows that begin before this may lack records that were cut away, epoch milliseconds;
    /// `None` before the first record that counts.
    pub time: Option<i64>,
}

/// One partition at a cut.
#[derive(Debug, Clone)]
pub struct SavedPartition {
    /// Offset of the next record; `None` for the first in the log.
    pub next_offset: Option<Offset>,
    /// Its watermark; `i64::MIN` before the first record.
    pub watermark: i64,
    /// Its accounting.
    pub counts: RecordCounts,
    /// Shadow records that were read before there was a shadow space, and are in none of its views.
    pub shadow_before: u64,
    /// When it was taken in, if the log did not have it at first; epoch milliseconds by the wall clock.
    pub added_at: Option<i64>,
    /// Its accounting by the value of the declared column; empty where none is declared.
    pub by_value: CountsByValue,
    /// Largest event time by stream: its own and those derived from it.
    pub as_of: BTreeMap<String, i64>,
    /// The views folded over it, by key.
    pub views: BTreeMap<String, SavedFold>,
    /// What became of the events of each life cycle, by name.
    pub operators: BTreeMap<String, Counts>,
}

impl Default for SavedPartition {
    fn default() -> Self {
        Self {
            next_offset: None,
            watermark: i64::MIN,
            counts: RecordCounts::default(),
            shadow_before: 0,
            added_at: None,
            by_value: CountsByValue::new(),
            as_of: BTreeMap::new(),
            views: BTreeMap::new(),
            operators: BTreeMap::new(),
        }
    }
}

/// One stream at a cut.
#[derive(Debug, Default)]
pub struct SavedStream {
    /// SHA-256 of its definition.
    pub hash: String,
    /// Its partitions.
    pub partitions: BTreeMap<PartitionId, SavedPartition>,
    /// Numbers of its sources' own sequences, of both spaces; empty in the shadow space.
    pub sequences: Sequences,
    /// Its dedup files.
    pub dedup: KeyFiles,
    /// The journals of its life cycles.
    pub journals: JournalsAt,
}

/// One view at a cut.
#[derive(Debug, Default)]
pub struct SavedView {
    /// Its name.
    pub name: String,
    /// SHA-256 of its definition.
    pub hash: String,
    /// The stream it reads.
    pub stream: String,
    /// Its state by partition.
    pub tables: BTreeMap<PartitionId, PartitionTable>,
    /// Its `CUMULATE` steps.
    pub bases: BTreeMap<i64, Base>,
    /// The rows shown.
    pub windows: Vec<NewWindow>,
    /// Why windows have no row.
    pub problems: BTreeMap<(i64, i64), String>,
    /// Why it was stopped and how many bytes of state it was allowed then; its state is gone, and its rows stay.
    pub stopped: Option<(String, u64)>,
}

/// Everything at one cut.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// Which store on disk has the dedup keys that are said to be there; `None` before format 5, when
    /// it was always the one beside the checkpoint.
    pub keys_id: Option<String>,
    /// Its streams by name.
    pub streams: BTreeMap<String, SavedStream>,
    /// Its views.
    pub views: Vec<SavedView>,
}

/// A stream as it is now, to be written without copying its state.
#[derive(Debug)]
pub struct StreamToSave<'a> {
    /// Its name.
    pub name: &'a str,
    /// SHA-256 of its definition.
    pub hash: &'a str,
    /// Its partitions.
    pub partitions: &'a BTreeMap<PartitionId, SavedPartition>,
    /// Numbers of its sources' own sequences; `None` for a stream without, and in the shadow space.
    pub sequences: Option<&'a Sequences>,
}

/// The logs of a stream beside a checkpoint.
#[derive(Debug)]
pub struct LogsToSave<'a> {
    /// The stream.
    pub stream: &'a str,
    /// Its dedup files.
    pub dedup: &'a KeyFiles,
    /// The journals of its life cycles.
    pub journals: &'a JournalsAt,
}

/// A view as it is now, to be written without copying its state.
#[derive(Debug)]
pub struct ViewToSave<'a> {
    /// Its name.
    pub name: &'a str,
    /// SHA-256 of its definition.
    pub hash: &'a str,
    /// The stream it reads.
    pub stream: &'a str,
    /// Its state by partition.
    pub tables: &'a BTreeMap<PartitionId, PartitionTable>,
    /// Its `CUMULATE` steps.
    pub bases: &'a BTreeMap<i64, Base>,
    /// The rows shown.
    pub windows: Vec<NewWindow>,
    /// Why windows have no row.
    pub problems: &'a BTreeMap<(i64, i64), String>,
    /// Why it was stopped, and how many bytes of state it was allowed.
    pub stopped: Option<(&'a str, u64)>,
}

/// Writes the state of a checkpoint as bytes; [`encode_logs`] ends it.
///
/// # Errors
/// When rows cannot be written as Arrow IPC.
pub fn encode(streams: &[StreamToSave<'_>], views: &[ViewToSave<'_>]) -> Result<Vec<u8>, String> {
    let mut out = Encoder::default();
    out.count(streams.len());
    for stream in streams {
        write_stream(&mut out, stream);
    }
    out.count(views.len());
    for view in views {
        write_view(&mut out, view)?;
    }
    Ok(out.bytes)
}

/// Reads a checkpoint of a format version.
///
/// # Errors
/// When the bytes are not those of [`encode`] and [`encode_logs`], or of format 4.
pub fn decode(version: u32, bytes: &[u8]) -> Result<Checkpoint, String> {
    Ok(decode_with_rest(version, bytes)?.0)
}

/// As [`decode`], with the bytes that stand behind the checkpoint.
///
/// # Errors
/// As there.
pub fn decode_with_rest(version: u32, bytes: &[u8]) -> Result<(Checkpoint, &[u8]), String> {
    let mut from = Decoder::new(bytes);
    let mut checkpoint = Checkpoint::default();
    for _ in 0..from.count()? {
        let name = from.text()?;
        let mut stream = read_stream(&mut from, version)?;
        if version == 4 {
            read_logs_of_format_4(&mut from, &name, &mut stream)?;
        }
        checkpoint.streams.insert(name, stream);
    }
    for _ in 0..from.count()? {
        checkpoint.views.push(read_view(&mut from, version)?);
    }
    if version > 4 {
        read_logs(&mut from, &mut checkpoint)?;
    }
    Ok((checkpoint, from.rest()))
}

/// The format that is written.
pub const VERSION: u32 = 9;
/// The format since which there is a shadow space. Before it, shadow records were only counted; those that
/// were read by then are in no shadow view.
const SPACES_SINCE: u32 = 6;
/// The format since which the numbers of the sources' own sequences are kept. Before it none were counted.
const SEQUENCES_SINCE: u32 = 7;
/// The format since which it is known why a view or a window has no row. Before it a view that was stopped was not
/// saved at all.
const FAILURES_SINCE: u32 = 9;

fn partition_id(from: &mut Decoder<'_>) -> Result<PartitionId, String> {
    PartitionId::try_from(from.u64()?).map_err(|error| error.to_string())
}
