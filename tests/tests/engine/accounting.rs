//! A day with every kind of record through the shipped SQL, and what became of each: both identities, of
//! streams and of views, the ledgers by reason. `make accounting` prints it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use tidemark_pipeline::generator::{Generator, GeneratorOptions, Records as _, Shares};
use tidemark_pipeline::ledger::LedgerKind;
use tidemark_pipeline::model::record::WATERMARK_HEADER;
use tidemark_pipeline::model::{Header, Record};
use tidemark_pipeline::results::Cut;
use tidemark_pipeline::run::reference::catalog as catalog_of;
use tidemark_pipeline::sql::StateBounds;
use tidemark_tests::sql_logic::root;
use tidemark_tests::system::System;

const PARTITIONS: u32 = 4;
const ORDERS: u64 = 20_000;
/// Records between two publishes.
const PUBLISH_EVERY: i64 = 2_000;
/// Publishes between two crashes.
const CRASH_EVERY: i64 = 7;

/// One record of the log, kept so that it can be read again after a crash.
struct Kept {
    headers: Vec<(String, Vec<u8>)>,
    timestamp_ms: i64,
    payload: Vec<u8>,
}

/// The generated day by partition, closed at its end.
fn log() -> Result<Vec<Vec<Kept>>> {
    let options = GeneratorOptions {
        orders_a_day: ORDERS,
        shares: Shares {
            duplicate: 0.02,
            late: 0.02,
            malformed: 0.01,
            shadow: 0.05,
            ..Shares::default()
        },
        ..GeneratorOptions::default()
    };
    let mut generator =
        Generator::new(options).map_err(|mistakes| anyhow::anyhow!(mistakes.join("; ")))?;
    let mut log: Vec<Vec<Kept>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
    while let Some(generated) = generator.next_record() {
        let record = generated.record;
        let headers = record
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
            .collect();
        let at = usize::try_from(record.partition_among(PARTITIONS))?;
        log[at].push(Kept {
            headers,
            timestamp_ms: record.timestamp_ms,
            payload: record.payload.to_vec(),
        });
    }
    let end = generator.end_ms().context("the day ends")? + 2 * 86_400_000;
    for partition in &mut log {
        let headers = vec![(WATERMARK_HEADER.to_owned(), end.to_string().into_bytes())];
        partition.push(Kept { headers, timestamp_ms: end, payload: Vec::new() });
    }
    Ok(log)
}

/// Serves the log, with a crash now and then, up to the last cut.
fn served(log: &[Vec<Kept>]) -> Result<System> {
    let catalog = catalog_of(&root().join("sql"), &BTreeMap::new(), StateBounds::default());
    let catalog = catalog.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mut system = System::open(Arc::new(catalog), PARTITIONS)?;
    for publish in 1_i64.. {
        let mut is_over = true;
        for (partition, kept) in (0..).zip(log) {
            let from = usize::try_from(system.next_offset("orders", partition))?;
            let to = (from + usize::try_from(PUBLISH_EVERY)?).min(kept.len());
            is_over &= to == kept.len();
            read(&mut system, partition, from, &kept[from..to])?;
        }
        system.publish()?;
        ensure!(system.failures().is_empty(), "{:?}", system.failures());
        if is_over {
            return Ok(system);
        }
        if publish % 2 == 0 {
            system.save()?;
        }
        if publish % CRASH_EVERY == 0 {
            system.crash()?;
        }
    }
    anyhow::bail!("the log has no end")
}

fn read(system: &mut System, partition: u32, from: usize, kept: &[Kept]) -> Result<()> {
    let headers: Vec<Vec<Header<'_>>> = kept
        .iter()
        .map(|kept| {
            kept.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
        })
        .collect();
    let records = kept.iter().zip(&headers).enumerate().map(|(at, (kept, headers))| Record {
        partition,
        offset: i64::try_from(from + at).unwrap_or(i64::MAX),
        timestamp_ms: Some(kept.timestamp_ms),
        headers,
        key: None,
        payload: &kept.payload,
    });
    system.read("orders", partition, records)
}

