//! Orders' lives as random logs, served with crashes: what each order amounts to equals plain arithmetic at
//! every cut, whatever the order of arrival, and the ledgers at the end those of a run without a crash.
//! `TIDEMARK_SEED=n` runs one log alone, `TIDEMARK_LIVES=n` that many.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::ledger::LedgerKind;
use tidemark_pipeline::model::Record;
use tidemark_pipeline::run::reference::catalog;
use tidemark_pipeline::sql::{Catalog, StateBounds};
use tidemark_tests::system::System;

/// Logs of one `cargo test`.
const LOGS: u64 = 300;
/// Crashes of one log, at most: a run must end.
const CRASHES_MAX: u64 = 5;

const EVENTS: &str = "CREATE TABLE events (order_id STRING NOT NULL, kind STRING NOT NULL, amount DECIMAL(12, 2),\n\
    event_time TIMESTAMP(3) NOT NULL, WATERMARK FOR event_time AS event_time - INTERVAL '1' MINUTE)\n\
    WITH ('connector' = 'embedded', 'format' = 'json', 'time-zone' = 'UTC', 'partition.key' = 'order_id');\n";
const FLOW: &str = "CREATE TABLE flow (order_id STRING NOT NULL, event_time TIMESTAMP(3) NOT NULL,\n\
    paid DECIMAL(12, 2) NOT NULL METADATA, refunded DECIMAL(12, 2) NOT NULL METADATA,\n\
    net DECIMAL(12, 2) NOT NULL METADATA, excess DECIMAL(12, 2) NOT NULL METADATA,\n\
    cancelled_orders BIGINT NOT NULL METADATA FROM 'cancelled-orders',\n\
    WATERMARK FOR event_time AS SOURCE_WATERMARK())\n\
    WITH ('connector' = 'lifecycle', 'source' = 'events', 'key' = 'order_id', 'kind' = 'kind', 'amount' = 'amount',\n\
    'on.placed' = 'open', 'on.paid' = 'pay', 'on.cancelled' = 'cancel', 'on.refunded' = 'refund', 'horizon' = '10 d');\n";
const TOTAL: &str = "CREATE MATERIALIZED VIEW total AS\n\
    SELECT order_id, SUM(paid) AS paid, SUM(refunded) AS refunded, SUM(net) AS net, SUM(excess) AS excess,\n\
    SUM(cancelled_orders) AS cancelled FROM flow GROUP BY order_id;\n";

/// One event; amounts in hundredths.
#[derive(Debug, Clone)]
struct Event {
    order: u32,
    kind: &'static str,
    amount: i64,
    time: i64,
}

impl Event {
    fn json(&self) -> Vec<u8> {
        let Self { order, kind, amount, time } = self;
        let amount = format!("{}.{:02}", amount / 100, amount % 100);
        format!(
            r#"{{"order_id":"o{order}","kind":"{kind}","amount":"{amount}","event_time":{time}}}"#
        )
        .into_bytes()
    }
}

/// Events by partition, in any order.
fn random_log(dice: &mut ChaCha8Rng) -> Vec<Vec<Event>> {
    let partitions = dice.random_range(1..=3_usize);
    let mut log = vec![Vec::new(); partitions];
    for order in 0..dice.random_range(1..30_u32) {
        let amount = dice.random_range(1..100_000);
        let mut kinds = Vec::new();
        for (kind, chance, most) in
            [("placed", 0.8, 1), ("paid", 0.7, 2), ("cancelled", 0.3, 2), ("refunded", 0.5, 3)]
        {
            if dice.random_bool(chance) {
                kinds.extend(std::iter::repeat_n(kind, dice.random_range(1..=most)));
            }
        }
        let begin = 1_605_024_000_000 + dice.random_range(0..3_600_000);
        let at = usize::try_from(order).unwrap_or(0) % partitions;
        log[at].extend(kinds.into_iter().map(|kind| Event {
            order,
            kind,
            // What is paid twice is paid once, so a repeat says the same.
            amount: if kind == "refunded" { dice.random_range(1..100_000) } else { amount },
            time: begin + dice.random_range(0..600_000),
        }));
    }
    log.iter_mut().for_each(|events| events.shuffle(dice));
    log
}

/// Paid, refunded, net, excess and cancelled of each order that was placed.
fn expected<'a>(read: impl Iterator<Item = &'a Event>) -> Vec<String> {
    let mut orders: BTreeMap<u32, Vec<&Event>> = BTreeMap::new();
    for event in read {
        orders.entry(event.order).or_default().push(event);
    }
    let mut rows = Vec::new();
    for (order, events) in orders {
        let of = |kind: &str| {
            events
                .iter()
                .filter(|event| event.kind == kind)
                .map(|event| event.amount)
                .collect::<Vec<_>>()
        };
        if of("placed").is_empty() {
            continue;
        }
        let paid = of("paid").first().copied().unwrap_or(0);
        let asked: i64 = of("refunded").iter().sum();
        let refunded = asked.min(paid);
        let money = |amount: i64| format!("\"{}.{:02}\"", amount / 100, amount % 100);
        rows.push(format!(
            "{{\"order_id\":\"o{order}\",\"paid\":{},\"refunded\":{},\"net\":{},\"excess\":{},\"cancelled\":{},",
            money(paid),
            money(refunded),
            money(paid - refunded),
            money(asked - refunded),
            u8::from(!of("cancelled").is_empty()),
        ));
    }
    rows.sort();
    rows
}

fn planned() -> Result<Arc<Catalog>> {
    let folder = tempfile::tempdir()?;
    for (path, sql) in
        [("streams/events.sql", EVENTS), ("streams/flow.sql", FLOW), ("views/total.sql", TOTAL)]
    {
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
    let payloads: Vec<Vec<u8>> = events.iter().map(Event::json).collect();
    let records = payloads.iter().enumerate().map(|(at, payload)| Record {
        partition,
        offset: i64::try_from(from + at).unwrap_or(i64::MAX),
        timestamp_ms: None,
        headers: &[],
        key: None,
        payload,
    });
    system.read("events", partition, records)
}

/// Holds the last cut against arithmetic over what has been read.
fn compare(system: &mut System, log: &[Vec<Event>], next: &[usize]) -> Result<()> {
    let cut = system.publish()?;
    ensure!(system.failures().is_empty(), "{:?}", system.failures());
    let want = expected(log.iter().zip(next).flat_map(|(events, next)| &events[..*next]));
    let mut got: Vec<String> =
        cut.views["total"].rows(None).map(|row| row.json.to_string()).collect();
    got.sort();
    let same = want.len() == got.len()
        && want.iter().zip(&got).all(|(want, got)| got.starts_with(want.as_str()));
    ensure!(same, "at {next:?}\nwant {want:#?}\ngot  {got:#?}");
    Ok(())
}

fn serve(seed: u64, catalog: &Arc<Catalog>) -> Result<u64> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let log = random_log(&mut dice);
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
