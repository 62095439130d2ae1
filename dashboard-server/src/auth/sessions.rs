//! Sessions: what a page has after it logged in, known by a cookie.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::policy::Principal;
use super::secret::{Fingerprint, fingerprint, random_text};
use super::stay::{Admitted, Tether};
use crate::clock::Clock;

/// Sessions at one time; past it the oldest go. A person has one a browser.
const SESSIONS_MAX: usize = 10_000;

#[derive(Debug)]
struct Session {
    until_ms: i64,
    principal: Arc<Principal>,
    tether: Tether,
}

/// Who is logged in, by the fingerprint of each cookie. They are in memory only: a restart ends them.
#[derive(Debug)]
pub struct Sessions {
    clock: Clock,
    life_ms: i64,
    open: Mutex<HashMap<Fingerprint, Session>>,
}

impl Sessions {
    /// Nobody is logged in. A session is good for `life`.
    #[must_use]
    pub fn new(clock: Clock, life: Duration) -> Self {
        let life_ms = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
        Self { clock, life_ms, open: Mutex::default() }
    }

    /// A new session; what its cookie holds.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn begin(&self, principal: Arc<Principal>) -> std::io::Result<String> {
        let text = random_text()?;
        let until_ms = self.clock.now_ms().saturating_add(self.life_ms);
        let mut open = self.open.lock();
        if open.len() >= SESSIONS_MAX {
            let oldest =
                open.iter().min_by_key(|(_, session)| session.until_ms).map(|(key, _)| *key);
            oldest.map(|key| open.remove(&key));
        }
        let tether = Tether::default();
        open.insert(fingerprint(&text), Session { until_ms, principal, tether });
        Ok(text)
    }

    /// Ends the session of a cookie; whose it was.
    pub fn end(&self, cookie: &str) -> Option<Arc<Principal>> {
        self.open.lock().remove(&fingerprint(cookie)).map(|session| session.principal)
    }

    /// Whose session a cookie is of; `None` without one that is still good.
    #[must_use]
    pub fn of(&self, cookie: &str) -> Option<Admitted> {
        let open = self.open.lock();
        let session = open.get(&fingerprint(cookie))?;
        let (principal, stay) = (Arc::clone(&session.principal), session.tether.stay());
        (session.until_ms > self.clock.now_ms()).then_some(Admitted { principal, stay })
    }

    /// Ends all that are too old, or whose user no longer is.
    pub fn keep(&self, is_known: impl Fn(&Arc<Principal>) -> bool) {
        let now = self.clock.now_ms();
        let is_good = |session: &Session| session.until_ms > now && is_known(&session.principal);
        self.open.lock().retain(|_, session| is_good(session));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn a_session_ends_with_its_time_its_user_and_by_logging_out() {
        let now = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&now);
        let clock = Clock::from_fn(move || shown.load(Ordering::Relaxed));
        let sessions = Sessions::new(clock, Duration::from_secs(60));
        let begin = || {
            let cookie = sessions.begin(Arc::new(Principal::anyone())).expect("begins");
            let stay = sessions.of(&cookie).expect("is good").stay;
            (cookie, stay)
        };
        let (first, first_stay) = begin();
        sessions.end(&first);
        assert!(sessions.of(&first).is_none() && first_stay.is_over(), "logged out");
        let (second, second_stay) = begin();
        sessions.keep(|_| true);
        assert!(!second_stay.is_over());
        sessions.keep(|_| false);
        assert!(sessions.of(&second).is_none() && second_stay.is_over(), "the user is gone");
        let (third, third_stay) = begin();
        now.store(60_000, Ordering::Relaxed);
        assert!(sessions.of(&third).is_none(), "too old");
        sessions.keep(|_| true);
        assert!(third_stay.is_over());
    }
}
