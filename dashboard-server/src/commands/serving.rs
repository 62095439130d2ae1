//! What `serve` and `demo` share: the catalogue, the pipeline, the doors, the order of stopping.
//!
//! ```text
//! SQL folder ─▶ catalogue ─▶ source ─▶ pipeline ─▶ results ─▶ doors
//! SIGTERM, Ctrl-C ─▶ doors say bye ─▶ pipeline: last cut, last checkpoint ─▶ exit 0
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::{Mutex, RwLock};
use tidemark_pipeline::config::PipelineConfig;
use tidemark_pipeline::fail_points;
use tidemark_pipeline::history::HashKey;
use tidemark_pipeline::results::{Mode, Results};
use tidemark_pipeline::run::live::{self, Pipeline, StartError, StreamInput};
use tidemark_pipeline::run::publisher::view_info;
use tidemark_pipeline::run::reference;
use tidemark_pipeline::sql::{Catalog, SqlError, StreamPlan};

use crate::auth::Gate;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, ServerConfig};
use crate::http::pages;
use crate::ingest::IngestSink;
use crate::reload::{Reload, ReloadRefused, Reread};
use crate::screens::{Screens, SharedScreens};
use crate::server::{Bound, ServerParts, people_runtime, serve};
use crate::sql::{Definitions, Known, Rules, SharedRules};
use crate::telemetry::install_metrics;
use crate::tls::Tls;

/// Where the records of a run come from.
pub(super) struct Input {
    /// The streams with their logs.
    pub(super) streams: Vec<StreamInput>,
    /// What kind of records they are.
    pub(super) mode: Mode,
    /// The embedded log's door, where there is one.
    pub(super) ingest: Option<Arc<dyn IngestSink>>,
    /// Starts the pipeline: here, or as the back half of what workers fold.
    pub(super) start: Start,
}

/// How a pipeline is started.
pub(super) type Start =
    fn(Catalog, &PipelineConfig, Mode, Vec<StreamInput>) -> Result<Pipeline, StartError>;

/// Reads and plans the SQL folder.
///
/// # Errors
/// All mistakes in it, a line each.
pub(super) fn load_catalog(config: &Config) -> anyhow::Result<Catalog> {
    let pipeline = &config.pipeline;
    reference::catalog(&pipeline.sql_dir, &pipeline.streams, pipeline.state_bounds)
        .map_err(together)
}

/// Reads the screens and checks them against the views, before anything is computed.
fn load_screens(config: &PipelineConfig, catalog: &Catalog) -> anyhow::Result<Screens> {
    let views: Vec<_> =
        catalog.views.iter().map(|view| Arc::new(view_info(catalog, view))).collect();
    let folder = config.sql_dir.join("screens");
    Ok(Screens::load(&folder, &views, &pages::built_in_map)?)
}

/// The mistakes as one error, a line each.
pub(super) fn together(errors: Vec<SqlError>) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let what = if lines.len() == 1 { "a mistake" } else { "mistakes" };
    anyhow::anyhow!("{what} in the SQL folder:\n{}", lines.join("\n"))
}

/// Name of the stream the shipped SQL declares for what is generated.
pub(super) const ORDERS: &str = "orders";

/// The stream that records are written for: the named one, the only one there is, or among several the orders.
///
/// # Errors
/// When there is none of that name, or there are several and none is named.
pub(super) fn chosen_stream<'a>(
    catalog: &'a Catalog,
    wanted: Option<&str>,
) -> anyhow::Result<&'a Arc<StreamPlan>> {
    let logs: Vec<&Arc<StreamPlan>> = catalog.logs().collect();
    let names =
        || logs.iter().map(|plan| plan.definition.name.as_str()).collect::<Vec<_>>().join(", ");
    let orders = || logs.iter().find(|plan| plan.definition.name == ORDERS);
    match (wanted.or(orders().map(|_| ORDERS)), logs.as_slice()) {
        (None, [one]) => Ok(one),
        (None, _) => {
            bail!("the SQL folder declares several streams; say which with --stream: {}", names())
        }
        (Some(name), all) => match all.iter().find(|plan| plan.definition.name == name) {
            Some(found) => Ok(found),
            None => {
                bail!("--stream {name}: the SQL folder declares no such stream; it has {}", names())
            }
        },
    }
}

