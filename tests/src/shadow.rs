//! The shadow space against what it must equal: both spaces of a log with shadow records are those of two
//! logs that never heard of shadow records.
//!
//! ```text
//! mixed log ─┬─ live space   == ordinary space of the log without its shadow records
//!            └─ shadow space == ordinary space of the log of nothing else, their marks taken off
//! ```
//! Offsets stay as they are, so the other two logs have gaps.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use arrow::array::{AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::ledger::LedgerKind;
use tidemark_pipeline::model::record::SHADOW_HEADER;
use tidemark_pipeline::model::{Header, Record, Space};
use tidemark_pipeline::results::Cut;
use tidemark_pipeline::results::json::write_row;
use tidemark_pipeline::sql::Catalog;

use crate::orders::{Body, Entry, Log};
use crate::served::encoded;
use crate::system::System;

/// A log whose entries may be marked, whatever they are: orders, broken records, control records.
pub struct Marked {
    /// The entries; none of them is shadow by itself.
    pub log: Log,
    /// Which of them carry the header.
    pub marks: Vec<Vec<bool>>,
}

/// How often what happens; none of it may change what comes out.
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
}

/// What was compared, to be printed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Compared {
    /// Records of the mixed logs.
    pub records: u64,
    /// Shadow records among them.
    pub shadow: u64,
    /// Rows of views that are equal, in both spaces.
    pub rows: u64,
    /// Crashes.
    pub crashes: u64,
}

impl Compared {
    /// Adds another run's numbers.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.shadow += other.shadow;
        self.rows += other.rows;
        self.crashes += other.crashes;
    }
}

/// Crashes of one log, at most: a run must end.
const CRASHES_MAX: u64 = 4;

/// Marks entries of a random log; some orders stand in it twice, once in each space.
#[must_use]
pub fn marked(mut log: Log, share: f64, dice: &mut ChaCha8Rng) -> Marked {
    let mut marks = Vec::new();
    for entries in &mut log.partitions {
        let mut all: Vec<(Entry, bool)> = Vec::new();
        for mut entry in std::mem::take(entries) {
            if let Body::Shadow(order) = entry.body {
                entry.body = Body::Order(order);
            }
            let mark = dice.random_bool(share);
            if share > 0.0 && dice.random_bool(0.1) {
                all.push((entry.clone(), !mark));
            }
            all.push((entry, mark));
        }
        marks.push(all.iter().map(|(_, mark)| *mark).collect());
        *entries = all.into_iter().map(|(entry, _)| entry).collect();
    }
    Marked { log, marks }
}

/// Serves the mixed log with crashes, and holds both spaces against the two logs without marks.
///
/// # Errors
/// When anything differs.
pub fn serve(
    mixed: &Marked,
    catalogue: &Arc<Catalog>,
    serving: Serving,
    dice: &mut ChaCha8Rng,
) -> Result<Compared> {
    let partitions = u32::try_from(mixed.log.partitions.len())?;
    let mut system = System::open(Arc::clone(catalogue), partitions)?;
    let mut next = vec![0_usize; mixed.log.partitions.len()];
    let mut compared = Compared::default();
    while let Some(partition) = waiting(mixed, &next, dice) {
        let length = mixed.log.partitions[partition].len();
        let to = (next[partition] + dice.random_range(1..=serving.batch_records_max)).min(length);
        read(&mut system, mixed, partition, (next[partition], to), &|_| true, true)?;
        next[partition] = to;
        if dice.random_bool(serving.publish) {
            system.publish()?;
            if dice.random_bool(serving.save) {
                system.save()?;
            }
        }
        if compared.crashes < CRASHES_MAX && dice.random_bool(serving.crash) {
            system.crash()?;
            compared.crashes += 1;
            for (partition, next) in (0..).zip(&mut next) {
                *next = usize::try_from(system.next_offset("orders", partition))?;
            }
        }
    }
    let cut = system.publish()?;
    for space in Space::ALL {
        let is_wanted = |mark: bool| mark == (space == Space::Shadow);
        let mut plain = System::open(Arc::clone(catalogue), partitions)?;
        for (partition, entries) in mixed.log.partitions.iter().enumerate() {
            read(&mut plain, mixed, partition, (0, entries.len()), &is_wanted, false)?;
        }
        let want = plain.publish()?;
        compared.rows += equal(&cut.space(space), &want)
            .with_context(|| format!("the {} space", space.as_str()))?;
        for ledger in LedgerKind::ALL {
            let (got, want) = (system.ledger_of(space, ledger)?, plain.ledger(ledger)?);
            ensure!(
                got == want,
                "{} of the {} space\nwant {want:?}\ngot  {got:?}",
                ledger.table(),
                space.as_str()
            );
        }
    }
    compared.records = mixed.marks.iter().map(Vec::len).sum::<usize>().try_into()?;
    compared.shadow = mixed.marks.iter().flatten().filter(|mark| **mark).count().try_into()?;
    Ok(compared)
}

