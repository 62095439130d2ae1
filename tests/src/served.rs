//! Random logs through the pipeline as `serve` wires it, compared with the slow reference on the way and
//! at the end: what is shown, marks, revisions, ledgers and accounting, after crashes too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::ledger::LedgerKind;
use tidemark_pipeline::model::record::{SHADOW_HEADER, WATERMARK_HEADER};
use tidemark_pipeline::model::{Header, Record};
use tidemark_pipeline::results::Cut;
use tidemark_pipeline::sql::Catalog;

use crate::engine::catalog;
use crate::orders::{Body, Entry, Log, MIDNIGHT_MS, Shape};
use crate::queries::Query;
use crate::reference::{judge, shown};
use crate::system::{Letter, System, columns_of};

/// How a log is served; none of it may change what comes out.
#[derive(Debug, Clone, Copy)]
pub struct Serving {
    /// Records of one batch, at most.
    pub batch_records_max: usize,
    /// Chance of a publish after a batch.
    pub publish: f64,
    /// Chance of a checkpoint after a publish.
    pub save: f64,
    /// Chance of a crash after a batch.
    pub crash: f64,
    /// Chance that a publish is compared with the reference over what has been read by then.
    pub compare: f64,
}

/// How much was compared, to be printed.
#[derive(Debug, Default, Clone)]
pub struct Compared {
    /// Records read, those read again after a crash included.
    pub records: u64,
    /// Cuts compared row by row with the reference.
    pub cuts: u64,
    /// Crashes.
    pub crashes: u64,
    /// Rows compared, by kind of query.
    pub rows: Rows,
}

/// Rows compared by [`crate::queries::Asks::word`].
pub type Rows = BTreeMap<&'static str, u64>;

/// Adds rows compared elsewhere.
pub fn add_rows(sum: &mut Rows, rows: &Rows) {
    rows.iter().for_each(|(kind, count)| *sum.entry(kind).or_default() += count);
}

impl Compared {
    /// Adds another run's numbers.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.cuts += other.cuts;
        self.crashes += other.crashes;
        add_rows(&mut self.rows, &other.rows);
    }
}

/// Crashes of one log, at most: a run must end.
const CRASHES_MAX: u64 = 6;
/// Later than every window of every query.
const END_MS: i64 = MIDNIGHT_MS + 40 * 86_400_000;

/// Catalogues by shape; planning one takes longer than running a log.
#[derive(Default)]
pub struct Catalogues {
    by_shape: Mutex<BTreeMap<Shape, Arc<Catalog>>>,
}

impl Catalogues {
    /// The catalogue for logs like this.
    ///
    /// # Errors
    /// When a statement is refused.
    pub fn of(&self, log: &Log, queries: &[Query]) -> Result<Arc<Catalog>> {
        let mut known = self.by_shape.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(catalogue) = known.get(&log.shape) {
            return Ok(Arc::clone(catalogue));
        }
        let planned = Arc::new(catalog(log, queries)?);
        known.insert(log.shape, Arc::clone(&planned));
        Ok(planned)
    }
}

/// A late record of a view: view, partition, offset.
type LateName = (String, u32, i64);
/// Start and end of each window it missed, its event time, and the watermark before it.
type LateSaid = (Vec<(i64, i64)>, i64, i64);

struct Run<'a> {
    log: &'a Log,
    queries: &'a [Query],
    system: System,
    next: Vec<usize>,
    /// What the ledger said of late records at all cuts: windows missed, event time, watermark.
    late: BTreeMap<LateName, LateSaid>,
    letters: BTreeSet<Letter>,
    compared: Compared,
}

/// Serves a log and compares it with the reference.
///
/// # Errors
/// When anything differs.
pub fn serve(
    log: &Log,
    queries: &[Query],
    catalogue: Arc<Catalog>,
    serving: Serving,
    dice: &mut ChaCha8Rng,
) -> Result<Compared> {
    let partitions = u32::try_from(log.partitions.len())?;
    let mut run = Run {
        log,
        queries,
        system: System::open(catalogue, partitions)?,
        next: vec![0; log.partitions.len()],
        late: BTreeMap::new(),
        letters: BTreeSet::new(),
        compared: Compared::default(),
    };
    while let Some(partition) = run.waiting(dice) {
        run.read(partition, dice.random_range(1..=serving.batch_records_max))?;
        if dice.random_bool(serving.publish) {
            run.publish(dice.random_bool(serving.compare))?;
            if dice.random_bool(serving.save) {
                run.system.save()?;
            }
        }
        if run.compared.crashes < CRASHES_MAX && dice.random_bool(serving.crash) {
            run.crash()?;
        }
    }
    run.publish(true)?;
    run.close()?;
    Ok(run.compared)
}

