//! `SUBSCRIBE`: a query over one view that is kept up to date: its rows, and then what changes.
//!
//! ```text
//! text ─▶ statement: may it be kept up to date? ─▶ plan, with its filter and its columns, over a feed
//! cut ─▶ windows that have changed ─▶ feed ─▶ their rows ─▶ selection: what is other than before, at which cut
//!                                                              └─▶ each subscriber: what it has not got yet
//! ```
//! What is asked is computed once for all who ask the same with the same rights. A subscriber is told what is other than
//! at the cut it last got, however many came between: so a slow one gets fewer changes and none that are old.

mod feed;
mod frames;
mod query;
mod selection;
mod shared;
mod statement;

pub(super) use shared::Subscriptions;
pub use shared::{Subscribed, refused};
pub use statement::is_subscribe;
