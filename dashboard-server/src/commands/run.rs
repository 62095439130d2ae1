//! `tidemark run`: a SQL script as a local job.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};

/// Arguments of `tidemark run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark run job.sql                      print the final rows as JSON lines\n  \
    tidemark run job.sql --emit changes       every change, as it happens\n  \
    tidemark run job.sql --format csv > result.csv\n  \
    cat orders.jsonl | tidemark run job.sql   with 'connector' = 'stdin'\n\n\
    The exit code is 0 only if every statement ran. Records that do not count are named on stderr.")]
pub struct RunArgs {
    /// Script of SQL statements
    #[arg(value_name = "SCRIPT")]
    pub script: PathBuf,
    /// Which rows are printed
    #[arg(long, value_enum, default_value_t = Emit::Final)]
    pub emit: Emit,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = RowFormat::Jsonl)]
    pub format: RowFormat,
    /// Log only what needs someone
    #[arg(long)]
    pub quiet: bool,
}

/// Which rows a job prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// Each row once, when its window has closed
    Final,
    /// Each change of a row
    Changes,
}

/// How a job prints rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// A table for people
    Table,
}

/// Runs the script to the end of its input.
///
/// # Errors
/// The first statement that failed, with file, line and column.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    bail!("`tidemark run {}` is not wired yet", args.script.display())
}
