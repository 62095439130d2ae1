//! Orders' lives as random logs, served with crashes: what each order amounts to, which events are unmatched and
//! what became of all of them equals plain arithmetic at every cut, in both result spaces, whatever the order of
//! arrival; and the ledgers at the end are those of a run without a crash.
//! `TIDEMARK_SEED=n` runs one log alone, `TIDEMARK_LIVES=n` that many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::ledger::LedgerKind;
use tidemark_pipeline::model::record::SHADOW_HEADER;
use tidemark_pipeline::model::{Header, Record, Space};
use tidemark_pipeline::results::Cut;
use tidemark_pipeline::run::reference::catalog;
use tidemark_pipeline::sql::{Catalog, StateBounds};
use tidemark_tests::lives::{Event, Fates, expected, random_lives};
use tidemark_tests::system::System;

/// Logs of one `cargo test`.
const LOGS: u64 = 300;
/// Crashes of one log, at most: a run must end.
const CRASHES_MAX: u64 = 5;

const EVENTS: &str = "CREATE TABLE events (order_id STRING NOT NULL, kind STRING NOT NULL, amount DECIMAL(12, 2),\n\
    currency STRING, event_time TIMESTAMP(3) NOT NULL, WATERMARK FOR event_time AS event_time - INTERVAL '1' MINUTE)\n\
    WITH ('connector' = 'embedded', 'format' = 'json', 'time-zone' = 'UTC', 'partition.key' = 'order_id');\n";
const FLOW: &str = "CREATE TABLE flow (order_id STRING NOT NULL, event_time TIMESTAMP(3) NOT NULL, currency STRING,\n\
    placed DECIMAL(12, 2) NOT NULL METADATA, paid DECIMAL(12, 2) NOT NULL METADATA, refunded DECIMAL(12, 2) NOT NULL METADATA,\n\
    net DECIMAL(12, 2) NOT NULL METADATA, excess DECIMAL(12, 2) NOT NULL METADATA,\n\
    cancelled_orders BIGINT NOT NULL METADATA FROM 'cancelled-orders',\n\
    WATERMARK FOR event_time AS SOURCE_WATERMARK())\n\
    WITH ('connector' = 'lifecycle', 'source' = 'events', 'key' = 'order_id', 'kind' = 'kind', 'amount' = 'amount', 'currency' = 'currency',\n\
    'on.placed' = 'open', 'on.paid' = 'pay', 'on.deposit' = 'open pay', 'on.balance' = 'pay',\n\
    'on.cancelled' = 'cancel', 'on.refunded' = 'refund', 'horizon' = '20 min');\n";
const TOTAL: &str = "CREATE MATERIALIZED VIEW total AS\n\
    SELECT order_id, SUM(placed) AS placed, SUM(paid) AS paid, SUM(refunded) AS refunded, SUM(net) AS net, SUM(excess) AS excess,\n\
    SUM(cancelled_orders) AS cancelled FROM flow GROUP BY order_id;\n";

// Only of what is paid: what else a record moves plays no part.
const WINDOWS: &str = "CREATE MATERIALIZED VIEW windows AS SELECT window_start, window_end, SUM(paid) AS paid\n\
    FROM TABLE(TUMBLE(TABLE flow, DESCRIPTOR(event_time), INTERVAL '2' MINUTE)) WHERE paid <> 0 GROUP BY window_start, window_end;\n";

fn planned() -> Result<Arc<Catalog>> {
    let folder = tempfile::tempdir()?;
    for (path, sql) in [
        ("streams/events.sql", EVENTS),
        ("streams/flow.sql", FLOW),
        ("views/total.sql", TOTAL),
        ("views/windows.sql", WINDOWS),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(path, sql)?;
    }
    catalog(folder.path(), &BTreeMap::new(), StateBounds::default())
        .map(Arc::new)
        .map_err(|errors| anyhow::anyhow!("{errors:?}"))
}

