//! Records into slices, slices into windows.
//!
//! A slice is the smallest span of event time that a view's windows share. Rows fold into slices on
//! the folding threads; windows are put together from slices when results are published.

pub mod assign;
pub mod aggregate;
pub mod below;
mod collected;
mod lookup;
mod rounded;
mod row_by_row;
mod steps;
pub mod shared;
pub mod session;
mod placed;
mod groups;
pub mod fold;
pub mod slice;
pub mod table;
mod top;
pub mod fire;
pub mod sides;
mod fire_rows;
mod fire_steps;
mod fire_top;
mod fire_sessions;
mod revisions;
mod assemble;
pub mod cascade;
#[cfg(test)]
mod tests;

pub use assign::{Placement, SliceKey, Window, Windows};
pub use fold::{Drained, LateRow, ViewCounts, ViewFold};
