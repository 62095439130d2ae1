//! What changes while the pipeline runs: another catalogue, views that have been filled, more partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catcher::Catcher;
use super::fill::{Fill, FillTask, LogToFill, Near, Offsets};
use super::fold::Owned;
use super::logs::Grown;
use super::publish::PublishLoop;
use super::{limits, now_ms};
use crate::run::build::partition_run;
use crate::run::partition::Place;
use crate::run::publisher::{PublisherLimits, StreamAt, ViewRuntime, view_key, views_to_run};
use crate::sql::Catalog;
use crate::sql::catalog::ViewQuery;
use crate::state::scopes::ScopeConflict;

/// What a reload has begun; names in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reloaded {
    /// Views that are new; those over a stream are being filled.
    pub added: Vec<String>,
    /// Views that are defined otherwise and being filled; until then the old definition is shown.
    pub changed: Vec<String>,
    /// Views that are gone.
    pub removed: Vec<String>,
    /// Views that stay as they were.
    pub unchanged: usize,
}

/// Why everything stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// Streams decide which records are read; they are read when the process starts.
    #[error(
        "stream {stream} {what}; streams are read at start, so restart the server to take this in"
    )]
    Stream {
        /// The stream.
        stream: String,
        /// What is otherwise.
        what: &'static str,
    },
    /// A version of a scope says something else than it did.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Scopes(Vec<ScopeConflict>),
    /// The register of scopes cannot be written.
    #[error("{0}")]
    Disk(String),
    /// A view cannot be set up.
    #[error("the views cannot be set up: {0}")]
    Views(String),
    /// Others fold, by the definitions that they were started with.
    #[error(
        "views over streams are folded by workers, and {0} would be others: stop workers and server, and start them with \
         the new folder, another checkpoint-store and another pipeline.worker-group; views over views can be taken in"
    )]
    OfWorkers(String),
    /// The pipeline has stopped.
    #[error("the pipeline has stopped: {0}")]
    Stopped(String),
}

impl PublishLoop {
    fn limits(&self) -> PublisherLimits {
        limits(&self.config)
    }

    /// Takes another catalogue: what is unchanged goes on, what is gone disappears, what is new is filled.
    ///
    /// # Errors
    /// When it cannot be taken; everything is then as it was.
    pub(super) fn reload(&mut self, catalog: Catalog) -> Result<Reloaded, ReloadError> {
        same_streams(&self.catalog, &catalog)?;
        self.saving.scopes().check(&catalog.scopes).map_err(ReloadError::Scopes)?;
        if self.folds.is_of_workers() {
            same_folds(&self.catalog, &catalog)?;
        }
        let told = compared(&self.catalog, &catalog);
        let wanted: BTreeSet<Arc<str>> = catalog.views.iter().map(view_key).collect();
        // A fill some of whose views are no longer wanted begins again with the others.
        self.fills.retain(|fill| fill.views.iter().all(|(key, _)| wanted.contains(key)));
        let known: BTreeSet<Arc<str>> = self
            .fills
            .iter()
            .flat_map(|fill| fill.views.iter().map(|(key, _)| Arc::clone(key)))
            .chain(self.publisher.live.views.iter().map(|view| Arc::clone(&view.key)))
            .collect();
        let fresh = fresh_views(&catalog, self.limits(), |key| !known.contains(key))
            .map_err(ReloadError::Views)?;
        self.saving
            .learn_scopes(&catalog.scopes)
            .map_err(|error| ReloadError::Disk(error.to_string()))?;
        let over_streams =
            catalog.views.iter().filter(|view| matches!(view.query, ViewQuery::Stream(_)));
        let names: BTreeSet<&str> = over_streams.map(|view| view.name.as_str()).collect();
        let is_gone = |view: &&ViewRuntime| {
            // The old definition of a changed view is shown until the new one stands at the cut.
            !wanted.contains(&view.key) && (!view.is_shown || !names.contains(&*view.name))
        };
        let gone: Vec<Arc<str>> = self
            .publisher
            .live
            .views
            .iter()
            .filter(is_gone)
            .map(|view| Arc::clone(&view.key))
            .collect();
        for view in self.publisher.remove(&gone) {
            if !names.contains(&*view.name) {
                self.publisher.forget_late(&view.name);
            }
        }
        self.folds.forget(&gone);
        self.publisher
            .set_catalog(&catalog)
            .map_err(|error| ReloadError::Views(error.strip_backtrace()))?;
        self.show_scopes();
        self.catalog = catalog;
        self.fill(fresh);
        Ok(told)
    }

    /// Sets the table of scopes anew.
    pub(super) fn show_scopes(&mut self) {
        match self.saving.scopes().table(&self.catalog.scopes) {
            Ok(table) => self.publisher.set_scopes(&table),
            Err(error) => tracing::error!(%error, "the table of scopes cannot be made: {error}"),
        }
    }

