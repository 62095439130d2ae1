//! `tidemark serve`: pipeline and server in one process.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use tidemark_pipeline::results::Mode;
use tidemark_pipeline::source::Source;
use tidemark_pipeline::source::kafka::KafkaSource;
use tidemark_pipeline::source::local_log::{LocalLog, Retention};
use tidemark_pipeline::sql::{Catalog, StreamDefinition, options};

use super::local_ingest::LocalIngest;
use super::serving::{self, Input};
use super::{ConfigArgs, DoorArgs};
use crate::clock::Clock;
use crate::config::Config;
use crate::ingest::IngestSink;

/// Arguments of `tidemark serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark serve --config tidemark.toml\n  \
    tidemark serve --data-dir /var/lib/tidemark --listen 127.0.0.1:9000\n\n\
    Which Kafka and which topic is said in sql/streams/*.sql, or in [streams.NAME] of the config:\n  \
    [streams.orders]\n  \
    topic = \"orders\"\n  \
    \"properties.bootstrap.servers\" = \"kafka:9092\"\n\n\
    Without Kafka, connector = \"embedded\" keeps a log in the data folder that POST /api/ingest/NAME\n\
    and tidemark replay --to local write to.")]
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
    let config = args.config.load(&args.doors)?;
    let catalog = serving::load_catalog(&config)?;
    let input = input(&config, &catalog)?;
    serving::run(config, &catalog, input, |bound, _| serving::print_addresses(bound))
}

fn input(config: &Config, catalog: &Catalog) -> anyhow::Result<Input> {
    let stream = serving::only_stream(catalog)?;
    let Some(plan) = catalog.streams.get(&stream) else { bail!("there is no stream {stream}") };
    let definition = &plan.definition;
    match definition.connector.as_str() {
        "kafka" => {
            let source: Box<dyn Source> = Box::new(KafkaSource::new(&definition.options)?);
            Ok(Input { stream, source, mode: Mode::Live, ingest: None })
        }
        "embedded" => {
            let log = open_log(config, definition)?;
            let (source, ingest) = embedded(log, definition)?;
            Ok(Input { stream, source, mode: Mode::Live, ingest: Some(ingest) })
        }
        other => bail!(
            "stream {stream} has the connector '{other}'; a server reads 'kafka' or 'embedded' \
             (files are for `tidemark run` and `tidemark replay`)"
        ),
    }
}

/// Partitions of an embedded stream that says nothing else.
const PARTITIONS: u32 = 4;

/// Opens the embedded log of a data folder with the stream in it.
///
/// # Errors
/// When another process has it, or the stream has another number of partitions.
pub(super) fn open_log(config: &Config, definition: &StreamDefinition) -> anyhow::Result<LocalLog> {
    let partitions = match definition.options.get("partitions") {
        Some(text) => text.parse().map_err(|_| anyhow::anyhow!("'partitions' = '{text}' is not a number"))?,
        None => PARTITIONS,
    };
    let log = LocalLog::open(&config.pipeline.data_dir.join("log"))?;
    log.create_stream(&definition.name, partitions, retention(definition)?)?;
    Ok(log)
}

fn retention(definition: &StreamDefinition) -> anyhow::Result<Retention> {
    let age = definition.options.get("retention").map(|text| options::duration(text)).transpose();
    let bytes = definition.options.get("retention.bytes").map(|text| text.parse()).transpose();
    Ok(Retention {
        age_ms: age.map_err(anyhow::Error::msg)?.map(options::ms),
        partition_bytes: bytes.map_err(|_| anyhow::anyhow!("'retention.bytes' is not a number of bytes"))?,
    })
}

/// The embedded log as source and as sink of `POST /api/ingest`.
///
/// # Errors
/// When the stream is not in the log.
pub(super) fn embedded(
    log: LocalLog,
    definition: &StreamDefinition,
) -> anyhow::Result<(Box<dyn Source>, Arc<dyn IngestSink>)> {
    let source = Box::new(log.source(&definition.name)?);
    let key = definition.partition_key.and_then(|at| definition.columns.get(at));
    let ingest = LocalIngest {
        log,
        stream: definition.name.clone(),
        partition_key: key.map(|column| column.field.name().clone()),
        clock: Clock::system(),
    };
    Ok((source, Arc::new(ingest)))
}
