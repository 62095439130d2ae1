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
/// Unread records from which reading may be far behind, and how long it would take to read them as quickly as now.
const FAR_BEHIND_RECORDS: i64 = 100_000;
const FAR_BEHIND_SECONDS: f64 = 2.0;
/// How often the end of the log is looked up, for the lag.
const LAG_EVERY: Duration = Duration::from_millis(500);

/// What is known of one partition apart from its state.
#[derive(Debug)]
struct Heard {
    next_offset: Option<Offset>,
    moved_at: Instant,
    end: Option<Offset>,
    /// Records that were in the log and not read: up to this offset, since then.
    waits: Option<(Offset, Instant)>,
    /// How long those before them had waited.
    waited: Duration,
}

impl Heard {
    fn new(now: Instant) -> Self {
        Self { next_offset: None, moved_at: now, end: None, waits: None, waited: Duration::ZERO }
    }

    fn hear(&mut self, next_offset: Option<Offset>, end: Option<Offset>, now: Instant) {
        if self.next_offset != next_offset {
            self.next_offset = next_offset;
            self.moved_at = now;
        }
        let next = next_offset.unwrap_or(0);
        if let Some((_, since)) = self.waits.filter(|(upto, _)| next >= *upto) {
            self.waited = now.saturating_duration_since(since);
            self.waits = None;
        }
        let Some(end) = end else { return };
        self.end = Some(end);
        match self.waits {
            Some(_) => {}
            None if end > next => self.waits = Some((end, now)),
            None => self.waited = Duration::ZERO,
        }
    }

    /// How long the oldest record that is not read has waited, to the half second that the log is looked at.
    fn waiting(&self, now: Instant) -> Duration {
        self.waits.map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(since))
    }
}

/// The clocks of all partitions, and the lag over all of them.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    heard: BTreeMap<String, BTreeMap<PartitionId, Heard>>,
    /// Shadow records read of each partition, and since when it has been so many.
    shadow: BTreeMap<(String, PartitionId), (u64, Instant)>,
    looked: Option<Instant>,
    rate: Rate,
}

/// How many records are read a second.
#[derive(Debug, Default)]
struct Rate {
    read: u64,
    now: f64,
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
        partitions.entry(partition).or_insert_with(|| Heard::new(now)).hear(next_offset, end, now);
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

    /// Whether there is so much to read that it will take seconds, as after a start or in a storm.
    pub(super) fn is_far_behind(&self) -> bool {
        let unread = self.unread();
        unread > FAR_BEHIND_RECORDS && unread as f64 > self.rate.now * FAR_BEHIND_SECONDS
    }

    /// Records that are in the logs and not read, as far as is known.
    fn unread(&self) -> i64 {
        let unread =
            |heard: &Heard| (heard.end.unwrap_or(0) - heard.next_offset.unwrap_or(0)).max(0);
        self.heard.values().flat_map(BTreeMap::values).map(unread).sum()
    }

    /// The status of this moment.
    pub(super) fn status(
        &mut self,
        publisher: &Publishers,
        (problem, paused): (Option<String>, Option<String>),
        alarms: Vec<String>,
    ) -> Status {
        let all = || self.heard.values().flat_map(BTreeMap::values);
        let lag_records = self.unread();
        let quiet = all().map(|heard| heard.moved_at.elapsed()).min().unwrap_or_default();
        let partitions =
            publisher.live.streams.values().flat_map(|stream| stream.partitions.values());
        self.rate.note(partitions.map(|at| at.counts.read).sum());
        let now = Instant::now();
        let waiting = all().map(|heard| heard.waiting(now)).max().unwrap_or_default();
        let waited = all().map(|heard| heard.waited).max().unwrap_or_default();
        let failed = publisher
            .live
            .failures()
            .map(|(view, why)| format!("view {view} is stopped: {why}"))
            .next();
        let state = match (&problem, &paused, waiting > BEHIND_AFTER, quiet > QUIET_AFTER) {
            (Some(_), ..) => State::Stale,
            (_, Some(_), ..) => State::Paused,
            (_, _, true, _) => State::CatchingUp,
            (_, _, _, true) => State::Quiet,
            _ => State::Live,
        };
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Status {
            state,
            lag_ms: ms(waiting.max(waited)),
            lag_records,
            quiet_ms: ms(quiet),
            records_per_second: self.rate.now,
            problem: problem.or(paused).or(failed),
            alarms: publisher.alarms().into_iter().chain(alarms).collect(),
        }
    }
}

impl Rate {
    fn note(&mut self, read: u64) {
        let since = self.rated.map_or(Duration::MAX, |at| at.elapsed());
        if since >= Duration::from_secs(1) {
            if self.rated.is_some() {
                self.now = read.saturating_sub(self.read) as f64 / since.as_secs_f64();
            }
            self.read = read;
            self.rated = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_behind_is_what_takes_seconds_to_read_and_not_what_came_just_now() {
        let mut freshness = Freshness::default();
        let mut far = |end: i64, rate: f64| {
            freshness.hear("orders", 0, (Some(1_000), Some(end)));
            freshness.rate.now = rate;
            freshness.is_far_behind()
        };
        assert!(!far(1_001, 0.0), "one record after a quiet hour");
        assert!(!far(100_000, 0.0));
        assert!(far(1_000_000, 0.0), "a start that finds a million");
        assert!(!far(1_000_000, 600_000.0), "at full speed a million is a moment");
        assert!(far(5_000_000, 600_000.0));
    }

    #[test]
    fn a_record_that_waits_is_behind_however_few_there_are() {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut heard = Heard::new(began);
        heard.hear(Some(10), Some(10), at(0));
        assert_eq!(heard.waiting(at(5_000)), Duration::ZERO);
        // One record comes and is not read.
        heard.hear(Some(10), Some(11), at(500));
        heard.hear(Some(10), None, at(600));
        heard.hear(Some(10), Some(12), at(1_000));
        assert_eq!(heard.waiting(at(3_500)), Duration::from_secs(3));
        // It is read, and the other one has waited since the log was looked at.
        heard.hear(Some(11), Some(12), at(4_000));
        assert_eq!(
            (heard.waiting(at(4_000)), heard.waited),
            (Duration::ZERO, Duration::from_millis(3_500))
        );
        heard.hear(Some(12), None, at(4_100));
        assert_eq!(heard.waited, Duration::from_millis(100));
        heard.hear(Some(12), Some(12), at(4_500));
        assert_eq!((heard.waiting(at(9_000)), heard.waited), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn a_reader_that_keeps_up_is_never_behind() {
        let began = Instant::now();
        let mut heard = Heard::new(began);
        for step in 0..1_000_i64 {
            let now = began + Duration::from_millis(u64::try_from(step).expect("small") * 100);
            // There is always something new, and it is read a tenth of a second later.
            let end = (step % 5 == 0).then_some((step + 1) * 100);
            heard.hear(Some(step * 100), end, now);
            assert!(heard.waiting(now) <= Duration::from_millis(100), "step {step}");
        }
    }
}
