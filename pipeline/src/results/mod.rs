//! What has been published: every view at one cut, ready to be sent, queried or compared.
//!
//! A [`Cut`] is immutable and shared: a reader that holds one sees all views at the same vector of
//! offsets for as long as it likes, and never stops the next publish.

pub mod commits;
pub mod cut;
pub mod json;
pub mod published;
pub mod snapshot;
pub mod view_history;
pub mod view_status;

pub use commits::{CommitError, CommitWish, Commits, CommittedCut};
pub use cut::{Cut, Mode, Past, Results, State, Status, StreamProgress};
pub use published::PublishedView;
pub use snapshot::{Changes, Keep, Mark, PublishedRow, Snapshot, Tombstone, ViewInfo, WindowRows};
pub use view_status::{Filled, ViewState, ViewStatus};
