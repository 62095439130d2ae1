//! SQL for people: one catalogue over one cut, three doors (HTTP, PostgreSQL, Arrow Flight SQL), read-only.
//!
//! A query sees every view at the same cut, because its catalogue is pinned to one before it is
//! planned. It runs on threads of its own, so that nothing an analyst asks slows the wall.

mod ahead;
mod allow;
mod batches;
mod decimals;
mod dialect;
mod error;
mod exact;
mod expansion;
mod flight;
mod growth;
mod ledgers;
mod limits;
mod output;
mod params;
mod past;
mod postgres;
mod query_tables;
mod rules;
mod running;
mod session;
mod shared;
mod size;
mod stopping;
mod stream;
mod subscribe;
mod tables;
mod versions;
mod view_history;

pub use error::{Place, SqlError};
pub use flight::FlightDoor;
pub use limits::Limit;
pub use output::{Answer, Encoder, Format, RowShape, past_told, sql_type};
pub use past::PastPaper;
pub use postgres::{PostgresDoor, PostgresError};
pub use rules::{Definitions, Known, RoleRules, Rules, SharedRules};
pub use running::{Door, Queries, Ran, Running, Watch};
pub use session::{Question, SqlService};
pub use shared::{Shared, SharedError, SharedQueries};
pub use size::STACK_BYTES;
pub use subscribe::{Subscribed, is_subscribe, refused};
