//! Merges what the partitions of all streams folded and publishes every view at one cut.

mod changes;
mod streams;
mod view;
mod over_results;
mod spaces;
pub mod sequences;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;

pub use over_results::rows_over;
use over_results::{ResultsView, Shown};
pub use spaces::Publishers;
pub use streams::{Moment, Quiet, StreamAt};
pub use view::{ViewInput, ViewRuntime, view_info, view_key, views_to_run};

use super::accounting::Accounts;
use super::ledgers;
use super::partition::PartitionDrain;
use crate::ledger::LedgerWriter;
use crate::model::{PartitionId, Space};
use crate::results::{
    Cut, Filled, Mark, Snapshot, StreamProgress, ViewInfo, ViewState, ViewStatus,
};
use crate::sql::Catalog;
use crate::state::SavedPartition;
use crate::windows::fire::Progress;

/// All views over all streams in one result space, and the engine's own tables.
#[derive(Debug)]
pub struct Publisher {
    space: Space,
    /// The streams that are read, by name.
    pub streams: BTreeMap<String, StreamAt>,
    /// The tables derived from them, each with its stream.
    derived: BTreeMap<String, String>,
    /// The views over streams, in the order of their names.
    pub views: Vec<ViewRuntime>,
    /// The views over other views and tables, each after those it reads.
    over_results: Vec<ResultsView>,
    /// Views that are being filled elsewhere, by name.
    pending: BTreeMap<String, (Arc<ViewInfo>, Filled)>,
    /// Every version of every scope there has been, as a table.
    scopes: Option<RecordBatch>,
    limits: PublisherLimits,
    /// The ledgers of this result space.
    pub ledgers: LedgerWriter,
    /// Where the accounting of the last cut did not add up.
    discrepancies: Vec<String>,
    cut: u64,
}

/// Bounds of what a publisher keeps.
#[derive(Debug, Clone, Copy)]
pub struct PublisherLimits {
    /// Deletions remembered a view.
    pub tombstones_max: usize,
}

impl Publisher {
    /// A publisher of all views of a catalogue, with the ledgers of its result space.
    ///
    /// # Errors
    /// When a view's state cannot be made.
    pub fn new(catalog: &Catalog, limits: PublisherLimits, ledgers: LedgerWriter) -> Result<Self> {
        let mut publisher = Self::without_views(catalog, limits, ledgers);
        for view in &catalog.views {
            publisher.views.extend(ViewRuntime::new(catalog, view, limits)?);
        }
        publisher.over_results = ResultsView::of(catalog, limits)?;
        Ok(publisher)
    }

    /// A publisher of no view: it knows where partitions stand, and passes over what is folded for views.
    fn without_views(catalog: &Catalog, limits: PublisherLimits, ledgers: LedgerWriter) -> Self {
        let derived = catalog.streams.values().filter(|plan| plan.definition.derived.is_some());
        Self {
            space: Space::Live,
            streams: BTreeMap::new(),
            derived: derived
                .map(|plan| (plan.definition.name.clone(), plan.definition.base().to_owned()))
                .collect(),
            views: Vec::new(),
            over_results: Vec::new(),
            pending: BTreeMap::new(),
            scopes: None,
            limits,
            ledgers,
            discrepancies: Vec::new(),
            cut: 0,
        }
    }

    /// A publisher of the same views in another space, before its first record. It goes on with the numbers
    /// of this one's cuts.
    ///
    /// # Errors
    /// When a view's state cannot be made.
    fn alike(&self, space: Space, ledgers: LedgerWriter) -> Result<Self> {
        let mut streams = BTreeMap::new();
        for (name, at) in &self.streams {
            let fresh = |at: &SavedPartition| SavedPartition {
                added_at: at.added_at,
                ..SavedPartition::default()
            };
            let partitions = at.partitions.iter().map(|(number, at)| (*number, fresh(at)));
            streams.insert(
                name.clone(),
                StreamAt { topic: at.topic.clone(), partitions: partitions.collect() },
            );
        }
        Ok(Self {
            space,
            streams,
            derived: self.derived.clone(),
            views: self.views.iter().map(ViewRuntime::alike).collect::<Result<_>>()?,
            over_results: self.over_results.iter().map(ResultsView::alike).collect(),
            pending: self.pending.clone(),
            scopes: self.scopes.clone(),
            limits: self.limits,
            ledgers,
            discrepancies: Vec::new(),
            cut: self.cut,
        })
    }

    /// Adds a partition before its first record, so that the watermark waits for it.
    pub fn expect_partition(&mut self, stream: &str, partition: PartitionId) {
        self.streams.entry(stream.to_owned()).or_default().partitions.entry(partition).or_default();
    }

