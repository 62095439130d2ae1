//! The pipeline's part of the configuration: as written, then checked and typed, with units.
//!
//! What the business is stands in `sql/`; this is only how hard the machine works at it. No I/O here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::results::view_history::Room;
use crate::sinks::result_topics::ResultTopicsConfig;
use crate::sql::StateBounds;
use crate::state::objects::{self, S3Options};

/// `[pipeline]` of the config file, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawPipelineConfig {
    /// Threads that fold records; each owns whole partitions. 0 takes one a core, at most 4.
    pub fold_threads: usize,
    /// Records read from one partition before the next has its turn.
    pub batch_records_max: usize,
    /// Milliseconds between publishes of views that do not say otherwise.
    pub publish_every_ms: u64,
    /// Milliseconds between checkpoints; 0 takes 1,000 on a local disk and 30,000 on an object store.
    pub checkpoint_every_ms: u64,
    /// Checkpoints kept, the newest first.
    pub checkpoints_kept: usize,
    /// Where checkpoints go: a folder, `file:///folder` or `s3://bucket/prefix`; empty for the data folder.
    pub checkpoint_store: String,
    /// Address of an S3 store that is not Amazon's; empty takes `AWS_ENDPOINT_URL`.
    pub checkpoint_s3_endpoint: String,
    /// Region of the S3 store; empty takes `AWS_REGION`.
    pub checkpoint_s3_region: String,
    /// Bytes that may wait for a checkpoint; past it partitions wait.
    pub checkpoint_waiting_bytes_max: u64,
    /// Name of the consumer group of workers, with the stream's name behind it.
    pub worker_group: String,
    /// Milliseconds a worker may be silent before its partitions are another's.
    pub worker_session_timeout_ms: u64,
    /// Milliseconds of silence after which a partition no longer holds back `settled`.
    pub idle_after_ms: u64,
    /// Milliseconds between looks at whether a log has more partitions.
    pub partitions_every_ms: u64,
    /// Bytes of each ledger on disk (late orders, dead letters, unmatched); past it partitions wait.
    pub ledger_bytes_max: u64,
    /// Rows of a view that wait as deletions for viewers that are behind; past it they get a snapshot.
    pub tombstones_max: usize,
    /// Bytes of state one view may keep by its estimate; a view that would keep more is refused.
    pub state_bytes_max: u64,
    /// Groups of a window assumed of views that do not say.
    pub state_groups_assumed: u64,
    /// Values a window keeps assumed of views that do not say.
    pub state_values_assumed: u64,
    /// Partitions of a stream assumed in estimates.
    pub state_partitions_assumed: u64,
    /// Bytes of memory for dedup keys, all partitions together; the rest of the keys is on disk.
    pub dedup_memory_bytes_max: usize,
    /// `on`, or `off`: then no stream keeps a history, whatever its declaration says.
    pub history: String,
    /// Where histories of streams go, as `checkpoint_store`; empty for the data folder.
    pub history_store: String,
    /// Milliseconds between two commits of a history.
    pub history_commit_every_ms: u64,
    /// Records of a stream after which its history commits before the time.
    pub history_commit_records_max: usize,
    /// Commits of a history after which its small files are put together; 0 for never.
    pub history_compact_every: u64,
    /// Hours for which an earlier version of a history stays readable.
    pub history_keep_hours: u64,
    /// Bytes of accepted records that may wait for their history; past it partitions wait.
    pub history_waiting_bytes_max: u64,
    /// File with the key of the hashes in histories; empty for one in the data folder, which is made.
    pub history_key_file: String,
    /// Hours for which what views showed is kept; 0 keeps none of it.
    pub view_history_hours: u64,
    /// Bytes of it, before compression; past it the oldest goes.
    pub view_history_bytes_max: u64,
    /// Milliseconds between two looks at what views show; what stood there between them is not kept.
    pub view_history_every_ms: u64,
    /// `[result-topics]`, a section of its own, every value as text.
    #[serde(skip)]
    pub result_topics: BTreeMap<String, String>,
}

