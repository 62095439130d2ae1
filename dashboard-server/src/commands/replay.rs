//! `tidemark replay`: recorded orders into a Kafka topic.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

/// Arguments of `tidemark replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark replay orders.csv.gz --brokers kafka:9092 --topic orders\n  \
    tidemark replay day.jsonl --speed 60          an hour each minute, times as recorded\n  \
    tidemark replay day.jsonl --shift-to now      as if it happened now")]
pub struct ReplayArgs {
    /// Recorded orders: CSV, JSON lines or Parquet, packed with gzip or not
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Kafka brokers, with commas between
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub brokers: String,
    /// Topic; it must exist
    #[arg(long, default_value = "orders")]
    pub topic: String,
    /// Recorded seconds per second of the wall clock; as fast as possible if not given
    #[arg(long, value_name = "FACTOR")]
    pub speed: Option<f64>,
    /// Moves all times so that the first is this one: `now` or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub shift_to: Option<String>,
    /// Column or field that holds the event time
    #[arg(long, value_name = "NAME", default_value = "event_time")]
    pub time_field: String,
    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

/// Plays the files to their end.
///
/// # Errors
/// When a file cannot be read or the topic cannot be written.
pub fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    bail!("`tidemark replay` of {} files is not wired yet", args.files.len())
}
