//! The bytes of a block: many records in one value, so that an append costs one write.
//!
//! ```text
//! version u8 | checksum u64 (of all that follows) | count u32 | base timestamp i64 | records
//! record: timestamp - base (zigzag) | key length + 1, 0 for none | key
//!         | headers | { name length | name | value length | value } | payload length | payload
//! ```
//! Fixed numbers are little-endian, lengths are LEB128 varints.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use crate::model::{Header, Offset, PartitionId, Record};
use crate::source::writer::NewRecord;

const VERSION: u8 = 1;
const CHECKSUM_AT: usize = 1;
const BODY_AT: usize = 9;
const RECORDS_AT: usize = 21;

/// Collects the records of one block.
#[derive(Debug)]
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    count: u32,
    base_ms: i64,
    max_ms: i64,
}

impl BlockBuilder {
    /// An empty block; timestamps are stored as their distance from `base_ms`.
    pub(super) fn new(base_ms: i64) -> Self {
        Self { bytes: vec![0; RECORDS_AT], count: 0, base_ms, max_ms: i64::MIN }
    }

    /// Adds one record at the end.
    pub(super) fn push(&mut self, record: &NewRecord<'_>) {
        let out = &mut self.bytes;
        put_varint(out, zigzag(record.timestamp_ms.wrapping_sub(self.base_ms)));
        match record.key {
            Some(key) => {
                put_varint(out, wide(key.len()) + 1);
                out.extend_from_slice(key);
            }
            None => put_varint(out, 0),
        }
        put_varint(out, wide(record.headers.len()));
        for (name, value) in record.headers {
            put_bytes(out, name.as_bytes());
            put_bytes(out, value);
        }
        put_bytes(out, record.payload);
        self.count += 1;
        self.max_ms = self.max_ms.max(record.timestamp_ms);
    }

    /// Records so far.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The largest timestamp so far.
    pub(super) fn max_ms(&self) -> i64 {
        self.max_ms
    }

    /// The block as it is stored.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let mut body = Vec::with_capacity(RECORDS_AT - BODY_AT);
        body.extend_from_slice(&self.count.to_le_bytes());
        body.extend_from_slice(&self.base_ms.to_le_bytes());
        self.bytes.splice(BODY_AT..RECORDS_AT, body);
        let checksum = xxh3_64(self.bytes.get(BODY_AT..).unwrap_or_default());
        self.bytes.splice(CHECKSUM_AT..BODY_AT, checksum.to_le_bytes());
        self.bytes.splice(0..CHECKSUM_AT, [VERSION]);
        self.bytes
    }
}

/// A stored block and how far it has been read.
#[derive(Debug)]
pub(super) struct Block {
    bytes: fjall::UserValue,
    at: usize,
    left: u32,
    base_ms: i64,
    next: Offset,
}

/// Where the parts of one record lie in its block.
struct Parts {
    timestamp_ms: i64,
    key: Option<Range<usize>>,
    headers: Vec<(Range<usize>, Range<usize>)>,
    payload: Range<usize>,
}

impl Block {
    /// Opens the block whose first record has the offset `base`.
    ///
    /// # Errors
    /// What does not fit: the version, the checksum, the length.
    pub(super) fn open(bytes: fjall::UserValue, base: Offset) -> Result<Self, String> {
        let version = bytes.first().copied();
        if version != Some(VERSION) {
            return Err(format!("block version {version:?}, this build reads {VERSION}"));
        }
        let mut cursor = Cursor { bytes: &bytes, at: CHECKSUM_AT };
        let checksum = u64::from_le_bytes(cursor.array()?);
        if checksum != xxh3_64(bytes.get(BODY_AT..).unwrap_or_default()) {
            return Err("its checksum does not match".to_owned());
        }
        let left = u32::from_le_bytes(cursor.array()?);
        let base_ms = i64::from_le_bytes(cursor.array()?);
        Ok(Self { bytes, at: RECORDS_AT, left, base_ms, next: base })
    }

    /// Offset of the record the next visit gives.
    pub(super) fn next_offset(&self) -> Offset {
        self.next
    }

    /// Whether every record has been visited.
    pub(super) fn is_read(&self) -> bool {
        self.left == 0
    }

