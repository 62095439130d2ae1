//! The server from outside: real sockets against results that are published by hand.

mod client;
mod fixture;
mod websocket;
mod shadow;
mod viewers;
mod http;
mod headline;
mod ingest;
mod access;
mod users;
mod sessions;
mod sql;
mod roles;
mod refused_streams;
mod subscribe;
mod postgres;
mod postgres_words;
mod decimals;
mod doors;
mod flight;
mod queries;
mod bounds;
mod past;
mod days;
mod shared;
