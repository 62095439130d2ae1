//! The exact sum of any number of floats: one fixed-point number wide enough for all of them.
//!
//! A double is a 53-bit integer times a power of two between 2^-1074 and 2^971, so a sum of them is an
//! integer of 2^-1074ths. Adding such integers does not depend on order, and the sum is rounded once, at
//! the end (Kulisch's accumulator; the digits are 32 bits in 64, so that carries can wait).

/// Digits of 32 bits: 2^-1074 to 2^1024 are 2,098 bits, and 46 more hold 2^46 of the largest.
const DIGITS: usize = 67;
/// Additions after which carries must be brought up: each adds less than 2^32 to a digit of 63 bits.
const CARRY_EVERY: u32 = 1 << 30;

/// An exact sum.
#[derive(Clone, PartialEq)]
pub struct ExactSum {
    digits: Box<[i64; DIGITS]>,
    waiting: u32,
    /// How often infinity, negative infinity and not-a-number came.
    infinite: [u64; 3],
}

impl Default for ExactSum {
    fn default() -> Self {
        Self { digits: Box::new([0; DIGITS]), waiting: 0, infinite: [0; 3] }
    }
}

impl std::fmt::Debug for ExactSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ExactSum").field(&self.clone().rounded()).finish()
    }
}

impl ExactSum {
    /// Adds one number.
    pub fn add(&mut self, value: f64) {
        self.add_signed(value, 1);
    }

    /// Takes one number out again.
    pub fn subtract(&mut self, value: f64) {
        self.add_signed(value, -1);
    }

