//! Merges what the partitions of all streams folded and publishes every view at one cut.

mod streams;
mod view;
mod over_results;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;

pub use streams::{Moment, StreamAt};
use over_results::{ResultsView, Shown};
pub use view::{ViewRuntime, view_info, view_key, views_to_run};

use super::accounting::{
    LateEntry, Ledger, OrdersRow, RecordRow, ViewRow, lifecycle_accounted, records_accounted, views_accounted,
};
use super::partition::{LateRecord, PartitionDrain};
use crate::model::{DeadLetter, PartitionId};
use crate::results::{Cut, Snapshot, StreamProgress};
use crate::sql::Catalog;
use crate::windows::fire::Progress;

/// All views over all streams in one result space, and the engine's own tables.
#[derive(Debug)]
pub struct Publisher {
    /// The streams that are read, by name.
    pub streams: BTreeMap<String, StreamAt>,
    /// The tables derived from them, each with its stream.
    derived: BTreeMap<String, String>,
    /// The views over streams, in the order of their names.
    pub views: Vec<ViewRuntime>,
    /// The views over other views and tables, each after those it reads.
    over_results: Vec<ResultsView>,
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

impl Publisher {
    /// A publisher of all views of a catalogue.
    ///
    /// # Errors
    /// When a view's state cannot be made.
    pub fn new(catalog: &Catalog, limits: PublisherLimits) -> Result<Self> {
        let mut views = Vec::new();
        for view in &catalog.views {
            views.extend(ViewRuntime::new(catalog, view, limits)?);
        }
        let derived = catalog.streams.values().filter(|plan| plan.definition.derived.is_some());
        Ok(Self {
            streams: BTreeMap::new(),
            derived: derived
                .map(|plan| (plan.definition.name.clone(), plan.definition.base().to_owned()))
                .collect(),
            views,
            over_results: ResultsView::of(catalog, limits)?,
            late: Ledger::new(limits.ledger_rows_max),
            dead_letters: Ledger::new(limits.ledger_rows_max),
            cut: 0,
        })
    }

    /// Adds a partition before its first record, so that the watermark waits for it.
    pub fn expect_partition(&mut self, stream: &str, partition: PartitionId) {
        self.streams.entry(stream.to_owned()).or_default().partitions.entry(partition).or_default();
    }

    /// Adds what one partition of a stream did since its last drain.
    pub fn absorb(&mut self, stream: &str, drain: PartitionDrain) {
        let (at, told) = drain.split();
        let before = self.streams.get(stream).and_then(|known| known.partitions.get(&told.partition)?.next_offset);
        let range = format!(
            "stream {stream}, partition {}, offsets {} to {}",
            told.partition,
            before.unwrap_or(0),
            at.next_offset.map_or(0, |next| next - 1)
        );
        for (key, drained, failed) in told.views {
            // A view that has been taken out may still be told once.
            let Some(view) = self.views.iter_mut().find(|view| view.key == key) else { continue };
            if let Some(reason) = failed {
                view.fail(reason);
            }
            if view.failed.is_some() {
                continue;
            }
            if let Err(error) = view.state.absorb(told.partition, drained) {
                view.fail(format!("{} ({range})", error.strip_backtrace()));
            }
        }
        for late in told.late {
            let Some(view) = self.views.iter().find(|view| view.key == late.view) else { continue };
            self.late.push(late_entry(stream, &view.name, told.partition, late));
        }
        for letter in told.dead_letters {
            self.dead_letters.push(letter);
        }
        self.streams.entry(stream.to_owned()).or_default().partitions.insert(told.partition, at);
    }

