//! `tidemark serve`: pipeline and server in one process.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::{ConfigArgs, DoorArgs};

/// Arguments of `tidemark serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark serve --config tidemark.toml\n  \
    tidemark serve --data-dir /var/lib/tidemark --listen 127.0.0.1:9000\n\n\
    Which Kafka and which topic is said in sql/streams/*.sql, or in [streams.NAME] of the config:\n  \
    [streams.orders]\n  \
    topic = \"orders\"\n  \
    properties.bootstrap.servers = \"kafka:9092\"")]
pub struct ServeArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Addresses.
    #[command(flatten)]
    pub doors: DoorArgs,
}

/// Serves until it is told to stop.
///
/// # Errors
/// When it cannot start, or stops by itself.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let _config = args.config.load(&args.doors)?;
    bail!("`tidemark serve` is not wired yet")
}
