//! Keeps the sources and watches whether their logs grow partitions.

use std::collections::BTreeSet;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::publish::Event;
use crate::model::{Offset, PartitionId};
use crate::source::{PartitionReader, Source, SourceError};

/// The log of one stream.
pub(super) struct WatchedLog {
    /// The stream.
    pub(super) stream: String,
    /// Its source, kept as long as its readers.
    pub(super) source: Box<dyn Source>,
    /// The partitions that are read.
    pub(super) known: BTreeSet<PartitionId>,
    /// Whether further ones are taken in.
    pub(super) accepts: bool,
}

/// A partition the log did not have before.
pub(super) struct Grown {
    /// The stream.
    pub(super) stream: String,
    /// Topic or directory.
    pub(super) origin: String,
    /// The partition.
    pub(super) partition: PartitionId,
    /// Its reader, which stands at its first record.
    pub(super) reader: Box<dyn PartitionReader>,
    /// Offset of that record.
    pub(super) first: Offset,
    /// Offset after its last record when it was found.
    pub(super) end: Offset,
}

/// Looks at every log each time `every` has passed, until `stop` is told or gone.
pub(super) fn watch(
    mut logs: Vec<WatchedLog>,
    every: Duration,
    events: &Sender<Event>,
    stop: &Receiver<()>,
) {
    while stop.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        for log in &mut logs {
            match log.look() {
                Ok(found) => found.into_iter().for_each(|event| {
                    // Nobody listens any more once the pipeline stops.
                    let _sent = events.send(event);
                }),
                // The reader says so too, and its words are on the wall.
                Err(error) => {
                    tracing::warn!(stream = log.stream, %error, "the log cannot be looked at: {error}")
                }
            }
        }
    }
}

impl WatchedLog {
    fn look(&mut self) -> Result<Vec<Event>, SourceError> {
        let now: BTreeSet<PartitionId> = self.source.partitions()?.into_iter().collect();
        if now == self.known {
            return Ok(Vec::new());
        }
        let has_lost = self.known.iter().any(|number| !now.contains(number));
        if has_lost || !self.accepts {
            let (before, now) = (self.known.len(), now.len());
            return Ok(vec![Event::PartitionCount { stream: self.stream.clone(), before, now }]);
        }
        let mut events = Vec::new();
        for partition in now.difference(&self.known.clone()) {
            let bounds = self.source.bounds(*partition)?;
            let (first, end) = bounds.map_or((0, 0), |bounds| (bounds.first, bounds.end));
            let reader = self.source.open(*partition, Some(first))?;
            self.known.insert(*partition);
            events.push(Event::Grown(Grown {
                stream: self.stream.clone(),
                origin: self.source.origin().to_owned(),
                partition: *partition,
                reader,
                first,
                end,
            }));
        }
        Ok(events)
    }
}
