//! The embedded log against everything that may happen to it: restarts, kills, seeks, retention.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::model::EventTime;
use crate::model::record::WATERMARK_HEADER;
use crate::source::writer::LogWriter as _;
use crate::source::{PartitionReader, Source as _};

const NO_WAIT: Duration = Duration::ZERO;
const CHILD_DIR: &str = "TIDEMARK_TEST_LOG_DIR";

fn new_record(partition: PartitionId, ms: i64, payload: &[u8]) -> NewRecord<'_> {
    NewRecord { partition: Some(partition), key: None, timestamp_ms: ms, headers: &[], payload }
}

fn log_with(dir: &Path, partitions: u32, retention: Retention) -> LocalLog {
    let log = LocalLog::open(dir).unwrap();
    log.create_stream("orders", partitions, retention).unwrap();
    log
}

fn open_reader(log: &LocalLog, from: Option<Offset>) -> Box<dyn PartitionReader> {
    log.source("orders").unwrap().open(0, from).unwrap()
}

fn read_all(reader: &mut dyn PartitionReader) -> Vec<(Offset, String)> {
    let mut seen = Vec::new();
    loop {
        let outcome = reader
            .read(7, NO_WAIT, &mut |r| {
                seen.push((r.offset, String::from_utf8_lossy(r.payload).into_owned()));
            })
            .unwrap();
        if outcome.records == 0 {
            return seen;
        }
    }
}

/// Appends `numbers` to partition 0, `step` to a block, stamped ten milliseconds apart.
fn append_numbers(log: &LocalLog, numbers: std::ops::Range<i64>, step: usize) {
    let texts: Vec<(i64, String)> = numbers.map(|n| (n * 10, n.to_string())).collect();
    for chunk in texts.chunks(step) {
        let records: Vec<_> =
            chunk.iter().map(|(ms, text)| new_record(0, *ms, text.as_bytes())).collect();
        log.append("orders", &records).unwrap();
    }
}

fn numbered(numbers: std::ops::Range<i64>) -> Vec<(Offset, String)> {
    numbers.map(|n| (n, n.to_string())).collect()
}

#[test]
fn records_survive_a_restart_in_order_with_keys_and_headers() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_with(dir.path(), 4, Retention::default());
    let headers = [("tidemark-shadow", &b"1"[..])];
    let keyed = NewRecord {
        partition: None,
        key: Some(b"order-1"),
        timestamp_ms: 42,
        headers: &headers,
        payload: b"{}",
    };
    let places = log.append("orders", &[keyed, new_record(2, 1, b"a"), keyed]).unwrap();
    let home = crate::source::partitioner::partition_for_key(b"order-1", 4);
    let second = if home == 2 { 2 } else { 1 };
    assert_eq!(places, [(home, 0), (2, i64::from(home == 2)), (home, second)]);
    drop(log);

    let log = LocalLog::open(dir.path()).unwrap();
    assert_eq!(log.streams(), [("orders".to_owned(), 4)]);
    let mut reader = log.source("orders").unwrap().open(home, None).unwrap();
    let mut seen = Vec::new();
    let mut visit = |r: crate::model::Record<'_>| {
        let shadow = r.header("tidemark-shadow").map(<[u8]>::to_vec);
        seen.push((r.key.map(<[u8]>::to_vec), r.timestamp_ms, shadow));
    };
    reader.read(1, NO_WAIT, &mut visit).unwrap();
    assert_eq!(seen, [(Some(b"order-1".to_vec()), Some(42), Some(b"1".to_vec()))]);
}

#[test]
fn offsets_go_on_after_a_restart_and_any_offset_can_be_sought() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_with(dir.path(), 1, Retention::default());
    append_numbers(&log, 0..50, 8);
    drop(log);
    let log = LocalLog::open(dir.path()).unwrap();
    append_numbers(&log, 50..100, 3);
    let mut reader = open_reader(&log, None);
    assert_eq!(read_all(&mut *reader), numbered(0..100));
    for from in [99, 0, 7, 8, 49, 50, 51, 100] {
        reader.seek(from).unwrap();
        assert_eq!(read_all(&mut *reader), numbered(from..100), "from {from}");
    }
    let error = reader.seek(101).unwrap_err().to_string();
    let said = "topic orders partition 0: reading stands at offset 101, but the log ends at 100";
    assert!(error.starts_with(said), "{error}");
}

#[test]
fn a_time_leads_to_the_first_record_that_is_not_older() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_with(dir.path(), 1, Retention::default());
    append_numbers(&log, 0..100, 8);
    // A late record: the log's timestamps need not rise.
    log.append("orders", &[new_record(0, 5, b"late")]).unwrap();
    append_numbers(&log, 101..120, 4);
    let mut source = log.source("orders").unwrap();
    for (ms, offset) in
        [(-1, 0), (0, 0), (1, 1), (10, 1), (70, 7), (985, 99), (990, 99), (991, 101), (1_191, 120)]
    {
        assert_eq!(source.offset_at(0, ms).unwrap(), Some(offset), "at {ms} ms");
    }
}

#[test]
fn retention_by_bytes_removes_whole_blocks_and_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention { partition_bytes: Some(300), age_ms: None };
    let log = log_with(dir.path(), 1, retention);
    append_numbers(&log, 0..100, 10);
    let bounds = log.bounds("orders", 0).unwrap();
    assert!(bounds.first >= 60 && bounds.first < 100, "{bounds:?}");
    assert_eq!(bounds.end, 100);
    let error = log.source("orders").unwrap().open(0, Some(0)).err().unwrap();
    assert!(matches!(error, SourceError::OffsetOutOfRange { offset: 0, .. }), "{error}");
    drop(log);
    let log = LocalLog::open(dir.path()).unwrap();
    assert_eq!(log.bounds("orders", 0).unwrap(), bounds);
    assert_eq!(read_all(&mut *open_reader(&log, None)), numbered(bounds.first..100));
}

