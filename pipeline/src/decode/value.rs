//! One field's text as a value of its declared type.

use std::borrow::Cow;

use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::{NaiveDate, Timelike as _, Utc};

use super::decimal;
use crate::model::Zone;

/// How a field's text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// `true` or `false`.
    Boolean,
    /// A whole number of this many bits.
    Integer(u8),
    /// A binary float of 32 or 64 bits.
    Float(u8),
    /// Digits in all, and after the point.
    Decimal(u8, i8),
    /// Text.
    Text,
    /// A calendar day.
    Date,
    /// An instant; stamps without a zone are read in this one.
    Timestamp(Zone),
}

/// A value, ready to be appended.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
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
    /// Text, borrowed from the record where it stands there as it is.
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// The value with its own text.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Float(value) => Value::Float(value),
            Self::Decimal(value) => Value::Decimal(value),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        }
    }
}

impl FieldType {
    /// Reads `text`; `None` when it is no such value or does not fit.
    #[must_use]
    pub fn read(self, text: &str) -> Option<Value<'_>> {
        match self {
            Self::Boolean => match text {
                "true" | "TRUE" | "True" => Some(Value::Boolean(true)),
                "false" | "FALSE" | "False" => Some(Value::Boolean(false)),
                _ => None,
            },
            Self::Integer(bits) => integer(text, bits).map(Value::Integer),
            Self::Float(bits) => float(text, bits).map(Value::Float),
            Self::Decimal(precision, scale) => {
                decimal::parse(text, precision, scale).map(Value::Decimal)
            }
            Self::Text => Some(Value::Text(Cow::Borrowed(text))),
            Self::Date => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| {
                Value::Integer(day.signed_duration_since(NaiveDate::default()).num_days())
            }),
            Self::Timestamp(zone) => timestamp(text, zone).map(Value::Integer),
        }
    }
}

fn integer(text: &str, bits: u8) -> Option<i64> {
    let value: i64 = match text.parse() {
        Ok(value) => value,
        // 7.0 and 7e0 are whole numbers too, and some producers write them.
        Err(_) => i64::try_from(decimal::parse(text, 19, 0)?).ok()?,
    };
    let limit = 1_i64.checked_shl(u32::from(bits) - 1).filter(|_| bits < 64);
    limit.is_none_or(|limit| (-limit..limit).contains(&value)).then_some(value)
}

fn float(text: &str, bits: u8) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let fits = bits == 64 || value.abs() <= f64::from(f32::MAX);
    // Added to zero, -0.0 is 0.0: one number, one value.
    (value.is_finite() && fits).then_some(value + 0.0)
}

