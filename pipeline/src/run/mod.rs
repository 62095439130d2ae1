//! Builds the stages and wires them together: the only module that knows them all.

pub mod build;
pub mod partition;
pub mod publisher;
pub mod accounting;
pub mod proof;
pub mod ledgers;
pub mod corrected;
mod spilled;
pub mod job;
pub mod replay;
pub mod reference;
pub mod checkpoints;
pub mod saving;
pub mod live;
pub mod workers;

#[cfg(test)]
mod derived_tests;
#[cfg(test)]
mod keys_tests;
#[cfg(test)]
mod scope_tests;
