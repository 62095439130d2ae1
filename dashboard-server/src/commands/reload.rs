//! `tidemark reload`: a running server reads its SQL folder and its users again.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use super::client::{Question, ask};

/// Arguments of `tidemark reload`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark reload\n  \
    tidemark reload --server http://127.0.0.1:9000\n\n\
    Views that are new or changed are filled from the earliest orders in the log while the wall goes on;\n\
    how far they are stands in /api/views and in `tidemark sql \"SELECT * FROM current_views\"`. A folder\n\
    with a mistake changes nothing, and the mistake is told with file, line and column. The same as SIGHUP.\n\
    The users of the configuration are read again too: what those have open who are gone is closed.")]
pub struct ReloadArgs {
    /// Server to tell
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

/// Tells the server and prints what that changes.
///
/// # Errors
/// When the server cannot be reached or its SQL folder has a mistake.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn run(args: ReloadArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let question =
        Question::post(&args.server, args.token.as_deref(), "/api/reload", String::new());
    let answer = runtime.block_on(ask(&question))?;
    if answer.status != 200 {
        bail!("{}", answer.refusal());
    }
    let told: Value = serde_json::from_slice(&answer.body).context("the answer is not JSON")?;
    for what in ["added", "changed", "removed"] {
        let names = told[what].as_array().into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<&str> = names.collect();
        if !names.is_empty() {
            println!("{what}: {}", names.join(", "));
        }
    }
    println!("unchanged: {}", told["unchanged"]);
    for what in ["added", "changed", "removed"] {
        let names = told["users"][what].as_array().into_iter().flatten();
        let names: Vec<&str> = names.filter_map(Value::as_str).collect();
        if !names.is_empty() {
            println!("users {what}: {}", names.join(", "));
        }
    }
    Ok(ExitCode::SUCCESS)
}
