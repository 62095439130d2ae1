//! The pipeline as it serves, over the embedded log: several streams, views that come and go, restarts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

mod cut_logs;
mod history;
mod joins;
mod past;
mod shadow;
mod workers;

use super::*;
use crate::config::{PipelineConfig, RawPipelineConfig};
use crate::ledger::LedgerKind;
use crate::model::{EventTime, Header, Offset, PartitionId};
use crate::results::{Cut, State, ViewState};
use crate::source::local_log::{LocalLog, Retention};
use crate::source::partitioner::partition_for_key;
use crate::source::writer::{LogWriter as _, NewRecord};
use crate::source::{Bounds, PartitionReader};

const WAIT_MAX: Duration = Duration::from_secs(30);
const MINUTE_MS: i64 = 60_000;
/// 2020-11-10T16:00:00Z.
const START_MS: i64 = 1_605_024_000_000;

/// Later than every order of these tests.
const END_MS: i64 = START_MS + 30_000_000;

/// A data folder, an SQL folder and an embedded log.
struct Ground {
    dir: tempfile::TempDir,
    log: LocalLog,
    /// Partitions each source shows.
    shown: Arc<AtomicU32>,
}

fn stream_sql(name: &str, options: &str) -> String {
    format!(
        "CREATE TABLE {name} (id BIGINT NOT NULL, shop STRING, amount BIGINT, at TIMESTAMP(3) NOT NULL, \
         WATERMARK FOR at AS at - INTERVAL '1' SECOND) WITH ('connector' = 'embedded', 'format' = 'json', \
         'time-zone' = 'UTC', 'dedup.key' = 'id', 'dedup.horizon' = '3 h'{options});"
    )
}

fn minute_view(name: &str, stream: &str, measure: &str) -> String {
    format!(
        "CREATE MATERIALIZED VIEW {name} AS SELECT window_start, window_end, shop, {measure} AS n \
         FROM TUMBLE({stream}, at, INTERVAL '1' MINUTE) GROUP BY window_start, window_end, shop;"
    )
}

