//! Views as bytes: their state by partition and the rows shown.

use super::streams::{read_sessions, write_sessions};
use super::{FAILURES_SINCE, SavedView, ViewToSave, partition_id};
use crate::results::Mark;
use crate::results::published::NewWindow;
use crate::state::bytes::{Decoder, Encoder};
use crate::windows::SliceKey;
use crate::windows::fire::Base;
use crate::windows::table::{PartitionTable, Slice};

pub(super) fn write_view(out: &mut Encoder, view: &ViewToSave<'_>) -> Result<(), String> {
    out.bytes(view.name.as_bytes());
    out.bytes(view.hash.as_bytes());
    out.bytes(view.stream.as_bytes());
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
    out.count(view.problems.len());
    for ((start, end), reason) in view.problems {
        out.i64(*start);
        out.i64(*end);
        out.bytes(reason.as_bytes());
    }
    let (reason, bytes_max) = view.stopped.unwrap_or(("", 0));
    out.bytes(reason.as_bytes());
    out.u64(bytes_max);
    Ok(())
}

pub(super) fn read_view(from: &mut Decoder<'_>, version: u32) -> Result<SavedView, String> {
    let mut view = SavedView {
        name: from.text()?,
        hash: from.text()?,
        stream: from.text()?,
        ..SavedView::default()
    };
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
    if version >= FAILURES_SINCE {
        for _ in 0..from.count()? {
            let window = (from.i64()?, from.i64()?);
            view.problems.insert(window, from.text()?);
        }
        let (reason, bytes_max) = (from.text()?, from.u64()?);
        view.stopped = (!reason.is_empty()).then_some((reason, bytes_max));
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

/// Writes the name of a slice.
pub fn write_slice_key(out: &mut Encoder, key: SliceKey) {
    out.i64(key.start);
    out.i64(key.open_from);
    out.i64(key.passed);
}

/// Reads the name of a slice.
///
/// # Errors
/// At the end of the bytes.
pub fn read_slice_key(from: &mut Decoder<'_>) -> Result<SliceKey, String> {
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
