//! The pipeline as `serve` starts it, with its own threads and clock: neither the number of threads, nor the
//! batches, nor when it published or was stopped changes a row.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::ledger::{Entry, LedgerKind};
use tidemark_pipeline::results::Results;
use tidemark_tests::engine::catalog;
use tidemark_tests::live;
use tidemark_tests::orders::random_log;
use tidemark_tests::queries::queries;
use tidemark_tests::served::{Rows, add_rows, closed, compare};

/// Logs that are run with every number of threads.
const LOGS: u64 = 12;

#[test]
fn threads_batches_and_stops_change_no_row_of_what_is_served() -> Result<()> {
    let mut rows = Rows::new();
    for seed in 0..LOGS {
        let log = random_log(&mut ChaCha8Rng::seed_from_u64(seed));
        let queries = queries(log.shape);
        let log = closed(&log);
        let planned = || catalog(&log, &queries);
        for (threads, batch, shares) in [(1, 8_192, &[][..]), (2, 3, &[30, 60]), (4, 1, &[50])] {
            let folder = tempfile::tempdir()?;
            let cut = live::run(&planned, &log, (threads, batch), shares, folder.path());
            let compared =
                cut.and_then(|cut| compare(&cut, &log, &queries)).with_context(|| {
                    format!(
                        "seed {seed}, {threads} threads, batches of {batch}, stopped at {shares:?}"
                    )
                })?;
            add_rows(&mut rows, &compared);
        }
    }
    println!("{LOGS} logs with 1, 2 and 4 folding threads: rows equal to the reference: {rows:?}");
    Ok(())
}

/// All entries of all ledgers of real orders, also those that no cut shows.
fn entries(results: &Results) -> Result<Vec<Entry>> {
    let store = results.ledgers().context("the pipeline has ledgers")?;
    let mut all = Vec::new();
    for ledger in LedgerKind::ALL {
        for entry in store.scan("live", ledger)? {
            all.push(entry?);
        }
    }
    Ok(all)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[test]
fn a_start_from_an_older_checkpoint_takes_back_what_later_records_brought_into_the_ledgers()
-> Result<()> {
    let mut taken_back = 0;
    for seed in 0..4 {
        let log = random_log(&mut ChaCha8Rng::seed_from_u64(seed));
        let queries = queries(log.shape);
        let planned = || catalog(&log, &queries);
        let (folder, aside) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let checkpoints = folder.path().join("checkpoints");
        let run_to = |share: usize| live::run_to(&planned, &log, (1, 50), share, folder.path());
        let then = entries(run_to(50)?.as_ref())?;
        copy(&checkpoints, aside.path())?;
        let all = entries(run_to(100)?.as_ref())?;
        std::fs::remove_dir_all(&checkpoints)?;
        copy(aside.path(), &checkpoints)?;
        let now = entries(run_to(50)?.as_ref())?;
        let places = |entries: &[Entry]| -> Vec<_> {
            entries.iter().map(|entry| (entry.id.clone(), entry.since, entry.until)).collect()
        };
        let (then, now) = (places(&then), places(&now));
        ensure!(then == now, "seed {seed}\nwant {then:?}\ngot  {now:?}");
        taken_back += all.len() - now.len();
    }
    ensure!(taken_back > 0, "the second half of no log brought anything into a ledger");
    Ok(())
}