/// Bytes of each ledger where nothing else is configured, and of a job.
pub const LEDGER_BYTES_MAX: u64 = 1 << 30;

/// Memory for dedup keys where nothing else is configured, and of a job: 4.2 million keys.
pub const DEDUP_MEMORY_BYTES_MAX: usize = 512 << 20;

impl Default for RawPipelineConfig {
    fn default() -> Self {
        Self {
            fold_threads: 0,
            batch_records_max: 8_192,
            publish_every_ms: 100,
            checkpoint_every_ms: 0,
            checkpoints_kept: 3,
            checkpoint_store: String::new(),
            checkpoint_s3_endpoint: String::new(),
            checkpoint_s3_region: String::new(),
            checkpoint_waiting_bytes_max: 268_435_456,
            worker_group: "tidemark-workers".to_owned(),
            worker_session_timeout_ms: 10_000,
            idle_after_ms: 5_000,
            partitions_every_ms: 10_000,
            ledger_bytes_max: LEDGER_BYTES_MAX,
            tombstones_max: 10_000,
            state_bytes_max: StateBounds::default().bytes_max,
            state_groups_assumed: StateBounds::default().groups,
            state_values_assumed: StateBounds::default().values,
            state_partitions_assumed: StateBounds::default().partitions,
            dedup_memory_bytes_max: DEDUP_MEMORY_BYTES_MAX,
            history: "on".to_owned(),
            history_store: String::new(),
            history_commit_every_ms: 10_000,
            history_commit_records_max: 500_000,
            history_compact_every: 30,
            history_keep_hours: 168,
            history_waiting_bytes_max: 1_073_741_824,
            history_key_file: String::new(),
            view_history_hours: 168,
            view_history_bytes_max: 1_073_741_824,
            view_history_every_ms: 1_000,
            result_topics: BTreeMap::new(),
        }
    }
}

/// How histories are written.
#[derive(Debug, Clone)]
pub struct HistoryConfig {
    /// Whether the streams that declare one keep a history.
    pub is_on: bool,
    /// See [`RawPipelineConfig::history_store`]; never empty.
    pub store: String,
    /// See [`RawPipelineConfig::history_commit_every_ms`].
    pub commit_every: Duration,
    /// See [`RawPipelineConfig::history_commit_records_max`].
    pub commit_records_max: usize,
    /// See [`RawPipelineConfig::history_compact_every`].
    pub compact_every: u64,
    /// See [`RawPipelineConfig::history_keep_hours`].
    pub keep: Duration,
    /// See [`RawPipelineConfig::history_waiting_bytes_max`].
    pub waiting_bytes_max: u64,
    /// See [`RawPipelineConfig::history_key_file`]; never empty.
    pub key_file: PathBuf,
}

/// How what views showed is kept.
#[derive(Debug, Clone, Copy)]
pub struct ViewHistoryConfig {
    /// How much of it; `None` keeps none.
    pub room: Option<Room>,
    /// See [`RawPipelineConfig::view_history_every_ms`].
    pub every: Duration,
}

/// How workers share partitions.
#[derive(Debug, Clone)]
pub struct WorkersConfig {
    /// See [`RawPipelineConfig::worker_group`].
    pub group: String,
    /// See [`RawPipelineConfig::worker_session_timeout_ms`].
    pub session_timeout: Duration,
}

/// `[streams.NAME]` of the config file: what differs here from the stream's SQL `WITH (…)`.
///
/// Keys are those of `WITH`, as `connector`, `topic`, `properties.bootstrap.servers`.
pub type StreamOverrides = BTreeMap<String, BTreeMap<String, String>>;

