//! What the business says in SQL: streams, scopes, views; read, planned and cut into stages.
//!
//! DataFusion's parser and planner do the work. What it does not know of Flink's dialect (tables as
//! arguments, `DESCRIPTOR`, `WATERMARK FOR`, options) is taken out of the token stream by [`script`];
//! window functions become a plan node in [`window_function`]; [`plan`] cuts a query at its windowed
//! aggregate; [`catalog`] reads the folder.

pub mod error;
mod across;
pub mod statement_size;
mod rewrite;
pub mod exact;
pub mod own_columns;
pub mod constants;
pub mod plain_numbers;
mod exact_comparisons;
pub mod script;
mod plain_calls;
pub mod options;
pub mod column_type;
pub mod stream;
pub mod stream_plan;
pub mod lifecycle;
pub mod session;
pub mod refusal;
mod pure;
pub mod aggregates;
pub mod window_function;
pub mod leaf;
pub mod slot;
pub mod aggregate_plan;
mod roles;
pub mod plan;
pub mod cut;
pub mod over_results;
pub mod over_windows;
pub mod window_join;
pub mod join_plan;
pub mod ties;
mod pinned;
pub mod state_estimate;
mod scope;
pub mod meaning;
mod float_money;
pub(crate) mod instants;
mod finer;
mod clocks;
mod written;
mod sides;
mod spans;
mod alike;
pub mod names;
mod system_tables;
mod folder;
mod loading;
pub mod view;
mod view_options;
pub mod catalog;
mod of_script;

pub use catalog::{Catalog, ScopeDefinition, ViewDefinition};
pub use error::SqlError;
pub use of_script::ReadTable;
pub use plan::{Shape, ViewPlan};
pub use state_estimate::StateBounds;
pub use stream::{StreamColumn, StreamDefinition};
pub use stream_plan::StreamPlan;
pub use window_function::{WindowKind, WindowSpec};
