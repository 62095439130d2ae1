//! The engine as a whole, in one binary: linking DataFusion twice would cost a minute each time.

mod accounting;
mod big_sums;
mod conformance;
mod joined_logs;
mod live_logs;
mod malformed;
mod random_logs;
mod script_joins;
mod served_lives;
mod served_logs;
mod shadow;
mod sql_logic;
mod state_bound;