#[test]
fn retention_by_age_counts_from_the_newest_record() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention { age_ms: Some(200), partition_bytes: None };
    let log = log_with(dir.path(), 1, retention);
    append_numbers(&log, 0..100, 10);
    // The newest is at 990 ms, so the block that ends at 790 ms is the oldest that may stay.
    assert_eq!(log.bounds("orders", 0).unwrap(), Bounds { first: 70, end: 100 });
    assert_eq!(log.source("orders").unwrap().offset_at(0, 0).unwrap(), Some(70));
}

#[test]
fn without_a_retention_everything_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_with(dir.path(), 1, Retention::default());
    append_numbers(&log, 0..1_000, 10);
    assert_eq!(log.bounds("orders", 0).unwrap(), Bounds { first: 0, end: 1_000 });
}

#[test]
fn a_second_opener_is_refused_with_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_with(dir.path(), 1, Retention::default());
    let error = LocalLog::open(dir.path()).err().unwrap();
    assert!(matches!(error, SourceError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    drop(log);
    LocalLog::open(dir.path()).unwrap();
}

#[test]
fn a_stream_is_given_partitions_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_with(dir.path(), 2, Retention::default());
    log.append("orders", &[new_record(1, 0, b"a")]).unwrap();
    log.grow_stream("orders", 1).unwrap();
    assert_eq!(log.streams(), [("orders".to_owned(), 2)], "none is taken away");
    log.grow_stream("orders", 4).unwrap();
    log.append("orders", &[new_record(1, 0, b"b"), new_record(3, 0, b"c")]).unwrap();
    drop(log);
    let log = LocalLog::open(dir.path()).unwrap();
    assert_eq!(log.streams(), [("orders".to_owned(), 4)], "after a restart too");
    let ends = [0, 1, 2, 3].map(|partition| log.bounds("orders", partition).unwrap().end);
    assert_eq!(ends, [0, 2, 0, 1]);
}

#[test]
fn another_number_of_partitions_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_with(dir.path(), 4, Retention::default());
    let error = log.create_stream("orders", 8, Retention::default()).unwrap_err().to_string();
    assert_eq!(error, "topic orders has 4 partitions, not 8; use its number or another topic");
    let error = log.append("orders", &[new_record(4, 0, b"")]).unwrap_err().to_string();
    assert!(error.contains("partition 4") && error.contains("0 to 3"), "{error}");
    let error = log.source("parcels").err().unwrap().to_string();
    assert!(error.starts_with("topic parcels does not exist on "), "{error}");
}

#[test]
fn a_waiting_reader_wakes_when_a_record_is_appended() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_with(dir.path(), 1, Retention::default());
    let mut reader = open_reader(&log, None);
    let (confirm, confirmed) = std::sync::mpsc::channel();
    let started = Instant::now();
    let reading = std::thread::spawn(move || {
        for number in 0..20 {
            let outcome = reader.read(10, Duration::from_secs(60), &mut |_| {}).unwrap();
            assert_eq!(outcome.records, 1, "record {number}");
            confirm.send(()).unwrap();
        }
    });
    // Each record is written only when the one before has been read, so the reader waits by then.
    for number in 0..20 {
        append_numbers(&log, number..number + 1, 1);
        confirmed.recv_timeout(Duration::from_secs(30)).expect("the reader wakes");
    }
    reading.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_writer_keeps_order_and_closes_every_partition() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_with(dir.path(), 2, Retention::default());
    let mut writer = log.writer("orders").unwrap();
    writer.write(&new_record(0, 1, b"a")).unwrap();
    writer.write(&new_record(0, 2, b"b")).unwrap();
    assert_eq!(log.bounds("orders", 0).unwrap().end, 0, "not before the flush");
    writer.close(crate::model::Space::Live, EventTime(1_605_110_400_000), 3).unwrap();
    for (partition, end) in [(0, 3), (1, 1)] {
        assert_eq!(log.bounds("orders", partition).unwrap().end, end);
        let mut reader = log.source("orders").unwrap().open(partition, Some(end - 1)).unwrap();
        let mut watermark = Vec::new();
        let mut visit = |r: crate::model::Record<'_>| {
            watermark = r.header(WATERMARK_HEADER).unwrap_or_default().to_vec();
        };
        reader.read(1, NO_WAIT, &mut visit).unwrap();
        assert_eq!(watermark, b"1605110400000");
    }
}

#[test]
fn an_append_that_returned_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "source::local_log::tests::appends_until_killed", "--nocapture"])
        .env(CHILD_DIR, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("end ").and_then(|end| end.parse::<Offset>().ok()))
        .find(|end| *end >= 200)
        .expect("the child appends");
    child.kill().unwrap();
    child.wait().unwrap();
    let log = LocalLog::open(dir.path()).unwrap();
    let seen = read_all(&mut *open_reader(&log, None));
    let count = i64::try_from(seen.len()).unwrap();
    assert!(count >= acknowledged, "{count} of {acknowledged}");
    assert_eq!(seen, numbered(0..count));
}

/// The child of the test above; on its own it does nothing.
#[test]
fn appends_until_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let log = log_with(Path::new(&dir), 1, Retention::default());
    for start in (0..1_000_000).step_by(5) {
        append_numbers(&log, start..start + 5, 5);
        println!("end {}", start + 5);
    }
}
