//! Shadow records of every kind among real ones, on random logs, through crashes. Every failure prints its
//! seed; `TIDEMARK_SEED=n` runs one alone, `TIDEMARK_LOGS=n` that many.

use anyhow::{Context as _, Result, ensure};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidemark_tests::orders::random_log;
use tidemark_tests::queries::queries;
use tidemark_tests::served::Catalogues;
use tidemark_tests::shadow::{Compared, Serving, marked, serve};

/// Logs of one `cargo test`.
const LOGS: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn both_spaces_of_a_mixed_log_equal_two_logs_that_never_heard_of_shadow_records() -> Result<()> {
    let (first, count) = match number("TIDEMARK_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("TIDEMARK_LOGS").unwrap_or(LOGS)),
    };
    let catalogues = Catalogues::default();
    let mut all = Compared::default();
    for seed in first..first + count {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let log = random_log(&mut dice);
        let share = [0.0, 0.02, 0.3, 0.7, 1.0][dice.random_range(0..5)];
        let mixed = marked(log, share, &mut dice);
        let catalogue = catalogues.of(&mixed.log, &queries(mixed.log.shape))?;
        let serving = Serving {
            batch_records_max: [1, 3, 7, 40, 8_192][dice.random_range(0..5)],
            publish: [0.05, 0.3, 0.8][dice.random_range(0..3)],
            save: [0.2, 1.0][dice.random_range(0..2)],
            crash: [0.0, 0.05, 0.2][dice.random_range(0..3)],
        };
        let compared = serve(&mixed, &catalogue, serving, &mut dice).with_context(|| {
            format!(
                "seed {seed}: share {share}, {:?}, {} partitions, {serving:?}",
                mixed.log.shape,
                mixed.marks.len()
            )
        })?;
        all.add(compared);
    }
    println!(
        "{count} logs: {} records, {} of them shadow, {} crashes; {} rows are equal in both spaces",
        all.records, all.shadow, all.crashes, all.rows
    );
    ensure!(
        count == 1 || all.shadow > 0 && all.crashes > 0 && all.rows > 0,
        "nothing was compared: {all:?}"
    );
    Ok(())
}