impl Run<'_> {
    fn waiting(&self, dice: &mut ChaCha8Rng) -> Option<usize> {
        let left: Vec<usize> = (0..self.next.len())
            .filter(|at| self.next[*at] < self.log.partitions[*at].len())
            .collect();
        (!left.is_empty()).then(|| left[dice.random_range(0..left.len())])
    }

    fn read(&mut self, partition: usize, count: usize) -> Result<()> {
        let from = self.next[partition];
        let to = (from + count).min(self.log.partitions[partition].len());
        read(&mut self.system, partition, from, &self.log.partitions[partition][from..to])?;
        self.compared.records += u64::try_from(to - from)?;
        self.next[partition] = to;
        Ok(())
    }

    fn crash(&mut self) -> Result<()> {
        self.system.crash()?;
        self.system.ledgers_are_rewound()?;
        self.compared.crashes += 1;
        for (partition, next) in (0..).zip(&mut self.next) {
            let from = usize::try_from(self.system.next_offset("orders", partition))?;
            ensure!(from <= *next, "partition {partition} goes on at {from}, {next} had been read");
            *next = from;
        }
        Ok(())
    }

    fn publish(&mut self, compare: bool) -> Result<()> {
        let cut = self.system.publish()?;
        ensure!(self.system.failures().is_empty(), "{:?}", self.system.failures());
        self.letters.extend(self.system.take_letters());
        self.note_late()?;
        if compare {
            let partitions = self.log.partitions.iter().zip(&self.next);
            let read = Log {
                shape: self.log.shape,
                partitions: partitions.map(|(entries, next)| entries[..*next].to_vec()).collect(),
            };
            self.compare(&cut, &read).with_context(|| format!("at offsets {:?}", self.next))?;
        }
        Ok(())
    }

    /// Closes everything by control records, as `close-day` does, and compares what is final.
    fn close(&mut self) -> Result<()> {
        let closed = closed(self.log);
        for (partition, entries) in closed.partitions.iter().enumerate() {
            let at = entries.len() - 1;
            read(&mut self.system, partition, at, &entries[at..])?;
        }
        let cut = self.system.publish()?;
        self.note_late()?;
        self.compare(&cut, &closed).context("after closing")?;
        self.letters.extend(self.system.take_letters());
        self.compare_ledgers()?;
        self.compare_with_twin(&closed)
    }

    /// The ledgers at the end are those of a run of one batch a partition and one publish, byte by byte.
    fn compare_with_twin(&self, closed: &Log) -> Result<()> {
        let mut twin = System::open(
            Arc::clone(self.system.catalog()),
            u32::try_from(closed.partitions.len())?,
        )?;
        for (partition, entries) in closed.partitions.iter().enumerate() {
            read(&mut twin, partition, 0, entries)?;
        }
        twin.publish()?;
        for ledger in LedgerKind::ALL {
            let (got, want) = (self.system.ledger(ledger)?, twin.ledger(ledger)?);
            ensure!(got == want, "{} after crashes\nwant {want:?}\ngot  {got:?}", ledger.table());
        }
        Ok(())
    }

    fn compare(&mut self, cut: &Cut, read: &Log) -> Result<()> {
        add_rows(&mut self.compared.rows, &compare(cut, read, self.queries)?);
        self.compared.cuts += 1;
        Ok(())
    }

    fn note_late(&mut self) -> Result<()> {
        let table = &self.system.ledger(LedgerKind::Late)?;
        let (partitions, offsets) = (column32(table, "partition")?, column64(table, "offset")?);
        let missed = column64(table, "windows_missed")?;
        let (times, watermarks) = (instants(table, "event_time")?, instants(table, "watermark")?);
        let (starts, ends) = (instants(table, "window_start")?, instants(table, "window_end")?);
        let views = table.column_by_name("view").context("no column view")?.as_string::<i32>();
        let mut told: BTreeMap<LateName, LateSaid> = BTreeMap::new();
        for row in 0..table.num_rows() {
            let name = (views.value(row).to_owned(), u32::try_from(partitions[row])?, offsets[row]);
            let first = || (Vec::new(), times[row], watermarks[row]);
            told.entry(name).or_insert_with(first).0.push((starts[row], ends[row]));
        }
        for row in 0..table.num_rows() {
            let name = (views.value(row).to_owned(), u32::try_from(partitions[row])?, offsets[row]);
            let rows = told[&name].0.len();
            ensure!(i64::try_from(rows)? == missed[row], "{name:?}: {rows} rows");
        }
        for (name, said) in told {
            let before = self.late.insert(name.clone(), said);
            ensure!(
                before.as_ref().is_none_or(|before| *before == self.late[&name]),
                "{name:?}: {before:?}, and now {:?}",
                self.late[&name]
            );
        }
        Ok(())
    }

    fn compare_ledgers(&self) -> Result<()> {
        let judged = judge(self.log);
        let rejected: Vec<(u32, i64)> =
            judged.rejected.iter().map(|(partition, offset, _)| (*partition, *offset)).collect();
        let got: Vec<(u32, i64)> =
            self.letters.iter().map(|letter| (letter.partition, letter.offset)).collect();
        ensure!(rejected == got, "dead letters\nwant {rejected:?}\ngot  {got:?}");
        for ((.., words), letter) in judged.rejected.iter().zip(&self.letters) {
            ensure!(
                letter.reason.contains(words) && !letter.reason.is_empty(),
                "{letter:?} lacks '{words}'"
            );
        }
        let mut want = BTreeMap::new();
        for query in self.queries {
            for (partition, offset, missed) in shown(query, self.log, &judged).1.late {
                let (time, watermark) =
                    judged.times(partition, offset).context("a late record is accepted")?;
                want.insert((query.name.to_owned(), partition, offset), (missed, time, watermark));
            }
        }
        let missing = want.iter().find(|(name, said)| self.late.get(*name) != Some(said));
        let extra = self.late.iter().find(|(name, _)| !want.contains_key(*name));
        ensure!(
            missing.is_none() && extra.is_none(),
            "late records: want {missing:?}, got {:?}; too many {extra:?}",
            missing.and_then(|(name, _)| self.late.get(name))
        );
        Ok(())
    }
}

