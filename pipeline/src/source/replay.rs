//! Recorded orders written to a log again: at their own pace, faster, or as fast as it goes.
//!
//! What a recorded row becomes (its key, its bytes, its event time) is the business of a SQL
//! script; here it arrives ready. The log's timestamp of a replayed record is its event time, so
//! that bounds on clocks hold as they did on the day.

use super::SourceError;
use super::pace::Speed;
use super::player::{Player, Stage};
use super::writer::NewRecord;
use crate::model::{EventTime, Space, Zone};

/// One record to be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRecord {
    /// Event time, which becomes the log's timestamp too; epoch milliseconds.
    pub event_time_ms: i64,
    /// Message key, which chooses the partition.
    pub key: Vec<u8>,
    /// The bytes of the record.
    pub payload: Vec<u8>,
}

/// How to replay.
#[derive(Debug, Clone, Copy)]
pub struct ReplayOptions {
    /// The pace of event time.
    pub speed: Speed,
    /// Where the watermark of every partition is moved to at the end.
    pub close: Close,
}

/// What is closed at the end of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The day, in this zone, that the newest record lies in; the day after it can be replayed next.
    Day(Zone),
    /// Everything before this.
    At(EventTime),
    /// Nothing.
    Nothing,
}

impl Close {
    /// The watermark, given the newest event time.
    fn watermark(self, newest_ms: i64) -> Option<EventTime> {
        match self {
            Self::Nothing => None,
            Self::At(time) => Some(time),
            Self::Day(zone) => {
                let days = zone.wall_ms(newest_ms).div_euclid(DAY_MS) + 1;
                Some(EventTime(zone.boundary_ms(days * DAY_MS)))
            }
        }
    }
}

const DAY_MS: i64 = 86_400_000;

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplaySummary {
    /// Records written, control records not among them.
    pub records: u64,
    /// Whether the end of the input was reached; false when it was stopped.
    pub ended: bool,
}

/// Writes `records` in their order, each when it is due, until they end or playing is stopped.
///
/// All that was taken is flushed in either case; the day is closed only at the end of the input.
///
/// # Errors
/// The first error of the input, or of the log; records before it may be written.
pub fn replay(
    records: impl Iterator<Item = Result<ReplayRecord, SourceError>>,
    options: &ReplayOptions,
    stage: Stage<'_>,
) -> Result<ReplaySummary, SourceError> {
    let mut player = Player::new(stage, options.speed, None);
    let mut newest_ms = i64::MIN;
    for record in records {
        let ReplayRecord { event_time_ms, key, payload } = record?;
        if !player.wait_for(event_time_ms)? {
            player.writer().flush()?;
            return Ok(ReplaySummary { records: player.records(), ended: false });
        }
        let record = NewRecord {
            partition: None,
            key: Some(&key),
            timestamp_ms: event_time_ms,
            headers: &[],
            payload: &payload,
        };
        player.write(&record, event_time_ms)?;
        newest_ms = newest_ms.max(event_time_ms);
    }
    match options.close.watermark(newest_ms).filter(|_| player.records() > 0) {
        // Its log timestamp is the newest record's: brokers refuse times far ahead of their clock.
        Some(watermark) => player.writer().close(Space::Live, watermark, newest_ms.max(0))?,
        None => player.writer().flush()?,
    }
    Ok(ReplaySummary { records: player.records(), ended: true })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::source::local_log::{LocalLog, Retention};
    use crate::source::pace::Clock;
    use crate::source::progress::Progress;

    /// A clock on which only sleeping takes time.
    struct TestClock(Cell<Duration>);

    impl Clock for TestClock {
        fn now(&self) -> Duration {
            self.0.get()
        }

        fn sleep(&self, time: Duration) {
            self.0.set(self.0.get() + time);
        }
    }

    fn record(seconds: i64) -> Result<ReplayRecord, SourceError> {
        let payload = seconds.to_string().into_bytes();
        Ok(ReplayRecord { event_time_ms: seconds * 1_000, key: b"k".to_vec(), payload })
    }

    fn play(speed: Speed, stop: bool) -> (ReplaySummary, Duration, i64) {
        let dir = tempfile::tempdir().unwrap();
        let log = LocalLog::open(dir.path()).unwrap();
        log.create_stream("orders", 1, Retention::default()).unwrap();
        let clock = TestClock(Cell::new(Duration::ZERO));
        let mut writer = log.writer("orders").unwrap();
        let stage = Stage {
            writer: &mut writer,
            clock: &clock,
            progress: &Progress::hidden(),
            stop: &AtomicBool::new(stop),
        };
        let options = ReplayOptions { speed, close: Close::Day(Zone::UTC) };
        let summary = replay((0..=60).map(record), &options, stage).unwrap();
        (summary, clock.now(), log.bounds("orders", 0).unwrap().end)
    }

    #[test]
    fn a_minute_at_twelve_times_its_speed_takes_five_seconds() {
        let (summary, took, end) = play(Speed::Times(12.0), false);
        assert_eq!(summary, ReplaySummary { records: 61, ended: true });
        assert_eq!(end, 62, "the records and the control record");
        assert!(took >= Duration::from_secs(5) && took < Duration::from_millis(5_100), "{took:?}");
    }

    #[test]
    fn the_day_that_is_closed_is_the_newest_records_own() {
        let shanghai = Zone::named("Asia/Shanghai").unwrap();
        // 2020-11-11T23:59:59+08:00 and the first instant of the day after.
        let (late, next) = (1_605_110_399_000, 1_605_110_400_000);
        assert_eq!(Close::Day(shanghai).watermark(late), Some(EventTime(next)));
        assert_eq!(Close::Day(shanghai).watermark(next), Some(EventTime(next + DAY_MS)));
    }

    #[test]
    fn unpaced_it_does_not_wait_and_stopped_it_does_not_close() {
        let (summary, took, _) = play(Speed::Unpaced, false);
        assert_eq!((summary.records, took), (61, Duration::ZERO));
        let (summary, _, end) = play(Speed::Unpaced, true);
        assert_eq!((summary, end), (ReplaySummary::default(), 0));
    }
}
