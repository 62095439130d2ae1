//! Takes a CSV record apart that a stray quote has made of many lines.
//!
//! A quote at the start of a field opens it, and the field goes on to the next quote, over line breaks.
//! Where one stands by mistake, that is somewhere in another record. Such a record has another number
//! of fields than the file's first one; its first line is then given alone, to be refused with its own
//! line number, and the lines after it are cut anew, so that they count.

use std::collections::VecDeque;

use super::splitter::{RawRecord, Shape, Splitter, ends_in_quotes};

/// Lines and records that wait to be given, from one that was taken apart.
#[derive(Debug)]
pub(super) struct Mending {
    shape: Shape,
    bytes_max: usize,
    /// Fields of the file's first record; `None` before it.
    fields: Option<usize>,
    waiting: VecDeque<(i64, Vec<u8>)>,
}

impl Mending {
    pub(super) fn new(shape: Shape, bytes_max: usize) -> Self {
        Self { shape, bytes_max, fields: None, waiting: VecDeque::new() }
    }

    /// Takes a record over when it has to be taken apart; `false` when it is to be given as it is.
    pub(super) fn takes(&mut self, record: RawRecord<'_>) -> bool {
        let Shape::Csv { delimiter } = self.shape else { return false };
        let is_first = self.fields.is_none();
        if is_first {
            self.fields = Some(fields(record.bytes, delimiter));
        }
        // Most records are one line, and those are right or wrong by themselves.
        if is_first || !self.is_broken(record.bytes, delimiter) {
            return false;
        }
        self.waiting.push_back((record.line, record.bytes.to_vec()));
        true
    }

    fn is_broken(&self, bytes: &[u8], delimiter: u8) -> bool {
        bytes.contains(&b'\n')
            && (self.fields != Some(fields(bytes, delimiter)) || ends_in_quotes(bytes, delimiter))
    }

    /// Visits the next waiting record; `false` when none waits.
    pub(super) fn next(&mut self, visit: &mut dyn FnMut(RawRecord<'_>)) -> bool {
        let Some((line, bytes)) = self.waiting.pop_front() else { return false };
        let Shape::Csv { delimiter } = self.shape else { return false };
        if !self.is_broken(&bytes, delimiter) {
            visit(RawRecord { line, bytes: &bytes });
            return true;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let (first, rest) = bytes.split_at_checked(end).unwrap_or((&bytes, &[]));
        let rest = rest.get(1..).unwrap_or_default();
        for (nth, record) in self.cut(line + 1, rest).into_iter().enumerate() {
            self.waiting.insert(nth, record);
        }
        visit(RawRecord { line, bytes: first.strip_suffix(b"\r").unwrap_or(first) });
        true
    }

    /// The records of `bytes`, the first of which begins on `line`.
    fn cut(&self, line: i64, bytes: &[u8]) -> Vec<(i64, Vec<u8>)> {
        let mut splitter = Splitter::new(self.shape, self.bytes_max);
        let mut all = Vec::new();
        let mut at = 0;
        while let Some(record) = splitter.next(bytes, &mut at) {
            all.push((record.line + line - 1, record.bytes.to_vec()));
        }
        all.extend(splitter.finish().map(|record| (record.line + line - 1, record.bytes.to_vec())));
        all
    }
}

/// How many fields a record has.
fn fields(bytes: &[u8], delimiter: u8) -> usize {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(true) => record.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Vec<(i64, String)> {
        let shape = Shape::Csv { delimiter: b',' };
        let mut splitter = Splitter::new(shape, 10_000);
        let mut mending = Mending::new(shape, 10_000);
        let mut all = Vec::new();
        let mut visit = |record: RawRecord<'_>| {
            all.push((record.line, String::from_utf8_lossy(record.bytes).into_owned()));
        };
        let mut at = 0;
        while let Some(record) = splitter.next(text.as_bytes(), &mut at) {
            if !mending.takes(record) {
                visit(record);
            }
            while mending.next(&mut visit) {}
        }
        if let Some(record) = splitter.finish() {
            if !mending.takes(record) {
                visit(record);
            }
            while mending.next(&mut visit) {}
        }
        all
    }

    #[test]
    fn a_stray_quote_costs_its_own_line_and_no_other() {
        let mut text = "a,b,c\n".to_owned();
        for line in 2..200 {
            let (quote, last) =
                (if line == 3 { "\"" } else { "" }, if line == 150 { "\"x\"" } else { "x" });
            text.push_str(&format!("{line},{quote}b,{last}\n"));
        }
        let given = given(&text);
        let lines: Vec<i64> = given.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, (1..200).collect::<Vec<_>>());
        assert_eq!(given[2].1, "3,\"b,x");
        assert_eq!(given[149].1, "150,b,\"x\"");
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_own_line() {
        let given = given("a,b\n1,\"x\n2,y\n3,z");
        let lines: Vec<i64> = given.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }

    #[test]
    fn a_field_over_several_lines_stays_whole() {
        assert_eq!(given("a,b\n1,\"x\ny\"\n2,z")[1], (2, "1,\"x\ny\"".to_owned()));
    }
}
