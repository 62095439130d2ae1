//! What partitions tell of single records, as entries of the ledgers.

use super::partition::LateRecord;
use crate::ledger::{Change, Entry, EntryId, LedgerKind};
use crate::lifecycle::{Notice, Standing};
use crate::model::{DeadLetter, PartitionId};

/// The entry of a rejected record.
#[must_use]
pub fn dead_letter(letter: DeadLetter) -> Change {
    let id = EntryId {
        stream: letter.stream,
        partition: letter.position.partition,
        offset: letter.position.offset,
        part: String::new(),
    };
    let entry = Entry {
        log_time: letter.log_time,
        kind: letter.reason.word().to_owned(),
        reason: letter.reason.to_string(),
        raw: letter.raw,
        raw_bytes: u64::try_from(letter.raw_bytes).unwrap_or(u64::MAX),
        ..Entry::about(id, &letter.position.origin)
    };
    Change::Begins(LedgerKind::DeadLetter, Box::new(entry))
}

/// The entry of a record that missed windows of a view.
#[must_use]
pub fn late(
    (stream, topic, partition): (&str, &str, PartitionId),
    view: &str,
    late: LateRecord,
) -> Change {
    let id = EntryId {
        stream: stream.to_owned(),
        partition,
        offset: late.offset,
        part: view.to_owned(),
    };
    let missed = late.missed.missed.count();
    let windows = if missed == 1 { "window" } else { "windows" };
    let entry = Entry {
        log_time: late.log_time,
        event_time: Some(late.event_time),
        watermark: Some(late.watermark),
        missed: late.missed.missed,
        kind: "late".to_owned(),
        reason: format!("came after the watermark had closed {missed} {windows} of {view}"),
        raw: late.raw,
        raw_bytes: u64::try_from(late.raw_bytes).unwrap_or(u64::MAX),
        ..Entry::about(id, topic)
    };
    Change::Begins(LedgerKind::Late, Box::new(entry))
}

/// What an event of an order that stands otherwise than before changes: the entry of how it stood ends,
/// and one of how it stands begins.
#[must_use]
pub fn unmatched(
    (stream, topic, partition): (&str, &str, PartitionId),
    table: &str,
    notice: Notice,
) -> Vec<Change> {
    let id = |standing: Standing| EntryId {
        stream: stream.to_owned(),
        partition,
        offset: notice.offset,
        part: format!("{table}:{}", standing.word()),
    };
    let mut changes = Vec::new();
    if notice.was != Standing::Settled {
        changes.push(Change::Ends {
            ledger: LedgerKind::Unmatched,
            id: id(notice.was),
            until: notice.due_to,
        });
    }
    if notice.standing != Standing::Settled {
        let entry = Entry {
            since: notice.due_to,
            event_time: Some(notice.time),
            order_key: notice.order_key,
            kind: notice.standing.word().to_owned(),
            reason: format!("{}: {}", notice.event_type, notice.standing.reason()),
            raw_bytes: u64::try_from(notice.raw.len()).unwrap_or(u64::MAX),
            raw: notice.raw.into_vec(),
            ..Entry::about(id(notice.standing), topic)
        };
        changes.push(Change::Begins(LedgerKind::Unmatched, Box::new(entry)));
    }
    changes
}
