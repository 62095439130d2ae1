//! A Double 11 day, made up: orders and what becomes of them, seeded and repeatable.
//!
//! ```text
//! curve ─▶ orders placed ─┐                     ┌─▶ resent, late, broken copies
//! evening before ─▶ deposits ─▶ events happen ──┴─▶ arrive ─▶ records in the log's order
//!                         ▲          │
//!                         └─ paid, cancelled, refunded, balance: later
//! ```
//!
//! [`Generator`] gives the records and knows no clock and no log; [`play()`] writes them to one, in
//! time or as fast as it goes. What is awaited (payments, refunds) is in memory: about 100 bytes
//! for each such order, so a day's peak of orders times half a minute, and its refunds.

pub mod curve;
pub mod options;
pub mod last_year;
pub mod play;
mod catalogue;
mod dice;
mod event;
mod life;
mod order;
mod places;
mod schedule;
mod services;

pub use life::{Generated, Generator};
pub use options::{GeneratorOptions, Shares};
pub use play::{PlaySummary, Records, play};
pub use services::{Service, Services};

#[cfg(test)]
mod tests;
