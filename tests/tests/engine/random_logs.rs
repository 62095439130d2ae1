//! The engine against the slow reference on random logs. Every failure prints its seed; run one seed
//! alone with `TIDEMARK_SEED=n`, more of them with `TIDEMARK_SEEDS=n`.

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tidemark_tests::engine::{Outcome, Schedule, run};
use tidemark_tests::orders::{Log, random_log};
use tidemark_tests::queries::{Query, queries};
use tidemark_tests::reference::expected;

/// Random logs a test runs; at a debug build's pace still under a minute.
const SEEDS: u64 = 150;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("TIDEMARK_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("TIDEMARK_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

fn for_every_seed(check: impl Fn(&mut ChaCha8Rng, &Log, &[Query]) -> Result<()>) -> Result<()> {
    for seed in seeds() {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let log = random_log(&mut dice);
        let queries = queries(log.shape);
        check(&mut dice, &log, &queries).with_context(|| {
            format!("seed {seed}: {:?}, {} partitions", log.shape, log.partitions.len())
        })?;
    }
    Ok(())
}

fn agrees(log: &Log, queries: &[Query], outcome: &Outcome) -> Result<()> {
    let (records, views) = expected(log, queries);
    ensure!(records == outcome.records, "records\nwant {records:?}\ngot  {:?}", outcome.records);
    for query in queries {
        let (want, got) = (&views[query.name], &outcome.views[query.name]);
        let name = query.name;
        ensure!(
            want.counts == got.counts,
            "{name}: counts\nwant {:?}\ngot  {:?}",
            want.counts,
            got.counts
        );
        ensure!(want.late == got.late, "{name}: late\nwant {:?}\ngot  {:?}", want.late, got.late);
        let missing: Vec<_> =
            want.rows.iter().filter(|row| !got.rows.contains(row)).take(3).collect();
        let extra: Vec<_> =
            got.rows.iter().filter(|row| !want.rows.contains(row)).take(3).collect();
        ensure!(
            want.rows == got.rows,
            "{name}: {} rows for {}\nmissing {missing:#?}\nextra {extra:#?}",
            got.rows.len(),
            want.rows.len()
        );
    }
    Ok(())
}

#[test]
fn one_publish_at_the_end_gives_what_the_reference_gives() -> Result<()> {
    for_every_seed(|dice, log, queries| {
        let schedule = Schedule { batch_records_max: 8_192, publish: 0.0, restart: 0.0 };
        agrees(log, queries, &run(log, queries, schedule, dice)?)
    })
}

#[test]
fn neither_batches_nor_publishes_change_a_row() -> Result<()> {
    for_every_seed(|dice, log, queries| {
        for batch_records_max in [1, 3, 40] {
            let schedule = Schedule { batch_records_max, publish: 0.4, restart: 0.0 };
            agrees(log, queries, &run(log, queries, schedule, dice)?)
                .with_context(|| format!("batches of up to {batch_records_max}"))?;
        }
        Ok(())
    })
}

#[test]
fn a_run_that_was_restarted_gives_the_same_rows() -> Result<()> {
    for_every_seed(|dice, log, queries| {
        let schedule = Schedule { batch_records_max: 7, publish: 0.5, restart: 0.3 };
        agrees(log, queries, &run(log, queries, schedule, dice)?)
    })
}

#[test]
fn what_is_shown_depends_only_on_what_has_been_read() -> Result<()> {
    for_every_seed(|dice, log, queries| {
        let once = Schedule { batch_records_max: 8_192, publish: 0.0, restart: 0.0 };
        let often = Schedule { batch_records_max: 5, publish: 0.7, restart: 0.1 };
        let (once, often) = (run(log, queries, once, dice)?, run(log, queries, often, dice)?);
        for query in queries {
            let (once, often) = (&once.shown[query.name], &often.shown[query.name]);
            let differing = once.iter().find(|(window, rows)| often.get(*window) != Some(rows));
            let extra = often.iter().find(|(window, _)| !once.contains_key(*window));
            ensure!(
                differing.is_none() && extra.is_none(),
                "{}: with one publish {differing:?}, with many {:?}; only with many {extra:?}",
                query.name,
                differing.map(|(window, _)| often.get(window)),
            );
        }
        Ok(())
    })
}

#[test]
fn the_random_logs_reach_every_rule() {
    let mut sums = [0_u64; 6];
    let (mut late, mut revised) = (0, 0);
    for seed in 0..SEEDS {
        let log = random_log(&mut ChaCha8Rng::seed_from_u64(seed));
        let (records, views) = expected(&log, &queries(log.shape));
        for counts in records {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        late += views.values().map(|view| view.late.len()).sum::<usize>();
        revised += views
            .values()
            .flat_map(|view| &view.rows)
            .filter(|(_, revision)| *revision > 0)
            .count();
    }
    assert!(sums.iter().all(|sum| *sum > 100), "{sums:?}");
    assert!(late > 1_000 && revised > 100, "{late} late, {revised} revised");
}
