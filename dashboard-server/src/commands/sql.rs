//! `tidemark sql`: one query against a running server.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::{DateTime, SecondsFormat};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::client::{Question, ask, follow};
use super::table::{Cell, draw};
use crate::sql::is_subscribe;

/// Arguments of `tidemark sql`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark sql \"SHOW TABLES\"\n  \
    tidemark sql \"SELECT province, gmv FROM gmv_by_province ORDER BY gmv DESC LIMIT 10\"\n  \
    tidemark sql \"SELECT * FROM gmv_by_minute\" --format csv > minutes.csv\n  \
    tidemark sql \"SELECT * FROM gmv_by_province WHERE province = \\$1\" --param Zhejiang\n  \
    tidemark sql \"SUBSCRIBE TO (SELECT province, gmv FROM gmv_by_province)\"   changes as they come, a line each\n\n\
    All tables of a query are at the same cut. psql works too: psql -h 127.0.0.1 -p 5433\n\
    and so do clients of Arrow Flight SQL, as ADBC: grpc://127.0.0.1:5434")]
pub struct SqlArgs {
    /// One statement that reads: SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS, SUBSCRIBE
    #[arg(value_name = "QUERY", allow_hyphen_values = true, value_parser = statement)]
    pub query: String,
    /// Server to ask
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "TIDEMARK_SERVER"
    )]
    pub server: String,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
    /// Value for $1, $2, …; once for each
    #[arg(long = "param", value_name = "VALUE", allow_hyphen_values = true)]
    pub params: Vec<String>,
    /// Token, where the server asks for one; better in the environment than on a command line
    #[arg(long, value_name = "TOKEN", env = "TIDEMARK_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// A statement may begin with a comment, as the files of `sql/examples` do; what is one line and begins so is an option
/// that there is not.
fn statement(text: &str) -> Result<String, String> {
    if text.starts_with('-') && !text.trim_end().contains('\n') {
        return Err(format!("`{text}` is no statement and no option; see tidemark sql --help"));
    }
    Ok(text.to_owned())
}

/// How `tidemark sql` prints rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Columns for people
    Table,
    /// Comma-separated values with a header
    Csv,
    /// The server's answer as it is
    Json,
}

/// Asks, prints to stdout, and fails with the server's words.
///
/// # Errors
/// When the server cannot be reached or refuses the query.
pub fn run(args: SqlArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if is_subscribe(&args.query) {
        runtime.block_on(frames(&args, &mut print))?;
        return Ok(ExitCode::SUCCESS);
    }
    let printed = runtime.block_on(answer(&args))?;
    print(&printed).map(|_| ExitCode::SUCCESS)
}

/// Writes to stdout; false where nobody reads any more.
fn print(text: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to stdout"),
    }
}

/// Hands over the frames of a subscription, a line each, for as long as they are wanted.
///
/// # Errors
/// When the server cannot be reached, refuses the query, or ends it with a reason.
pub async fn frames(
    args: &SqlArgs,
    print: &mut (dyn FnMut(&str) -> anyhow::Result<bool> + Send),
) -> anyhow::Result<()> {
    let body = json!({"sql": args.query, "params": args.params}).to_string();
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Accept", "application/x-ndjson".to_owned()),
    ];
    let question = Question {
        headers,
        ..Question::post(&args.server, args.token.as_deref(), "/api/sql", body)
    };
    follow(&question, &mut |line| {
        let frame: Value = serde_json::from_str(line).context("a frame is not JSON")?;
        if frame["type"] == "error" {
            bail!("{}", text_of(&frame["message"]));
        }
        print(&format!("{line}\n"))
    })
    .await
}

/// What is to be printed.
///
/// # Errors
/// When the server cannot be reached or refuses the query.
pub async fn answer(args: &SqlArgs) -> anyhow::Result<String> {
    let accept = match args.format {
        OutputFormat::Csv => "text/csv",
        OutputFormat::Table | OutputFormat::Json => "application/json",
    };
    let body = json!({"sql": args.query, "params": args.params}).to_string();
    let json = "application/json".to_owned();
    let question = Question {
        headers: vec![("Content-Type", json), ("Accept", accept.to_owned())],
        ..Question::post(&args.server, args.token.as_deref(), "/api/sql", body)
    };
    let answer = ask(&question).await?;
    if answer.status != 200 {
        bail!("{}", answer.refusal());
    }
    if answer.header("x-tidemark-truncated") == Some("true") {
        let limit = answer.header("x-tidemark-limit").unwrap_or("sql.rows-max");
        tracing::warn!("the server cut the result off at its row limit ({limit})");
    }
    let text = String::from_utf8(answer.body).context("the answer is not text")?;
    match args.format {
        OutputFormat::Csv => Ok(text),
        OutputFormat::Json => Ok(text + "\n"),
        OutputFormat::Table => table(&text),
    }
}

fn table(text: &str) -> anyhow::Result<String> {
    let body: Value = serde_json::from_str(text).context("the answer is not JSON")?;
    let empty = Vec::new();
    let columns: Vec<(String, String)> = body["columns"]
        .as_array()
        .unwrap_or(&empty)
        .iter()
        .map(|column| (text_of(&column["name"]), text_of(&column["type"])))
        .collect();
    let rows: Vec<Vec<Cell>> = body["rows"]
        .as_array()
        .unwrap_or(&empty)
        .iter()
        .map(|row| {
            let values = row.as_array().unwrap_or(&empty);
            values.iter().zip(&columns).map(|(value, (_, of))| cell(value, of)).collect()
        })
        .collect();
    let names: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
    let count = if rows.len() == 1 { "1 row".to_owned() } else { format!("{} rows", rows.len()) };
    Ok(format!("{}({count}, cut {})\n", draw(&names, &rows), body["cut"]))
}

fn cell(value: &Value, of: &str) -> Cell {
    let is_time = of.starts_with("TIMESTAMP");
    let text = match value.as_i64().filter(|_| is_time).and_then(DateTime::from_timestamp_millis) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        None => text_of(value),
    };
    let is_number = value.is_number() || of.starts_with("DECIMAL");
    Cell { text: plain(&text), is_number: is_number && !is_time }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Names from outside must not move the cursor of a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        sql: SqlArgs,
    }

    #[test]
    fn a_statement_may_begin_with_a_comment_and_a_misspelt_option_is_none() {
        let read = |args: &[&str]| Command::try_parse_from([&["sql"], args].concat());
        let text = "-- question: which province\nSELECT 1";
        let args = read(&[text, "--format", "csv", "--param", "-5"]).expect("a statement").sql;
        assert_eq!((args.query.as_str(), args.params.as_slice()), (text, &["-5".to_owned()][..]));
        assert_eq!(args.format, OutputFormat::Csv);
        for wrong in [&["--fromat"][..], &["--fromat", "csv"], &["SELECT 1", "--fromat"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
