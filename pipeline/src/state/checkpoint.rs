//! What a checkpoint holds and how it is written as bytes.
//!
//! Everything is of one cut: the offsets say which records are in the state, no more and no less.

use std::collections::BTreeMap;

use super::bytes::{Decoder, Encoder};
use super::dedup_files::{KeyFile, KeyFiles};
use super::journal::{JournalAt, JournalsAt};
use super::log_files::{LogAt, Segment};
use crate::admit::sequence::{Sequence, Sequences};
use crate::admit::{CountsByValue, RecordCounts, ValueCounts};
use crate::lifecycle::Counts;
use crate::model::{Offset, PartitionId};
use crate::results::Mark;
use crate::results::published::NewWindow;
use crate::windows::fire::Base;
use crate::windows::session::{Session, SessionList};
use crate::windows::table::{PartitionTable, Slice};
use crate::windows::{SliceKey, ViewCounts};

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

/// Ends a checkpoint with what is known only once the logs have been written.
pub fn encode_logs(state: Vec<u8>, keys_id: &str, logs: &[LogsToSave<'_>]) -> Vec<u8> {
    let mut out = Encoder { bytes: state };
    out.bytes(keys_id.as_bytes());
    out.count(logs.len());
    for LogsToSave { stream, dedup, journals } in logs {
        out.bytes(stream.as_bytes());
        out.count(dedup.len());
        for ((partition, hour), file) in *dedup {
            out.u64(u64::from(*partition));
            out.i64(*hour);
            out.u64(file.spilled);
            write_log(&mut out, &file.log);
        }
        out.count(journals.len());
        for ((operator, partition), at) in *journals {
            out.bytes(operator.as_bytes());
            out.u64(u64::from(*partition));
            out.u64(at.generation);
            write_log(&mut out, &at.log);
        }
    }
    out.bytes
}

/// Reads a checkpoint of a format version.
///
/// # Errors
/// When the bytes are not those of [`encode`] and [`encode_logs`], or of format 4.
pub fn decode(version: u32, bytes: &[u8]) -> Result<Checkpoint, String> {
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
    Ok(checkpoint)
}

/// The format since which there is a shadow space. Before it, shadow records were only counted; those that
/// were read by then are in no shadow view.
const SPACES_SINCE: u32 = 6;
/// The format since which the numbers of the sources' own sequences are kept. Before it none were counted.
const SEQUENCES_SINCE: u32 = 7;
/// The format since which it is known why a view or a window has no row. Before it a view that was stopped was not
/// saved at all.
const FAILURES_SINCE: u32 = 9;

fn write_log(out: &mut Encoder, log: &LogAt) {
    out.count(log.0.len());
    for segment in &log.0 {
        out.bytes(segment.name.as_bytes());
        out.u64(segment.length);
    }
}

fn read_log(from: &mut Decoder<'_>) -> Result<LogAt, String> {
    let segments =
        (0..from.count()?).map(|_| Ok(Segment { name: from.text()?, length: from.u64()? }));
    Ok(LogAt(segments.collect::<Result<_, String>>()?))
}

fn read_logs(from: &mut Decoder<'_>, checkpoint: &mut Checkpoint) -> Result<(), String> {
    checkpoint.keys_id = Some(from.text()?);
    for _ in 0..from.count()? {
        let name = from.text()?;
        let Some(stream) = checkpoint.streams.get_mut(&name) else {
            return Err(format!("logs of no stream {name}"));
        };
        for _ in 0..from.count()? {
            let key = (partition_id(from)?, from.i64()?);
            let spilled = from.u64()?;
            stream.dedup.insert(key, KeyFile { spilled, log: read_log(from)? });
        }
        for _ in 0..from.count()? {
            let key = (from.text()?, partition_id(from)?);
            let generation = from.u64()?;
            stream.journals.insert(key, JournalAt { generation, log: read_log(from)? });
        }
    }
    Ok(())
}

/// Format 4 named only lengths: each log was one file, of a name that followed from what it is.
fn read_logs_of_format_4(
    from: &mut Decoder<'_>,
    name: &str,
    stream: &mut SavedStream,
) -> Result<(), String> {
    for _ in 0..from.count()? {
        let (partition, hour) = (partition_id(from)?, from.i64()?);
        let (length, spilled) = (from.u64()?, from.u64()?);
        let log = LogAt::whole(format!("{name}/dedup-{partition}-{hour}.keys"), length);
        stream.dedup.insert((partition, hour), KeyFile { spilled, log });
    }
    for _ in 0..from.count()? {
        let (operator, partition) = (from.text()?, partition_id(from)?);
        let (generation, length) = (from.u64()?, from.u64()?);
        let log = match length {
            0 => LogAt::default(),
            _ => {
                LogAt::whole(format!("{name}/{operator}-{partition}-{generation}.journal"), length)
            }
        };
        stream.journals.insert((operator, partition), JournalAt { generation, log });
    }
    Ok(())
}

fn write_stream(out: &mut Encoder, stream: &StreamToSave<'_>) {
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

fn read_stream(from: &mut Decoder<'_>, version: u32) -> Result<SavedStream, String> {
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

fn partition_id(from: &mut Decoder<'_>) -> Result<PartitionId, String> {
    PartitionId::try_from(from.u64()?).map_err(|error| error.to_string())
}

fn write_partition(out: &mut Encoder, partition: &SavedPartition) {
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

fn read_partition(from: &mut Decoder<'_>, version: u32) -> Result<SavedPartition, String> {
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

fn read_view(from: &mut Decoder<'_>, version: u32) -> Result<SavedView, String> {
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
