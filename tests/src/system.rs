//! The pipeline as `serve` wires it, without sources, threads and clock: records go in by hand, and
//! publishes, checkpoints and crashes happen when a test says so.
//!
//! Everything between is the engine's own: [`partition_run`], [`Publisher`], [`Saving`] with its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use arrow::array::RecordBatch;
use tempfile::TempDir;
use tidemark_pipeline::admit::KeyRoom;
use tidemark_pipeline::ledger::{Entry, LedgerKind, LedgerStore, Limits, table};
use tidemark_pipeline::model::{Offset, PartitionId, Record, Space};
use tidemark_pipeline::results::Cut;
use tidemark_pipeline::run::build::partition_run;
use tidemark_pipeline::run::checkpoints::Backlog;
use tidemark_pipeline::run::partition::{PartitionRun, Place};
use tidemark_pipeline::run::publisher::{Moment, PublisherLimits, Publishers, views_to_run};
use tidemark_pipeline::run::saving::{Saving, StreamToRead};
use tidemark_pipeline::sql::Catalog;
use tidemark_pipeline::state::dedup_store::DedupStore;
use tidemark_pipeline::state::objects::{self, Objects};

/// More than any test's ledgers and deletions.
const LIMITS: PublisherLimits = PublisherLimits { tombstones_max: 1_000 };
/// Dedup keys of a partition in memory: so few that most are looked up on disk.
const KEYS_MAX: usize = 64;
/// After how long a silent partition is idle; silence is a test's word here, not time.
const IDLE_AFTER: Duration = Duration::from_secs(30);

type PartitionName = (String, PartitionId);

/// A rejected record as the engine told it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letter {
    /// Partition.
    pub partition: PartitionId,
    /// Offset.
    pub offset: Offset,
    /// Reason.
    pub reason: String,
}

/// A pipeline in a test's hands.
pub struct System {
    catalog: Arc<Catalog>,
    streams: Vec<StreamToRead>,
    publisher: Publishers,
    saving: Saving,
    runs: BTreeMap<PartitionName, PartitionRun>,
    idle: BTreeSet<PartitionName>,
    letters: Vec<Letter>,
    cut: Arc<Cut>,
    disk: Disk,
    folder: TempDir,
}

/// What outlives a crash beside the checkpoints, opened once because one process has it at a time.
struct Disk {
    ledgers: Arc<LedgerStore>,
    keys: Arc<DedupStore>,
}

impl System {
    /// All streams of a catalogue, each with this many partitions, at their beginning.
    ///
    /// # Errors
    /// When the engine cannot be set up.
    pub fn open(catalog: Arc<Catalog>, partitions: u32) -> Result<Self> {
        let folder = memory_folder()?;
        let streams: Vec<StreamToRead> = catalog
            .streams
            .iter()
            .filter(|(_, plan)| plan.definition.derived.is_none())
            .map(|(name, plan)| StreamToRead {
                name: name.clone(),
                hash: catalog.stream_hash(plan),
                dedup_horizon_ms: plan.definition.dedup_horizon_ms,
                accepts_partitions: false,
                partitions: (0..partitions).collect(),
            })
            .collect();
        let disk = Disk {
            ledgers: LedgerStore::open(&folder.path().join("ledgers"))?,
            keys: DedupStore::new(&folder.path().join("dedup"), 1 << 20),
        };
        let (publisher, saving, runs) = start(&catalog, &streams, &disk, folder.path())?;
        Ok(Self {
            catalog,
            streams,
            publisher,
            saving,
            runs,
            idle: BTreeSet::new(),
            letters: Vec::new(),
            cut: Arc::default(),
            disk,
            folder,
        })
    }

