//! Going away in order: everyone is told, and the server waits until the last has left.

use tokio::sync::{mpsc, watch};

/// Says when the server goes away. Each task has its own.
#[derive(Debug, Clone)]
pub struct Closing(watch::Receiver<bool>);

/// Held by whoever must be waited for.
#[derive(Debug, Clone)]
pub struct Guest(#[expect(dead_code, reason = "held to be dropped")] mpsc::Sender<()>);

/// The doorkeeper: tells everyone, and counts them out.
#[derive(Debug)]
pub struct Doorkeeper {
    closing: watch::Sender<bool>,
    guests: mpsc::Sender<()>,
    left: mpsc::Receiver<()>,
}

impl Closing {
    /// Waits until the server goes away; returns at once if it already does.
    pub async fn begun(&mut self) {
        // A doorkeeper that is gone has closed the house too.
        let _told = self.0.wait_for(|closing| *closing).await.is_ok();
    }
}

impl Default for Doorkeeper {
    fn default() -> Self {
        let (guests, left) = mpsc::channel(1);
        Self { closing: watch::Sender::new(false), guests, left }
    }
}

impl Doorkeeper {
    /// For a task that has to know when the server goes away.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing(self.closing.subscribe())
    }

    /// For a task that has to be waited for.
    #[must_use]
    pub fn guest(&self) -> Guest {
        Guest(self.guests.clone())
    }

    /// Tells everyone that the server goes away.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until every [`Guest`] is dropped, also those that others have cloned.
    pub async fn last_guest_left(self) {
        let Self { guests, mut left, .. } = self;
        drop(guests);
        let _none = left.recv().await;
    }
}
