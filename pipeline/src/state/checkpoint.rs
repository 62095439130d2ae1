//! What a checkpoint holds and how it is written as bytes.
//!
//! Everything is of one cut: the offsets say which records are in the state, no more and no less.

use std::collections::BTreeMap;

use super::bytes::{Decoder, Encoder};
use crate::admit::RecordCounts;
use crate::model::{Offset, PartitionId};
use crate::results::Mark;
use crate::results::published::NewWindow;
use crate::windows::fire::Base;
use crate::windows::session::{Session, SessionList};
use crate::windows::table::{PartitionTable, Slice};
use crate::windows::{SliceKey, ViewCounts};

/// One partition at a cut.
#[derive(Debug, Clone, Default)]
pub struct SavedPartition {
    /// Offset of the next record.
    pub next_offset: Option<Offset>,
    /// Its watermark.
    pub watermark: i64,
    /// Its largest accepted event time.
    pub as_of: Option<i64>,
    /// Its accounting.
    pub counts: RecordCounts,
    /// Accounting and open sessions of each view, in the order of the views.
    pub views: Vec<(ViewCounts, Option<(SessionList, i64)>)>,
}

/// One view at a cut.
#[derive(Debug, Default)]
pub struct SavedView {
    /// Its name.
    pub name: String,
    /// SHA-256 of its definition.
    pub hash: String,
    /// Its state by partition.
    pub tables: BTreeMap<PartitionId, PartitionTable>,
    /// Its `CUMULATE` steps.
    pub bases: BTreeMap<i64, Base>,
    /// The rows shown.
    pub windows: Vec<NewWindow>,
}

/// Length of a dedup file up to which its keys belong to the checkpoint, by partition and hour.
pub type DedupLengths = BTreeMap<(PartitionId, i64), u64>;

/// Everything at one cut.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// The stream.
    pub stream: String,
    /// Its partitions.
    pub partitions: BTreeMap<PartitionId, SavedPartition>,
    /// Its views.
    pub views: Vec<SavedView>,
    /// Its dedup files.
    pub dedup: DedupLengths,
}

/// A view as it is now, to be written without copying its state.
#[derive(Debug)]
pub struct ViewToSave<'a> {
    /// Its name.
    pub name: &'a str,
    /// SHA-256 of its definition.
    pub hash: &'a str,
    /// Its state by partition.
    pub tables: &'a BTreeMap<PartitionId, PartitionTable>,
    /// Its `CUMULATE` steps.
    pub bases: &'a BTreeMap<i64, Base>,
    /// The rows shown.
    pub windows: Vec<NewWindow>,
}