    /// Takes records of one partition in and folds them, as one batch.
    ///
    /// # Errors
    /// When there is no such partition or the stream's own expression fails.
    pub fn read<'a>(
        &mut self,
        stream: &str,
        partition: PartitionId,
        records: impl IntoIterator<Item = Record<'a>>,
    ) -> Result<()> {
        let run = self
            .runs
            .get_mut(&(stream.to_owned(), partition))
            .with_context(|| format!("there is no partition {partition} of stream {stream}"))?;
        records.into_iter().for_each(|record| run.take(record));
        Ok(run.process()?)
    }

    /// Offset of the next record of a partition; 0 before the first.
    #[must_use]
    pub fn next_offset(&self, stream: &str, partition: PartitionId) -> Offset {
        self.runs
            .get(&(stream.to_owned(), partition))
            .and_then(PartitionRun::next_offset)
            .unwrap_or(0)
    }

    /// Says that a partition has been silent for long.
    pub fn idle(&mut self, stream: &str, partition: PartitionId) {
        self.idle.insert((stream.to_owned(), partition));
    }

    /// One cut over everything read so far.
    ///
    /// # Errors
    /// When the engine fails, a view is stopped, or an identity does not hold.
    pub fn publish(&mut self) -> Result<Arc<Cut>> {
        for ((stream, _), run) in &mut self.runs {
            let mut drain = run.drain()?;
            for drain in std::iter::once(&drain.live).chain(&drain.shadow) {
                ensure!(drain.counts.balances(), "records have disappeared: {:?}", drain.counts);
            }
            self.letters.extend(drain.live.dead_letters.iter().map(|letter| Letter {
                partition: letter.position.partition,
                offset: letter.position.offset,
                reason: letter.reason.to_string(),
            }));
            self.saving.note(stream, &mut drain);
            self.publisher.absorb(stream, drain)?;
        }
        let mut quiet: BTreeMap<String, BTreeMap<PartitionId, Duration>> = BTreeMap::new();
        for (stream, partition) in &self.idle {
            quiet.entry(stream.clone()).or_default().insert(*partition, 2 * IDLE_AFTER);
        }
        let moment = Moment { now_ms: 0, quiet: quiet.clone(), idle_after: IDLE_AFTER };
        let cut = Arc::new(self.publisher.publish(&moment, quiet)?);
        for cut in std::iter::once(&cut).chain(&cut.shadow) {
            balances(cut)?;
        }
        // Views that are stopped or lack rows are a test's own affair.
        let is_own = |alarm: &String| {
            [" is stopped: ", ": no row for the window ", ": it has no row: "]
                .iter()
                .any(|words| alarm.contains(words))
        };
        let alarms: Vec<String> =
            self.publisher.alarms().into_iter().filter(|alarm| !is_own(alarm)).collect();
        ensure!(alarms.is_empty(), "{alarms:?}");
        self.cut = Arc::clone(&cut);
        Ok(cut)
    }

    /// Views that were stopped, with their reasons.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let publishers = std::iter::once(&self.publisher.live).chain(&self.publisher.shadow);
        let failures = publishers.flat_map(|publisher| publisher.failures());
        failures.map(|(view, reason)| format!("{view}: {reason}")).collect()
    }

    /// Views that lack rows at the last cut, with what is wrong.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let publishers = std::iter::once(&self.publisher.live).chain(&self.publisher.shadow);
        let problems = publishers.flat_map(|publisher| publisher.problems());
        problems.map(|(view, problem)| format!("{view}: {problem}")).collect()
    }

    /// What someone must look at.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        self.publisher.alarms()
    }

    /// Writes a checkpoint of the last cut.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&mut self) -> Result<()> {
        self.publisher.persist_ledgers()?;
        self.saving.save(&self.publisher)?;
        let offsets = self.publisher.offsets();
        Ok(self.publisher.checkpoint_written(&offsets)?)
    }

    /// Loses everything but the files, and goes on from the newest checkpoint in them.
    ///
    /// # Errors
    /// When the checkpoint cannot be taken up.
    pub fn crash(&mut self) -> Result<()> {
        self.runs.clear();
        (self.publisher, self.saving, self.runs) =
            start(&self.catalog, &self.streams, &self.disk, self.folder.path())?;
        Ok(())
    }

    /// As [`System::crash`], with another catalogue of the same streams.
    ///
    /// # Errors
    /// When the checkpoint cannot be taken up, or lacks one of the catalogue's views.
    pub fn restart(&mut self, catalog: Arc<Catalog>) -> Result<()> {
        self.catalog = catalog;
        self.crash()
    }

    /// From the next restart on, all streams have so many partitions.
    pub fn repartition(&mut self, partitions: u32) {
        for stream in &mut self.streams {
            stream.partitions = (0..partitions).collect();
        }
    }

    /// What it runs.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The last cut.
    #[must_use]
    pub fn cut(&self) -> &Arc<Cut> {
        &self.cut
    }

    /// A ledger of real orders as SQL shows it at the last cut.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn ledger(&self, ledger: LedgerKind) -> Result<RecordBatch> {
        self.ledger_of(Space::Live, ledger)
    }

    /// A ledger of a result space as SQL shows it at the last cut.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn ledger_of(&self, space: Space, ledger: LedgerKind) -> Result<RecordBatch> {
        let stands = |entry: &Entry| {
            let next = self
                .cut
                .offsets
                .get(&entry.id.stream)
                .and_then(|stream| stream.get(&entry.id.partition));
            next.is_some_and(|next| entry.stands_at(*next))
        };
        let all =
            self.disk.ledgers.scan(space.as_str(), ledger)?.collect::<Result<Vec<Entry>, _>>()?;
        let rows: Vec<_> = all.into_iter().filter(stands).flat_map(table::rows_of).collect();
        Ok(table::batch(ledger, self.catalog.zone(), &rows)?)
    }

    /// Whether every ledger is where the partitions are, as it must be right after a start: nothing in it is due to
    /// a record that will be read again.
    ///
    /// # Errors
    /// The first entry that should have been taken back.
    pub fn ledgers_are_rewound(&self) -> Result<()> {
        for space in Space::ALL {
            for ledger in LedgerKind::ALL {
                for entry in self.disk.ledgers.scan(space.as_str(), ledger)? {
                    let entry = entry?;
                    let next = self.next_offset(&entry.id.stream, entry.id.partition);
                    let ends_later = entry.until.is_some_and(|until| until >= next);
                    ensure!(
                        entry.since < next && !ends_later,
                        "{} has what offsets from {next} on brought about: {entry:?}",
                        ledger.table()
                    );
                }
            }
        }
        Ok(())
    }

    /// The records rejected since the last call, in the order in which they were drained.
    pub fn take_letters(&mut self) -> Vec<Letter> {
        std::mem::take(&mut self.letters)
    }
}

