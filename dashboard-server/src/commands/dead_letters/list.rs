//! Listing, exporting and removing entries of a ledger through a running server.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::{DateTime, SecondsFormat};
use clap::{Args, ValueEnum};
use serde_json::Value;
use tidemark_pipeline::ledger::LedgerKind;
use tidemark_pipeline::source::progress::Progress;

use super::ServerArgs;
use crate::commands::client::{Question, ask};
use crate::commands::sql::OutputFormat;
use crate::commands::table::{Cell, draw};

/// Which entries.
#[derive(Debug, Clone, Args)]
pub struct Filter {
    /// Ledger to look into
    #[arg(long, value_enum, default_value_t = Ledger::DeadLetters)]
    pub ledger: Ledger,
    /// Only of this stream
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// Only of this partition
    #[arg(long, value_name = "NUMBER")]
    pub partition: Option<u32>,
    /// Only from this offset on
    #[arg(long, value_name = "OFFSET")]
    pub from_offset: Option<i64>,
    /// Only up to and with this offset
    #[arg(long, value_name = "OFFSET")]
    pub to_offset: Option<i64>,
    /// Only where the reason holds this text, or is of this kind (malformed, missing-field, bad-value,
    /// too-old, future, dedup-horizon, too-large, refused)
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// The ledgers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ledger {
    /// Rejected records
    DeadLetters,
    /// Records that missed a window
    LateOrders,
    /// Life-cycle events that do not count
    Unmatched,
}

impl Ledger {
    fn table(self) -> &'static str {
        match self {
            Self::DeadLetters => LedgerKind::DeadLetter.table(),
            Self::LateOrders => LedgerKind::Late.table(),
            Self::Unmatched => LedgerKind::Unmatched.table(),
        }
    }
}

/// Arguments of `tidemark dead-letters list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which.
    #[command(flatten)]
    pub filter: Filter,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    pub limit: usize,
    /// How they are printed; json is one object a line
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
    /// Server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Arguments of `tidemark dead-letters export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// File to write; it must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which.
    #[command(flatten)]
    pub filter: Filter,
    /// Server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Arguments of `tidemark dead-letters remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Exported file whose records are dealt with
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Ledger they are in
    #[arg(long, value_enum, default_value_t = Ledger::DeadLetters)]
    pub ledger: Ledger,
    /// Draws no progress bar
    #[arg(long)]
    pub quiet: bool,
    /// Server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Lines of one request.
const CHUNK_LINES: usize = 1_000;

/// Prints entries.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let text = entries(&args.filter, Some(args.limit), &args.server)?;
    let printed = match args.format {
        OutputFormat::Json => text,
        OutputFormat::Table => table(&parsed(&text)?),
        OutputFormat::Csv => csv(&parsed(&text)?),
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(printed.as_bytes()).and_then(|()| out.flush()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => written.map(|()| ExitCode::SUCCESS).context("cannot write to stdout"),
    }
}

/// Writes entries to a new file.
///
/// # Errors
/// When the server cannot be reached or the file exists or cannot be written.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let shown = args.file.display();
    // A file with corrections is never written over.
    let file = File::create_new(&args.file).with_context(|| format!("cannot make {shown}"))?;
    let text = entries(&args.filter, None, &args.server)?;
    let mut out = BufWriter::new(file);
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.with_context(|| format!("cannot write {shown}"))?;
    let all = parsed(&text)?;
    println!("{} records written to {shown}; correct the field `record` of each line", all.len());
    let cut = all.iter().filter(|entry| !entry["cut_from_bytes"].is_null()).count();
    if cut > 0 {
        println!(
            "{cut} of them are longer than a ledger keeps: take those from the log, by topic, partition and offset"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes the records of a file out of the ledger.
///
/// # Errors
/// When the server cannot be reached or the file is none that was exported.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn remove(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let text = read(&args.file)?;
    let all = parsed(&text)?;
    let progress = Progress::new("records", u64::try_from(all.len()).ok(), args.quiet);
    let mut removed = 0;
    for chunk in all.chunks(CHUNK_LINES) {
        let body: String = chunk.iter().map(|entry| format!("{entry}\n")).collect();
        let answer =
            post(&format!("/api/ledgers/{}/remove", args.ledger.table()), body, &args.server)?;
        removed += answer["removed"].as_u64().unwrap_or(0);
        progress.add(u64::try_from(chunk.len()).unwrap_or(0));
    }
    progress.finish();
    println!("{removed} of {} records removed from {}", all.len(), args.ledger.table());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn read(file: &std::path::Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn parsed(text: &str) -> anyhow::Result<Vec<Value>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(nth, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("line {} is no JSON object", nth + 1))
        })
        .collect()
}

