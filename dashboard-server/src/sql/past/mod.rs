//! `AS OF`: a table as it was. `FROM orders FOR VERSION AS OF 12`, `FROM gmv_day FOR SYSTEM_TIME AS OF TIMESTAMP '…'`.
//!
//! ```text
//! text ─▶ clauses found in its words ─▶ each table as it was, or why not ─▶ the words with other names ─▶ planned
//! ```
//! The engine's planner passes over the version of a table in silence and would answer with today's rows. So the words
//! themselves are changed before anything is planned: what is left cannot mean another time. A statement in which a
//! version is left all the same is refused ([`check_versions`]).

mod clause;
mod find;
mod given;
mod moment;
mod names;
mod rewrite;
mod table;

pub(super) use clause::{Asked, Reading, read};
pub(super) use find::{Kind, history, kind_of, not_shown};
pub(super) use given::{Given, Parameters, Says, with_clauses};
pub(super) use moment::Now;
pub(super) use names::{check_names, check_versions};
pub use table::PastPaper;
pub(super) use table::{PastRows, PastTable, Pasts, names_of, papers_of};
