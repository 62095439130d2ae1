//! The engine as a whole, in one binary: linking DataFusion twice would cost a minute each time.

mod accounting;
mod conformance;
mod live_logs;
mod malformed;
mod random_logs;
mod served_lives;
mod served_logs;
mod shadow;
mod sql_logic;
mod state_bound;
