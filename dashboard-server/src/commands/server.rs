//! `tidemark server`: the wall and the doors over what workers (`tidemark pipeline`) fold.

use std::process::ExitCode;

use clap::Args;
use tidemark_pipeline::results::Mode;
use tidemark_pipeline::run::live;

use super::prepared::prepared;
use super::serving::{self, Input};
use super::{ConfigArgs, DoorArgs, pipeline, serve};

/// Arguments of `tidemark server`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark server --config tidemark.toml --data-dir /var/lib/tidemark/server\n\n\
    It reads no order itself: it merges what the workers of the same pipeline.checkpoint-store have folded,\n\
    and has everything else that `tidemark serve` has. The same SQL folder and configuration as theirs.")]
pub struct ServerArgs {
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
pub fn run(args: ServerArgs) -> anyhow::Result<ExitCode> {
    let (config, catalog) = prepared(&args.config, &args.doors, pipeline::check_source)?;
    let streams = catalog.logs().map(|plan| serve::kafka(&plan.definition)).collect();
    let input = Input { streams, mode: Mode::Live, ingest: None, start: live::start_merging };
    let again = Box::new(move || args.config.load(&args.doors));
    serving::run(config, catalog, input, |bound, _| serving::print_addresses(bound), again)
}
