//! The first arrival counts: dedup keys of one partition, kept until no duplicate can be accepted.
//!
//! ```text
//! record ─▶ keys in memory ─▶ keys on disk ─▶ first, duplicate, or beyond the horizon
//!           the newest        the rest, oldest event time first
//! ```
//! A key is forgotten when the partition's watermark passes its event time plus the horizon. Whether
//! it still counts is judged by that rule record by record; when its memory is freed, and whether it
//! is in memory or on disk, does not matter. A key on disk may have been written after the checkpoint
//! that a run resumed from: it carries the offset it was seen at, and is believed only by later ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;

use super::key_table::KeyTable;
use crate::model::{Offset, Space};

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

/// Keys that are looked up at one time: as many as the nearest memory holds.
const AHEAD_KEYS: usize = 128;

/// A dedup key: 128 bits of its hash. Two keys of a billion collide with a chance of 10^-21.
pub type Key = u128;

/// Where a key was seen: the record that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Event time of the record, epoch milliseconds.
    pub event_time: i64,
    /// Its offset in the partition.
    pub offset: Offset,
}

/// A key with the record that counts, as a checkpoint keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEntry {
    /// The key.
    pub key: Key,
    /// Where it was seen.
    pub at: Sighting,
}

/// What a partition's dedup keys tell the checkpoint, all at one offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DedupDrain {
    /// Keys since the last drain, in order of arrival.
    pub fresh: Vec<KeyEntry>,
    /// By hour of event time, how many of its keys are on disk: always those that came first.
    pub spilled: BTreeMap<i64, u64>,
}

/// Keys of one partition that are on disk, to be looked up one by one.
pub trait SpilledKeys: std::fmt::Debug + Send + Sync {
    /// Whether no key has ever come here, so that none needs to be looked up.
    ///
    /// # Errors
    /// When the disk cannot be read.
    fn is_unused(&self) -> Result<bool, SpillError>;

    /// Everything known of a key, in no order; empty for an unknown one.
    ///
    /// # Errors
    /// When the disk cannot be read; then nothing can be said of the key.
    fn find(&self, key: Key) -> Result<Vec<Sighting>, SpillError>;

    /// Writes keys, ascending and each once, over what was known of them. When this returns they
    /// survive a power cut.
    ///
    /// # Errors
    /// When the disk refuses; some of the keys may then be written.
    fn write(&self, keys: &[(Key, Vec<Sighting>)]) -> Result<(), SpillError>;
}

/// The disk refused a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dedup keys in {place}: {detail}")]
pub struct SpillError {
    /// Folder of the store.
    pub place: String,
    /// The store's own words.
    pub detail: String,
}

/// Where keys go that do not fit into memory.
#[derive(Debug, Clone)]
pub struct Overflow {
    /// The disk.
    pub store: Arc<dyn SpilledKeys>,
    /// The memory, with all that share it.
    pub room: Arc<KeyRoom>,
}

/// Bytes a key takes in memory at the least dense filling of the table: its entry, nine bytes of table at half its
/// load, and its place in the list of its hour; lists have up to twice the room they need.
pub const KEY_BYTES: usize = 96;

/// The memory for dedup keys of all partitions and spaces: one whose log is busy may have what the others
/// do not use. Who keeps how much decides what is looked up on disk and nothing else.
#[derive(Debug)]
pub struct KeyRoom {
    keys_max: usize,
    /// Keys that each may keep when all is full.
    part: usize,
    /// Keys of all, each as of its last batch.
    keys: AtomicUsize,
}

impl KeyRoom {
    /// Room for as many keys as fit into `bytes`, in equal parts when it is full; at least 1,024, so that a
    /// tiny bound still makes progress.
    #[must_use]
    pub fn within(bytes: usize, partitions: usize) -> Arc<Self> {
        Self::for_keys((bytes / KEY_BYTES).max(1_024), partitions * Space::ALL.len())
    }

    /// Room for this many keys of this many parts.
    #[must_use]
    pub fn for_keys(keys_max: usize, parts: usize) -> Arc<Self> {
        Arc::new(Self { keys_max, part: keys_max / parts.max(1), keys: AtomicUsize::new(0) })
    }

    /// Takes note that one has this many keys where it had that many; how many all have.
    fn note(&self, had: usize, has: usize) -> usize {
        let before = self.keys.fetch_add(has, Ordering::Relaxed);
        self.keys.fetch_sub(had, Ordering::Relaxed);
        (before + has).saturating_sub(had)
    }

