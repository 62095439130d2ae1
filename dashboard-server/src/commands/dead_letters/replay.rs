//! `tidemark dead-letters replay`: corrected records back to their stream's log.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Deserialize;
use tidemark_pipeline::run::corrected::CorrectedRecords;
use tidemark_pipeline::source::kafka_writer::KafkaWriter;
use tidemark_pipeline::source::progress::Progress;
use tidemark_pipeline::source::resend::Resend;
use tidemark_pipeline::source::writer::LogWriter as _;
use tidemark_pipeline::sql::StreamPlan;

use super::ServerArgs;
use super::list::{post, read};
use crate::clock::Clock;
use crate::commands::{ConfigArgs, DoorArgs, serving};

/// Arguments of `tidemark dead-letters replay`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each line of the file is a rejected record as `export` wrote it, with its field `record` corrected.\n\
    Every record is first judged by the stream's own declaration (fields, types, CHECK, time bounds); if\n\
    one would be rejected again, nothing is sent and all such lines are named. Whether one is a duplicate or\n\
    older than the dedup horizon is known only where it arrives. The records then go to the\n\
    stream's Kafka topic, or through the running server into its embedded log, each to the partition of its\n\
    key, with the header tidemark-origin: TOPIC/PARTITION/OFFSET."
)]
pub struct ReplayArgs {
    /// Exported file with corrected records
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only judges the records by the stream's declaration
    #[arg(long)]
    pub dry_run: bool,
    /// Leaves records out that would be rejected again, in place of sending nothing
    #[arg(long)]
    pub skip_bad: bool,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A line of the file.
#[derive(Debug, Deserialize)]
struct Line {
    stream: String,
    #[serde(flatten)]
    resend: Resend,
    #[serde(default)]
    cut_from_bytes: Option<u64>,
}

/// A record that may go back.
#[derive(Debug)]
struct Fit {
    resend: Resend,
    key: Option<Vec<u8>>,
}

/// Bytes of one request to a server, which takes 2 MiB.
const CHUNK_BYTES: usize = 1_048_576;

/// Judges all records and sends them.
///
/// # Errors
/// When the file cannot be read, a record would be rejected again, or the log cannot be written.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load(&DoorArgs::default())?;
    let catalog = serving::load_catalog(&config)?;
    let lines = lines(&read(&args.file)?)?;
    let streams: Vec<String> = {
        let mut names: Vec<String> = lines.iter().map(|(_, line)| line.stream.clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    for stream in streams {
        let plan = serving::chosen_stream(&catalog, Some(&stream))?;
        let of_stream = lines.iter().filter(|(_, line)| line.stream == stream);
        let (fit, bad) = judged(plan, of_stream)?;
        for (line, reason) in &bad {
            println!("{} line {line}: {reason}", args.file.display());
        }
        if !bad.is_empty() && !args.skip_bad {
            bail!(
                "{} records of stream {stream} would be rejected again; nothing was sent to it",
                bad.len()
            );
        }
        if args.dry_run {
            println!("{} records of stream {stream} are as it declares them", fit.len());
            continue;
        }
        send(plan, &fit, &args)?;
        println!("{} corrected records written to the log of stream {stream}", fit.len());
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(text: &str) -> anyhow::Result<Vec<(usize, Line)>> {
    let all = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    all.map(|(nth, line)| {
        let read = serde_json::from_str(line);
        Ok((nth + 1, read.with_context(|| format!("line {} is no exported record", nth + 1))?))
    })
    .collect()
}

type Judged = (Vec<Fit>, Vec<(usize, String)>);

fn judged<'a>(
    plan: &Arc<StreamPlan>,
    lines: impl Iterator<Item = &'a (usize, Line)>,
) -> anyhow::Result<Judged> {
    let mut judge = CorrectedRecords::new(Arc::clone(plan)).map_err(anyhow::Error::msg)?;
    let now_ms = Clock::system().now_ms();
    let (mut fit, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        let resend = &line.resend;
        if let Some(bytes) = line.cut_from_bytes {
            let place = resend.origin();
            bad.push((*number, format!("only a part of its {bytes} bytes is here; put in the whole record from {place} and take cut_from_bytes out")));
            continue;
        }
        let log_time = resend.log_time.unwrap_or(now_ms).max(now_ms);
        match judge.key(resend.record.as_bytes(), Some(log_time)) {
            Ok(key) => fit.push(Fit { resend: resend.clone(), key }),
            Err(reason) => bad.push((*number, reason)),
        }
    }
    Ok((fit, bad))
}

fn send(plan: &StreamPlan, fit: &[Fit], args: &ReplayArgs) -> anyhow::Result<()> {
    let definition = &plan.definition;
    let progress = Progress::new("records", u64::try_from(fit.len()).ok(), args.config.quiet);
    match definition.connector.as_str() {
        "kafka" => {
            let mut writer = KafkaWriter::open(&definition.options, None)?;
            let now_ms = Clock::system().now_ms();
            for one in fit {
                one.resend.write(one.key.as_deref(), now_ms, &mut writer)?;
                progress.add(1);
            }
            writer.flush()?;
        }
        "embedded" => {
            let path = format!("/api/ledgers/dead_letters/{}/replay", definition.name);
            let mut body = String::new();
            let mut waiting = 0;
            for (nth, one) in fit.iter().enumerate() {
                body.push_str(&serde_json::to_string(&one.resend)?);
                body.push('\n');
                waiting += 1;
                if body.len() >= CHUNK_BYTES || nth + 1 == fit.len() {
                    post(&path, std::mem::take(&mut body), &args.server)?;
                    progress.add(std::mem::take(&mut waiting));
                }
            }
        }
        other => bail!(
            "stream {} has the connector '{other}', which cannot be written to",
            definition.name
        ),
    }
    progress.finish();
    Ok(())
}