    /// Begins to fill views from the earliest records in their logs, those of the same logs together.
    pub(super) fn fill(&mut self, views: Vec<ViewRuntime>) {
        let mut by_logs: BTreeMap<Vec<Arc<str>>, Vec<ViewRuntime>> = BTreeMap::new();
        for view in views {
            by_logs.entry(view.bases()).or_default().push(view);
        }
        for (streams, views) in by_logs {
            let logs = streams.iter().map(|stream| self.log_to_fill(stream, &views));
            let Some(logs) = logs.collect::<Option<Vec<_>>>() else { continue };
            self.fills_begun += 1;
            let task = FillTask {
                number: self.fills_begun,
                logs,
                views,
                records_max: self.config.batch_records_max,
            };
            let names: Vec<String> = streams.iter().map(ToString::to_string).collect();
            match Fill::start(task, self.offsets_of(&names), self.events.clone()) {
                Ok(fill) => self.fills.push(fill),
                Err(error) => tracing::error!(%error, "a fill cannot be started: {error}"),
            }
        }
    }

    /// A log that is read again for views; `None` where nobody reads it.
    fn log_to_fill(&self, stream: &str, views: &[ViewRuntime]) -> Option<LogToFill> {
        let plan = self.catalog.streams.get(stream)?;
        let input = self.inputs.iter().find(|input| *input.stream == *stream)?;
        let folds = views_to_run(&self.catalog, stream).into_iter();
        // A life cycle is gone through again only where one of the views reads it.
        let reads_derived =
            |view: &ViewRuntime| view.input(stream).is_some_and(|input| input.stream != input.base);
        let derived = match views.iter().any(reads_derived) {
            true => self.catalog.derived_from(stream),
            false => Vec::new(),
        };
        let at = self.publisher.live.streams.get(stream);
        Some(LogToFill {
            plan: Arc::clone(plan),
            derived,
            topic: at.map(|at| at.topic.clone()).unwrap_or_default(),
            open: Arc::clone(&input.open),
            partitions: self.publisher.live.partitions(stream).into_iter().collect(),
            folds: folds.filter(|fold| views.iter().any(|view| view.key == fold.key)).collect(),
        })
    }

    /// Where these streams stood at the last publish.
    fn offsets_of(&self, streams: &[String]) -> Offsets {
        let of = |name: &String| {
            let at = self.publisher.live.streams.get(name);
            (name.clone(), at.map(StreamAt::offsets).unwrap_or_default())
        };
        streams.iter().map(of).collect()
    }

    /// Hands a fill that is a batch away over to the folding threads.
    pub(super) fn near(&mut self, near: Near) {
        let Some(at) = self.fills.iter().position(|fill| fill.number == near.number) else {
            return;
        };
        let fill = self.fills.remove(at);
        let has_all = |stream: &String| {
            let of_stream = near.catchers.iter().filter(|one| **one.stream() == **stream);
            let filled: BTreeSet<_> = of_stream.map(Catcher::partition).collect();
            filled == self.publisher.live.partitions(stream)
        };
        if !fill.streams.iter().all(has_all) {
            // A partition has been taken in since it began.
            let keys: BTreeSet<Arc<str>> =
                near.views.iter().map(|view| Arc::clone(&view.key)).collect();
            match fresh_views(&self.catalog, self.limits(), |key| keys.contains(key)) {
                Ok(views) => self.fill(views),
                Err(error) => tracing::error!(error, "a view cannot be set up: {error}"),
            }
            return;
        }
        let mut shadow = near.shadow;
        for view in near.views {
            let at = shadow.iter().position(|other| other.key == view.key);
            let other = at.map(|at| shadow.swap_remove(at));
            if let Err(error) = self.publisher.join(view, other) {
                tracing::error!(%error, "the shadow space cannot be set up: {error}");
            }
        }
        for catcher in near.catchers {
            self.folds.join(catcher);
        }
    }

    /// Takes in partitions that a log did not have before, unless a view is just joining.
    pub(super) fn take_in_grown(&mut self) {
        if self.publisher.live.views.iter().any(|view| !view.is_shown) {
            return;
        }
        for grown in std::mem::take(&mut self.grown) {
            let (stream, partition) = (grown.stream.clone(), grown.partition);
            tracing::warn!(
                stream,
                partition,
                "stream {stream} has a new partition {partition}, which is taken in"
            );
            if let Err(error) = self.take_in(grown) {
                tracing::error!(
                    stream,
                    partition,
                    error,
                    "the partition cannot be taken in: {error}"
                );
            }
        }
    }