impl Ground {
    fn new(partitions: u32) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let log = LocalLog::open(&dir.path().join("log")).expect("opens");
        log.create_stream("orders", partitions, Retention::default()).expect("made");
        let ground = Self { dir, log, shown: Arc::new(AtomicU32::new(partitions)) };
        ground.sql("streams/orders.sql", &stream_sql("orders", ""));
        ground.sql("views/sums.sql", &minute_view("sums", "orders", "SUM(amount)"));
        ground
    }

    fn sql_dir(&self) -> PathBuf {
        self.dir.path().join("sql")
    }

    fn sql(&self, path: &str, text: &str) {
        let path = self.sql_dir().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    fn catalog(&self) -> Catalog {
        crate::run::reference::catalog(&self.sql_dir(), &BTreeMap::new(), Default::default())
            .expect("plans")
    }

    fn config(&self, data: &str) -> PipelineConfig {
        let raw = RawPipelineConfig {
            publish_every_ms: 10,
            checkpoint_every_ms: 100,
            partitions_every_ms: 100,
            // Small, so that a fill takes many batches.
            batch_records_max: 50,
            fold_threads: 2,
            history_commit_every_ms: 300,
            history_compact_every: 4,
            ..RawPipelineConfig::default()
        };
        PipelineConfig::check(&raw, self.sql_dir(), self.dir.path().join(data), BTreeMap::new())
            .expect("valid")
    }

    fn start(&self, data: &str) -> Result<Pipeline, StartError> {
        self.start_with(&self.config(data))
    }

    fn start_with(&self, config: &PipelineConfig) -> Result<Pipeline, StartError> {
        let catalog = self.catalog();
        let logs = catalog.streams.values().filter(|stream| stream.definition.derived.is_none());
        let inputs = logs.map(|stream| self.input(&stream.definition.name)).collect();
        start(catalog, config, Mode::Live, inputs)
    }

    fn running(&self, data: &str) -> Pipeline {
        self.start(data).map_err(|error| error.to_string()).expect("starts")
    }

    fn input(&self, stream: &str) -> StreamInput {
        let (log, shown, name) = (self.log.clone(), Arc::clone(&self.shown), stream.to_owned());
        let open: OpenSource = Arc::new(move || {
            Ok(Box::new(Growing {
                source: Box::new(log.source(&name)?),
                shown: Arc::clone(&shown),
            }))
        });
        StreamInput { stream: stream.to_owned(), open }
    }

    /// Writes orders of consecutive numbers, one a second over the partitions in turn; every tenth again.
    fn write(&self, stream: &str, numbers: std::ops::Range<i64>) {
        self.write_with(stream, numbers, &[]);
    }

    /// The same with headers.
    fn write_with(&self, stream: &str, numbers: std::ops::Range<i64>, headers: &[Header<'_>]) {
        let mut writer = self.log.writer(stream).expect("writer");
        let partitions = self.shown.load(Ordering::Relaxed);
        for number in numbers {
            let time = EventTime(START_MS + number * 1_000);
            let line = format!(
                "{{\"id\":{number},\"shop\":\"s{}\",\"amount\":{number},\"at\":\"{time}\"}}",
                number % 3
            );
            for _ in 0..if number % 10 == 0 { 2 } else { 1 } {
                let partition = u32::try_from(number).expect("small") % partitions;
                writer
                    .write(&NewRecord {
                        partition: Some(partition),
                        key: None,
                        timestamp_ms: time.0,
                        headers,
                        payload: line.as_bytes(),
                    })
                    .expect("written");
            }
        }
        writer.flush().expect("flushed");
    }

    /// Moves every partition on to `ms`, so that every window before is final.
    fn close(&self, stream: &str, ms: i64) {
        self.log
            .writer(stream)
            .expect("writer")
            .close(crate::model::Space::Live, EventTime(ms), ms)
            .expect("closed");
    }

    /// Closes everything there is of a stream and waits for it.
    fn closed(&self, pipeline: &Pipeline, stream: &str) -> Arc<Cut> {
        self.close(stream, END_MS);
        let is_closed =
            |cut: &Cut| cut.streams.get(stream).is_some_and(|at| at.watermark == Some(END_MS));
        wait(pipeline, "closed windows", |cut| is_closed(cut) && at_end(self, cut, stream))
    }
}

/// A log that shows only its first partitions.
struct Growing {
    source: Box<dyn Source>,
    shown: Arc<AtomicU32>,
}

impl Source for Growing {
    fn origin(&self) -> &str {
        self.source.origin()
    }
    fn partitions(&mut self) -> Result<Vec<PartitionId>, SourceError> {
        Ok((0..self.shown.load(Ordering::Relaxed)).collect())
    }
    fn bounds(&mut self, partition: PartitionId) -> Result<Option<Bounds>, SourceError> {
        self.source.bounds(partition)
    }
    fn offset_at(
        &mut self,
        partition: PartitionId,
        time_ms: i64,
    ) -> Result<Option<Offset>, SourceError> {
        self.source.offset_at(partition, time_ms)
    }
    fn open(
        &mut self,
        partition: PartitionId,
        from: Option<Offset>,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        self.source.open(partition, from)
    }
}

fn wait(pipeline: &Pipeline, what: &str, holds: impl Fn(&Cut) -> bool) -> Arc<Cut> {
    let until = Instant::now() + WAIT_MAX;
    loop {
        let cut = pipeline.results().latest();
        if holds(&cut) {
            return cut;
        }
        assert!(
            Instant::now() < until,
            "{what}: not in {WAIT_MAX:?}; {:?}",
            pipeline.results().status()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The rows of a view as JSON, without order.
fn rows(cut: &Cut, view: &str) -> Vec<String> {
    let mut rows: Vec<String> = cut
        .views
        .get(view)
        .into_iter()
        .flat_map(|view| view.rows(None))
        .map(|row| row.json.to_string())
        .collect();
    rows.sort();
    rows
}

fn is_live(cut: &Cut, view: &str) -> bool {
    cut.views.contains_key(view)
        && cut.statuses.get(view).is_none_or(|status| status.state == ViewState::Live)
}

/// Offsets after the last record of every partition.
fn ends(ground: &Ground, stream: &str) -> BTreeMap<PartitionId, Offset> {
    let end =
        |partition| ground.log.bounds(stream, partition).map(|bounds| (partition, bounds.end));
    (0..ground.shown.load(Ordering::Relaxed)).map(end).collect::<Result<_, _>>().expect("bounds")
}

fn at_end(ground: &Ground, cut: &Cut, stream: &str) -> bool {
    cut.offsets.get(stream).is_some_and(|offsets| *offsets == ends(ground, stream))
}

#[test]
fn every_stream_has_its_own_progress_in_one_cut_and_one_checkpoint() {
    let ground = Ground::new(2);
    ground.log.create_stream("parcels", 2, Retention::default()).expect("made");
    ground.sql("streams/parcels.sql", &stream_sql("parcels", ""));
    ground.sql("views/parcel_counts.sql", &minute_view("parcel_counts", "parcels", "COUNT(*)"));
    ground.write("orders", 0..300);
    ground.write("parcels", 0..60);
    let pipeline = ground.running("data");
    let both = |cut: &Cut| at_end(&ground, cut, "orders") && at_end(&ground, cut, "parcels");
    let cut = wait(&pipeline, "both streams", both);
    let as_of = |stream: &str| cut.streams[stream].as_of;
    assert_eq!(as_of("orders"), Some(START_MS + 299_000));
    assert_eq!(as_of("parcels"), Some(START_MS + 59_000));
    assert_eq!(cut.progress(&cut.views["sums"].info).as_of, as_of("orders"));
    assert_eq!(cut.progress(&cut.views["parcel_counts"].info).as_of, as_of("parcels"));
    assert_eq!(cut.progress(&cut.views["parcel_counts"].info).watermark, Some(START_MS + 57_000));
    ground.closed(&pipeline, "orders");
    let cut = ground.closed(&pipeline, "parcels");
    pipeline.stop();
    let again = ground.running("data");
    let resumed = wait(&again, "a first cut", |cut| cut.cut > 0);
    assert_eq!(resumed.offsets, cut.offsets, "nothing was read again");
    assert_eq!(rows(&resumed, "sums"), rows(&cut, "sums"));
    assert_eq!(rows(&resumed, "parcel_counts"), rows(&cut, "parcel_counts"));
    again.stop();
}

#[test]
fn a_view_added_while_orders_come_is_filled_and_equals_one_that_was_there_from_the_beginning() {
    let ground = Ground::new(3);
    ground.write("orders", 0..3_000);
    let pipeline = ground.running("data");
    wait(&pipeline, "the first orders", |cut| at_end(&ground, cut, "orders"));
    let before = rows(&pipeline.results().latest(), "sums");
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*)"));
    let told = pipeline.reloader().reload(ground.catalog()).expect("is taken");
    assert_eq!((told.added, told.unchanged), (vec!["counts".to_owned()], 1));
    // Orders go on while it fills.
    for at in 0..40 {
        ground.write("orders", 3_000 + at * 25..3_025 + at * 25);
        let cut = pipeline.results().latest();
        assert!(
            before
                .iter()
                .filter(|row| row.contains("final"))
                .all(|row| rows(&cut, "sums").contains(row))
        );
    }
    ground.closed(&pipeline, "orders");
    let filled = |cut: &Cut| is_live(cut, "counts") && at_end(&ground, cut, "orders");
    let cut = wait(&pipeline, "the new view", filled);
    let read: u64 = accounted(&cut);
    pipeline.stop();
    let fresh = ground.running("other");
    let expected = wait(&fresh, "a fresh run", |cut| at_end(&ground, cut, "orders"));
    assert!(rows(&cut, "counts").len() > 100, "{}", rows(&cut, "counts").len());
    assert_eq!(rows(&cut, "counts"), rows(&expected, "counts"));
    assert_eq!(rows(&cut, "sums"), rows(&expected, "sums"));
    assert_eq!(read, accounted(&expected), "a record is counted once, however often it is read");
    fresh.stop();
}

/// Records read, by the accounting.
fn accounted(cut: &Cut) -> u64 {
    use arrow::array::AsArray as _;
    let table = &cut.tables["records_accounted"];
    let read = table
        .column_by_name("read")
        .expect("a column")
        .as_primitive::<arrow::datatypes::Int64Type>();
    read.iter().flatten().map(|count| u64::try_from(count).expect("a count")).sum()
}

#[test]
fn a_changed_view_shows_its_old_definition_until_the_new_one_stands_at_the_cut() {
    let ground = Ground::new(2);
    ground.write("orders", 0..2_000);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    let before = rows(&ground.closed(&pipeline, "orders"), "sums");
    ground.sql("views/sums.sql", &minute_view("sums", "orders", "SUM(amount * 2)"));
    let told = pipeline.reloader().reload(ground.catalog()).expect("is taken");
    assert_eq!(told.changed, ["sums"]);
    let old_then_new = |cut: &Cut| {
        let now = rows(cut, "sums");
        let is_new = cut.views["sums"].info.sql.contains("* 2");
        assert!(
            is_new || now == before,
            "neither the old figures nor the new ones: {} rows",
            now.len()
        );
        is_new
    };
    let cut = wait(&pipeline, "the new definition", old_then_new);
    assert!(is_live(&cut, "sums"));
    pipeline.stop();
    let fresh = ground.running("other");
    let expected = wait(&fresh, "a fresh run", |cut| at_end(&ground, cut, "orders"));
    assert_eq!(rows(&cut, "sums"), rows(&expected, "sums"));
    fresh.stop();
}

#[test]
fn a_removed_view_disappears_and_a_folder_that_cannot_be_taken_changes_nothing() {
    let ground = Ground::new(1);
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*)"));
    ground.write("orders", 0..100);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    ground.sql("streams/parcels.sql", &stream_sql("parcels", ""));
    let refused =
        pipeline.reloader().reload(ground.catalog()).expect_err("a new stream").to_string();
    assert!(refused.contains("stream parcels is new"), "{refused}");
    std::fs::remove_file(ground.sql_dir().join("streams/parcels.sql")).expect("removed");
    std::fs::remove_file(ground.sql_dir().join("views/counts.sql")).expect("removed");
    assert_eq!(pipeline.reloader().reload(ground.catalog()).expect("is taken").removed, ["counts"]);
    ground.write("orders", 100..200);
    let cut = wait(&pipeline, "more orders", |cut| {
        at_end(&ground, cut, "orders") && !cut.views.contains_key("counts")
    });
    assert!(is_live(&cut, "sums"));
    pipeline.stop();
}

#[test]
fn after_a_restart_only_the_changed_view_is_computed_again() {
    let ground = Ground::new(2);
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*)"));
    ground.write("orders", 0..1_000);
    let pipeline = ground.running("data");
    let cut = wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    let (sums, offsets) = (rows(&cut, "sums"), cut.offsets.clone());
    pipeline.stop();
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*) + 1"));
    ground.write("orders", 1_000..1_200);
    let again = ground.running("data");
    let first = wait(&again, "a first cut", |cut| cut.cut > 0);
    assert!(
        first.offsets["orders"]
            .iter()
            .all(|(partition, next)| *next >= offsets["orders"][partition])
    );
    assert!(
        sums.iter()
            .filter(|row| row.contains("final"))
            .all(|row| rows(&first, "sums").contains(row))
    );
    ground.closed(&again, "orders");
    let cut = wait(&again, "the changed view", |cut| {
        is_live(cut, "counts") && at_end(&ground, cut, "orders")
    });
    again.stop();
    let fresh = ground.running("other");
    let expected = wait(&fresh, "a fresh run", |cut| at_end(&ground, cut, "orders"));
    for view in ["sums", "counts"] {
        assert_eq!(rows(&cut, view), rows(&expected, view), "{view}");
    }
    fresh.stop();
}

