//! What one query may use, and how many may run.

use std::sync::Arc;
use std::time::Duration;

use datafusion::error::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::SqlError;
use crate::config::SqlConfig;

/// How long a query waits for its turn before it is refused: a dashboard asks a dozen questions at
/// once and each takes milliseconds, so most need no more than this.
const TURN_WAIT: Duration = Duration::from_secs(2);

/// The limits of all queries together.
#[derive(Debug)]
pub(super) struct Limits {
    /// The configured bounds.
    pub(super) config: SqlConfig,
    running: Arc<Semaphore>,
}

impl Limits {
    /// Nothing runs yet.
    pub(super) fn new(config: SqlConfig) -> Self {
        let running = Arc::new(Semaphore::new(config.concurrent_max));
        Self { config, running }
    }

    /// Waits shortly for a turn. The query runs until the permit is dropped.
    ///
    /// # Errors
    /// When no query ended in time.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, SqlError> {
        let waiting = Arc::clone(&self.running).acquire_owned();
        match tokio::time::timeout(TURN_WAIT, waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(SqlError::Busy { running: self.config.concurrent_max }),
        }
    }

    /// Memory for one query or one connection: bounded, and never spilled to a disk that the
    /// checkpoints need.
    ///
    /// # Errors
    /// When the engine refuses the settings.
    pub(super) fn memory(&self) -> Result<Arc<RuntimeEnv>> {
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(self.config.memory_bytes_max)))
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
            )
            .build_arc()
    }
}
