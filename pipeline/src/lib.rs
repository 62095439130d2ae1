//! Order events in, exact windowed figures out: everything between the log and the results.
//!
//! The flow, in the order of the modules: a [`source`] reads partitions of a log, [`decode`] turns
//! bytes into Arrow columns, [`admit`] decides which records count, [`event_time`] keeps each
//! partition's watermark, [`lifecycle`] turns an order's events into signed measures, [`windows`] folds
//! records into slices, [`state`] saves them with their offsets, [`ledger`] keeps the records that do not
//! count, [`history`] those that do, [`results`] publishes every view at one cut. [`sql`] says what all of them do; [`run`]
//! is the only module that knows all the others.

pub mod fail_points;
pub mod model;
pub mod config;
pub mod sql;
pub mod source;
pub mod decode;
pub mod admit;
pub mod event_time;
pub mod lifecycle;
pub mod windows;
pub mod state;
pub mod ledger;
pub mod history;
pub mod results;
pub mod sinks;
pub mod generator;
pub mod run;