/// Prints the rows of an accounting table with their sum, and answers the sum.
fn print(cut: &Cut, name: &str) -> Result<BTreeMap<String, i64>> {
    let table = cut.tables.get(name).with_context(|| format!("no table {name}"))?;
    let counts: Vec<String> = table
        .schema()
        .fields()
        .iter()
        .skip(partition_at(table) + 1)
        .map(|field| field.name().clone())
        .collect();
    println!(
        "\n{name}\n{:<28}{:>10}{}",
        table.schema().field(0).name(),
        "partition",
        heads(&counts)
    );
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let names = table.column(0).as_string::<i32>();
    for row in 0..table.num_rows() {
        let values: Vec<i64> = numbers(table, row);
        for (count, value) in counts.iter().zip(&values) {
            *sums.entry(count.clone()).or_default() += value;
        }
        let partition = table
            .column(partition_at(table))
            .as_primitive::<arrow::datatypes::Int32Type>()
            .value(row);
        println!("{:<28}{partition:>10}{}", names.value(row), cells(&values));
    }
    let all: Vec<i64> = counts.iter().map(|count| sums[count]).collect();
    println!("{:<38}{}", "all", cells(&all));
    Ok(sums)
}

/// Prints how many entries a ledger has by view, or kind, and by reason, without the names of single orders;
/// answers how many there are.
fn print_ledger(system: &System, ledger: LedgerKind) -> Result<i64> {
    let rows = system.ledger(ledger)?;
    let text =
        |name: &str| rows.column_by_name(name).map(|column| column.as_string::<i32>().clone());
    let (by, reasons) = (
        text("view").or_else(|| text("kind")).context("view or kind")?,
        text("reason").context("reason")?,
    );
    let offsets = rows.column_by_name("offset").context("offset")?.as_primitive::<Int64Type>();
    let partitions =
        rows.column_by_name("partition").context("partition")?.as_primitive::<Int32Type>();
    let topics = text("topic").context("topic")?;
    let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
    // A late record has a row for each window it missed.
    let mut entries = BTreeSet::new();
    for row in 0..rows.num_rows() {
        let place = (topics.value(row), partitions.value(row), offsets.value(row));
        if !entries.insert((place, by.value(row), reasons.value(row))) {
            continue;
        }
        // A number in a reason is of one record.
        let reason: String = reasons
            .value(row)
            .chars()
            .map(|letter| if letter.is_ascii_digit() { '#' } else { letter })
            .collect();
        let mut reason = reason.replace("##", "#");
        while reason.contains("##") {
            reason = reason.replace("##", "#");
        }
        *counts
            .entry((by.value(row).to_owned(), reason.chars().take(90).collect()))
            .or_default() += 1;
    }
    println!("\n{} ({} entries)", ledger.table(), entries.len());
    for ((by, reason), count) in &counts {
        println!("{by:<28}{count:>10}  {reason}");
    }
    Ok(counts.values().sum())
}

/// Where a row's names end and its counts begin.
fn partition_at(table: &RecordBatch) -> usize {
    table.schema().index_of("partition").unwrap_or_default()
}

fn numbers(table: &RecordBatch, row: usize) -> Vec<i64> {
    table
        .columns()
        .iter()
        .skip(partition_at(table) + 1)
        .map(|column| column.as_primitive::<Int64Type>().value(row))
        .collect()
}

fn heads(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:>11}")).collect()
}

fn cells(values: &[i64]) -> String {
    values.iter().map(|value| format!("{value:>11}")).collect()
}

#[test]
fn a_day_with_every_kind_of_record_is_accounted_for() -> Result<()> {
    let log = log()?;
    let system = served(&log)?;
    let cut = Arc::clone(system.cut());
    let records = print(&cut, "records_accounted")?;
    println!("read = accepted + duplicate + rejected + shadow + control");
    let views = print(&cut, "views_accounted")?;
    println!("accepted = counted + filtered + late");
    let written: usize = log.iter().map(Vec::len).sum();
    ensure!(records["read"] == i64::try_from(written)?, "{written} were written");
    for kind in ["accepted", "duplicate", "rejected", "shadow", "control"] {
        ensure!(records[kind] > 0, "no record was {kind}");
    }
    ensure!(views["late"] > 0 && views["filtered"] > 0 && views["counted"] > 0);
    ensure!(
        print_ledger(&system, LedgerKind::DeadLetter)? == records["rejected"],
        "a dead letter a rejected record"
    );
    ensure!(
        print_ledger(&system, LedgerKind::Late)? == views["late"],
        "an entry a late record and view"
    );
    ensure!(print_ledger(&system, LedgerKind::Unmatched)? > 0, "events that do not count");
    Ok(())
}
