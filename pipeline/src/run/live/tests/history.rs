//! The history of a stream: every accepted record once, at every cut, whatever is killed.

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;

use super::*;
use crate::history::HistoryAt;
use crate::model::record::SHADOW_HEADER;
use crate::sql::instants::Instants;

pub(super) fn keeping(partitions: u32) -> Ground {
    let ground = Ground::new(partitions);
    ground.sql(
        "streams/orders.sql",
        &stream_sql("orders", ", 'history' = 'keep', 'history.hashed' = 'shop'"),
    );
    ground
}

/// The answer to a query over the history of a cut, a row a line.
fn asked(cut: &Cut, sql: &str) -> Vec<Vec<String>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let session = SessionContext::new();
        session.add_analyzer_rule(Arc::new(Instants));
        let table = cut.histories.get("orders").expect("a history");
        session.register_table("orders", Arc::clone(table)).expect("registered");
        let batches = session.sql(sql).await.expect("plans").collect().await.expect("runs");
        let mut lines = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                let value = |column| {
                    arrow::util::display::array_value_to_string(batch.column(column), row)
                        .expect("text")
                };
                lines.push((0..batch.num_columns()).map(value).collect());
            }
        }
        lines
    })
}

/// The first cut of this life, of what the checkpoint holds.
fn first_cut(pipeline: &Pipeline) -> Arc<Cut> {
    wait(pipeline, "a cut", |cut| !cut.histories.is_empty())
}

/// Records the cut has accepted, by its accounting.
pub(super) fn accepted(cut: &Cut) -> i64 {
    let table = cut.tables.get("records_accounted").expect("the accounting");
    let counts = table.column_by_name("accepted").expect("a column");
    let counts = arrow::compute::cast(counts, &arrow::datatypes::DataType::Int64).expect("numbers");
    counts.as_primitive::<Int64Type>().iter().flatten().sum()
}

pub(super) fn assert_whole(cut: &Cut) {
    let found = asked(cut, "SELECT COUNT(*), COUNT(DISTINCT id) FROM orders");
    let count = accepted(cut).to_string();
    assert_eq!(found, [[count.clone(), count]], "cut {}", cut.cut);
}

/// A copy as a crash would leave it: what is written first is taken first.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("read").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            std::fs::create_dir_all(&target).expect("made");
            copy(&path, &target);
        } else if std::fs::copy(&path, &target).is_err() {
            assert!(!path.exists(), "{}", path.display());
        }
    }
}

/// What a crash now would leave: the checkpoints, then the table's log, then its files.
fn crashed(ground: &Ground, from: &str, to: &str) {
    let (from, to) = (ground.dir.path().join(from), ground.dir.path().join(to));
    for part in ["checkpoints", "history/orders/_delta_log", "history", "dedup", "ledgers"] {
        let (from, to) = (from.join(part), to.join(part));
        std::fs::create_dir_all(&to).expect("made");
        if from.exists() {
            copy(&from, &to);
        }
    }
    std::fs::copy(from.join("history.key"), to.join("history.key")).expect("the key");
}

