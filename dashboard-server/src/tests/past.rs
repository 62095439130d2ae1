//! `AS OF` through every door, what it refuses, and `view_history`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, UNIX_EPOCH};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use serde_json::{Value, json};
use tidemark_pipeline::history::{
    HashKey, HistoryAt, HistoryLayout, HistoryPlace, HistoryTable, OfCut, Pins,
};
use tidemark_pipeline::results::view_history::{RecordedViews, Room, ViewHistory};
use tidemark_pipeline::results::{CommitWish, Commits, Past};
use tidemark_pipeline::run::reference::catalog;

use super::client::{Reply, post};
use super::fixture::{DAY_START, Publisher, TestServer, Wishes};
use super::postgres::Driver;
use super::{flight, users};
use crate::clock::Clock;

/// What time it is in these tests: an hour and more after all that happens in them.
pub(super) const NOW: i64 = DAY_START + 1_000 * NOW_SECONDS;
/// The same in seconds after the day began.
const NOW_SECONDS: i64 = 5_000;
pub(super) const STREAM: &str = "CREATE TABLE orders (id BIGINT NOT NULL, buyer STRING, at TIMESTAMP(3) NOT NULL, \
     WATERMARK FOR at AS at - INTERVAL '1' SECOND) WITH ('connector' = 'embedded', 'format' = 'json', \
     'time-zone' = 'UTC', 'history' = 'keep', 'history.hashed' = 'buyer');";

/// A publisher with a past: three looks at its views, a second apart, and a history with three commits, at the same times.
pub(super) struct Ground {
    pub(super) publisher: Publisher,
    pub(super) folder: tempfile::TempDir,
    recorder: RecordedViews,
    layout: Arc<HistoryLayout>,
    pub(super) table: HistoryTable,
    /// Who waits for a commit.
    pub(super) wishes: Receiver<CommitWish>,
}

