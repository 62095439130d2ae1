//! The real pipeline over a log in memory: no source, no clock, batches and publishes where the dice
//! put them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::event_time::{PartitionProgress, merged};
use tidemark_pipeline::model::record::{SHADOW_HEADER, WATERMARK_HEADER};
use tidemark_pipeline::model::{Header, PartitionId, Record};
use tidemark_pipeline::results::Mark;
use tidemark_pipeline::results::json::write_row;
use tidemark_pipeline::run::build::{ViewToRun, partition_run};
use tidemark_pipeline::run::partition::PartitionStart;
use tidemark_pipeline::run::partition::{PartitionDrain, PartitionRun, Place};
use tidemark_pipeline::run::publisher::views_to_run;
use tidemark_pipeline::run::reference::catalog as catalog_of;
use tidemark_pipeline::sql::{Catalog, StateBounds};
use tidemark_pipeline::windows::ViewCounts;
use tidemark_pipeline::windows::fire::{Firing, Progress, ViewState};
use tidemark_pipeline::windows::table::PartitionTable;

use crate::orders::{Body, Entry, Log};
use crate::queries::{Query, regions, stream_sql};
use crate::reference::{Expected, Records};

/// How a log is run; none of it may change what comes out.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Records taken in before they are processed, at most.
    pub batch_records_max: usize,
    /// Chance of a publish after a batch.
    pub publish: f64,
    /// Chance of a restart from a checkpoint after a publish.
    pub restart: f64,
}

/// Rows of a window as they are shown, with mark and revision; by start and end.
pub type Shown = BTreeMap<(i64, i64), (Vec<String>, Mark, u64)>;

/// What came out of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Accounting by partition.
    pub records: Vec<Records>,
    /// Final rows, accounting and late records by query.
    pub views: BTreeMap<&'static str, Expected>,
    /// What each query showed at the end of the log, before the input was said to have ended.
    pub shown: BTreeMap<&'static str, Shown>,
}

/// The catalogue with the test stream and all queries.
///
/// # Errors
/// When a statement is refused.
pub fn catalog(log: &Log, queries: &[Query]) -> Result<Catalog> {
    let folder = tempfile::tempdir()?;
    let write = |path: &str, text: String| -> Result<()> {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        Ok(std::fs::write(path, text)?)
    };
    write("streams/orders.sql", stream_sql(log.shape))?;
    let (sql, lines) = regions();
    write("reference/regions.sql", sql.to_owned())?;
    write("reference/regions.csv", lines)?;
    for query in queries {
        write(&format!("views/{}.sql", query.name), query.sql(log.shape))?;
    }
    catalog_of(folder.path(), &BTreeMap::new(), StateBounds::default()).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(all.join("\n"))
    })
}

/// Runs a log to its end. The queries must be in the order of their names.
///
/// # Errors
/// When the engine does, or when a closed window is shown again with other rows.
pub fn run(
    log: &Log,
    queries: &[Query],
    schedule: Schedule,
    dice: &mut ChaCha8Rng,
) -> Result<Outcome> {
    let catalog = catalog(log, queries)?;
    let mut engine = Engine::start(log, &catalog, queries)?;
    let mut next = vec![0; log.partitions.len()];
    while let Some(partition) = waiting(log, &next, dice) {
        let entries = &log.partitions[partition][next[partition]..];
        let count = dice.random_range(1..=schedule.batch_records_max).min(entries.len());
        engine.read(partition, next[partition], &entries[..count])?;
        next[partition] += count;
        if dice.random_bool(schedule.publish) {
            engine.publish(false)?;
            if dice.random_bool(schedule.restart) {
                engine.restart()?;
            }
        }
    }
    engine.publish(false)?;
    let shown = queries
        .iter()
        .zip(&engine.views)
        .map(|(query, view)| (query.name, view.shown.clone()))
        .collect();
    engine.publish(true)?;
    Ok(engine.outcome(shown))
}

/// A random partition that has records left.
fn waiting(log: &Log, next: &[usize], dice: &mut ChaCha8Rng) -> Option<usize> {
    let left: Vec<usize> =
        (0..next.len()).filter(|at| next[*at] < log.partitions[*at].len()).collect();
    (!left.is_empty()).then(|| left[dice.random_range(0..left.len())])
}

