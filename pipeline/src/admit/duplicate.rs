//! The first arrival counts: dedup keys of one partition, kept until no duplicate can be accepted.
//!
//! A key is forgotten when the partition's watermark passes its event time plus the horizon. Whether
//! it still counts is judged by that rule record by record; when its memory is freed does not matter.

use std::collections::BTreeMap;

use hashbrown::HashMap;

/// What the keys say of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Its key is new.
    First,
    /// Its key came before.
    Duplicate,
    /// So old that its key may have been forgotten.
    BeyondHorizon,
}

/// A dedup key: 128 bits of its hash. Two keys of a billion collide with a chance of 10^-21.
pub type Key = u128;

/// The dedup keys of one partition.
#[derive(Debug)]
pub struct Duplicates {
    horizon_ms: i64,
    keys: HashMap<Key, i64>,
    /// Keys by the hour of their event time, so that whole hours are freed.
    by_hour: BTreeMap<i64, Vec<Key>>,
    fresh: Vec<(Key, i64)>,
}

const HOUR_MS: i64 = 3_600_000;

impl Duplicates {
    /// No keys yet.
    #[must_use]
    pub fn new(horizon_ms: i64) -> Self {
        Self { horizon_ms, keys: HashMap::new(), by_hour: BTreeMap::new(), fresh: Vec::new() }
    }

    /// Looks a key up and remembers it when it is the first of its kind.
    pub fn see(&mut self, key: Key, event_time: i64, watermark: i64) -> Seen {
        let horizon = self.horizon_ms;
        let expired = |time: i64| time.saturating_add(horizon) <= watermark;
        if expired(event_time) {
            return Seen::BeyondHorizon;
        }
        match self.keys.get(&key) {
            Some(time) if !expired(*time) => Seen::Duplicate,
            _ => {
                self.remember(key, event_time);
                self.fresh.push((key, event_time));
                Seen::First
            }
        }
    }

    fn remember(&mut self, key: Key, event_time: i64) {
        self.keys.insert(key, event_time);
        self.by_hour.entry(event_time.div_euclid(HOUR_MS)).or_default().push(key);
    }

    /// Frees the hours that the watermark has passed by more than the horizon.
    pub fn forget(&mut self, watermark: i64) {
        while let Some(hour) = self.by_hour.first_entry() {
            if ((hour.key() + 1) * HOUR_MS).saturating_add(self.horizon_ms) > watermark {
                return;
            }
            let within = *hour.key();
            for key in hour.remove() {
                // A key that was forgotten and came again belongs to a later hour.
                if self.keys.get(&key).is_some_and(|time| time.div_euclid(HOUR_MS) == within) {
                    self.keys.remove(&key);
                }
            }
        }
    }

    /// The keys remembered since the last call, for the checkpoint.
    pub fn take_fresh(&mut self) -> Vec<(Key, i64)> {
        std::mem::take(&mut self.fresh)
    }

    /// Takes up keys from a checkpoint.
    pub fn restore(&mut self, keys: impl IntoIterator<Item = (Key, i64)>) {
        for (key, event_time) in keys {
            self.remember(key, event_time);
        }
    }

    /// Number of keys held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_arrival_counts_and_later_ones_do_not() {
        let mut keys = Duplicates::new(HOUR_MS);
        assert_eq!(keys.see(7, 0, i64::MIN), Seen::First);
        assert_eq!(keys.see(7, 5, i64::MIN), Seen::Duplicate);
        assert_eq!(keys.see(8, 5, i64::MIN), Seen::First);
    }

    #[test]
    fn whether_a_key_counts_does_not_depend_on_when_memory_is_freed() {
        let judge = |free: bool| {
            let mut keys = Duplicates::new(HOUR_MS);
            keys.see(7, 0, i64::MIN);
            if free {
                keys.forget(3 * HOUR_MS);
            }
            (keys.see(7, 0, HOUR_MS), keys.see(7, 4 * HOUR_MS, 3 * HOUR_MS))
        };
        assert_eq!(judge(false), judge(true));
        assert_eq!(judge(true), (Seen::BeyondHorizon, Seen::First));
    }

    #[test]
    fn freed_hours_hold_no_memory() {
        let mut keys = Duplicates::new(HOUR_MS);
        for at in 0..100 {
            keys.see(u128::from(at as u64), at * 60_000, i64::MIN);
        }
        keys.forget(10 * HOUR_MS);
        assert!(keys.is_empty());
    }
}
