//! Tickets that each open one WebSocket: a browser cannot send a token with one, and a token in the address
//! would reach logs.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::secret::random_text;
use super::stay::Admitted;
use crate::clock::Clock;

/// How long a WebSocket ticket is good for.
pub const TICKET_MS: i64 = 30_000;
/// Tickets that may be open at one time; past it the oldest go. A wall needs one a reconnect.
const TICKETS_MAX: usize = 10_000;

/// The open tickets.
#[derive(Debug)]
pub struct Tickets {
    clock: Clock,
    open: Mutex<HashMap<String, (i64, Admitted)>>,
}

impl Tickets {
    /// No ticket is open.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, open: Mutex::default() }
    }

    /// A new ticket for someone, good for 30 s and once.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn issue(&self, admitted: Admitted) -> std::io::Result<String> {
        let ticket = random_text()?;
        let now = self.clock.now_ms();
        let mut open = self.open.lock();
        open.retain(|_, (until, _)| *until > now);
        if open.len() >= TICKETS_MAX {
            let oldest =
                open.iter().min_by_key(|(_, (until, _))| *until).map(|(ticket, _)| ticket.clone());
            oldest.map(|ticket| open.remove(&ticket));
        }
        open.insert(ticket.clone(), (now.saturating_add(TICKET_MS), admitted));
        Ok(ticket)
    }

    /// Takes a ticket; `None` when it is unknown, used or too old, or whoever got it had to go since.
    #[must_use]
    pub fn redeem(&self, ticket: &str) -> Option<Admitted> {
        let (until, admitted) = self.open.lock().remove(ticket)?;
        (until > self.clock.now_ms() && !admitted.stay.is_over()).then_some(admitted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::auth::{Principal, Tether};

    #[test]
    fn a_ticket_opens_once_for_thirty_seconds_and_only_while_its_session_goes_on() {
        let now = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&now);
        let tickets = Tickets::new(Clock::from_fn(move || shown.load(Ordering::Relaxed)));
        let tether = Tether::default();
        let issue = || {
            let principal = Arc::new(Principal::anyone());
            tickets.issue(Admitted { principal, stay: tether.stay() }).expect("issues")
        };
        let (first, second) = (issue(), issue());
        assert!(tickets.redeem(&first).is_some());
        assert!(tickets.redeem(&first).is_none(), "used twice");
        now.store(TICKET_MS, Ordering::Relaxed);
        assert!(tickets.redeem(&second).is_none(), "too old");
        assert!(tickets.redeem("guess").is_none());
        let third = issue();
        drop(tether);
        assert!(tickets.redeem(&third).is_none(), "its session is over");
    }
}
