//! JSON objects as producers write them, without the general reader: declared fields, flat, no escapes.
//!
//! It accepts a strict part of JSON and gives up on everything else: an escape, a line break, a nested value, a field
//! that is not declared or stands there twice, a value that is not of its type, bytes that are not UTF-8. [`super::json`] then
//! reads the record from its beginning, says what is wrong and counts what is unknown. So there is one
//! reading of every record, and this one is only quicker.

use super::{FieldSpec, FieldType, Value, decimal, value};

/// A value of a record, its text by its place there: a row of them is used again for the next record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plain {
    /// Absent, or null.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number, a day since 1970, or milliseconds since 1970.
    Integer(i64),
    /// A float.
    Float(f64),
    /// An integer of the column's scale.
    Decimal(i128),
    /// Text from here to there; it is UTF-8.
    Text(usize, usize),
}

impl Plain {
    /// The value, where it is no text; a text is none.
    #[must_use]
    pub fn scalar(self) -> Value<'static> {
        match self {
            Self::Null | Self::Text(..) => Value::Null,
            Self::Boolean(value) => Value::Boolean(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Float(value) => Value::Float(value),
            Self::Decimal(value) => Value::Decimal(value),
        }
    }
}

/// What is looked for in a record: the column's name as it stands where the producer writes no spaces, `"name":`, and
/// how its value is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Nothing for a column that is no field, and for a name that would have to be escaped.
    name: Option<Name>,
    field_type: FieldType,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    /// Its first bytes as two words, and which bits of these are its: names are compared more often than all else.
    words: [u64; 2],
    masks: [u64; 2],
    bytes: Box<[u8]>,
}

/// Bytes of a name that are in its words.
const NAME_WORDS: usize = 16;

/// Eight bytes as a word; the first eight of more.
fn word_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default())
}

impl Name {
    fn of(name: &str) -> Self {
        let bytes: Box<[u8]> = format!("\"{name}\":").into_bytes().into();
        let (mut first, mut mask) = ([0; NAME_WORDS], [0; NAME_WORDS]);
        for (at, byte) in bytes.iter().take(NAME_WORDS).enumerate() {
            (first[at], mask[at]) = (*byte, u8::MAX);
        }
        let words = |of: &[u8; NAME_WORDS]| [word_of(&of[..8]), word_of(&of[8..])];
        Self { words: words(&first), masks: words(&mask), bytes }
    }

    /// Whether a text goes on with it at `at`.
    fn is_at(&self, text: &[u8], at: usize) -> bool {
        let length = self.bytes.len();
        let Some(next) = text.get(at..at + NAME_WORDS) else {
            return text.get(at..at + length) == Some(&*self.bytes);
        };
        let differs = |nth: usize, next: &[u8]| (word_of(next) ^ self.words[nth]) & self.masks[nth];
        let is_short = length <= NAME_WORDS;
        differs(0, next) | differs(1, &next[8..]) == 0
            && (is_short || text.get(at..at + length) == Some(&*self.bytes))
    }
}

/// What is looked for in records of these fields.
#[must_use]
pub fn wanted_of(fields: &[FieldSpec]) -> Vec<Wanted> {
    let is_plain = |name: &str| !name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    let name = |field: &FieldSpec| {
        (field.metadata.is_none() && is_plain(&field.name)).then(|| Name::of(&field.name))
    };
    fields.iter().map(|field| Wanted { name: name(field), field_type: field.field_type }).collect()
}

/// Fields of a record that are told apart; of a stream with more each record goes to the general reader.
const FIELDS_MAX: usize = 64;

/// Reads `payload` into `row`, which is of nothing but [`Plain::Null`], or gives up. `wanted` is [`wanted_of`] the
/// fields.
pub fn read(
    payload: &[u8],
    (fields, wanted): (&[FieldSpec], &[Wanted]),
    row: &mut [Plain],
) -> Option<()> {
    if fields.len() > FIELDS_MAX {
        return None;
    }
    // JSON's spaces, of which a form feed is none.
    let last = payload.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))?;
    let payload = payload.get(..=last)?;
    // An escape, or a control character, wherever it stands.
    if payload.iter().fold(false, |found, byte| found | (*byte == b'\\') | (*byte < b' ')) {
        return None;
    }
    // What stands there beside texts is compared with what is known, so that only texts can be no UTF-8.
    let mut from = Scanner { bytes: payload, at: 0 };
    from.expect(b'{')?;
    // Producers write fields in one order, so the next field is nearly always the expected one, or one not far behind it.
    let (mut expected, mut seen) = (0, 0_u64);
    loop {
        let at = match from.known(wanted, expected) {
            Some(at) => at,
            None => from.field(fields)?,
        };
        let bit = 1_u64 << (at % FIELDS_MAX);
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
        from.value(wanted.get(at)?.field_type, row.get_mut(at)?)?;
        expected = at + 1;
        match from.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    (from.at == payload.len()).then_some(())
}

