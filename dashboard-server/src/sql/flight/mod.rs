//! The Arrow Flight SQL door: the catalogue, limits and roles of the other doors, and rows as Arrow sends them.
//!
//! ```text
//! guard: who asks, for every call ─▶ service: statements ─▶ a handle ─▶ DoGet ─▶ rows as they are made
//!                                          └─ catalogue: what there is
//! ```
//! A handle is 256 random bits that belong to who got them; what is behind it never leaves the server.

mod catalogue;
mod door;
mod guard;
mod handles;
mod parameters;
mod service;
mod statements;
mod status;

pub use door::FlightDoor;
