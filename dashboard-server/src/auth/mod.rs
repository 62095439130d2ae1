//! Who may see and do what: users with a role, known by a key whose hash is in the configuration.
//!
//! ```text
//! key NAME.SECRET ─▶ doorman ─▶ principal (name, role, views) ─▶ every door asks it
//!    └─ login ─▶ session, a cookie ─┤      stay: until session, user or device ends
//! wall, six digits ─▶ device, a cookie ┘
//! ```
//! Without a user or token in the configuration the server listens on this machine only, and whoever
//! reaches it may do everything.

pub mod policy;
pub mod stay;
pub mod secret;
pub mod scram;
pub mod attempts;
pub mod doorman;
pub mod sessions;
pub mod tickets;
pub mod devices;
pub mod pairing;
pub mod gate;

pub use doorman::{Doorman, Refusal, Renewed};
pub use gate::{Gate, GateError, Shown};
pub use policy::{Principal, Right, Role, Views, is_among};
pub use stay::{Admitted, Stay, Tether};
