//! Windowed joins of two streams under `tidemark run`, on random files, against two nested loops.
//! `TIDEMARK_SEED=n` runs one alone, `TIDEMARK_SEEDS=n` that many.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::results::json::write_row;
use tidemark_pipeline::run::job::{JobEvent, JobOptions, run_script};

const SEEDS: u64 = 300;
const BEGIN_MS: i64 = 1_605_024_000_000;
/// Length of the windows, and how far the watermarks are behind, in milliseconds.
const SIZE_MS: i64 = 5_000;
const DELAY_MS: i64 = 2_000;

/// A record of either stream: its number, its key, its event time.
type Line = (usize, Option<u8>, i64);

fn random_lines(dice: &mut ChaCha8Rng) -> Vec<Line> {
    let count = dice.random_range(0..40);
    let jitter = [1_000, 8_000][dice.random_range(0..2)];
    (0..count)
        .map(|id| {
            let shop = dice.random_bool(0.9).then(|| dice.random_range(0..3));
            let time = BEGIN_MS + i64::try_from(id).unwrap_or(0) * 700;
            (id, shop, time - dice.random_range(0..jitter))
        })
        .collect()
}

/// The lines that are in time for their window, with its start.
fn in_time(lines: &[Line]) -> Vec<(Line, i64)> {
    let mut watermark = i64::MIN;
    let mut kept = Vec::new();
    for line in lines {
        let start = line.2 - line.2.rem_euclid(SIZE_MS);
        if start + SIZE_MS - 1 > watermark {
            kept.push((*line, start));
        }
        watermark = watermark.max(line.2 - DELAY_MS);
    }
    kept
}

fn expected(left: &[Line], right: &[Line], is_outer: bool) -> Vec<String> {
    let (left, right) = (in_time(left), in_time(right));
    let text = |shop: Option<u8>| shop.map_or("null".to_owned(), |shop| format!("\"s{shop}\""));
    let mut rows = Vec::new();
    for ((id, shop, _), start) in &left {
        let row = |sent: &str| {
            format!(
                "{{\"window_start\":{start},\"shop\":{},\"paid\":{id},\"sent\":{sent}}}",
                text(*shop)
            )
        };
        let mut is_met = false;
        for ((sent, other, _), other_start) in &right {
            if shop.is_some() && shop == other && start == other_start {
                rows.push(row(&sent.to_string()));
                is_met = true;
            }
        }
        if is_outer && !is_met {
            rows.push(row("null"));
        }
    }
    rows.sort();
    rows
}

fn file(lines: &[Line]) -> String {
    let mut text = String::new();
    for (id, shop, time) in lines {
        let shop = shop.map_or("null".to_owned(), |shop| format!("\"s{shop}\""));
        let _infallible = writeln!(text, r#"{{"id":{id},"shop":{shop},"event_time":{time}}}"#);
    }
    text
}

fn script(is_outer: bool, is_view: bool) -> String {
    let table = |name: &str| {
        format!(
            "CREATE TABLE {name} (id BIGINT NOT NULL, shop STRING, event_time TIMESTAMP(3) NOT NULL,\n\
             WATERMARK FOR event_time AS event_time - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem',\n\
             'path' = '{name}.jsonl', 'format' = 'json', 'partition.key' = 'shop');\n"
        )
    };
    let windowed = |name: &str| {
        format!(
            "(SELECT * FROM TABLE(TUMBLE(TABLE {name}, DESCRIPTOR(event_time), INTERVAL '5' SECOND)))"
        )
    };
    let declared = if is_view { "CREATE MATERIALIZED VIEW joined AS\n" } else { "" };
    let join = if is_outer { "LEFT JOIN" } else { "JOIN" };
    let (orders, parcels) = (table("orders"), table("parcels"));
    format!(
        "{orders}{parcels}{declared}SELECT a.window_start, a.shop, a.id AS paid, b.id AS sent\nFROM {} AS a\n{join} {} AS b\n\
         ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.shop = b.shop;\n\
         SELECT view, stream, accepted, counted, late FROM views_accounted ORDER BY stream;",
        windowed("orders"),
        windowed("parcels")
    )
}

fn run(seed: u64) -> Result<usize> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let (left, right) = (random_lines(&mut dice), random_lines(&mut dice));
    let (is_outer, is_view) = (dice.random_bool(0.5), dice.random_bool(0.5));
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("orders.jsonl"), file(&left))?;
    std::fs::write(folder.path().join("parcels.jsonl"), file(&right))?;
    let options = JobOptions {
        batch_records: [1, 3, 8_192][dice.random_range(0..3)],
        ..JobOptions::default()
    };
    let mut got = Vec::new();
    let job = folder.path().join("job.sql");
    run_script(&job, &script(is_outer, is_view), &options, &mut |event| {
        if let JobEvent::Rows { rows, .. } = event {
            let columns: Vec<usize> = (0..rows.num_columns()).collect();
            for row in 0..rows.num_rows() {
                let mut text = String::new();
                write_row(&mut text, rows, &columns, row);
                got.push(text);
            }
        }
    })?;
    let (mut accounted, mut rows): (Vec<String>, Vec<String>) =
        got.into_iter().partition(|row| row.starts_with("{\"view\":"));
    rows.sort();
    let want = expected(&left, &right, is_outer);
    ensure!(rows == want, "outer {is_outer}, view {is_view}\nwant {want:#?}\ngot  {rows:#?}");
    accounted.retain(|row| !row.contains("\"accepted\":0,"));
    let counts = |stream: &str, lines: &[Line]| {
        let (accepted, counted) = (lines.len(), in_time(lines).len());
        format!(
            "\"stream\":\"{stream}\",\"accepted\":{accepted},\"counted\":{counted},\"late\":{}}}",
            accepted - counted
        )
    };
    let want = [("orders", &left), ("parcels", &right)];
    let want: Vec<String> = want
        .iter()
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(stream, lines)| counts(stream, lines))
        .collect();
    let same = want.len() == accounted.len()
        && want.iter().zip(&accounted).all(|(want, got)| got.ends_with(want.as_str()));
    ensure!(same, "accounting\nwant {want:#?}\ngot  {accounted:#?}");
    Ok(rows.len())
}

#[test]
fn a_windowed_join_of_a_script_equals_two_nested_loops() -> Result<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDEMARK_SEEDS").unwrap_or(SEEDS),
    };
    let mut rows = 0;
    for seed in seeds.clone() {
        rows += run(seed).with_context(|| format!("seed {seed}"))?;
    }
    println!("windowed joins of scripts {seeds:?}: {rows} rows equal two nested loops");
    Ok(())
}
