//! Patterns of times as PostgreSQL writes them: `to_char(event_time, 'YYYY-MM-DD HH24:MI')`.
//!
//! The engine's own have `%`, and it would take PostgreSQL's for text that stands for itself. What has no `%` is read as
//! PostgreSQL's here; what cannot be said in the engine's words is refused.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::wrapped::{Manner, Wrapped};

/// PostgreSQL's fields and the engine's, the longest first.
const FIELDS: [(&str, &str); 32] = [
    ("FMMonth", "%B"),
    ("FMHH24", "%-H"),
    ("FMHH12", "%-I"),
    ("FMDay", "%A"),
    ("FMDDD", "%-j"),
    ("FMHH", "%-I"),
    ("FMMM", "%-m"),
    ("FMDD", "%-d"),
    ("FMMI", "%-M"),
    ("FMSS", "%-S"),
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("A.M.", ""),
    ("P.M.", ""),
    ("IDDD", ""),
    ("DDD", "%j"),
    ("Mon", "%b"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("IW", "%V"),
    ("ID", "%u"),
    ("Dy", "%a"),
];

/// Those whose letters say how the word is written, so that case matters.
const IN_LETTERS: [&str; 6] = ["FMMonth", "FMDay", "Mon", "Dy", "AM", "PM"];

/// Functions with patterns, beside those that read a moment.
///
/// # Errors
/// When the engine has one no longer.
pub(super) fn all(state: &SessionState) -> Result<Vec<ScalarUDF>> {
    ["to_char", "to_date"].into_iter().map(|name| Wrapped::of(state, name, Patterns)).collect()
}

/// The engine's function, given its own patterns.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Patterns;

impl Manner for Patterns {
    fn return_type(&self, engine: &DataType, _: &[DataType]) -> DataType {
        engine.clone()
    }

    fn check(&self, arguments: &[DataType]) -> Result<()> {
        match arguments {
            [DataType::Interval(_), _] => plan_err!(
                "an interval has no pattern here: count it with EXTRACT(epoch FROM …), or CAST it to VARCHAR"
            ),
            [number, pattern] if number.is_numeric() && !pattern.is_numeric() => plan_err!(
                "a number has no pattern here: write CAST(ROUND(x, 2) AS VARCHAR), or to_char of a time"
            ),
            _ => Ok(()),
        }
    }

    fn invoke(&self, inner: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        inner.invoke_with_args(with_patterns(args)?)
    }
}

/// The arguments with every pattern, which are all but the first, in the engine's words.
///
/// # Errors
/// For a pattern that cannot be said so.
pub(super) fn with_patterns(mut args: ScalarFunctionArgs) -> Result<ScalarFunctionArgs> {
    for argument in args.args.iter_mut().skip(1) {
        *argument = match &*argument {
            ColumnarValue::Scalar(value) => match value.try_as_str().flatten() {
                Some(pattern) => ColumnarValue::from(ScalarValue::from(of_engine(pattern)?)),
                None => continue,
            },
            ColumnarValue::Array(patterns) => {
                let texts = cast(patterns, &DataType::Utf8)?;
                let told = texts.as_string::<i32>().iter();
                let told = told.map(|pattern| pattern.map(of_engine).transpose());
                let told: StringArray = told.collect::<Result<_>>()?;
                ColumnarValue::Array(Arc::new(told) as ArrayRef)
            }
        };
    }
    Ok(args)
}

/// A pattern in the engine's words; one that has a `%` is so already.
///
/// # Errors
/// When it has what cannot be said.
fn of_engine(pattern: &str) -> Result<String> {
    if pattern.contains('%') || pattern.eq_ignore_ascii_case("ISO8601") {
        return Ok(pattern.to_owned());
    }
    let mut told = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if letter == '"' {
            let quoted = rest.get(1..).unwrap_or_default();
            let (literal, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            told.push_str(literal);
            rest = after;
            continue;
        }
        if !letter.is_ascii_alphabetic() {
            told.push(letter);
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            continue;
        }
        let found = FIELDS.iter().find(|(field, _)| match rest.get(..field.len()) {
            Some(head) if IN_LETTERS.contains(field) => head == *field,
            Some(head) => head.eq_ignore_ascii_case(field),
            None => false,
        });
        let behind = |field: &str| rest.get(field.len()..).unwrap_or_default();
        match found {
            // A number in words (`1st`) is not among the engine's.
            Some((field, engine)) if !engine.is_empty() && !is_ordinal(engine, behind(field)) => {
                told.push_str(engine);
                rest = behind(field);
            }
            // The T between a day and a time.
            None if letter == 'T' && !rest.starts_with("TZ") => {
                told.push('T');
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => {
                let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
                return exec_err!(
                    "the pattern '{pattern}' has {word}, which is not known here: YYYY, YY, MM, Mon, FMMonth, DD, DDD, Dy, FMDay, \
                     HH24, HH12, MI, SS, MS, US, AM, IYYY, IW, ID are, and text in double quotes"
                );
            }
        }
    }
    Ok(told)
}

fn is_ordinal(engine: &str, behind: &str) -> bool {
    let is_th = behind.get(..2).is_some_and(|two| two.eq_ignore_ascii_case("th"));
    // `DDTHH24` is a day, a T and an hour.
    let is_hour = behind.get(1..3).is_some_and(|two| two.eq_ignore_ascii_case("hh"));
    is_th && !is_hour && engine.starts_with('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_postgresql_are_said_in_the_engines_words() {
        for (pattern, told) in [
            ("YYYY-MM-DD HH24:MI:SS", "%Y-%m-%d %H:%M:%S"),
            ("yyyy-mm-dd hh24:mi", "%Y-%m-%d %H:%M"),
            ("YYYY-MM-DDTHH24:MI:SS.MS", "%Y-%m-%dT%H:%M:%S.%3f"),
            ("YYYY\"年\"MM\"月\"DD\"日\"", "%Y年%m月%d日"),
            ("YYYY年FMMM月", "%Y年%-m月"),
            ("HH12:MI AM", "%I:%M %p"),
            ("Dy, DD Mon YYYY", "%a, %d %b %Y"),
            ("IYYY-\"W\"IW", "%G-W%V"),
            ("%Y/%m", "%Y/%m"),
        ] {
            assert_eq!(of_engine(pattern).expect(pattern), told);
        }
        for (pattern, word) in [
            ("DDth", "DDth"),
            ("Q", "Q"),
            ("YYYY TZ", "TZ"),
            ("MONTH", "MONTH"),
            ("HH24 Uhr", "Uhr"),
        ] {
            let refused = of_engine(pattern).expect_err(pattern).to_string();
            assert!(refused.contains(&format!("has {word}, which")), "{refused}");
        }
    }
}
