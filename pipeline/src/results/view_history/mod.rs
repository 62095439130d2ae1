//! What views showed: the rows that changed, at most once a second a view, kept on disk for a time.
//!
//! ```text
//! cuts ─▶ recorder, once a second ─▶ begin · change · change · whole · change …  ─▶ AS OF a time
//!                                    └──── a segment ────────┘└── the next           view_history
//! ```
//! A segment begins with a whole view, so that the rows of any instant are put together from one segment, and the oldest
//! can be forgotten whole. Nobody who publishes waits for any of it: the recorder looks at the newest cut when it is
//! ready, and a cut between two looks is not in it. So only what is older than the last look is told, for the next one may
//! be of a cut of before now; and of the time in which a process ended without one, nothing is (`looks`).

mod entry;
mod error;
mod looks;
mod recorder;
mod rows;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub use entry::{Kind, Told};
pub use error::ViewHistoryError;
pub use recorder::{RecordedViews, Recorder};
pub use store::{Room, ViewEntry, ViewHistory, ViewThen};
pub use table::{batch, schema};