/// Epoch milliseconds of a number, or of a stamp as ISO 8601 writes it.
pub(super) fn timestamp(text: &str, zone: Zone) -> Option<i64> {
    if let Some(ms) = plain_stamp(text.as_bytes(), zone) {
        return Some(ms);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && !text.contains('-')
        || text.starts_with('-')
    {
        return text.parse().ok();
    }
    // The general reader; without a zone of its own the stamp comes back as if it were UTC.
    let read = string_to_datetime(&Utc, text).ok()?;
    // A second 60 would be the first of the next minute, and at midnight of the next day. No clock that counts
    // milliseconds since 1970 has it, Flink refuses it, and the log's own time does not say which was meant.
    if read.nanosecond() >= 1_000_000_000 {
        return None;
    }
    let read = read.timestamp_millis();
    match own_zone(text) {
        None => Some(zone.utc_ms(read)),
        Some(own) => is_real_offset(own).then_some(read),
    }
}

/// What a stamp says after its time, a zone's name or an offset; `None` where it says nothing.
fn own_zone(text: &str) -> Option<&str> {
    // Behind the letter between day and time, wherever that is.
    let time = text.get(11..)?;
    let end = time.find(|one: char| !(one.is_ascii_digit() || one == ':' || one == '.'))?;
    time.get(end..).map(str::trim)
}

/// Whether an offset is one that a clock may have: at most 18 hours, as Java's and Flink's `ZoneOffset`. Of a name another
/// reader has said that it is a zone.
fn is_real_offset(zone: &str) -> bool {
    let Some(offset) = zone.strip_prefix(['+', '-']) else { return true };
    let digits: Vec<i64> =
        offset.bytes().filter(u8::is_ascii_digit).map(|digit| i64::from(digit - b'0')).collect();
    let (hours, minutes) = match *digits.as_slice() {
        [ten, one] => (ten * 10 + one, 0),
        [ten, one, tens, ones] => (ten * 10 + one, tens * 10 + ones),
        _ => return false,
    };
    minutes < 60 && hours * 60 + minutes <= OFFSET_MINUTES_MAX
}

const OFFSET_MINUTES_MAX: i64 = 18 * 60;

/// `YYYY-MM-DD[T ]HH:MM:SS[.fff…][Z|±HH:MM]`, the common case, without the general reader.
pub(super) fn plain_stamp(text: &[u8], zone: Zone) -> Option<i64> {
    let number = |from: usize, to: usize| {
        text.get(from..to)?.iter().try_fold(0_i64, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
        })
    };
    let is = |at: usize, byte: u8| text.get(at) == Some(&byte);
    if !(is(4, b'-')
        && is(7, b'-')
        && (is(10, b'T') || is(10, b' '))
        && is(13, b':')
        && is(16, b':'))
    {
        return None;
    }
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let day = day_number(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let mut ms = ((day * 24 + hour) * 60 + minute) * 60_000 + second * 1_000;
    let mut at = 19;
    if is(at, b'.') {
        let digits = text.get(20..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let first = number(20, 20 + digits.min(3))?;
        ms += first * [0, 100, 10, 1][digits.min(3)];
        at = 20 + digits;
    }
    match text.get(at..)? {
        [] => Some(zone.utc_ms(ms)),
        [b'Z'] => Some(ms),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            let shift = (hours * 60 + minutes) * 60_000;
            if minutes > 59 || shift > OFFSET_MINUTES_MAX * 60_000 {
                return None;
            }
            Some(if *sign == b'+' { ms - shift } else { ms + shift })
        }
        _ => None,
    }
}

/// Days since 1970-01-01 of a Gregorian date, or nothing for one that does not exist.
///
/// The shift of the year to March is Howard Hinnant's `days_from_civil`.
fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp<'a>(text: &'a str, zone: &str) -> Option<Value<'a>> {
        FieldType::Timestamp(Zone::named(zone).expect("zone")).read(text)
    }

    #[test]
    fn stamps_are_read_with_their_zone_or_the_streams() {
        let midnight = Some(Value::Integer(1_605_024_000_000)); // 2020-11-10T16:00:00Z
        assert_eq!(stamp("2020-11-11T00:00:00.000+08:00", "UTC"), midnight);
        assert_eq!(stamp("2020-11-11 00:00:00", "Asia/Shanghai"), midnight);
        assert_eq!(stamp("2020-11-10T16:00:00Z", "Asia/Shanghai"), midnight);
        assert_eq!(stamp("1605024000000", "Asia/Shanghai"), midnight);
        assert_eq!(
            stamp("2020-11-11 00:00:00.1239", "Asia/Shanghai"),
            Some(Value::Integer(1_605_024_000_123))
        );
        assert_eq!(stamp("2020-11-11", "Asia/Shanghai"), midnight);
    }

    #[test]
    fn a_zone_of_its_own_is_read_once_wherever_it_stands() {
        let nine = Some(Value::Integer(1_605_056_400_000)); // 2020-11-11T01:00:00Z
        for text in [
            "2020-11-11T01:00:00UTC",
            "2020-11-11T01:00:00GMT",
            "2020-11-11 01:00:00 UTC",
            "2020-11-11T01:00:00.000z",
            "2020-11-11T10:00:00Asia/Tokyo",
            "2020-11-11 10:00:00 Asia/Tokyo",
            "2020-11-11T09:00:00.000Asia/Shanghai",
            "2020-11-11T09:00:00PRC",
            "2020-11-11T09:00:00+08",
            "2020-11-11T09:00:00+0800",
            "2020-11-11 09:00:00 +08:00",
            "2020-11-10T20:00:00-05:00",
        ] {
            assert_eq!(stamp(text, "Asia/Shanghai"), nine, "{text}");
        }
    }

    #[test]
    fn an_offset_that_no_clock_has_is_refused() {
        for offset in
            ["-99:99", "+25:00", "+08:75", "+0875", "+18:01", "-1801", "+8", "+08:00:00:00"]
        {
            assert_eq!(stamp(&format!("2020-11-11T00:00:00{offset}"), "UTC"), None, "{offset}");
            assert_eq!(stamp(&format!("2020-11-11 00:00:00 {offset}"), "UTC"), None, "{offset}");
        }
        assert!(stamp("2020-11-11T00:00:00+18:00", "UTC").is_some());
    }

    #[test]
    fn a_day_that_does_not_exist_is_refused() {
        assert_eq!(stamp("2021-02-29 00:00:00", "UTC"), None);
        assert_eq!(stamp("2020-13-01 00:00:00", "UTC"), None);
        assert_eq!(stamp("soon", "UTC"), None);
    }

    #[test]
    fn a_second_sixty_is_refused_rather_than_counted_on_the_next_day() {
        for text in [
            "2016-12-31T23:59:60Z",
            "2016-12-31 23:59:60",
            "2016-12-31 23:59:60.500",
            "2017-01-01T07:59:60+08:00",
            "2020-11-11 12:30:60",
        ] {
            assert_eq!(stamp(text, "Asia/Shanghai"), None, "{text}");
            assert_eq!(stamp(text, "UTC"), None, "{text}");
        }
    }

    #[test]
    fn minus_zero_is_zero() {
        for text in ["-0.0", "-0", "-0e5"] {
            let Some(Value::Float(zero)) = FieldType::Float(64).read(text) else {
                panic!("{text}")
            };
            assert!(zero.is_sign_positive(), "{text}");
        }
    }

    #[test]
    fn numbers_must_fit_their_type() {
        assert_eq!(FieldType::Integer(32).read("2147483648"), None);
        assert_eq!(FieldType::Integer(64).read("7.0"), Some(Value::Integer(7)));
        assert_eq!(FieldType::Float(64).read("NaN"), None);
        assert_eq!(FieldType::Float(64).read("1e999"), None);
    }
}
