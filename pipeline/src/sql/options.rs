//! `WITH ('key' = 'value', …)`: durations, sizes and words, each read once and checked.

use std::collections::BTreeMap;
use std::time::Duration;

/// The options of one statement, in the order of their keys.
pub type Options = BTreeMap<String, String>;

/// Reads a duration as people write it: `3 d`, `1 h`, `5 min`, `10 s`, `250 ms`.
///
/// # Errors
/// When the number or the unit is not one of these.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let wrong =
        || format!("'{text}' is not a duration; write a number and d, h, min, s or ms, as '3 d'");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit.trim().to_ascii_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "second" | "seconds" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// A duration in whole milliseconds.
#[must_use]
pub fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Which rows of a view are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Emit {
    /// Each window once, when it is closed.
    Final,
    /// Every change, with mark and revision.
    #[default]
    Changes,
}

/// Reads `'final'` or `'changes'`.
///
/// # Errors
/// When it is neither.
pub fn emit(text: &str) -> Result<Emit, String> {
    match text.trim() {
        "final" => Ok(Emit::Final),
        "changes" => Ok(Emit::Changes),
        other => Err(format!("'{other}' is neither 'changes' nor 'final'")),
    }
}

/// How many rows or how much event time a view's snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The newest windows that together hold at least this many rows.
    Rows(usize),
    /// Windows that ended at most this long before the newest, in milliseconds.
    Time(i64),
}

/// Reads `'600 rows'` or a duration.
///
/// # Errors
/// When it is neither.
pub fn retention(text: &str) -> Result<Retention, String> {
    let text = text.trim();
    match text.strip_suffix("rows").or_else(|| text.strip_suffix("row")) {
        Some(number) => match number.trim().parse() {
            Ok(rows) if rows > 0 => Ok(Retention::Rows(rows)),
            _ => Err(format!("'{text}' is not a number of rows; write as '600 rows'")),
        },
        None => duration(text).map(|long| Retention::Time(ms(long))),
    }
}

/// The longest time that both are multiples of.
#[must_use]
pub fn greatest_common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The known key nearest to `key`, for "did you mean".
#[must_use]
pub fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate))
        .min()
        .filter(|(far, _)| *far <= 3)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance of two short words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("3 d"), Ok(Duration::from_secs(259_200)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("soon").is_err());
        assert!(duration("5 fortnights").is_err());
    }

    #[test]
    fn retention_is_rows_or_time() {
        assert_eq!(retention("600 rows"), Ok(Retention::Rows(600)));
        assert_eq!(retention("1 d"), Ok(Retention::Time(86_400_000)));
        assert!(retention("0 rows").is_err());
    }

    #[test]
    fn the_nearest_key_is_named_only_when_near() {
        assert_eq!(nearest("dedup.kye", &["dedup.key", "topic"]), Some("dedup.key"));
        assert_eq!(nearest("colour", &["dedup.key", "topic"]), None);
    }
}
