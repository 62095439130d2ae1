//! The numbers of a source's own sequence: which have come, which are missing, which came more than once.
//!
//! A source - a shop system, a till - numbers what it sends, whatever partition it goes to and whether or not it is
//! a load test. So the numbers of all partitions and both result spaces make one set, kept as ranges: what it says
//! depends on what has come and not on the order, nor on the day, in which it came.

use std::collections::BTreeMap;

use super::by_value::Value;

/// Numbers of accepted records since the last drain, by the source they came from.
pub type FreshNumbers = Vec<(Value, Vec<i64>)>;

/// The numbers of a stream's sources that have come.
pub type Sequences = BTreeMap<Value, Sequence>;

/// What a source's numbers amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceCounts {
    /// The smallest number.
    pub first: i64,
    /// The largest one.
    pub last: i64,
    /// How many different numbers have come.
    pub received: u64,
    /// How many between the first and the last have not.
    pub missing: u64,
    /// How many records came with a number that another record had.
    pub repeated: u64,
}

/// How many times more runs may have come than are added where both are walked along together.
const CLOSE_TIMES: usize = 4;

/// The numbers of one source that have come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    /// First and last number of each run without a gap, none of which touch.
    ranges: BTreeMap<i64, i64>,
    received: u64,
    repeated: u64,
    /// Whether there were too many ranges once. Nothing is told of it from then on, for what is not known
    /// exactly is not told.
    has_overflown: bool,
}

