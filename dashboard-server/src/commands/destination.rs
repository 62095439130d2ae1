//! Where `load` and `replay` write to: Kafka or the embedded log.

use anyhow::bail;
use clap::{Args, ValueEnum};
use tidemark_pipeline::source::kafka_writer::KafkaWriter;
use tidemark_pipeline::source::pace::Speed;
use tidemark_pipeline::source::writer::LogWriter;
use tidemark_pipeline::sql::StreamDefinition;

use super::serve::open_log;
use crate::config::Config;

/// Kinds of destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Destination {
    /// A Kafka topic; it is made, kept for ever, when it is missing
    Kafka,
    /// The embedded log in the data folder
    Local,
    /// A Parquet file (load only)
    Parquet,
}

/// Where to write.
#[derive(Debug, Args)]
pub struct DestinationArgs {
    /// What to write to
    #[arg(long, value_enum, default_value_t = Destination::Kafka)]
    pub to: Destination,
    /// Kafka brokers, with commas between [default: those of the stream]
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap: Option<String>,
    /// Topic [default: that of the stream]
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Partitions of a topic or log that is made
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub partitions: Option<u32>,
}

/// Partitions of a topic that is made when nothing else is said.
const PARTITIONS: u32 = 4;

/// Opens the destination of a stream's records.
///
/// # Errors
/// When the brokers cannot be reached, the topic has another number of partitions, or another
/// process has the embedded log.
pub(super) fn open(
    args: &DestinationArgs,
    config: &Config,
    definition: &StreamDefinition,
) -> anyhow::Result<Box<dyn LogWriter>> {
    match args.to {
        Destination::Kafka => {
            let mut options = definition.options.clone();
            if let Some(brokers) = &args.bootstrap {
                options.insert("properties.bootstrap.servers".to_owned(), brokers.clone());
            }
            if let Some(topic) = &args.topic {
                options.insert("topic".to_owned(), topic.clone());
            }
            match KafkaWriter::open(&options, args.partitions) {
                Err(tidemark_pipeline::source::SourceError::MissingTopic { .. }) => {
                    Ok(Box::new(KafkaWriter::open(&options, Some(PARTITIONS))?))
                }
                opened => Ok(Box::new(opened?)),
            }
        }
        Destination::Local => {
            let mut definition = definition.clone();
            if let Some(partitions) = args.partitions {
                definition.options.insert("partitions".to_owned(), partitions.to_string());
            }
            let log = open_log(config, &definition)?;
            Ok(Box::new(log.writer(&definition.name)?))
        }
        Destination::Parquet => bail!("only `tidemark load` writes Parquet"),
    }
}

/// The pace `--speed` asks for.
///
/// # Errors
/// When it is not above 0.
pub(super) fn speed(factor: Option<f64>) -> anyhow::Result<Speed> {
    match factor {
        None => Ok(Speed::Unpaced),
        Some(times) if times > 0.0 => Ok(Speed::Times(times)),
        Some(other) => bail!("--speed {other}: must be above 0"),
    }
}
