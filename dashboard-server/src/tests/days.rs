//! Questions about days of a history, and which of its files are opened for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use serde_json::{Value, json};
use tidemark_pipeline::history::{HashKey, HistoryAt, HistoryLayout, HistoryTable, Pins};
use tidemark_pipeline::run::reference::catalog;

use super::client::{Reply, post};
use super::fixture::{DAY_START, Publisher, TestServer, Wishes};
use super::past::{STREAM, table};
use super::users;
use crate::sql::Known;

const DAY_MS: i64 = 86_400_000;
const NEWEST: &str =
    "SELECT MIN(id), COUNT(*) FROM orders WHERE event_date = (SELECT MAX(event_date) FROM orders)";

/// A history with one order and one file a day, from 2020-11-10 on.
struct Ground {
    folder: tempfile::TempDir,
    layout: Arc<HistoryLayout>,
    table: HistoryTable,
    publisher: Publisher,
}

impl Ground {
    async fn new(days: i64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let streams = folder.path().join("sql/streams");
        std::fs::create_dir_all(&streams).expect("made");
        std::fs::write(streams.join("orders.sql"), STREAM).expect("written");
        let catalog = catalog(&folder.path().join("sql"), &BTreeMap::new(), Default::default());
        let stream = &catalog.expect("plans").streams["orders"].definition;
        let layout = HistoryLayout::of(stream, HashKey::new([1; 32])).expect("fits");
        let pins = Pins::open(folder.path()).expect("opens");
        let table = table(&folder, &layout, &pins).await;
        let publisher = Publisher::new("e1");
        let mut ground = Self { folder, layout: Arc::new(layout), table, publisher };
        for day in 0..days {
            let rows = ground.order(day);
            let next = BTreeMap::from([(0, day + 1)]);
            ground.table.append(vec![rows], &next, None).await.expect("added");
        }
        ground
    }

    /// The order of a day; its number is that of the day, and its offset.
    fn order(&self, day: i64) -> RecordBatch {
        let at = DAY_START + day * DAY_MS;
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![day]))),
            ("buyer", Arc::new(StringArray::from(vec!["b"]))),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![at]).with_timezone("UTC"))),
        ];
        let rows = RecordBatch::try_from_iter(columns).expect("fits");
        self.layout.rows(&rows, 0, (&[day], &[at], &[0])).expect("laid out")
    }

    /// A server over the files and, beside them, the orders of `waiting` days.
    async fn server(&mut self, waiting: &[i64], mut wishes: Wishes) -> TestServer {
        let tail = waiting.iter().map(|day| self.order(*day)).collect();
        let history = Arc::new(HistoryAt::new(&self.layout, self.table.clone(), tail));
        let known = Known::of_results(&self.publisher.results)
            .with_table("orders", Arc::clone(&self.layout.shown))
            .with_personal("orders", "buyer");
        wishes.known = Some(known);
        self.publisher.histories.insert("orders".to_owned(), history);
        self.publisher.publish();
        TestServer::start_with(&self.publisher.results, wishes).await
    }

    /// Deletes the files of a day: whoever opens one of them has an error.
    fn delete(&self, date: &str) {
        let files = self.folder.path().join("history/orders").join(format!("event_date={date}"));
        std::fs::remove_dir_all(files).expect("there");
    }
}

async fn ask(server: &TestServer, sql: &str) -> Reply {
    post(server.bound.http, "/api/sql", &[], &json!({ "sql": sql }).to_string()).await
}

async fn rows(server: &TestServer, sql: &str) -> Value {
    let reply = ask(server, sql).await;
    assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
    reply.json()["rows"].clone()
}

/// The last plan of EXPLAIN, or the plan of EXPLAIN ANALYZE.
async fn plan(server: &TestServer, sql: &str) -> String {
    let told = rows(server, sql).await;
    let last = told.as_array().and_then(|rows| rows.last()).expect("a plan");
    last[1].as_str().expect("a text").to_owned()
}

