//! Cuts text into records: lines, or CSV records, whose quoted fields may hold line breaks.
//!
//! A record is lent from the chunk it lies in; only one that begins in an earlier chunk is copied,
//! and never more than one byte past the bound, so that a record without an end costs no memory.

/// How records end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// At every line break.
    Lines,
    /// At every line break outside quotes; fields are parted by this byte.
    Csv {
        /// Mostly a comma.
        delimiter: u8,
    },
}

/// Where in a CSV record the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Start,
    Plain,
    Quoted,
    /// After a quote inside quotes: a second one is a quote, anything else is outside.
    QuoteInQuoted,
}

/// One record: the line it begins on, from 1, and its bytes without the line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawRecord<'a> {
    pub(super) line: i64,
    pub(super) bytes: &'a [u8],
}

/// Cuts the chunks of one file into records.
#[derive(Debug)]
pub(super) struct Splitter {
    shape: Shape,
    kept_max: usize,
    /// Begin of a record whose end has not come, cut to `kept_max`.
    carry: Vec<u8>,
    is_carry_given: bool,
    field: Field,
    line: i64,
    record_line: i64,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Splitter {
    /// A splitter at the start of a file. Of a record over `bytes_max`, that many bytes and one
    /// more are given, so that the bound is seen to be passed.
    pub(super) fn new(shape: Shape, bytes_max: usize) -> Self {
        Self {
            shape,
            kept_max: bytes_max.saturating_add(1),
            carry: Vec::new(),
            is_carry_given: false,
            field: Field::Start,
            line: 1,
            record_line: 1,
        }
    }

    /// The line after the last one begun; after the end of a file, one more than its lines.
    pub(super) fn line(&self) -> i64 {
        self.line
    }

    /// The next record that ends in `chunk` at or after `at`, which moves on; `None` when the
    /// chunk is used up. Empty lines are skipped.
    pub(super) fn next<'a>(&'a mut self, chunk: &'a [u8], at: &mut usize) -> Option<RawRecord<'a>> {
        self.forget_given();
        loop {
            let start = *at;
            let rest = chunk.get(start..).unwrap_or_default();
            let Some(length) = self.find_end(rest) else {
                self.keep(rest);
                *at = chunk.len();
                return None;
            };
            *at = start + length + 1;
            let line = std::mem::replace(&mut self.record_line, self.line);
            let found = rest.get(..length).unwrap_or_default();
            if self.carry.is_empty() {
                if let Some(bytes) = trimmed(self.shape, found, line, self.kept_max) {
                    return Some(RawRecord { line, bytes });
                }
                continue;
            }
            self.keep(found);
            self.is_carry_given = true;
            if trimmed(self.shape, &self.carry, line, self.kept_max).is_some() {
                let bytes = trimmed(self.shape, &self.carry, line, self.kept_max)?;
                return Some(RawRecord { line, bytes });
            }
            self.forget_given();
        }
    }

    /// The record that the end of the file ends, if it has no line break of its own.
    pub(super) fn finish(&mut self) -> Option<RawRecord<'_>> {
        self.forget_given();
        if self.carry.is_empty() {
            return None;
        }
        self.is_carry_given = true;
        self.line += 1;
        let line = std::mem::replace(&mut self.record_line, self.line);
        trimmed(self.shape, &self.carry, line, self.kept_max).map(|bytes| RawRecord { line, bytes })
    }

    fn forget_given(&mut self) {
        if std::mem::take(&mut self.is_carry_given) {
            self.carry.clear();
            self.field = Field::Start;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.kept_max.saturating_sub(self.carry.len());
        self.carry.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    /// Where the record's line break is, counting lines on the way.
    fn find_end(&mut self, rest: &[u8]) -> Option<usize> {
        match self.shape {
            Shape::Lines => {
                let found = rest.iter().position(|byte| *byte == b'\n')?;
                self.line += 1;
                Some(found)
            }
            Shape::Csv { delimiter } => self.find_csv_end(rest, delimiter),
        }
    }

    fn find_csv_end(&mut self, rest: &[u8], delimiter: u8) -> Option<usize> {
        for (place, byte) in rest.iter().enumerate() {
            let is_quoted = self.field == Field::Quoted;
            if *byte == b'\n' {
                self.line += 1;
                if !is_quoted {
                    self.field = Field::Start;
                    return Some(place);
                }
            }
            self.field = match (self.field, *byte) {
                (Field::Start | Field::QuoteInQuoted, b'"') => Field::Quoted,
                (Field::Quoted, b'"') => Field::QuoteInQuoted,
                (Field::Quoted, _) => Field::Quoted,
                (_, byte) if byte == delimiter => Field::Start,
                _ => Field::Plain,
            };
        }
        None
    }
}

/// Whether a CSV record ends within a field whose quote is not closed.
pub(super) fn ends_in_quotes(bytes: &[u8], delimiter: u8) -> bool {
    let mut splitter = Splitter::new(Shape::Csv { delimiter }, 0);
    splitter.find_csv_end(bytes, delimiter);
    splitter.field == Field::Quoted
}

/// Without the mark at the start of a file and the carriage return at the end, cut to `kept_max`;
/// `None` when nothing is left.
fn trimmed(shape: Shape, bytes: &[u8], line: i64, kept_max: usize) -> Option<&[u8]> {
    let bytes = bytes.get(..kept_max).unwrap_or(bytes);
    let bytes = match bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) if line == 1 => rest,
        _ => bytes,
    };
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let is_empty = match shape {
        Shape::Lines => bytes.trim_ascii().is_empty(),
        Shape::Csv { .. } => bytes.is_empty(),
    };
    (!is_empty).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    const CSV: Shape = Shape::Csv { delimiter: b',' };

