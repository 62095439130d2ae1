//! The pipeline as it serves against the slow reference, on thousands of random logs. Every failure prints
//! its seed; `TIDEMARK_SEED=n` runs one alone, `TIDEMARK_LOGS=n` that many.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidemark_tests::orders::random_log;
use tidemark_tests::queries::queries;
use tidemark_tests::served::{Catalogues, Compared, Serving, serve};

/// Logs of one `cargo test`.
const LOGS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// One log, served as its own dice say.
fn run(seed: u64, catalogues: &Catalogues) -> Result<Compared> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let log = random_log(&mut dice);
    let queries = queries(log.shape);
    let serving = Serving {
        batch_records_max: [1, 3, 7, 40, 8_192][dice.random_range(0..5)],
        publish: [0.05, 0.3, 0.8][dice.random_range(0..3)],
        save: [0.2, 1.0][dice.random_range(0..2)],
        crash: [0.0, 0.02, 0.2][dice.random_range(0..3)],
        compare: 0.1,
    };
    let catalogue = catalogues.of(&log, &queries)?;
    serve(&log, &queries, catalogue, serving, &mut dice).with_context(|| {
        format!("seed {seed}: {:?}, {} partitions, {serving:?}", log.shape, log.partitions.len())
    })
}

#[test]
fn what_is_served_equals_the_reference_at_every_cut_and_after_crashes() -> Result<()> {
    let (first, count) = match number("TIDEMARK_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("TIDEMARK_LOGS").unwrap_or(LOGS)),
    };
    let next = AtomicU64::new(first);
    let outcome: Mutex<(Compared, Vec<anyhow::Error>)> = Mutex::default();
    let catalogues = Catalogues::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_over = outcome.lock().map_or(true, |outcome| outcome.1.len() >= 3);
                    if seed >= first + count || is_over {
                        return;
                    }
                    let run = run(seed, &catalogues);
                    let Ok(mut outcome) = outcome.lock() else { return };
                    match run {
                        Ok(compared) => outcome.0.add(compared),
                        Err(error) => outcome.1.push(error),
                    }
                }
            });
        }
    });
    let (compared, wrong) = outcome.into_inner().unwrap_or_default();
    println!(
        "random logs {first} to {}: {} records, {} crashes; {} cuts with {} rows equal the reference, {} logs do not; rows {:?}",
        first + count - 1,
        compared.records,
        compared.crashes,
        compared.cuts,
        compared.rows.values().sum::<u64>(),
        wrong.len(),
        compared.rows
    );
    if !wrong.is_empty() {
        let all: Vec<String> = wrong.iter().map(|error| format!("{error:#}")).collect();
        bail!("{}", all.join("\n\n"));
    }
    Ok(())
}
