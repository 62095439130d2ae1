//! Walls, through the running server: pairing them, listing them, taking them out.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::commands::client::{Answer, Question, ask};
use crate::commands::table::{Cell, draw};

/// Where the server is and who asks.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// Server to tell
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "TIDEMARK_SERVER"
    )]
    server: String,
    /// Key of an admin; better in the environment than on a command line
    #[arg(long, value_name = "TOKEN", env = "TIDEMARK_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    TIDEMARK_TOKEN=… tidemark user pair 123456 --name 'hall, left' --screen overview\n\n\
    The wall shows its code at its own address until someone pairs it; a code lives five minutes.")]
pub(super) struct PairArgs {
    /// The six digits that the wall shows
    code: String,
    /// What people call the wall
    #[arg(long)]
    name: String,
    /// A screen it shows, a file of sql/screens without `.toml`; may be said again [default: all]
    #[arg(long = "screen", value_name = "SCREEN")]
    screens: Vec<String>,
    /// Whom to tell.
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The wall, by its id in `tidemark user devices`
    id: String,
    /// Whom to tell.
    #[command(flatten)]
    server: ServerArgs,
}

/// Approves a wall.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn pair(args: &PairArgs) -> anyhow::Result<()> {
    let screens = (!args.screens.is_empty()).then_some(&args.screens);
    let body = json!({"code": args.code, "name": args.name, "screens": screens}).to_string();
    let told = parsed(&asked(&args.server, "/api/devices", Some(body))?)?;
    let text = |name: &str| told[name].as_str().unwrap_or("").to_owned();
    println!("paired {} ({}) at {}", text("id"), args.name, text("address"));
    Ok(())
}

/// Prints the walls.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn list(args: &ServerArgs) -> anyhow::Result<()> {
    let told = parsed(&asked(args, "/api/devices", None)?)?;
    let devices = told["devices"].as_array().map_or(&[][..], Vec::as_slice);
    let columns = ["id", "name", "screens", "paired by", "paired at", "last seen"];
    let rows: Vec<Vec<Cell>> = devices.iter().map(row).collect();
    print!("{}", draw(&columns.map(str::to_owned), &rows));
    for wall in told["waiting"].as_array().into_iter().flatten() {
        let left = wall["leftMs"].as_i64().unwrap_or(0) / 1_000;
        println!("waiting: a wall at {}, {left} s left", wall["address"].as_str().unwrap_or("?"));
    }
    Ok(())
}

fn row(device: &Value) -> Vec<Cell> {
    let text = |name: &str| device[name].as_str().unwrap_or("").to_owned();
    let screens = device["screens"].as_array().map_or("all".to_owned(), |screens| {
        screens.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    });
    let time = |name: &str, none: &str| match device[name].as_i64() {
        Some(ms) => chrono::DateTime::from_timestamp_millis(ms)
            .map_or(String::new(), |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string()),
        None => none.to_owned(),
    };
    let cells = [
        text("id"),
        text("name"),
        screens,
        text("pairedBy"),
        time("pairedAtMs", ""),
        time("seenAtMs", "not since the start"),
    ];
    cells.into_iter().map(|text| Cell { text, is_number: false }).collect()
}

/// Takes a wall out.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn revoke(args: &RevokeArgs) -> anyhow::Result<()> {
    let is_id = !args.id.is_empty() && args.id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_id {
        bail!("{:?} is no id; `tidemark user devices` shows them", args.id);
    }
    asked(&args.server, &format!("/api/devices/{}/revoke", args.id), Some(String::new()))?;
    println!("revoked {}", args.id);
    Ok(())
}

fn parsed(answer: &Answer) -> anyhow::Result<Value> {
    serde_json::from_slice(&answer.body).context("the answer is not JSON")
}

fn asked(server: &ServerArgs, path: &str, body: Option<String>) -> anyhow::Result<Answer> {
    let token = server.token.as_deref();
    let question = match body {
        Some(body) => Question::post(&server.server, token, path, body),
        None => Question::get(&server.server, token, path),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(ask(&question))?;
    if !(200..300).contains(&answer.status) {
        bail!("{}", answer.refusal());
    }
    Ok(answer)
}
