//! `tidemark replay`: recorded orders into Kafka or the embedded log.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context as _;
use chrono::DateTime;
use clap::Args;
use tidemark_pipeline::model::EventTime;
use tidemark_pipeline::run::replay::{MappedRecords, Told};
use tidemark_pipeline::source::pace::SystemClock;
use tidemark_pipeline::source::player::Stage;
use tidemark_pipeline::source::progress::Progress;
use tidemark_pipeline::source::replay::{Close, ReplayOptions, replay};

use super::destination::{self, DestinationArgs};
use super::{ConfigArgs, DoorArgs, serving};

/// Arguments of `tidemark replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark replay sql/examples/online_retail/replay.sql --sql-dir sql/examples/online_retail \\\n      \
    --bootstrap 127.0.0.1:9092 --topic retail --partitions 4\n  \
    tidemark replay day.sql --to local --data-dir data --speed 60    an hour each minute\n\n\
    The script declares the recorded file (CREATE TABLE … WITH ('connector' = 'filesystem', …)) and\n\
    maps it: INSERT INTO stream SELECT …, one column for each of the stream's, in order. The column\n\
    __offset holds the line. At the end the day of the newest record is closed: a control record on\n    \
    every partition. A recorded row that cannot be read is named, and all others are written.\n\n\
    `tidemark serve --replay` shows them under REPLAY, so that nobody takes them for today's.")]
pub struct ReplayArgs {
    /// The script that maps the recorded file to the stream
    #[arg(value_name = "SCRIPT")]
    pub script: PathBuf,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where to.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// Stream that is written, where the SQL folder declares several
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// Recorded seconds per second of the wall clock; as fast as it goes if not given
    #[arg(long, value_name = "FACTOR")]
    pub speed: Option<f64>,
    /// Moves the watermark here at the end (RFC 3339), in place of the end of the newest record's day
    #[arg(long, value_name = "TIME")]
    pub close_at: Option<String>,
    /// Leaves the last day open
    #[arg(long, conflicts_with = "close_at")]
    pub no_close: bool,
}

/// Plays the recording to its end.
///
/// # Errors
/// When the script has a mistake, a row is not of the stream's columns, or the log cannot be written.
pub fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&args.script)
        .with_context(|| format!("cannot read the script {}", args.script.display()))?;
    let close_at = close_at(&args)?;
    let speed = destination::speed(args.speed)?;
    let config = args.config.load(&DoorArgs::default())?;
    let catalog = serving::load_catalog(&config)?;
    let plan = serving::chosen_stream(&catalog, args.stream.as_deref())?;
    let mut writer = destination::open(&args.destination, &config, &plan.definition)?;
    let close = match (args.no_close, close_at) {
        (true, _) => Close::Nothing,
        (false, Some(time)) => Close::At(time),
        (false, None) => Close::Day(plan.definition.zone),
    };
    let progress = Arc::new(Progress::by_share("orders", args.config.quiet));
    let stop = AtomicBool::new(false);
    let stage = Stage {
        writer: writer.as_mut(),
        clock: &SystemClock::start(),
        progress: &progress,
        stop: &stop,
    };
    let dead_letters = Arc::new(AtomicU64::new(0));
    let (bar, dead) = (Arc::clone(&progress), Arc::clone(&dead_letters));
    let records =
        MappedRecords::start(args.script, text, Arc::clone(plan), move |event| match event {
            Told::DeadLetter(what) => {
                dead.fetch_add(1, Ordering::Relaxed);
                bar.say(&format!("dead letter: {what}"));
            }
            Told::Read(read, all) => bar.show_share((read, all)),
        });
    let summary = replay(records, &ReplayOptions { speed, close }, stage)?;
    progress.finish();
    told(summary.records, writer.origin());
    let dead_letters = dead_letters.load(Ordering::Relaxed);
    if dead_letters > 0 {
        eprintln!(
            "dead letters: {dead_letters}; these recorded rows were not written, all others were"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn close_at(args: &ReplayArgs) -> anyhow::Result<Option<EventTime>> {
    let Some(text) = &args.close_at else { return Ok(None) };
    let time = DateTime::parse_from_rfc3339(text)
        .with_context(|| format!("--close-at {text}: write a time as 2020-11-12T00:00:00+08:00"))?;
    Ok(Some(EventTime(time.timestamp_millis())))
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn told(records: u64, origin: &str) {
    println!("{records} records written to {origin}");
}