/// Holds every view and the accounting of a cut against the reference over what had been read by then;
/// how many rows there were.
///
/// # Errors
/// When anything differs.
pub fn compare(cut: &Cut, read: &Log, queries: &[Query]) -> Result<Rows> {
    let judged = judge(read);
    let records = counts(cut, "records_accounted", "stream", "orders")?;
    let want: Vec<Vec<i64>> = judged.records.iter().map(|counts| signed(counts)).collect();
    ensure!(records == want, "records\nwant {want:?}\ngot  {records:?}");
    let mut compared = Rows::new();
    for query in queries {
        let (rows, expected) = shown(query, read, &judged);
        let snapshot =
            cut.views.get(query.name).with_context(|| format!("no view {}", query.name))?;
        let mut got: Vec<String> = snapshot.rows(None).map(|row| columns_of(&row.json)).collect();
        got.sort();
        let missing: Vec<_> = rows.iter().filter(|row| !got.contains(row)).take(3).collect();
        let extra: Vec<_> = got.iter().filter(|row| !rows.contains(row)).take(3).collect();
        ensure!(
            rows == got,
            "{}: {} rows for {}\nmissing {missing:#?}\nextra {extra:#?}",
            query.name,
            got.len(),
            rows.len()
        );
        let want: Vec<Vec<i64>> = expected.counts.iter().map(|counts| signed(counts)).collect();
        let counted = counts(cut, "views_accounted", "view", query.name)?;
        ensure!(counted == want, "{}: counts\nwant {want:?}\ngot  {counted:?}", query.name);
        *compared.entry(query.asks.word()).or_default() += u64::try_from(rows.len())?;
    }
    Ok(compared)
}

