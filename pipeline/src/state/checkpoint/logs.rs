//! The logs beside a checkpoint, as bytes: how far those of the dedup keys and of the life cycles are its own.

use super::{Checkpoint, LogsToSave, SavedStream, partition_id};
use crate::state::bytes::{Decoder, Encoder};
use crate::state::dedup_files::KeyFile;
use crate::state::journal::JournalAt;
use crate::state::log_files::{LogAt, Segment};

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

pub(super) fn read_logs(from: &mut Decoder<'_>, checkpoint: &mut Checkpoint) -> Result<(), String> {
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
pub(super) fn read_logs_of_format_4(
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
