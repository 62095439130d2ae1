//! Decimal parameters, as exact as they were sent: one has the digits that it is written with, whatever the column beside it has.

use arrow::datatypes::i256;
use datafusion::scalar::ScalarValue;

/// The most digits a decimal may have.
const DIGITS_MAX: usize = 76;

/// A number without an exponent, with its own precision and scale; `None` for a text that is none or has too many digits.
pub(super) fn exact(text: &str) -> Option<ScalarValue> {
    let text = text.trim();
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("", text.get(1..)?),
        _ => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_start_matches('0').len().max(fraction.len()).max(1);
    let (precision, scale) = (u8::try_from(significant).ok()?, i8::try_from(fraction.len()).ok()?);
    let value = format!("{sign}{all}");
    match significant {
        ..=38 => Some(ScalarValue::Decimal128(Some(value.parse().ok()?), precision, scale)),
        ..=DIGITS_MAX => {
            Some(ScalarValue::Decimal256(Some(i256::from_string(&value)?), precision, scale))
        }
        _ => None,
    }
}

/// A number in PostgreSQL's binary form, in words; `None` for what is no finite number.
///
/// Its digits are of base 10,000, the first of weight 10,000 to the power of `weight`; `scale` of them are shown behind the point
/// (`numeric_send` in PostgreSQL's `numeric.c`).
pub(super) fn in_words(binary: &[u8]) -> Option<String> {
    const NEGATIVE: i16 = 0x4000;
    let (words, rest) = binary.as_chunks::<2>();
    let [count, weight, sign, scale, digits @ ..] = words else { return None };
    let [count, weight, sign, scale] =
        [count, weight, sign, scale].map(|word| i16::from_be_bytes(*word));
    let count = usize::try_from(count).ok()?;
    if !rest.is_empty() || digits.len() != count || !(sign == 0 || sign == NEGATIVE) {
        return None;
    }
    let digit = |at: i32| {
        let at = usize::try_from(i32::from(weight) - at).ok();
        let word = at.and_then(|at| digits.get(at)).map_or(0, |word| i16::from_be_bytes(*word));
        format!("{word:04}")
    };
    let whole: String = (0..=i32::from(weight).max(0)).rev().map(digit).collect();
    let scale = usize::try_from(scale).ok()?;
    let mut fraction: String = (1..).map(|at| digit(-at)).take(scale.div_ceil(4)).collect();
    fraction.truncate(scale);
    let sign = if sign == NEGATIVE { "-" } else { "" };
    Some(match fraction.is_empty() {
        true => format!("{sign}{whole}"),
        false => format!("{sign}{whole}.{fraction}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_that_it_is_written_with() {
        for (text, value, precision, scale) in [
            ("4.001", 4_001, 4, 3),
            ("-0.50", -50, 2, 2),
            ("+7", 7, 1, 0),
            ("000.003", 3, 3, 3),
            ("0", 0, 1, 0),
            (".5", 5, 1, 1),
        ] {
            assert_eq!(
                exact(text),
                Some(ScalarValue::Decimal128(Some(value), precision, scale)),
                "{text}"
            );
        }
        let long = "1.0000000000000000000000000000000000000001";
        assert!(matches!(exact(long), Some(ScalarValue::Decimal256(Some(_), 41, 40))));
        for text in ["", "-", ".", "1e3", "NaN", "1.2.3", "1,5", &"1".repeat(77)] {
            assert_eq!(exact(text), None, "{text}");
        }
    }

    #[test]
    fn the_binary_form_is_read_to_its_last_digit() {
        let bytes = |words: &[i16]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        let told = |words: &[i16]| in_words(&bytes(words)).and_then(|text| exact(&text));
        let decimal =
            |value, precision, scale| Some(ScalarValue::Decimal128(Some(value), precision, scale));
        assert_eq!(told(&[2, 0, 0, 3, 4, 10]), decimal(4_001, 4, 3));
        assert_eq!(told(&[1, -1, 0x4000, 5, 1234]), decimal(-12_340, 5, 5));
        assert_eq!(told(&[1, -2, 0, 8, 12]), decimal(12, 8, 8));
        assert_eq!(told(&[1, 1, 0, 0, 1]), decimal(10_000, 5, 0));
        assert_eq!(told(&[0, 0, 0, 0]), decimal(0, 1, 0));
        assert_eq!(told(&[0, 0, 0xC000_u16.cast_signed(), 0]), None);
        assert_eq!(told(&[2, 0, 0, 0, 1]), None);
    }
}