    fn split(shape: Shape, bytes_max: usize, text: &[u8], chunk: usize) -> Vec<(i64, String)> {
        let mut splitter = Splitter::new(shape, bytes_max);
        let mut found = Vec::new();
        let mut give = |record: RawRecord<'_>| {
            found.push((record.line, String::from_utf8_lossy(record.bytes).into_owned()));
        };
        for chunk in text.chunks(chunk) {
            let mut at = 0;
            while let Some(record) = splitter.next(chunk, &mut at) {
                give(record);
            }
        }
        if let Some(record) = splitter.finish() {
            give(record);
        }
        found
    }

    #[test]
    fn lines_are_numbered_and_empty_ones_skipped_whatever_the_chunks() {
        let text = b"\xef\xbb\xbfone\r\n\n \ntwo\nthree";
        let expected = [(1, "one"), (4, "two"), (5, "three")].map(|(n, s)| (n, s.to_owned()));
        for chunk in 1..=text.len() {
            assert_eq!(split(Shape::Lines, 100, text, chunk), expected, "chunks of {chunk}");
        }
    }

    #[test]
    fn a_quoted_line_break_does_not_end_a_csv_record() {
        let text = b"a,\"x\ny\"\"\nz\",1\nb,5\" pipe,2\r\n\"\",\n";
        let records = [(1, "a,\"x\ny\"\"\nz\",1"), (4, "b,5\" pipe,2"), (5, "\"\",")];
        let expected = records.map(|(n, s)| (n, s.to_owned()));
        for chunk in 1..=text.len() {
            assert_eq!(split(CSV, 100, text, chunk), expected, "chunks of {chunk}");
        }
    }

    #[test]
    fn a_record_over_the_bound_is_cut_one_byte_past_it() {
        let text = [b"short\n".as_slice(), &[b'x'; 1_000], b"\nafter"].concat();
        for chunk in [1, 7, 64, 4_096] {
            let found = split(Shape::Lines, 10, &text, chunk);
            assert_eq!(found[1], (2, "x".repeat(11)), "chunks of {chunk}");
            assert_eq!(found[2], (3, "after".to_owned()));
        }
        let mut splitter = Splitter::new(Shape::Lines, 10);
        let mut at = 0;
        assert_eq!(splitter.next(&[b'x'; 1_000], &mut at), None);
        assert!(splitter.carry.capacity() < 100);
    }

    #[test]
    fn csv_records_are_those_of_the_csv_crate() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let letters = ["a", "\"", "\n", "\r", ",", " ", "é"];
        for round in 0..2_000 {
            let mut field = || {
                let length = random.random_range(0..6);
                (0..length)
                    .map(|_| letters[random.random_range(0..letters.len())])
                    .collect::<String>()
            };
            let rows: Vec<[String; 3]> = (0..4).map(|_| [field(), field(), field()]).collect();
            let mut writer = csv::Writer::from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let text = writer.into_inner().unwrap();
            let parsed: Vec<_> = split(CSV, 1_000, &text, 1 + round % 19)
                .iter()
                .map(|(_, row)| parse(row))
                .collect();
            assert_eq!(parsed, rows, "round {round}");
        }
    }

    fn parse(record: &str) -> [String; 3] {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
        let row = reader.records().next().unwrap().unwrap();
        assert!(reader.records().next().is_none(), "{record:?} is one record");
        [0, 1, 2].map(|place| row[place].to_owned())
    }
}