    /// Puts the windows together and makes the cut.
    ///
    /// # Errors
    /// When the accounting cannot be shown; a failing view only stops itself.
    pub fn publish(&mut self, moment: &Moment) -> Result<Cut> {
        self.cut += 1;
        let cut = self.cut;
        let streams = &self.streams;
        for view in self.views.iter_mut().filter(|view| view.failed.is_none()) {
            let progress = progress(streams, (&view.base, &view.stream), moment);
            if let Err(reason) = view.fire_and_show(cut, progress) {
                let read = streams.get(&*view.stream).map(StreamAt::offsets).unwrap_or_default();
                let read: Vec<String> = read.iter().map(|(partition, next)| format!("partition {partition} to offset {}", next - 1)).collect();
                view.fail(format!("{reason} (stream {}, {})", view.stream, read.join(", ")));
            }
        }
        let tables = self.tables()?;
        let mut views: BTreeMap<String, Arc<Snapshot>> =
            self.views.iter_mut().map(|view| (view.name.to_string(), view.published.snapshot())).collect();
        for view in &mut self.over_results {
            view.show(cut, &Shown { views: &views, tables: &tables });
            views.insert(view.published.info().name.clone(), view.published.snapshot());
        }
        Ok(Cut {
            cut,
            streams: self.told(moment),
            offsets: self.streams.iter().map(|(name, stream)| (name.clone(), stream.offsets())).collect(),
            published_at: moment.now_ms,
            views,
            tables,
        })
    }

    fn told(&self, moment: &Moment) -> BTreeMap<String, StreamProgress> {
        let own = self.streams.keys().map(|name| (name, name));
        let derived = self.derived.iter().map(|(name, base)| (name, base));
        own.chain(derived)
            .filter_map(|(name, base)| {
                let at = self.streams.get(base)?;
                Some((name.clone(), at.told(at.progress(base, name, moment))))
            })
            .collect()
    }

    fn tables(&mut self) -> Result<BTreeMap<String, RecordBatch>> {
        let mut records: Vec<RecordRow<'_>> = Vec::new();
        let mut views: Vec<ViewRow<'_>> = Vec::new();
        let mut orders: Vec<OrdersRow<'_>> = Vec::new();
        for (name, stream) in &self.streams {
            for (partition, at) in &stream.partitions {
                records.push((name, *partition, at.counts));
                orders.extend(at.operators.iter().map(|(table, counts)| (table.as_str(), *partition, *counts)));
            }
        }
        for view in &self.views {
            for (partition, at) in self.streams.get(&*view.base).iter().flat_map(|stream| &stream.partitions) {
                let counts = at.views.get(&*view.key).map(|fold| fold.counts).unwrap_or_default();
                views.push((&view.name, *partition, counts));
            }
        }
        Ok(BTreeMap::from([
            ("records_accounted".to_owned(), records_accounted(&records)?),
            ("views_accounted".to_owned(), views_accounted(&views)?),
            ("lifecycle_accounted".to_owned(), lifecycle_accounted(&orders)?),
            ("late_orders".to_owned(), self.late.table()?),
            ("dead_letters".to_owned(), self.dead_letters.table()?),
        ]))
    }

    /// Views that were stopped, with their reasons.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        let streams = self.views.iter().filter_map(|view| Some((&*view.name, view.failed.as_deref()?)));
        let results = self.over_results.iter();
        streams.chain(results.filter_map(|view| Some((view.published.info().name.as_str(), view.failed.as_deref()?))))
    }

    /// Number of the last cut.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

/// How far a stream is, which may be derived from `base`; one that is not read is at its beginning.
fn progress(streams: &BTreeMap<String, StreamAt>, (base, stream): (&str, &str), moment: &Moment) -> Progress {
    match streams.get(base) {
        Some(at) => at.progress(base, stream, moment),
        None => Progress { watermark: i64::MIN, settled: i64::MIN, as_of: None, ended: false },
    }
}

fn late_entry(stream: &str, view: &str, partition: PartitionId, late: LateRecord) -> LateEntry {
    LateEntry {
        stream: stream.to_owned(),
        position: (partition, late.offset),
        view: view.to_owned(),
        window: (late.missed.window_start, late.missed.window_end),
        windows_missed: late.missed.missed,
        times: (late.event_time, late.watermark),
        raw: late.raw,
    }
}
