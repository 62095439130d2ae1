//! The PostgreSQL door: psql, JDBC, Grafana and notebooks connect as they do to PostgreSQL.
//!
//! Each connection has a session and a catalogue of its own. Every statement passes our own list
//! of what is allowed before the library sees it, because the library allows what it does not know.

mod catalogue;
mod conversation;
mod copy;
mod cursors;
mod door;
mod error;
mod frame;
mod functions;
mod gate;
mod gathering;
mod kept;
mod limited;
mod lists;
mod parameters;
mod parser;
mod passage;
mod past;
mod place;
mod reading;
mod settings;
mod stamps;
mod startup;
mod words;

pub use door::{PostgresDoor, PostgresError};
