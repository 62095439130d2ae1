//! Plays records into a log in time: waits until each is due, flushes what is written, can be stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::SourceError;
use super::pace::{Clock, Pacer, Speed};
use super::progress::Progress;
use super::writer::{LogWriter, NewRecord};

/// Real time between flushes while records are paced, so that they show while they play.
const FLUSH_EVERY: Duration = Duration::from_millis(40);

/// Records between updates of the bar.
const SHOWN_EVERY: u64 = 1_024;

/// What playing needs from outside.
pub struct Stage<'a> {
    /// The log written to.
    pub writer: &'a mut dyn LogWriter,
    /// Real time.
    pub clock: &'a dyn Clock,
    /// The bar that shows how far it is.
    pub progress: &'a Progress,
    /// Set from outside to stop; records taken until then are flushed.
    pub stop: &'a AtomicBool,
}

/// Writes records to a log, each when it is due.
pub struct Player<'a> {
    stage: Stage<'a>,
    pacer: Pacer,
    is_paced: bool,
    flushed: Duration,
    records: u64,
}

impl<'a> Player<'a> {
    /// A player that begins now; with `start_ms` at that record time, else at the first record's.
    #[must_use]
    pub fn new(stage: Stage<'a>, speed: Speed, start_ms: Option<i64>) -> Self {
        let now = stage.clock.now();
        let pacer = match start_ms {
            Some(start_ms) => Pacer::starting_at(speed, start_ms, now),
            None => Pacer::new(speed),
        };
        Self { stage, pacer, is_paced: speed != Speed::Unpaced, flushed: now, records: 0 }
    }

    /// Waits until a record of `time_ms` is due; `false` when playing has been stopped.
    ///
    /// # Errors
    /// When records written before cannot be flushed.
    pub fn wait_for(&mut self, time_ms: i64) -> Result<bool, SourceError> {
        if !self.is_paced {
            return Ok(!self.stage.stop.load(Ordering::Relaxed));
        }
        loop {
            if self.stage.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let now = self.stage.clock.now();
            if now.saturating_sub(self.flushed) >= FLUSH_EVERY {
                self.stage.writer.flush()?;
                // A flush may take longer than the time between two; what is due must not wait for each.
                self.flushed = self.stage.clock.now();
            }
            let wait = self.pacer.wait(time_ms, now);
            if wait.is_zero() {
                return Ok(true);
            }
            self.stage.clock.sleep(wait.min(FLUSH_EVERY));
        }
    }

    /// Writes one record, `time_ms` being where in recorded time it stands.
    ///
    /// # Errors
    /// As [`LogWriter::write`].
    pub fn write(&mut self, record: &NewRecord<'_>, time_ms: i64) -> Result<(), SourceError> {
        self.stage.writer.write(record)?;
        self.records += 1;
        if self.is_paced || self.records.is_multiple_of(SHOWN_EVERY) {
            let unseen = if self.is_paced { 1 } else { SHOWN_EVERY };
            self.stage.progress.add(unseen);
            self.stage.progress.show_time(time_ms);
        }
        Ok(())
    }

    /// The log that is written to, for control records.
    pub fn writer(&mut self) -> &mut dyn LogWriter {
        self.stage.writer
    }

    /// Records written so far, control records not among them.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }
}