    /// Visits the next record; `false` when there is none.
    ///
    /// # Errors
    /// When the bytes end early.
    pub(super) fn visit(
        &mut self,
        partition: PartitionId,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<bool, String> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(false) };
        let (parts, at) = self.parse()?;
        let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        let headers: Vec<Header<'_>> = parts
            .headers
            .iter()
            .map(|(name, value)| (std::str::from_utf8(part(name)).unwrap_or(""), part(value)))
            .collect();
        visit(Record {
            partition,
            offset: self.next,
            timestamp_ms: Some(parts.timestamp_ms),
            headers: &headers,
            key: parts.key.as_ref().map(part),
            payload: part(&parts.payload),
        });
        (self.at, self.left, self.next) = (at, left, self.next + 1);
        Ok(true)
    }

    /// Skips records before `offset`.
    ///
    /// # Errors
    /// When the bytes end early.
    pub(super) fn skip_to(&mut self, offset: Offset) -> Result<(), String> {
        while self.next < offset && self.left > 0 {
            let (_, at) = self.parse()?;
            (self.at, self.left, self.next) = (at, self.left - 1, self.next + 1);
        }
        Ok(())
    }

    /// Offset of the first record from here on that is not older than `time_ms`.
    ///
    /// # Errors
    /// When the bytes end early.
    pub(super) fn first_since(&mut self, time_ms: i64) -> Result<Option<Offset>, String> {
        while self.left > 0 {
            let (parts, at) = self.parse()?;
            if parts.timestamp_ms >= time_ms {
                return Ok(Some(self.next));
            }
            (self.at, self.left, self.next) = (at, self.left - 1, self.next + 1);
        }
        Ok(None)
    }

    fn parse(&self) -> Result<(Parts, usize), String> {
        let mut cursor = Cursor { bytes: &self.bytes, at: self.at };
        let timestamp_ms = self.base_ms.wrapping_add(unzigzag(cursor.varint()?));
        let key = match cursor.varint()? {
            0 => None,
            length => Some(cursor.range(length - 1)?),
        };
        let headers = (0..cursor.varint()?)
            .map(|_| Ok((cursor.sized()?, cursor.sized()?)))
            .collect::<Result<_, String>>()?;
        let payload = cursor.sized()?;
        Ok((Parts { timestamp_ms, key, headers, payload }, cursor.at))
    }
}

/// Reads numbers and lengths, never past the end.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let found = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<N>);
        self.at += N;
        found.copied().ok_or_else(too_short)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a length has too many bytes".to_owned())
    }

    fn range(&mut self, length: u64) -> Result<Range<usize>, String> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let end = end.filter(|end| *end <= self.bytes.len()).ok_or_else(too_short)?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn sized(&mut self) -> Result<Range<usize>, String> {
        let length = self.varint()?;
        self.range(length)
    }
}

fn too_short() -> String {
    "it ends in the middle of a record".to_owned()
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, wide(bytes.len()));
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(headers: &'a [Header<'a>], ms: i64, payload: &'a [u8]) -> NewRecord<'a> {
        NewRecord { partition: None, key: Some(b"k"), timestamp_ms: ms, headers, payload }
    }

    fn sample() -> Vec<u8> {
        let mut builder = BlockBuilder::new(1_000);
        builder.push(&record(&[], 990, b"first"));
        builder.push(&NewRecord { key: None, ..record(&[("h", b"v")], 2_000, b"") });
        builder.finish()
    }

    #[test]
    fn records_come_back_as_they_went_in() {
        let mut block = Block::open(sample().into(), 7).unwrap();
        let mut seen = Vec::new();
        while block
            .visit(3, &mut |r| {
                let text = (r.key.map(<[u8]>::to_vec), r.payload.to_vec());
                seen.push((r.offset, r.timestamp_ms, r.header("h").map(<[u8]>::to_vec), text));
            })
            .unwrap()
        {}
        let first = (7, Some(990), None, (Some(b"k".to_vec()), b"first".to_vec()));
        let second = (8, Some(2_000), Some(b"v".to_vec()), (None, Vec::new()));
        assert_eq!(seen, [first, second]);
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let good = sample();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Block::open(bad.into(), 0).is_err(), "byte {at}");
        }
    }

    #[test]
    fn extreme_timestamps_survive() {
        for ms in [i64::MIN, -1, 0, i64::MAX] {
            let mut builder = BlockBuilder::new(5);
            builder.push(&record(&[], ms, b"x"));
            let mut block = Block::open(builder.finish().into(), 0).unwrap();
            block.visit(0, &mut |r| assert_eq!(r.timestamp_ms, Some(ms))).unwrap();
        }
    }
}
