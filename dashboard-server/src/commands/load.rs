//! `tidemark load`: generated orders into a Kafka topic.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

/// Arguments of `tidemark load`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark load --brokers kafka:9092 --topic orders --rate 50000\n  \
    tidemark load --brokers kafka:9092 --topic orders --orders 10000000 --seed 7\n  \
    tidemark load --brokers kafka:9092 --topic orders --duplicates 0.01 --late 0.005 --shadow 0.2")]
pub struct LoadArgs {
    /// Kafka brokers, with commas between
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub brokers: String,
    /// Topic; it must exist
    #[arg(long, default_value = "orders")]
    pub topic: String,
    /// Orders per second; as fast as possible if not given
    #[arg(long, value_name = "ORDERS")]
    pub rate: Option<u64>,
    /// Orders in all; without end if not given
    #[arg(long, value_name = "ORDERS")]
    pub orders: Option<u64>,
    /// Seconds of the generated day per second of the wall clock
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub speed: f64,
    /// Share of orders sent twice, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub duplicates: f64,
    /// Share of orders sent late, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub late: f64,
    /// Share of orders dated into the future, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub future: f64,
    /// Share of orders that are refunded later, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub refunds: f64,
    /// Share of orders marked as load test, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub shadow: f64,
    /// Seed: the same seed is the same orders
    #[arg(long, value_name = "NUMBER", default_value_t = 11)]
    pub seed: u64,
    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

/// Generates until the wanted number is sent.
///
/// # Errors
/// When the topic cannot be written.
pub fn run(args: LoadArgs) -> anyhow::Result<ExitCode> {
    bail!("`tidemark load` into {} is not wired yet", args.topic)
}
