//! One view: its state, what it shows, and what is known about it.

use std::sync::Arc;

use datafusion::common::Result;

use super::PublisherLimits;
use crate::model::Zone;
use crate::results::published::{Keep, NewWindow, schema_with_papers};
use crate::results::{PublishedView, ViewInfo};
use crate::run::accounting::ViewRef;
use crate::run::build::ViewToRun;
use crate::sql::catalog::{Catalog, ViewDefinition, ViewQuery};
use crate::sql::options::Retention;
use crate::windows::fire::{Fired, Progress, ViewState};

/// One view over a stream with its state and its published rows.
#[derive(Debug)]
pub struct ViewRuntime {
    /// See [`ViewToRun::key`].
    pub key: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The stream it reads.
    pub stream: Arc<str>,
    /// The stream of the log that its rows come from: the same, unless it is derived.
    pub base: Arc<str>,
    /// SHA-256 of its definition.
    pub hash: String,
    /// The engine's state.
    pub state: ViewState,
    /// What is shown.
    pub published: PublishedView,
    /// Why it was stopped, if it was.
    pub failed: Option<String>,
}

impl ViewRuntime {
    /// A view before its first record; `None` for one over the engine's own tables.
    ///
    /// # Errors
    /// When its state cannot be made.
    pub fn new(catalog: &Catalog, view: &ViewDefinition, limits: PublisherLimits) -> Result<Option<Self>> {
        let ViewQuery::Stream(plan) = &view.query else { return Ok(None) };
        let stream = catalog.streams.get(&plan.stream);
        let zone = stream.map_or(Zone::UTC, |stream| stream.definition.zone);
        let base = stream.map_or(plan.stream.as_str(), |stream| stream.definition.base());
        let Some(run) = view_to_run(view) else { return Ok(None) };
        Ok(Some(Self {
            key: run.key.clone(),
            name: view.name.as_str().into(),
            stream: plan.stream.as_str().into(),
            base: base.into(),
            hash: view.hash.clone(),
            state: run.state(zone)?,
            published: published(catalog, view, limits),
            failed: None,
        }))
    }

    /// Puts together what changed and shows it at `cut`.
    ///
    /// # Errors
    /// Why the view cannot go on.
    pub fn fire_and_show(&mut self, cut: u64, progress: Progress) -> Result<(), String> {
        let firing = self.state.fire(progress).map_err(|error| error.strip_backtrace())?;
        for (start, end) in firing.withdrawn {
            self.published.withdraw(cut, (start, end));
        }
        for fired in firing.fired {
            self.published.show(cut, new_window(fired)).map_err(|error| error.to_string())?;
        }
        self.published.trim(cut);
        Ok(())
    }

    /// What the accounting knows of it.
    pub(super) fn to_account(&self) -> ViewRef<'_> {
        let is_running = self.failed.is_none();
        ViewRef { name: &self.name, key: &self.key, stream: &self.stream, is_running }
    }

    /// Stops the view: its rows stay, no later ones come, and its name and reason are told.
    pub fn fail(&mut self, reason: String) {
        if self.failed.is_none() {
            let name = &self.name;
            tracing::error!(view = %name, reason, "view {name} is stopped: {reason}");
            self.failed = Some(reason);
        }
    }
}

/// The views of a catalogue over one stream of the log and what is derived from it, as partitions fold them.
#[must_use]
pub fn views_to_run(catalog: &Catalog, stream: &str) -> Vec<ViewToRun> {
    let base = |name: &str| catalog.streams.get(name).is_some_and(|plan| plan.definition.base() == stream);
    let of_stream = |view: &&ViewDefinition| matches!(&view.query, ViewQuery::Stream(plan) if base(&plan.stream));
    catalog.views.iter().filter(of_stream).filter_map(view_to_run).collect()
}

/// See [`ViewToRun::key`].
#[must_use]
pub fn view_key(view: &ViewDefinition) -> Arc<str> {
    format!("{}#{}", view.name, view.hash.get(..16).unwrap_or(&view.hash)).into()
}

fn view_to_run(view: &ViewDefinition) -> Option<ViewToRun> {
    let ViewQuery::Stream(plan) = &view.query else { return None };
    Some(ViewToRun {
        key: view_key(view),
        plan: Arc::clone(plan),
        allowed_lateness: view.allowed_lateness,
        retention: view.retention,
    })
}

/// What a view is, for those who read it.
#[must_use]
pub fn view_info(catalog: &Catalog, view: &ViewDefinition) -> ViewInfo {
    let (schema, keys) = (view.query.schema(), view.query.keys());
    let (stream, windows) = match &view.query {
        ViewQuery::Stream(plan) => (catalog.streams.get(&plan.stream), (plan.window_start, plan.window_end)),
        ViewQuery::Results(_) => (None, (None, None)),
    };
    ViewInfo {
        name: view.name.clone(),
        stream: stream.map(|stream| stream.definition.name.clone()),
        keys: keys.iter().map(|at| schema.field(*at).name().clone()).collect(),
        schema: schema_with_papers(&schema),
        scope: view.scope.as_ref().map(|scope| format!("{}@{}", scope.name, scope.version)),
        title: view.title.clone(),
        definition: view.scope.as_ref().map(|scope| scope.definition.clone()).unwrap_or_default(),
        unit: view.unit.clone(),
        time_zone: stream.map_or("UTC", |stream| stream.definition.zone.name()).to_owned(),
        sql: view.statement.text.clone(),
        window_start: windows.0,
        window_end: windows.1,
    }
}

pub(super) fn published(catalog: &Catalog, view: &ViewDefinition, limits: PublisherLimits) -> PublishedView {
    let keys = view.query.keys().to_vec();
    let keep = match view.retention {
        Retention::Rows(rows) => Keep::Rows(rows),
        Retention::Time(ms) => Keep::Time(ms),
    };
    PublishedView::new(Arc::new(view_info(catalog, view)), keys, keep, limits.tombstones_max)
}

fn new_window(fired: Fired) -> NewWindow {
    NewWindow {
        window: fired.instants.unwrap_or((i64::MIN, i64::MAX)),
        rows: fired.rows,
        mark: fired.mark,
        revision: fired.revision,
    }
}
