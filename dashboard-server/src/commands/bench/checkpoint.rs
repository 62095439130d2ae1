//! What a checkpoint of many keys costs: dedup keys in their append-only files, and groups of a view.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tidemark_pipeline::admit::duplicate::{KeyEntry, Sighting};
use tidemark_pipeline::state::CheckpointStore;
use tidemark_pipeline::state::checkpoint::encode_logs;
use tidemark_pipeline::state::checkpoint::{ViewToSave, encode};
use tidemark_pipeline::state::dedup_files::{DedupFiles, KeyFiles};
use tidemark_pipeline::state::objects::{Disk, Objects};
use tidemark_pipeline::windows::SliceKey;
use tidemark_pipeline::windows::table::{PartitionTable, Slice};

use super::Bench;
use super::table::{Row, Table};

/// Keys that come between two checkpoints of a second.
const FRESH_KEYS: usize = 50_000;

/// Measures checkpoints of a tenth of the keys and of all.
///
/// # Errors
/// When the disk refuses.
pub(super) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for keys in [bench.args.keys / 10, bench.args.keys] {
        dedup_keys(bench, keys, table)?;
        groups(bench, keys, table)?;
    }
    Ok(())
}

fn disk(folder: &Path) -> anyhow::Result<Arc<dyn Objects>> {
    Ok(Arc::new(Disk::open(folder)?))
}

fn row(
    what: &str,
    (keys, bytes): (usize, u64),
    seconds: f64,
    beside: String,
) -> anyhow::Result<Row> {
    Ok(Row {
        what: what.to_owned(),
        records: u64::try_from(keys)?,
        bytes,
        cores: 1,
        figure: format!("{seconds:.3} s"),
        ratio: beside,
    })
}

fn entries(from: usize, count: usize) -> Vec<KeyEntry> {
    let entry = |at: usize| {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        let key =
            u128::from(at.cast_unsigned()).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        KeyEntry { key, at: Sighting { event_time: at / 1_000, offset: at } }
    };
    (from..from + count).map(entry).collect()
}

fn dedup_keys(bench: &Bench, keys: usize, table: &mut Table) -> anyhow::Result<()> {
    let folder = bench.folder.path().join(format!("dedup-{keys}"));
    let horizon = 30 * 86_400_000;
    let mut files = DedupFiles::open(&disk(&folder)?, ("orders", horizon), 3, KeyFiles::new())?;
    let mut all = entries(0, keys);
    let began = Instant::now();
    files.append(0, &mut all)?;
    let whole = began.elapsed().as_secs_f64();
    let mut fresh = entries(keys, FRESH_KEYS);
    let began = Instant::now();
    files.append(0, &mut fresh)?;
    let next = began.elapsed().as_secs_f64();
    let bytes = files.files().values().map(|file| file.log.length()).sum();
    let beside = format!("{:.1} ms for {FRESH_KEYS} more", next * 1e3);
    table.push(row("checkpoint: dedup keys, all at once", (keys, bytes), whole, beside)?);
    let began = Instant::now();
    let loaded = files.load(0, i64::MIN)?.in_memory.len();
    let seconds = began.elapsed().as_secs_f64();
    table.push(row("checkpoint: dedup keys read back", (loaded, bytes), seconds, String::new())?);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Groups of one day in one view: a key of 9 bytes, a sum and a count of 25 bytes.
fn groups(bench: &Bench, keys: usize, table: &mut Table) -> anyhow::Result<()> {
    let slice: Slice = (0..keys)
        .map(|at| {
            let mut key = vec![1_u8];
            key.extend_from_slice(&u64::try_from(at).unwrap_or(u64::MAX).to_be_bytes());
            (key.into_boxed_slice(), vec![7_u8; 25].into_boxed_slice())
        })
        .collect();
    let state = PartitionTable {
        slices: BTreeMap::from([(SliceKey::on_time(0), slice)]),
        ..PartitionTable::default()
    };
    let (tables, bases) = (BTreeMap::from([(0, state)]), BTreeMap::new());
    let problems = BTreeMap::new();
    let folder = bench.folder.path().join(format!("groups-{keys}"));
    let mut store = CheckpointStore::open(disk(&folder)?, 1)?;
    let began = Instant::now();
    let view = ViewToSave {
        name: "buyers",
        hash: "",
        stream: "orders",
        tables: &tables,
        bases: &bases,
        windows: Vec::new(),
        problems: &problems,
        stopped: None,
    };
    let body = encode_logs(encode(&[], &[view]).map_err(anyhow::Error::msg)?, "", &[]);
    store.save(&body)?;
    let seconds = began.elapsed().as_secs_f64();
    let bytes = u64::try_from(body.len())?;
    table.push(row("checkpoint: groups of a view, whole", (keys, bytes), seconds, String::new())?);
    let began = Instant::now();
    let newest = store.numbers().last().copied().unwrap_or(0);
    let loaded = store.read(newest)?.views.len();
    let seconds = began.elapsed().as_secs_f64();
    table.push(row(
        "checkpoint: groups read back",
        (keys, bytes),
        seconds,
        format!("{loaded} view"),
    )?);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
