//! Streams as bytes: their partitions, the folds over them, and the numbers of their sources.

use super::{
    FAILURES_SINCE, SEQUENCES_SINCE, SPACES_SINCE, SavedFold, SavedPartition, SavedStream, Since,
    StreamToSave, partition_id,
};
use crate::admit::sequence::{Sequence, Sequences};
use crate::admit::{CountsByValue, RecordCounts, ValueCounts};
use crate::lifecycle::Counts;
use crate::state::bytes::{Decoder, Encoder};
use crate::windows::ViewCounts;
use crate::windows::session::{Session, SessionList};

pub(super) fn write_stream(out: &mut Encoder, stream: &StreamToSave<'_>) {
    out.bytes(stream.name.as_bytes());
    out.bytes(stream.hash.as_bytes());
    out.count(stream.partitions.len());
    for (number, partition) in stream.partitions {
        out.u64(u64::from(*number));
        write_partition(out, partition);
    }
    let none = Sequences::new();
    write_sequences(out, stream.sequences.unwrap_or(&none));
}

fn write_sequences(out: &mut Encoder, all: &Sequences) {
    out.count(all.len());
    for (value, sequence) in all {
        let (ranges, repeated, has_overflown) = sequence.parts();
        out.u64(u64::from(value.is_some()));
        out.bytes(value.as_deref().unwrap_or("").as_bytes());
        out.u64(repeated);
        out.u64(u64::from(has_overflown));
        out.count(ranges.len());
        for (first, last) in ranges {
            out.i64(*first);
            out.i64(*last);
        }
    }
}

fn read_sequences(from: &mut Decoder<'_>) -> Result<Sequences, String> {
    let mut all = Sequences::new();
    for _ in 0..from.count()? {
        let is_known = from.u64()? == 1;
        let text = from.text()?;
        let (repeated, has_overflown) = (from.u64()?, from.u64()? == 1);
        let ranges = (0..from.count()?).map(|_| Ok((from.i64()?, from.i64()?)));
        let ranges = ranges.collect::<Result<_, String>>()?;
        let sequence = Sequence::from_parts(ranges, repeated, has_overflown);
        all.insert(is_known.then(|| text.into()), sequence);
    }
    Ok(all)
}

pub(super) fn read_stream(from: &mut Decoder<'_>, version: u32) -> Result<SavedStream, String> {
    let mut stream = SavedStream { hash: from.text()?, ..SavedStream::default() };
    for _ in 0..from.count()? {
        let number = partition_id(from)?;
        stream.partitions.insert(number, read_partition(from, version)?);
    }
    if version >= SEQUENCES_SINCE {
        stream.sequences = read_sequences(from)?;
    }
    Ok(stream)
}

/// Writes a partition.
pub fn write_partition(out: &mut Encoder, partition: &SavedPartition) {
    out.optional(partition.next_offset);
    out.i64(partition.watermark);
    let counts = &partition.counts;
    for count in [
        counts.read,
        counts.accepted,
        counts.duplicate,
        counts.rejected,
        counts.shadow,
        counts.control,
        counts.misplaced,
    ] {
        out.u64(count);
    }
    out.u64(partition.shadow_before);
    out.optional(partition.added_at);
    write_by_value(out, &partition.by_value);
    out.count(partition.as_of.len());
    for (stream, as_of) in &partition.as_of {
        out.bytes(stream.as_bytes());
        out.i64(*as_of);
    }
    out.count(partition.views.len());
    for (key, SavedFold { counts, sessions, since, foreign, failed }) in &partition.views {
        out.bytes(key.as_bytes());
        out.optional(since.map(|since| since.offset));
        out.optional(since.and_then(|since| since.time));
        out.u64(*foreign);
        for count in [counts.accepted, counts.counted, counts.filtered, counts.late] {
            out.u64(count);
        }
        out.optional(sessions.as_ref().map(|(_, next)| *next));
        if let Some((sessions, _)) = sessions {
            write_sessions(out, sessions);
        }
        out.bytes(failed.as_deref().unwrap_or("").as_bytes());
    }
    out.count(partition.operators.len());
    for (name, counts) in &partition.operators {
        out.bytes(name.as_bytes());
        counts.to_numbers().iter().for_each(|count| out.u64(*count));
    }
}

