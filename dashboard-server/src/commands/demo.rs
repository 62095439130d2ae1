//! `tidemark demo`: a generated Double 11 on an embedded log.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::{ConfigArgs, DoorArgs};

/// Arguments of `tidemark demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark demo                           then open http://127.0.0.1:8080\n  \
    tidemark demo --rate 20000 --speed 60   an hour of the day each minute\n  \
    tidemark demo --listen 127.0.0.1:9000 --data-dir /tmp/demo\n\n\
    The wall says DEMO as long as the orders are generated.")]
pub struct DemoArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Addresses.
    #[command(flatten)]
    pub doors: DoorArgs,
    /// Mean orders per second, by the wall clock
    #[arg(long, value_name = "ORDERS", default_value_t = 2_000)]
    pub rate: u64,
    /// Seconds of the generated day per second of the wall clock
    #[arg(long, value_name = "FACTOR", default_value_t = 60.0)]
    pub speed: f64,
    /// Seed of the generated orders: the same seed is the same day
    #[arg(long, value_name = "NUMBER", default_value_t = 11)]
    pub seed: u64,
    /// Forget what an earlier demo left in the data folder
    #[arg(long)]
    pub fresh: bool,
}

/// Generates and serves until it is told to stop.
///
/// # Errors
/// When it cannot start, or stops by itself.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let _config = args.config.load(&args.doors)?;
    bail!("`tidemark demo` is not wired yet")
}
