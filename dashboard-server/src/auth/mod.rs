//! Who may see and do what: users with a role, known by a key whose hash is in the configuration.
//!
//! ```text
//! key NAME.SECRET ─▶ doorman ─▶ principal (name, role, views) ─▶ every door asks it
//! ```
//! Without a user or token in the configuration the server listens on this machine only, and whoever
//! reaches it may do everything.

pub mod doorman;
pub mod policy;
pub mod scram;
pub mod secret;

pub use doorman::Doorman;
pub use policy::{Principal, Right, Role, Views};