#[test]
fn where_the_log_is_cut_a_new_view_says_since_when_and_its_first_windows_are_never_final() {
    let ground = Ground::new(1);
    ground.write("orders", 0..20_000);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    // Blocks are cut whole; a write makes the log look.
    let retention = Retention { age_ms: None, partition_bytes: Some(1) };
    ground.log.create_stream("orders", 1, retention).expect("kept shorter");
    ground.write("orders", 20_000..20_010);
    let first = ground.log.bounds("orders", 0).expect("bounds").first;
    assert!(first > 0, "nothing was cut");
    ground.log.create_stream("orders", 1, Retention::default()).expect("kept from now on");
    ground.write("orders", 20_010..20_900);
    wait(&pipeline, "what is left", |cut| at_end(&ground, cut, "orders"));
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*)"));
    pipeline.reloader().reload(ground.catalog()).expect("is taken");
    wait(&pipeline, "the new view", |cut| is_live(cut, "counts"));
    ground.write("orders", 20_900..21_200);
    ground.close("orders", END_MS);
    let cut = wait(&pipeline, "the end", |cut| cut.streams["orders"].watermark == Some(END_MS));
    assert!(cut.statuses["counts"].since.contains_key("0"), "{:?}", cut.statuses["counts"]);
    assert!(cut.statuses.get("sums").is_none_or(|status| status.since.is_empty()));
    // How late the first record left is nobody knows; that none was newer than 20,899 the running system does.
    let mut finals = 0;
    for window in &cut.views["counts"].windows {
        let is_final = window.rows.iter().all(|row| row.json.contains("\"_mark\":\"final\""));
        let is_whole = window.window.0 > START_MS + 20_899_000;
        assert_eq!(is_final, is_whole, "{}", window.rows[0].json);
        finals += usize::from(is_final);
    }
    assert!(finals > 3, "{finals} windows");
    // The one that has been there all along lacks nothing.
    assert!(rows(&cut, "sums").iter().all(|row| row.contains("\"_mark\":\"final\"")));
    pipeline.stop();
}

