//! Dedup keys with the record that counts, found by key.
//!
//! ```text
//! hash of the key ─▶ slots, from its own on to the first empty one: 32 bits of the hash, a place
//!                    └─▶ entries: key and record, one after another
//! ```
//! A new key, which nearly all are, is nowhere near another one. It touches one line of memory in the slots, which
//! [`KeyTable::look_ahead`] has fetched, and the end of the entries; a table that keeps its marks apart from its values
//! would touch two, with four times the bytes.

use std::hash::BuildHasher as _;
use std::hint::black_box;

use hashbrown::DefaultHashBuilder;

use super::duplicate::{Key, KeyEntry, Sighting};

/// The keys of one partition.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    hasher: DefaultHashBuilder,
    /// As many as a power of two, or none; at most two of three are taken.
    slots: Vec<Slot>,
    taken: usize,
    entries: Vec<KeyEntry>,
    /// Entries whose key has been removed.
    free: Vec<u32>,
}

/// Where a key may be.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// A part of the key's hash; a key belongs at the slot with this number, or as soon behind it as there is one.
    hash: u32,
    /// The number of its entry from 1; 0 is an empty slot. There are never as many keys as numbers: they would take 128 GiB.
    entry: u32,
}

/// The fewest slots.
const SLOTS_MIN: usize = 64;

impl KeyTable {
    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// Makes room for more keys.
    pub(super) fn reserve(&mut self, keys: usize) {
        let wanted = (self.taken + keys) * 3 / 2 + 1;
        if wanted > self.slots.len() {
            self.grow(wanted);
        }
        self.entries.reserve(keys);
    }

    /// The record that counts of a key.
    pub(super) fn get(&self, key: Key) -> Option<Sighting> {
        let at = self.find(self.hash(key), key)?;
        self.entry(at).map(|entry| entry.at)
    }

    /// Looks many keys up at one time, before they are looked up one by one: each is somewhere else in memory, and the
    /// processor waits for all of them together about as long as for one.
    pub(super) fn look_ahead(&self, keys: impl Iterator<Item = Key>) {
        let slot = |key| self.slots.get(self.own_slot(self.hash(key)));
        black_box(keys.filter_map(slot).fold(0, |sum, slot| sum ^ slot.entry));
    }

    /// Sets the record that counts of a key; the one there was.
    pub(super) fn insert(&mut self, key: Key, at: Sighting) -> Option<Sighting> {
        let hash = self.hash(key);
        if let Some(slot) = self.find(hash, key) {
            let number = self.slots.get(slot)?.entry;
            let known = self.entries.get_mut(place(number))?;
            return Some(std::mem::replace(&mut known.at, at));
        }
        self.reserve(1);
        let new = KeyEntry { key, at };
        let entry = match self.free.pop() {
            Some(number) => {
                if let Some(entry) = self.entries.get_mut(place(number)) {
                    *entry = new;
                }
                number
            }
            None => {
                self.entries.push(new);
                u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
            }
        };
        self.put(Slot { hash, entry });
        self.taken += 1;
        None
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(gone) = self.find(self.hash(key), key) else { return };
        self.taken -= 1;
        if self.taken == 0 {
            // Whole hours go at one time, and mostly all of them.
            (self.slots, self.entries, self.free) = (Vec::new(), Vec::new(), Vec::new());
            return;
        }
        self.free.extend(self.slots.get(gone).map(|slot| slot.entry));
        self.close_gap(gone);
    }

    /// Empties a slot, and moves what stands behind it only because that was taken.
    fn close_gap(&mut self, gone: usize) {
        let mask = self.slots.len() - 1;
        let (mut gap, mut at) = (gone, gone);
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.entry == 0 {
                break;
            }
            // How far it is from where it belongs, and from the gap: it may go no further back than home.
            let from_home = at.wrapping_sub(self.own_slot(slot.hash)) & mask;
            if from_home >= at.wrapping_sub(gap) & mask {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = Slot::default();
    }

    /// Makes as many slots as are wanted, and some more.
    fn grow(&mut self, wanted: usize) {
        let count = wanted.next_power_of_two().max(SLOTS_MIN);
        let before = std::mem::replace(&mut self.slots, vec![Slot::default(); count]);
        before.into_iter().filter(|slot| slot.entry != 0).for_each(|slot| self.put(slot));
    }

    /// Puts a slot to the first empty place from its own on; there is one.
    fn put(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = self.own_slot(slot.hash);
        while self.slots[at].entry != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// The slot of a key.
    fn find(&self, hash: u32, key: Key) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = self.own_slot(hash);
        loop {
            let slot = self.slots[at];
            if slot.entry == 0 {
                return None;
            }
            if slot.hash == hash && self.entry(at).is_some_and(|entry| entry.key == key) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    /// The entry of a slot.
    fn entry(&self, slot: usize) -> Option<&KeyEntry> {
        self.entries.get(place(self.slots.get(slot)?.entry))
    }

    /// Where a key with this hash belongs.
    fn own_slot(&self, hash: u32) -> usize {
        wide(hash) & self.slots.len().wrapping_sub(1)
    }

    fn hash(&self, key: Key) -> u32 {
        let [a, b, c, d, ..] = self.hasher.hash_one(key).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// Where the entry of a number is; nowhere for 0.
fn place(number: u32) -> usize {
    wide(number).wrapping_sub(1)
}

fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn keys_come_and_go_as_in_a_plain_map() {
        for seed in 0..20 {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let (mut table, mut plain) = (KeyTable::default(), HashMap::new());
            // Few keys, so that they come again, and so many of some seeds that the slots grow.
            let keys = 40_u64 << (seed % 6);
            for offset in 0..10_000 {
                let key = u128::from(dice.random_range(0..keys)) << 64 | 7;
                let at = Sighting { event_time: dice.random_range(0..9), offset };
                if dice.random_bool(0.6) {
                    assert_eq!(table.insert(key, at), plain.insert(key, at), "seed {seed}");
                } else {
                    table.remove(key);
                    plain.remove(&key);
                }
                assert_eq!(table.get(key), plain.get(&key).copied(), "seed {seed}");
                assert_eq!(table.len(), plain.len(), "seed {seed}");
                if offset % 1_000 == 0 {
                    for key in 0..keys {
                        let key = u128::from(key) << 64 | 7;
                        assert_eq!(table.get(key), plain.get(&key).copied(), "seed {seed}");
                    }
                }
            }
            for key in plain.keys() {
                table.remove(*key);
                assert_eq!(table.get(*key), None, "seed {seed}");
            }
            assert_eq!((table.len(), table.entries.capacity()), (0, 0), "seed {seed}");
        }
    }

    #[test]
    fn places_of_keys_that_went_are_used_again() {
        let mut table = KeyTable::default();
        let at = Sighting { event_time: 0, offset: 0 };
        for key in 0..1_000 {
            table.insert(key, at);
            table.insert(key + 1_000_000, at);
            table.remove(key);
        }
        assert_eq!(table.entries.len(), 1_001);
    }
}
