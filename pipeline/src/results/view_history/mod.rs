//! What views showed: the rows that changed, at most once a second a view, kept on disk for a time.
//!
//! ```text
//! cuts ─▶ recorder, once a second ─▶ begin · change · change · whole · change …  ─▶ AS OF a time
//!                                    └──── a segment ────────┘└── the next           view_history
//! ```
//! A segment begins with a whole view, so that the rows of any instant are put together from one segment, and the oldest
//! can be forgotten whole. Nobody who publishes waits for any of it: the recorder looks at the newest cut when it is
//! ready, and a cut between two looks is not in it.

mod entry;
mod recorder;
mod rows;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub use entry::{Kind, Told};
pub use recorder::{RecordedViews, Recorder};
pub use store::{Room, ViewEntry, ViewHistory, ViewHistoryError, ViewThen};
pub use table::{batch, schema};