    /// How many keys one that has `own` moves to disk when all have `all`: none before it is full, then its
    /// share of the older half.
    fn too_many(&self, own: usize, all: usize) -> usize {
        match all > self.keys_max && own > self.part {
            true => (all - self.keys_max / 2).min(own - self.part / 2),
            false => 0,
        }
    }
}

/// The dedup keys of one partition.
#[derive(Debug)]
pub struct Duplicates {
    horizon_ms: i64,
    /// The newest sighting of each key.
    keys: KeyTable,
    /// Keys by the hour of their event time, in order of arrival, so that whole hours are freed and
    /// the oldest go to disk first.
    by_hour: BTreeMap<i64, Vec<Key>>,
    /// Older sightings of keys that were forgotten and came again: they go to disk with the newest,
    /// because a run that begins at a checkpoint has a watermark by which they still count.
    earlier: HashMap<Key, Vec<Sighting>>,
    fresh: Vec<KeyEntry>,
    overflow: Option<Overflow>,
    /// Keys in memory as the others know of it.
    noted: usize,
    is_disk_used: bool,
    spilled: BTreeMap<i64, u64>,
}

/// Keys are freed, written and removed by whole hours of event time, in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;

fn hour_of(at: Sighting) -> i64 {
    at.event_time.div_euclid(HOUR_MS)
}

impl Duplicates {
    /// No keys yet, all of which stay in memory.
    #[must_use]
    pub fn new(horizon_ms: i64) -> Self {
        Self {
            is_disk_used: false,
            noted: 0,
            horizon_ms,
            keys: KeyTable::default(),
            by_hour: BTreeMap::new(),
            earlier: HashMap::new(),
            fresh: Vec::new(),
            overflow: None,
            spilled: BTreeMap::new(),
        }
    }