/// Runs pipeline and doors until the process is told to stop.
///
/// `started` is called once the doors are open; `read_again` at each reload, for the users in it.
///
/// # Errors
/// When the pipeline or a door cannot start, or serving ends by itself.
pub(super) fn run(
    mut config: Config,
    catalog: Catalog,
    input: Input,
    started: impl FnOnce(Bound, &Arc<Results>),
    read_again: ReadAgain,
) -> anyhow::Result<ExitCode> {
    fail_points::arm().map_err(anyhow::Error::msg)?;
    // What the doors cannot be opened with is said before the pipeline reads anything.
    let _tls = config.server.tls.as_ref().map(Tls::open).transpose()?;
    let metrics = install_metrics();
    let tables = reference::load(&catalog).map_err(together)?;
    let screens = Arc::new(RwLock::new(load_screens(&config.pipeline, &catalog)?));
    let key = HashKey::read_or_make(&config.pipeline.history.key_file)?;
    let mut definitions = Definitions::read(&config.pipeline.data_dir);
    let clock = Clock::system();
    definitions.keep(definitions.with(&catalog, clock.now_ms()));
    let since = definitions.since(&catalog);
    let rules = ruled(&config, Known::of_catalog(&catalog).with_since(since), &key)?;
    config.server.users = rules.of_users(&config.server.users);
    let rules = rules.shared();
    let pipeline = (input.start)(catalog, &config.pipeline, input.mode, input.streams)?;
    let results = Arc::clone(pipeline.results());
    let gate = Arc::new(Gate::open(&config.server, &config.pipeline.data_dir, &clock)?);
    let reload = Arc::new(SqlFolder {
        config: config.pipeline.clone(),
        reloader: pipeline.reloader(),
        results: Arc::clone(&results),
        screens: Arc::clone(&screens),
        gate: Arc::clone(&gate),
        rules: Arc::clone(&rules),
        definitions: Arc::new(Mutex::new(definitions)),
        clock: clock.clone(),
        key,
        read_again,
    });
    let parts = ServerParts {
        results: Arc::clone(&results),
        reference: tables,
        screens,
        ingest: input.ingest,
        reload: Some(Arc::clone(&reload) as Arc<dyn Reload>),
        gate,
        rules,
        config,
        metrics,
        clock,
    };
    let runtime = people_runtime().context("cannot start the threads that serve people")?;
    let hang_ups = runtime.spawn(reload_at_hang_up(reload));
    let served = runtime.block_on(serve(parts, |bound| started(bound, &results), told_to_stop()));
    hang_ups.abort();
    // The doors are shut; the last checkpoint holds everything that was shown.
    pipeline.stop();
    served?;
    Ok(ExitCode::SUCCESS)
}

/// How often it is looked whether views have been filled; that takes minutes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What each role is shown of what there is.
///
/// # Errors
/// Every mask and filter that is wrong.
fn ruled(config: &Config, known: Known, key: &HashKey) -> anyhow::Result<Rules> {
    let rules = Rules::new(&config.sql, &known, key);
    rules.map_err(|mistakes| ConfigError { mistakes }.into())
}

/// Reads the configuration that the server was started with.
pub(super) type ReadAgain = Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>;

/// The SQL folder of a running pipeline, and users and roles beside it.
struct SqlFolder {
    gate: Arc<Gate>,
    rules: SharedRules,
    /// Since when each view is what it is.
    definitions: Arc<Mutex<Definitions>>,
    clock: Clock,
    /// Of the hashes of what a role is not shown.
    key: HashKey,
    read_again: ReadAgain,
    config: PipelineConfig,
    reloader: live::Reloader,
    results: Arc<Results>,
    screens: SharedScreens,
}

