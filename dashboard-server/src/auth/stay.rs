//! How long whoever was let in may stay: sockets and streams live longer than the request that opened them.
//!
//! ```text
//! session, user, device ─ holds a Tether ─▶ Stay of each socket
//!        ended, removed, revoked: the tether is dropped ─▶ every Stay of it is over
//! ```

use std::sync::Arc;

use tokio::sync::watch;

use super::policy::Principal;

/// Held by what lets someone in; dropped, everyone it let in has to go.
#[derive(Debug)]
pub struct Tether(watch::Sender<()>);

/// Says when someone has to go. Each task has its own.
#[derive(Debug, Clone)]
pub struct Stay(watch::Receiver<()>);

/// Who was let in, and for how long.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// Until when.
    pub stay: Stay,
}

impl Default for Tether {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Tether {
    /// For a task that has to end with this.
    #[must_use]
    pub fn stay(&self) -> Stay {
        Stay(self.0.subscribe())
    }
}

impl Stay {
    /// Waits until it is over; returns at once if it already is.
    pub async fn over(&mut self) {
        // Nothing is ever sent: the only change is that the tether is gone.
        while self.0.changed().await.is_ok() {}
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.has_changed().is_err()
    }
}
