//! `tidemark bench`: what the engine costs, measured on this machine, one table.
//!
//! ```text
//! generated day in memory ─▶ decode ─▶ admit ─▶ life cycle ─▶ views | one DataFusion pass a view
//! the same day in Kafka   ─▶ a bare consumer that counts bytes | `tidemark serve`, a process of its own
//! ```
//! Every ratio is of two things measured in this run, round by round in turn. Machines are shared and
//! clocks of the wall lie: CPU time stands beside them, and of several rounds the quickest and the median
//! are told.

mod checkpoint;
mod drain;
mod engine;
mod frames;
mod process;
mod records;
mod stages;
mod table;

use std::process::ExitCode;

use clap::Args;
use tempfile::TempDir;

use self::table::Table;
use super::{ConfigArgs, DoorArgs, serving};
use crate::config::Config;

/// Records in a batch, as `pipeline.batch-records-max` has them.
const BATCH_RECORDS: usize = 8_192;

/// Arguments of `tidemark bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Kafka brokers to fill a topic of; without them what needs Kafka is left out
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap: Option<String>,
    /// Records held in memory for decode, dedup, life cycle and views
    #[arg(long, value_name = "RECORDS", default_value_t = 500_000)]
    pub memory_records: usize,
    /// Records in the topic that is drained
    #[arg(long, value_name = "RECORDS", default_value_t = 8_000_000)]
    pub topic_records: u64,
    /// Orders of the compressed day whose memory is watched
    #[arg(long, value_name = "ORDERS", default_value_t = 1_000_000)]
    pub day_orders: u64,
    /// Keys of the larger checkpoint; the smaller has a tenth
    #[arg(long, value_name = "KEYS", default_value_t = 10_000_000)]
    pub keys: usize,
    /// Seconds at 50,000 orders a second
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    pub seconds: u64,
    /// Rounds of what is compared
    #[arg(long, value_name = "ROUNDS", default_value_t = 3)]
    pub rounds: usize,
    /// A tenth of everything, one round
    #[arg(long)]
    pub quick: bool,
    /// Only these rows: stages, engine, checkpoint, drain, day, frames
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
}

impl BenchArgs {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }

    fn shortened(mut self) -> Self {
        if self.quick {
            self.memory_records /= 10;
            self.topic_records /= 10;
            self.day_orders /= 10;
            self.keys /= 10;
            self.seconds = self.seconds.min(5);
            self.rounds = 1;
        }
        self
    }
}

/// What the parts of the benchmark share.
struct Bench {
    args: BenchArgs,
    config: Config,
    folder: TempDir,
}

/// Measures everything that is asked for and prints the table.
///
/// # Errors
/// When the SQL folder cannot be planned, or something that is measured fails.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load(&DoorArgs::default())?;
    let bench = Bench { args: args.shortened(), config, folder: tempfile::tempdir()? };
    let mut table = Table::default();
    let catalog = serving::load_catalog(&bench.config)?;
    if bench.args.wants("stages") || bench.args.wants("engine") {
        let day = records::Records::generated(bench.args.memory_records)?;
        if bench.args.wants("stages") {
            stages::measure(&bench, &catalog, &day, &mut table)?;
        }
        if bench.args.wants("engine") {
            engine::measure(&bench, &catalog, &day, &mut table)?;
        }
    }
    if bench.args.wants("checkpoint") {
        checkpoint::measure(&bench, &mut table)?;
    }
    if let Some(bootstrap) = &bench.args.bootstrap {
        if bench.args.wants("drain") {
            drain::measure(&bench, &catalog, bootstrap, &mut table)?;
        }
        if bench.args.wants("day") {
            drain::measure_day(&bench, &catalog, bootstrap, &mut table)?;
        }
        if bench.args.wants("frames") {
            frames::measure(&bench, &catalog, bootstrap, &mut table)?;
        }
    }
    println!("\n{}", table.text());
    Ok(ExitCode::SUCCESS)
}