/// Reads a partition as a format version has it.
///
/// # Errors
/// When the bytes are not those of [`write_partition`].
pub fn read_partition(from: &mut Decoder<'_>, version: u32) -> Result<SavedPartition, String> {
    let mut partition = SavedPartition {
        next_offset: from.optional()?,
        watermark: from.i64()?,
        ..SavedPartition::default()
    };
    partition.counts = RecordCounts {
        read: from.u64()?,
        accepted: from.u64()?,
        duplicate: from.u64()?,
        rejected: from.u64()?,
        shadow: from.u64()?,
        control: from.u64()?,
        misplaced: from.u64()?,
    };
    partition.shadow_before =
        if version >= SPACES_SINCE { from.u64()? } else { partition.counts.shadow };
    partition.added_at = from.optional()?;
    partition.by_value = read_by_value(from)?;
    for _ in 0..from.count()? {
        let stream = from.text()?;
        partition.as_of.insert(stream, from.i64()?);
    }
    for _ in 0..from.count()? {
        let key = from.text()?;
        let (offset, time) = (from.optional()?, from.optional()?);
        let foreign = if version >= SPACES_SINCE { from.u64()? } else { 0 };
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
        let since = offset.map(|offset| Since { offset, time });
        let failed = if version >= FAILURES_SINCE { from.text()? } else { String::new() };
        let failed = (!failed.is_empty()).then_some(failed);
        partition.views.insert(key, SavedFold { counts, sessions, since, foreign, failed });
    }
    for _ in 0..from.count()? {
        let name = from.text()?;
        let mut numbers = Counts::default().to_numbers();
        for number in &mut numbers {
            *number = from.u64()?;
        }
        partition.operators.insert(name, Counts::from_numbers(numbers));
    }
    Ok(partition)
}

fn write_by_value(out: &mut Encoder, all: &CountsByValue) {
    out.count(all.len());
    for (value, counts) in all {
        out.u64(u64::from(value.is_some()));
        out.bytes(value.as_deref().unwrap_or("").as_bytes());
        for count in [counts.read, counts.accepted, counts.duplicate, counts.rejected, counts.late]
        {
            out.u64(count);
        }
    }
}

fn read_by_value(from: &mut Decoder<'_>) -> Result<CountsByValue, String> {
    let mut all = CountsByValue::new();
    for _ in 0..from.count()? {
        let is_known = from.u64()? == 1;
        let text = from.text()?;
        let counts = ValueCounts {
            read: from.u64()?,
            accepted: from.u64()?,
            duplicate: from.u64()?,
            rejected: from.u64()?,
            late: from.u64()?,
        };
        all.insert(is_known.then(|| text.into()), counts);
    }
    Ok(all)
}

/// Writes sessions.
pub fn write_sessions(out: &mut Encoder, sessions: &SessionList) {
    out.count(sessions.len());
    for (key, session) in sessions {
        out.bytes(key);
        out.i64(session.start);
        out.i64(session.end);
        out.count(session.slices.len());
        session.slices.iter().for_each(|slice| out.i64(*slice));
    }
}

/// Reads sessions.
///
/// # Errors
/// When the bytes are not those of [`write_sessions`].
pub fn read_sessions(from: &mut Decoder<'_>) -> Result<SessionList, String> {
    let mut all = Vec::new();
    for _ in 0..from.count()? {
        let key = from.bytes()?.into();
        let (start, end) = (from.i64()?, from.i64()?);
        let slices = (0..from.count()?).map(|_| from.i64()).collect::<Result<_, _>>()?;
        all.push((key, Session { start, end, slices }));
    }
    Ok(all)
}
