//! Real time for what plays recorded or simulated time: a clock that is passed in, and a pacer.

use std::time::{Duration, Instant};

/// Real time, passed in so that a test can have its own.
pub trait Clock: Send {
    /// Time since some fixed instant; never goes back.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// How fast recorded time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as it goes.
    Unpaced,
    /// This many recorded seconds in a real one; more than 0.
    Times(f64),
}

/// Longest single wait, so that a stop is noticed soon.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// Says how long to wait before a record of a given time may be written.
#[derive(Debug)]
pub struct Pacer {
    speed: Speed,
    /// The record time and the real time at which playing began.
    began: Option<(i64, Duration)>,
}

impl Pacer {
    /// A pacer that begins with the first record it is asked about.
    #[must_use]
    pub fn new(speed: Speed) -> Self {
        Self { speed, began: None }
    }

    /// A pacer that begins at `start_ms` of record time, at real time `now`; what is older goes at once.
    #[must_use]
    pub fn starting_at(speed: Speed, start_ms: i64, now: Duration) -> Self {
        Self { speed, began: Some((start_ms, now)) }
    }

    /// Time to wait from `now` until a record of `time_ms` is due; zero when it is due, never more
    /// than 50 ms at a time, so ask again.
    pub fn wait(&mut self, time_ms: i64, now: Duration) -> Duration {
        let Speed::Times(times) = self.speed else { return Duration::ZERO };
        let (start_ms, began) = *self.began.get_or_insert((time_ms, now));
        let recorded =
            Duration::from_millis(u64::try_from(time_ms.saturating_sub(start_ms)).unwrap_or(0));
        let due =
            Duration::try_from_secs_f64(recorded.as_secs_f64() / times).unwrap_or(Duration::MAX);
        due.saturating_sub(now.saturating_sub(began)).min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_due_after_its_share_of_real_time() {
        let mut pacer = Pacer::new(Speed::Times(100.0));
        let at = |ms| Duration::from_millis(ms);
        assert_eq!(pacer.wait(5_000, at(7)), at(0));
        assert_eq!(pacer.wait(7_000, at(7)), at(20));
        assert_eq!(pacer.wait(7_000, at(27)), at(0));
        assert_eq!(pacer.wait(65_000, at(27)), WAIT_MAX);
        assert_eq!(pacer.wait(4_000, at(27)), at(0), "an older record is late, not early");
        assert_eq!(Pacer::new(Speed::Unpaced).wait(i64::MAX, at(0)), at(0));
    }
}
