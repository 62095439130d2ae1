//! Malformed records of every kind, and a good one after every ninth of them: nothing panics, each is accounted for,
//! each rejected one is a dead letter with its place and reason, and the good ones count to the cent.
//! `TIDEMARK_MALFORMED=n` goes on until that many were rejected; the good ones come besides.
//!
//! Some of what was made wrong is a record after all - a flipped bit in a text, a field twice, deep nesting in a field
//! that is not declared. How many those were is told by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use arrow::array::AsArray as _;
use arrow::datatypes::{Decimal128Type, Int64Type};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::model::Record;
use tidemark_pipeline::run::reference::catalog as catalog_of;
use tidemark_pipeline::sql::StateBounds;
use tidemark_tests::feed::feed;
use tidemark_tests::malformed::{Fate, Made, good, record, stream_sql};
use tidemark_tests::system::System;

/// Malformed records of one `cargo test`.
const RECORDS: u64 = 100_000;
/// Records between two publishes.
const BATCH: u64 = 1_000;
/// After so many malformed records comes a good one.
const MALFORMED_PER_GOOD: u64 = 9;
const SEED: u64 = 20_201_111;
/// A record of this size is tried once a format.
const LARGE_BYTES: usize = 10_000_000;

fn records() -> u64 {
    std::env::var("TIDEMARK_MALFORMED").ok().and_then(|text| text.parse().ok()).unwrap_or(RECORDS)
}

fn system(format: &str) -> Result<System> {
    let folder = tempfile::tempdir()?;
    for (kind, sql) in [
        ("streams", stream_sql(format)),
        (
            "views",
            "CREATE MATERIALIZED VIEW good AS\nSELECT flag, COUNT(*) AS n, SUM(amount) AS amount\nFROM orders\n\
             WHERE id LIKE 'good-%'\nGROUP BY flag;\n"
                .to_owned(),
        ),
    ] {
        std::fs::create_dir_all(folder.path().join(kind))?;
        std::fs::write(folder.path().join(kind).join("one.sql"), sql)?;
    }
    let catalog = catalog_of(folder.path(), &BTreeMap::new(), StateBounds::default());
    let catalog = catalog.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    System::open(Arc::new(catalog), 1)
}

/// What is known of the records so far.
#[derive(Default)]
struct Known {
    read: i64,
    malformed: u64,
    /// Malformed ones that were accepted.
    after_all: u64,
    good: (i64, i128),
    accepted: i64,
    rejected: i64,
    kinds: BTreeMap<(&'static str, &'static str), u64>,
}

impl Known {
    fn note(&mut self, made: &Made, number: u64, is_rejected: bool) {
        self.read += 1;
        self.accepted += i64::from(!is_rejected);
        self.rejected += i64::from(is_rejected);
        if made.kind == "good" {
            self.good = (self.good.0 + 1, self.good.1 + i128::from(number));
        } else {
            self.malformed += 1;
            self.after_all += u64::from(!is_rejected);
        }
        *self
            .kinds
            .entry((made.kind, if is_rejected { "rejected" } else { "accepted" }))
            .or_default() += 1;
    }
}

/// Reads a batch, and holds what came of each record against what must have.
fn batch(system: &mut System, batch: &[(u64, Made)], known: &mut Known) -> Result<()> {
    let first = known.read;
    let records = (first..).zip(batch).map(|(offset, (_, made))| Record {
        partition: 0,
        offset,
        timestamp_ms: None,
        headers: &[],
        key: None,
        payload: &made.bytes,
    });
    system.read("orders", 0, records)?;
    system.publish()?;
    let letters = system.take_letters();
    let mut letters: BTreeMap<i64, String> =
        letters.into_iter().map(|letter| (letter.offset, letter.reason)).collect();
    for (offset, (number, made)) in (first..).zip(batch) {
        let reason = letters.remove(&offset);
        let shown =
            || String::from_utf8_lossy(&made.bytes[..made.bytes.len().min(300)]).into_owned();
        match made.fate {
            Fate::Accepted => ensure!(reason.is_none(), "{}: {reason:?}: {}", made.kind, shown()),
            Fate::Rejected => ensure!(reason.is_some(), "{} was accepted: {}", made.kind, shown()),
            Fate::Either => {}
        }
        ensure!(reason.as_ref().is_none_or(|reason| !reason.is_empty()), "no reason: {}", shown());
        known.note(made, *number, reason.is_some());
    }
    ensure!(letters.is_empty(), "dead letters of records that were not read: {letters:?}");
    compare(system, known)
}

