//! One entry of a ledger: its key, what it says, and both as bytes.

use crate::model::{MissedWindows, Offset, PartitionId, WindowRun};
use crate::state::bytes::{Decoder, Encoder};

/// The ledgers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerKind {
    /// Records that were left out of at least one window.
    Late,
    /// Records that were rejected.
    DeadLetter,
    /// Life-cycle events that do not count, because their order has not come or does not allow them.
    Unmatched,
}

impl LedgerKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Late, Self::DeadLetter, Self::Unmatched];

    /// Name of its table in SQL.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::Late => "late_orders",
            Self::DeadLetter => "dead_letters",
            Self::Unmatched => "unmatched",
        }
    }

    /// The ledger of a table.
    #[must_use]
    pub fn named(table: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.table() == table)
    }
}

/// What an entry is about; a ledger has one entry of each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// Stream the record was read for.
    pub stream: String,
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset, never negative.
    pub offset: Offset,
    /// Which of several entries about one record: the view it is late for, the derived table it does
    /// not count in and the word of its standing; empty for a dead letter.
    pub part: String,
}

/// One entry. What does not apply to its ledger is `None`, empty or 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is about.
    pub id: EntryId,
    /// Topic of the record.
    pub topic: String,
    /// Offset of the record that brought it about: its own, or one that was read later. A cut shows
    /// entries of records that it has read.
    pub since: Offset,
    /// Offset of the record after which it no longer stands; `None` while it does.
    pub until: Option<Offset>,
    /// When it stood before, as `since` and `until`, in their order: a crash may take a reader back to then.
    /// Only the store fills it.
    pub earlier: Vec<(Offset, Offset)>,
    /// The log's timestamp of the record, epoch milliseconds.
    pub log_time: Option<i64>,
    /// Event time, epoch milliseconds.
    pub event_time: Option<i64>,
    /// The partition's watermark before the record, epoch milliseconds.
    pub watermark: Option<i64>,
    /// The windows it missed.
    pub missed: MissedWindows,
    /// Key of the order it belongs to.
    pub order_key: String,
    /// A word for the reason, the same for all records rejected by one rule.
    pub kind: String,
    /// The reason, in a sentence.
    pub reason: String,
    /// The raw record, cut to a bound.
    pub raw: Vec<u8>,
    /// Bytes of the whole raw record.
    pub raw_bytes: u64,
}

/// What happens to a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An entry begins to stand, or says something else from now on.
    Begins(LedgerKind, Box<Entry>),
    /// An entry stands no longer once the record at `until` has been read.
    Ends {
        /// The ledger.
        ledger: LedgerKind,
        /// The entry.
        id: EntryId,
        /// The offset of that record.
        until: Offset,
    },
}

impl Entry {
    /// An entry about a record, with nothing said yet.
    #[must_use]
    pub fn about(id: EntryId, topic: &str) -> Self {
        Self {
            since: id.offset,
            id,
            topic: topic.to_owned(),
            until: None,
            earlier: Vec::new(),
            log_time: None,
            event_time: None,
            watermark: None,
            missed: MissedWindows::default(),
            order_key: String::new(),
            kind: String::new(),
            reason: String::new(),
            raw: Vec::new(),
            raw_bytes: 0,
        }
    }

    /// Whether a cut that has read up to, not with, `next_offset` of its partition shows it.
    #[must_use]
    pub fn stands_at(&self, next_offset: Offset) -> bool {
        let now = (self.since, self.until);
        let earlier = self.earlier.iter().map(|(since, until)| (*since, Some(*until)));
        earlier.chain([now]).any(|(since, until)| {
            since < next_offset && until.is_none_or(|until| until >= next_offset)
        })
    }

    /// This entry where one of the same record stood before it.
    pub(super) fn after(mut self, before: Self) -> Self {
        self.earlier = before.earlier;
        match before.until {
            Some(until) => self.earlier.push((before.since, until)),
            None => self.since = self.since.min(before.since),
        }
        self.earlier.retain(|(since, _)| *since < self.since);
        self
    }

