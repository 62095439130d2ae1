//! Records as they should not be: truncated, flipped, mistyped, too deep, too large, badly encoded.
//!
//! [`record`] makes one of them, with what is known of its fate.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// What must become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It counts.
    Accepted,
    /// It is a dead letter.
    Rejected,
    /// It may be either, but it must be one of them.
    Either,
}

/// One record.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What must become of it.
    pub fate: Fate,
    /// What was done to it.
    pub kind: &'static str,
}

/// `record.bytes-max` of the stream: over the default's size of one record, so that large ones are tried.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// The stream these records are for: a column of every type a stream can declare.
#[must_use]
pub fn stream_sql(format: &str) -> String {
    format!(
        "CREATE TABLE orders (\n  id STRING NOT NULL,\n  amount DECIMAL(12, 2) NOT NULL,\n  event_time TIMESTAMP(3) NOT NULL,\n  \
         flag BOOLEAN,\n  tiny TINYINT,\n  small SMALLINT,\n  whole INT,\n  big BIGINT,\n  narrow FLOAT,\n  wide DOUBLE,\n  \
         day DATE,\n  long DECIMAL(38, 10),\n  note STRING,\n  \
         WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND\n) WITH (\n  'connector' = 'embedded', 'format' = '{format}', \
         'time-zone' = 'Asia/Shanghai', 'record.bytes-max' = '{RECORD_BYTES_MAX}'\n);\n"
    )
}

/// A good record that is counted by its id; its amount is its number in hundredths.
#[must_use]
pub fn good(format: &str, number: u64) -> Made {
    let amount = format!("{}.{:02}", number / 100, number % 100);
    let bytes = if format == "csv" {
        format!(
            "good-{number},{amount},2020-11-11 00:00:00,true,1,2,3,4,0.5,0.25,2020-11-11,1.5,\"a \"\"b\"\", c\""
        )
    } else {
        format!(
            "{{\"id\":\"good-{number}\",\"amount\":\"{amount}\",\"event_time\":\"2020-11-11 00:00:00\",\"flag\":true,\"tiny\":1,\
             \"small\":2,\"whole\":3,\"big\":4,\"narrow\":0.5,\"wide\":0.25,\"day\":\"2020-11-11\",\"long\":1.5,\"note\":\"a\"}}"
        )
    };
    Made { bytes: bytes.into_bytes(), fate: Fate::Accepted, kind: "good" }
}

fn base(format: &str, number: u64) -> Vec<u8> {
    let good = String::from_utf8(good(format, number).bytes).unwrap_or_default();
    good.replace("good-", "evil-").into_bytes()
}

/// Values no column of that type holds, as JSON.
const WRONG: [(&str, &[&str]); 13] = [
    ("id", &["null"]),
    (
        "amount",
        &[
            "NaN",
            "Infinity",
            "1e400",
            "\"1e400\"",
            "12345678901.00",
            "0.001",
            "true",
            "[1]",
            "{}",
            "\"\"",
            "\"1,000\"",
            "null",
            "\"0x10\"",
            "--1",
            "+1",
            "01",
            "1.",
            ".5",
        ],
    ),
    (
        "event_time",
        &[
            "\"soon\"",
            "\"2020-13-01 00:00:00\"",
            "\"2020-02-30 00:00:00\"",
            "\"2020-11-11 25:00:00\"",
            "\"1970-01-01 00:00:00\"",
            "true",
            "[]",
            "null",
            "\"\"",
            "99999999999999999999",
            "-5",
        ],
    ),
    ("flag", &["\"yes\"", "1", "tru", "[true]"]),
    ("tiny", &["128", "-129", "1.5", "\"x\"", "1e10"]),
    ("small", &["32768", "-32769", "\"\""]),
    ("whole", &["2147483648", "1e99", "true"]),
    ("big", &["9223372036854775808", "-9223372036854775809", "1e30"]),
    ("narrow", &["1e39", "\"NaN\"", "\"inf\"", "\"-Infinity\""]),
    ("wide", &["1e999", "\"nan\"", "\"Infinity\"", "{}"]),
    ("day", &["\"2020-02-30\"", "\"yesterday\"", "true", "\"20201111\""]),
    ("long", &["12345678901234567890123456789.0", "\"1.00000000001\"", "[]"]),
    ("note", &["\"\\ud800\"", "\"\u{1}\"", "\"\\x\"", "\"unfinished"]),
];

/// A record of a random kind.
pub fn record(dice: &mut ChaCha8Rng, format: &str, number: u64) -> Made {
    let bytes = base(format, number);
    if format == "csv" { bad_csv(dice, bytes) } else { bad_json(dice, bytes) }
}

fn made(kind: &'static str, fate: Fate, bytes: Vec<u8>) -> Made {
    Made { bytes, fate, kind }
}

