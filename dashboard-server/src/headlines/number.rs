//! Exact decimals as words: rounded down, never upwards, and without a float in between.

use std::cmp::Ordering;

/// An exact decimal: `units` divided by ten to the power of `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    units: i128,
    scale: u32,
}

/// A rounded number in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rounded {
    /// As written: `2,684.12亿`, `268.41 billion`.
    pub text: String,
    /// Whether digits were cut off.
    pub inexact: bool,
}

/// A step of a language's numbers: from ten to the power of `power` on, the word is used.
struct Step {
    power: u32,
    word: &'static str,
}

/// 亿 is 10^8 and 万 is 10^4; larger sums stay in 亿, as newspapers write them.
const CHINESE: [Step; 2] = [Step { power: 8, word: "亿" }, Step { power: 4, word: "万" }];
/// A billion is 10^9 here and everywhere today; larger sums stay in billions.
const ENGLISH: [Step; 2] =
    [Step { power: 9, word: " billion" }, Step { power: 6, word: " million" }];
/// Digits after the point of a rounded number.
const DIGITS: u32 = 2;

impl Exact {
    /// Reads `-1234.50`; `None` for anything that is not plain digits, or too long to be exact.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain =
            !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !plain || part.contains('.') {
            return None;
        }
        let units: i128 = format!("{whole}{part}").parse().ok()?;
        Some(Self { units: sign * units, scale: u32::try_from(part.len()).ok()? })
    }

    /// The number with all its digits, grouped by thousands.
    #[must_use]
    pub fn grouped(self) -> String {
        written(self.units, self.scale)
    }

    /// The number with all its digits and nothing between them.
    #[must_use]
    pub fn plain(self) -> String {
        self.grouped().replace(',', "")
    }

    /// Both together; `None` where that is too long to be exact.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let fit = |it: Self| it.units.checked_mul(10_i128.checked_pow(scale - it.scale)?);
        Some(Self { units: fit(self)?.checked_add(fit(other)?)?, scale })
    }

    /// A share of one as percent with two digits, the rest cut off.
    #[must_use]
    pub fn percent(self) -> String {
        let one = 10_i128.checked_pow(self.scale).unwrap_or(i128::MAX);
        written(self.units.saturating_mul(10_000) / one, DIGITS)
    }

    /// Which is larger.
    #[must_use]
    pub fn compared(self, other: Self) -> Ordering {
        let to = self.scale.max(other.scale);
        let fit = |it: Self| it.units.checked_mul(10_i128.checked_pow(to - it.scale)?);
        match (fit(self), fit(other)) {
            (Some(left), Some(right)) => left.cmp(&right),
            // One does not fit where the other may: without its digits after the point it does.
            _ => whole(self).cmp(&whole(other)),
        }
    }

    /// Rounded down to 亿 or 万.
    #[must_use]
    pub fn chinese(self) -> Rounded {
        self.rounded(&CHINESE)
    }

    /// Rounded down to billions or millions.
    #[must_use]
    pub fn english(self) -> Rounded {
        self.rounded(&ENGLISH)
    }

    fn rounded(self, steps: &[Step]) -> Rounded {
        let reached = |step: &&Step| {
            10_u128
                .checked_pow(step.power + self.scale)
                .is_some_and(|from| self.units.unsigned_abs() >= from)
        };
        let Some(step) = steps.iter().find(reached) else {
            return Rounded { text: self.grouped(), inexact: false };
        };
        // A step is at least 10^4, so the exponent is never negative.
        let Some(divisor) = 10_i128.checked_pow(self.scale + step.power - DIGITS) else {
            return Rounded { text: self.grouped(), inexact: false };
        };
        let floor = self.units.div_euclid(divisor);
        let inexact = self.units.rem_euclid(divisor) != 0;
        Rounded { text: format!("{}{}", written(floor, DIGITS), step.word), inexact }
    }
}

fn whole(it: Exact) -> i128 {
    10_i128.checked_pow(it.scale).map_or(0, |one| it.units / one)
}

fn written(units: i128, scale: u32) -> String {
    let width = usize::try_from(scale).unwrap_or(0) + 1;
    let digits = format!("{:0>width$}", units.unsigned_abs());
    let (whole, part) = digits.split_at(digits.len() + 1 - width);
    let sign = if units < 0 { "-" } else { "" };
    let point = if part.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{part}", thousands(whole))
}

fn thousands(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Exact {
        Exact::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn a_figure_is_never_rounded_upwards() {
        assert_eq!(exact("268412999999.99").chinese().text, "2,684.12亿");
        assert_eq!(exact("268412999999.99").english().text, "268.41 billion");
        assert_eq!(exact("199999999.99").chinese().text, "1.99亿");
        assert_eq!(exact("99999999.99").chinese().text, "9,999.99万");
        assert_eq!(exact("999999999.99").english().text, "999.99 million");
        // Down is down: a loss of 1.239亿 is not told as a smaller loss.
        assert_eq!(exact("-123900000.00").chinese().text, "-1.24亿");
    }

    #[test]
    fn small_and_round_numbers_lose_nothing() {
        assert_eq!(
            exact("9999.50").chinese(),
            Rounded { text: "9,999.50".to_owned(), inexact: false }
        );
        assert_eq!(
            exact("100000000").chinese(),
            Rounded { text: "1.00亿".to_owned(), inexact: false }
        );
        assert!(exact("100000000.01").chinese().inexact);
        assert_eq!(exact("0.05").grouped(), "0.05");
        assert_eq!(exact("-0.05").grouped(), "-0.05");
        assert_eq!(exact("1234567").grouped(), "1,234,567");
    }

    #[test]
    fn numbers_are_compared_whatever_their_digits_and_shares_cut_off() {
        assert_eq!(exact("1.5").compared(exact("1.49")), Ordering::Greater);
        assert_eq!(exact("-1.50").compared(exact("-1.5")), Ordering::Equal);
        let large = exact(&format!("1{}", "0".repeat(37)));
        assert_eq!(large.compared(exact("0.05")), Ordering::Greater);
        assert_eq!(exact("0.0512").percent(), "5.12");
        assert_eq!(exact("0.05129").percent(), "5.12");
        assert_eq!(exact("1").percent(), "100.00");
    }

    #[test]
    fn what_is_no_plain_number_is_not_guessed_at() {
        for bad in ["", "1e9", "NaN", "1.2.3", "+5", "1,000", ".5", &"9".repeat(40)] {
            assert!(Exact::parse(bad).is_none(), "{bad}");
        }
    }
}