    /// Adds what one partition of a stream did since its last drain.
    pub fn absorb(&mut self, stream: &str, drain: PartitionDrain) {
        let (mut at, told) = drain.split();
        let before = self
            .streams
            .get(stream)
            .and_then(|known| known.partitions.get(&told.partition)?.next_offset);
        let offsets = (before.unwrap_or(0), at.next_offset.map_or(0, |next| next - 1));
        for (key, drained, failed) in told.views {
            // A view that has been taken out may still be told once.
            let view = self.views.iter_mut().find(|view| view.key == key);
            if let (Some(view), Some(fold)) = (view, at.views.get(&*key)) {
                view.absorb((stream, told.partition, offsets), drained, failed, fold);
            }
        }
        let stream_at = self.streams.entry(stream.to_owned()).or_default();
        for late in told.late {
            let Some(view) = self.views.iter_mut().find(|view| view.key == late.view) else {
                continue;
            };
            let place = (stream, stream_at.topic.as_str(), told.partition);
            let entry = ledgers::late(place, &view.name, late);
            if view.is_shown { self.ledgers.note([entry]) } else { view.late.note(entry) }
        }
        self.ledgers.note(told.dead_letters.into_iter().map(ledgers::dead_letter));
        for (table, notice) in told.notices {
            let place = (stream, stream_at.topic.as_str(), told.partition);
            self.ledgers.note(ledgers::unmatched(place, &table, notice));
        }
        if let Some(before) = stream_at.partitions.get(&told.partition) {
            (at.added_at, at.shadow_before) = (before.added_at, before.shadow_before);
        }
        stream_at.partitions.insert(told.partition, at);
    }

    /// Puts the windows together and makes the cut; views may read the tables of `both`, which are of both spaces, too.
    ///
    /// # Errors
    /// When the accounting cannot be shown; a failing view only stops itself.
    fn publish(&mut self, moment: &Moment, both: Vec<(String, RecordBatch)>) -> Result<Cut> {
        self.cut += 1;
        let cut = self.cut;
        // Before the cut is shown, so that whoever sees it finds its entries.
        self.ledgers.write();
        self.check();
        let streams = &self.streams;
        for view in self.views.iter_mut().filter(|view| view.is_shown && view.failed.is_none()) {
            let partitions = |name: &str| streams.get(name).map_or(0, |at| at.partitions.len());
            if let Some(reason) = view.is_uneven(partitions) {
                view.fail_for_now(reason);
                continue;
            }
            let progress = progress(streams, &view.inputs, moment);
            if let Err(reason) = view.fire_and_show(cut, progress) {
                let read: Vec<String> =
                    view.inputs.iter().map(|input| read_of(streams, input)).collect();
                view.fail(format!("{reason} ({})", read.join("; ")));
            }
            view.stop_where_it_fails();
        }
        let mut tables = self.accounts().tables()?;
        tables.extend(self.scopes.clone().map(|scopes| ("scopes".to_owned(), scopes)));
        tables.extend(both);
        let mut views = self.snapshots();
        let mut statuses = self.statuses();
        let (streams, over_streams) = (&self.streams, &self.views);
        let without_rows = |name: &str, bounds| {
            let view = over_streams.iter().find(|view| &*view.name == name && view.is_shown);
            view.map_or(Mark::Provisional, |view| {
                view.mark_without_rows(bounds, progress(streams, &view.inputs, moment))
            })
        };
        for view in &mut self.over_results {
            let name = view.published.info().name.clone();
            let is_behind = |input: &String| {
                statuses.get(input).is_some_and(|status| status.state == ViewState::CatchingUp)
            };
            // What it reads may still have the columns of the definition before.
            if view.inputs().any(is_behind) {
                statuses.entry(name.clone()).or_default().state = ViewState::CatchingUp;
            } else {
                let (views, tables) = (&views, &tables);
                view.show(cut, &Shown { views, tables, without_rows: &without_rows });
            }
            if let Some(reason) = &view.failed {
                let problem = Some(reason.clone());
                let status =
                    ViewStatus { state: ViewState::Stopped, problem, ..ViewStatus::default() };
                statuses.insert(name.clone(), status);
            }
            views.insert(name, view.published.snapshot());
        }
        Ok(Cut {
            cut,
            streams: self.told(moment),
            offsets: self
                .streams
                .iter()
                .map(|(name, stream)| (name.clone(), stream.offsets()))
                .collect(),
            published_at: moment.now_ms,
            views,
            statuses,
            tables,
            // They are put in by whoever has them.
            histories: BTreeMap::new(),
            of: self.space,
            shadow: None,
        })
    }

    fn told(&self, moment: &Moment) -> BTreeMap<String, StreamProgress> {
        let own = self.streams.keys().map(|name| (name, name));
        let derived = self.derived.iter();
        own.chain(derived)
            .filter_map(|(name, base)| {
                let at = self.streams.get(base)?;
                Some((name.clone(), at.told(at.progress(base, name, moment))))
            })
            .collect()
    }

