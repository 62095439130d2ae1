//! Functions that make much out of little, held to a size before they work.
//!
//! The engine's memory pool counts what operators hold and nothing of what functions make: a few
//! `replace`s within one another fill the machine in a query of a hundred letters. So every function
//! whose value can be longer than its arguments, and `||`, is wrapped when a plan is analyzed. The
//! wrapper computes the worst size from the arguments, refuses a value past the row bound, takes the
//! bytes from the query's own pool before the work and gives them back when the value is dropped.

mod bounded;
mod claim;
mod concat;
mod formula;
mod sizes;

pub(super) use bounded::{BoundFunctions, is_bounded};
pub(super) use claim::{Budget, Overrun, Running};
pub(super) use sizes::lengths;
