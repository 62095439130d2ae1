//! A quantile sketch of fixed buckets (DDSketch): which bucket a value falls into depends on the value
//! alone, so neither order nor batches change it, and merging adds counts.

use std::cmp::Ordering;
use std::sync::LazyLock;

use sketches_ddsketch::Config;

/// How far a quantile may be from the true one, as a share of it.
pub const RELATIVE_ERROR: f64 = 0.01;
/// Values nearer to zero than this count as zero.
const SMALLEST: f64 = 1e-9;
/// The crate's own bound of bins; ours are counted only where a value fell.
const BINS_MAX: u32 = 2_048;

/// Counts by bucket. Amounts from 0.01 to 100 million fall into about 1,150 buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    negative: Counts,
    zero: u64,
    positive: Counts,
}

/// Buckets with their counts, in the order of the buckets: a publish reads and merges thousands of them.
type Counts = Vec<(i32, u64)>;

fn count(counts: &mut Counts, bucket: i32) {
    match counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
        Ok(at) => counts[at].1 += 1,
        Err(at) => counts.insert(at, (bucket, 1)),
    }
}

fn merged(own: &[(i32, u64)], theirs: &[(i32, u64)]) -> Counts {
    let (mut own, mut theirs) = (own, theirs);
    let mut all = Vec::with_capacity(own.len().max(theirs.len()));
    while let ([first, own_rest @ ..], [second, their_rest @ ..]) = (own, theirs) {
        match first.0.cmp(&second.0) {
            Ordering::Less => {
                all.push(*first);
                own = own_rest;
            }
            Ordering::Greater => {
                all.push(*second);
                theirs = their_rest;
            }
            Ordering::Equal => {
                all.push((first.0, first.1 + second.1));
                (own, theirs) = (own_rest, their_rest);
            }
        }
    }
    all.extend_from_slice(own);
    all.extend_from_slice(theirs);
    all
}

static BUCKETS: LazyLock<Config> =
    LazyLock::new(|| Config::new(RELATIVE_ERROR, BINS_MAX, SMALLEST));

/// Buckets of the whole numbers from 0: durations and counts mostly are such, and a logarithm costs more
/// than everything else of a row.
static WHOLE_BUCKETS: LazyLock<Vec<i32>> =
    LazyLock::new(|| (0..WHOLE_MAX).map(|whole| BUCKETS.key(f64::from(whole.max(1)))).collect());
/// 32 KiB of buckets; five seconds in milliseconds.
const WHOLE_MAX: u32 = 8_192;

/// The bucket of a value above zero.
fn bucket(value: f64) -> i32 {
    let whole = value as usize;
    match WHOLE_BUCKETS.get(whole) {
        Some(bucket) if whole as f64 == value => *bucket,
        _ => BUCKETS.key(value),
    }
}

impl Sketch {
    /// Adds one value; not-a-number counts as larger than all.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            count(&mut self.positive, i32::MAX);
        } else if value > SMALLEST {
            count(&mut self.positive, bucket(value));
        } else if value < -SMALLEST {
            count(&mut self.negative, bucket(-value));
        } else {
            self.zero += 1;
        }
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.zero += other.zero;
        self.negative = merged(&self.negative, &other.negative);
        self.positive = merged(&self.positive, &other.positive);
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.zero + self.negative.iter().chain(&self.positive).map(|(_, count)| count).sum::<u64>()
    }

    /// The value below which the share `rank` (0 to 1) of all values lies; `None` when there are none.
    pub fn quantile(&self, rank: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let buckets = &BUCKETS;
        // The conversion is exact below 2^53 values, and the same for every run above.
        let mut left = (rank * (count - 1) as f64) as u64;
        for (bucket, count) in self.negative.iter().rev() {
            if left < *count {
                return Some(-buckets.value(*bucket));
            }
            left -= count;
        }
        if left < self.zero {
            return Some(0.0);
        }
        left -= self.zero;
        for (bucket, count) in &self.positive {
            if left < *count {
                return Some(buckets.value(*bucket));
            }
            left -= count;
        }
        None
    }

    /// The counts as bytes, the same for the same values in any order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.zero.to_le_bytes().to_vec();
        out.extend_from_slice(
            &u32::try_from(self.negative.len()).unwrap_or(u32::MAX).to_le_bytes(),
        );
        for (bucket, count) in self.negative.iter().chain(&self.positive) {
            out.extend_from_slice(&bucket.to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
        }
        out
    }

    /// Reads [`Sketch::to_bytes`]; `None` for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (zero, rest) = bytes.split_at_checked(8)?;
        let (negatives, rest) = rest.split_at_checked(4)?;
        let negatives = usize::try_from(u32::from_le_bytes(negatives.try_into().ok()?)).ok()?;
        let mut sketch =
            Self { zero: u64::from_le_bytes(zero.try_into().ok()?), ..Self::default() };
        for (nth, pair) in rest.chunks(12).enumerate() {
            let (bucket, count) = pair.split_at_checked(4)?;
            let bucket = i32::from_le_bytes(bucket.try_into().ok()?);
            let side = if nth < negatives { &mut sketch.negative } else { &mut sketch.positive };
            side.push((bucket, u64::from_le_bytes(count.try_into().ok()?)));
        }
        let is_in_order = |counts: &Counts| counts.is_sorted_by(|left, right| left.0 < right.0);
        (is_in_order(&sketch.negative) && is_in_order(&sketch.positive)).then_some(sketch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_whole_number_falls_into_the_bucket_its_logarithm_says() {
        for whole in 1..2 * WHOLE_MAX {
            let value = f64::from(whole);
            assert_eq!(bucket(value), BUCKETS.key(value), "{whole}");
            assert_eq!(bucket(value + 0.5), BUCKETS.key(value + 0.5), "{whole} and a half");
        }
        assert_eq!(bucket(0.5), BUCKETS.key(0.5));
    }

    #[test]
    fn a_quantile_is_within_the_stated_error() {
        let mut dice = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..100 {
            let mut values: Vec<f64> = (0..dice.random_range(1..500))
                .map(|_| (dice.random::<f64>() - 0.3) * 10_f64.powi(dice.random_range(-2..9)))
                .collect();
            let mut sketch = Sketch::default();
            values.iter().for_each(|value| sketch.add(*value));
            values.sort_by(f64::total_cmp);
            for rank in [0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0] {
                let true_one = values[(rank * (values.len() - 1) as f64) as usize];
                let found = sketch.quantile(rank).expect("not empty");
                let error = (found - true_one).abs();
                assert!(
                    error <= true_one.abs() * RELATIVE_ERROR * 1.000_001 + SMALLEST,
                    "{found} for {true_one}"
                );
            }
        }
    }

    #[test]
    fn nothing_has_no_quantile_and_bytes_come_back() {
        assert_eq!(Sketch::default().quantile(0.5), None);
        let mut sketch = Sketch::default();
        for value in [-3.0, 0.0, 12.5, 12.5, f64::INFINITY] {
            sketch.add(value);
        }
        assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Some(sketch));
        assert_eq!(Sketch::from_bytes(&[1, 2, 3]), None);
    }
}
