//! What a partition has done since its last checkpoint, as bytes: from the worker that folded it to the server
//! that merges it.
//!
//! ```text
//! drains   count │ { from │ to │ length │ drain } …
//! drain    live │ shadow, if there is one │ numbers of the sources' sequences
//! ```
//! Dedup keys and orders stay with the worker, in the logs beside its checkpoint; all else is what a process that
//! does both hands from one thread to another. The checkpoint's format version covers it.

mod records;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};

use self::records::{
    read_dead_letter, read_late, read_notice, write_dead_letter, write_late, write_notice,
};
use crate::admit::DedupDrain;
use crate::admit::sequence::FreshNumbers;
use crate::lifecycle::operator::OperatorDrain;
use crate::model::{Offset, PartitionId};
use crate::run::partition::{BranchDrain, Drains, PartitionDrain, ViewDrain};
use crate::state::SavedPartition;
use crate::state::bytes::{Decoder, Encoder};
use crate::state::checkpoint::{
    VERSION, read_partition, read_sessions, read_slice_key, write_partition, write_sessions,
    write_slice_key,
};
use crate::windows::Drained;

/// A drain as bytes, with the records it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The offset before it; `None` before the first record.
    pub from: Option<Offset>,
    /// The offset behind it.
    pub to: Option<Offset>,
    /// What [`encode`] made of it.
    pub bytes: Vec<u8>,
}

/// Parts as bytes, in their order.
#[must_use]
pub fn write_parts(parts: &[Part]) -> Vec<u8> {
    let mut out = Encoder::default();
    out.count(parts.len());
    for part in parts {
        out.optional(part.from);
        out.optional(part.to);
        out.bytes(&part.bytes);
    }
    out.bytes
}

/// The parts that [`write_parts`] wrote.
///
/// # Errors
/// When the bytes are not its own.
pub fn read_parts(bytes: &[u8]) -> Result<Vec<Part>, String> {
    let mut from = Decoder::new(bytes);
    let part = |from: &mut Decoder<'_>| -> Result<Part, String> {
        let bounds = (from.optional()?, from.optional()?);
        Ok(Part { from: bounds.0, to: bounds.1, bytes: from.bytes()?.to_vec() })
    };
    (0..from.count()?).map(|_| part(&mut from)).collect()
}

/// A partition's drain as bytes; what its own checkpoint holds beside is taken out of it by then, or left out here.
///
/// # Errors
/// When rows cannot be written as Arrow IPC.
pub fn encode(drains: &Drains) -> Result<Vec<u8>, String> {
    let mut out = Encoder::default();
    write_space(&mut out, &drains.live)?;
    out.count(usize::from(drains.shadow.is_some()));
    if let Some(shadow) = &drains.shadow {
        write_space(&mut out, shadow)?;
    }
    out.count(drains.numbers.len());
    for (value, numbers) in &drains.numbers {
        write_text(&mut out, value.as_deref());
        out.count(numbers.len());
        numbers.iter().for_each(|number| out.i64(*number));
    }
    Ok(out.bytes)
}

/// The drain that [`encode`] wrote.
///
/// # Errors
/// When the bytes are not its own.
pub fn decode(bytes: &[u8]) -> Result<Drains, String> {
    let mut from = Decoder::new(bytes);
    let live = read_space(&mut from)?;
    let shadow = match from.count()? {
        0 => None,
        _ => Some(read_space(&mut from)?),
    };
    let mut numbers = FreshNumbers::new();
    for _ in 0..from.count()? {
        let value = read_text(&mut from)?.map(Arc::from);
        let all = (0..from.count()?).map(|_| from.i64()).collect::<Result<Vec<_>, _>>()?;
        numbers.push((value, all));
    }
    Ok(Drains { live, shadow, numbers })
}

fn write_space(out: &mut Encoder, drain: &PartitionDrain) -> Result<(), String> {
    out.u64(u64::from(drain.partition));
    write_partition(out, &standing(drain));
    let branches = || drain.branches.iter();
    out.bytes(branches().next().map_or("", |branch| &*branch.stream).as_bytes());
    out.count(branches().map(|branch| branch.views.len()).sum());
    for view in branches().flat_map(|branch| &branch.views) {
        out.bytes(view.view.as_bytes());
        write_text(out, view.failed.as_deref());
        write_drained(out, &view.drained)?;
    }
    out.count(branches().map(|branch| branch.late.len()).sum());
    branches().flat_map(|branch| &branch.late).for_each(|late| write_late(out, late));
    out.count(drain.operators.iter().map(|(_, told)| told.notices.len()).sum());
    for (operator, told) in &drain.operators {
        for notice in &told.notices {
            out.bytes(operator.as_bytes());
            write_notice(out, notice);
        }
    }
    out.count(drain.dead_letters.len());
    drain.dead_letters.iter().for_each(|letter| write_dead_letter(out, letter));
    out.count(drain.history.len());
    drain.history.iter().try_for_each(|rows| out.rows(rows))
}