/// Writes a checkpoint as bytes.
///
/// # Errors
/// When rows cannot be written as Arrow IPC.
pub fn encode(
    stream: &str,
    partitions: &BTreeMap<PartitionId, SavedPartition>,
    views: &[ViewToSave<'_>],
    dedup: &DedupLengths,
) -> Result<Vec<u8>, String> {
    let mut out = Encoder::default();
    out.bytes(stream.as_bytes());
    out.count(partitions.len());
    for (number, partition) in partitions {
        out.u64(u64::from(*number));
        write_partition(&mut out, partition);
    }
    out.count(views.len());
    for view in views {
        write_view(&mut out, view)?;
    }
    out.count(dedup.len());
    for ((partition, hour), length) in dedup {
        out.u64(u64::from(*partition));
        out.i64(*hour);
        out.u64(*length);
    }
    Ok(out.bytes)
}

/// Reads a checkpoint.
///
/// # Errors
/// When the bytes are not those of [`encode`].
pub fn decode(bytes: &[u8]) -> Result<Checkpoint, String> {
    let mut from = Decoder::new(bytes);
    let mut checkpoint = Checkpoint { stream: from.text()?, ..Checkpoint::default() };
    for _ in 0..from.count()? {
        let number = partition_id(&mut from)?;
        checkpoint.partitions.insert(number, read_partition(&mut from)?);
    }
    for _ in 0..from.count()? {
        checkpoint.views.push(read_view(&mut from)?);
    }
    for _ in 0..from.count()? {
        let key = (partition_id(&mut from)?, from.i64()?);
        checkpoint.dedup.insert(key, from.u64()?);
    }
    Ok(checkpoint)
}

fn partition_id(from: &mut Decoder<'_>) -> Result<PartitionId, String> {
    PartitionId::try_from(from.u64()?).map_err(|error| error.to_string())
}

fn write_partition(out: &mut Encoder, partition: &SavedPartition) {
    out.optional(partition.next_offset);
    out.i64(partition.watermark);
    out.optional(partition.as_of);
    let counts = &partition.counts;
    for count in
        [counts.read, counts.accepted, counts.duplicate, counts.rejected, counts.shadow, counts.control]
    {
        out.u64(count);
    }
    out.count(partition.views.len());
    for (counts, sessions) in &partition.views {
        for count in [counts.accepted, counts.counted, counts.filtered, counts.late] {
            out.u64(count);
        }
        out.optional(sessions.as_ref().map(|(_, next)| *next));
        if let Some((sessions, _)) = sessions {
            write_sessions(out, sessions);
        }
    }
}

fn read_partition(from: &mut Decoder<'_>) -> Result<SavedPartition, String> {
    let mut partition = SavedPartition {
        next_offset: from.optional()?,
        watermark: from.i64()?,
        as_of: from.optional()?,
        ..SavedPartition::default()
    };
    partition.counts = RecordCounts {
        read: from.u64()?,
        accepted: from.u64()?,
        duplicate: from.u64()?,
        rejected: from.u64()?,
        shadow: from.u64()?,
        control: from.u64()?,
    };
    for _ in 0..from.count()? {
        let counts = ViewCounts {
            accepted: from.u64()?,
            counted: from.u64()?,
            filtered: from.u64()?,
            late: from.u64()?,
        };
        let sessions = match from.optional()? {
            Some(next) => Some((read_sessions(from)?, next)),
            None => None,
        };
        partition.views.push((counts, sessions));
    }
    Ok(partition)
}

fn write_sessions(out: &mut Encoder, sessions: &SessionList) {
    out.count(sessions.len());
    for (key, session) in sessions {
        out.bytes(key);
        out.i64(session.start);
        out.i64(session.end);
        out.count(session.slices.len());
        session.slices.iter().for_each(|slice| out.i64(*slice));
    }
}

fn read_sessions(from: &mut Decoder<'_>) -> Result<SessionList, String> {
    let mut all = Vec::new();
    for _ in 0..from.count()? {
        let key = from.bytes()?.into();
        let (start, end) = (from.i64()?, from.i64()?);
        let slices = (0..from.count()?).map(|_| from.i64()).collect::<Result<_, _>>()?;
        all.push((key, Session { start, end, slices }));
    }
    Ok(all)
}

fn write_view(out: &mut Encoder, view: &ViewToSave<'_>) -> Result<(), String> {
    out.bytes(view.name.as_bytes());
    out.bytes(view.hash.as_bytes());
    out.count(view.tables.len());
    for (partition, table) in view.tables {
        out.u64(u64::from(*partition));
        write_table(out, table)?;
    }
    out.count(view.bases.len());
    for (start, base) in view.bases {
        out.i64(*start);
        out.i64(base.next_end);
        out.optional(base.shown);
    }
    out.count(view.windows.len());
    for window in &view.windows {
        out.i64(window.window.0);
        out.i64(window.window.1);
        out.bytes(window.mark.as_str().as_bytes());
        out.u64(window.revision);
        out.rows(&window.rows)?;
    }
    Ok(())
}

fn read_view(from: &mut Decoder<'_>) -> Result<SavedView, String> {
    let mut view = SavedView { name: from.text()?, hash: from.text()?, ..SavedView::default() };
    for _ in 0..from.count()? {
        let partition = partition_id(from)?;
        view.tables.insert(partition, read_table(from)?);
    }
    for _ in 0..from.count()? {
        let start = from.i64()?;
        let base = Base { next_end: from.i64()?, shown: from.optional()?, ..Base::default() };
        view.bases.insert(start, base);
    }
    for _ in 0..from.count()? {
        let window = (from.i64()?, from.i64()?);
        let mark = match from.text()?.as_str() {
            "final" => Mark::Final,
            "settled" => Mark::Settled,
            "provisional" => Mark::Provisional,
            other => return Err(format!("'{other}' is no mark")),
        };
        let revision = from.u64()?;
        view.windows.push(NewWindow { window, mark, revision, rows: from.rows()? });
    }
    Ok(view)
}

fn write_table(out: &mut Encoder, table: &PartitionTable) -> Result<(), String> {
    out.count(table.slices.len());
    for (key, slice) in &table.slices {
        write_slice_key(out, *key);
        write_slice(out, slice);
    }
    out.count(table.prefixes.len());
    for (start, slice) in &table.prefixes {
        out.i64(*start);
        write_slice(out, slice);
    }
    out.count(table.rows.len());
    for (key, batches) in &table.rows {
        write_slice_key(out, *key);
        out.count(batches.len());
        for rows in batches {
            out.rows(rows)?;
        }
    }
    write_sessions(out, &table.sessions);
    out.count(table.revised.len());
    for (key, count) in &table.revised {
        write_slice_key(out, *key);
        out.u64(*count);
    }
    Ok(())
}

fn read_table(from: &mut Decoder<'_>) -> Result<PartitionTable, String> {
    let mut table = PartitionTable::default();
    for _ in 0..from.count()? {
        let key = read_slice_key(from)?;
        table.slices.insert(key, read_slice(from)?);
    }
    for _ in 0..from.count()? {
        let start = from.i64()?;
        table.prefixes.insert(start, read_slice(from)?);
    }
    for _ in 0..from.count()? {
        let key = read_slice_key(from)?;
        let batches = (0..from.count()?).map(|_| from.rows()).collect::<Result<_, _>>()?;
        table.rows.insert(key, batches);
    }
    table.sessions = read_sessions(from)?;
    for _ in 0..from.count()? {
        let key = read_slice_key(from)?;
        table.revised.insert(key, from.u64()?);
    }
    Ok(table)
}

fn write_slice_key(out: &mut Encoder, key: SliceKey) {
    out.i64(key.start);
    out.i64(key.open_from);
    out.i64(key.passed);
}

fn read_slice_key(from: &mut Decoder<'_>) -> Result<SliceKey, String> {
    Ok(SliceKey { start: from.i64()?, open_from: from.i64()?, passed: from.i64()? })
}

fn write_slice(out: &mut Encoder, slice: &Slice) {
    out.count(slice.len());
    for (key, state) in slice {
        out.bytes(key);
        out.bytes(state);
    }
}

fn read_slice(from: &mut Decoder<'_>) -> Result<Slice, String> {
    (0..from.count()?).map(|_| Ok((from.bytes()?.into(), from.bytes()?.into()))).collect()
}
