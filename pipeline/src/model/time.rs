//! Event time and the zone in which days begin.

use std::str::FromStr;

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset as _, SecondsFormat, TimeZone as _};

/// An instant in epoch milliseconds, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Earlier than every real record: the watermark before the first record.
    pub const MIN: Self = Self(i64::MIN);
    /// Later than every real record: the watermark after the end of bounded input.
    pub const MAX: Self = Self(i64::MAX);
}

impl std::fmt::Display for EventTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// A time zone; windows of whole days follow its days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    zone: chrono_tz::Tz,
    /// The offset when the zone has only ever one, which is the common case made cheap.
    fixed_ms: Option<i64>,
}

/// Years for which a zone must keep one offset to be treated as fixed: from here on.
const FIXED_SINCE_MS: i64 = 946_684_800_000; // 2000-01-01, the default event-time.min
/// Milliseconds of a day of 24 hours.
pub const MS_A_DAY: i64 = 86_400_000;

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self { zone: chrono_tz::Tz::UTC, fixed_ms: Some(0) };

    /// The zone with this IANA name.
    ///
    /// # Errors
    /// When the name is not in the time-zone database.
    pub fn named(name: &str) -> Result<Self, String> {
        let zone = chrono_tz::Tz::from_str(name).map_err(|_| {
            format!("unknown time zone '{name}'; write an IANA name, as 'Asia/Shanghai'")
        })?;
        Ok(Self { zone, fixed_ms: fixed_offset_ms(zone) })
    }

    /// The IANA name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.zone.name()
    }

    /// Whether instants from this one on all have one offset, so that the wall clock runs with them.
    #[must_use]
    pub fn is_fixed_from(&self, utc_ms: i64) -> bool {
        self.fixed_ms.is_some() && (utc_ms >= FIXED_SINCE_MS || self.zone == chrono_tz::Tz::UTC)
    }

    /// Wall-clock milliseconds of an instant: the number a local clock would show, read as UTC.
    #[must_use]
    pub fn wall_ms(&self, utc_ms: i64) -> i64 {
        utc_ms.saturating_add(match self.fixed_ms {
            Some(fixed) if utc_ms >= FIXED_SINCE_MS || self.zone == chrono_tz::Tz::UTC => fixed,
            _ => offset_ms(self.zone, utc_ms),
        })
    }

    /// The instant at which a local clock shows `wall_ms`: the later one where it shows it twice, and the
    /// instant of the jump where it is skipped.
    #[must_use]
    pub fn utc_ms(&self, wall_ms: i64) -> i64 {
        if let Some(fixed) = self.fixed_ms
            && (wall_ms - fixed >= FIXED_SINCE_MS || self.zone == chrono_tz::Tz::UTC)
        {
            return wall_ms.saturating_sub(fixed);
        }
        let Some(wall) = naive(wall_ms) else { return wall_ms };
        match self.zone.from_local_datetime(&wall) {
            LocalResult::Single(time) | LocalResult::Ambiguous(_, time) => time.timestamp_millis(),
            LocalResult::None => self.jump_over(wall_ms),
        }
    }

    /// The instant that parts what a local clock shows before `wall_ms` from the rest: the first one after
    /// the last instant at which it shows less. Windows end and begin here, so that each record lies in
    /// the day its clock showed, and none comes to a window that has closed in time.
    #[must_use]
    pub fn boundary_ms(&self, wall_ms: i64) -> i64 {
        let later = self.utc_ms(wall_ms);
        if self.is_fixed_from(later) {
            return later;
        }
        let Some(wall) = naive(wall_ms) else { return later };
        match self.zone.from_local_datetime(&wall) {
            // The clock goes back to this very time: what it shows before it does not come again.
            LocalResult::Ambiguous(first, _) if self.wall_ms(later - 1) >= wall_ms => {
                first.timestamp_millis()
            }
            _ => later,
        }
    }

    /// The first instant at which the clock shows more than `wall_ms`, which it skips.
    fn jump_over(&self, wall_ms: i64) -> i64 {
        // No zone jumps twice within two days.
        let near = wall_ms.saturating_sub(offset_ms(self.zone, wall_ms));
        let (mut before, mut after) = (near - MS_A_DAY, near + MS_A_DAY);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            match self.wall_ms(middle) > wall_ms {
                true => after = middle,
                false => before = middle,
            }
        }
        after
    }

    /// Whether the clock is ever put forward or back from the year 2000 on.
    #[must_use]
    pub fn changes_its_clock(&self) -> bool {
        self.fixed_ms.is_none()
    }
}

