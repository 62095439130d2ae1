//! `tidemark close-day`: an operator says that a day is over, in the log, so that silent partitions
//! hold its figures back no longer.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveDate, SecondsFormat};
use clap::Args;
use serde_json::Value;
use tidemark_pipeline::model::record::WATERMARK_HEADER;
use tidemark_pipeline::model::{EventTime, Space};
use tidemark_pipeline::source::kafka_writer::KafkaWriter;
use tidemark_pipeline::source::writer::LogWriter as _;
use tidemark_pipeline::sql::catalog::{ViewDefinition, ViewQuery};
use tidemark_pipeline::sql::{Catalog, StreamDefinition};

use super::client::{Question, ask};
use super::{ConfigArgs, DoorArgs, serving};
use crate::clock::Clock;
use crate::headlines::words::{local_time, zone_name};

/// Arguments of `tidemark close-day`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark close-day --date 2020-11-11\n  \
    tidemark close-day --until 2020-11-12T00:00:00+08:00 --stream orders --yes\n  \
    tidemark close-day --date 2020-11-11 --server http://127.0.0.1:8080    through a running server\n\n\
    Writes a control record to every partition of the stream's log: to its Kafka topic, or, for an\n\
    embedded log, through the running server. Windows that end by then become final once the records\n\
    before it are read. It is in the log, so a restart and a recomputation close the same windows.\n\
    It cannot be taken back: what comes later for a closed window is a late order.")]
pub struct CloseDayArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The day to close, in the stream's time zone
    #[arg(
        long,
        value_name = "YYYY-MM-DD",
        required_unless_present = "until",
        conflicts_with = "until"
    )]
    pub date: Option<NaiveDate>,
    /// Closes everything before this time (RFC 3339), in place of --date
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Stream whose day is closed, where the SQL folder declares several
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// Closes a day that is not over by this machine's clock
    #[arg(long)]
    pub ahead: bool,
    /// Does not ask
    #[arg(long)]
    pub yes: bool,
    /// Running server that keeps the embedded log [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "TIDEMARK_SERVER")]
    pub server: Option<String>,
    /// Token, where the server asks for one; better in the environment than on a command line
    #[arg(long, value_name = "TOKEN", env = "TIDEMARK_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// Server that is asked when none is named.
const SERVER: &str = "http://127.0.0.1:8080";

