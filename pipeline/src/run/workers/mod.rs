//! Several processes for one wall: workers that share the partitions of a Kafka consumer group, and a server that
//! merges what they fold.
//!
//! ```text
//! Kafka group ─ assigns ─▶ worker: a partition ─▶ checkpoint with what was folded since the last ─▶ shared place
//!                          worker: a partition ─▶ …                                                      │
//!                                  server: publisher ◀── drains, in the order of each partition ─────────┘
//! ```
//! A worker is the front half of the pipeline and the server the back half: what a folding thread tells the publisher
//! in one process travels here as bytes in the partition's checkpoint. So the figures are the same by construction.

pub mod agreement;
pub mod wire;
mod claimed;
mod worker;
pub mod merging;

pub use worker::{Join, Member, Worker, histories, shared_place, start};

use crate::run::live::StartError;
use crate::state::objects::ObjectError;

/// Why workers or their server cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkersError {
    /// The shared place refused.
    #[error("the place that workers share: {0}")]
    Place(#[from] ObjectError),
    /// Something that all must have in common differs.
    #[error(
        "{place} was written by workers with other definitions: {differences}; give all workers and their server the \
         same SQL folder and configuration, or give all of them another checkpoint-store and another \
         pipeline.worker-group to compute everything again from the log"
    )]
    Agreement {
        /// The object.
        place: String,
        /// What differs.
        differences: String,
    },
    /// The place is not one that can be shared.
    #[error(
        "workers and their server share a place: set pipeline.checkpoint-store to a folder all of them see, or to \
         s3://bucket/prefix"
    )]
    NotShared,
    /// The place has checkpoints of a process that does everything.
    #[error(
        "{place} has checkpoints of a process that folds and serves (`tidemark serve`); give workers and their server a \
         checkpoint-store of their own"
    )]
    OfOneProcess {
        /// The place.
        place: String,
    },
    /// A partition, the catalogue or its logs.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The consumer group.
    #[error("consumer group {group}: {detail}")]
    Group {
        /// Its name.
        group: String,
        /// What is wrong.
        detail: String,
    },
    /// It must not go on: a figure would be wrong.
    #[error("{0}")]
    Broken(String),
}