/// Where in the record the reading is.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ') = self.peek() {
            self.at += 1;
        }
    }

    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        self.skip_space();
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Goes past the name of one of the fields from `expected` on, in their order, if it is next; which one.
    fn known(&mut self, wanted: &[Wanted], expected: usize) -> Option<usize> {
        let next = wanted.get(expected..)?.iter().zip(expected..);
        for (field, at) in next {
            if let Some(name) = &field.name
                && name.is_at(self.bytes, self.at)
            {
                self.at += name.bytes.len();
                return Some(at);
            }
        }
        None
    }

    /// Reads the name of a field with its colon; which field it is.
    fn field(&mut self, fields: &[FieldSpec]) -> Option<usize> {
        self.expect(b'"')?;
        let (from, to) = self.string()?;
        let name = std::str::from_utf8(self.bytes.get(from..to)?).ok()?;
        self.expect(b':')?;
        fields.iter().position(|field| field.is_field(name))
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// The rest of a string behind its first quote, up to the last: from where to where. It is UTF-8.
    #[inline]
    fn string(&mut self) -> Option<(usize, usize)> {
        let rest = self.bytes.get(self.at..)?;
        let (length, is_ascii) = quote_at(rest)?;
        if !is_ascii && !is_utf8(rest.get(..length)?) {
            return None;
        }
        let (from, to) = (self.at, self.at + length);
        self.at = to + 1;
        Some((from, to))
    }

    /// Reads a value to where it is kept. Were it handed back, it would be written in small pieces and copied in large ones
    /// right behind, for which a processor waits longer than for all the rest.
    fn value(&mut self, field_type: FieldType, into: &mut Plain) -> Option<()> {
        self.skip_space();
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let (from, to) = self.string()?;
                match field_type {
                    FieldType::Text => *into = Plain::Text(from, to),
                    other => scalar(other, self.bytes.get(from..to)?, into)?,
                }
            }
            b'n' => self.word(b"null")?,
            b'-' | b'0'..=b'9' => {
                let from = self.at;
                let number = self.number()?;
                match field_type {
                    FieldType::Text => *into = Plain::Text(from, self.at),
                    other => scalar(other, number, into)?,
                }
            }
            b't' if field_type == FieldType::Boolean => {
                self.word(b"true")?;
                *into = Plain::Boolean(true);
            }
            b'f' if field_type == FieldType::Boolean => {
                self.word(b"false")?;
                *into = Plain::Boolean(false);
            }
            _ => return None,
        }
        Some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let found = self.bytes.get(self.at..)?.starts_with(word);
        self.at += word.len();
        found.then_some(())
    }

    /// A number by JSON's grammar.
    fn number(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match (self.peek()?, self.digits()) {
            (_, 0) => return None,
            // No zeros in front.
            (b'0', digits) if digits > 1 => return None,
            _ => {}
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        self.bytes.get(start..self.at)
    }

    /// Goes past digits; how many.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }
}

/// Reads a value that is no text.
fn scalar(field_type: FieldType, bytes: &[u8], into: &mut Plain) -> Option<()> {
    match field_type {
        FieldType::Decimal(precision, scale) => {
            *into = Plain::Decimal(decimal::parse(bytes, precision, scale)?);
        }
        FieldType::Timestamp(zone) => {
            let stamp = match value::plain_stamp(bytes, zone) {
                Some(stamp) => stamp,
                None => value::timestamp(std::str::from_utf8(bytes).ok()?, zone)?,
            };
            *into = Plain::Integer(stamp);
        }
        other => match other.read(std::str::from_utf8(bytes).ok()?)? {
            Value::Null | Value::Text(_) => return None,
            Value::Boolean(value) => *into = Plain::Boolean(value),
            Value::Integer(value) => *into = Plain::Integer(value),
            Value::Float(value) => *into = Plain::Float(value),
            Value::Decimal(value) => *into = Plain::Decimal(value),
        },
    }
    Some(())
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether a text is UTF-8. Names of places and goods are mostly letters of three bytes each, which are read here; all others
/// are looked at by the library.
fn is_utf8(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        // Behind 0xE0 and 0xED not every byte may stand.
        rest = match rest {
            [0xE1..=0xEC | 0xEE..=0xEF, 0x80..=0xBF, 0x80..=0xBF, next @ ..] => next,
            [0..=0x7F, next @ ..] => next,
            [] => return true,
            other => return std::str::from_utf8(other).is_ok(),
        };
    }
}