/// The log with every partition's watermark moved past all windows, as `close-day` does it.
#[must_use]
pub fn closed(log: &Log) -> Log {
    let mut closed = log.clone();
    for entries in &mut closed.partitions {
        entries.push(Entry { body: Body::Control(END_MS), log_time: END_MS });
    }
    closed
}

/// Hands entries of a partition of the orders to the system as one batch.
fn read(system: &mut System, partition: usize, from: usize, entries: &[Entry]) -> Result<()> {
    read_into(system, "orders", (partition, from), entries)
}

/// Hands entries of a stream's partition, from an offset on, to the system as one batch.
///
/// # Errors
/// When the engine cannot take them.
pub fn read_into(
    system: &mut System,
    stream: &str,
    (partition, from): (usize, usize),
    entries: &[Entry],
) -> Result<()> {
    let partition = u32::try_from(partition)?;
    let owned: Vec<(Vec<u8>, Option<(&str, String)>)> =
        entries.iter().map(|entry| encoded(&entry.body)).collect();
    let headers: Vec<Vec<Header<'_>>> = owned
        .iter()
        .map(|(_, header)| header.iter().map(|(name, value)| (*name, value.as_bytes())).collect())
        .collect();
    let records = entries.iter().zip(&owned).zip(&headers).enumerate();
    let records = records.map(|(at, ((entry, (payload, _)), headers))| Record {
        partition,
        offset: i64::try_from(from + at).unwrap_or(i64::MAX),
        timestamp_ms: Some(entry.log_time),
        headers,
        key: None,
        payload,
    });
    system.read(stream, partition, records)
}

/// The bytes of a record, and its header.
#[must_use]
pub fn encoded(body: &Body) -> (Vec<u8>, Option<(&'static str, String)>) {
    match body {
        Body::Order(order) => (order.json().into_bytes(), None),
        Body::Broken(bytes) => (bytes.clone(), None),
        Body::Shadow(order) => (order.json().into_bytes(), Some((SHADOW_HEADER, "1".to_owned()))),
        Body::Control(time) => (Vec::new(), Some((WATERMARK_HEADER, time.to_string()))),
    }
}

fn signed(counts: &[u64]) -> Vec<i64> {
    counts.iter().map(|count| i64::try_from(*count).unwrap_or(i64::MAX)).collect()
}

/// The counts of one stream or view by partition, from an accounting table.
fn counts(cut: &Cut, table: &str, column: &str, name: &str) -> Result<Vec<Vec<i64>>> {
    let table = cut.tables.get(table).with_context(|| format!("no table {table}"))?;
    let names = table
        .column_by_name(column)
        .with_context(|| format!("no column {column}"))?
        .as_string::<i32>();
    let partitions = column32(table, "partition")?;
    let mut found = BTreeMap::new();
    for row in (0..table.num_rows()).filter(|row| names.value(*row) == name) {
        // Misplaced records are counted among the others as well.
        let is_count = |name: &str| !["view", "stream", "partition", "misplaced"].contains(&name);
        let schema = table.schema();
        let counts =
            schema.fields().iter().zip(table.columns()).filter(|(field, _)| is_count(field.name()));
        let counts = counts.map(|(_, column)| column.as_primitive::<Int64Type>().value(row));
        found.insert(partitions[row], counts.collect());
    }
    Ok(found.into_values().collect())
}

fn column32(table: &RecordBatch, name: &str) -> Result<Vec<i32>> {
    let column = table.column_by_name(name).with_context(|| format!("no column {name}"))?;
    Ok(column.as_primitive::<Int32Type>().values().to_vec())
}

fn column64(table: &RecordBatch, name: &str) -> Result<Vec<i64>> {
    let column = table.column_by_name(name).with_context(|| format!("no column {name}"))?;
    Ok(column.as_primitive::<Int64Type>().values().to_vec())
}

/// Instants in epoch milliseconds; NULL is before everything.
fn instants(table: &RecordBatch, name: &str) -> Result<Vec<i64>> {
    let column = table.column_by_name(name).with_context(|| format!("no column {name}"))?;
    let column = column.as_primitive::<TimestampMillisecondType>();
    Ok((0..column.len())
        .map(|row| if column.is_null(row) { i64::MIN } else { column.value(row) })
        .collect())
}
