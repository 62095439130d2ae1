//! SQL for people: one catalogue over one cut, three doors (HTTP, PostgreSQL, Arrow Flight SQL), read-only.
//!
//! A query sees every view at the same cut, because its catalogue is pinned to one before it is
//! planned. It runs on threads of its own, so that nothing an analyst asks slows the wall.

mod allow;
mod decimals;
mod error;
mod exact;
mod expansion;
mod flight;
mod growth;
mod ledgers;
mod limits;
mod output;
mod params;
mod postgres;
mod query_tables;
mod running;
mod session;
mod size;
mod stopping;
mod stream;
mod tables;

pub use error::{Place, SqlError};
pub use flight::FlightDoor;
pub use output::{Answer, Encoder, Format, RowShape, sql_type};
pub use postgres::{PostgresDoor, PostgresError};
pub use running::{Door, Queries, Ran, Running, Watch};
pub use session::{Question, SqlService};
pub use size::STACK_BYTES;