fn naive(wall_ms: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_millis(wall_ms).map(|time| time.naive_utc())
}

fn offset_ms(zone: chrono_tz::Tz, utc_ms: i64) -> i64 {
    match naive(utc_ms) {
        Some(utc) => i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()) * 1_000,
        None => 0,
    }
}

/// The zone's offset if it is the same on every day from 2000 to 2099.
fn fixed_offset_ms(zone: chrono_tz::Tz) -> Option<i64> {
    let first = offset_ms(zone, FIXED_SINCE_MS);
    let same = (0..36_525).all(|day| offset_ms(zone, FIXED_SINCE_MS + day * MS_A_DAY) == first);
    same.then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shanghai_days_begin_at_sixteen_hours_utc() {
        let zone = Zone::named("Asia/Shanghai").expect("known zone");
        assert_eq!(zone.utc_ms(zone.wall_ms(1_604_937_600_000)), 1_604_937_600_000);
        assert_eq!(zone.wall_ms(1_604_937_600_000), 1_604_966_400_000);
    }

    #[test]
    fn a_wall_time_shown_twice_is_the_later_instant_and_a_skipped_one_the_jump() {
        let zone = Zone::named("Europe/London").expect("known zone");
        // 2011-10-30 01:30 is shown twice; the second time it is GMT.
        assert_eq!(zone.utc_ms(1_319_938_200_000), 1_319_938_200_000);
        // 2011-03-27 01:30 is skipped; the jump is at 01:00 GMT.
        assert_eq!(zone.utc_ms(1_301_189_400_000), 1_301_187_600_000);
    }

    #[test]
    fn a_day_whose_midnight_is_skipped_or_comes_twice_holds_what_its_clock_showed() {
        let utc =
            |text: &str| DateTime::parse_from_rfc3339(text).expect("a stamp").timestamp_millis();
        // At midnight Cairo's clock goes to 01:00, Beirut's too; Havana's comes back to midnight.
        for (zone, day, begins) in [
            ("Africa/Cairo", "2024-04-26T00:00:00Z", "2024-04-25T22:00:00Z"),
            ("Asia/Beirut", "2021-03-28T00:00:00Z", "2021-03-27T22:00:00Z"),
            ("America/Havana", "2021-11-07T00:00:00Z", "2021-11-07T04:00:00Z"),
            ("America/Sao_Paulo", "2018-11-04T00:00:00Z", "2018-11-04T03:00:00Z"),
            ("Europe/Berlin", "2021-10-31T00:00:00Z", "2021-10-30T22:00:00Z"),
            ("Asia/Shanghai", "2024-11-11T00:00:00Z", "2024-11-10T16:00:00Z"),
        ] {
            let (zone, wall, begins) = (Zone::named(zone).expect("known"), utc(day), utc(begins));
            assert_eq!(zone.boundary_ms(wall), begins, "{}", zone.name());
            assert!(
                zone.wall_ms(begins) >= wall && zone.wall_ms(begins - 1) < wall,
                "{}",
                zone.name()
            );
            let minute = 60_000;
            let two_days = (-2_880..2_880).map(|minutes| begins + minutes * minute);
            for at in two_days {
                assert_eq!(at >= begins, zone.wall_ms(at) >= wall, "{} {at}", zone.name());
            }
        }
    }

    #[test]
    fn an_unknown_zone_is_an_error() {
        assert!(Zone::named("Mars/Olympus").is_err());
    }
}
