//! Which order is forgotten next: every order once, at or before the time at which it is.
//!
//! ```text
//! front: sorted, to the millisecond ◀── rough: by the second, unsorted
//! ```
//! Orders are forgotten weeks after their last event, and most of their events come before: to keep a
//! million of them sorted all the time would cost more than the events. So a new order is only thrown to
//! those of its second, and a second is sorted when its turn comes. An order that has had an event since
//! then is put to its new time when its old one is reached.

use std::collections::BTreeMap;

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When its turn is, epoch milliseconds.
    pub at: i64,
    /// Which order.
    pub slot: u32,
    /// Which of the orders that have been there one after another.
    pub generation: u32,
}

/// The queue.
#[derive(Debug)]
pub struct Ages {
    /// The next ones, the first at the end.
    front: Vec<Place>,
    /// What is no later than this second is in `front`.
    sorted_to: i64,
    rough: BTreeMap<i64, Vec<Place>>,
}

/// Milliseconds of a rough second: a power of two.
const ROUGH_BITS: u32 = 10;

impl Default for Ages {
    fn default() -> Self {
        Self { front: Vec::new(), sorted_to: i64::MIN, rough: BTreeMap::new() }
    }
}

impl Ages {
    /// Puts an order in; `is_before` says which of two places of one time is first.
    pub fn add(&mut self, place: Place, is_before: impl Fn(&Place, &Place) -> bool) {
        let second = place.at >> ROUGH_BITS;
        if second > self.sorted_to {
            self.rough.entry(second).or_default().push(place);
            return;
        }
        let is_later =
            |other: &Place| other.at > place.at || other.at == place.at && is_before(&place, other);
        let at = self.front.partition_point(is_later);
        self.front.insert(at, place);
    }

    /// Takes the first place out if its time is one that is `wanted`; a time is wanted if a later one is.
    pub fn pop(
        &mut self,
        wanted: impl Fn(i64) -> bool,
        is_before: impl Fn(&Place, &Place) -> bool,
    ) -> Option<Place> {
        if self.front.is_empty() {
            let next = self.rough.first_entry().filter(|next| wanted(next.key() << ROUGH_BITS))?;
            self.sorted_to = *next.key();
            self.front = next.remove();
            self.front.sort_unstable_by(|left, right| {
                right.at.cmp(&left.at).then_with(|| match is_before(left, right) {
                    true => std::cmp::Ordering::Greater,
                    false => std::cmp::Ordering::Less,
                })
            });
        }
        self.front.pop_if(|place| wanted(place.at))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn places_come_out_by_time_and_then_by_rank_whatever_order_they_went_in() {
        for seed in 0..50 {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let (mut ages, mut wanted) = (Ages::default(), BTreeSet::new());
            let is_before = |left: &Place, right: &Place| left.slot < right.slot;
            for slot in 0..2_000 {
                let at = dice.random_range(-9_000..9_000) / if slot % 2 == 0 { 1 } else { 100 };
                ages.add(Place { at, slot, generation: 0 }, is_before);
                wanted.insert((at, slot));
                let bound = dice.random_range(-20_000..10_000);
                while dice.random_bool(0.4) {
                    let first = wanted.first().copied().filter(|(at, _)| *at <= bound);
                    let popped = ages.pop(|at| at <= bound, is_before);
                    assert_eq!(popped.map(|place| (place.at, place.slot)), first, "seed {seed}");
                    first.map(|first| wanted.remove(&first));
                }
            }
        }
    }
}