const SCOPE: &str = "-- scope: big@1\n-- zh: 大额\n-- en: big orders\nCREATE VIEW big AS SELECT * FROM orders WHERE amount > ";

#[test]
fn a_scope_whose_version_says_something_else_is_refused_at_reload_and_at_start() {
    let ground = Ground::new(1);
    ground.sql("scopes/big.sql", &format!("{SCOPE}10;"));
    ground.sql("views/big_sums.sql", &minute_view("big_sums", "big", "SUM(amount)"));
    ground.write("orders", 0..100);
    let pipeline = ground.running("data");
    let before = rows(&ground.closed(&pipeline, "orders"), "big_sums");
    assert!(!before.is_empty());
    ground.sql("scopes/big.sql", &format!("{SCOPE}20;"));
    let refused =
        pipeline.reloader().reload(ground.catalog()).expect_err("another text").to_string();
    assert!(refused.contains("big@1") && refused.contains("scopes/big.sql:4:1"), "{refused}");
    assert_eq!(rows(&pipeline.results().latest(), "big_sums"), before);
    pipeline.stop();
    let Err(error) = ground.start("data") else { panic!("it must not start") };
    assert!(matches!(error, StartError::Scopes(_)), "{error}");
    // Under another version it is another scope; the old one stays in the table.
    ground.sql("scopes/big.sql", &format!("{}20;", SCOPE.replace("big@1", "big@2")));
    let again = ground.running("data");
    let cut = wait(&again, "the new scope", |cut| {
        is_live(cut, "big_sums") && !rows(cut, "big_sums").is_empty()
    });
    assert_ne!(rows(&cut, "big_sums"), before);
    assert_eq!(cut.tables["scopes"].num_rows(), 2);
    again.stop();
}