/// The pipeline's configuration, checked.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// Folder with `streams/`, `scopes/`, `views/`, `reference/`.
    pub sql_dir: PathBuf,
    /// Folder for checkpoints, ledgers and the embedded log.
    pub data_dir: PathBuf,
    /// See [`RawPipelineConfig::fold_threads`]; at least 1.
    pub fold_threads: usize,
    /// See [`RawPipelineConfig::batch_records_max`].
    pub batch_records_max: usize,
    /// See [`RawPipelineConfig::publish_every_ms`].
    pub publish_every: Duration,
    /// See [`RawPipelineConfig::checkpoint_every_ms`].
    pub checkpoint_every: Duration,
    /// See [`RawPipelineConfig::checkpoints_kept`].
    pub checkpoints_kept: usize,
    /// See [`RawPipelineConfig::checkpoint_store`]; never empty.
    pub checkpoint_store: String,
    /// How an S3 store is reached.
    pub checkpoint_s3: S3Options,
    /// See [`RawPipelineConfig::checkpoint_waiting_bytes_max`].
    pub checkpoint_waiting_bytes_max: u64,
    /// How workers share partitions.
    pub workers: WorkersConfig,
    /// See [`RawPipelineConfig::idle_after_ms`].
    pub idle_after: Duration,
    /// See [`RawPipelineConfig::partitions_every_ms`].
    pub partitions_every: Duration,
    /// See [`RawPipelineConfig::ledger_bytes_max`].
    pub ledger_bytes_max: u64,
    /// See [`RawPipelineConfig::tombstones_max`].
    pub tombstones_max: usize,
    /// How much state a view may need.
    pub state_bounds: StateBounds,
    /// See [`RawPipelineConfig::dedup_memory_bytes_max`].
    pub dedup_memory_bytes_max: usize,
    /// How histories are written.
    pub history: HistoryConfig,
    /// How what views showed is kept.
    pub view_history: ViewHistoryConfig,
    /// Which views go to Kafka topics.
    pub result_topics: ResultTopicsConfig,
    /// Overrides by stream.
    pub streams: StreamOverrides,
}