    fn take_in(&mut self, grown: Grown) -> Result<(), String> {
        let Some(plan) = self.catalog.streams.get(&grown.stream) else { return Ok(()) };
        // As they fold now: a changed view that is being filled still does by its old definition.
        let of_stream =
            self.publisher.live.views.iter().filter(|view| view.input(&grown.stream).is_some());
        let views: Vec<_> = of_stream.flat_map(|view| view.run.sides()).collect();
        let before =
            self.publisher.live.streams.get(&grown.stream).map_or(0, |at| at.partitions.len());
        let partitions = u32::try_from(before + 1).ok();
        let place = Place {
            origin: grown.origin,
            is_file: false,
            partition: grown.partition,
            partitions,
            has_others: before > 0,
        };
        let derived = self.catalog.derived_from(&grown.stream);
        let mut run = partition_run(plan, &derived, place, None, &views)
            .map_err(|error| error.strip_backtrace())?;
        let overflow = self.saving.overflow(&grown.stream, grown.partition);
        run.overflow_to(overflow).map_err(|error| error.to_string())?;
        if let Some(layout) = self.history.as_ref().and_then(|all| all.layout(&grown.stream)) {
            run.keep_history(layout);
        }
        if grown.first > 0 {
            run.begins_at(grown.first, grown.end);
        }
        self.publisher.add_partition(&grown.stream, grown.partition, now_ms());
        if let Some(partitions) = partitions {
            self.folds.set_partitions(&grown.stream, partitions);
        }
        self.folds.own(Owned::new(
            grown.stream,
            grown.reader,
            run,
            self.publisher.gauges(),
            Arc::clone(self.saving.backlog()),
        ));
        Ok(())
    }

    /// Says to the fills how far the rest is, and to the wall how far they are.
    pub(super) fn tell_fills(&mut self) {
        let mut pending = BTreeMap::new();
        for fill in &self.fills {
            fill.set_bounds(self.offsets_of(&fill.streams));
            let filled = fill.told();
            for (_, info) in &fill.views {
                pending.insert(info.name.clone(), (Arc::clone(info), filled.clone()));
            }
        }
        self.publisher.set_pending(pending);
    }
}

/// The runtimes of the views over streams whose keys are wanted.
///
/// # Errors
/// When a view's state cannot be made.
pub(super) fn fresh_views(
    catalog: &Catalog,
    limits: PublisherLimits,
    is_wanted: impl Fn(&Arc<str>) -> bool,
) -> Result<Vec<ViewRuntime>, String> {
    let wanted = catalog.views.iter().filter(|view| is_wanted(&view_key(view)));
    let made = wanted.map(|view| ViewRuntime::new(catalog, view, limits));
    let made = made
        .collect::<datafusion::common::Result<Vec<_>>>()
        .map_err(|error| error.strip_backtrace())?;
    Ok(made.into_iter().flatten().collect())
}

/// Refuses a catalogue in which anything is folded otherwise.
fn same_folds(before: &Catalog, now: &Catalog) -> Result<(), ReloadError> {
    let folded = |catalog: &Catalog| -> BTreeMap<String, String> {
        let over_streams =
            catalog.views.iter().filter(|view| matches!(view.query, ViewQuery::Stream(_)));
        over_streams.map(|view| (view.name.clone(), view.hash.clone())).collect()
    };
    let (before, now) = (folded(before), folded(now));
    let is_other = |name: &&String| before.get(*name) != now.get(*name);
    let others: BTreeSet<&String> = before.keys().chain(now.keys()).filter(is_other).collect();
    match others.is_empty() {
        true => Ok(()),
        false => {
            let names: Vec<&str> = others.into_iter().map(String::as_str).collect();
            Err(ReloadError::OfWorkers(names.join(", ")))
        }
    }
}

/// A stream and what is derived from it.
fn same_streams(old: &Catalog, new: &Catalog) -> Result<(), ReloadError> {
    let hashes = |catalog: &Catalog| -> BTreeMap<String, String> {
        catalog
            .logs()
            .map(|plan| (plan.definition.name.clone(), catalog.stream_hash(plan)))
            .collect()
    };
    let (old, new) = (hashes(old), hashes(new));
    let wrong = |stream: &String, what| Err(ReloadError::Stream { stream: stream.clone(), what });
    for (name, hash) in &new {
        match old.get(name) {
            None => return wrong(name, "is new"),
            Some(before) if before != hash => {
                return wrong(name, "or a table derived from it has changed");
            }
            Some(_) => {}
        }
    }
    match old.keys().find(|name| !new.contains_key(*name)) {
        Some(name) => wrong(name, "is gone"),
        None => Ok(()),
    }
}

fn compared(old: &Catalog, new: &Catalog) -> Reloaded {
    let keys = |catalog: &Catalog| -> BTreeMap<String, Arc<str>> {
        catalog.views.iter().map(|view| (view.name.clone(), view_key(view))).collect()
    };
    let (old, new) = (keys(old), keys(new));
    let mut told = Reloaded::default();
    for (name, key) in &new {
        match old.get(name) {
            None => told.added.push(name.clone()),
            Some(before) if before != key => told.changed.push(name.clone()),
            Some(_) => told.unchanged += 1,
        }
    }
    told.removed = old.into_keys().filter(|name| !new.contains_key(name)).collect();
    told
}
