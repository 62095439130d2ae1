//! What the tests of the whole system share: random order logs, a slow reference, a driver.
//!
//! [`orders`] makes a log and says what each record is; [`reference`] computes from it what must come
//! out, by sorting, looping and adding. [`engine`] runs it as `tidemark run` does, [`served`] as `serve`
//! does, with checkpoints on files, [`joined`] two of them with views over both; batches, publishes and crashes come wherever the dice put them.
//! [`sql_logic`] does the same for a person's small files.

pub mod orders;
pub mod queries;
mod measures;
pub mod reference;
pub mod engine;
pub mod lives;
pub mod system;
pub mod served;
pub mod joined;
pub mod shadow;
pub mod live;
pub mod conformance;
pub mod malformed;
pub mod feed;

// As the pipeline's own files see them, so that the fuzz target can compile `feed` beside those.
use tidemark_pipeline::{decode, model};
pub mod sql_logic;
