//! Dedup keys of a job that do not fit into memory: in a folder of its own, which goes with the job.

use std::sync::Arc;

use tempfile::TempDir;

use super::partition::PartitionRun;
use crate::admit::duplicate::SpillError;
use crate::admit::{KeyRoom, Overflow};
use crate::model::{BySpace, Space};
use crate::state::dedup_store::DedupStore;

/// Memory for the dedup keys of a job and where the rest of them goes.
#[derive(Debug)]
pub struct SpilledOfJob {
    store: Arc<DedupStore>,
    key_room: Arc<KeyRoom>,
    /// Removed last.
    _folder: TempDir,
}

impl SpilledOfJob {
    /// Room for the keys of `partitions` partitions in `bytes_max` of memory, all together: three quarters for
    /// keys, one for the filters of those on disk. The folder is below the system's temporary one.
    ///
    /// # Errors
    /// When there can be no folder.
    pub fn new(bytes_max: usize, partitions: usize) -> Result<Self, SpillError> {
        let refused = |error: std::io::Error| SpillError {
            place: std::env::temp_dir().display().to_string(),
            detail: error.to_string(),
        };
        let folder = tempfile::Builder::new().prefix("tidemark-run-").tempdir().map_err(refused)?;
        let cache_bytes = u64::try_from(bytes_max / 4).unwrap_or(u64::MAX);
        // It is not touched before the first key goes there.
        let store = DedupStore::new(&folder.path().join("dedup"), cache_bytes);
        let key_room = KeyRoom::within(bytes_max / 4 * 3, partitions);
        Ok(Self { store, key_room, _folder: folder })
    }

    /// Lets the keys of a partition of `stream` go to disk.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn take(&self, stream: &str, run: &mut PartitionRun) -> Result<(), SpillError> {
        let of = |space: Space| Overflow {
            store: self.store.partition(&space.saved_name(stream), run.partition()),
            room: Arc::clone(&self.key_room),
        };
        let overflow = BySpace { live: of(Space::Live), shadow: of(Space::Shadow) };
        run.overflow_to(overflow)
    }
}
