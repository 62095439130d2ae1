//! `tidemark serve`: pipeline and server in one process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use tidemark_pipeline::results::Mode;
use tidemark_pipeline::run::live::{self, OpenSource, StreamInput};
use tidemark_pipeline::source::SourceError;
use tidemark_pipeline::source::kafka::KafkaSource;
use tidemark_pipeline::source::local_log::{LocalLog, LocalLogWriter, Retention};
use tidemark_pipeline::sql::{Catalog, StreamDefinition, options};

use super::local_ingest::{Fed, LocalIngest};
use super::prepared::{SourceMistake, prepared};
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
    /// The records are those of another day, played again (`tidemark replay`): the wall, `/lite` and every
    /// answer say REPLAY, and nobody takes the figures for today's.
    #[arg(long)]
    pub replay: bool,
}

/// Serves until it is told to stop.
///
/// # Errors
/// When it cannot start, or stops by itself.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let (config, catalog) = prepared(&args.config, &args.doors, check_source)?;
    let mode = if args.replay { Mode::Replay } else { Mode::Live };
    let input = input(&config, &catalog, mode)?;
    let again = Box::new(move || args.config.load(&args.doors));
    serving::run(config, catalog, input, |bound, _| serving::print_addresses(bound), again)
}

/// What keeps a server from reading a stream, as far as that can be said without asking its brokers.
pub(super) fn check_source(definition: &StreamDefinition) -> Option<SourceMistake> {
    match definition.connector.as_str() {
        "embedded" => None,
        "kafka" => match KafkaSource::new(&definition.options) {
            Ok(_) => None,
            Err(error) => {
                let option = match &error {
                    SourceError::BadOption { option, .. } => Some(option.clone()),
                    _ => None,
                };
                Some(SourceMistake { option, message: error.to_string() })
            }
        },
        other => Some(SourceMistake {
            option: Some("connector".to_owned()),
            message: format!(
                "'connector' = '{other}': a server reads 'kafka' or 'embedded' (files are for \
                 `tidemark run` and `tidemark replay`)"
            ),
        }),
    }
}

fn input(config: &Config, catalog: &Catalog, mode: Mode) -> anyhow::Result<Input> {
    let mut streams = Vec::new();
    let mut embedded = Embedded::default();
    for plan in catalog.logs() {
        let definition = &plan.definition;
        let stream = &definition.name;
        streams.push(match definition.connector.as_str() {
            "kafka" => kafka(definition),
            "embedded" => embedded.add(config, definition)?,
            other => bail!(
                "stream {stream} has the connector '{other}'; a server reads 'kafka' or 'embedded' \
                 (files are for `tidemark run` and `tidemark replay`)"
            ),
        });
    }
    Ok(Input { streams, mode, ingest: embedded.ingest(), start: live::start })
}

/// The topic of a stream.
pub(super) fn kafka(definition: &StreamDefinition) -> StreamInput {
    let options = definition.options.clone();
    let open: OpenSource = Arc::new(move || Ok(Box::new(KafkaSource::new(&options)?)));
    StreamInput { stream: definition.name.clone(), open }
}

/// The streams of a data folder's embedded log, as sources and as sinks of `POST /api/ingest`.
#[derive(Default)]
pub(super) struct Embedded {
    log: Option<LocalLog>,
    streams: BTreeMap<String, Fed>,
}

impl Embedded {
    /// Adds a stream, which is made in the log if it is missing.
    ///
    /// # Errors
    /// When another process has the log, or the stream has another number of partitions.
    pub(super) fn add(
        &mut self,
        config: &Config,
        definition: &StreamDefinition,
    ) -> anyhow::Result<StreamInput> {
        let log = match &self.log {
            Some(log) => log.clone(),
            None => self.log.insert(LocalLog::open(&log_dir(config))?).clone(),
        };
        create_stream(&log, definition)?;
        let key = definition.partition_key.and_then(|at| definition.columns.get(at));
        let key = key.map(|column| column.field.name().clone());
        let fed = Fed { partition_key: key, shadow_header: definition.shadow_header.clone() };
        self.streams.insert(definition.name.clone(), fed);
        let stream = definition.name.clone();
        let open: OpenSource = {
            let stream = stream.clone();
            Arc::new(move || Ok(Box::new(log.source(&stream)?)))
        };
        Ok(StreamInput { stream, open })
    }

    /// A writer to one of the streams.
    ///
    /// # Errors
    /// When the stream has not been added.
    pub(super) fn writer(&self, stream: &str) -> anyhow::Result<LocalLogWriter> {
        match &self.log {
            Some(log) => Ok(log.writer(stream)?),
            None => bail!("stream {stream} is not in the embedded log"),
        }
    }

    /// The door of `POST /api/ingest`; `None` where no stream is embedded.
    pub(super) fn ingest(self) -> Option<Arc<dyn IngestSink>> {
        let ingest = LocalIngest { log: self.log?, streams: self.streams, clock: Clock::system() };
        Some(Arc::new(ingest))
    }
}

/// Partitions of an embedded stream that says nothing else.
const PARTITIONS: u32 = 4;

fn log_dir(config: &Config) -> PathBuf {
    config.pipeline.data_dir.join("log")
}

/// Opens the embedded log of a data folder with the stream in it.
///
/// # Errors
/// When another process has it, or the stream has another number of partitions.
pub(super) fn open_log(config: &Config, definition: &StreamDefinition) -> anyhow::Result<LocalLog> {
    let log = LocalLog::open(&log_dir(config))?;
    create_stream(&log, definition)?;
    Ok(log)
}

fn create_stream(log: &LocalLog, definition: &StreamDefinition) -> anyhow::Result<()> {
    let partitions = match definition.options.get("partitions") {
        Some(text) => {
            text.parse().map_err(|_| anyhow::anyhow!("'partitions' = '{text}' is not a number"))?
        }
        None => PARTITIONS,
    };
    let name = &definition.name;
    if definition.accepts_partitions {
        log.grow_stream(name, partitions)?;
    }
    match log.create_stream(name, partitions, retention(definition)?) {
        Err(SourceError::PartitionCount { wanted, found, .. }) => bail!(
            "stream {name} has {found} partitions in the embedded log and is declared with {wanted}; declare \
             'partitions' = '{found}'{}",
            if wanted > found {
                ", or 'on-partition-added' = 'accept' as well, to have it given the ones it lacks"
            } else {
                ": none can be taken away, for its records would go with it"
            }
        ),
        done => Ok(done?),
    }
}

fn retention(definition: &StreamDefinition) -> anyhow::Result<Retention> {
    let age = definition.options.get("retention").map(|text| options::duration(text)).transpose();
    let bytes = definition.options.get("retention.bytes").map(|text| text.parse()).transpose();
    Ok(Retention {
        age_ms: age.map_err(anyhow::Error::msg)?.map(options::ms),
        partition_bytes: bytes
            .map_err(|_| anyhow::anyhow!("'retention.bytes' is not a number of bytes"))?,
    })
}