impl Ground {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let streams = folder.path().join("sql/streams");
        std::fs::create_dir_all(&streams).expect("made");
        std::fs::write(streams.join("orders.sql"), STREAM).expect("written");
        let sql = folder.path().join("sql");
        let catalog = catalog(&sql, &BTreeMap::new(), Default::default()).expect("plans");
        let stream = &catalog.streams["orders"].definition;
        let layout = HistoryLayout::of(stream, HashKey::new([1; 32])).expect("fits");
        let pins = Pins::open(folder.path()).expect("opens");
        let table = table(&folder, &layout, &pins).await;
        let room = Room { age_ms: i64::MAX, bytes_max: u64::MAX };
        let views = ViewHistory::open(&folder.path().join("views"), room).expect("opens");
        let publisher = Publisher::new("e1");
        let (asked, wishes) = channel();
        let commits = Some(Commits::new(move |wish| asked.send(wish).is_ok()));
        publisher.results.set_past(Past { views: Some(Arc::clone(&views)), pins, commits });
        let recorder = RecordedViews::new(views, "e1".to_owned());
        let layout = Arc::new(layout);
        let mut ground = Self { publisher, folder, recorder, layout, table, wishes };
        ground.commit_at(0);
        for nth in 1..=3 {
            ground.publisher.day(100 * i128::from(nth)).province("浙江", 100);
            match nth {
                2 => ground.publisher.province("广东", 100),
                3 => ground.publisher.province("上海", 50).remove("广东"),
                _ => &mut ground.publisher,
            };
            ground.pass(nth).await;
        }
        // Everything up to now was looked at.
        ground.publish(NOW_SECONDS);
        ground
    }

    /// The order of a second, whose number is its id and offset.
    fn order(&self, seconds: i64) -> RecordBatch {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![seconds]))),
            ("buyer", Arc::new(StringArray::from(vec!["b"]))),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![DAY_START]).with_timezone("UTC"))),
        ];
        let rows = RecordBatch::try_from_iter(columns).expect("fits");
        let told: (&[i64], &[i64], &[i64]) = (&[seconds], &[DAY_START], &[0]);
        self.layout.rows(&rows, 0, told).expect("laid out")
    }

    /// A cut, a look at it and a commit, as if it were so many seconds after the day began.
    pub(super) async fn pass(&mut self, seconds: i64) {
        self.commit(seconds..=seconds).await;
        self.publish(seconds);
    }

    /// Commits the orders of some seconds.
    pub(super) async fn commit(&mut self, all: std::ops::RangeInclusive<i64>) {
        let seconds = *all.end();
        let rows = all.map(|seconds| self.order(seconds)).collect();
        let next = BTreeMap::from([(0, seconds + 1)]);
        let of = OfCut {
            epoch: "e1".to_owned(),
            cut: u64::try_from(seconds).expect("positive"),
            published_at: DAY_START + 1_000 * seconds - 400,
            as_of: Some(DAY_START),
            offsets: next.clone(),
        };
        self.table.append(rows, &next, Some(of)).await.expect("added");
        self.commit_at(self.table.version());
    }

    pub(super) fn publish(&mut self, seconds: i64) {
        self.publish_waiting(seconds, &[]);
    }

    /// A cut in which the orders of some seconds wait for their commit.
    pub(super) fn publish_waiting(&mut self, seconds: i64, waiting: &[i64]) {
        let tail = waiting.iter().map(|seconds| self.order(*seconds)).collect();
        let history = HistoryAt::new(&self.layout, self.table.clone(), tail);
        self.publisher.histories.insert("orders".to_owned(), Arc::new(history));
        self.publisher.published_at = DAY_START + 1_000 * seconds;
        self.publisher.publish();
        self.recorder.look(&self.publisher.results.latest()).expect("written");
    }

    /// Begins the history anew.
    pub(super) async fn begin_anew(&mut self) {
        std::fs::remove_dir_all(self.folder.path().join("history")).expect("removed");
        let pins = Arc::clone(&self.publisher.results.past().expect("kept").pins);
        self.table = table(&self.folder, &self.layout, &pins).await;
    }

    /// Gives a commit the time of its number in seconds after the day began.
    fn commit_at(&self, version: u64) {
        let log = self.folder.path().join("history/orders/_delta_log");
        let file = log.join(format!("{version:020}.json"));
        let file = std::fs::File::options().append(true).open(file).expect("a commit");
        let day = u64::try_from(DAY_START).expect("positive");
        let at = UNIX_EPOCH + Duration::from_millis(day + 1_000 * version);
        file.set_modified(at).expect("set");
    }

    pub(super) async fn server(&self, mut wishes: Wishes) -> TestServer {
        wishes.clock = Some(Clock::from_fn(|| NOW));
        TestServer::start_with(&self.publisher.results, wishes).await
    }
}

pub(super) async fn table(
    folder: &tempfile::TempDir,
    layout: &HistoryLayout,
    pins: &Arc<Pins>,
) -> HistoryTable {
    let url = folder.path().join("history").display().to_string();
    let place = HistoryPlace { url, s3: Default::default() };
    HistoryTable::open(&place, layout, Arc::clone(pins)).await.expect("opens")
}

/// So many milliseconds after the day began, as SQL has it.
pub(super) fn stamp(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(DAY_START + ms).expect("a time");
    time.format("TIMESTAMP '%Y-%m-%d %H:%M:%S%.3fZ'").to_string()
}

async fn ask(server: &TestServer, sql: &str) -> Reply {
    post(server.bound.http, "/api/sql", &[], &json!({ "sql": sql }).to_string()).await
}

async fn rows(server: &TestServer, sql: &str) -> Value {
    let reply = ask(server, sql).await;
    assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
    reply.json()["rows"].clone()
}

