//! Accounting by the value of a declared column: which shop system, till or platform the records came
//! from, and what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::sequence::FreshNumbers;

/// What became of the records of one value.
///
/// `read = accepted + duplicate + rejected`, always; `late` are accepted ones that came after the partition's
/// watermark had passed them, so that it does not depend on which views there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ValueCounts {
    /// Records of this result space, control records apart.
    pub read: u64,
    /// Records that count.
    pub accepted: u64,
    /// Records whose dedup key had come before.
    pub duplicate: u64,
    /// Records with a dead letter.
    pub rejected: u64,
    /// Accepted records at or before the watermark that the partition had before them.
    pub late: u64,
}

/// A value of the column; `None` for NULL and for records that could not be decoded.
pub type Value = Option<Arc<str>>;

/// The counts of one partition by value.
pub type CountsByValue = BTreeMap<Value, ValueCounts>;

/// The name under which values are counted together that came after there were too many.
pub const OTHER: &str = "(other)";

/// Counts the records of one partition by the value of a column.
#[derive(Debug, Default)]
pub struct ByValue {
    counts: Vec<(Value, ValueCounts)>,
    /// Where in `counts` each value stands that is not NULL.
    places: HashMap<Arc<str>, usize>,
    /// Numbers of each value's own sequence since they were last taken.
    numbers: Vec<Vec<i64>>,
    /// Where NULL does.
    null_at: Option<usize>,
    values_max: usize,
}

impl ByValue {
    /// Nothing counted yet. The first `values_max` values of the partition's log are counted by name,
    /// those after them together as [`OTHER`].
    #[must_use]
    pub fn new(values_max: usize) -> Self {
        Self { values_max, ..Self::default() }
    }

    /// The counts of a value, to be added to.
    pub fn of(&mut self, value: Option<&str>) -> &mut ValueCounts {
        let at = self.place(value);
        self.at(at)
    }

    /// The counts at a [`ByValue::place`].
    pub fn at(&mut self, place: usize) -> &mut ValueCounts {
        &mut self.counts[place].1
    }

    /// Takes note of a number of the own sequence of the value at a [`ByValue::place`]. Those of values that are counted
    /// together make no sequence.
    pub fn note_number(&mut self, at: usize, number: i64) {
        if self.counts[at].0.as_deref() == Some(OTHER) {
            return;
        }
        if self.numbers.len() <= at {
            self.numbers.resize_with(self.counts.len(), Vec::new);
        }
        self.numbers[at].push(number);
    }

    /// The numbers since the last call.
    pub fn take_numbers(&mut self) -> FreshNumbers {
        let values = self.counts.iter().zip(&mut self.numbers);
        let fresh = values.filter(|(_, numbers)| !numbers.is_empty());
        fresh.map(|((value, _), numbers)| (value.clone(), std::mem::take(numbers))).collect()
    }

    /// Where a value is counted, for as long as nothing is restored.
    pub fn place(&mut self, value: Option<&str>) -> usize {
        let known = match value {
            None => self.null_at,
            Some(text) => self.places.get(text).copied(),
        };
        match known {
            Some(at) => at,
            None => self.place_of_new(value),
        }
    }

    fn place_of_new(&mut self, value: Option<&str>) -> usize {
        let named = match value {
            Some(_) if self.counts.len() >= self.values_max => Some(OTHER),
            value => value,
        };
        match named.and_then(|name| self.places.get(name)) {
            Some(other) => *other,
            None => self.add(named.map(Arc::from), ValueCounts::default()),
        }
    }

    fn add(&mut self, value: Value, counts: ValueCounts) -> usize {
        let at = self.counts.len();
        match &value {
            Some(name) => drop(self.places.insert(Arc::clone(name), at)),
            None => self.null_at = Some(at),
        }
        self.counts.push((value, counts));
        at
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> CountsByValue {
        self.counts.iter().cloned().collect()
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, counts: CountsByValue) {
        *self = Self::new(self.values_max);
        for (value, counts) in counts {
            self.add(value, counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_past_the_bound_are_counted_together_and_none_is_lost() {
        let mut by_value = ByValue::new(2);
        for value in
            [Some("till-1"), Some("till-2"), Some("till-3"), None, Some("till-4"), Some("till-1")]
        {
            by_value.of(value).read += 1;
        }
        let read = |name: Option<&str>| by_value.counts()[&name.map(Arc::from)].read;
        assert_eq!([Some("till-1"), Some("till-2"), Some(OTHER), None].map(read), [2, 1, 2, 1]);
        assert_eq!(by_value.counts().len(), 4);
    }
}