    /// Lets keys go to disk from now on.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn overflow_to(&mut self, overflow: Overflow) -> Result<(), SpillError> {
        self.is_disk_used = !overflow.store.is_unused()?;
        self.overflow = Some(overflow);
        Ok(())
    }

    /// Looks many keys up at one time, before they are seen one by one.
    pub fn look_ahead(&self, keys: impl Iterator<Item = Key>) {
        self.keys.look_ahead(keys);
    }

    /// Looks a key up and remembers it when it is the first of its kind.
    ///
    /// Offsets ascend from call to call.
    ///
    /// # Errors
    /// When the disk cannot be read; the key is then not remembered, and nothing can be said of it.
    pub fn see(&mut self, key: Key, at: Sighting, watermark: i64) -> Result<Seen, SpillError> {
        let horizon = self.horizon_ms;
        let expired = |time: i64| time.saturating_add(horizon) <= watermark;
        if expired(at.event_time) {
            return Ok(Seen::BeyondHorizon);
        }
        match self.keys.get(key) {
            Some(before) if !expired(before.event_time) => return Ok(Seen::Duplicate),
            // A checkpoint may give back a sighting past the horizon whose key came again and went to disk.
            _ => {
                let found = self.find_on_disk(key)?;
                // A later offset was written before a crash, by a record that is now read again.
                if found.iter().any(|seen| seen.offset < at.offset && !expired(seen.event_time)) {
                    return Ok(Seen::Duplicate);
                }
            }
        }
        let entry = KeyEntry { key, at };
        self.remember(entry);
        self.fresh.push(entry);
        Ok(Seen::First)
    }

    fn find_on_disk(&self, key: Key) -> Result<Vec<Sighting>, SpillError> {
        match &self.overflow {
            // Also what is past the horizon: written over, it would be missing after a crash.
            Some(overflow) if self.is_disk_used => overflow.store.find(key),
            _ => Ok(Vec::new()),
        }
    }

    fn remember(&mut self, entry: KeyEntry) {
        let KeyEntry { key, at } = entry;
        self.by_hour.entry(hour_of(at)).or_default().push(key);
        if let Some(before) = self.keys.insert(key, at) {
            // Hours of a checkpoint come in their order, so the newest sighting may come first.
            let (older, newer) =
                if before.offset < at.offset { (before, at) } else { (at, before) };
            self.earlier.entry(key).or_default().push(older);
            self.keys.insert(key, newer);
        }
    }

    /// Moves the oldest keys to disk when there are more in memory than there may be.
    ///
    /// # Errors
    /// When the disk refuses; the keys are then still in memory.
    pub fn spill(&mut self) -> Result<(), SpillError> {
        let Some(overflow) = self.overflow.clone() else { return Ok(()) };
        let all = overflow
            .room
            .note(std::mem::replace(&mut self.noted, self.keys.len()), self.keys.len());
        let moved = overflow.room.too_many(self.keys.len(), all);
        if moved == 0 {
            return Ok(());
        }
        let plan = self.oldest(moved);
        let moving = self.with_all_sightings(&plan, overflow.store.as_ref())?;
        overflow.store.write(&moving)?;
        self.is_disk_used = true;
        for (key, _) in &moving {
            self.keys.remove(*key);
            self.earlier.remove(key);
        }
        for (hour, count) in plan {
            if let Some(keys) = self.by_hour.get_mut(&hour) {
                keys.drain(..count);
                keys.shrink_to_fit();
            }
            *self.spilled.entry(hour).or_default() += wide(count);
        }
        self.by_hour.retain(|_, keys| !keys.is_empty());
        overflow.room.note(std::mem::replace(&mut self.noted, self.keys.len()), self.keys.len());
        metrics::counter!("tidemark_dedup_keys_spilled_total").increment(wide(moving.len()));
        Ok(())
    }

    /// How many keys of which hours are the `count` oldest by hour of event time, then by arrival.
    fn oldest(&self, count: usize) -> Vec<(i64, usize)> {
        let mut wanted = count;
        let mut plan = Vec::new();
        for (hour, keys) in &self.by_hour {
            let taken = keys.len().min(wanted);
            wanted -= taken;
            if taken > 0 {
                plan.push((*hour, taken));
            }
        }
        plan
    }

    fn with_all_sightings(
        &self,
        plan: &[(i64, usize)],
        store: &dyn SpilledKeys,
    ) -> Result<Vec<(Key, Vec<Sighting>)>, SpillError> {
        let listed = plan
            .iter()
            .flat_map(|(hour, count)| self.by_hour.get(hour).into_iter().flatten().take(*count));
        let mut moving = Vec::with_capacity(plan.iter().map(|(_, count)| count).sum());
        for key in listed {
            // A key that came again is listed twice and may be gone with its first place.
            let Some(newest) = self.keys.get(*key) else { continue };
            let mut seen = vec![newest];
            seen.extend(self.earlier.get(key).into_iter().flatten());
            // What is written goes over what was known, which may be more than memory was given back.
            if self.is_disk_used {
                seen.extend(store.find(*key)?);
            }
            seen.sort_unstable_by_key(|at| at.offset);
            seen.dedup();
            moving.push((*key, seen));
        }
        moving.sort_unstable_by_key(|(key, _)| *key);
        moving.dedup_by_key(|(key, _)| *key);
        Ok(moving)
    }

    /// Frees the hours that the watermark has passed by more than the horizon.
    pub fn forget(&mut self, watermark: i64) {
        let is_past = |hour: i64| past_horizon(hour, self.horizon_ms, watermark);
        while let Some(hour) = self.by_hour.first_entry().filter(|hour| is_past(*hour.key())) {
            let within = *hour.key();
            for key in hour.remove() {
                // A key that was forgotten and came again belongs to a later hour.
                if self.keys.get(key).is_some_and(|at| hour_of(at) == within) {
                    self.keys.remove(key);
                }
                if let Some(seen) = self.earlier.get_mut(&key) {
                    seen.retain(|at| hour_of(*at) != within);
                }
            }
            self.earlier.retain(|_, seen| !seen.is_empty());
        }
        self.spilled.retain(|hour, _| !is_past(*hour));
    }

    /// What the next checkpoint has to hold.
    pub fn drain(&mut self) -> DedupDrain {
        DedupDrain { fresh: std::mem::take(&mut self.fresh), spilled: self.spilled.clone() }
    }

    /// Takes up a checkpoint: the keys in memory, in order of arrival within each hour, and how many
    /// before them are on disk.
    pub fn restore(&mut self, keys: &[KeyEntry], spilled: BTreeMap<i64, u64>) {
        self.keys.reserve(keys.len());
        for keys in keys.chunks(AHEAD_KEYS) {
            self.look_ahead(keys.iter().map(|entry| entry.key));
            keys.iter().for_each(|entry| self.remember(*entry));
        }
        self.spilled = spilled;
    }

    /// Number of keys in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Duplicates {
    fn drop(&mut self) {
        if let Some(overflow) = &self.overflow {
            overflow.room.note(self.noted, 0);
        }
    }
}

/// Whether no key of an hour of event time counts any more at a watermark.
#[must_use]
pub fn past_horizon(hour: i64, horizon_ms: i64, watermark: i64) -> bool {
    ((hour + 1) * HOUR_MS).saturating_add(horizon_ms) <= watermark
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "duplicate_tests.rs"]
mod tests;
