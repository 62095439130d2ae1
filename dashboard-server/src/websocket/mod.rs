//! The live figures: one frame a view and change, encoded once, sent to everyone who needs it.
//!
//! Nothing is queued. A viewer remembers the cut at which it last got each view; when its line is
//! free it gets the difference to the newest cut, however many came between. So a slow viewer gets
//! fewer frames and never older ones, and costs the others nothing.

pub mod protocol;
pub mod hub;
pub mod viewer;
mod asked;
pub mod session;
pub mod upgrade;