    /// The views over streams; one that is filled for the first time is there already, without a row.
    fn snapshots(&mut self) -> BTreeMap<String, Arc<Snapshot>> {
        let shown = self.views.iter_mut().filter(|view| view.is_shown);
        let mut all: BTreeMap<String, Arc<Snapshot>> =
            shown.map(|view| (view.name.to_string(), view.published.snapshot())).collect();
        let joining =
            self.views.iter().filter(|view| !view.is_shown).map(|view| view.published.info());
        for info in joining.chain(self.pending.values().map(|(info, _)| info)) {
            all.entry(info.name.clone())
                .or_insert_with(|| Arc::new(Snapshot::empty(Arc::clone(info))));
        }
        all
    }

    fn statuses(&self) -> BTreeMap<String, ViewStatus> {
        let mut all = BTreeMap::new();
        for view in &self.views {
            let status: &mut ViewStatus = all.entry(view.name.to_string()).or_default();
            if !view.is_shown {
                status.state = ViewState::CatchingUp;
                continue;
            }
            status.since = view.since_offsets();
            if let (Some(reason), ViewState::Live) = (&view.failed, status.state) {
                status.problem = Some(reason.clone());
                status.state = ViewState::Stopped;
            } else if status.state == ViewState::Live {
                status.problem = view.problem();
            }
        }
        for (name, (_, filled)) in &self.pending {
            let status: &mut ViewStatus = all.entry(name.clone()).or_default();
            status.state = match filled.has_failed {
                true => ViewState::Stopped,
                false => ViewState::CatchingUp,
            };
            status.problem = filled.problem.clone();
            status.filled = Some(filled.clone());
        }
        all
    }

    fn accounts(&self) -> Accounts<'_> {
        Accounts {
            streams: self
                .streams
                .iter()
                .map(|(name, at)| (name.as_str(), &at.partitions))
                .collect(),
            views: self
                .views
                .iter()
                .filter(|view| view.is_shown)
                .map(ViewRuntime::to_account)
                .collect(),
        }
    }

    /// Looks whether anything has disappeared; each new discrepancy is logged once.
    fn check(&mut self) {
        let found = self.accounts().discrepancies();
        if self.discrepancies.is_empty() {
            for what in &found {
                tracing::error!("the accounting does not add up: {what}");
            }
        }
        let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        // Those of the shadow space are told under a name of their own, so that no sum mixes them in.
        match self.space {
            Space::Live => {
                metrics::gauge!("tidemark_accounting_discrepancies").set(f64::from(count))
            }
            Space::Shadow => {
                metrics::gauge!("tidemark_shadow_accounting_discrepancies").set(f64::from(count))
            }
        }
        self.discrepancies = found;
    }

    /// What someone must look at: accounting that does not add up, ledgers without room, stopped views.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let lost =
            self.discrepancies.iter().map(|what| format!("the accounting does not add up: {what}"));
        let stopped =
            self.failures().map(|(view, reason)| format!("view {view} is stopped: {reason}"));
        let failing = self.problems().map(|(view, problem)| format!("view {view}: {problem}"));
        lost.chain(self.ledgers.alarms()).chain(stopped).chain(failing).collect()
    }

    /// Views that lack rows at this cut because an expression fails on what windows hold, with what is wrong.
    pub fn problems(&self) -> impl Iterator<Item = (&str, String)> {
        let running = self.views.iter().filter(|view| view.is_shown && view.failed.is_none());
        running.filter_map(|view| Some((&*view.name, view.problem()?)))
    }

    /// Views that were stopped, with their reasons.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        let streams =
            self.views.iter().filter_map(|view| Some((&*view.name, view.failed.as_deref()?)));
        let results = self.over_results.iter();
        streams.chain(results.filter_map(|view| {
            Some((view.published.info().name.as_str(), view.failed.as_deref()?))
        }))
    }

    /// Number of the last cut.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

/// How far the streams of a view are together; one that is not read is at its beginning.
fn progress(
    streams: &BTreeMap<String, StreamAt>,
    inputs: &[ViewInput],
    moment: &Moment,
) -> Progress {
    let beginning = Progress {
        watermark: i64::MIN,
        settled: i64::MIN,
        as_of: None,
        partitions: 0,
        ended: false,
    };
    let of_input = |input: &ViewInput| match streams.get(&*input.base) {
        Some(at) => at.progress(&input.base, &input.stream, moment),
        None => beginning,
    };
    inputs.iter().map(of_input).reduce(Progress::weaker).unwrap_or(beginning)
}

/// A stream, and how far it has been read.
fn read_of(streams: &BTreeMap<String, StreamAt>, input: &ViewInput) -> String {
    let read = streams.get(&*input.base).map(StreamAt::offsets).unwrap_or_default();
    let read: Vec<String> = read
        .iter()
        .map(|(partition, next)| format!("partition {partition} to offset {}", next - 1))
        .collect();
    format!("stream {}, {}", input.stream, read.join(", "))
}