    fn add_signed(&mut self, value: f64, sign: i64) {
        if !value.is_finite() {
            let kind = if value.is_nan() { 2 } else { usize::from(value < 0.0) };
            self.infinite[kind] = self.infinite[kind].wrapping_add_signed(sign);
            return;
        }
        let bits = value.to_bits();
        let exponent = bits >> 52 & 0x7FF;
        let fraction = bits & ((1 << 52) - 1);
        // A subnormal has the exponent of the smallest normal and no hidden bit.
        let (mantissa, shift) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | 1 << 52, exponent - 1),
        };
        let sign = if value.is_sign_negative() { -sign } else { sign };
        let wide = u128::from(mantissa) << (shift % 32);
        let first = usize::try_from(shift / 32).unwrap_or(0);
        for nth in 0..3 {
            let part = i64::try_from(wide >> (32 * nth) & 0xFFFF_FFFF).unwrap_or(0);
            if let Some(digit) = self.digits.get_mut(first + nth) {
                *digit += sign * part;
            }
        }
        self.count_addition();
    }

    fn count_addition(&mut self) {
        self.waiting += 1;
        if self.waiting >= CARRY_EVERY {
            self.carry();
        }
    }

    /// Brings all digits but the highest into 0 to 2^32: one form for one value.
    fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits[..DIGITS - 1] {
            let sum = *digit + carry;
            carry = sum >> 32;
            *digit = sum & 0xFFFF_FFFF;
        }
        self.digits[DIGITS - 1] += carry;
        self.waiting = 0;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        other.carry();
        self.carry();
        for (own, theirs) in self.digits.iter_mut().zip(other.digits.iter()) {
            *own += theirs;
        }
        for (own, theirs) in self.infinite.iter_mut().zip(other.infinite) {
            *own = own.wrapping_add(theirs);
        }
        self.carry();
    }

    /// The sum as the nearest double, ties to even.
    pub fn rounded(mut self) -> f64 {
        match self.infinite {
            [0, 0, 0] => {}
            [_, 0, 0] => return f64::INFINITY,
            [0, _, 0] => return f64::NEG_INFINITY,
            _ => return f64::NAN,
        }
        self.carry();
        let is_negative = self.digits[DIGITS - 1] < 0;
        if is_negative {
            self.digits.iter_mut().for_each(|digit| *digit = -*digit);
            self.carry();
        }
        let magnitude = self.nearest();
        if is_negative { -magnitude } else { magnitude }
    }

    /// The sum divided by a number of values; it is a double also where the sum is beyond the largest one.
    pub fn average(self, count: f64) -> f64 {
        let is_finite = self.infinite == [0; 3];
        let sum = self.clone().rounded();
        if sum.is_finite() || !is_finite {
            return sum / count;
        }
        // Two digits down is a factor of 2^64, more than there are values.
        const DOWN: usize = 2;
        let mut small = self;
        small.carry();
        small.digits.copy_within(DOWN.., 0);
        small.digits[DIGITS - DOWN..].fill(0);
        // The sign is in the highest digit only, which moves as it is.
        small.rounded() / count * 2_f64.powi(64)
    }

    /// The nearest double of digits that are not negative.
    fn nearest(&self) -> f64 {
        let Some(top) = self.digits.iter().rposition(|digit| *digit != 0) else { return 0.0 };
        let length = 32 * top + usize::try_from(64 - self.digits[top].leading_zeros()).unwrap_or(0);
        if length <= 53 {
            // So small that its integer is its own bit pattern.
            return f64::from_bits(self.bits(0, length));
        }
        let below = length - 53;
        let mut mantissa = self.bits(below, 53);
        let half = self.bits(below - 1, 1) == 1;
        let is_more =
            (0..below - 1).step_by(32).any(|from| self.bits(from, (below - 1 - from).min(32)) != 0);
        if half && (is_more || mantissa & 1 == 1) {
            mantissa += 1;
        }
        // Bit 0 is the smallest subnormal, so the lowest exponent field of a normal is one bit up.
        // Rounding up to 2^53 carries into the exponent by itself.
        let exponent = u64::try_from(below + 1).unwrap_or(u64::MAX);
        if exponent + (mantissa >> 53) >= 0x7FF {
            return f64::INFINITY;
        }
        f64::from_bits((exponent << 52) + (mantissa - (1 << 52)))
    }

    /// `count` bits (at most 64) from bit `from` up.
    fn bits(&self, from: usize, count: usize) -> u64 {
        let mut wide = 0_u128;
        for nth in 0..4 {
            let digit = self.digits.get(from / 32 + nth).copied().unwrap_or(0);
            wide |= u128::from(u64::try_from(digit).unwrap_or(0)) << (32 * nth);
        }
        u64::try_from(wide >> (from % 32) & ((1_u128 << count) - 1)).unwrap_or(u64::MAX)
    }

    /// The sum as bytes, the same for the same numbers in any order: the digits that are not zero.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut whole = self.clone();
        whole.carry();
        let mut out = Vec::new();
        for count in whole.infinite {
            out.extend_from_slice(&count.to_le_bytes());
        }
        let first = whole.digits.iter().position(|digit| *digit != 0).unwrap_or(0);
        let end = whole.digits.iter().rposition(|digit| *digit != 0).map_or(first, |last| last + 1);
        out.push(u8::try_from(first).unwrap_or(u8::MAX));
        for digit in &whole.digits[first..end] {
            out.extend_from_slice(&digit.to_le_bytes());
        }
        out
    }

    /// Reads [`ExactSum::to_bytes`]; `None` for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut sum = Self::default();
        let (counts, rest) = bytes.split_at_checked(24)?;
        for (own, bytes) in sum.infinite.iter_mut().zip(counts.chunks_exact(8)) {
            *own = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        let (first, digits) = rest.split_first()?;
        for (nth, bytes) in digits.chunks(8).enumerate() {
            let digit = sum.digits.get_mut(usize::from(*first) + nth)?;
            *digit = i64::from_le_bytes(bytes.try_into().ok()?);
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::seq::SliceRandom as _;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    fn sum(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    #[test]
    fn what_a_naive_sum_loses_is_kept() {
        assert_eq!(sum(&[1e308, 1.0, -1e308]).rounded(), 1.0);
        assert_eq!(sum(&[1e16, 1.0, 1.0]).rounded(), 1e16 + 2.0);
        assert_eq!(sum(&[0.1; 10]).rounded(), 1.0);
        assert_eq!(
            sum(&[f64::MIN_POSITIVE / 4.0, f64::MIN_POSITIVE / 4.0]).rounded(),
            f64::MIN_POSITIVE / 2.0
        );
        assert_eq!(sum(&[f64::MAX, f64::MAX]).rounded(), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).rounded(), f64::MAX);
        assert_eq!(sum(&[-1.5, 1.5]).rounded().to_bits(), 0.0_f64.to_bits());
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).rounded().is_nan());
    }

    #[test]
    fn one_number_comes_back_as_it_was() {
        let mut dice = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..20_000 {
            let value = f64::from_bits(dice.random());
            if value.is_finite() && value != 0.0 {
                assert_eq!(sum(&[value]).rounded().to_bits(), value.to_bits(), "{value:e}");
            }
        }
    }

    /// Integers of 2^-40ths in 128 bits are summed exactly and rounded by the compiler's own conversion.
    #[test]
    fn it_is_the_correctly_rounded_sum() {
        let mut dice = ChaCha8Rng::seed_from_u64(11);
        for _ in 0..2_000 {
            let parts: Vec<i128> = (0..dice.random_range(1..40))
                .map(|_| i128::from(dice.random::<i64>() >> 12) << dice.random_range(0..60))
                .collect();
            let unit = 2.0_f64.powi(-40);
            let values: Vec<f64> = parts.iter().map(|part| *part as f64 * unit).collect();
            let exact: i128 = parts.iter().sum();
            assert_eq!(sum(&values).rounded(), exact as f64 * unit);
        }
    }

    #[test]
    fn neither_order_nor_batches_change_a_byte() {
        let mut dice = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..200 {
            let mut values: Vec<f64> = (0..50)
                .map(|_| (dice.random::<f64>() - 0.5) * 10_f64.powi(dice.random_range(-300..300)))
                .collect();
            let whole = sum(&values);
            values.shuffle(&mut dice);
            let mut merged = ExactSum::default();
            for part in values.chunks(dice.random_range(1..20)) {
                merged.merge(&ExactSum::from_bytes(&sum(part).to_bytes()).expect("own bytes"));
            }
            assert_eq!(merged.to_bytes(), whole.to_bytes());
            assert_eq!(merged.rounded().to_bits(), whole.rounded().to_bits());
        }
    }

    #[test]
    fn an_average_is_told_where_its_sum_is_beyond_the_largest_double() {
        let average = |values: &[f64]| {
            let mut sum = ExactSum::default();
            values.iter().for_each(|value| sum.add(*value));
            sum.average(values.len() as f64)
        };
        assert_eq!(average(&[1.0, 1.0, 1e308, 1e308]), 5e307);
        let large = -2_f64.powi(1023);
        assert_eq!(average(&[-1.0, large, large, large]), large * 0.75);
        assert_eq!(average(&[f64::MAX; 3]), f64::MAX);
        assert_eq!(average(&[1.0, 2.0]), 1.5);
        assert_eq!(average(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(average(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }
}
