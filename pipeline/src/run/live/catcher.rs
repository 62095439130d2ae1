//! A second reading of one partition, up to where the first one stands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fold::RETRY_AFTER;
use crate::model::{Offset, PartitionId};
use crate::run::partition::PartitionRun;
use crate::source::PartitionReader;

/// One partition read again from its earliest record by a judge of its own, so that what it folds is
/// the same function of the log as if it had been there from the beginning.
pub(super) struct Catcher {
    stream: Arc<str>,
    reader: Box<dyn PartitionReader>,
    run: PartitionRun,
    /// The earliest record there was when it began.
    first: Offset,
    /// Everything before this has been seen, where no record tells it.
    reached: Offset,
    retry_at: Option<Instant>,
    /// Why it must not go on: a batch is gone, and the views would lack its records.
    broken: Option<String>,
}

impl Catcher {
    /// A reading of a partition of `stream` that begins at `first`, where `reader` stands.
    pub(super) fn new(
        stream: Arc<str>,
        reader: Box<dyn PartitionReader>,
        run: PartitionRun,
        first: Offset,
    ) -> Self {
        Self { stream, reader, run, first, reached: first, retry_at: None, broken: None }
    }

    /// The stream.
    pub(super) fn stream(&self) -> &Arc<str> {
        &self.stream
    }

    /// The partition.
    pub(super) fn partition(&self) -> PartitionId {
        self.run.partition()
    }

    /// Where it began.
    pub(super) fn first(&self) -> Offset {
        self.first
    }

    /// Offset up to which everything has been folded.
    pub(super) fn next(&self) -> Offset {
        self.run.next_offset().unwrap_or(self.first).max(self.reached)
    }

    /// What it folds.
    pub(super) fn run(&mut self) -> &mut PartitionRun {
        &mut self.run
    }

    /// Reads and folds one batch, nothing at or after `bound`; how many records it was.
    ///
    /// # Errors
    /// When the log cannot be read; it may be tried again. A failing view only stops itself.
    pub(super) fn read_up_to(
        &mut self,
        bound: Offset,
        records_max: usize,
    ) -> Result<usize, String> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(0);
        }
        let wanted = usize::try_from(bound - self.next()).unwrap_or(0);
        if wanted == 0 {
            return Ok(0);
        }
        let (run, mut beyond) = (&mut self.run, false);
        let outcome = self.reader.read(records_max.min(wanted), Duration::ZERO, &mut |record| {
            // A log with gaps has fewer records before the bound than offsets.
            if record.offset < bound { run.take(record) } else { beyond = true }
        });
        let folded = self.run.process().map_err(|error| error.strip_backtrace());
        self.broken = folded.as_ref().err().cloned();
        let outcome = outcome.map_err(|error| error.to_string());
        let sought = match beyond {
            true => {
                self.reached = bound;
                self.reader.seek(bound).map_err(|error| error.to_string())
            }
            false => Ok(()),
        };
        self.retry_at = None;
        match (outcome, folded, sought) {
            (Ok(outcome), Ok(()), Ok(())) => Ok(outcome.records),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
                Err(error)
            }
        }
    }
}
