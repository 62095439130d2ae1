//! How fresh the figures are: when each partition was last heard, and how far reading is behind the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::model::{Offset, PartitionId};
use crate::results::{State, Status};
use crate::run::publisher::{Publishers, Quiet};

/// Time without records after which a drained log is called quiet.
const QUIET_AFTER: Duration = Duration::from_secs(5);
/// Time records may wait unread before the figures are called behind.
const BEHIND_AFTER: Duration = Duration::from_secs(2);
/// How often the end of the log is looked up, for the lag.
const LAG_EVERY: Duration = Duration::from_millis(500);

/// What is known of one partition apart from its state.
#[derive(Debug)]
struct Heard {
    next_offset: Option<Offset>,
    moved_at: Instant,
    end: Option<Offset>,
}

/// The clocks of all partitions, and the lag over all of them.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    heard: BTreeMap<String, BTreeMap<PartitionId, Heard>>,
    /// Shadow records read of each partition, and since when it has been so many.
    shadow: BTreeMap<(String, PartitionId), (u64, Instant)>,
    looked: Option<Instant>,
    lag: Lag,
}

#[derive(Debug, Default)]
struct Lag {
    behind_since: Option<Instant>,
    read: u64,
    rate: f64,
    rated: Option<Instant>,
}

impl Freshness {
    /// Whether the end of the log should be looked up now; asking counts as doing so.
    pub(super) fn wants_end(&mut self) -> bool {
        let is_due = self.looked.is_none_or(|at| at.elapsed() >= LAG_EVERY);
        if is_due {
            self.looked = Some(Instant::now());
        }
        is_due
    }

    /// Takes note of where a partition is, and of the end of its log where that is known anew.
    pub(super) fn hear(
        &mut self,
        stream: &str,
        partition: PartitionId,
        (next_offset, end): (Option<Offset>, Option<Offset>),
    ) {
        let now = Instant::now();
        let partitions = self.heard.entry(stream.to_owned()).or_default();
        let heard =
            partitions.entry(partition).or_insert(Heard { next_offset, moved_at: now, end });
        if heard.next_offset != next_offset {
            heard.next_offset = next_offset;
            heard.moved_at = now;
        }
        heard.end = end.or(heard.end);
    }

    /// Takes note of how many shadow records of a partition have been read.
    pub(super) fn hear_shadow(&mut self, stream: &str, partition: PartitionId, read: u64) {
        let now = Instant::now();
        let heard = self.shadow.entry((stream.to_owned(), partition)).or_insert((read, now));
        if heard.0 != read {
            *heard = (read, now);
        }
    }

    /// How long each partition has had no shadow record; one that never had, since there are any at all.
    pub(super) fn quiet_of_shadow(&mut self, publishers: &Publishers) -> Quiet {
        let mut quiet = Quiet::new();
        let Some(shadow) = &publishers.shadow else { return quiet };
        for (stream, at) in &shadow.streams {
            for partition in at.partitions.keys() {
                let heard = self
                    .shadow
                    .entry((stream.clone(), *partition))
                    .or_insert_with(|| (0, Instant::now()));
                quiet.entry(stream.clone()).or_default().insert(*partition, heard.1.elapsed());
            }
        }
        quiet
    }

    /// How long each partition has been silent.
    pub(super) fn quiet(&self) -> Quiet {
        let silent = |partitions: &BTreeMap<PartitionId, Heard>| {
            partitions
                .iter()
                .map(|(partition, heard)| (*partition, heard.moved_at.elapsed()))
                .collect()
        };
        self.heard.iter().map(|(stream, partitions)| (stream.clone(), silent(partitions))).collect()
    }

    /// The status of this moment.
    pub(super) fn status(
        &mut self,
        publisher: &Publishers,
        (problem, paused): (Option<String>, Option<String>),
        alarms: Vec<String>,
    ) -> Status {
        let all = || self.heard.values().flat_map(BTreeMap::values);
        let unread =
            |heard: &Heard| (heard.end.unwrap_or(0) - heard.next_offset.unwrap_or(0)).max(0);
        let lag_records: i64 = all().map(unread).sum();
        let quiet = all().map(|heard| heard.moved_at.elapsed()).min().unwrap_or_default();
        let partitions =
            publisher.live.streams.values().flat_map(|stream| stream.partitions.values());
        self.lag.note(partitions.map(|at| at.counts.read).sum(), lag_records);
        let lag = self.lag.behind_since.map_or(Duration::ZERO, |since| since.elapsed());
        let failed = publisher
            .live
            .failures()
            .map(|(view, why)| format!("view {view} is stopped: {why}"))
            .next();
        let state = match (&problem, &paused, lag > BEHIND_AFTER, quiet > QUIET_AFTER) {
            (Some(_), ..) => State::Stale,
            (_, Some(_), ..) => State::Paused,
            (_, _, true, _) => State::CatchingUp,
            (_, _, _, true) => State::Quiet,
            _ => State::Live,
        };
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Status {
            state,
            lag_ms: ms(lag),
            lag_records,
            quiet_ms: ms(quiet),
            records_per_second: self.lag.rate,
            problem: problem.or(paused).or(failed),
            alarms: publisher.alarms().into_iter().chain(alarms).collect(),
        }
    }
}

impl Lag {
    fn note(&mut self, read: u64, lag_records: i64) {
        let now = Instant::now();
        // Less than a second's worth is the ordinary coming and going of records.
        match lag_records as f64 > self.rate.max(1_000.0) {
            true => {
                self.behind_since.get_or_insert(now);
            }
            false => self.behind_since = None,
        }
        let since = self.rated.map_or(Duration::MAX, |at| at.elapsed());
        if since >= Duration::from_secs(1) {
            if self.rated.is_some() {
                self.rate = read.saturating_sub(self.read) as f64 / since.as_secs_f64();
            }
            self.read = read;
            self.rated = Some(now);
        }
    }
}
