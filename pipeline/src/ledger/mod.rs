//! Records that are told apart by name: late for a window, rejected, or waiting for their order.
//!
//! ```text
//! partition ─▶ changes ─▶ writer ─▶ store on disk ─▶ SQL, filtered by the offsets of a cut
//!                           │ full? ─▶ gauge ─▶ the partition waits
//! ```
//! A ledger is part of the result: an entry has the place of its record as its key, so that a record
//! that is read again after a crash writes the entry it had. Counters never depend on a ledger. A full
//! ledger drops nothing: it raises an alarm, and a partition that has more to write waits.

pub mod entry;
pub mod store;
pub mod table;
pub mod writer;

pub use entry::{Change, Entry, EntryId, LedgerKind};
pub use store::{LedgerError, LedgerStore, Total};
pub use writer::{Gauge, LedgerWriter, Limits};
