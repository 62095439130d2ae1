//! The rule of the first arrival, in memory, on disk and read again after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

/// A disk that is a map; what is on it outlives the keys in memory.
#[derive(Debug, Default)]
struct Disk(Mutex<BTreeMap<Key, Vec<Sighting>>>);

impl SpilledKeys for Disk {
    fn is_unused(&self) -> Result<bool, SpillError> {
        Ok(self.0.lock().is_empty())
    }

    fn find(&self, key: Key) -> Result<Vec<Sighting>, SpillError> {
        Ok(self.0.lock().get(&key).cloned().unwrap_or_default())
    }

    fn write(&self, keys: &[(Key, Vec<Sighting>)]) -> Result<(), SpillError> {
        assert!(keys.is_sorted_by(|left, right| left.0 < right.0), "ascending, each once");
        self.0.lock().extend(keys.iter().cloned());
        Ok(())
    }
}

fn in_memory(horizon_ms: i64) -> Duplicates {
    Duplicates::new(horizon_ms)
}

fn with_disk(horizon_ms: i64, store: Arc<dyn SpilledKeys>, keys_max: usize) -> Duplicates {
    let mut keys = Duplicates::new(horizon_ms);
    let room = KeyRoom::for_keys(keys_max, 1);
    keys.overflow_to(Overflow { store, room }).expect("the disk answers");
    keys
}

fn see(keys: &mut Duplicates, key: Key, event_time: i64, offset: Offset, watermark: i64) -> Seen {
    keys.see(key, Sighting { event_time, offset }, watermark).expect("the disk answers")
}

#[test]
fn the_first_arrival_counts_and_later_ones_do_not() {
    let mut keys = in_memory(HOUR_MS);
    assert_eq!(see(&mut keys, 7, 0, 0, i64::MIN), Seen::First);
    assert_eq!(see(&mut keys, 7, 5, 1, i64::MIN), Seen::Duplicate);
    assert_eq!(see(&mut keys, 8, 5, 2, i64::MIN), Seen::First);
}

#[test]
fn whether_a_key_counts_does_not_depend_on_when_memory_is_freed() {
    let judge = |free: bool| {
        let mut keys = in_memory(HOUR_MS);
        see(&mut keys, 7, 0, 0, i64::MIN);
        if free {
            keys.forget(3 * HOUR_MS);
        }
        (see(&mut keys, 7, 0, 1, HOUR_MS), see(&mut keys, 7, 4 * HOUR_MS, 2, 3 * HOUR_MS))
    };
    assert_eq!(judge(false), judge(true));
    assert_eq!(judge(true), (Seen::BeyondHorizon, Seen::First));
}

#[test]
fn freed_hours_hold_no_memory() {
    let mut keys = in_memory(HOUR_MS);
    for at in 0..100 {
        see(&mut keys, u128::from(at as u64), at * 60_000, at, i64::MIN);
    }
    keys.forget(10 * HOUR_MS);
    assert!(keys.is_empty());
}

