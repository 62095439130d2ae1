//! Decimals from text, digit by digit; no float is ever between.

/// The powers of ten that fit into 128 bits.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

fn power(exponent: u32) -> Option<i128> {
    POWERS.get(usize::try_from(exponent).ok()?).copied()
}

/// The value of `text` as an integer of `10^-scale`, or `None` when it is no number, has more
/// fractional digits than the scale (other than zeros), or more digits than `precision`.
#[must_use]
pub fn parse(text: impl AsRef<[u8]>, precision: u8, scale: i8) -> Option<i128> {
    let bytes = text.as_ref();
    let (negative, digits) = match bytes.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, bytes),
    };
    if let Some(value) = short(digits, scale) {
        let limit = power(u32::from(precision))?;
        return (value < limit).then_some(if negative { -value } else { value });
    }
    let mut value: i128 = 0;
    // How many digits stand after the point so far, and whether the point has come.
    let (mut fraction, mut after_point, mut any) = (0_i32, false, false);
    let mut exponent = 0_i32;
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                fraction += i32::from(after_point);
                any = true;
            }
            b'.' if !after_point => after_point = true,
            b'e' | b'E' if any => {
                exponent = std::str::from_utf8(digits.get(at + 1..)?).ok()?.parse().ok()?;
                break;
            }
            _ => return None,
        }
    }
    if !any {
        return None;
    }
    let shift = i32::from(scale).checked_sub(fraction)?.checked_add(exponent)?;
    let scaled = shifted(value, shift)?;
    let limit = power(u32::from(precision))?;
    (scaled < limit).then_some(if negative { -scaled } else { scaled })
}

/// An amount as it is mostly written: up to 18 digits, no more behind the point than the scale, no
/// exponent. Nothing for all else, which the general reading judges.
fn short(digits: &[u8], scale: i8) -> Option<i128> {
    if digits.len() > 18 {
        return None;
    }
    let (mut value, mut any) = (0_u64, false);
    let mut point = None;
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(byte - b'0');
                any = true;
            }
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let fraction = point.map_or(0, |at| digits.len() - at - 1);
    let shift = usize::try_from(scale).ok()?.checked_sub(fraction).filter(|_| any)?;
    i128::from(value).checked_mul(power(u32::try_from(shift).ok()?)?)
}

/// `value * 10^shift`, exact or nothing.
fn shifted(value: i128, shift: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let power = power(shift.unsigned_abs())?;
    if shift >= 0 {
        value.checked_mul(power)
    } else {
        (value % power == 0).then_some(value / power)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn digits_are_kept_exactly() {
        assert_eq!(parse("12.34", 10, 2), Some(1_234));
        assert_eq!(parse("-0.1", 10, 3), Some(-100));
        assert_eq!(parse("1e3", 10, 0), Some(1_000));
        assert_eq!(parse("1.50E1", 10, 1), Some(150));
        assert_eq!(
            parse("99999999999999999999999999999999999999", 38, 0),
            Some(10_i128.pow(38) - 1)
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_rounded() {
        assert_eq!(parse("0.005", 10, 2), None);
        assert_eq!(parse("0.500", 10, 2), Some(50));
        assert_eq!(parse("100000000", 10, 2), None);
        assert_eq!(parse("100000000000000000000000000000000000000", 38, 0), None);
        assert_eq!(parse("1e400", 38, 0), None);
        assert_eq!(parse("1e-400", 38, 10), None);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "1.2.3", "e5", "1e", "0x10", "NaN", "1,000", " 1"] {
            assert_eq!(parse(text, 38, 2), None, "{text}");
        }
    }
}