pub(super) async fn ask_as(server: &TestServer, user: &str, sql: &str) -> Reply {
    let shown = users::shown(user);
    let headers = [("Authorization", shown.as_str())];
    post(server.bound.http, "/api/sql", &headers, &json!({ "sql": sql }).to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_as_of_a_version_or_a_time_are_those_of_then_and_the_answer_says_of_when() {
    let ground = Ground::new().await;
    let server = ground.server(Wishes::default()).await;
    let (second, between) = (stamp(2_000), stamp(2_999));
    for (from, ids) in [
        ("orders".to_owned(), json!([[1], [2], [3]])),
        ("orders FOR VERSION AS OF 2".to_owned(), json!([[1], [2]])),
        ("public.orders o VERSION AS OF 0".to_owned(), json!([])),
        (format!("orders FOR SYSTEM_TIME AS OF {second}"), json!([[1], [2]])),
        (format!("orders FOR TIMESTAMP AS OF {between} AS o"), json!([[1], [2]])),
        ("orders FOR SYSTEM_TIME AS OF now()".to_owned(), json!([[1], [2], [3]])),
        ("orders FOR SYSTEM_TIME AS OF now() - INTERVAL '4999 seconds'".to_owned(), json!([[1]])),
    ] {
        let sql = format!("SELECT id FROM {from} ORDER BY id");
        assert_eq!(rows(&server, &sql).await, ids, "{sql}");
    }
    for sql in [
        "SELECT (SELECT COUNT(*) FROM orders VERSION AS OF 1) AS a, COUNT(*) AS b FROM orders FOR VERSION AS OF 2",
        "WITH a AS (SELECT COUNT(*) AS n FROM orders FOR VERSION AS OF 1) SELECT a.n, COUNT(*) FROM a, orders \
         FOR VERSION AS OF 2 GROUP BY a.n",
        "SELECT COUNT(b.id), COUNT(*) FROM orders FOR VERSION AS OF 2 AS o LEFT JOIN orders VERSION AS OF 1 b ON b.id = o.id",
        "SELECT MIN(n), MAX(n) FROM (SELECT COUNT(*) n FROM orders FOR VERSION AS OF 1 UNION ALL \
         SELECT COUNT(*) FROM orders FOR VERSION AS OF 2)",
    ] {
        assert_eq!(rows(&server, sql).await, json!([[1, 2]]), "{sql}");
    }
    let reply = ask(&server, "SELECT COUNT(*) FROM orders FOR VERSION AS OF 2").await;
    let mut past = json!([{
        "table": "orders", "version": 2, "epoch": "e1", "cut": 2, "at": DAY_START + 2_000, "asOf": DAY_START,
        "offsets": {"0": 3}
    }]);
    assert_eq!(reply.json()["past"], past);
    let told = reply.header("x-tidemark-past").expect("says so");
    assert_eq!(serde_json::from_str::<Value>(&told).expect("JSON"), past);
    // Of a time it says by how much it is older.
    let sql = format!("SELECT COUNT(*) FROM orders FOR SYSTEM_TIME AS OF {between}");
    past[0]["behindMs"] = json!(1_399);
    assert_eq!(ask(&server, &sql).await.json()["past"], past);
    assert!(ask(&server, "SELECT COUNT(*) FROM orders").await.header("x-tidemark-past").is_none());
    let versions =
        "SELECT version, committed_at FROM history_versions WHERE stream = 'orders' ORDER BY 1";
    assert_eq!(
        rows(&server, versions).await,
        json!([
            [0, DAY_START],
            [1, DAY_START + 1_000],
            [2, DAY_START + 2_000],
            [3, DAY_START + 3_000]
        ])
    );
    let plan = ask(&server, "EXPLAIN SELECT id FROM orders FOR VERSION AS OF 2").await;
    assert_eq!(plan.status, 200, "{}", plan.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_as_of_a_time_has_the_rows_that_it_showed_then_typed_as_it_is() {
    let ground = Ground::new().await;
    let server = ground.server(Wishes::default()).await;
    for (ms, gmv) in [(1_000, "1.00"), (1_999, "1.00"), (2_000, "2.00"), (3_000_000, "3.00")] {
        let sql = format!("SELECT gmv FROM gmv_day FOR SYSTEM_TIME AS OF {}", stamp(ms));
        assert_eq!(rows(&server, &sql).await, json!([[gmv]]), "{sql}");
    }
    let provinces = async |ms: i64| {
        let sql = format!(
            "SELECT province, SUM(gmv) FROM gmv_by_province FOR SYSTEM_TIME AS OF {} GROUP BY 1 ORDER BY 1",
            stamp(ms)
        );
        rows(&server, &sql).await
    };
    assert_eq!(provinces(1_500).await, json!([["浙江", "1.00"]]));
    assert_eq!(provinces(2_500).await, json!([["广东", "1.00"], ["浙江", "1.00"]]));
    assert_eq!(provinces(3_500).await, json!([["上海", "0.50"], ["浙江", "1.00"]]));
    let reply =
        ask(&server, &format!("SELECT * FROM gmv_day TIMESTAMP AS OF {}", stamp(2_100))).await;
    let now = ask(&server, "SELECT * FROM gmv_day").await.json();
    assert_eq!(reply.json()["columns"], now["columns"]);
    let as_of = DAY_START + 1_800_000;
    let past = json!([{"table": "gmv_day", "epoch": "e1", "cut": 2, "at": DAY_START + 2_000, "asOf": as_of}]);
    assert_eq!(reply.json()["past"], past);
    let grown = format!(
        "SELECT n.gmv - t.gmv FROM gmv_day n JOIN gmv_day FOR SYSTEM_TIME AS OF {} t USING (window_start)",
        stamp(1_000)
    );
    assert_eq!(rows(&server, &grown).await, json!([["2.00"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_nobody_has_looked_at_is_waited_for_and_then_told_as_it_is_told_ever_after() {
    let mut ground = Ground::new().await;
    let server = TestServer::start_with(
        &ground.publisher.results,
        Wishes { clock: Some(Clock::from_fn(|| NOW + 9_000)), ..Wishes::default() },
    );
    let server = server.await;
    let sql = format!("SELECT gmv FROM gmv_day FOR SYSTEM_TIME AS OF {}", stamp(5_001_500));
    let (address, body) = (server.bound.http, json!({ "sql": sql }).to_string());
    let asked = tokio::spawn(async move { post(address, "/api/sql", &[], &body).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asked.is_finished(), "what is shown then is not known yet");
    // It was shown before that time, and is looked at after it.
    ground.publisher.day(700);
    ground.publish(5_001);
    ground.publish(5_002);
    let told = asked.await.expect("asked").json();
    assert_eq!(told["rows"], json!([["7.00"]]), "{told}");
    assert_eq!(rows(&server, &sql).await, told["rows"]);
    let late = ask(&server, "SELECT gmv FROM gmv_day FOR SYSTEM_TIME AS OF now()").await;
    assert!(late.status == 400 && late.text().contains("is not known yet"), "{}", late.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn view_history_tells_what_changed_when() {
    let ground = Ground::new().await;
    let server = ground.server(Wishes::default()).await;
    let sql =
        "SELECT at, cut, op FROM view_history WHERE view = 'gmv_by_province' ORDER BY at, op, row";
    let at = |seconds: i64| DAY_START + 1_000 * seconds;
    assert_eq!(
        rows(&server, sql).await,
        json!([
            [at(1), 1, "begin"],
            [at(2), 2, "upsert"],
            [at(2), 2, "upsert"],
            [at(3), 3, "delete"],
            [at(3), 3, "upsert"],
            [at(3), 3, "upsert"]
        ])
    );
    let rest = rows(
        &server,
        "SELECT view, COUNT(*) FROM view_history WHERE op <> 'delete' GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(rest.await, json!([["gmv_by_province", 5], ["gmv_day", 3]]));
    let went = "SELECT row FROM view_history WHERE op = 'delete'";
    assert!(rows(&server, went).await[0][0].as_str().expect("a key").contains("广东"));
    let tables = ask(&server, "SHOW TABLES").await.text();
    assert!(tables.contains("view_history") && !tables.contains("as of"), "{tables}");
}

/// Statements that are refused, the place, and a part of what is said.
fn refusals() -> Vec<(String, (u64, u64), &'static str)> {
    vec![
        (format!("SELECT 1\nFROM orders FOR SYSTEM_TIME AS OF {}", stamp(6_000_000)), (2, 6), "in the future"),
        (format!("SELECT 1\nFROM gmv_day FOR SYSTEM_TIME AS OF {}", stamp(5_000_001)), (2, 6), "in the future"),
        (format!("SELECT 1 FROM orders FOR SYSTEM_TIME AS OF {}", stamp(-1)), (1, 15), "no version of that time"),
        (format!("SELECT 1 FROM gmv_day FOR SYSTEM_TIME AS OF {}", stamp(999)), (1, 15), "nothing is kept from before"),
        ("SELECT 1 FROM orders FOR VERSION AS OF 4".to_owned(), (1, 15), "its newest is 3"),
        ("SELECT 1 FROM gmv_day FOR VERSION AS OF 1".to_owned(), (1, 15), "has no versions"),
        ("SELECT 1 FROM nowhere FOR VERSION AS OF 1".to_owned(), (1, 15), "'nowhere' not found"),
        ("SELECT 1 FROM late_orders FOR SYSTEM_TIME AS OF now()".to_owned(), (1, 15), "has no past"),
        ("SELECT 1 FROM current_cut FOR SYSTEM_TIME AS OF now()".to_owned(), (1, 15), "has no past"),
        ("SELECT 1 FROM shadow.gmv_day FOR SYSTEM_TIME AS OF now()".to_owned(), (1, 22), "shadow"),
        (
            "WITH orders AS (SELECT 1) SELECT * FROM orders FOR VERSION AS OF 1".to_owned(),
            (1, 41),
            "the name of a WITH",
        ),
        (
            "SELECT * FROM gmv_day WHERE EXISTS (SELECT 1 FROM orders FOR VERSION AS OF 9)".to_owned(),
            (1, 51),
            "its newest is 3",
        ),
        (
            "SELECT 1 FROM gmv_day JOIN orders FOR SYSTEM_TIME BETWEEN '2020-01-01' AND now() ON true".to_owned(),
            (1, 35),
            "not between two",
        ),
        ("SELECT nope FROM orders FOR VERSION AS OF 1".to_owned(), (1, 8), "nope"),
        ("SELECT\n o.nope\nFROM orders FOR VERSION AS OF 1 o".to_owned(), (2, 2), "nope"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_of_the_past_is_refused_with_its_place_at_every_door() {
    let ground = Ground::new().await;
    let server = ground.server(Wishes::default()).await;
    let mut driver = Driver::connect(&server).await;
    let mut client = flight::client(&server).await;
    for (sql, (line, column), part) in refusals() {
        let reply = ask(&server, &sql).await;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["code"]), (400, &json!("sql_plan")), "{sql}: {error}");
        assert!(error["message"].as_str().expect("words").contains(part), "{sql}: {error}");
        assert_eq!((&error["line"], &error["column"]), (&json!(line), &json!(column)), "{sql}");
        let place = format!("line {line}, column {column}");
        for told in [driver.simple(&sql).await, driver.prepare(&sql).await.map(|()| Vec::new())] {
            let told = told.expect_err(&sql);
            assert!(told.contains(part) && told.contains(&place), "{sql}: {told}");
        }
        let told = flight::ask(&mut client, &sql).await.expect_err(&sql).to_string();
        assert!(told.contains(part) && told.contains(&place), "{sql}: {told}");
    }
}

/// Of which the versions and times are told when it runs.
const ASKED: &str = "SELECT (SELECT COUNT(*) FROM orders FOR VERSION AS OF $2), CAST(d.gmv AS VARCHAR), COUNT(o.id) \
                     FROM gmv_day FOR SYSTEM_TIME AS OF $1 AS d, orders o WHERE o.id > $3 GROUP BY d.gmv";

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_says_of_which_version_or_time_over_http_and_in_what_is_shared() {
    let ground = Ground::new().await;
    let server = ground.server(users::wishes()).await;
    let shown = users::shown("analyst");
    let headers = [("Authorization", shown.as_str())];
    let ask = async |path: &str, sql: &str, params: Value| {
        let body = json!({"sql": sql, "params": params}).to_string();
        post(server.bound.http, path, &headers, &body).await
    };
    let second = "2020-11-10 16:00:02Z";
    for (params, told) in [
        (json!([second, 2, 1]), json!([[2, "2.00", 2]])),
        (json!(["2020-11-10T16:00:01+00:00", "1", 2]), json!([[1, "1.00", 1]])),
    ] {
        let reply = ask("/api/sql", ASKED, params.clone()).await;
        assert_eq!(reply.json()["rows"], told, "{params}: {}", reply.text());
    }
    let ago = "SELECT COUNT(*) FROM orders FOR SYSTEM_TIME AS OF now() - INTERVAL '1' SECOND - INTERVAL '4998' SECOND";
    let reply = ask("/api/sql", ago, json!([])).await;
    assert_eq!(reply.json()["rows"], json!([[1]]), "{}", reply.text());
    for (params, part) in [
        (json!([second, 2.5, 1]), "no version"),
        (json!([second, -1, 1]), "no version"),
        (json!([second, null, 1]), "is NULL"),
        (json!([second, 9, 1]), "its newest is 3"),
        (json!([1_605_024_002_000_i64, 2, 1]), "is no time"),
        (json!(["yesterday", 2, 1]), "is no time"),
        (json!([second]), "$2 has no value"),
        (json!([second, 2]), "3 placeholders"),
        (json!([second, 2, 1, 0]), "3 placeholders"),
    ] {
        let reply = ask("/api/sql", ASKED, params.clone()).await;
        assert_eq!(reply.status, 400, "{params}: {}", reply.text());
        assert!(reply.text().contains(part), "{params}: {}", reply.text());
    }
    let shared = ask("/api/queries/shared", ASKED, json!([second, 2, 1])).await;
    assert_eq!(shared.status, 201, "{}", shared.text());
    let url = shared.json()["url"].as_str().expect("an address").to_owned();
    let opened = super::client::send(server.bound.http, &format!("GET {url}"), &headers, b"").await;
    assert_eq!(opened.json()["rows"], json!([[2, "2.00", 2]]), "{}", opened.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_prepared_once_is_asked_of_several_versions_and_times() {
    let ground = Ground::new().await;
    let server = ground.server(Wishes::default()).await;
    let mut driver = Driver::connect(&server).await;
    driver.prepare(ASKED).await.expect("is prepared");
    // A time with a zone, and two whole numbers.
    assert_eq!(driver.parameters().await, [1184, 20, 20]);
    for (values, told) in [
        ([&b"2020-11-10 16:00:02Z"[..], b"2", b"1"], ["2", "2.00", "2"]),
        ([&b"2020-11-10 16:00:01+00"[..], b"1", b"2"], ["1", "1.00", "1"]),
        ([&b"2020-11-10 16:00:03Z"[..], b"0", b"0"], ["0", "3.00", "3"]),
    ] {
        let rows = driver.execute_with(&values, false).await.expect("runs");
        assert_eq!(rows, [told]);
    }
    let us = (DAY_START + 2_000) * 1_000 - 946_684_800_000_000;
    let values = [&us.to_be_bytes()[..], &2_i64.to_be_bytes(), &1_i64.to_be_bytes()];
    assert_eq!(driver.execute_with(&values, true).await.expect("runs"), [["2", "2.00", "2"]]);
    let late = driver.execute_with(&[b"2020-11-10 16:00:02Z", b"9", b"1"], false).await;
    assert!(late.expect_err("is refused").contains("its newest is 3"));
    let word = driver.execute_with(&[b"soon", b"2", b"1"], false).await;
    assert!(word.expect_err("is refused").contains("is no time"));
    // Without being prepared there are no values.
    let alone = driver.simple("SELECT 1 FROM orders FOR VERSION AS OF $1").await;
    assert!(alone.expect_err("is refused").contains("takes no parameter here"));
    // What is copied is a table as it was, too.
    let copied = driver.copied("COPY orders FOR VERSION AS OF 2 TO STDOUT (FORMAT csv)").await;
    assert_eq!(copied.lines().count(), 2, "{copied}");
    let columns = driver.copied("COPY gmv_day TO STDOUT").await;
    assert!(columns.contains("3.00"), "{columns}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_the_same_through_the_other_doors() {
    let mut ground = Ground::new().await;
    let server = ground.server(Wishes::default()).await;
    let sql = format!(
        "SELECT CAST(o.id AS VARCHAR), CAST(d.gmv AS VARCHAR) FROM orders FOR VERSION AS OF 1 AS o, gmv_day \
         FOR SYSTEM_TIME AS OF {} AS d",
        stamp(2_000)
    );
    let mut driver = Driver::connect(&server).await;
    assert_eq!(driver.simple(&sql).await.expect("runs"), [["1", "2.00"]]);
    let two = format!("{sql}; SELECT COUNT(*) FROM orders FOR VERSION AS OF 2");
    assert_eq!(driver.simple(&two).await.expect("runs"), [vec!["1", "2.00"], vec!["2"]]);
    driver.prepare(&sql).await.expect("is prepared");
    ground.publisher.day(999);
    ground.pass(4).await;
    assert_eq!(driver.execute().await.expect("runs"), [["1", "2.00"]]);
    assert_eq!(driver.simple("SELECT COUNT(*) FROM orders").await.expect("runs"), [["4"]]);
    let log = driver
        .simple("SELECT statement FROM query_log WHERE statement LIKE '%VERSION AS OF 1 %'")
        .await;
    assert!(log.expect("runs").len() >= 3, "the log has what was written");
    let mut client = flight::client(&server).await;
    let asked = flight::ask(&mut client, &sql).await.expect("runs");
    assert_eq!(flight::told(&asked), [["1", "2.00"]]);
    let past: Value =
        serde_json::from_str(&asked.schema().metadata()["past"]).expect("papers as JSON");
    assert_eq!(
        past,
        json!([
            {"table": "gmv_day", "epoch": "e1", "cut": 2, "at": DAY_START + 2_000, "asOf": DAY_START + 1_800_000},
            {"table": "orders", "version": 1, "epoch": "e1", "cut": 1, "at": DAY_START + 1_000, "asOf": DAY_START,
             "offsets": {"0": 2}}
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sees_some_views_sees_the_past_of_these_and_no_records() {
    let ground = Ground::new().await;
    let server = ground.server(users::wishes()).await;
    let day = format!("SELECT gmv FROM gmv_day FOR SYSTEM_TIME AS OF {}", stamp(1_000));
    assert_eq!(ask_as(&server, "asker", &day).await.json()["rows"], json!([["1.00"]]));
    let province = day.replace("gmv_day", "gmv_by_province");
    for sql in [
        province.as_str(),
        "SELECT 1 FROM orders",
        "SELECT 1 FROM orders FOR VERSION AS OF 1",
        "SELECT 1 FROM history_versions",
        "SELECT 1 FROM late_orders FOR SYSTEM_TIME AS OF now()",
    ] {
        let reply = ask_as(&server, "asker", sql).await;
        assert_eq!(reply.status, 400, "{sql}: {}", reply.text());
        assert!(reply.text().contains("not found"), "{sql}: {}", reply.text());
        if !sql.contains("late_orders") {
            assert_eq!(ask_as(&server, "analyst", sql).await.status, 200, "{sql}");
        }
    }
    let seen = ask_as(&server, "asker", "SELECT DISTINCT view FROM view_history").await;
    assert_eq!(seen.json()["rows"], json!([["gmv_day"]]));
}
