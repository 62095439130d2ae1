//! What survives a crash: state and offsets as one checkpoint, in a folder or in a bucket.

pub mod bytes;
pub mod checkpoint;
pub mod dedup_files;
pub mod dedup_store;
pub mod journal;
pub mod log_files;
pub mod objects;
pub mod scopes;
pub mod store;

pub use checkpoint::{Checkpoint, SavedFold, SavedPartition, SavedStream, SavedView, Since};
pub use scopes::ScopeRegister;
pub use store::{CheckpointError, CheckpointStore};
