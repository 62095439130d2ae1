//! Up to when every view is known, over restarts, and the times of which nothing is.
//!
//! ```text
//! ── look ── look ── look │ kill -9 …… start │ look ── look ── end │ stop …… start │ look ──
//!                    └────── lost ───────────┘              └─ as at the last look ─┘
//! ```
//! It is written in the same journal as what was looked at, and after it: what a power cut leaves of both is whole up to
//! the look that is left.

use std::collections::BTreeMap;
use std::time::Duration;

use fjall::Keyspace;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The key of the last look.
const NEWEST: &[u8] = b"newest";
/// What the keys of lost times begin with.
const LOST: &[u8] = b"lost/";

/// Why it cannot be read or written.
#[derive(Debug)]
pub(super) enum LooksError {
    /// The disk refuses.
    Store(fjall::Error),
    /// What stands there is not ours.
    Form,
}

impl From<fjall::Error> for LooksError {
    fn from(error: fjall::Error) -> Self {
        Self::Store(error)
    }
}

/// When was looked at views.
pub(super) struct Looks {
    store: Keyspace,
    /// Everything up to here is known, epoch milliseconds.
    newest: watch::Sender<Option<i64>>,
    /// The last look of a life that ended without saying so, until the first look of this one.
    unended: Mutex<Option<i64>>,
    /// Times between which nothing is known, by their beginning.
    lost: Mutex<BTreeMap<i64, i64>>,
}

impl Looks {
    /// Those of a store, to be learnt.
    pub(super) fn new(store: Keyspace) -> Self {
        let (newest, unended, lost) =
            (watch::Sender::new(None), Mutex::default(), Mutex::default());
        Self { store, newest, unended, lost }
    }

    /// Reads what a life before has left; `entry` is the instant of the newest entry, for a store without looks.
    pub(super) fn learn(&self, entry: Option<i64>) -> Result<(), LooksError> {
        let (newest, has_ended) = match self.store.get(NEWEST)? {
            Some(value) => {
                let (at, rest) = value.split_first_chunk::<8>().ok_or(LooksError::Form)?;
                (Some(i64::from_be_bytes(*at)), rest == [1])
            }
            None => (entry, false),
        };
        for item in self.store.prefix(LOST) {
            let (key, value) = item.into_inner()?;
            let from = key.get(LOST.len()..).and_then(|from| from.first_chunk::<8>());
            let (Some(from), Some(until)) = (from, value.first_chunk::<8>()) else {
                return Err(LooksError::Form);
            };
            self.lost.lock().insert(i64::from_be_bytes(*from), i64::from_be_bytes(*until));
        }
        *self.unended.lock() = newest.filter(|_| !has_ended);
        self.newest.send_replace(newest);
        Ok(())
    }

    /// Up to when everything is known, epoch milliseconds.
    pub(super) fn newest(&self) -> Option<i64> {
        *self.newest.borrow()
    }

    /// Takes note of a look, after what it has found was written.
    pub(super) fn note(&self, at: i64) -> Result<(), LooksError> {
        let mut unended = self.unended.lock();
        if let Some(from) = unended.filter(|from| *from < at) {
            self.store.insert(key_of_lost(from), at.to_be_bytes())?;
            self.lost.lock().insert(from, at);
        }
        self.write(at, false)?;
        *unended = None;
        self.newest.send_modify(|newest| *newest = (*newest).max(Some(at)));
        Ok(())
    }

    /// Takes note that there is no look after the last one of this life.
    pub(super) fn end(&self) -> Result<(), LooksError> {
        // Without a look of this life the one before has ended as it has.
        let is_unended = self.unended.lock().is_some();
        match self.newest().filter(|_| !is_unended) {
            Some(newest) => self.write(newest, true),
            None => Ok(()),
        }
    }

    fn write(&self, at: i64, has_ended: bool) -> Result<(), LooksError> {
        let mut value = at.to_be_bytes().to_vec();
        value.push(u8::from(has_ended));
        Ok(self.store.insert(NEWEST, value)?)
    }

    /// The times between which nothing is known and an instant lies; at both ends something is.
    pub(super) fn lost_around(&self, at: i64) -> Option<(i64, i64)> {
        let lost = self.lost.lock();
        let (from, until) = lost.range(..at).next_back()?;
        (at < *until).then_some((*from, *until))
    }

    /// Forgets lost times that ended before an instant.
    pub(super) fn forget(&self, before: i64) -> Result<(), LooksError> {
        let mut lost = self.lost.lock();
        while let Some((from, _)) = lost.first_key_value().filter(|(_, until)| **until < before) {
            let from = *from;
            self.store.remove(key_of_lost(from))?;
            lost.remove(&from);
        }
        Ok(())
    }

    /// Waits until an instant is known, at most `patience`.
    pub(super) async fn known_until(&self, ms: i64, patience: Duration) {
        let mut newest = self.newest.subscribe();
        let known = newest.wait_for(|newest| newest.is_some_and(|newest| newest >= ms));
        // Whoever asks looks again, and is told what is so.
        let _known = tokio::time::timeout(patience, known).await;
    }
}

fn key_of_lost(from: i64) -> Vec<u8> {
    [LOST, from.to_be_bytes().as_slice()].concat()
}
