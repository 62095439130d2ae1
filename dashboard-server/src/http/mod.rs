//! Pages and answers over HTTP. `router` is the table of contents; each resource has its file.

pub mod router;
pub mod state;
pub mod error;
pub mod access;
pub mod login;
pub mod headers;
pub mod pages;
mod reload;
mod health;
mod accounting;
mod views;
mod screens;
mod shared;
mod events;
mod examples;
mod lite;
mod headline;
mod sql;
mod queries;
mod subscribe;
mod ingest;
mod ledgers;
mod pairing;
mod small;
mod answering;