#[test]
fn another_number_of_partitions_stops_loudly_running_and_at_start() {
    let ground = Ground::new(3);
    ground.shown.store(2, Ordering::Relaxed);
    ground.write("orders", 0..100);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    ground.shown.store(3, Ordering::Relaxed);
    wait(&pipeline, "the end", |_| pipeline.has_ended());
    let status = pipeline.results().status();
    let problem = status.problem.clone().unwrap_or_default();
    assert_eq!(status.state, State::Stale);
    assert!(problem.contains("had 2 partitions and has 3"), "{problem}");
    pipeline.stop();
    let Err(error) = ground.start("data") else { panic!("it must not start") };
    assert!(
        error.to_string().contains("had 2 partitions at the last checkpoint and has 3 now"),
        "{error}"
    );
}

#[test]
fn accepted_partitions_are_taken_in_running_and_at_start_and_the_cut_says_since_when() {
    let ground = Ground::new(3);
    ground.sql("streams/orders.sql", &stream_sql("orders", ", 'on-partition-added' = 'accept'"));
    ground.shown.store(1, Ordering::Relaxed);
    ground.write("orders", 0..100);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    ground.shown.store(2, Ordering::Relaxed);
    ground.write("orders", 100..200);
    let cut = wait(&pipeline, "the second partition", |cut| at_end(&ground, cut, "orders"));
    assert_eq!(cut.streams["orders"].added.keys().copied().collect::<Vec<_>>(), [1]);
    pipeline.stop();
    ground.shown.store(3, Ordering::Relaxed);
    ground.write("orders", 200..300);
    let again = ground.running("data");
    let later = wait(&again, "the third partition", |cut| at_end(&ground, cut, "orders"));
    assert_eq!(later.streams["orders"].added.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        later.streams["orders"].added[&1], cut.streams["orders"].added[&1],
        "kept over the restart"
    );
    assert_eq!(accounted(&later), 330);
    again.stop();
}