impl Reload for SqlFolder {
    fn reload(&self) -> Result<Reread, ReloadRefused> {
        let refused = |reasons: String| {
            tracing::error!(reasons, "nothing was read again: {reasons}");
            ReloadRefused { reasons }
        };
        let config = (self.read_again)().map_err(|error| refused(super::told(&error)))?;
        let catalog = reference::catalog(
            &self.config.sql_dir,
            &self.config.streams,
            self.config.state_bounds,
        )
        .map_err(|errors| refused(together(errors).to_string()))?;
        let screens =
            load_screens(&self.config, &catalog).map_err(|error| refused(error.to_string()))?;
        let mut definitions = self.definitions.lock();
        let mut noted = definitions.with(&catalog, self.clock.now_ms());
        let known = Known::of_catalog(&catalog).with_since(noted.since(&catalog));
        let rules = ruled(&config, known, &self.key);
        let rules = rules.map_err(|error| refused(super::told(&error)))?;
        let rules = Arc::new(rules.after(&self.rules.read()));
        // A mistake in a mask or filter has been told before anything is remembered of the views.
        noted.wait_for(&rules.filling());
        definitions.keep(noted);
        // Before there is a new view, it is known who is shown what of it.
        let before = std::mem::replace(&mut *self.rules.write(), Arc::clone(&rules));
        let reloaded = self.reloader.reload(catalog).map_err(|error| {
            *self.rules.write() = before;
            refused(error.to_string())
        })?;
        *self.screens.write() = screens;
        let server = config.server;
        let users = self.gate.renew(&rules.of_users(&server.users), &server.tokens);
        self.show_when_filled(rules, server);
        tracing::info!(
            added = ?reloaded.added, changed = ?reloaded.changed, removed = ?reloaded.removed,
            unchanged = reloaded.unchanged, users = ?users, "the SQL folder and the users were read again"
        );
        Ok(Reread { views: reloaded, users })
    }
}

impl SqlFolder {
    /// Shows views at the doors of frames once they are filled; until then their rows are of definitions that roles were
    /// shown otherwise.
    fn show_when_filled(&self, rules: Arc<Rules>, server: ServerConfig) {
        if rules.filling().is_empty() {
            return;
        }
        let (gate, current) = (Arc::clone(&self.gate), Arc::clone(&self.rules));
        let (results, clock) = (Arc::clone(&self.results), self.clock.clone());
        let definitions = Arc::clone(&self.definitions);
        let watching = std::thread::Builder::new().name("tidemark-filled".to_owned());
        let watched = watching.spawn(move || {
            loop {
                std::thread::sleep(LOOK_EVERY);
                // Both held until it is told, in the order of a reload, for the next one has rules and users of its own.
                let mut definitions = definitions.lock();
                let newest = current.read();
                if !Arc::ptr_eq(&newest, &rules) {
                    return;
                }
                let now_ms = clock.now_ms();
                rules.look_at(&results.latest(), now_ms);
                let filling = rules.filling();
                definitions.filled(&filling, now_ms);
                if filling.is_empty() {
                    let _told = gate.renew(&rules.of_users(&server.users), &server.tokens);
                    return;
                }
            }
        });
        if let Err(error) = watched {
            tracing::error!(%error, "a thread cannot be started: {error}; views that are filled are shown after the next reload");
        }
    }
}

/// SIGHUP reads the SQL folder again; the log says what came of it.
async fn reload_at_hang_up(reload: Arc<SqlFolder>) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hang_ups = match signal(SignalKind::hangup()) {
        Ok(hang_ups) => hang_ups,
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be waited for; use tidemark reload");
            return;
        }
    };
    while hang_ups.recv().await.is_some() {
        let reload = Arc::clone(&reload);
        // A refusal has been logged with its reasons.
        let _told = tokio::task::spawn_blocking(move || reload.reload()).await;
    }
}

/// Ready at SIGTERM or Ctrl-C.
pub(super) async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be waited for; only Ctrl-C stops this process");
            let _interrupted = interrupted.await;
        }
    }
    tracing::info!("told to stop: saying goodbye and writing the last checkpoint");
}

/// Prints the addresses, for people and for scripts that started with port 0.
#[expect(clippy::print_stdout, reason = "the addresses are the command's output")]
pub(super) fn print_addresses(bound: Bound) {
    println!("listening on http://{}", bound.http);
    let with = if bound.has_tls { ", with TLS" } else { "" };
    if let Some(postgres) = bound.postgres {
        println!("postgres on {postgres}{with}");
    }
    if let Some(flight) = bound.flight {
        println!("flight on {flight}{with}");
    }
}
