//! Logs and metrics, set up once for the whole process.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Starts logging to stderr. `RUST_LOG` chooses what; [`Verbosity::Quiet`] leaves only
/// warnings without it.
///
/// Calling it again changes nothing.
pub fn install_logs(verbosity: Verbosity) {
    let default = match verbosity {
        // The store and the Kafka client tell of every compaction and every poll. Delta's kernel calls a table that is
        // not there yet an error; what does go wrong there is told by us.
        Verbosity::Normal => "warn,buoyant_kernel=off,tidemark=info,tidemark_pipeline=info",
        Verbosity::Quiet => "warn,buoyant_kernel=off",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let _already = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

/// How much is logged where `RUST_LOG` says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// What an operator wants to see once.
    Normal,
    /// Only what needs someone.
    Quiet,
}

/// Starts collecting metrics, before the pipeline starts; calling it again gives the same handle.
pub fn install_metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another recorder has the metrics; /metrics will be empty");
            }
            handle
        })
        .clone()
}
