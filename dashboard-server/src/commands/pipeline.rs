//! `tidemark pipeline`: a worker that folds the partitions its consumer group gives it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tidemark_pipeline::fail_points;
use tidemark_pipeline::run::live::StreamInput;
use tidemark_pipeline::run::workers::{self, Member, Worker, WorkersError};
use tidemark_pipeline::source::kafka_group::{GroupOptions, Listener, Membership};
use tidemark_pipeline::source::kafka_options::KafkaOptions;
use tidemark_pipeline::sql::{Catalog, StreamDefinition};

use super::prepared::{SourceMistake, prepared};
use super::{ConfigArgs, DoorArgs, serve, serving};
use crate::config::Config;
use crate::telemetry::install_metrics;

/// How often is looked whether the worker has ended by itself.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `tidemark pipeline`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark pipeline --config tidemark.toml --data-dir /var/lib/tidemark/worker-1\n\n\
    Any number of workers share the partitions of the Kafka topics: Kafka assigns them (consumer group\n\
    pipeline.worker-group). All of them, and the `tidemark server` that merges what they fold, have the\n\
    same SQL folder and the same pipeline.checkpoint-store, which every one of them can reach; each has\n\
    a data folder of its own.")]
pub struct PipelineArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Works until it is told to stop.
///
/// # Errors
/// When it cannot start, or must not go on.
pub fn run(args: PipelineArgs) -> anyhow::Result<ExitCode> {
    fail_points::arm().map_err(anyhow::Error::msg)?;
    let (config, catalog) = prepared(&args.config, &DoorArgs::default(), check_source)?;
    let _metrics = install_metrics();
    let inputs: Vec<StreamInput> =
        catalog.logs().map(|plan| serve::kafka(&plan.definition)).collect();
    let worker = start(&config, catalog, &inputs)?;
    say_started(&config);
    let problem = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the thread that waits for signals")?
        .block_on(ended(&worker));
    worker.stop();
    match problem {
        None => Ok(ExitCode::SUCCESS),
        Some(problem) => bail!("the worker has stopped: {problem}"),
    }
}

fn start(config: &Config, catalog: Catalog, inputs: &[StreamInput]) -> anyhow::Result<Worker> {
    let options: Vec<(String, KafkaOptions)> = catalog
        .logs()
        .map(|plan| {
            let definition = &plan.definition;
            Ok((definition.name.clone(), KafkaOptions::from_options(&definition.options)?))
        })
        .collect::<anyhow::Result<_>>()?;
    let workers = config.pipeline.workers.clone();
    let mut join = |stream: &str, listener: Listener| -> Result<Member, WorkersError> {
        // A group of its own for each stream: one may be on other brokers than another.
        let group = format!("{}-{stream}", workers.group);
        let refused = |detail: String| WorkersError::Group { group: group.clone(), detail };
        let known = options.iter().find(|(name, _)| name == stream);
        let (_, topic) = known.ok_or_else(|| refused(format!("there is no stream {stream}")))?;
        let how = GroupOptions { group: group.clone(), session_timeout: workers.session_timeout };
        let member = Membership::join(stream, topic, &how, listener);
        Ok(Box::new(member.map_err(|error| refused(error.to_string()))?))
    };
    Ok(workers::start(catalog, &config.pipeline, inputs, &mut join)?)
}

/// Waits for a signal, or for the worker to end by itself; why it has.
async fn ended(worker: &Worker) -> Option<String> {
    let by_itself = async {
        loop {
            if let Some(problem) = worker.problem() {
                return problem;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = serving::told_to_stop() => None,
        problem = by_itself => Some(problem),
    }
}

#[expect(clippy::print_stdout, reason = "that it works is the command's output")]
fn say_started(config: &Config) {
    let place = &config.pipeline.checkpoint_store;
    println!("working in group {} for {place}", config.pipeline.workers.group);
}

/// What keeps workers from sharing a stream.
pub(super) fn check_source(definition: &StreamDefinition) -> Option<SourceMistake> {
    match definition.connector.as_str() {
        "kafka" => serve::check_source(definition),
        other => Some(SourceMistake {
            option: Some("connector".to_owned()),
            message: format!(
                "'connector' = '{other}': workers share the partitions of a Kafka topic; a stream of another kind is read \
                 by `tidemark serve`"
            ),
        }),
    }
}
