//! A full Kafka topic, drained: by a consumer that only counts bytes, and by `tidemark serve` with all
//! shipped views, dedup and checkpoints. In turn, in one run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemark_pipeline::source::Source as _;
use tidemark_pipeline::source::kafka::KafkaSource;
use tidemark_pipeline::sql::Catalog;

use super::process::{Server, process_seconds};
use super::records::{self, Filled, PARTITIONS};
use super::table::{Row, Table, best_and_median};
use super::{BATCH_RECORDS, Bench};

/// How long a reader waits for its first message at a time.
const READ_WAIT: Duration = Duration::from_millis(5);

/// What reading a topic once cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Drains the beginning of the large day both ways, and restarts what has drained it.
///
/// # Errors
/// When the topic cannot be filled or drained.
pub(super) fn measure(
    bench: &Bench,
    catalog: &Catalog,
    bootstrap: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let filled = records::beginning_of_day(bootstrap, bench.args.topic_records)?;
    let (mut bare, mut served) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    let mut restarts = Vec::new();
    let mut peak = 0;
    for round in 0..bench.args.rounds {
        let cost;
        (bytes, cost) = count_bytes(bootstrap, &filled)?;
        bare.push(cost);
        let data_dir = bench.folder.path().join(format!("drain-{round}"));
        let (server, cost) = drain(bench, &data_dir, bootstrap, &filled, &mut |_, _| {})?;
        served.push(cost);
        peak = peak.max(server.peak_mib()?);
        drop(server);
        restarts.push(restart(bench, &data_dir, bootstrap, &filled)?);
        std::fs::remove_dir_all(&data_dir)?;
    }
    let records = filled.records;
    let row = |what: String, figure: String, ratio: String| Row {
        what,
        records,
        bytes,
        cores: cores(),
        figure,
        ratio,
    };
    let rate = |costs: &[Cost], of: fn(&Cost) -> f64| {
        let (best, median) = best_and_median(&costs.iter().map(of).collect::<Vec<_>>());
        (records as f64 / best, records as f64 / median)
    };
    let told = |costs: &[Cost]| {
        let ((best, median), (cpu, _)) =
            (rate(costs, |cost| cost.wall), rate(costs, |cost| cost.cpu));
        let told = format!("{best:.0} records/s (median {median:.0}), {cpu:.0}/s a core used");
        (told, [median, best, cpu])
    };
    let (bare_told, of_bare) = told(&bare);
    let (served_told, of_served) = told(&served);
    let [median, best, cpu] = std::array::from_fn(|at| of_served[at] / of_bare[at]);
    table.push(row("bare batch consumer, counts bytes".to_owned(), bare_told, String::new()));
    let views = catalog.views.len();
    table.push(row(
        format!(
            "drain: {views} shipped views, dedup, checkpoints, no history, {PARTITIONS} partitions"
        ),
        served_told,
        format!("{median:.3} of the medians, {best:.3} of the bests, {cpu:.3} by CPU time"),
    ));
    let (best, median) = best_and_median(&restarts);
    table.push(row(
        "restart after kill -9 to live".to_owned(),
        format!("{best:.2} s"),
        format!("median {median:.2} s"),
    ));
    table.push(row("most memory of the drain".to_owned(), format!("{peak} MiB"), String::new()));
    Ok(())
}

/// Drains a whole day and looks at the memory on the way.
///
/// # Errors
/// When the topic cannot be filled or drained.
pub(super) fn measure_day(
    bench: &Bench,
    catalog: &Catalog,
    bootstrap: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let filled = records::whole_day(bootstrap, bench.args.day_orders)?;
    let data_dir = bench.folder.path().join("day");
    let mut seen: Vec<(u64, u64)> = Vec::new();
    let (server, cost) = drain(bench, &data_dir, bootstrap, &filled, &mut |read, resident| {
        seen.push((read, resident))
    })?;
    let peak = server.peak_mib()?;
    drop(server);
    let at = |quarter: u64| {
        let wanted = filled.records * quarter / 4;
        seen.iter().find(|(read, _)| *read >= wanted).map_or(0, |(_, resident)| *resident)
    };
    let curve: Vec<String> = (1..=4).map(|quarter| at(quarter).to_string()).collect();
    table.push(Row {
        what: format!(
            "most memory of a day of 86,400 seconds drained at once, {} views",
            catalog.views.len()
        ),
        records: filled.records,
        bytes: 0,
        cores: cores(),
        figure: format!("{peak} MiB"),
        ratio: format!(
            "at each quarter {} MiB; {:.0} records/s",
            curve.join(", "),
            filled.records as f64 / cost.wall
        ),
    });
    Ok(())
}

/// Reads the topic to its end, the partitions shared out among as many threads as the pipeline folds with.
fn count_bytes(bootstrap: &str, filled: &Filled) -> anyhow::Result<(u64, Cost)> {
    let options = records::options(bootstrap, &filled.topic);
    let (began, cpu) = (Instant::now(), process_seconds("self")?);
    let mut source = KafkaSource::new(&options)?;
    let mut shares: Vec<Vec<_>> = (0..cores().min(4)).map(|_| Vec::new()).collect();
    for (at, partition) in source.partitions()?.into_iter().enumerate() {
        let share = at % shares.len();
        shares[share].push(source.open(partition, None)?);
    }
    let (bytes, count) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|threads| {
        for mut readers in shares {
            let (bytes, count) = (&bytes, &count);
            threads.spawn(move || {
                while count.load(Ordering::Relaxed) < filled.records {
                    for reader in &mut readers {
                        let mut own = 0;
                        let outcome = reader.read(BATCH_RECORDS, READ_WAIT, &mut |record| {
                            own += record.payload.len() as u64;
                        });
                        bytes.fetch_add(own, Ordering::Relaxed);
                        let records = outcome.map_or(0, |outcome| outcome.records as u64);
                        count.fetch_add(records, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let cost = Cost { wall: began.elapsed().as_secs_f64(), cpu: process_seconds("self")? - cpu };
    Ok((bytes.into_inner(), cost))
}

/// Starts a server over the topic and waits until its cut has all records; `each` sees the records read
/// and the resident memory in MiB.
fn drain(
    bench: &Bench,
    data_dir: &std::path::Path,
    bootstrap: &str,
    filled: &Filled,
    each: &mut dyn FnMut(u64, u64),
) -> anyhow::Result<(Server, Cost)> {
    let server =
        Server::start(&bench.config.pipeline.sql_dir, data_dir, (bootstrap, &filled.topic))?;
    server.wait_for(filled.records, |read| each(read, server.resident_mib().unwrap_or(0)))?;
    let cost = Cost { wall: server.began.elapsed().as_secs_f64(), cpu: server.cpu_seconds()? };
    Ok((server, cost))
}

fn restart(
    bench: &Bench,
    data_dir: &std::path::Path,
    bootstrap: &str,
    filled: &Filled,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let (server, _) = drain(bench, data_dir, bootstrap, filled, &mut |_, _| {})?;
    let seconds = began.elapsed().as_secs_f64();
    drop(server);
    Ok(seconds)
}