impl Sequence {
    /// Adds numbers; a source with more than `ranges_max` runs is given up.
    ///
    /// The numbers of several partitions are best given together: one fills the gaps of another.
    pub fn add(&mut self, mut numbers: Vec<i64>, ranges_max: usize) {
        if self.has_overflown {
            return;
        }
        // Of each partition they mostly come in order, which this way of sorting makes use of.
        numbers.sort();
        let mut runs = Vec::new();
        for run in
            numbers.chunk_by(|number, next| next.checked_sub(1).is_some_and(|one| one <= *number))
        {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                let different = last.abs_diff(*first).saturating_add(1);
                let count = u64::try_from(run.len()).unwrap_or(u64::MAX);
                self.repeated += count.saturating_sub(different);
                runs.push((*first, *last));
            }
        }
        match self.lie_close(&runs) {
            true => self.add_close(&runs),
            false => runs.into_iter().for_each(|(first, last)| self.add_run(first, last)),
        }
        if self.ranges.len() > ranges_max {
            *self = Self { has_overflown: true, ..Self::default() };
        }
    }

    /// Whether between the first and the last of these runs there are not many more that have come.
    fn lie_close(&self, runs: &[(i64, i64)]) -> bool {
        let (Some((first, _)), Some((_, last))) = (runs.first(), runs.last()) else { return false };
        let bound = runs.len().saturating_mul(CLOSE_TIMES);
        self.ranges.range(*first..=*last).take(bound).count() < bound
    }

    /// Adds runs, ascending and apart, in one walk beside those that have come there.
    fn add_close(&mut self, runs: &[(i64, i64)]) {
        let (Some((first, _)), Some((_, last))) = (runs.first(), runs.last()) else { return };
        // The one that begins before the first may reach into it, or touch it.
        let from = self.ranges.range(..=*first).next_back().map_or(*first, |(start, _)| *start);
        let near = self.ranges.range(from..=last.saturating_add(1));
        let known: Vec<(i64, i64)> = near.map(|(start, end)| (*start, *end)).collect();
        let mut all = [&known, runs].concat();
        all.sort();
        let mut joined: Vec<(i64, i64)> = Vec::with_capacity(all.len());
        let mut common = 0_u64;
        for (start, end) in all {
            match joined.last_mut().filter(|(_, before)| start <= before.saturating_add(1)) {
                Some((_, before)) => {
                    if start <= *before {
                        let shared = end.min(*before).abs_diff(start).saturating_add(1);
                        common = common.saturating_add(shared);
                    }
                    *before = end.max(*before);
                }
                None => joined.push((start, end)),
            }
        }
        let all_new = runs.iter().map(|(first, last)| last.abs_diff(*first).saturating_add(1));
        let added = all_new.fold(0, u64::saturating_add).saturating_sub(common);
        self.received = self.received.saturating_add(added);
        self.repeated = self.repeated.saturating_add(common);
        for (start, _) in &known {
            if joined.binary_search_by_key(start, |(start, _)| *start).is_err() {
                self.ranges.remove(start);
            }
        }
        for (start, end) in joined {
            if known.binary_search(&(start, end)).is_err() {
                self.ranges.insert(start, end);
            }
        }
    }

    /// Adds all numbers from `first` to `last`, each once.
    fn add_run(&mut self, first: i64, last: i64) {
        let (mut from, mut to) = (first, last);
        let mut known = 0;
        while let Some((&start, &end)) = self.ranges.range(..=last.saturating_add(1)).next_back() {
            if end < first.saturating_sub(1) {
                break;
            }
            let (low, high) = (start.max(first), end.min(last));
            if low <= high {
                known += high.abs_diff(low).saturating_add(1);
            }
            (from, to) = (from.min(start), to.max(end));
            self.ranges.remove(&start);
        }
        self.ranges.insert(from, to);
        self.repeated = self.repeated.saturating_add(known);
        self.received = self
            .received
            .saturating_add(last.abs_diff(first).saturating_add(1).saturating_sub(known));
    }

    /// What they amount to; `None` before the first number, and of a source that was given up.
    #[must_use]
    pub fn counts(&self) -> Option<SequenceCounts> {
        let (first, last) = (*self.ranges.first_key_value()?.0, *self.ranges.last_key_value()?.1);
        Some(SequenceCounts {
            first,
            last,
            received: self.received,
            missing: last.abs_diff(first).saturating_add(1).saturating_sub(self.received),
            repeated: self.repeated,
        })
    }

    /// The runs, how many numbers were repeated, and whether it was given up: what a checkpoint holds.
    #[must_use]
    pub fn parts(&self) -> (&BTreeMap<i64, i64>, u64, bool) {
        (&self.ranges, self.repeated, self.has_overflown)
    }

    /// Goes on from a checkpoint.
    #[must_use]
    pub fn from_parts(ranges: BTreeMap<i64, i64>, repeated: u64, has_overflown: bool) -> Self {
        let of = |(first, last): (&i64, &i64)| last.abs_diff(*first).saturating_add(1);
        let received = ranges.iter().map(of).fold(0, u64::saturating_add);
        Self { ranges, received, repeated, has_overflown }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn of(numbers: &[i64]) -> (u64, u64) {
        let mut sequence = Sequence::default();
        sequence.add(numbers.to_vec(), 100);
        let counts = sequence.counts().expect("numbers");
        (counts.missing, counts.repeated)
    }

    #[test]
    fn a_number_used_twice_does_not_cancel_a_gap() {
        assert_eq!(of(&[1, 2, 4]), (1, 0));
        assert_eq!(of(&[1, 2, 2, 4]), (1, 1));
        assert_eq!(of(&[4, 2, 2, 2, 1, 3]), (0, 2));
    }

    #[test]
    fn the_ends_of_the_numbers_there_are_do_not_overflow() {
        assert_eq!(
            of(&[i64::MIN, i64::MAX]),
            (u64::MAX - 2, 0),
            "all but two of 2^64, of which one does not fit"
        );
        assert_eq!(of(&[i64::MAX, i64::MAX, i64::MAX - 1]), (0, 1));
        assert_eq!(of(&[i64::MIN, i64::MIN + 1, i64::MIN]), (0, 1));
    }

    #[test]
    fn random_numbers_in_any_order_and_batching_give_what_a_plain_set_gives() {
        for seed in 0..500 {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let span = dice.random_range(1..200);
            let numbers: Vec<i64> =
                (0..dice.random_range(1..300)).map(|_| dice.random_range(-span..span)).collect();
            let mut sequence = Sequence::default();
            let mut rest = numbers.as_slice();
            while !rest.is_empty() {
                let (batch, after) = rest.split_at(dice.random_range(1..=rest.len()));
                sequence.add(batch.to_vec(), 1_000);
                rest = after;
                let (ranges, repeated, gone) = sequence.parts();
                let again = Sequence::from_parts(ranges.clone(), repeated, gone);
                assert_eq!(again, sequence, "seed {seed}: a checkpoint holds it whole");
            }
            let set: BTreeSet<i64> = numbers.iter().copied().collect();
            let (first, last) = (*set.first().expect("one"), *set.last().expect("one"));
            let different = u64::try_from(set.len()).expect("few");
            let counts = sequence.counts().expect("numbers");
            assert_eq!(
                (counts.first, counts.last, counts.received),
                (first, last, different),
                "seed {seed}"
            );
            assert_eq!(counts.missing, last.abs_diff(first) + 1 - different, "seed {seed}");
            let all = u64::try_from(numbers.len()).expect("few");
            assert_eq!(counts.repeated, all - different, "seed {seed}");
        }
    }

    #[test]
    fn a_source_with_too_many_gaps_is_given_up_and_tells_nothing() {
        let mut sequence = Sequence::default();
        sequence.add(vec![1, 3, 5], 3);
        assert!(sequence.counts().is_some());
        sequence.add(vec![7], 3);
        assert_eq!(sequence.counts(), None);
        sequence.add(vec![2, 4, 6], 3);
        assert_eq!(sequence.counts(), None, "what was lost may not be guessed");
    }
}
