//! The life cycle of an order: its events, in any order of arrival, as signed measures.
//!
//! ```text
//! accepted records ─▶ operator ─▶ orders (by key) ─▶ settle ─▶ effects before and after ─▶ rows
//!                     Arrow in     kept events         a pure      the difference, signed     Arrow out
//! ```
//! What an order's events amount to is a pure function of the events it has ([`settle`]): the operator
//! keeps them, and at each new one it hands on the difference between what was and what is. So sums over
//! its rows do not depend on the order of arrival, and a correction is a row like any other.
//!
//! No status of the business is named here: which kind of event opens, pays, cancels or refunds stands in
//! the SQL of the derived table ([`rules`]). One operator belongs to one partition.

pub mod rules;
pub mod attributes;
pub mod order;
pub mod packed;
pub mod settle;
pub mod counts;
pub mod ages;
mod arena;
pub mod orders;
pub mod operator;
pub mod saved;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod currency_tests;

pub use counts::{Counts, Notice, Standing};
pub use operator::{Columns, Measure, Operator, Taken};
pub use rules::{Action, Kind, Rules};
