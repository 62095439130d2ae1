//! How writing checkpoints goes.

use std::time::Instant;

use super::SavingError;
use crate::run::checkpoints::Written;
use crate::state::CheckpointError;

/// How writing goes.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) kept: usize,
    /// Checkpoints that were damaged when this process started, until as many as are kept are newer.
    pub(super) skipped: Vec<String>,
    pub(super) written: usize,
    pub(super) written_at: Instant,
    /// Why the last one was not written, if it was not.
    pub(super) refused: Option<String>,
    /// Whether that was because another process has written it.
    pub(super) is_taken: bool,
}

impl Health {
    pub(super) fn hear(&mut self, outcome: Result<&Written, &SavingError>) {
        match outcome {
            Ok(_) => {
                if self.refused.take().is_some() {
                    tracing::info!("checkpoints are written again");
                }
                self.written += 1;
                self.written_at = Instant::now();
                if self.written >= self.kept {
                    self.skipped.clear();
                }
            }
            Err(error) => {
                self.is_taken =
                    matches!(error, SavingError::Checkpoint(CheckpointError::Taken { .. }));
                metrics::counter!("tidemark_checkpoint_failures").increment(1);
                let error = error.to_string();
                if self.refused.as_ref() != Some(&error) {
                    tracing::error!(error, "the checkpoint was not written: {error}");
                }
                self.refused = Some(error);
            }
        }
        metrics::gauge!("tidemark_checkpoint_failing")
            .set(f64::from(u8::from(self.refused.is_some())));
    }
}