#[test]
fn keys_beyond_the_bound_go_to_disk_oldest_hour_first_and_are_still_known() {
    let disk = Arc::new(Disk::default());
    let mut keys = with_disk(10 * HOUR_MS, Arc::<Disk>::clone(&disk), 4);
    for (key, hour) in [(1, 2), (2, 0), (3, 1), (4, 0), (5, 2)] {
        see(&mut keys, key, hour * HOUR_MS, i64::try_from(key).expect("small"), i64::MIN);
    }
    keys.spill().expect("written");
    assert_eq!(keys.len(), 2, "half of the bound stays");
    assert_eq!(disk.0.lock().keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(keys.drain().spilled, BTreeMap::from([(0, 2), (1, 1)]));
    for key in 1..=5 {
        assert_eq!(see(&mut keys, key, 3 * HOUR_MS, 9, i64::MIN), Seen::Duplicate, "key {key}");
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_an_error_and_no_guess() {
    #[derive(Debug)]
    struct Broken;
    impl SpilledKeys for Broken {
        fn is_unused(&self) -> Result<bool, SpillError> {
            Ok(true)
        }
        fn find(&self, _: Key) -> Result<Vec<Sighting>, SpillError> {
            Err(SpillError { place: "/dev/null".to_owned(), detail: "broken".to_owned() })
        }
        fn write(&self, _: &[(Key, Vec<Sighting>)]) -> Result<(), SpillError> {
            Ok(())
        }
    }
    let mut keys = with_disk(HOUR_MS, Arc::new(Broken), 1);
    see(&mut keys, 1, 0, 0, i64::MIN);
    see(&mut keys, 2, 0, 1, i64::MIN);
    keys.spill().expect("written");
    assert!(keys.see(3, Sighting { event_time: 0, offset: 2 }, i64::MIN).is_err());
}

/// A log of keys that repeat, with event times that wander and a watermark that follows.
fn log(seed: u64, records: i64) -> Vec<(Key, Sighting)> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    (0..records)
        .map(|offset| {
            let event_time = offset * 120_000 - dice.random_range(0..3 * HOUR_MS);
            (Key::from(dice.random_range(0..60_u32)), Sighting { event_time, offset })
        })
        .collect()
}

/// Judges `records` from a state on; the watermark is the largest accepted event time.
fn judge(keys: &mut Duplicates, records: &[(Key, Sighting)], watermark: &mut i64) -> Vec<Seen> {
    let mut all = Vec::new();
    for (key, at) in records {
        let seen = keys.see(*key, *at, *watermark).expect("the disk answers");
        if seen == Seen::First {
            *watermark = at.event_time.max(*watermark);
        }
        all.push(seen);
        if at.offset % 7 == 0 {
            keys.spill().expect("written");
            keys.forget(*watermark);
        }
    }
    all
}

/// What files of a checkpoint hold, as `state` keeps them: all keys by hour, and how many of each
/// hour are on disk.
#[derive(Debug, Clone, Default)]
struct Files {
    hours: BTreeMap<i64, Vec<KeyEntry>>,
    spilled: BTreeMap<i64, u64>,
}

impl Files {
    fn append(&mut self, keys: &mut Duplicates) {
        let drained = keys.drain();
        for entry in drained.fresh {
            self.hours.entry(hour_of(entry.at)).or_default().push(entry);
        }
        self.spilled.extend(drained.spilled);
    }

    fn restore(&self, keys: &mut Duplicates) {
        let unspilled = self.hours.iter().flat_map(|(hour, entries)| {
            entries
                .iter()
                .skip(usize::try_from(self.spilled.get(hour).copied().unwrap_or(0)).expect("small"))
        });
        keys.restore(&unspilled.copied().collect::<Vec<_>>(), self.spilled.clone());
    }
}

#[test]
fn what_is_judged_does_not_depend_on_memory_disk_or_a_crash_after_keys_went_to_disk() {
    for seed in 0..400 {
        let records = log(seed, 300);
        let mut watermark = i64::MIN;
        let expected = judge(&mut in_memory(2 * HOUR_MS), &records, &mut watermark);
        assert!(expected.contains(&Seen::Duplicate) && expected.contains(&Seen::BeyondHorizon));

        let disk = Arc::new(Disk::default());
        let fresh = || with_disk(2 * HOUR_MS, Arc::<Disk>::clone(&disk), 6);
        let cut = 40 + usize::try_from(seed % 100).expect("small");
        let beyond = cut + 1 + usize::try_from(seed % 120).expect("small");
        let (mut keys, mut watermark, mut files) = (fresh(), i64::MIN, Files::default());
        let mut judged = judge(&mut keys, &records[..cut], &mut watermark);
        files.append(&mut keys);
        // The checkpoint is written; what comes after it is lost, but for what went to disk.
        let mut lost = watermark;
        judge(&mut keys, &records[cut..beyond], &mut lost);
        let mut keys = fresh();
        files.restore(&mut keys);
        judged.extend(judge(&mut keys, &records[cut..], &mut watermark));
        assert_eq!(judged, expected, "seed {seed}");
    }
}

#[test]
#[ignore = "a measurement, not a proof: scripts/bench.sh prints it"]
fn measure_dedup_keys_in_memory() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages.expect("a number") * 4_096
    };
    for millions in [1_u32, 3, 10] {
        let before = resident();
        let mut keys = in_memory(3 * HOUR_MS);
        let mut dice = ChaCha8Rng::seed_from_u64(11);
        let began = std::time::Instant::now();
        let count = i64::from(millions) * 1_000_000;
        for offset in 0..count {
            see(&mut keys, dice.random(), offset / 1_000, offset, i64::MIN);
            if offset % 8_192 == 0 {
                keys.drain();
            }
        }
        let (seconds, bytes) = (began.elapsed().as_secs_f64(), resident() - before);
        println!(
            "dedup in memory: {millions} M keys, {} bytes a key, {:.2} s per million keys",
            bytes / u64::try_from(count).expect("positive"),
            seconds / f64::from(millions)
        );
    }
}

#[test]
fn a_busy_partition_has_the_memory_that_the_others_leave_and_the_sum_stays_bounded() {
    let (room, disk) = (KeyRoom::for_keys(100, 4), Arc::new(Disk::default()));
    let partition = |_| {
        let mut keys = Duplicates::new(10 * HOUR_MS);
        let store = Arc::clone(&disk) as Arc<dyn SpilledKeys>;
        keys.overflow_to(Overflow { store, room: Arc::clone(&room) }).expect("the disk answers");
        keys
    };
    let mut all: Vec<Duplicates> = (0..4).map(partition).collect();
    let mut next = 0_i64;
    let mut take = |keys: &mut Duplicates, count: i64| {
        for _ in 0..count {
            next += 1;
            see(keys, u128::from(next.cast_unsigned()), next, next, i64::MIN);
        }
        keys.spill().expect("the disk answers");
    };
    take(&mut all[0], 90);
    take(&mut all[1], 9);
    assert_eq!((all[0].len(), all[1].len()), (90, 9), "four times its part, and all fits");
    // Who has less than its part keeps it although all is full; the busy one makes room.
    take(&mut all[1], 10);
    assert_eq!((all[0].len(), all[1].len()), (90, 19));
    take(&mut all[0], 1);
    assert_eq!((all[0].len(), all[1].len()), (31, 19), "half of all is free again");
    drop(all.remove(0));
    take(&mut all[2], 81);
    assert_eq!(all[2].len(), 81, "what is gone takes no room");
}
