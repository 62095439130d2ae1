//! What clients of PostgreSQL ask about tables before they ask for rows, where the library has no answer of its own.
//!
//! ```text
//! statement ─▶ nothing: of keys, indexes, triggers … there is none, so what is asked of them has no rows
//!          └─▶ rewrite: what PostgreSQL has a word for and the engine another
//!              ├─▶ classes: the number of a table by its name
//!              └─▶ values: what is known without asking, arrays of it, values among those of an array
//! pg_catalog, information_schema ─▶ described: comments, digits of decimals, names of types
//! ```
//! Which questions these are is in `tests/data/clients`, with where they come from.

mod batches;
mod classes;
mod described;
mod nothing;
mod rewrite;
mod values;

pub(super) use described::{describe, forget};
pub(super) use nothing::plan_of_nothing;
pub(super) use rewrite::rewritten;