fn read_space(from: &mut Decoder<'_>) -> Result<PartitionDrain, String> {
    let partition = PartitionId::try_from(from.u64()?).map_err(|error| error.to_string())?;
    let mut at = read_partition(from, VERSION)?;
    let stream: Arc<str> = from.text()?.into();
    let mut views = Vec::new();
    for _ in 0..from.count()? {
        let (view, failed) = (from.text()?, read_text(from)?);
        let drained = read_drained(from)?;
        let fold = at.views.remove(&view).ok_or_else(|| format!("view {view} without its fold"))?;
        views.push(ViewDrain { view: view.into(), drained, fold, failed });
    }
    let late = (0..from.count()?).map(|_| read_late(from)).collect::<Result<_, _>>()?;
    let mut operators: Vec<(Arc<str>, OperatorDrain)> = std::mem::take(&mut at.operators)
        .into_iter()
        .map(|(name, counts)| (name.into(), OperatorDrain { counts, ..OperatorDrain::default() }))
        .collect();
    for _ in 0..from.count()? {
        let (name, notice) = (from.text()?, read_notice(from)?);
        let told = operators.iter_mut().find(|(operator, _)| **operator == *name);
        let (_, told) = told.ok_or_else(|| format!("a notice of no life cycle {name}"))?;
        told.notices.push(notice);
    }
    let dead_letters =
        (0..from.count()?).map(|_| read_dead_letter(from)).collect::<Result<_, _>>()?;
    let history = (0..from.count()?).map(|_| from.rows()).collect::<Result<_, _>>()?;
    let as_of = at.as_of.remove(&*stream);
    let mut branches = vec![BranchDrain { stream, as_of, views, late }];
    branches.extend(std::mem::take(&mut at.as_of).into_iter().map(|(stream, as_of)| BranchDrain {
        stream: stream.into(),
        as_of: Some(as_of),
        views: Vec::new(),
        late: Vec::new(),
    }));
    Ok(PartitionDrain {
        partition,
        next_offset: at.next_offset,
        watermark: at.watermark,
        counts: at.counts,
        by_value: at.by_value,
        branches,
        operators,
        dead_letters,
        dedup: DedupDrain::default(),
        history,
    })
}

/// Where the partition stands behind the drain, as its checkpoint holds it.
fn standing(drain: &PartitionDrain) -> SavedPartition {
    let branches = || drain.branches.iter();
    let as_of = branches().filter_map(|branch| Some((branch.stream.to_string(), branch.as_of?)));
    let views = branches().flat_map(|branch| &branch.views);
    let operators = drain.operators.iter().map(|(name, told)| (name.to_string(), told.counts));
    SavedPartition {
        next_offset: drain.next_offset,
        watermark: drain.watermark,
        counts: drain.counts,
        by_value: drain.by_value.clone(),
        as_of: as_of.collect(),
        views: views.map(|view| (view.view.to_string(), view.fold.clone())).collect(),
        operators: operators.collect(),
        ..SavedPartition::default()
    }
}

fn write_drained(out: &mut Encoder, drained: &Drained) -> Result<(), String> {
    out.count(drained.slices.len());
    drained.slices.iter().for_each(|slice| write_slice_key(out, *slice));
    out.count(drained.slice_of.len());
    drained.slice_of.iter().for_each(|number| out.u64(u64::from(*number)));
    write_columns(out, &drained.keys, drained.slice_of.len())?;
    write_columns(out, &drained.states, drained.slice_of.len())?;
    out.count(drained.rows.len());
    for (slice, rows) in &drained.rows {
        write_slice_key(out, *slice);
        out.rows(rows)?;
    }
    out.count(usize::from(drained.sessions.is_some()));
    drained.sessions.iter().for_each(|sessions| write_sessions(out, sessions));
    out.count(drained.revised.len());
    for (slice, count) in &drained.revised {
        write_slice_key(out, *slice);
        out.u64(*count);
    }
    Ok(())
}

fn read_drained(from: &mut Decoder<'_>) -> Result<Drained, String> {
    let slices = (0..from.count()?).map(|_| read_slice_key(from)).collect::<Result<_, _>>()?;
    let number = |from: &mut Decoder<'_>| {
        from.u64().and_then(|number| u32::try_from(number).map_err(|error| error.to_string()))
    };
    let slice_of = (0..from.count()?).map(|_| number(from)).collect::<Result<_, _>>()?;
    let (keys, states) = (read_columns(from)?, read_columns(from)?);
    let rows = (0..from.count()?)
        .map(|_| Ok((read_slice_key(from)?, from.rows()?)))
        .collect::<Result<_, String>>()?;
    let sessions = match from.count()? {
        0 => None,
        _ => Some(read_sessions(from)?),
    };
    let revised = (0..from.count()?)
        .map(|_| Ok((read_slice_key(from)?, from.u64()?)))
        .collect::<Result<_, String>>()?;
    Ok(Drained { slices, slice_of, keys, states, rows, sessions, revised })
}

/// Columns of `rows` values each, without their names: they are known by their places.
fn write_columns(out: &mut Encoder, columns: &[ArrayRef], rows: usize) -> Result<(), String> {
    out.count(columns.len());
    if columns.is_empty() {
        return Ok(());
    }
    let named = |(at, column): (usize, &ArrayRef)| {
        Field::new(at.to_string(), column.data_type().clone(), true)
    };
    let fields: Vec<Field> = columns.iter().enumerate().map(named).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new_with_options(schema, columns.to_vec(), &options);
    out.rows(&batch.map_err(|error| error.to_string())?)
}

fn read_columns(from: &mut Decoder<'_>) -> Result<Vec<ArrayRef>, String> {
    match from.count()? {
        0 => Ok(Vec::new()),
        _ => Ok(from.rows()?.columns().to_vec()),
    }
}

fn write_text(out: &mut Encoder, text: Option<&str>) {
    out.u64(u64::from(text.is_some()));
    out.bytes(text.unwrap_or("").as_bytes());
}

fn read_text(from: &mut Decoder<'_>) -> Result<Option<String>, String> {
    let is_there = from.u64()? == 1;
    let text = from.text()?;
    Ok(is_there.then_some(text))
}

#[cfg(test)]
mod tests;
