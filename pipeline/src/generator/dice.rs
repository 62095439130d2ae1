//! Chance, from one seed: everything the generator draws comes through here.

use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A repeatable source of chance.
#[derive(Debug, Clone)]
pub(super) struct Dice {
    random: ChaCha8Rng,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// A number in (0, 1): never 0, so that its logarithm is finite.
    pub(super) fn unit(&mut self) -> f64 {
        let bits = u32::try_from(self.random.next_u64() >> 32).unwrap_or(0);
        (f64::from(bits) + 0.5) / 4_294_967_296.0
    }

    /// A number from 0 up to, not with, `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The product's upper half; its bias is below 2^-32 for the sizes used here.
        let wide = u128::from(self.random.next_u64()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// True for this share of the calls.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.unit() < share
    }

    /// Milliseconds that are mostly short and seldom long, with this mean, at most `max_ms`.
    pub(super) fn wait_ms(&mut self, mean_ms: f64, max_ms: i64) -> i64 {
        whole(-self.unit().ln() * mean_ms).min(max_ms)
    }

    /// A factor with the mean 1 and a long upper tail, as baskets have.
    pub(super) fn spread(&mut self, sigma: f64) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
        (sigma * normal - sigma * sigma / 2.0).exp()
    }
}

/// The whole part of a number that is known to be small and not negative.
#[expect(clippy::cast_possible_truncation, reason = "times and amounts are far below 2^53")]
pub(super) fn whole(number: f64) -> i64 {
    number as i64
}

/// The number as a float; exact for counts below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of orders are far below 2^53")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

/// A number that looks like chance and is another for every other number.
pub(super) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Choices by weight.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    ends: Vec<u64>,
}

impl Weights {
    pub(super) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let mut end = 0;
        let add = |weight| {
            end += u64::from(weight);
            end
        };
        Self { ends: weights.into_iter().map(add).collect() }
    }

    /// The place of the choice that a number stands for: the same number, the same choice.
    pub(super) fn at(&self, number: u64) -> u16 {
        let end = self.ends.last().copied().unwrap_or(1).max(1);
        let drawn = mixed(number) % end;
        u16::try_from(self.ends.partition_point(|end| *end <= drawn)).unwrap_or(u16::MAX)
    }

    /// The place of one choice, drawn by weight.
    pub(super) fn draw(&self, dice: &mut Dice) -> u16 {
        let drawn = dice.below(self.ends.last().copied().unwrap_or(1));
        u16::try_from(self.ends.partition_point(|end| *end <= drawn)).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_come_by_their_weights() {
        let (mut dice, weights) = (Dice::new(1), Weights::new([1, 0, 3]));
        let mut counts = [0; 3];
        (0..40_000).for_each(|_| counts[usize::from(weights.draw(&mut dice))] += 1);
        assert_eq!(counts[1], 0);
        assert!((9_500..10_500).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn a_spread_has_the_mean_one() {
        let mut dice = Dice::new(2);
        let mean = (0..200_000).map(|_| dice.spread(0.8)).sum::<f64>() / 200_000.0;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }
}
