//! Bounds how often someone may be wrong.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Clock;

/// Who is remembered for having been wrong; past it those are forgotten who may soon try again.
const REMEMBERED_MAX: usize = 10_000;

/// How many attempts there are, and how fast they come back.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Attempts in a row.
    pub burst: u32,
    /// Time until another one is there.
    pub every: Duration,
}

/// Attempts by whoever makes them. Each is taken before it is made, so that many at one time count as
/// many, and given back when it was right.
#[derive(Debug)]
pub struct Attempts<K> {
    clock: Clock,
    burst: i64,
    every_ms: i64,
    /// When each has all attempts again, epoch milliseconds; who is not here has them now.
    whole_at: Mutex<HashMap<K, i64>>,
}

impl<K: Hash + Eq + Clone> Attempts<K> {
    /// Nobody has tried yet.
    #[must_use]
    pub fn new(clock: Clock, rate: Rate) -> Self {
        let every_ms = i64::try_from(rate.every.as_millis()).unwrap_or(i64::MAX);
        Self { clock, burst: i64::from(rate.burst), every_ms, whole_at: Mutex::default() }
    }

    /// Takes an attempt.
    ///
    /// # Errors
    /// When none is left, with the time until there is one.
    pub fn take(&self, who: &K) -> Result<(), Duration> {
        let now = self.clock.now_ms();
        let mut whole_at = self.whole_at.lock();
        let then = whole_at.get(who).copied().unwrap_or(now).max(now).saturating_add(self.every_ms);
        let over =
            then.saturating_sub(now).saturating_sub(self.burst.saturating_mul(self.every_ms));
        if over > 0 {
            return Err(Duration::from_millis(u64::try_from(over).unwrap_or(0)));
        }
        if whole_at.len() >= REMEMBERED_MAX && !whole_at.contains_key(who) {
            make_room(&mut whole_at, now);
        }
        whole_at.insert(who.clone(), then);
        Ok(())
    }

    /// Gives one back: it was right.
    pub fn give_back(&self, who: &K) {
        if let Some(at) = self.whole_at.lock().get_mut(who) {
            *at = at.saturating_sub(self.every_ms);
        }
    }
}

/// Forgets who has all attempts again, and if nobody has, the half that has most of them.
fn make_room<K: Hash + Eq + Clone>(whole_at: &mut HashMap<K, i64>, now: i64) {
    whole_at.retain(|_, at| *at > now);
    if whole_at.len() < REMEMBERED_MAX {
        return;
    }
    let mut times: Vec<i64> = whole_at.values().copied().collect();
    let middle = times.len() / 2;
    let (_, middle, _) = times.select_nth_unstable(middle);
    let middle = *middle;
    whole_at.retain(|_, at| *at > middle);
}

/// What counts as one place to come from: an address, or a whole network of IPv6, of which anyone has one.
#[must_use]
pub fn place(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6((u128::from(six) >> 64 << 64).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn attempts_run_out_come_back_with_time_and_are_counted_apart() {
        let now = Arc::new(AtomicI64::new(1_000));
        let shown = Arc::clone(&now);
        let clock = Clock::from_fn(move || shown.load(Ordering::Relaxed));
        let attempts = Attempts::new(clock, Rate { burst: 3, every: Duration::from_secs(10) });
        for _ in 0..3 {
            assert_eq!(attempts.take(&"lin"), Ok(()));
        }
        assert_eq!(attempts.take(&"lin"), Err(Duration::from_secs(10)));
        assert_eq!(attempts.take(&"wang"), Ok(()), "another one's are there");
        attempts.give_back(&"lin");
        assert_eq!(attempts.take(&"lin"), Ok(()), "a right one costs nothing");
        now.fetch_add(10_000, Ordering::Relaxed);
        assert_eq!(attempts.take(&"lin"), Ok(()));
        assert!(attempts.take(&"lin").is_err());
    }

    #[test]
    fn those_remembered_are_bounded_and_the_worst_are_kept() {
        let attempts =
            Attempts::new(Clock::from_fn(|| 0), Rate { burst: 2, every: Duration::from_secs(1) });
        for _ in 0..2 {
            assert!(attempts.take(&usize::MAX).is_ok());
        }
        for who in 0..REMEMBERED_MAX * 2 {
            assert!(attempts.take(&who).is_ok());
        }
        assert!(attempts.whole_at.lock().len() <= REMEMBERED_MAX);
        assert!(attempts.take(&usize::MAX).is_err(), "is still remembered");
    }

    #[test]
    fn a_network_of_ipv6_is_one_place() {
        let at = |text: &str| place(text.parse().expect("an address"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
    }
}