async fn files_opened(server: &TestServer, sql: &str) -> Option<String> {
    let plan = plan(server, &format!("EXPLAIN ANALYZE {sql}")).await;
    let (_, told) = plan.split_once("count_files_scanned=")?;
    Some(told.chars().take_while(char::is_ascii_digit).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_days_that_a_subquery_names_alone_files_are_opened() {
    let mut ground = Ground::new(4).await;
    let server = ground.server(&[], Wishes::default()).await;
    let opened = |files: &str| Some(files.to_owned());
    assert_eq!(files_opened(&server, "SELECT SUM(id) FROM orders").await, opened("4"));
    assert_eq!(files_opened(&server, NEWEST).await, opened("1"));
    assert_eq!(rows(&server, NEWEST).await, json!([[3, 1]]));
    for (condition, ids, files) in [
        ("event_date > (SELECT MIN(event_date) FROM orders)", json!([[1], [2], [3]]), "3"),
        (
            "event_date = (SELECT MIN(event_date) FROM orders) OR event_date = (SELECT MAX(event_date) FROM orders)",
            json!([[0], [3]]),
            "2",
        ),
        (
            "event_date = (SELECT MAX(event_date) FROM orders WHERE event_date < DATE '2020-11-12')",
            json!([[1]]),
            "1",
        ),
    ] {
        let sql = format!("SELECT id FROM orders WHERE {condition} ORDER BY id");
        assert_eq!(rows(&server, &sql).await, ids, "{sql}");
        assert_eq!(files_opened(&server, &sql).await, opened(files), "{sql}");
    }
    // What a view shows is in memory too.
    ground.publisher.day(100).publish();
    let of_a_view = "SELECT id FROM orders WHERE event_date = (SELECT CAST(MAX(window_start) AS DATE) FROM gmv_day)";
    assert_eq!(files_opened(&server, of_a_view).await, opened("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subquery_that_opens_files_or_has_no_single_answer_is_left_to_the_query() {
    let mut ground = Ground::new(3).await;
    let server = ground.server(&[], Wishes::default()).await;
    let of_files = "SELECT event_date FROM orders WHERE id = (SELECT MAX(id) FROM orders)";
    let told = plan(&server, &format!("EXPLAIN {of_files}")).await;
    assert!(told.contains("ScalarSubqueryExec"), "{told}");
    assert_eq!(rows(&server, of_files).await, json!([["2020-11-12"]]));
    let of_many = "SELECT id FROM orders WHERE event_date = (SELECT event_date FROM orders)";
    let refused = ask(&server, of_many).await;
    assert!(refused.status != 200 && refused.text().contains("one row"), "{}", refused.text());
    let of_none = "SELECT id FROM orders WHERE event_date = \
                   (SELECT MAX(event_date) FROM orders WHERE event_date > DATE '2021-01-01')";
    assert_eq!(rows(&server, of_none).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_and_the_last_day_are_told_without_a_file() {
    for (waiting, told) in [
        (vec![], json!([["2020-11-10", "2020-11-12", 3]])),
        (vec![5, 4], json!([["2020-11-10", "2020-11-15", 5]])),
        (vec![-1], json!([["2020-11-09", "2020-11-12", 4]])),
    ] {
        let mut ground = Ground::new(3).await;
        let server = ground.server(&waiting, Wishes::default()).await;
        let sql = "SELECT MIN(event_date), MAX(event_date), COUNT(*) FROM orders";
        assert_eq!(rows(&server, sql).await, told);
        let plan = plan(&server, &format!("EXPLAIN {sql}")).await;
        assert!(plan.contains("PlaceholderRowExec") && !plan.contains("Delta"), "{plan}");
        // With a condition not all rows are meant.
        let some = format!("{sql} WHERE event_date < DATE '2020-11-12'");
        assert_eq!(rows(&server, &some).await[0][1], json!("2020-11-11"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_in_no_file_yet_is_the_newest() {
    let mut ground = Ground::new(3).await;
    let server = ground.server(&[2, 3], Wishes::default()).await;
    assert_eq!(rows(&server, NEWEST).await, json!([[3, 1]]));
    for date in ["2020-11-10", "2020-11-11", "2020-11-12"] {
        ground.delete(date);
    }
    assert_eq!(rows(&server, NEWEST).await, json!([[3, 1]]), "it is not in a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_shown_a_table_in_part_opens_no_more_files() {
    let mut ground = Ground::new(3).await;
    let server = ground.server(&[], users::wishes()).await;
    ground.delete("2020-11-10");
    ground.delete("2020-11-11");
    let told = super::past::ask_as(&server, "analyst", NEWEST).await;
    assert_eq!(told.json()["rows"], json!([[2, 1]]), "{}", told.text());
    let all = super::past::ask_as(&server, "analyst", "SELECT SUM(id) FROM orders").await;
    assert_ne!(all.status, 200, "the files of the other days are gone: {}", all.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_files_are_read_as_views_and_told_as_texts() {
    let mut ground = Ground::new(2).await;
    let sql = "SELECT buyer, COUNT(*) AS n FROM orders WHERE buyer <> 'b' GROUP BY buyer";
    {
        let server = ground.server(&[], Wishes::default()).await;
        let plan = plan(&server, &format!("EXPLAIN {sql}")).await;
        assert!(!plan.contains("CAST("), "nothing is made of what the files hold: {plan}");
    }
    let server = ground.server(&[2], Wishes::default()).await;
    let told = ask(&server, sql).await.json();
    assert_eq!(told["columns"][0]["type"], json!("VARCHAR"), "{told}");
    assert_eq!(told["rows"][0][1], json!(3), "a buyer has one hash, wherever the row is");
}
