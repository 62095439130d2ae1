//! Shared queries: a statement that answers with the same rows whenever it is opened, and whoever opens it.
//!
//! ```text
//! shared ─▶ histories committed up to a cut ─▶ each table it reads as it is at that cut ─▶ a version that is pinned, or rows that are put by ─▶ id
//! opened ─▶ the statement over these tables and nothing else, as far as whoever opens it sees them
//! ```
//! Of a history the version is held ([`tidemark_pipeline::history::Pins`]); the rows of views and reference tables are
//! few and are put by beside the statement, so that nothing that forgets or changes them changes the answer.

mod ask;
mod moment;
mod store;

pub use store::{Shared, SharedError, SharedQueries};
