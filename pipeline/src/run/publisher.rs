//! Merges what the partitions folded and publishes every view at one cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::Result;

use super::accounting::{LateEntry, Ledger, RecordRow, ViewRow, records_accounted, views_accounted};
use super::build::ViewToRun;
use super::partition::{LateRecord, PartitionDrain};
use crate::admit::RecordCounts;
use crate::event_time::{PartitionProgress, merged};
use crate::model::{DeadLetter, Offset, PartitionId};
use crate::results::published::{Keep, NewWindow, schema_with_papers};
use crate::results::{Cut, Mark, PublishedView, ViewInfo};
use crate::sql::catalog::{Catalog, ViewDefinition, ViewQuery};
use crate::sql::options::Retention;
use crate::windows::ViewCounts;
use crate::windows::below::Runner;
use crate::windows::fire::{Fired, Progress, ViewState};
use crate::windows::session::SessionList;

/// What is known of one partition at the last drain.
#[derive(Debug, Clone)]
pub struct PartitionAt {
    /// Offset after the last record read.
    pub next_offset: Option<Offset>,
    /// Its watermark.
    pub watermark: i64,
    /// Largest accepted event time.
    pub as_of: Option<i64>,
    /// Its accounting.
    pub counts: RecordCounts,
    /// Accounting and open sessions of each view.
    pub views: Vec<(ViewCounts, Option<(SessionList, i64)>)>,
}

impl Default for PartitionAt {
    fn default() -> Self {
        Self { next_offset: None, watermark: i64::MIN, as_of: None, counts: RecordCounts::default(), views: Vec::new() }
    }
}

/// One view with its state and its published rows.
#[derive(Debug)]
pub struct ViewRuntime {
    /// Its name.
    pub name: String,
    /// SHA-256 of its definition.
    pub hash: String,
    /// The engine's state.
    pub state: ViewState,
    /// What is shown.
    pub published: PublishedView,
    /// Why it was stopped, if it was.
    pub failed: Option<String>,
}

#[derive(Debug)]
struct SystemView {
    table: String,
    runner: Runner,
    published: PublishedView,
}

/// All views over one stream, and the engine's own tables.
#[derive(Debug)]
pub struct Publisher {
    stream: String,
    /// Views over the stream, in the order in which partitions fold them.
    pub views: Vec<ViewRuntime>,
    system: Vec<SystemView>,
    /// The partitions as of the last drain.
    pub partitions: BTreeMap<PartitionId, PartitionAt>,
    late: Ledger<LateEntry>,
    dead_letters: Ledger<DeadLetter>,
    cut: u64,
}

/// Bounds of what a publisher keeps.
#[derive(Debug, Clone, Copy)]
pub struct PublisherLimits {
    /// Rows of each ledger.
    pub ledger_rows_max: usize,
    /// Deletions remembered a view.
    pub tombstones_max: usize,
}

/// The moment of a publish, by the wall clock.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Epoch milliseconds.
    pub now_ms: i64,
    /// How long each partition has been silent.
    pub quiet: BTreeMap<PartitionId, Duration>,
    /// After how long a silent partition is idle.
    pub idle_after: Duration,
}

/// The views of a catalogue over one stream, as partitions fold them.
#[must_use]
pub fn views_to_run(catalog: &Catalog, stream: &str) -> Vec<ViewToRun> {
    let of_stream = |view: &ViewDefinition| match &view.query {
        ViewQuery::Stream(plan) if plan.stream == stream => Some(ViewToRun {
            plan: Arc::clone(plan),
            allowed_lateness: view.allowed_lateness,
            retention: view.retention,
        }),
        _ => None,
    };
    catalog.views.iter().filter_map(of_stream).collect()
}

