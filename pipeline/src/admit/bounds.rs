//! Event times that cannot be: too long ago, or ahead of the log's own clock.

use crate::model::{EventTime, RejectReason};

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
        let (Some(log_time), Some(max_skew_ms)) = (log_time, self.max_future_skew_ms) else { return Ok(()) };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_ahead_of_its_log_by_more_than_the_skew_is_refused() {
        let bounds = Bounds { minimum_ms: 0, max_future_skew_ms: Some(10) };
        assert!(bounds.check(110, Some(100)).is_ok());
        assert!(matches!(bounds.check(111, Some(100)), Err(RejectReason::Future { .. })));
        assert!(bounds.check(111, None).is_ok());
        assert!(matches!(bounds.check(-1, Some(100)), Err(RejectReason::TooOld { .. })));
    }
}