struct View {
    name: &'static str,
    key: Arc<str>,
    state: ViewState,
    shown: Shown,
    late: Vec<(u32, i64, Vec<(i64, i64)>)>,
}

struct Engine<'a> {
    catalog: &'a Catalog,
    to_run: Vec<ViewToRun>,
    partitions: Vec<PartitionRun>,
    /// What a checkpoint would hold of each partition.
    saved: Vec<PartitionStart>,
    views: Vec<View>,
}

impl<'a> Engine<'a> {
    fn start(log: &Log, catalog: &'a Catalog, queries: &[Query]) -> Result<Self> {
        let to_run = views_to_run(catalog, "orders");
        ensure!(to_run.len() == queries.len(), "a query is missing");
        let zone = catalog.streams["orders"].definition.zone;
        let view = |(query, run): (&Query, &ViewToRun)| -> Result<View> {
            Ok(View {
                name: query.name,
                key: Arc::clone(&run.key),
                state: run.state(zone)?,
                shown: Shown::new(),
                late: Vec::new(),
            })
        };
        let views = queries.iter().zip(&to_run).map(view).collect::<Result<_>>()?;
        let mut engine = Self {
            catalog,
            partitions: Vec::new(),
            saved: vec![PartitionStart::default(); log.partitions.len()],
            to_run,
            views,
        };
        engine.partitions = (0..)
            .take(log.partitions.len())
            .map(|number| engine.partition(number))
            .collect::<Result<_>>()?;
        Ok(engine)
    }

    fn partition(&self, partition: PartitionId) -> Result<PartitionRun> {
        let place = Place {
            origin: "orders".to_owned(),
            is_file: false,
            partition,
            partitions: None,
            has_others: self.saved.len() > 1,
        };
        Ok(partition_run(&self.catalog.streams["orders"], &[], place, None, &self.to_run)?)
    }

    fn read(&mut self, partition: usize, from: usize, entries: &[Entry]) -> Result<()> {
        let run = &mut self.partitions[partition];
        for (at, entry) in entries.iter().enumerate() {
            let (payload, header): (Vec<u8>, Option<(&str, String)>) = match &entry.body {
                Body::Order(order) => (order.json().into_bytes(), None),
                Body::Broken(bytes) => (bytes.clone(), None),
                Body::Shadow(order) => {
                    (order.json().into_bytes(), Some((SHADOW_HEADER, "1".to_owned())))
                }
                Body::Control(time) => (Vec::new(), Some((WATERMARK_HEADER, time.to_string()))),
            };
            let headers: Vec<Header<'_>> =
                header.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            run.take(Record {
                partition: u32::try_from(partition)?,
                offset: i64::try_from(from + at)?,
                timestamp_ms: Some(entry.log_time),
                headers: &headers,
                key: None,
                payload: &payload,
            });
        }
        Ok(run.process()?)
    }

    fn publish(&mut self, ended: bool) -> Result<()> {
        for number in 0..self.partitions.len() {
            let drain = self.partitions[number].drain()?.live;
            self.absorb(number, drain)?;
        }
        let progress: Vec<PartitionProgress> = self
            .saved
            .iter()
            .map(|saved| PartitionProgress { watermark: saved.at.watermark, quiet: Duration::ZERO })
            .collect();
        let (watermark, settled) = merged(&progress, Duration::MAX);
        let as_of =
            self.saved.iter().filter_map(|saved| saved.at.as_of.get("orders").copied()).max();
        for view in &mut self.views {
            let firing = view.state.fire(Progress {
                watermark,
                settled,
                as_of,
                partitions: self.saved.len(),
                ended,
            })?;
            show(view, firing)?;
        }
        Ok(())
    }