impl PipelineConfig {
    /// Checks what was written. Every mistake is in the list, not only the first.
    ///
    /// # Errors
    /// The mistakes, each naming its key, its value and the range.
    pub fn check(
        raw: &RawPipelineConfig,
        sql_dir: PathBuf,
        data_dir: PathBuf,
        streams: StreamOverrides,
    ) -> Result<Self, Vec<String>> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut mistakes = Vec::new();
        let mut within = |key: &str, value: u64, low: u64, high: u64| {
            if !(low..=high).contains(&value) {
                mistakes.push(format!("pipeline.{key} = {value}: must be from {low} to {high}"));
            }
        };
        let wide = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        within("fold-threads", wide(raw.fold_threads), 0, 256);
        within("batch-records-max", wide(raw.batch_records_max), 1, 1_000_000);
        within("publish-every-ms", raw.publish_every_ms, 10, 3_600_000);
        if raw.checkpoint_every_ms != 0 {
            within("checkpoint-every-ms", raw.checkpoint_every_ms, 100, 3_600_000);
        }
        within("checkpoint-waiting-bytes-max", raw.checkpoint_waiting_bytes_max, 1 << 16, 1 << 40);
        within("checkpoints-kept", wide(raw.checkpoints_kept), 1, 1_000);
        within("worker-session-timeout-ms", raw.worker_session_timeout_ms, 1_000, 1_800_000);
        within("idle-after-ms", raw.idle_after_ms, 100, 86_400_000);
        within("partitions-every-ms", raw.partitions_every_ms, 100, 86_400_000);
        within("ledger-bytes-max", raw.ledger_bytes_max, 1_024, 1 << 50);
        within("tombstones-max", wide(raw.tombstones_max), 0, 10_000_000);
        within("state-bytes-max", raw.state_bytes_max, 1 << 20, 1 << 50);
        within("state-groups-assumed", raw.state_groups_assumed, 1, 1_000_000_000);
        within("state-values-assumed", raw.state_values_assumed, 1, 1_000_000_000);
        within("state-partitions-assumed", raw.state_partitions_assumed, 1, 100_000);
        within("dedup-memory-bytes-max", wide(raw.dedup_memory_bytes_max), 1_048_576, 1 << 40);
        within("history-commit-every-ms", raw.history_commit_every_ms, 100, 3_600_000);
        within("history-commit-records-max", wide(raw.history_commit_records_max), 1, 1 << 32);
        within("history-compact-every", raw.history_compact_every, 0, 1_000_000);
        within("history-keep-hours", raw.history_keep_hours, 0, 876_000);
        within("history-waiting-bytes-max", raw.history_waiting_bytes_max, 1 << 20, 1 << 40);
        within("view-history-hours", raw.view_history_hours, 0, 876_000);
        within("view-history-bytes-max", raw.view_history_bytes_max, 1 << 20, 1 << 50);
        within("view-history-every-ms", raw.view_history_every_ms, 10, 3_600_000);
        if !["on", "off"].contains(&raw.history.as_str()) {
            mistakes.push(format!("pipeline.history = '{}': must be 'on' or 'off'", raw.history));
        }
        if raw.worker_group.is_empty() {
            mistakes.push("pipeline.worker-group = '': a consumer group has a name".to_owned());
        }
        let result_topics = ResultTopicsConfig::check(&raw.result_topics).unwrap_or_else(|more| {
            mistakes.extend(more);
            ResultTopicsConfig::default()
        });
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Self {
            fold_threads: if raw.fold_threads == 0 { cores.min(4) } else { raw.fold_threads },
            batch_records_max: raw.batch_records_max,
            publish_every: Duration::from_millis(raw.publish_every_ms),
            checkpoint_every: Duration::from_millis(match raw.checkpoint_every_ms {
                0 if objects::is_remote(&raw.checkpoint_store) => 30_000,
                0 => 1_000,
                ms => ms,
            }),
            checkpoints_kept: raw.checkpoints_kept,
            checkpoint_store: match raw.checkpoint_store.as_str() {
                "" => data_dir.join("checkpoints").display().to_string(),
                url => url.to_owned(),
            },
            checkpoint_s3: S3Options {
                endpoint: said(&raw.checkpoint_s3_endpoint),
                region: said(&raw.checkpoint_s3_region),
            },
            checkpoint_waiting_bytes_max: raw.checkpoint_waiting_bytes_max,
            workers: WorkersConfig {
                group: raw.worker_group.clone(),
                session_timeout: Duration::from_millis(raw.worker_session_timeout_ms),
            },
            idle_after: Duration::from_millis(raw.idle_after_ms),
            partitions_every: Duration::from_millis(raw.partitions_every_ms),
            ledger_bytes_max: raw.ledger_bytes_max,
            tombstones_max: raw.tombstones_max,
            state_bounds: StateBounds {
                bytes_max: raw.state_bytes_max,
                groups: raw.state_groups_assumed,
                values: raw.state_values_assumed,
                partitions: raw.state_partitions_assumed,
            },
            dedup_memory_bytes_max: raw.dedup_memory_bytes_max,
            history: HistoryConfig {
                is_on: raw.history == "on",
                store: match raw.history_store.as_str() {
                    "" => data_dir.join("history").display().to_string(),
                    url => url.to_owned(),
                },
                commit_every: Duration::from_millis(raw.history_commit_every_ms),
                commit_records_max: raw.history_commit_records_max,
                compact_every: raw.history_compact_every,
                keep: Duration::from_secs(raw.history_keep_hours * 3_600),
                waiting_bytes_max: raw.history_waiting_bytes_max,
                key_file: match raw.history_key_file.as_str() {
                    "" => data_dir.join("history.key"),
                    file => PathBuf::from(file),
                },
            },
            view_history: ViewHistoryConfig {
                room: (raw.view_history_hours > 0).then(|| Room {
                    age_ms: i64::try_from(raw.view_history_hours)
                        .unwrap_or(i64::MAX)
                        .saturating_mul(3_600_000),
                    bytes_max: raw.view_history_bytes_max,
                }),
                every: Duration::from_millis(raw.view_history_every_ms),
            },
            result_topics,
            streams,
            sql_dir,
            data_dir,
        })
    }
}
