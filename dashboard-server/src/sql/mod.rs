//! SQL for people: one catalogue over one cut, two doors (HTTP and PostgreSQL), read-only.
//!
//! A query sees every view at the same cut, because its catalogue is pinned to one before it is
//! planned. It runs on threads of its own, so that nothing an analyst asks slows the wall.

mod allow;
mod error;
mod ledgers;
mod limits;
mod output;
mod params;
mod postgres;
mod session;
mod stopping;
mod tables;

pub use error::{Place, SqlError};
pub use output::{Answer, RowShape, sql_type, write_arrow, write_csv, write_json};
pub use postgres::{PostgresDoor, PostgresError};
pub use session::SqlService;
