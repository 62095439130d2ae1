//! Sums near 38 digits on random amounts: exact while the magnitudes have room, without a row once they have not,
//! never wrapped; in the windows and above them, whatever the batches. `TIDEMARK_SEED=n` runs one alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::model::Record;
use tidemark_pipeline::run::reference::catalog;
use tidemark_pipeline::sql::{Catalog, StateBounds};
use tidemark_tests::system::System;

const LOGS: u64 = 400;
/// 10^37; ten of them have no room.
const UNIT: i128 = 10_i128.pow(37);
const LARGEST: i128 = 10_i128.pow(38) - 1;

const STREAM: &str = "CREATE TABLE orders (id STRING NOT NULL, amount DECIMAL(38, 0), event_time TIMESTAMP(3) NOT NULL,\n\
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND)\n\
    WITH ('connector' = 'embedded', 'format' = 'json', 'time-zone' = 'UTC');\n";
const TOTAL: &str = "CREATE MATERIALIZED VIEW total AS SELECT SUM(amount) AS amount FROM orders;\n";
/// The second sum is above the first: DataFusion updates and evaluates it in one step, without a merge.
const OF_SUMS: &str = "CREATE MATERIALIZED VIEW of_sums AS SELECT SUM(amount) AS amount\n\
    FROM (SELECT id, SUM(amount) AS amount FROM orders GROUP BY id);\n";

fn planned() -> Result<Arc<Catalog>> {
    let folder = tempfile::tempdir()?;
    for (path, sql) in
        [("streams/orders.sql", STREAM), ("views/total.sql", TOTAL), ("views/of_sums.sql", OF_SUMS)]
    {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(path, sql)?;
    }
    let catalog = catalog(folder.path(), &BTreeMap::new(), StateBounds::default());
    catalog.map(Arc::new).map_err(|errors| anyhow::anyhow!("{errors:?}"))
}

/// Runs one log; whether it had no room.
fn run(seed: u64, catalog: &Arc<Catalog>) -> Result<bool> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let amounts: Vec<i128> = (0..dice.random_range(1..12))
        .map(|_| UNIT * dice.random_range(0..4) + dice.random_range(0..1_000))
        .collect();
    // What is below zero counts by its magnitude, and by the row: only in the sum of the rows themselves.
    let signs: Vec<i128> =
        amounts.iter().map(|_| if dice.random_bool(0.2) { -1 } else { 1 }).collect();
    let has_signs = dice.random_bool(0.5);
    let batch = dice.random_range(1..=amounts.len());
    let mut system = System::open(Arc::clone(catalog), 1)?;
    let mut all = Vec::new();
    for (offset, (amount, sign)) in (0..).zip(amounts.iter().zip(&signs)) {
        let amount = if has_signs { amount * sign } else { *amount };
        all.push((
            offset,
            amount,
            format!(
                r#"{{"id":"o{}","amount":"{amount}","event_time":{}}}"#,
                offset % 3,
                1_605_024_000_000_i64 + offset
            ),
        ));
    }
    for part in all.chunks(batch) {
        let records = part.iter().map(|(offset, _, payload)| Record {
            partition: 0,
            offset: *offset,
            timestamp_ms: None,
            headers: &[],
            key: None,
            payload: payload.as_bytes(),
        });
        system.read("orders", 0, records)?;
        if dice.random_bool(0.3) {
            system.publish()?;
        }
    }
    let cut = system.publish()?;
    let failures = [system.failures(), system.problems()].concat();
    // Eleven of them may have no room in an i128 either.
    let magnitudes = amounts.iter().fold(0_i128, |sum, amount| sum.saturating_add(*amount));
    let views: &[&str] = if has_signs { &["total"] } else { &["total", "of_sums"] };
    for view in views {
        let failure = failures.iter().find(|failure| failure.starts_with(&format!("{view}: ")));
        ensure!(
            failure.is_some() == (magnitudes > LARGEST),
            "{view}: magnitudes of {magnitudes} and {failure:?}"
        );
        if let Some(failure) = failure {
            ensure!(failure.contains("overflow"), "{failure}");
            ensure!(cut.views[*view].rows(None).next().is_none(), "{failure}");
            continue;
        }
        let want: i128 = all.iter().map(|(_, amount, _)| amount).sum();
        let rows: Vec<String> =
            cut.views[*view].rows(None).map(|row| row.json.to_string()).collect();
        let is_it = |row: &String| row.starts_with(&format!("{{\"amount\":\"{want}\","));
        ensure!(rows.len() == 1 && rows.iter().all(is_it), "{view}: want {want}, got {rows:?}");
    }
    Ok(magnitudes > LARGEST)
}

#[test]
fn a_sum_is_exact_to_the_last_of_38_digits_or_is_not_shown() -> Result<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDEMARK_SEEDS").unwrap_or(LOGS),
    };
    let catalog = planned()?;
    let mut stopped = 0;
    for seed in seeds.clone() {
        stopped += u64::from(run(seed, &catalog).with_context(|| format!("seed {seed}"))?);
    }
    println!("sums near 38 digits {seeds:?}: {stopped} logs had no room");
    Ok(())
}
