//! What is told of single records, as bytes: late for a window, rejected, or of an order that stands otherwise.

use crate::lifecycle::{Notice, Standing};
use crate::model::{DeadLetter, MissedWindows, Position, RejectReason, WindowRun};
use crate::run::partition::LateRecord;
use crate::state::bytes::{Decoder, Encoder};
use crate::windows::LateRow;

pub(super) fn write_late(out: &mut Encoder, late: &LateRecord) {
    out.bytes(late.view.as_bytes());
    out.i64(late.offset);
    out.i64(late.event_time);
    out.i64(late.watermark);
    out.u64(u64::from(late.missed.row));
    let runs = late.missed.missed.runs();
    out.count(runs.len());
    for run in runs {
        [run.first.0, run.first.1, run.step.0, run.step.1].iter().for_each(|time| out.i64(*time));
        out.u64(u64::from(run.count));
    }
    out.optional(late.log_time);
    out.bytes(&late.raw);
    out.count(late.raw_bytes);
}

pub(super) fn read_late(from: &mut Decoder<'_>) -> Result<LateRecord, String> {
    let view = from.text()?.into();
    let (offset, event_time, watermark) = (from.i64()?, from.i64()?, from.i64()?);
    let row = narrow(from.u64()?)?;
    let run = |from: &mut Decoder<'_>| -> Result<WindowRun, String> {
        Ok(WindowRun {
            first: (from.i64()?, from.i64()?),
            step: (from.i64()?, from.i64()?),
            count: narrow(from.u64()?)?,
        })
    };
    let runs = (0..from.count()?).map(|_| run(from)).collect::<Result<Vec<_>, _>>()?;
    Ok(LateRecord {
        view,
        offset,
        event_time,
        watermark,
        missed: LateRow { row, missed: MissedWindows::of_runs(runs) },
        log_time: from.optional()?,
        raw: from.bytes()?.to_vec(),
        raw_bytes: size(from.u64()?)?,
    })
}

/// The standings by the numbers they are written with.
const STANDINGS: [Standing; 10] = [
    Standing::Settled,
    Standing::Waiting,
    Standing::Capped,
    Standing::Expired,
    Standing::TooOld,
    Standing::Crowded,
    Standing::Negative,
    Standing::NoAmount,
    Standing::TooMany,
    Standing::Foreign,
];

pub(super) fn write_notice(out: &mut Encoder, notice: &Notice) {
    [notice.offset, notice.due_to, notice.time].iter().for_each(|number| out.i64(*number));
    out.bytes(&notice.key);
    out.bytes(notice.order_key.as_bytes());
    out.u64(u64::from(notice.kind));
    out.bytes(notice.event_type.as_bytes());
    for standing in [notice.was, notice.standing] {
        out.count(STANDINGS.iter().position(|known| *known == standing).unwrap_or(0));
    }
    out.bytes(&notice.raw);
}

pub(super) fn read_notice(from: &mut Decoder<'_>) -> Result<Notice, String> {
    let standing = |number: u64| {
        let known = usize::try_from(number).ok().and_then(|at| STANDINGS.get(at));
        known.copied().ok_or_else(|| format!("{number} is no standing"))
    };
    Ok(Notice {
        offset: from.i64()?,
        due_to: from.i64()?,
        time: from.i64()?,
        key: from.bytes()?.into(),
        order_key: from.text()?,
        kind: u16::try_from(from.u64()?).map_err(|error| error.to_string())?,
        event_type: from.text()?,
        was: standing(from.u64()?)?,
        standing: standing(from.u64()?)?,
        raw: from.bytes()?.into(),
    })
}

pub(super) fn write_dead_letter(out: &mut Encoder, letter: &DeadLetter) {
    out.bytes(letter.stream.as_bytes());
    out.bytes(letter.position.origin.as_bytes());
    out.u64(u64::from(letter.position.partition));
    out.i64(letter.position.offset);
    out.u64(u64::from(letter.position.is_file));
    write_reason(out, &letter.reason);
    out.optional(letter.log_time);
    out.bytes(&letter.raw);
    out.count(letter.raw_bytes);
}

pub(super) fn read_dead_letter(from: &mut Decoder<'_>) -> Result<DeadLetter, String> {
    Ok(DeadLetter {
        stream: from.text()?,
        position: Position {
            origin: from.text()?,
            partition: narrow(from.u64()?)?,
            offset: from.i64()?,
            is_file: from.u64()? == 1,
        },
        reason: read_reason(from)?,
        log_time: from.optional()?,
        raw: from.bytes()?.to_vec(),
        raw_bytes: size(from.u64()?)?,
    })
}

/// The formats a record can be malformed in.
const FORMATS: [&str; 2] = ["json", "csv"];

/// The rule's word, then what it says.
fn write_reason(out: &mut Encoder, reason: &RejectReason) {
    out.bytes(reason.word().as_bytes());
    match reason {
        RejectReason::Malformed { format, detail } => texts(out, [format, detail]),
        RejectReason::MissingField { field } => texts(out, [field]),
        RejectReason::BadValue { field, expected, text } => texts(out, [field, expected, text]),
        RejectReason::TooOld { event_time, minimum } => texts(out, [event_time, minimum]),
        RejectReason::Future { event_time, log_time, max_skew_ms } => {
            texts(out, [event_time, log_time]);
            out.i64(*max_skew_ms);
        }
        RejectReason::OlderThanDedupHorizon => {}
        RejectReason::TooLarge { bytes, maximum } => {
            out.count(*bytes);
            out.count(*maximum);
        }
        RejectReason::Refused { detail } => texts(out, [detail]),
    }
}

fn texts<const COUNT: usize>(out: &mut Encoder, all: [&str; COUNT]) {
    all.iter().for_each(|text| out.bytes(text.as_bytes()));
}

fn read_reason(from: &mut Decoder<'_>) -> Result<RejectReason, String> {
    Ok(match from.text()?.as_str() {
        "malformed" => {
            let name = from.text()?;
            let format = FORMATS.into_iter().find(|format| *format == name);
            let format = format.ok_or_else(|| format!("'{name}' is no format"))?;
            RejectReason::Malformed { format, detail: from.text()? }
        }
        "missing-field" => RejectReason::MissingField { field: from.text()? },
        "bad-value" => RejectReason::BadValue {
            field: from.text()?,
            expected: from.text()?,
            text: from.text()?,
        },
        "too-old" => RejectReason::TooOld { event_time: from.text()?, minimum: from.text()? },
        "future" => RejectReason::Future {
            event_time: from.text()?,
            log_time: from.text()?,
            max_skew_ms: from.i64()?,
        },
        "dedup-horizon" => RejectReason::OlderThanDedupHorizon,
        "too-large" => {
            RejectReason::TooLarge { bytes: size(from.u64()?)?, maximum: size(from.u64()?)? }
        }
        "refused" => RejectReason::Refused { detail: from.text()? },
        other => return Err(format!("'{other}' is no rule by which records are rejected")),
    })
}

fn narrow(number: u64) -> Result<u32, String> {
    u32::try_from(number).map_err(|error| error.to_string())
}

fn size(number: u64) -> Result<usize, String> {
    usize::try_from(number).map_err(|error| error.to_string())
}
