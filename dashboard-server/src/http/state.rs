//! The long-lived parts that handlers share, built once at start.

use std::path::PathBuf;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tidemark_pipeline::results::Results;
use tokio::sync::Semaphore;

use crate::auth::Gate;
use crate::clock::Clock;
use crate::closing::{Closing, Guest};
use crate::config::ServerConfig;
use crate::ingest::IngestSink;
use crate::pulse::Pulse;
use crate::reload::Reload;
use crate::screens::SharedScreens;
use crate::sql::{SharedQueries, SqlService};
use crate::websocket::hub::Hub;

/// What handlers work with.
pub struct AppState {
    /// Where the figures come from.
    pub results: Arc<Results>,
    /// Encodes the frames.
    pub hub: Arc<Hub>,
    /// Answers queries.
    pub sql: SqlService,
    /// Queries that always answer the same.
    pub shared: SharedQueries,
    /// Whether the publisher publishes.
    pub pulse: Arc<Pulse>,
    /// The embedded log, where there is one.
    pub ingest: Option<Arc<dyn IngestSink>>,
    /// Reads the SQL folder again, where there is a pipeline.
    pub reload: Option<Arc<dyn Reload>>,
    /// Bodies being written to the log at one time.
    pub ingest_turns: Arc<Semaphore>,
    /// What walls show, checked at start.
    pub screens: SharedScreens,
    /// Folder of the questions that are offered to analysts.
    pub examples: PathBuf,
    /// `[server]`.
    pub config: ServerConfig,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// The time of day.
    pub clock: Clock,
    /// Users, sessions, tickets and devices.
    pub gate: Arc<Gate>,
    /// Says when the server goes away.
    pub closing: Closing,
    /// Cloned for every open socket; shutdown waits until all are dropped.
    pub guest: Guest,
}