    fn absorb(&mut self, number: usize, drain: PartitionDrain) -> Result<()> {
        ensure!(drain.counts.balances(), "records have disappeared: {:?}", drain.counts);
        let (at, told) = drain.split();
        for late in &told.late {
            let view =
                self.views.iter_mut().find(|view| view.key == late.view).context("a known view")?;
            view.late.push((told.partition, late.offset, late.missed.missed.iter().collect()));
        }
        for (key, drained, failed) in told.views {
            ensure!(failed.is_none(), "{key} failed: {failed:?}");
            let counts = at.views[&*key].counts;
            let balances = counts.accepted == counts.counted + counts.filtered + counts.late;
            ensure!(balances, "{key}: records have disappeared: {counts:?}");
            let view =
                self.views.iter_mut().find(|view| view.key == key).context("a known view")?;
            view.state.absorb(told.partition, drained)?;
        }
        let saved = &mut self.saved[number];
        saved.at = at;
        saved.dedup.in_memory.extend(told.dedup.fresh);
        Ok(())
    }

    /// Throws everything away and goes on from what the last publish would have saved.
    fn restart(&mut self) -> Result<()> {
        let zone = self.catalog.streams["orders"].definition.zone;
        let watermark = self.saved.iter().map(|saved| saved.at.watermark).min();
        for number in 0..self.partitions.len() {
            let mut run = self.partition(u32::try_from(number)?)?;
            run.restore(self.saved[number].clone())?;
            self.partitions[number] = run;
        }
        for (view, run) in self.views.iter_mut().zip(&self.to_run) {
            let tables = view
                .state
                .tables()
                .iter()
                .map(|(partition, table)| (*partition, copy(table)))
                .collect();
            let bases = view.state.bases().clone();
            view.state = run.state(zone)?;
            view.state.restore(tables, bases, watermark.unwrap_or(i64::MIN));
        }
        Ok(())
    }

    fn outcome(self, shown: BTreeMap<&'static str, Shown>) -> Outcome {
        let records = self.saved.iter().map(|PartitionStart { at, .. }| {
            let counts = at.counts;
            [
                counts.read,
                counts.accepted,
                counts.duplicate,
                counts.rejected,
                counts.shadow,
                counts.control,
            ]
        });
        let mut outcome = Outcome { records: records.collect(), shown, ..Outcome::default() };
        for mut view in self.views {
            let mut rows: Vec<(String, u64)> = view
                .shown
                .into_values()
                .flat_map(|(rows, _, revision)| rows.into_iter().map(move |row| (row, revision)))
                .collect();
            rows.sort();
            view.late.sort_unstable();
            let of_partition = |PartitionStart { at, .. }: &PartitionStart| {
                let counts =
                    at.views.get(&*view.key).map_or_else(ViewCounts::default, |fold| fold.counts);
                [counts.accepted, counts.counted, counts.filtered, counts.late]
            };
            let counts = self.saved.iter().map(of_partition).collect();
            outcome.views.insert(view.name, Expected { rows, counts, late: view.late });
        }
        outcome
    }
}

fn show(view: &mut View, firing: Firing) -> Result<()> {
    for window in firing.withdrawn {
        let gone = view.shown.remove(&window);
        ensure!(
            gone.is_none_or(|(_, mark, _)| mark != Mark::Final),
            "{}: the closed window {window:?} was withdrawn",
            view.name
        );
    }
    // Sessions of several keys may share a window; each firing holds all of them.
    for fired in firing.fired {
        let window = fired.instants.unwrap_or((i64::MIN, i64::MAX));
        let columns: Vec<usize> = (0..fired.rows.num_columns()).collect();
        let mut rows: Vec<String> = (0..fired.rows.num_rows())
            .map(|row| {
                let mut text = String::new();
                write_row(&mut text, &fired.rows, &columns, row);
                text
            })
            .collect();
        rows.sort();
        if let Some((before, Mark::Final, revision)) = view.shown.get(&window) {
            ensure!(
                *before == rows && *revision == fired.revision,
                "{}: the closed window {window:?} was shown again\nbefore {before:?}\nnow    {rows:?}",
                view.name
            );
        }
        view.shown.insert(window, (rows, fired.mark, fired.revision));
    }
    Ok(())
}

fn copy(table: &PartitionTable) -> PartitionTable {
    PartitionTable {
        slices: table.slices.clone(),
        prefixes: table.prefixes.clone(),
        rows: table.rows.clone(),
        sessions: table.sessions.clone(),
        revised: table.revised.clone(),
    }
}