    /// The entry as it was when `next_offset` was the next record to be read; `None` before it first stood.
    pub(super) fn taken_back(mut self, next_offset: Offset) -> Option<Self> {
        while self.since >= next_offset {
            let (since, until) = self.earlier.pop()?;
            (self.since, self.until) = (since, Some(until));
        }
        self.until = self.until.filter(|until| *until < next_offset);
        Some(self)
    }

    /// The entry without what had ended before `offset`; `None` when nothing is left.
    pub(super) fn from_offset_on(mut self, offset: Offset) -> Option<Self> {
        self.earlier.retain(|(_, until)| *until >= offset);
        (!self.earlier.is_empty() || self.until.is_none_or(|until| until >= offset)).then_some(self)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u64(VERSION);
        out.bytes(self.topic.as_bytes());
        out.i64(self.since);
        for number in [self.until, self.log_time, self.event_time, self.watermark] {
            out.optional(number);
        }
        out.u64(u64::try_from(self.missed.runs().len()).unwrap_or(u64::MAX));
        for run in self.missed.runs() {
            for number in [run.first.0, run.first.1, run.step.0, run.step.1] {
                out.i64(number);
            }
            out.u64(u64::from(run.count));
        }
        for text in [&self.order_key, &self.kind, &self.reason] {
            out.bytes(text.as_bytes());
        }
        out.bytes(&self.raw);
        out.u64(self.raw_bytes);
        out.u64(u64::try_from(self.earlier.len()).unwrap_or(u64::MAX));
        for (since, until) in &self.earlier {
            out.i64(*since);
            out.i64(*until);
        }
        out.bytes
    }

    /// # Errors
    /// When the bytes are not those of [`Entry::encode`].
    pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<Self, String> {
        let id = EntryId::decode(key).ok_or("its key is none of a ledger")?;
        let mut from = Decoder::new(value);
        let version = from.u64()?;
        if !(1..=VERSION).contains(&version) {
            return Err(format!(
                "its format version is {version}, this program reads 1 to {VERSION}"
            ));
        }
        let topic = from.text()?;
        let mut entry = Self::about(id, &topic);
        entry.since = from.i64()?;
        entry.until = from.optional()?;
        entry.log_time = from.optional()?;
        entry.event_time = from.optional()?;
        entry.watermark = from.optional()?;
        entry.missed = match version {
            1 => last_missed(&mut from)?,
            _ => missed(&mut from)?,
        };
        entry.order_key = from.text()?;
        entry.kind = from.text()?;
        entry.reason = from.text()?;
        entry.raw = from.bytes()?.to_vec();
        entry.raw_bytes = from.u64()?;
        if version >= 3 {
            for _ in 0..from.u64()? {
                entry.earlier.push((from.i64()?, from.i64()?));
            }
        }
        Ok(entry)
    }
}

/// Version of an entry's bytes. Version 1 has only the last of the windows that a record missed, and how many
/// there were: the last one is shown. Before version 3 nothing is said of when it stood earlier.
const VERSION: u64 = 3;

fn last_missed(from: &mut Decoder<'_>) -> Result<MissedWindows, String> {
    let last = from.optional()?.zip(from.optional()?);
    from.u64()?;
    Ok(MissedWindows::of_each(last))
}

fn missed(from: &mut Decoder<'_>) -> Result<MissedWindows, String> {
    let mut runs = Vec::new();
    for _ in 0..from.u64()? {
        let first = (from.i64()?, from.i64()?);
        let step = (from.i64()?, from.i64()?);
        let count = u32::try_from(from.u64()?).map_err(|error| error.to_string())?;
        runs.push(WindowRun { first, step, count });
    }
    Ok(MissedWindows::of_runs(runs))
}

