//! The worst size of a function's value, from the sizes of its arguments.

use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use datafusion::scalar::ScalarValue;

use super::sizes::Sizes;

/// Bytes of a letter at most.
const LETTER_BYTES: usize = 4;
/// Bytes of a value that has a fixed, small length.
const SMALL_BYTES: usize = 64;

/// How the value of a function grows with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// At most so many times all arguments together.
    Times(usize),
    /// `concat_ws`: all arguments, and the first between each two.
    Separated,
    /// `array_to_string`: the list as text, and the other arguments once an entry.
    Listed,
    /// `replace`: the third argument wherever the second is found.
    Replaced,
    /// `regexp_replace`: the third argument wherever the second matches, with what it captured.
    Matched,
    /// `regexp_match`: the text once a group of the pattern.
    Captured,
    /// `array_replace`: the third argument instead of every entry.
    Exchanged,
    /// `lpad`, `rpad`: as many letters as the second argument says.
    Padded,
    /// `levenshtein`: a number, for as much work as both lengths multiplied.
    Compared,
}

/// How a function grows; `None` for one whose value is short whatever it is given, or that only
/// hands one of its arguments on.
pub(super) fn growth(name: &str) -> Option<Growth> {
    Some(match name {
        "replace" => Growth::Replaced,
        "regexp_replace" => Growth::Matched,
        "regexp_match" => Growth::Captured,
        "lpad" | "rpad" => Growth::Padded,
        "concat_ws" => Growth::Separated,
        "array_to_string" | "list_to_string" | "array_join" | "list_join" => Growth::Listed,
        "levenshtein" => Growth::Compared,
        // Strings as long as their arguments, or as all of them together.
        "||" | "concat" | "overlay" | "substr" | "substr_index" | "left" | "right" | "btrim"
        | "trim" | "ltrim" | "rtrim" | "split_part" | "reverse" | "decode" | "md5" | "sha224"
        | "sha256" | "sha384" | "sha512" | "digest" | "chr" | "to_hex" | "regexp_like"
        | "regexp_count" | "regexp_instr" | "find_in_set" | "strpos" | "contains" => {
            Growth::Times(1)
        }
        "lower" | "upper" | "initcap" | "casefold" | "quote_ident" | "quote_literal"
        | "quote_nullable" => Growth::Times(3),
        // A letter that JSON has no place for becomes six.
        "json_build_object" => Growth::Times(8),
        "translate" | "encode" | "normalize" | "unistr" => Growth::Times(LETTER_BYTES),
        "string_to_array" | "string_to_list" | "parse_ident" | "regexp_split_to_array" => {
            Growth::Times(16)
        }
        // A format of two letters, as `%c`, becomes two dozen.
        "to_char" | "date_format" => Growth::Times(24),
        name if name.starts_with("array_replace") || name.starts_with("list_replace") => {
            Growth::Exchanged
        }
        "make_array" | "make_list" | "struct" | "row" | "named_struct" | "map" | "make_map"
        | "flatten" | "arrays_zip" | "list_zip" => Growth::Times(2),
        // Asking a list for a number costs nothing but time, and that is asked between rows.
        name if name.starts_with("array_") || name.starts_with("list_") => Growth::Times(2),
        _ => return None,
    })
}

/// What a call will make at most, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Worst {
    /// The largest value, or the most work for one.
    pub(super) value: usize,
    /// All values together.
    pub(super) all: usize,
    /// All arguments together.
    pub(super) read: usize,
}

/// The worst a call can make of `args`.
///
/// # Errors
/// When the engine cannot read its own values.
pub(super) fn worst(growth: Growth, args: &ScalarFunctionArgs) -> Result<Worst> {
    let sizes = args.args.iter().map(Sizes::of).collect::<Result<Vec<_>>>()?;
    let entries = match (growth, args.args.first()) {
        (Growth::Listed | Growth::Exchanged, Some(list)) => Sizes::entries(list)?,
        _ => Sizes::Same(0),
    };
    let letters = match (growth, args.args.get(1)) {
        (Growth::Padded, Some(width)) => letters(width)?,
        _ => Sizes::Same(0),
    };
    let is_global = growth == Growth::Matched && args.args.get(3).is_some_and(may_be_global);
    let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if is_constant { 1 } else { args.number_rows };
    let mut worst = Worst::default();
    for row in 0..rows {
        let given = Given { sizes: &sizes, row };
        let value = match growth {
            Growth::Times(times) => given.sum().saturating_mul(times),
            Growth::Separated => {
                given.sum().saturating_add(given.at(0).saturating_mul(sizes.len()))
            }
            Growth::Listed => {
                let between = given.at(1).saturating_add(given.at(2));
                given
                    .at(0)
                    .saturating_mul(4)
                    .saturating_add(entries.at(row).saturating_mul(between))
            }
            Growth::Replaced => replaced(given.at(0), given.at(1), given.at(2)),
            Growth::Matched => matched(given.at(0), given.at(2), is_global),
            Growth::Captured => given.at(0).saturating_mul(given.at(1) / 2 + 1),
            Growth::Exchanged => {
                given.at(0).saturating_add(entries.at(row).saturating_mul(given.at(2)))
            }
            Growth::Padded => {
                given.at(0).saturating_add(letters.at(row).saturating_mul(LETTER_BYTES))
            }
            // A quarter of a million of these is a tenth of a second.
            Growth::Compared => given.at(0).saturating_mul(given.at(1)) / 256,
        };
        let value = value.saturating_add(SMALL_BYTES);
        worst.value = worst.value.max(value);
        worst.all = worst.all.saturating_add(value);
        worst.read = worst.read.saturating_add(given.sum());
    }
    Ok(worst)
}

struct Given<'a> {
    sizes: &'a [Sizes],
    row: usize,
}

impl Given<'_> {
    fn at(&self, nth: usize) -> usize {
        self.sizes.get(nth).map_or(0, |sizes| sizes.at(self.row))
    }

    fn sum(&self) -> usize {
        self.sizes.iter().fold(0, |sum, sizes| sum.saturating_add(sizes.at(self.row)))
    }
}

/// An empty text is found between all letters.
fn replaced(text: usize, from: usize, to: usize) -> usize {
    let found = text / from.max(1) + 1;
    text.saturating_add(found.saturating_mul(to))
}

/// Half of what replaces a match may be references to it.
fn matched(text: usize, to: usize, is_global: bool) -> usize {
    let found = if is_global { text + 1 } else { 1 };
    let references = text.saturating_mul(to / 2);
    text.saturating_add(found.saturating_mul(to)).saturating_add(references)
}

fn may_be_global(flags: &ColumnarValue) -> bool {
    match flags {
        ColumnarValue::Scalar(
            ScalarValue::Utf8(flags) | ScalarValue::LargeUtf8(flags) | ScalarValue::Utf8View(flags),
        ) => flags.as_ref().is_some_and(|flags| flags.contains('g')),
        _ => true,
    }
}

fn letters(width: &ColumnarValue) -> Result<Sizes> {
    let size = |width: Option<i64>| usize::try_from(width.unwrap_or(0)).unwrap_or(0);
    let width = width.cast_to(&DataType::Int64, None)?;
    Ok(match &width {
        ColumnarValue::Scalar(ScalarValue::Int64(width)) => Sizes::Same(size(*width)),
        ColumnarValue::Scalar(_) => Sizes::Same(0),
        ColumnarValue::Array(array) => {
            Sizes::Each(array.as_primitive::<Int64Type>().iter().map(size).collect())
        }
    })
}
