//! What survives a crash: state and offsets as one checkpoint on local disk.

pub mod bytes;
pub mod checkpoint;
pub mod dedup_files;
pub mod store;

pub use checkpoint::{Checkpoint, SavedPartition, SavedStream, SavedView};
pub use store::{CheckpointError, CheckpointStore};