#[test]
fn every_accepted_record_is_there_once_at_every_cut_and_after_every_crash() {
    let ground = keeping(2);
    let mut from_table = 0;
    for life in 0..6 {
        let (before, now) = (format!("data{life}"), format!("data{}", life + 1));
        let pipeline = ground.running(&before);
        assert_whole(&first_cut(&pipeline));
        for part in 0..5 {
            let first = i64::from(life * 500 + part * 100);
            ground.write("orders", first..first + 100);
            assert_whole(&wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders")));
            std::thread::sleep(Duration::from_millis(70 * u64::try_from(part).expect("small")));
            assert_whole(&pipeline.results().latest());
        }
        let table = version(&pipeline.results().latest());
        from_table = from_table.max(table);
        // It may be killed at any instant of what it does in the background.
        crashed(&ground, &before, &now);
        pipeline.stop();
    }
    assert!(from_table > 5, "only {from_table} commits were made");
    let pipeline = ground.running("data6");
    let cut = wait(&pipeline, "all orders", |cut| at_end(&ground, cut, "orders"));
    assert_whole(&cut);
    assert_eq!(accepted(&cut), 3_000);
    pipeline.stop();
}

fn at(cut: &Cut) -> &HistoryAt {
    let table = cut.histories.get("orders").expect("a history");
    let any: &dyn std::any::Any = table.as_ref();
    any.downcast_ref::<HistoryAt>().expect("a table and its tail")
}

fn version(cut: &Cut) -> u64 {
    at(cut).version()
}

fn tail_rows(cut: &Cut) -> usize {
    at(cut).tail_rows()
}

#[test]
fn a_clean_end_leaves_everything_in_the_table_with_places_hashes_and_late_marks_and_no_shadow() {
    let ground = keeping(2);
    ground.write("orders", 0..100);
    ground.write_with("orders", 100..150, &[(SHADOW_HEADER, b"1")]);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    // An hour later than order 0 by the clock of the partition: late, and accepted.
    ground.write("orders", 3_600..3_602);
    ground.write("orders", 150..152);
    let cut = wait(&pipeline, "the late ones", |cut| at_end(&ground, cut, "orders"));
    assert_whole(&cut);
    assert_eq!(asked(&cut, "SELECT id FROM orders WHERE late ORDER BY id"), [["150"], ["151"]]);
    pipeline.stop();
    let again = ground.running("data");
    let cut = first_cut(&again);
    assert_eq!(tail_rows(&cut), 0, "all rows are in the table");
    assert_whole(&cut);
    let rows = asked(
        &cut,
        "SELECT event_date, partition, MIN(offset), COUNT(*) FROM orders GROUP BY 1, 2 ORDER BY 2",
    );
    assert_eq!(rows[0][..2], ["2020-11-10".to_owned(), "0".to_owned()]);
    let shops = asked(&cut, "SELECT DISTINCT shop FROM orders ORDER BY 1");
    assert_eq!(shops.len(), 3);
    assert!(shops.iter().all(|shop| shop[0].len() == 32 && !shop[0].starts_with('s')), "{shops:?}");
    again.stop();
}

#[test]
fn a_table_of_another_log_is_refused_with_both_offsets() {
    let ground = keeping(1);
    ground.write("orders", 0..100);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    pipeline.stop();
    let other = keeping(1);
    other.write("orders", 0..10);
    for part in ["history/orders/_delta_log", "history"] {
        let to = other.dir.path().join("data").join(part);
        std::fs::create_dir_all(&to).expect("made");
        copy(&ground.dir.path().join("data").join(part), &to);
    }
    let refused = other.start("data").map(Pipeline::stop).expect_err("refused").to_string();
    assert!(refused.contains("up to offset 110") && refused.contains("ends at 11"), "{refused}");
}

/// A stream in Shanghai with an order before, at and after the midnights of both, of UTC and of Shanghai.
fn in_shanghai() -> Ground {
    let ground = keeping(1);
    let stream = stream_sql("orders", ", 'history' = 'keep'").replace("'UTC'", "'Asia/Shanghai'");
    ground.sql("streams/orders.sql", &stream);
    write_at(
        &ground,
        &[
            "2020-11-10T15:59:59Z",
            "2020-11-10T16:00:00Z",
            "2020-11-10T23:59:59Z",
            "2020-11-11T00:00:00Z",
            "2020-11-11T15:59:59Z",
            "2020-11-11T16:00:00Z",
        ],
    );
    ground
}

/// Orders at these times, numbered from 0.
fn write_at(ground: &Ground, at: &[&str]) {
    let mut writer = ground.log.writer("orders").expect("writer");
    for (id, at) in at.iter().enumerate() {
        let line = format!("{{\"id\":{id},\"shop\":\"s\",\"amount\":1,\"at\":\"{at}\"}}");
        writer
            .write(&NewRecord {
                partition: Some(0),
                key: None,
                timestamp_ms: START_MS,
                headers: &[],
                payload: line.as_bytes(),
            })
            .expect("written");
    }
    writer.flush().expect("flushed");
}

#[test]
fn a_day_of_a_history_is_the_day_of_its_stream_in_the_table_and_before() {
    let ground = in_shanghai();
    let pipeline = ground.running("data");
    let cut = wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    let ids = |cut: &Cut, condition: &str| -> String {
        let rows = asked(cut, &format!("SELECT id FROM orders WHERE {condition} ORDER BY id"));
        rows.concat().join(" ")
    };
    let hold = |cut: &Cut| {
        assert_eq!(ids(cut, "at >= DATE '2020-11-11' AND at < DATE '2020-11-12'"), "1 2 3 4");
        assert_eq!(ids(cut, "at >= '2020-11-11 00:00:00'"), "1 2 3 4 5");
        assert_eq!(ids(cut, "TIMESTAMP '2020-11-11 08:00:00' > at"), "0 1 2");
        assert_eq!(ids(cut, "at = '2020-11-11T00:00:00Z' OR id = 0"), "0 3");
        assert_eq!(ids(cut, "event_date = DATE '2020-11-11'"), "1 2 3 4");
        assert_eq!(ids(cut, "date_trunc('day', at) = DATE '2020-11-11'"), "1 2 3 4");
        assert_eq!(
            asked(cut, "SELECT CAST(at AS STRING) FROM orders WHERE id = 1"),
            [["2020-11-11T00:00:00+08:00"]]
        );
    };
    hold(&cut);
    pipeline.stop();
    // All rows are in the files now, which hold microseconds in UTC.
    let again = ground.running("data");
    let cut = first_cut(&again);
    assert_eq!(tail_rows(&cut), 0);
    hold(&cut);
    again.stop();
}

#[test]
fn a_table_of_a_stream_that_was_declared_otherwise_is_refused_and_a_new_one_filled_from_the_log() {
    let ground = keeping(1);
    ground.write("orders", 0..100);
    let pipeline = ground.running("data");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    pipeline.stop();
    let other =
        stream_sql("orders", ", 'history' = 'keep'").replace("'id', 'dedup", "'shop', 'dedup");
    ground.sql("streams/orders.sql", &other);
    let refused = ground.start("data").map(Pipeline::stop).expect_err("refused").to_string();
    assert!(refused.contains("declared otherwise") && refused.contains("orders"), "{refused}");
    let table = ground.dir.path().join("data/history/orders");
    std::fs::rename(&table, ground.dir.path().join("before")).expect("moved");
    let again = ground.running("data");
    let cut = wait(&again, "all orders again", |cut| at_end(&ground, cut, "orders"));
    assert_eq!(asked(&cut, "SELECT COUNT(*), COUNT(DISTINCT shop) FROM orders"), [["3", "3"]]);
    again.stop();
}

#[test]
fn days_that_are_no_longer_kept_leave_the_table() {
    let ground = keeping(1);
    let stream = stream_sql("orders", ", 'history' = 'keep', 'history.retention' = '2 d'");
    ground.sql("streams/orders.sql", &stream);
    let days = ["01", "06", "07", "09", "10"].map(|day| format!("2020-11-{day}T12:00:00Z"));
    write_at(&ground, &days.each_ref().map(String::as_str));
    let pipeline = ground.running("data");
    let cut = wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    assert_eq!(accepted(&cut), 5);
    pipeline.stop();
    let again = ground.running("data");
    // Two days behind the newest, and one for a clock that is ahead.
    let left = asked(&first_cut(&again), "SELECT event_date FROM orders ORDER BY 1");
    assert_eq!(left, [["2020-11-07"], ["2020-11-09"], ["2020-11-10"]]);
    again.stop();
}