fn start(
    catalog: &Catalog,
    streams: &[StreamToRead],
    disk: &Disk,
    folder: &Path,
) -> Result<(Publishers, Saving, BTreeMap<PartitionName, PartitionRun>)> {
    let limits = Limits { bytes_max: 1 << 40, checkpoints_kept: 2, partitions: 1 };
    let mut publisher = Publishers::new(catalog, LIMITS, (Arc::clone(&disk.ledgers), limits))?;
    let keys = (Arc::clone(&disk.keys), KeyRoom::for_keys(KEYS_MAX, 2));
    let place: Arc<dyn Objects> = Arc::new(objects::Disk::open(folder)?);
    let (mut saving, mut resumed) =
        Saving::open((&place, 2), keys, streams, &mut publisher, Backlog::new(u64::MAX))?;
    saving.scopes().check(&catalog.scopes).map_err(|conflicts| {
        anyhow::anyhow!(conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    saving.learn_scopes(&catalog.scopes)?;
    ensure!(resumed.unfilled.is_empty(), "views that the checkpoint lacks: {:?}", resumed.unfilled);
    let mut runs = BTreeMap::new();
    for stream in streams {
        let plan = catalog.streams.get(&stream.name).context("a stream of the catalogue")?;
        let views = views_to_run(catalog, &stream.name);
        let derived = catalog.derived_from(&stream.name);
        for partition in &stream.partitions {
            publisher.expect_partition(&stream.name, *partition);
            let place = Place {
                origin: stream.name.clone(),
                is_file: false,
                partition: *partition,
                partitions: u32::try_from(stream.partitions.len()).ok(),
                has_others: stream.partitions.len() > 1,
            };
            let mut run = partition_run(plan, &derived, place, None, &views)?;
            run.overflow_to(saving.overflow(&stream.name, *partition))?;
            let name = (stream.name.clone(), *partition);
            if let Some(start) = resumed.partitions.remove(&name) {
                run.restore(start)?;
            }
            if let Some(start) = resumed.shadow.remove(&name) {
                run.restore_shadow(start)?;
            }
            let next_offset = run.next_offset().unwrap_or(0);
            publisher.rewind_ledgers((&stream.name, *partition), next_offset)?;
            runs.insert(name, run);
        }
    }
    Ok((publisher, saving, runs))
}

/// The identities, for every partition of every stream, view and life cycle, from the tables people can query.
fn balances(cut: &Cut) -> Result<()> {
    for (table, whole, parts) in [
        (
            "records_accounted",
            "read",
            &["accepted", "duplicate", "rejected", "shadow", "control"][..],
        ),
        ("views_accounted", "accepted", &["counted", "filtered", "late"]),
        (
            "lifecycle_accounted",
            "taken",
            &["applied", "capped", "repeated", "waiting", "expired", "refused", "ignored"],
        ),
    ] {
        let rows =
            cut.tables.get(table).with_context(|| format!("the cut has no table {table}"))?;
        let whole = column(rows, whole)?;
        let parts = parts.iter().map(|part| column(rows, part)).collect::<Result<Vec<_>>>()?;
        for row in 0..rows.num_rows() {
            let sum: i64 = parts.iter().map(|part| part[row]).sum();
            ensure!(
                whole[row] == sum,
                "{table} row {row}: {} is not the sum {sum} of its parts",
                whole[row]
            );
        }
    }
    Ok(())
}

fn column(rows: &RecordBatch, name: &str) -> Result<Vec<i64>> {
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;
    let column = rows.column_by_name(name).with_context(|| format!("no column {name}"))?;
    Ok(column.as_primitive::<Int64Type>().values().to_vec())
}

/// A folder that costs no disk where the system has one: thousands of checkpoints are written to it.
fn memory_folder() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

/// A row's JSON without the key that tells it apart on the wire where its columns do not.
#[must_use]
pub fn columns_of(json: &str) -> String {
    match json.split_once(",\"_row\":\"") {
        Some((columns, _)) => format!("{columns}}}"),
        None => json.to_owned(),
    }
}