/// How many bytes stand before the first quote, and whether they are surely all ASCII.
///
/// Eight at a time: a byte of a word minus one borrows into its highest bit only where it was zero, so a
/// byte that equals the quote shows after XOR. A borrow may show a byte too many behind the first, never before it.
fn quote_at(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut at, mut highs) = (0, 0);
    for eight in bytes.chunks_exact(8) {
        let word = word_of(eight);
        let differs = word ^ (ONES * u64::from(b'"'));
        let found = differs.wrapping_sub(ONES) & !differs & HIGHS;
        if found != 0 {
            // The lowest bit that is found is the highest of its byte: below it stand the bytes before the quote.
            let before = (found & found.wrapping_neg()) - 1;
            let quote = at + usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
            return Some((quote, (highs | word & before) & HIGHS == 0));
        }
        highs |= word;
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or(&[]);
    let found = rest.iter().position(|byte| *byte == b'"')?;
    let is_ascii = highs & HIGHS == 0 && rest.get(..found).is_some_and(<[u8]>::is_ascii);
    Some((at + found, is_ascii))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::json;
    use crate::model::Zone;

    fn fields() -> Vec<FieldSpec> {
        let field = |name: &str, field_type| FieldSpec {
            name: name.to_owned(),
            field_type,
            declared: String::new(),
            required: false,
            metadata: None,
        };
        vec![
            field("id", FieldType::Text),
            field("city", FieldType::Text),
            field("amount", FieldType::Decimal(18, 2)),
            field("at", FieldType::Timestamp(Zone::UTC)),
            field("n", FieldType::Integer(32)),
            field("ok", FieldType::Boolean),
            field("x", FieldType::Float(64)),
        ]
    }

    fn plain(payload: &[u8]) -> Option<Vec<Value<'_>>> {
        let fields = fields();
        let mut row = vec![Plain::Null; fields.len()];
        read(payload, (&fields, &wanted_of(&fields)), &mut row)?;
        let value = |plain: Plain| match plain {
            Plain::Text(from, to) => {
                Value::Text(std::str::from_utf8(&payload[from..to]).expect("UTF-8").into())
            }
            other => other.scalar(),
        };
        Some(row.into_iter().map(value).collect())
    }

    fn general(payload: &[u8]) -> Result<Vec<Value<'_>>, crate::model::RejectReason> {
        let fields = fields();
        let mut row = vec![Value::Null; fields.len()];
        json::read(payload, &fields, &mut row, &mut |_| {}).map(|_| row)
    }

    const ORDER: &str = r#"{"id":"a1b2c3d4e5f60718","city":"杭州","amount":129.90,"at":"2020-11-11T00:00:26.123+08:00","n":-7,"ok":true,"x":1.5e3}"#;

    #[test]
    fn an_order_as_producers_write_it_is_read_here() {
        assert_eq!(plain(ORDER.as_bytes()), Some(general(ORDER.as_bytes()).expect("an order")));
        assert_eq!(
            plain(ORDER.as_bytes()).map(|row| row[1].clone()),
            Some(Value::Text("杭州".into()))
        );
        assert!(plain(format!("{ORDER} \r\n").as_bytes()).is_some());
        assert_eq!(plain(format!("{ORDER}\x0C").as_bytes()), None, "no space of JSON's");
        // Which of two values counts is for the general reader to say.
        assert_eq!(plain(br#"{"n":5,"id":"a","n":6}"#), None);
        for other in
            [r#" { "n" : 5 , "id" : null } "#, r#"{"id":"a","n":5,"city":"b"}"#, r#"{"id":7}"#]
        {
            let other = other.as_bytes();
            assert_eq!(plain(other), Some(general(other).expect("an order")));
        }
    }

    #[test]
    fn what_is_read_here_is_read_as_the_general_reader_does_whatever_byte_is_changed() {
        let (mut same, mut given_up) = (0, 0);
        for at in 0..ORDER.len() {
            for byte in b"\"\\{}[],:.0 1eE+-ntfu\x1f\x7f\xC3\xFF" {
                for length in [ORDER.len(), at + 1] {
                    let mut payload = ORDER.as_bytes()[..length].to_vec();
                    payload[at] = *byte;
                    match plain(&payload) {
                        None => given_up += 1,
                        Some(row) => {
                            assert_eq!(
                                Ok(row),
                                general(&payload),
                                "{}",
                                String::from_utf8_lossy(&payload)
                            );
                            same += 1;
                        }
                    }
                }
            }
        }
        assert!(same > 300 && given_up > 300, "{same} and {given_up}");
    }

    #[test]
    fn a_name_is_known_wherever_it_stands_and_however_long_it_is() {
        for length in 0..40 {
            let field = "n".repeat(length);
            let name = Name::of(&field);
            for (before, behind) in [("", ""), ("", "1"), ("{", "12345678901234567890"), ("{", "")]
            {
                let text = format!("{before}\"{field}\":{behind}");
                assert!(name.is_at(text.as_bytes(), before.len()), "{text}");
                for at in before.len()..text.len() - behind.len() {
                    let mut other = text.clone().into_bytes();
                    other[at] ^= 1;
                    assert!(!name.is_at(&other, before.len()), "{text} but for byte {at}");
                }
                assert!(
                    !name.is_at(&text.as_bytes()[..text.len() - behind.len() - 1], before.len())
                );
            }
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        for number in ["01", "-", ".5", "5.", "1e", "1e+", "+1", "0x1", "- 1", "1 1", "NaN", "--1"]
        {
            assert_eq!(plain(format!("{{\"x\":{number}}}").as_bytes()), None, "{number}");
        }
        for number in ["0", "-0", "10", "1.50", "1E3", "1e-3", "-1.25e+2"] {
            let payload = format!("{{\"x\":{number}}}");
            assert_eq!(plain(payload.as_bytes()), general(payload.as_bytes()).ok(), "{number}");
        }
    }

    #[test]
    fn the_end_of_a_string_is_found_at_any_place() {
        for length in 0..40 {
            for fill in [b' ', b'!', b'#', b'z', 0x00, 0x21, 0x7F, 0x80, 0xA2, 0xFF] {
                let mut bytes = vec![fill; length];
                assert_eq!(quote_at(&bytes), None);
                bytes.extend_from_slice("\"\"\\\"\x01 aaaa杭州aaaaaa".as_bytes());
                assert_eq!(quote_at(&bytes), Some((length, length == 0 || fill < 0x80)));
            }
        }
    }

    #[test]
    fn texts_are_utf8_as_the_library_says() {
        let parts: [&[u8]; 14] = [
            b"",
            b"a",
            "\u{E9}".as_bytes(),
            "杭州".as_bytes(),
            "\u{800}".as_bytes(),
            "\u{D7FF}".as_bytes(),
            "\u{FFFF}".as_bytes(),
            "\u{1F600}".as_bytes(),
            b"\x80",
            b"\xE0\x80\x80",
            b"\xED\xA0\x80",
            b"\xE6\x9D",
            b"\xE6\x9D\xC0",
            b"\xFF",
        ];
        for first in parts {
            for second in parts {
                let text = [first, second, b"z"].concat();
                assert_eq!(is_utf8(&text), std::str::from_utf8(&text).is_ok(), "{text:X?}");
                let text = &text[..text.len() - 1];
                assert_eq!(is_utf8(text), std::str::from_utf8(text).is_ok(), "{text:X?}");
            }
        }
    }

    #[test]
    fn a_text_of_other_letters_is_told_from_ascii_wherever_they_stand() {
        for length in 1..40 {
            for at in 0..length {
                let mut bytes = vec![b'a'; length];
                bytes[at] = 0x80;
                bytes.push(b'"');
                assert_eq!(quote_at(&bytes), Some((length, false)), "{at} of {length}");
                bytes.extend_from_slice(b"aaaaaaaa");
                assert_eq!(quote_at(&bytes), Some((length, false)), "{at} of {length} and more");
                // No UTF-8 in a text is no record for this reader.
                let record = [b"{\"id\":\"", bytes.as_slice()].concat();
                assert_eq!(
                    plain(
                        &record[..record.len() - 8].iter().chain(b"}").copied().collect::<Vec<_>>()
                    ),
                    None
                );
            }
        }
    }
}