#[test]
fn after_a_partition_is_added_keys_are_judged_by_the_new_number_in_the_old_ones_too() {
    use arrow::array::AsArray as _;
    let ground = Ground::new(2);
    let options = ", 'on-partition-added' = 'accept', 'partition.key' = 'id'";
    ground.sql("streams/orders.sql", &stream_sql("orders", options));
    ground.shown.store(1, Ordering::Relaxed);
    ground.write("orders", 0..20);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    ground.shown.store(2, Ordering::Relaxed);
    wait(&pipeline, "the second partition", |cut| !cut.streams["orders"].added.is_empty());
    ground.write("orders", 20..120);
    let cut = wait(&pipeline, "more orders", |cut| at_end(&ground, cut, "orders"));
    let table = &cut.tables["records_accounted"];
    let misplaced = table.column_by_name("misplaced").expect("a column");
    let misplaced = misplaced.as_primitive::<arrow::datatypes::Int64Type>().value(0);
    let elsewhere = |number: &i64| partition_for_key(number.to_string().as_bytes(), 2) != 0;
    let copies = |number: i64| if number % 10 == 0 { 2 } else { 1 };
    let want: i64 = (20..120).filter(|number| number % 2 == 0).filter(elsewhere).map(copies).sum();
    assert_eq!(misplaced, want);
    assert!(want > 0, "some keys belong elsewhere");
    pipeline.stop();
}

#[test]
fn late_records_of_a_filled_view_are_in_the_ledger_and_go_with_it() {
    let ground = Ground::new(1);
    ground.write("orders", 10..400);
    ground.write("orders", 1..5);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*)"));
    pipeline.reloader().reload(ground.catalog()).expect("is taken");
    wait(&pipeline, "the new view", |cut| {
        cut.views.contains_key("counts") && is_live(cut, "counts")
    });
    pipeline.stop();
    let late = |view: &str| {
        let store = LedgerStore::open(&ground.dir.path().join("data/ledgers")).expect("opens");
        let all = store.scan("live", LedgerKind::Late).expect("readable");
        all.filter(|entry| entry.as_ref().expect("an entry").id.part == view).count()
    };
    assert_eq!((late("sums"), late("counts")), (4, 4));
    let pipeline = ground.running("data");
    std::fs::remove_file(ground.sql_dir().join("views/counts.sql")).expect("removed");
    assert_eq!(pipeline.reloader().reload(ground.catalog()).expect("is taken").removed, ["counts"]);
    pipeline.stop();
    assert_eq!((late("sums"), late("counts")), (4, 0));
}

#[test]
fn a_silent_partition_is_named_where_settled_does_not_wait_for_it_and_a_control_record_makes_it_final()
 {
    let ground = Ground::new(2);
    ground.shown.store(1, Ordering::Relaxed);
    ground.write("orders", 0..120);
    ground.shown.store(2, Ordering::Relaxed);
    let catalog = ground.catalog();
    let mut config = ground.config("data");
    config.idle_after = Duration::from_millis(200);
    let pipeline = start(catalog, &config, Mode::Live, vec![ground.input("orders")]);
    let pipeline = pipeline.map_err(|error| error.to_string()).expect("starts");
    // Partition 0 must not be idle itself, or nobody is left to wait for.
    let settled =
        |cut: &Cut| rows(cut, "sums").iter().any(|row| row.contains("\"_mark\":\"settled\""));
    let cut = wait(&pipeline, "a settled window", settled);
    assert_eq!(cut.streams["orders"].idle, [1]);
    assert_eq!(cut.streams["orders"].watermark, None);
    assert!(!rows(&cut, "sums").iter().any(|row| row.contains("final")));
    ground.close("orders", START_MS + 2 * MINUTE_MS - 1);
    let all_final = |cut: &Cut| {
        rows(cut, "sums").iter().all(|row| row.contains("\"_mark\":\"final\",\"_revision\":0"))
    };
    let cut = wait(&pipeline, "final windows", all_final);
    assert!(cut.streams["orders"].idle.is_empty());
    pipeline.stop();
}

#[test]
fn the_folder_of_the_first_format_is_refused() {
    let ground = Ground::new(1);
    let old: &Path = &ground.dir.path().join("data/checkpoints/orders");
    std::fs::create_dir_all(old).expect("made");
    std::fs::write(old.join("000000000003.checkpoint"), b"TIDEMARK").expect("written");
    let Err(error) = ground.start("data") else { panic!("it must not start") };
    assert!(error.to_string().contains("format version 1"), "{error}");
}
