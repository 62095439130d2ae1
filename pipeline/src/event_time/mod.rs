//! How far event time has come, partition by partition and over all.

pub mod watermark;

pub use watermark::{PartitionProgress, merged};
