//! Joins of two streams as they are served, against loops within loops, on random pairs of logs. Every failure
//! prints its seed; `TIDEMARK_SEED=n` runs one alone, `TIDEMARK_PAIRS=n` that many.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::sql::Catalog;
use tidemark_tests::joined::{catalog, random_pair, serve};
use tidemark_tests::orders::Shape;
use tidemark_tests::served::{Compared, Serving};

/// Pairs of logs of one `cargo test`.
const PAIRS: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn run(seed: u64, catalogues: &mut BTreeMap<Shape, Arc<Catalog>>) -> Result<Compared> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let pair = random_pair(&mut dice);
    let serving = Serving {
        batch_records_max: [1, 3, 40][dice.random_range(0..3)],
        publish: [0.05, 0.3, 0.8][dice.random_range(0..3)],
        save: [0.2, 1.0][dice.random_range(0..2)],
        crash: [0.0, 0.02, 0.2][dice.random_range(0..3)],
        compare: 0.2,
    };
    let shape = pair[0].shape;
    if !catalogues.contains_key(&shape) {
        catalogues.insert(shape, Arc::new(catalog(shape)?));
    }
    let catalogue = Arc::clone(catalogues.get(&shape).context("just planned")?);
    serve(&pair, catalogue, serving, &mut dice).with_context(|| {
        format!("seed {seed}: {shape:?}, {} partitions, {serving:?}", pair[0].partitions.len())
    })
}

#[test]
fn served_joins_equal_the_loops_at_every_cut_and_after_crashes() -> Result<()> {
    let (first, count) = match number("TIDEMARK_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("TIDEMARK_PAIRS").unwrap_or(PAIRS)),
    };
    let (mut compared, mut catalogues, mut wrong) =
        (Compared::default(), BTreeMap::new(), Vec::new());
    for seed in first..first + count {
        match run(seed, &mut catalogues) {
            Ok(run) => compared.add(run),
            Err(error) => wrong.push(format!("{error:#}")),
        }
        if wrong.len() >= 3 {
            break;
        }
    }
    println!(
        "random pairs {first} to {}: {} records, {} crashes; {} cuts with {} rows equal the loops, {} pairs do not",
        first + count - 1,
        compared.records,
        compared.crashes,
        compared.cuts,
        compared.rows.values().sum::<u64>(),
        wrong.len()
    );
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}