/// Sends a body and waits for the answer.
pub(super) fn post(path: &str, body: String, server: &ServerArgs) -> anyhow::Result<Value> {
    let question = Question::post(&server.server, server.token.as_deref(), path, body);
    Ok(serde_json::from_slice(&asked(&question)?)?)
}

fn asked(question: &Question<'_>) -> anyhow::Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(ask(question))?;
    if answer.status != 200 {
        bail!("{}", answer.refusal());
    }
    Ok(answer.body)
}

fn entries(filter: &Filter, limit: Option<usize>, server: &ServerArgs) -> anyhow::Result<String> {
    let mut query = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        query.extend(value.map(|value| format!("{name}={}", encoded(&value))));
    };
    add("stream", filter.stream.clone());
    add("partition", filter.partition.map(|number| number.to_string()));
    add("from", filter.from_offset.map(|number| number.to_string()));
    add("to", filter.to_offset.map(|number| number.to_string()));
    add("reason", filter.reason.clone());
    add("limit", limit.map(|number| number.to_string()));
    let path = format!("/api/ledgers/{}?{}", filter.ledger.table(), query.join("&"));
    let body = asked(&Question::get(&server.server, server.token.as_deref(), &path))?;
    String::from_utf8(body).context("the answer is not text")
}

/// A value as it may stand in a query.
fn encoded(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    value.bytes().map(one).collect()
}

/// Columns of a list, in this order, where any entry has them.
const COLUMNS: [&str; 14] = [
    "stream",
    "topic",
    "partition",
    "offset",
    "view",
    "log_time",
    "event_time",
    "window_end",
    "windows_missed",
    "order_key",
    "kind",
    "reason",
    "cut_from_bytes",
    "record",
];

fn columns(all: &[Value]) -> Vec<&'static str> {
    COLUMNS.into_iter().filter(|name| all.iter().any(|entry| !entry[*name].is_null())).collect()
}

fn shown(entry: &Value, column: &str) -> String {
    let is_time = ["log_time", "event_time", "window_end"].contains(&column);
    let value = &entry[column];
    match value.as_i64().filter(|_| is_time).and_then(DateTime::from_timestamp_millis) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        None => value.as_str().map_or_else(
            || if value.is_null() { String::new() } else { value.to_string() },
            str::to_owned,
        ),
    }
}

fn table(all: &[Value]) -> String {
    let columns = columns(all);
    let cell = |entry: &Value, column: &str| Cell {
        // Records come from outside: they must not move the cursor, and a long one not break the table.
        text: shown(entry, column)
            .chars()
            .take(CELL_CHARS)
            .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
            .collect(),
        is_number: entry[column].is_number()
            && !column.ends_with("time")
            && !column.ends_with("end"),
    };
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .map(|entry| columns.iter().map(|column| cell(entry, column)).collect())
        .collect();
    let names: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let count =
        if rows.len() == 1 { "1 record".to_owned() } else { format!("{} records", rows.len()) };
    format!("{}({count})\n", draw(&names, &rows))
}

/// Characters of one value in a table.
const CELL_CHARS: usize = 120;

fn csv(all: &[Value]) -> String {
    let columns = columns(all);
    let mut out = columns.join(",") + "\n";
    for entry in all {
        let fields: Vec<String> =
            columns.iter().map(|column| quoted(&shown(entry, column))).collect();
        out.push_str(&fields.join(","));
        out.push('\n');
    }
    out
}

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_shows_the_columns_there_are_and_no_control_characters() {
        let all =
            [json!({"stream": "orders", "offset": 7, "reason": "bad\u{1b}[2J", "log_time": 0})];
        let text = table(&all);
        assert!(text.contains("1970-01-01T00:00:00Z") && text.contains("(1 record)"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("view"), "{text}");
        assert_eq!(csv(&all).lines().next(), Some("stream,offset,log_time,reason"));
    }

    #[test]
    fn a_filter_may_hold_any_text() {
        assert_eq!(encoded("金额 & co"), "%E9%87%91%E9%A2%9D%20%26%20co");
    }
}
