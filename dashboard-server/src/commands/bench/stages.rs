//! What each stage costs a record, one thread, one partition.

use std::sync::Arc;

use anyhow::Context as _;
use datafusion::common::DataFusionError;
use tidemark_pipeline::admit::Duplicates;
use tidemark_pipeline::admit::duplicate::Sighting;
use tidemark_pipeline::decode::Columns;
use tidemark_pipeline::lifecycle::Operator;
use tidemark_pipeline::lifecycle::operator::Papers;
use tidemark_pipeline::model::Space;
use tidemark_pipeline::run::build::{decoder, partition_run};
use tidemark_pipeline::run::partition::admission::Admission;
use tidemark_pipeline::run::partition::intake::{Intake, Read, Taken};
use tidemark_pipeline::run::partition::{AcceptedRows, Place};
use tidemark_pipeline::run::publisher::views_to_run;
use tidemark_pipeline::sql::{Catalog, StreamPlan};

use super::process::thread_seconds;
use super::records::Records;
use super::table::{Row, Table, best_and_median};
use super::{BATCH_RECORDS, Bench, serving};

/// Batches between two drains, as many records as come in 100 ms at 800,000 a second.
pub(super) const BATCHES_A_DRAIN: usize = 10;

/// Accepted rows of one batch with what is known of their records.
pub(super) type Batch = (AcceptedRows, Read);

pub(super) fn place() -> Place {
    Place {
        origin: "orders".to_owned(),
        is_file: false,
        partition: 0,
        partitions: Some(1),
        has_others: false,
    }
}

/// Decodes and admits all records.
pub(super) fn admitted(
    plan: &Arc<StreamPlan>,
    day: &Records,
) -> Result<Vec<Batch>, DataFusionError> {
    let mut intake = Intake::new(Arc::clone(plan), decoder(plan, None))?;
    let mut admission = Admission::new(Space::Live, Arc::clone(plan), place())?;
    let mut all = Vec::new();
    let mut records = day.iter().peekable();
    while records.peek().is_some() {
        for record in records.by_ref().take(BATCH_RECORDS) {
            let _broken_copies_stay_out = matches!(intake.take(record), (_, Taken::Row));
        }
        if let Some(batch) = intake.batch()? {
            all.push((admission.admit(&batch)?, batch.read));
        }
    }
    Ok(all)
}

/// Measures decode, dedup, life cycle, and a whole partition.
///
/// # Errors
/// When one of them fails.
pub(super) fn measure(
    bench: &Bench,
    catalog: &Catalog,
    day: &Records,
    table: &mut Table,
) -> anyhow::Result<()> {
    let plan = serving::chosen_stream(catalog, Some("orders"))
        .or_else(|_| serving::chosen_stream(catalog, None))?;
    let each = |what: &str, of: &mut dyn FnMut() -> anyhow::Result<()>| -> anyhow::Result<Row> {
        let mut rounds = Vec::new();
        for _ in 0..bench.args.rounds {
            let began = thread_seconds()?;
            of()?;
            rounds.push((thread_seconds()? - began) / day.len() as f64 * 1e9);
        }
        let (best, median) = best_and_median(&rounds);
        Ok(Row {
            what: what.to_owned(),
            records: u64::try_from(day.len())?,
            bytes: day.bytes(),
            cores: 1,
            figure: format!("{best:.0} ns CPU a record"),
            ratio: format!("median {median:.0}"),
        })
    };
    table.push(each("decode: JSON to Arrow", &mut || decode(plan, day))?);
    table.push(each("dedup: 128-bit keys in memory", &mut || dedup(day))?);
    let batches = admitted(plan, day)?;
    table.push(each("admission, decode and dedup in it", &mut || {
        Ok(admitted(plan, day).map(drop)?)
    })?);
    table.push(each("life cycle: accepted rows to signed measures", &mut || {
        life_cycle(catalog, &batches)
    })?);
    table.push(each("partition: bytes to drained slices, all views", &mut || {
        partition(catalog, plan, day)
    })?);
    Ok(())
}

fn decode(plan: &StreamPlan, day: &Records) -> anyhow::Result<()> {
    let mut decoder = decoder(plan, None);
    let mut columns = Columns::new(Arc::clone(&plan.decoded))?;
    for record in day.iter() {
        // Broken copies are part of the day.
        let _outcome = decoder.decode(&record, &mut columns);
        if columns.len() == BATCH_RECORDS {
            columns.take()?;
        }
    }
    Ok(())
}

fn dedup(day: &Records) -> anyhow::Result<()> {
    let mut keys = Duplicates::new(3 * 3_600_000);
    for record in day.iter() {
        // Any 128 bits that are different from record to record.
        let key = u128::from_le_bytes(record.payload.get(13..29).unwrap_or(&[0; 16]).try_into()?);
        let at = Sighting { event_time: record.timestamp_ms.unwrap_or(0), offset: record.offset };
        keys.see(key.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835), at, i64::MIN)?;
        if usize::try_from(record.offset)? % BATCH_RECORDS == 0 {
            keys.drain();
        }
    }
    Ok(())
}

fn life_cycle(catalog: &Catalog, batches: &[Batch]) -> anyhow::Result<()> {
    let derived = catalog.streams.values().find_map(|plan| plan.definition.derived.as_ref());
    let derived = derived.context("the SQL folder declares no life cycle")?;
    let mut operator = Operator::new(Arc::clone(&derived.columns), Arc::clone(&derived.rules));
    for (at, (rows, read)) in batches.iter().enumerate() {
        let offsets: Vec<i64> = rows.origins.iter().map(|row| read.offset(*row)).collect();
        let raw: Vec<&[u8]> = rows.origins.iter().map(|row| read.raw(*row)).collect();
        let papers = Papers {
            times: &rows.times,
            watermarks: &rows.watermarks,
            offsets: &offsets,
            raw: &raw,
        };
        operator.take(&rows.batch, papers)?;
        if at % BATCHES_A_DRAIN == 0 {
            operator.drain();
        }
    }
    Ok(())
}

fn partition(catalog: &Catalog, plan: &Arc<StreamPlan>, day: &Records) -> anyhow::Result<()> {
    let name = &plan.definition.name;
    let views = views_to_run(catalog, name);
    let mut run = partition_run(plan, &catalog.derived_from(name), place(), None, &views)?;
    let mut records = day.iter().peekable();
    let mut batches = 0;
    while records.peek().is_some() {
        records.by_ref().take(BATCH_RECORDS).for_each(|record| run.take(record));
        run.process()?;
        batches += 1;
        if batches % BATCHES_A_DRAIN == 0 {
            run.drain()?;
        }
    }
    Ok(())
}