fn bad_json(dice: &mut ChaCha8Rng, mut bytes: Vec<u8>) -> Made {
    use Fate::{Either, Rejected};
    let insert = |bytes: &[u8], text: &[u8]| [&b"{"[..], text, &bytes[1..]].concat();
    match dice.random_range(0..20) {
        0 => {
            bytes.truncate(dice.random_range(0..bytes.len()));
            made("truncated", Rejected, bytes)
        }
        1 => {
            for _ in 0..dice.random_range(1..4) {
                let at = dice.random_range(0..bytes.len());
                bytes[at] ^= 1 << dice.random_range(0..8);
            }
            made("flipped bits", Either, bytes)
        }
        2 => {
            let bytes = (0..dice.random_range(0..200)).map(|_| dice.random()).collect();
            made("random bytes", Rejected, bytes)
        }
        3..8 => {
            let (field, wrong) = WRONG[dice.random_range(0..WRONG.len())];
            let wrong = wrong[dice.random_range(0..wrong.len())];
            made("wrong value", Rejected, with_value(&bytes, field, wrong))
        }
        8 => {
            let depth = dice.random_range(100..20_000);
            let deep = [&b"\"deep\":"[..], &b"[".repeat(depth), &b"]".repeat(depth), b","].concat();
            made("nested deeply", Either, insert(&bytes, &deep))
        }
        9 => made("not closed deeply", Rejected, b"{\"a\":".repeat(dice.random_range(100..20_000))),
        10 => made("a byte order mark", Rejected, [&b"\xef\xbb\xbf"[..], &bytes].concat()),
        11 => made("bad UTF-8", Rejected, insert(&bytes, b"\"note\":\"\xff\xfe\xc0\x80\",")),
        12 => made("a lone surrogate", Rejected, with_value(&bytes, "note", "\"\\udc00\"")),
        13 => made("a control character", Rejected, with_value(&bytes, "note", "\"a\nb\"")),
        14 => made("something behind", Rejected, [&bytes[..], b"{}"].concat()),
        15 => {
            let bytes = [&b"null"[..], b"[]", b"\"text\"", b"17", b"true", b"", b" "]
                [dice.random_range(0..7)];
            made("not an object", Rejected, bytes.to_vec())
        }
        16 => made(
            "the same field twice",
            Either,
            insert(&bytes, b"\"amount\":\"1.00\",\"amount\":\"2.00\","),
        ),
        17 => made(
            "a huge number",
            Rejected,
            with_value(&bytes, "amount", &"9".repeat(dice.random_range(20..5_000))),
        ),
        18 => {
            let spaces = RECORD_BYTES_MAX - bytes.len() + 1 + dice.random_range(0..1_000);
            // Large records are few, or they would be all the time the test takes.
            if dice.random_bool(0.02) {
                bytes.extend(b" ".repeat(spaces));
                return made("too large by spaces", Rejected, bytes);
            }
            bytes.extend(b" ".repeat(dice.random_range(0..1_000)));
            bytes.push(b'7');
            made("something behind spaces", Rejected, bytes)
        }
        _ => made("other names", Rejected, replaced(&bytes, b"\"amount\"", b"\"Amount\"")),
    }
}

fn bad_csv(dice: &mut ChaCha8Rng, mut bytes: Vec<u8>) -> Made {
    use Fate::{Either, Rejected};
    match dice.random_range(0..10) {
        0 => {
            bytes.truncate(dice.random_range(0..40));
            made("truncated", Rejected, bytes)
        }
        1 => {
            let at = dice.random_range(0..bytes.len());
            bytes[at] ^= 1 << dice.random_range(0..8);
            made("flipped bits", Either, bytes)
        }
        2 => made("too many fields", Rejected, [&bytes[..], b",1,2"].concat()),
        3 => made("too few fields", Rejected, b"evil-1,1.00,2020-11-11 00:00:00".to_vec()),
        4 => made("an open quote", Rejected, [&b"\"evil"[..], &bytes].concat()),
        5 => made("a bare quote", Either, replaced(&bytes, b"0.25", b"0\"25")),
        6 => made("bad UTF-8", Rejected, [&b"\xff\xfe"[..], &bytes].concat()),
        7 => {
            let bytes = (0..dice.random_range(0..200)).map(|_| dice.random()).collect();
            made("random bytes", Rejected, bytes)
        }
        8 => {
            let (_, wrong) = WRONG[1];
            let wrong = wrong[dice.random_range(0..wrong.len())].replace('"', "");
            // CSV takes what a JSON number may not look like.
            let fate =
                if ["+1", "01", "1.", ".5"].contains(&wrong.as_str()) { Either } else { Rejected };
            let mut fields: Vec<&[u8]> = bytes.splitn(3, |byte| *byte == b',').collect();
            let quoted = format!("\"{wrong}\"");
            fields[1] = quoted.as_bytes();
            made("wrong value", fate, fields.join(&b','))
        }
        _ => made("a line break", Either, replaced(&bytes, b"a \"\"b\"\"", b"a \r\n\0b")),
    }
}

/// The record with another value for a field.
fn with_value(bytes: &[u8], field: &str, value: &str) -> Vec<u8> {
    let name = format!("\"{field}\":");
    let Some(from) = bytes.windows(name.len()).position(|part| part == name.as_bytes()) else {
        return bytes.to_vec();
    };
    let from = from + name.len();
    // No value of a good record holds a comma or a brace.
    let to = bytes[from..]
        .iter()
        .position(|byte| b",}".contains(byte))
        .map_or(bytes.len(), |at| from + at);
    [&bytes[..from], value.as_bytes(), &bytes[to..]].concat()
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match bytes.windows(old.len()).position(|part| part == old) {
        Some(at) => [&bytes[..at], new, &bytes[at + old.len()..]].concat(),
        None => bytes.to_vec(),
    }
}