/// What a view is, for those who read it.
#[must_use]
pub fn view_info(catalog: &Catalog, view: &ViewDefinition) -> ViewInfo {
    let (schema, keys, windows) = match &view.query {
        ViewQuery::Stream(plan) => (plan.schema.clone(), plan.keys.clone(), (plan.window_start, plan.window_end)),
        ViewQuery::System { plan, .. } => (plan.plan.plan.schema(), plan.keys.clone(), (None, None)),
    };
    let stream = match &view.query {
        ViewQuery::Stream(plan) => catalog.streams.get(&plan.stream),
        ViewQuery::System { .. } => None,
    };
    ViewInfo {
        name: view.name.clone(),
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

impl Publisher {
    /// A publisher of a catalogue's views over `stream`; `system` says whether it also shows the
    /// views over the engine's own tables.
    ///
    /// # Errors
    /// When a view's state cannot be made.
    pub fn new(catalog: &Catalog, stream: &str, limits: PublisherLimits) -> Result<Self> {
        let zone = catalog.streams.get(stream).map_or(crate::model::Zone::UTC, |stream| stream.definition.zone);
        let mut views = Vec::new();
        let mut system = Vec::new();
        for view in &catalog.views {
            let info = Arc::new(view_info(catalog, view));
            match &view.query {
                ViewQuery::Stream(plan) if plan.stream == stream => {
                    let run = ViewToRun {
                        plan: Arc::clone(plan),
                        allowed_lateness: view.allowed_lateness,
                        retention: view.retention,
                    };
                    views.push(ViewRuntime {
                        name: view.name.clone(),
                        hash: view.hash.clone(),
                        state: run.state(zone)?,
                        published: published(info, plan.keys.clone(), view.retention, limits),
                        failed: None,
                    });
                }
                ViewQuery::System { table, plan } => system.push(SystemView {
                    table: table.clone(),
                    runner: Runner::new(plan.plan.clone()),
                    published: published(info, plan.keys.clone(), view.retention, limits),
                }),
                ViewQuery::Stream(_) => {}
            }
        }
        Ok(Self {
            stream: stream.to_owned(),
            views,
            system,
            partitions: BTreeMap::new(),
            late: Ledger::new(limits.ledger_rows_max),
            dead_letters: Ledger::new(limits.ledger_rows_max),
            cut: 0,
        })
    }

    /// Adds a partition before its first record, so that the watermark waits for it.
    pub fn expect_partition(&mut self, partition: PartitionId) {
        self.partitions.entry(partition).or_default();
    }

    /// Adds what one partition did since its last drain.
    pub fn absorb(&mut self, drain: PartitionDrain) {
        let partition = drain.partition;
        for (view, reason) in drain.failed {
            self.fail(view, reason);
        }
        let mut counts = Vec::with_capacity(drain.views.len());
        for ((number, (drained, count)), sessions) in drain.views.into_iter().enumerate().zip(drain.sessions) {
            counts.push((count, sessions));
            let Some(view) = self.views.get_mut(number).filter(|view| view.failed.is_none()) else { continue };
            if let Err(error) = view.state.absorb(partition, drained) {
                self.fail(number, error.strip_backtrace());
            }
        }
        for late in drain.late {
            self.note_late(partition, late);
        }
        for letter in drain.dead_letters {
            self.dead_letters.push(letter);
        }
        let at = PartitionAt {
            next_offset: drain.next_offset,
            watermark: drain.watermark,
            as_of: drain.as_of,
            counts: drain.counts,
            views: counts,
        };
        self.partitions.insert(partition, at);
    }

    fn note_late(&mut self, partition: PartitionId, late: LateRecord) {
        let view = self.views.get(late.view).map_or(String::new(), |view| view.name.clone());
        self.late.push(LateEntry {
            stream: self.stream.clone(),
            position: (partition, late.offset),
            view,
            window: (late.missed.window_start, late.missed.window_end),
            windows_missed: late.missed.missed,
            times: (late.event_time, late.watermark),
            raw: late.raw,
        });
    }

    /// Stops a view: its rows stay, no later ones come, and its name and reason are told.
    fn fail(&mut self, view: usize, reason: String) {
        if let Some(view) = self.views.get_mut(view)
            && view.failed.is_none()
        {
            tracing::error!(view = view.name, reason, "view {} is stopped: {reason}", view.name);
            view.failed = Some(reason);
        }
    }

    /// Puts the windows together and makes the cut.
    ///
    /// # Errors
    /// When the accounting cannot be shown; a failing view only stops itself.
    pub fn publish(&mut self, moment: &Moment) -> Result<Cut> {
        self.cut += 1;
        let cut = self.cut;
        let progress = self.progress(moment);
        let mut failures = Vec::new();
        for (number, view) in self.views.iter_mut().enumerate() {
            if view.failed.is_some() {
                continue;
            }
            if let Err(reason) = fire_and_show(view, cut, progress) {
                failures.push((number, reason));
            }
        }
        for (number, reason) in failures {
            self.fail(number, reason);
        }
        let tables = self.tables()?;
        for view in &mut self.system {
            let Some(table) = tables.get(&view.table) else { continue };
            let rows = view.runner.run(table.clone())?;
            let window = (i64::MIN, i64::MAX);
            view.published.show(cut, NewWindow { window, rows, mark: Mark::Provisional, revision: 0 })?;
        }
        let offsets = self.partitions.iter().filter_map(|(partition, at)| Some((*partition, at.next_offset?)));
        Ok(Cut {
            cut,
            as_of: progress.as_of,
            watermark: (progress.watermark != i64::MIN).then_some(progress.watermark),
            offsets: BTreeMap::from([(self.stream.clone(), offsets.collect())]),
            published_at: moment.now_ms,
            views: self.snapshots(),
            tables,
        })
    }

    fn snapshots(&mut self) -> BTreeMap<String, Arc<crate::results::Snapshot>> {
        let streams = self.views.iter_mut().map(|view| &mut view.published);
        let system = self.system.iter_mut().map(|view| &mut view.published);
        streams.chain(system).map(|view| (view.info().name.clone(), view.snapshot())).collect()
    }

    /// How far the stream is.
    #[must_use]
    pub fn progress(&self, moment: &Moment) -> Progress {
        let partitions: Vec<PartitionProgress> = self
            .partitions
            .iter()
            .map(|(partition, at)| PartitionProgress {
                watermark: at.watermark,
                quiet: moment.quiet.get(partition).copied().unwrap_or_default(),
            })
            .collect();
        let (watermark, settled) = merged(&partitions, moment.idle_after);
        let as_of = self.partitions.values().filter_map(|at| at.as_of).max();
        Progress { watermark, settled, as_of, ended: false }
    }

    fn tables(&mut self) -> Result<BTreeMap<String, RecordBatch>> {
        let records: Vec<RecordRow<'_>> = self
            .partitions
            .iter()
            .map(|(partition, at)| (self.stream.as_str(), *partition, at.counts))
            .collect();
        let mut views: Vec<ViewRow<'_>> = Vec::new();
        for (number, view) in self.views.iter().enumerate() {
            for (partition, at) in &self.partitions {
                let counts = at.views.get(number).map(|(counts, _)| *counts).unwrap_or_default();
                views.push((view.name.as_str(), *partition, counts));
            }
        }
        Ok(BTreeMap::from([
            ("records_accounted".to_owned(), records_accounted(&records)?),
            ("views_accounted".to_owned(), views_accounted(&views)?),
            ("late_orders".to_owned(), self.late.table()?),
            ("dead_letters".to_owned(), self.dead_letters.table()?),
        ]))
    }

    /// Views that were stopped, with their reasons.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.views.iter().filter_map(|view| Some((view.name.as_str(), view.failed.as_deref()?)))
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Number of the last cut.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

fn published(info: Arc<ViewInfo>, keys: Vec<usize>, retention: Retention, limits: PublisherLimits) -> PublishedView {
    let keep = match retention {
        Retention::Rows(rows) => Keep::Rows(rows),
        Retention::Time(ms) => Keep::Time(ms),
    };
    PublishedView::new(info, keys, keep, limits.tombstones_max)
}

fn fire_and_show(view: &mut ViewRuntime, cut: u64, progress: Progress) -> Result<(), String> {
    let firing = view.state.fire(progress).map_err(|error| error.strip_backtrace())?;
    for (start, end) in firing.withdrawn {
        view.published.withdraw(cut, (start, end));
    }
    for fired in firing.fired {
        view.published.show(cut, new_window(fired)).map_err(|error| error.to_string())?;
    }
    view.published.trim(cut);
    Ok(())
}

fn new_window(fired: Fired) -> NewWindow {
    NewWindow {
        window: fired.instants.unwrap_or((i64::MIN, i64::MAX)),
        rows: fired.rows,
        mark: fired.mark,
        revision: fired.revision,
    }
}
