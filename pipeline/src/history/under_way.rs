//! Whether a commit is under way: until it is through, nobody knows of which time it will be.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// The commit of one table that is under way, if one is; shared by all clones of the table.
#[derive(Debug, Clone)]
pub(super) struct UnderWay {
    /// When it was begun, epoch milliseconds.
    begun: Arc<watch::Sender<Option<i64>>>,
    /// By how much a file may bear an earlier time than the clock showed when it was written.
    coarse: Duration,
}

impl UnderWay {
    /// None yet, at a place whose files bear times that are so coarse.
    pub(super) fn new(coarse: Duration) -> Self {
        Self { begun: Arc::new(watch::Sender::new(None)), coarse }
    }

    /// One is under way as long as what comes back lives.
    pub(super) fn begin(&self) -> Begun {
        let begun = Arc::clone(&self.begun);
        begun.send_replace(Some(now_ms()));
        Begun(begun)
    }

    /// Waits, at most `patience`, until no commit can come any more that bears a time up to `ms`; whether that is so.
    pub(super) async fn past(&self, ms: i64, patience: Duration) -> bool {
        let coarse = i64::try_from(self.coarse.as_millis()).unwrap_or(0);
        let now = now_ms();
        // What is asked of a time to come is asked of the newest there is.
        if let Ok(left) = u64::try_from(ms.saturating_add(coarse).saturating_sub(now))
            && ms <= now
        {
            tokio::time::sleep(Duration::from_millis(left + 1)).await;
        }
        let mut begun = self.begun.subscribe();
        let through =
            begun.wait_for(|begun| begun.is_none_or(|begun| begun.saturating_sub(coarse) > ms));
        tokio::time::timeout(patience, through).await.is_ok()
    }
}

/// A commit that is under way.
#[derive(Debug)]
pub(super) struct Begun(Arc<watch::Sender<Option<i64>>>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_a_time_after_a_commit_was_begun_nothing_is_told_until_it_is_through() {
        let commits = UnderWay::new(Duration::from_millis(20));
        let (short, long) = (Duration::from_millis(30), Duration::from_secs(60));
        assert!(commits.past(now_ms(), long).await);
        let before = now_ms() - 1_000;
        let begun = commits.begin();
        assert!(commits.past(before, long).await, "it will bear a later time");
        assert!(!commits.past(now_ms(), short).await, "it may bear this time");
        let asked = now_ms();
        let mut waiting = Box::pin(commits.past(asked, long));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(begun);
        assert!(waiting.await);
        assert!(now_ms() > asked + 20, "the next one bears a later time, however coarse");
        let _next = commits.begin();
        assert!(commits.past(asked, short).await);
    }
}
