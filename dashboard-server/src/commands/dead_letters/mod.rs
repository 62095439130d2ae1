//! `tidemark dead-letters`: look at rejected records, export them for correction, send them back.

mod list;
mod replay;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Arguments of `tidemark dead-letters`.
#[derive(Debug, Args)]
#[command(after_help = "How a rejected order still counts:\n  \
    tidemark dead-letters list --reason amount           what was rejected, and why\n  \
    tidemark dead-letters export bad.jsonl               one line each; correct the field `record`\n  \
    tidemark dead-letters replay bad.jsonl --dry-run     are they as the stream declares them?\n  \
    tidemark dead-letters replay bad.jsonl               back into the log, origin in a header\n  \
    tidemark dead-letters remove bad.jsonl               they are dealt with: frees the ledger\n\n\
    A rejected record has no place among the duplicates, so its corrected resend counts, unless the\n\
    log has passed its event time by more than the dedup horizon: then it is too old, and is rejected again.\n\
    Replaying a file twice counts no order twice: the second time its records are duplicates, or too old.")]
pub struct DeadLettersArgs {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show rejected records with place and reason
    List(list::ListArgs),
    /// Write rejected records to a file, one JSON object a line, for correction
    Export(list::ExportArgs),
    /// Send the corrected records of a file back to their stream's log
    Replay(replay::ReplayArgs),
    /// Take the records of a file out of the ledger; counters stay as they are
    Remove(list::RemoveArgs),
}

/// The running server.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Running server to ask
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "TIDEMARK_SERVER"
    )]
    pub server: String,
    /// Token, where the server asks for one; better in the environment than on a command line
    #[arg(long, value_name = "TOKEN", env = "TIDEMARK_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// Does what was asked.
///
/// # Errors
/// When the server cannot be reached, a file cannot be read or written, or a record is not fit.
pub fn run(args: DeadLettersArgs) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List(args) => list::list(&args),
        Action::Export(args) => list::export(&args),
        Action::Replay(args) => replay::run(args),
        Action::Remove(args) => list::remove(&args),
    }
}