impl EntryId {
    /// ```text
    /// stream │ 0 │ partition u32 │ offset i64 │ part        big-endian, so that they sort
    /// ```
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut key = prefix(&self.stream, self.partition);
        key.extend_from_slice(&self.offset.max(0).to_be_bytes());
        key.extend_from_slice(self.part.as_bytes());
        key
    }

    fn decode(key: &[u8]) -> Option<Self> {
        let end = key.iter().position(|byte| *byte == 0)?;
        let (stream, rest) = key.split_at_checked(end)?;
        let (partition, rest) = rest.get(1..)?.split_first_chunk()?;
        let (offset, part) = rest.split_first_chunk()?;
        Some(Self {
            stream: String::from_utf8(stream.to_vec()).ok()?,
            partition: PartitionId::from_be_bytes(*partition),
            offset: Offset::from_be_bytes(*offset),
            part: String::from_utf8(part.to_vec()).ok()?,
        })
    }
}

/// The beginning of all keys of a partition.
pub(super) fn prefix(stream: &str, partition: PartitionId) -> Vec<u8> {
    let mut key = stream.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_and_keys_sort_by_place() {
        let id = |offset, part: &str| EntryId {
            stream: "orders".to_owned(),
            partition: 3,
            offset,
            part: part.to_owned(),
        };
        let mut entry = Entry::about(id(256, "gmv_day"), "orders-topic");
        entry.until = Some(300);
        entry.earlier = vec![(256, 257), (270, 280)];
        entry.event_time = Some(-5);
        entry.missed = MissedWindows::of_each([(0, 7), (0, 14), (14, 15)]);
        entry.reason = "过期".to_owned();
        entry.raw = b"{\"a\":\xFF}".to_vec();
        assert_eq!(Entry::decode(&entry.id.encode(), &entry.encode()), Ok(entry));
        let mut keys = [id(256, "b").encode(), id(2, "z").encode(), id(256, "a").encode()];
        keys.sort();
        assert_eq!(
            keys.map(|key| EntryId::decode(&key)),
            [id(2, "z"), id(256, "a"), id(256, "b")].map(Some)
        );
        assert!(Entry::decode(b"no key", b"").is_err());
    }

    #[test]
    fn an_entry_of_the_first_version_shows_the_last_window_it_missed() {
        let mut old = Encoder::default();
        old.u64(1);
        old.bytes(b"topic");
        old.i64(4);
        for _ in 0..4 {
            old.optional(None);
        }
        old.optional(Some(60_000));
        old.optional(Some(120_000));
        old.u64(9);
        for text in ["", "late", "came too late", "{}"] {
            old.bytes(text.as_bytes());
        }
        old.u64(2);
        let id = EntryId {
            stream: "orders".to_owned(),
            partition: 0,
            offset: 4,
            part: "gmv_day".to_owned(),
        };
        let entry = Entry::decode(&id.encode(), &old.bytes).expect("is read");
        assert_eq!(entry.missed.iter().collect::<Vec<_>>(), [(60_000, 120_000)]);
        assert_eq!((entry.reason.as_str(), entry.raw_bytes), ("came too late", 2));
    }

    #[test]
    fn an_entry_of_the_second_version_has_stood_once() {
        let id =
            EntryId { stream: "orders".to_owned(), partition: 0, offset: 4, part: String::new() };
        let mut entry = Entry::about(id, "orders");
        entry.until = Some(9);
        let mut old = entry.encode();
        old.truncate(old.len() - 8);
        old[..8].copy_from_slice(&2_u64.to_le_bytes());
        assert_eq!(Entry::decode(&entry.id.encode(), &old), Ok(entry));
    }

    #[test]
    fn a_cut_shows_what_stood_at_its_offsets() {
        let id =
            EntryId { stream: "orders".to_owned(), partition: 0, offset: 5, part: String::new() };
        let mut entry = Entry::about(id, "orders");
        entry.until = Some(9);
        assert_eq!([5, 6, 9, 10].map(|next| entry.stands_at(next)), [false, true, true, false]);
        (entry.earlier, entry.since, entry.until) = (vec![(5, 9)], 12, None);
        assert_eq!([9, 10, 12, 13].map(|next| entry.stands_at(next)), [true, false, false, true]);
    }
}
