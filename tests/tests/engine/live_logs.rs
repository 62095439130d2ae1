//! The pipeline as `serve` starts it, with its own threads and clock: neither the number of threads, nor the
//! batches, nor when it published or was stopped changes a row.

use anyhow::{Context as _, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tidemark_tests::engine::catalog;
use tidemark_tests::live;
use tidemark_tests::orders::random_log;
use tidemark_tests::queries::queries;
use tidemark_tests::served::{closed, compare};

/// Logs that are run with every number of threads.
const LOGS: u64 = 12;

#[test]
fn threads_batches_and_stops_change_no_row_of_what_is_served() -> Result<()> {
    let mut rows = 0;
    for seed in 0..LOGS {
        let log = random_log(&mut ChaCha8Rng::seed_from_u64(seed));
        let queries = queries(log.shape);
        let log = closed(&log);
        let planned = || catalog(&log, &queries);
        for (threads, batch, shares) in [(1, 8_192, &[][..]), (2, 3, &[30, 60]), (4, 1, &[50])] {
            let folder = tempfile::tempdir()?;
            let cut = live::run(&planned, &log, (threads, batch), shares, folder.path());
            rows += cut.and_then(|cut| compare(&cut, &log, &queries)).with_context(|| {
                format!("seed {seed}, {threads} threads, batches of {batch}, stopped at {shares:?}")
            })?;
        }
    }
    println!("{LOGS} logs with 1, 2 and 4 folding threads: {rows} rows equal the reference");
    Ok(())
}