/// Where the control records go.
enum Log<'a> {
    Kafka(&'a StreamDefinition),
    Server(&'a str),
}

/// Says what it will close, asks, and writes the control records.
///
/// # Errors
/// When the day or stream is not what it should be, nobody agrees, or the log cannot be written.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn run(args: CloseDayArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load(&DoorArgs::default())?;
    let catalog = serving::load_catalog(&config)?;
    let stream = serving::chosen_stream(&catalog, args.stream.as_deref())?;
    let definition = &stream.definition;
    let end = end_ms(&args, definition)?;
    let now = Clock::system().now_ms();
    if end > now && !args.ahead {
        bail!(
            "{} is still to come: every order before it that comes after the control record would be late; \
             wait until then, or say --ahead",
            told(end, definition)
        );
    }
    let log = log(&args, definition)?;
    if !args.yes && !agreed(&question(&catalog, definition, &log, end))? {
        bail!("nothing was closed");
    }
    // A window is closed by the last millisecond before its end.
    let watermark = EventTime(end - 1);
    match log {
        Log::Kafka(definition) => into_kafka(definition, watermark, now)?,
        Log::Server(server) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(through_server(
                server,
                args.token.as_deref(),
                &definition.name,
                watermark,
            ))?;
        }
    }
    if let Some(open) = still_open(&catalog, definition, end) {
        println!("{open}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The end of what is closed, epoch milliseconds.
fn end_ms(args: &CloseDayArgs, definition: &StreamDefinition) -> anyhow::Result<i64> {
    match (args.date, &args.until) {
        (Some(date), _) => {
            let next = date
                .succ_opt()
                .with_context(|| format!("--date {date}: there is no day after it"))?;
            let midnight = next.and_hms_opt(0, 0, 0).unwrap_or_default();
            Ok(definition.zone.boundary_ms(midnight.and_utc().timestamp_millis()))
        }
        (None, Some(text)) => {
            let time = DateTime::parse_from_rfc3339(text).with_context(|| {
                format!("--until {text}: write a time as 2020-11-12T00:00:00+08:00")
            })?;
            Ok(time.timestamp_millis())
        }
        (None, None) => {
            bail!("say which day with --date YYYY-MM-DD, or until when with --until TIME")
        }
    }
}

fn log<'a>(args: &'a CloseDayArgs, definition: &'a StreamDefinition) -> anyhow::Result<Log<'a>> {
    if let Some(server) = &args.server {
        return Ok(Log::Server(server));
    }
    match definition.connector.as_str() {
        "kafka" => Ok(Log::Kafka(definition)),
        "embedded" => Ok(Log::Server(SERVER)),
        other => bail!(
            "stream {} has the connector '{other}', which is no log: its windows close at the end of the input",
            definition.name
        ),
    }
}

fn told(end: i64, definition: &StreamDefinition) -> String {
    format!("{} {}", local_time(end, &definition.zone), zone_name(end, &definition.zone))
}

fn question(catalog: &Catalog, definition: &StreamDefinition, log: &Log<'_>, end: i64) -> String {
    let (mut views, mut joined) = (Vec::new(), Vec::new());
    for view in &catalog.views {
        let mut others = streams(view);
        let before = others.len();
        others.retain(|stream| *stream != definition.name);
        match others.first() {
            _ if others.len() == before => {}
            None => views.push(view.name.as_str()),
            Some(other) => {
                views.push(view.name.as_str());
                joined.push(format!("{} (stream {other})", view.name));
            }
        }
    }
    let to = match log {
        Log::Kafka(definition) => {
            let topic = definition.options.get("topic").unwrap_or(&definition.name);
            format!("topic {topic}")
        }
        Log::Server(server) => format!("the embedded log behind {server}"),
    };
    let mut text = format!(
        "This closes every window of stream {} that ends by {}: one control record on every partition of {to}.\n\
         It makes figures of these views final: {}.\n",
        definition.name,
        told(end, definition),
        if views.is_empty() { "none".to_owned() } else { views.join(", ") },
    );
    if !joined.is_empty() {
        let _infallible = writeln!(
            text,
            "These join another stream, which has to be closed as well: {}.",
            joined.join(", ")
        );
    }
    if let Some(open) = still_open(catalog, definition, end) {
        let _infallible = writeln!(text, "{open}");
    }
    text.push_str("It cannot be taken back. Type yes to go on: ");
    text
}

fn streams(view: &ViewDefinition) -> Vec<String> {
    match &view.query {
        ViewQuery::Stream(plan) => plan.streams().map(str::to_owned).collect(),
        ViewQuery::Results(_) => Vec::new(),
    }
}

/// The views over a stream whose last windows are provisional for longer, and how they are closed too; `None` without one.
fn still_open(catalog: &Catalog, definition: &StreamDefinition, end: i64) -> Option<String> {
    let open = |view: &&ViewDefinition| {
        view.allowed_lateness > 0 && streams(view).contains(&definition.name)
    };
    let open: Vec<&ViewDefinition> = catalog.views.iter().filter(open).collect();
    let longest = open.iter().map(|view| view.allowed_lateness).max()?;
    let until = DateTime::from_timestamp_millis(end.checked_add(longest)?)?;
    let names: Vec<String> =
        open.iter().map(|view| format!("{} ({} ms)", view.name, view.allowed_lateness)).collect();
    Some(format!(
        "These stay provisional for as long as they allow lateness: {}. To close them too: --until {}",
        names.join(", "),
        until.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    ))
}

#[expect(
    clippy::print_stderr,
    reason = "the question is for the person at the terminal, not part of the output"
)]
fn agreed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("there is nobody to ask; say --yes to close it without a question");
    }
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn into_kafka(definition: &StreamDefinition, watermark: EventTime, now: i64) -> anyhow::Result<()> {
    let mut writer = KafkaWriter::open(&definition.options, None)?;
    writer.close(Space::Live, watermark, now)?;
    println!(
        "closed until {watermark}: {} control records in topic {}",
        writer.partitions(),
        writer.origin()
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
async fn through_server(
    server: &str,
    token: Option<&str>,
    stream: &str,
    watermark: EventTime,
) -> anyhow::Result<()> {
    let header = (WATERMARK_HEADER, watermark.0.to_string());
    let path = format!("/api/ingest/{stream}");
    let question = Question {
        headers: vec![header, ("Content-Type", "application/x-ndjson".to_owned())],
        ..Question::post(server, token, &path, String::new())
    };
    let answer = ask(&question).await?;
    if answer.status != 200 {
        bail!("{}", answer.refusal());
    }
    let records: Value = serde_json::from_slice(&answer.body).context("the answer is not JSON")?;
    let records = records.as_array().context("the answer is no list")?;
    for record in records {
        if let Some(error) = record["error"].as_str() {
            bail!("a control record was not stored: {error}");
        }
        println!("partition {} offset {}", record["partition"], record["offset"]);
    }
    println!("closed until {watermark}: {} control records in stream {stream}", records.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn catalog() -> Catalog {
        let folder = tempfile::tempdir().expect("folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(
            "streams/orders.sql",
            "CREATE TABLE orders (amount BIGINT, at TIMESTAMP(3) NOT NULL, WATERMARK FOR at AS at) \
             WITH ('connector' = 'kafka', 'topic' = 'shop-orders', 'time-zone' = 'Asia/Shanghai');",
        );
        write(
            "views/day.sql",
            "CREATE MATERIALIZED VIEW day WITH ('allowed-lateness' = '1 min') AS SELECT window_start, SUM(amount) AS n \
             FROM TUMBLE(orders, at, INTERVAL '1' DAY) GROUP BY window_start, window_end;",
        );
        write(
            "streams/parcels.sql",
            "CREATE TABLE parcels (at TIMESTAMP(3) NOT NULL, WATERMARK FOR at AS at) \
             WITH ('connector' = 'embedded', 'time-zone' = 'Asia/Shanghai');",
        );
        let side = |stream: &str| {
            format!(
                "(SELECT window_start, window_end, COUNT(*) AS n FROM TUMBLE({stream}, at, INTERVAL '1' DAY) \
                 GROUP BY window_start, window_end)"
            )
        };
        let both = format!(
            "CREATE MATERIALIZED VIEW both AS SELECT a.window_start, a.n, b.n AS parcels FROM {} AS a JOIN {} AS b \
             ON a.window_start = b.window_start AND a.window_end = b.window_end;",
            side("orders"),
            side("parcels")
        );
        write("views/both.sql", &both);
        tidemark_pipeline::run::reference::catalog(
            folder.path(),
            &BTreeMap::new(),
            Default::default(),
        )
        .map_err(serving::together)
        .expect("plans")
    }

    fn args(date: Option<&str>, until: Option<&str>) -> CloseDayArgs {
        CloseDayArgs {
            config: ConfigArgs::default(),
            date: date.map(|text| text.parse().expect("a date")),
            until: until.map(str::to_owned),
            stream: None,
            ahead: false,
            yes: false,
            server: None,
            token: None,
        }
    }

    #[test]
    fn a_day_ends_at_midnight_in_the_zone_of_its_stream() {
        let catalog = catalog();
        let definition = &catalog.streams["orders"].definition;
        let end = end_ms(&args(Some("2020-11-11"), None), definition).expect("a day");
        assert_eq!(end, 1_605_110_400_000, "2020-11-11T16:00:00Z");
        let same =
            end_ms(&args(None, Some("2020-11-12T00:00:00+08:00")), definition).expect("a time");
        assert_eq!(end, same);
        assert!(end_ms(&args(None, Some("midnight")), definition).is_err());
    }

    #[test]
    fn the_question_names_the_time_the_log_the_views_and_what_stays_open() {
        let catalog = catalog();
        let definition = &catalog.streams["orders"].definition;
        let asked = question(&catalog, definition, &Log::Kafka(definition), 1_605_110_400_000);
        for word in [
            "stream orders",
            "2020-11-12 00:00:00",
            "topic shop-orders",
            "final: both, day",
            "both (stream parcels)",
            "day (60000 ms)",
        ] {
            assert!(asked.contains(word), "{word} not in: {asked}");
        }
    }
}