fn compare(system: &System, known: &Known) -> Result<()> {
    let accounted = system.cut().tables.get("records_accounted").context("accounting")?;
    let count = |name: &str| -> Result<i64> {
        Ok(accounted.column_by_name(name).context("a column")?.as_primitive::<Int64Type>().value(0))
    };
    ensure!(count("read")? == known.read && count("accepted")? == known.accepted);
    ensure!(count("rejected")? == known.rejected);
    let rows = system.cut().views.get("good").context("the view")?.batches();
    let (mut n, mut amount) = (0, 0);
    for rows in rows {
        n += rows.column(1).as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        amount += rows.column(2).as_primitive::<Decimal128Type>().iter().flatten().sum::<i128>();
    }
    ensure!((n, amount) == known.good, "{n} good records of {amount}, there were {:?}", known.good);
    Ok(())
}

fn every_record_is_accounted_for(format: &'static str, count: i64) -> Result<()> {
    let mut dice = ChaCha8Rng::seed_from_u64(SEED);
    let mut system = system(format)?;
    let mut known = Known::default();
    let mut number = 0;
    while known.rejected < count {
        let mut made = Vec::new();
        for number in number..number + BATCH {
            made.push((number, record(&mut dice, format, number)));
            if (number + 1) % MALFORMED_PER_GOOD == 0 {
                made.push((number, good(format, number)));
            }
        }
        batch(&mut system, &made, &mut known)
            .with_context(|| format!("seed {SEED}, {format}, from record {number}"))?;
        number += BATCH;
    }
    let large =
        Made { bytes: vec![b'7'; LARGE_BYTES], fate: Fate::Rejected, kind: "ten megabytes" };
    batch(&mut system, &[(0, large)], &mut known)?;
    ensure!(known.malformed == number + 1, "{} were malformed of {number}", known.malformed);
    ensure!(u64::try_from(known.good.0)? == number / MALFORMED_PER_GOOD, "{} good", known.good.0);
    // What is a record after all is the smaller part of what was made wrong.
    ensure!(known.after_all * 4 < known.malformed, "{} after all", known.after_all);
    println!(
        "{format}: {} read = {} malformed ({} rejected, {} records after all) + {} good ones worth {}",
        known.read, known.malformed, known.rejected, known.after_all, known.good.0, known.good.1
    );
    for ((kind, outcome), count) in &known.kinds {
        println!("  {count:>8} {outcome} {kind}");
    }
    Ok(())
}

#[test]
fn malformed_json_is_accounted_for_record_by_record() -> Result<()> {
    every_record_is_accounted_for("json", i64::try_from(records() * 7 / 10)?)
}

#[test]
fn malformed_csv_is_accounted_for_record_by_record() -> Result<()> {
    every_record_is_accounted_for("csv", i64::try_from(records() * 3 / 10)?)
}

#[test]
fn the_decoder_survives_its_corpus_and_what_grows_from_it() -> Result<()> {
    let mut dice = ChaCha8Rng::seed_from_u64(SEED);
    let mut corpus = Vec::new();
    for entry in std::fs::read_dir(tidemark_tests::sql_logic::root().join("fuzz/corpus/decode"))? {
        corpus.push(std::fs::read(entry?.path())?);
    }
    ensure!(corpus.len() > 10, "the corpus has {} files", corpus.len());
    for seed in &corpus {
        feed(seed);
    }
    for _ in 0..records() / 5 {
        let mut bytes = corpus[dice.random_range(0..corpus.len())].clone();
        for _ in 0..dice.random_range(1..8) {
            grow(&mut dice, &mut bytes, &corpus);
        }
        feed(&bytes);
    }
    Ok(())
}

/// One of the steps a fuzzer takes: flip, cut, insert, repeat, splice.
fn grow(dice: &mut ChaCha8Rng, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = dice.random_range(0..=bytes.len());
    match dice.random_range(0..5) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.random_range(0..8),
        1 => bytes.truncate(at),
        2 => bytes.insert(at, dice.random()),
        3 => {
            let part = bytes[at..].to_vec();
            bytes.extend(&part[..part.len().min(64)]);
        }
        _ => {
            let other = &corpus[dice.random_range(0..corpus.len())];
            let from = dice.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
    }
    bytes.truncate(65_536);
}