fn read(system: &mut System, partition: usize, from: usize, events: &[Event]) -> Result<()> {
    let partition = u32::try_from(partition)?;
    let payloads: Vec<String> = events.iter().map(Event::json).collect();
    const SHADOW: &[Header<'_>] = &[(SHADOW_HEADER, b"1")];
    let records = events.iter().zip(&payloads).enumerate().map(|(at, (event, payload))| Record {
        partition,
        offset: i64::try_from(from + at).unwrap_or(i64::MAX),
        timestamp_ms: None,
        headers: if event.is_shadow { SHADOW } else { &[] },
        key: None,
        payload: payload.as_bytes(),
    });
    system.read("events", partition, records)
}

/// Holds the last cut against arithmetic over what has been read.
fn compare(system: &mut System, log: &[Vec<Event>], next: &[usize]) -> Result<()> {
    let cut = system.publish()?;
    ensure!(system.failures().is_empty(), "{:?}", system.failures());
    for space in Space::ALL {
        let is_shadow = space == Space::Shadow;
        let read: Vec<Vec<(i64, &Event)>> = log
            .iter()
            .zip(next)
            .map(|(events, next)| {
                let all = (0..).zip(&events[..*next]);
                all.filter(|(_, event)| event.is_shadow == is_shadow).collect()
            })
            .collect();
        let want = expected(&read);
        let shown = cut.space(space);
        let mut got: Vec<String> =
            shown.views["total"].rows(None).map(|row| row.json.to_string()).collect();
        got.sort();
        let same = want.rows.len() == got.len()
            && want.rows.iter().zip(&got).all(|(want, got)| got.starts_with(want.as_str()));
        ensure!(same, "{space:?} at {next:?}\nwant {:#?}\ngot  {got:#?}", want.rows);
        let windows = paid_by_window(&shown)?;
        ensure!(
            windows == want.windows,
            "{space:?} at {next:?}: windows\nwant {:?}\ngot  {windows:?}",
            want.windows
        );
        let unmatched = unmatched(&system.ledger_of(space, LedgerKind::Unmatched)?, log)?;
        ensure!(
            unmatched == want.unmatched,
            "{space:?} at {next:?}: unmatched\nwant {:?}\ngot  {unmatched:?}",
            want.unmatched
        );
        if let Some(table) = shown.tables.get("lifecycle_accounted") {
            let fates = fates(table)?;
            ensure!(
                fates == want.fates,
                "{space:?} at {next:?}: fates\nwant {:?}\ngot  {fates:?}",
                want.fates
            );
        }
    }
    Ok(())
}

/// What each window says is paid, in hundredths; without the windows in which nothing is.
fn paid_by_window(shown: &Cut) -> Result<BTreeMap<i64, i64>> {
    let mut paid = BTreeMap::new();
    for row in shown.views["windows"].rows(None) {
        let row: serde_json::Value = serde_json::from_str(&row.json.to_string())?;
        let start = row["window_start"].as_i64().context("no window_start")?;
        let amount = row["paid"].as_str().context("no paid")?.replace('.', "").parse()?;
        paid.insert(start, amount);
    }
    paid.retain(|_, amount| *amount != 0);
    Ok(paid)
}

/// Partition, offset and kind of the entries; the record of one that waits must be its own.
fn unmatched(table: &RecordBatch, log: &[Vec<Event>]) -> Result<BTreeSet<(i32, i64, String)>> {
    let column =
        |name: &str| table.column_by_name(name).with_context(|| format!("no column {name}"));
    let partitions = column("partition")?.as_primitive::<Int32Type>().clone();
    let offsets = column("offset")?.as_primitive::<Int64Type>().clone();
    let (kinds, raw) = (column("kind")?.as_string::<i32>(), column("raw")?.as_string::<i32>());
    let mut all = BTreeSet::new();
    for row in 0..table.num_rows() {
        let (partition, offset) = (partitions.value(row), offsets.value(row));
        let event = &log[usize::try_from(partition)?][usize::try_from(offset)?];
        let said = raw.value(row);
        // A payment that counted until another record said the order's currency is told without its record.
        let is_let_go =
            kinds.value(row) == "refused" && event.kind != "refunded" && said.is_empty();
        ensure!(
            kinds.value(row) == "capped" || is_let_go || said == event.json(),
            "partition {partition} offset {offset}: the ledger has the record {said}"
        );
        all.insert((partition, offset, kinds.value(row).to_owned()));
    }
    ensure!(all.len() == table.num_rows(), "an entry is there twice");
    Ok(all)
}

/// What became of the events, by partition with any.
fn fates(table: &RecordBatch) -> Result<BTreeMap<i32, Fates>> {
    let partitions = table.column_by_name("partition").context("no partition")?;
    let partitions = partitions.as_primitive::<Int32Type>();
    let names = ["taken", "applied", "capped", "repeated", "waiting", "expired", "refused"];
    let columns = names.map(|name| table.column_by_name(name));
    let mut all = BTreeMap::new();
    for row in 0..table.num_rows() {
        let count = |column: Option<&arrow::array::ArrayRef>| {
            column.map_or(-1, |column| column.as_primitive::<Int64Type>().value(row))
        };
        let fates = columns.map(count);
        if fates[0] > 0 {
            all.insert(partitions.value(row), fates);
        }
    }
    Ok(all)
}

fn serve(seed: u64, catalog: &Arc<Catalog>) -> Result<u64> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let log = random_lives(&mut dice);
    let batch_max = [1, 4, 50][dice.random_range(0..3)];
    let partitions = u32::try_from(log.len())?;
    let mut system = System::open(Arc::clone(catalog), partitions)?;
    let (mut next, mut crashes) = (vec![0; log.len()], 0);
    loop {
        let left: Vec<usize> = (0..log.len()).filter(|at| next[*at] < log[*at].len()).collect();
        let Some(partition) = left.get(dice.random_range(0..left.len().max(1))).copied() else {
            break;
        };
        let from = next[partition];
        let to = (from + dice.random_range(1..=batch_max)).min(log[partition].len());
        read(&mut system, partition, from, &log[partition][from..to])?;
        next[partition] = to;
        if dice.random_bool(0.4) {
            compare(&mut system, &log, &next)?;
            if dice.random_bool(0.5) {
                system.save()?;
            }
        }
        if crashes < CRASHES_MAX && dice.random_bool(0.1) {
            crashes += 1;
            system.crash()?;
            system.ledgers_are_rewound()?;
            for (partition, next) in (0..).zip(&mut next) {
                *next = usize::try_from(system.next_offset("events", partition))?;
            }
        }
    }
    compare(&mut system, &log, &next)?;
    let mut twin = System::open(Arc::clone(catalog), partitions)?;
    for (partition, events) in log.iter().enumerate() {
        read(&mut twin, partition, 0, events)?;
    }
    compare(&mut twin, &log, &next)?;
    for ledger in LedgerKind::ALL {
        let (got, want) = (system.ledger(ledger)?, twin.ledger(ledger)?);
        ensure!(
            got == want,
            "{} after {crashes} crashes\nwant {want:?}\ngot  {got:?}",
            ledger.table()
        );
    }
    Ok(crashes)
}

#[test]
fn what_orders_amount_to_and_what_is_unmatched_survives_any_order_batches_and_crashes() -> Result<()>
{
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDEMARK_LIVES").unwrap_or(LOGS),
    };
    let catalog = planned()?;
    let mut crashes = 0;
    for seed in seeds.clone() {
        crashes += serve(seed, &catalog).with_context(|| format!("seed {seed}"))?;
    }
    println!(
        "order lives {seeds:?}: every cut equals arithmetic, ledgers equal a run without the {crashes} crashes"
    );
    Ok(())
}
