//! Event times that cannot be: too long ago, or ahead of the log's own clock; those of control records too.

use crate::model::record::WATERMARK_HEADER;
use crate::model::{EventTime, RejectReason};

/// How far ahead of its own timestamp a control record may move the watermark: to the end of a day
/// that has just begun, in any zone.
const CONTROL_AHEAD_MAX_MS: i64 = 2 * 86_400_000;
/// The latest watermark where the log has no timestamps: 2200-01-01.
const CONTROL_LATEST_MS: i64 = 7_258_118_400_000;

/// The end of the year 9999: a stamp past it is a broken one, in a log without timestamps too, and would move the
/// watermark to where every later record is late.
const LATEST_MS: i64 = 253_402_300_800_000;

/// The time bounds of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Earliest accepted event time, epoch milliseconds.
    pub minimum_ms: i64,
    /// How far ahead of the log's timestamp an event may be; `None` for no bound.
    pub max_future_skew_ms: Option<i64>,
}

impl Bounds {
    /// Whether an event time is within the bounds; `log_time` is the record's own timestamp.
    ///
    /// # Errors
    /// The reason of the rejection.
    pub fn check(&self, event_time: i64, log_time: Option<i64>) -> Result<(), RejectReason> {
        if event_time < self.minimum_ms {
            return Err(RejectReason::TooOld {
                event_time: EventTime(event_time).to_string(),
                minimum: EventTime(self.minimum_ms).to_string(),
            });
        }
        if event_time >= LATEST_MS {
            let detail = format!("event time {event_time} ms is past the year 9999");
            return Err(RejectReason::Refused { detail });
        }
        let (Some(log_time), Some(max_skew_ms)) = (log_time, self.max_future_skew_ms) else {
            return Ok(());
        };
        if event_time.saturating_sub(log_time) > max_skew_ms {
            return Err(RejectReason::Future {
                event_time: EventTime(event_time).to_string(),
                log_time: EventTime(log_time).to_string(),
                max_skew_ms,
            });
        }
        Ok(())
    }
}

/// The watermark a control record asks for, epoch milliseconds; `log_time` is the record's own timestamp.
///
/// A control record stands in the log for good, so one that asks for the end of all days would
/// make every later order late, today and at every replay: it is refused.
///
/// # Errors
/// The reason of the rejection.
pub fn control_time(watermark: &[u8], log_time: Option<i64>) -> Result<i64, RejectReason> {
    let refused = |detail: String| Err(RejectReason::Refused { detail });
    let text = String::from_utf8_lossy(watermark);
    let Ok(time) = text.parse() else {
        return refused(format!(
            "{WATERMARK_HEADER} is {text:?}, not a time in epoch milliseconds"
        ));
    };
    let latest = match log_time {
        Some(log_time) => log_time.saturating_add(CONTROL_AHEAD_MAX_MS),
        None => CONTROL_LATEST_MS,
    };
    if time > latest {
        let (time, latest) = (EventTime(time), EventTime(latest));
        return refused(format!(
            "{WATERMARK_HEADER} {time} is later than {latest}, two days after the record itself"
        ));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_record_moves_the_watermark_two_days_ahead_of_itself_at_most() {
        assert_eq!(control_time(b"172800005", Some(5)), Ok(172_800_005));
        assert!(control_time(b"172800006", Some(5)).is_err());
        assert!(control_time(b"7258118400001", None).is_err());
        assert!(control_time(b"tomorrow", Some(5)).is_err());
    }

    #[test]
    fn an_event_ahead_of_its_log_by_more_than_the_skew_is_refused() {
        let bounds = Bounds { minimum_ms: 0, max_future_skew_ms: Some(10) };
        assert!(bounds.check(110, Some(100)).is_ok());
        assert!(matches!(bounds.check(111, Some(100)), Err(RejectReason::Future { .. })));
        assert!(bounds.check(111, None).is_ok());
        assert!(matches!(bounds.check(-1, Some(100)), Err(RejectReason::TooOld { .. })));
    }
}
