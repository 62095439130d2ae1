//! Everything of Tidemark that talks to people: the wall, SQL, headlines, the command line.
//!
//! The pipeline computes, this crate shows: its only input is the newest cut of
//! [`tidemark_pipeline::results::Results`], and nothing here can slow or change a figure. It runs
//! on its own threads, and queries on others again.

pub mod config;
pub mod auth;
pub mod clock;
pub mod closing;
mod greeting;
pub mod pulse;
pub mod telemetry;
pub mod ingest;
pub mod reload;
pub mod headlines;
pub mod websocket;
pub mod sql;
pub mod screens;
pub mod tls;
pub mod http;
pub mod server;
pub mod commands;

/// Version of the software, as papers and frames name it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests;