fn waiting(mixed: &Marked, next: &[usize], dice: &mut ChaCha8Rng) -> Option<usize> {
    let left: Vec<usize> =
        (0..next.len()).filter(|at| next[*at] < mixed.log.partitions[*at].len()).collect();
    (!left.is_empty()).then(|| left[dice.random_range(0..left.len())])
}

/// Hands entries over as one batch: those whose mark is wanted, with their marks or without.
fn read(
    system: &mut System,
    mixed: &Marked,
    partition: usize,
    (from, to): (usize, usize),
    is_wanted: &dyn Fn(bool) -> bool,
    with_marks: bool,
) -> Result<()> {
    let number = u32::try_from(partition)?;
    let entries = mixed.log.partitions[partition].iter().zip(&mixed.marks[partition]).enumerate();
    let entries: Vec<(usize, &Entry, bool)> = entries
        .map(|(at, (entry, mark))| (at, entry, *mark))
        .filter(|(at, _, mark)| (from..to).contains(at) && is_wanted(*mark))
        .collect();
    let bytes: Vec<_> = entries.iter().map(|(_, entry, _)| encoded(&entry.body)).collect();
    let headers: Vec<Vec<Header<'_>>> = entries
        .iter()
        .zip(&bytes)
        .map(|((.., mark), (_, own))| {
            let mut headers: Vec<Header<'_>> =
                own.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            if *mark && with_marks {
                headers.push((SHADOW_HEADER, b"1"));
            }
            headers
        })
        .collect();
    let records = entries.iter().zip(&bytes).zip(&headers).map(
        |(((at, entry, _), (payload, _)), headers)| Record {
            partition: number,
            offset: i64::try_from(*at).unwrap_or(i64::MAX),
            timestamp_ms: Some(entry.log_time),
            headers,
            key: None,
            payload,
        },
    );
    system.read("orders", number, records)
}

/// Every row of every view, every time and every count of a space, except how many shadow records there were.
fn equal(got: &Cut, want: &Cut) -> Result<u64> {
    let mut rows = 0;
    for (name, want) in &want.views {
        let got = got.views.get(name).with_context(|| format!("no view {name}"))?;
        let texts = |view: &tidemark_pipeline::results::Snapshot| -> Vec<String> {
            view.rows(None).map(|row| row.json.to_string()).collect()
        };
        let (got, want) = (texts(got), texts(want));
        ensure!(got == want, "{name}\nwant {want:#?}\ngot  {got:#?}");
        rows += u64::try_from(got.len())?;
    }
    if got.of == Space::Shadow
        && want.tables.get("records_accounted").is_some_and(|table| sums_to_nothing(table))
    {
        return Ok(rows);
    }
    ensure!(got.streams == want.streams, "times\nwant {:?}\ngot  {:?}", want.streams, got.streams);
    for name in ["records_accounted", "views_accounted", "sources_accounted", "lifecycle_accounted"]
    {
        let (got, want) = (counted(got, name)?, counted(want, name)?);
        ensure!(got == want, "{name}\nwant {want:#?}\ngot  {got:#?}");
    }
    Ok(rows)
}

/// The rows of an accounting table that count anything, without how many shadow records there were: a
/// partition without a shadow record has no row in the shadow space, and zeros in a plain log.
fn counted(cut: &Cut, table: &str) -> Result<Vec<String>> {
    let table = cut.tables.get(table).with_context(|| format!("no table {table}"))?;
    let wanted: Vec<usize> = (0..table.num_columns())
        .filter(|at| !["read", "shadow"].contains(&table.schema().field(*at).name().as_str()))
        .collect();
    let counts: Vec<&Int64Array> =
        wanted.iter().filter_map(|at| table.column(*at).as_primitive_opt()).collect();
    let row = |row: usize| {
        let mut text = String::new();
        write_row(&mut text, table, &wanted, row);
        text
    };
    let counts_something = |row: &usize| counts.iter().any(|count| count.value(*row) != 0);
    Ok((0..table.num_rows()).filter(counts_something).map(row).collect())
}

fn sums_to_nothing(table: &RecordBatch) -> bool {
    let read =
        table.column_by_name("read").map(|column| column.as_primitive::<Int64Type>().clone());
    read.is_some_and(|read| read.iter().flatten().all(|count| count == 0))
}
