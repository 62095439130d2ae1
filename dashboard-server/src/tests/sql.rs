//! Queries over HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray as _, Decimal128Array};
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, TableProvider};
use serde_json::{Value, json};
use tidemark_pipeline::history::HashKey;

use super::client::{PATIENCE, Reply, post};
use super::fixture::{Publisher, TestServer, Wishes};
use crate::clock::Clock;
use crate::commands::sql::{OutputFormat, SqlArgs, answer};
use crate::config::{Config, Overrides, RawConfig};
use crate::sql::{Known, Limit, Rules, SqlError, SqlService};

/// Counts far longer than any limit, in one query.
const ENDLESS: &str = "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a(value), \
                       generate_series(1, 1000000) b(value)";

async fn ask(server: &TestServer, sql: &str) -> Reply {
    post(server.bound.http, "/api/sql", &[], &json!({ "sql": sql }).to_string()).await
}

async fn ask_as(server: &TestServer, accept: &str, sql: &str) -> Reply {
    post(server.bound.http, "/api/sql", &[("Accept", accept)], &json!({ "sql": sql }).to_string())
        .await
}

fn publisher() -> Publisher {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).day(400).publish();
    publisher
}

fn service(raw: RawConfig, reference: Vec<(String, Arc<dyn TableProvider>)>) -> SqlService {
    let config = Config::check(raw, Overrides::default()).expect("valid");
    let results = Arc::clone(&publisher().results);
    let runtime = tokio::runtime::Handle::current();
    let known = Known::of_results(&results);
    let rules = Rules::new(&config.sql, &known, &HashKey::new([7; 32])).expect("valid");
    SqlService::new(results, reference, (config.sql, rules.shared()), runtime, Clock::system())
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals_are_strings_and_times_epoch_milliseconds() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let reply =
        ask(&server, "SELECT province, gmv, window_start FROM gmv_by_province ORDER BY gmv DESC")
            .await;
    let answer = reply.json();
    assert_eq!(answer["columns"][1], json!({"name": "gmv", "type": "DECIMAL(38,2)"}));
    assert_eq!(
        answer["rows"],
        json!([["广东", "2.50", 1_605_024_000_000_i64], ["浙江", "1.50", 1_605_024_000_000_i64]])
    );
    assert_eq!(
        (&answer["cut"], &answer["epoch"], &answer["truncated"]),
        (&json!(1), &json!("e1"), &json!(false))
    );
    let body =
        json!({"sql": "SELECT sum(gmv) * 1.06 AS taxed FROM gmv_by_province", "rows": "objects"});
    let taxed = post(server.bound.http, "/api/sql", &[], &body.to_string()).await.json();
    assert_eq!(taxed["rows"], json!([{"taxed": "4.2400"}]), "money stays a decimal");
}

#[tokio::test(flavor = "multi_thread")]
async fn nearly_as_many_groups_as_rows_add_up_like_few() {
    let server = TestServer::start(&publisher().results).await;
    // Past a hundred thousand rows the engine hands each on as a group of its own where that saves nothing to put together.
    let sql = "SELECT COUNT(*), SUM(s), SUM(n) FROM (SELECT value / 2 AS k, SUM(CAST(value AS DECIMAL(18, 2))) AS s, \
               SUM(value) FILTER (WHERE value % 2 = 0) AS n, AVG(CAST(value AS DECIMAL(18, 2))) AS a \
               FROM generate_series(0, 399999) AS t(value) GROUP BY value / 2) AS g";
    let reply = ask(&server, sql).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["rows"], json!([[200_000, "79999800000.00", 39_999_800_000_i64]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn arithmetic_that_does_not_fit_its_type_is_an_error_and_never_another_number() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let large = "(VALUES (9223372036854775807), (1)) AS t(i)";
    let digits = "(SELECT CAST(x AS DECIMAL(38, 0)) AS d FROM (VALUES ('99999999999999999999999999999999999999'), ('1')) AS t(x))";
    let refused = [
        format!("SELECT i + i FROM {large}"),
        format!("SELECT SUM(i + i) FROM {large}"),
        format!("SELECT SUM(i) FROM {large}"),
        format!("SELECT i * 2 FROM {large}"),
        format!("SELECT COUNT(*) FROM {large} WHERE i + 1 > 0"),
        format!("SELECT SUM(i) OVER () FROM {large}"),
        format!("SELECT SUM(d) FROM {digits}"),
        format!("SELECT SUM(d * 1) FROM {digits}"),
        format!("SELECT d + 1 FROM {digits}"),
        format!("SELECT i FROM {large} ORDER BY i * 2"),
        format!("SELECT i, ROW_NUMBER() OVER (ORDER BY i * 2) FROM {large}"),
        format!("SELECT LAG(i + i) OVER (ORDER BY i) FROM {large}"),
        format!("SELECT COUNT(*) FROM {large} GROUP BY i * 2"),
        format!("SELECT COUNT(*) FROM {large} GROUP BY ROLLUP (i * 2)"),
        format!("SELECT COUNT(*) FROM {large} JOIN (VALUES (3)) AS u(j) ON t.i + u.j > 0"),
        format!("SELECT COUNT(*) FROM {large} JOIN (VALUES (3)) AS u(j) ON t.i + 1 = u.j"),
        "SELECT - i FROM (VALUES (-9223372036854775808)) AS t(i)".to_owned(),
        "SELECT 9223372036854775807 + 1".to_owned(),
        "SELECT 1 WHERE 9223372036854775807 * 2 > 0".to_owned(),
    ];
    for sql in refused {
        let reply = ask(&server, &sql).await;
        let text = reply.text();
        assert_eq!(reply.status, 422, "{sql}: {text}");
        assert!(
            text.to_lowercase().contains("overflow") || text.contains("precision"),
            "{sql}: {text}"
        );
    }
    let told = [
        ("SELECT i + 1 AS n FROM (VALUES (41)) AS t(i)", json!([[42]])),
        ("SELECT -i FROM (VALUES (41)) AS t(i)", json!([[-41]])),
        ("SELECT i FROM (VALUES (1), (2)) AS t(i) ORDER BY - i", json!([[2], [1]])),
        (
            "SELECT i AS k, SUM(i * 2) OVER (ORDER BY i * 3) FROM (VALUES (1), (2)) AS t(i) ORDER BY i * 2 DESC LIMIT 1",
            json!([[2, 6]]),
        ),
        ("SELECT 1 + 2 * 3 AS n, 0.1 + 0.2 AS d", json!([[7, "0.3"]])),
        ("SELECT SUM(i + 1), AVG(i) FROM (VALUES (1), (2)) AS t(i)", json!([[5, 1.5]])),
        ("SELECT i + 1, SUM(i) FROM (VALUES (1), (1)) AS t(i) GROUP BY i + 1", json!([[2, 2]])),
        (
            "SELECT i + 1, COUNT(*) FROM (VALUES (1), (1)) AS t(i) GROUP BY ROLLUP (i + 1) ORDER BY 1 NULLS LAST",
            json!([[2, 2], [null, 2]]),
        ),
        (
            "SELECT SUM(DISTINCT i), AVG(DISTINCT i), SUM(i) FROM (VALUES (1), (1), (3)) AS t(i)",
            json!([[4, 2, 5]]),
        ),
        (
            "SELECT k, SUM(DISTINCT i), SUM(i) FROM (VALUES ('a', 1), ('a', 1), ('b', 3)) AS t(k, i) \
             GROUP BY k ORDER BY k",
            json!([["a", 1, 2], ["b", 3, 3]]),
        ),
        (
            "SELECT SUM(i) OVER (ORDER BY i ROWS 1 PRECEDING) FROM (VALUES (1), (2), (4)) AS t(i) ORDER BY 1",
            json!([[1], [3], [6]]),
        ),
        (
            "SELECT ROUND(d, 1), ROUND(SUM(d), 1) FROM (VALUES (1.25)) AS t(d) GROUP BY d",
            json!([["1.3", "1.3"]]),
        ),
        ("SELECT DATE '2020-11-11' + INTERVAL '1' DAY > DATE '2020-11-11'", json!([[true]])),
    ];
    for (sql, rows) in told {
        let reply = ask(&server, sql).await;
        assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
        assert_eq!(reply.json()["rows"], rows, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_of_a_query_are_at_one_cut_and_it_is_the_newest() {
    let mut publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let sql = "SELECT (SELECT sum(gmv) FROM gmv_by_province) - (SELECT gmv FROM gmv_day), \
               (SELECT cut FROM current_cut)";
    assert_eq!(ask(&server, sql).await.json()["rows"], json!([["0.00", 1]]));
    publisher.province("浙江", 1_000).day(1_250).publish();
    assert_eq!(ask(&server, sql).await.json()["rows"], json!([["0.00", 2]]));
    let offsets = ask(&server, "SELECT * FROM current_offsets ORDER BY partition").await.json();
    assert_eq!(offsets["rows"], json!([["orders", 0, 120], ["orders", 1, 117]]));
    let tables = ask(&server, "SHOW TABLES").await.text();
    for name in ["gmv_day", "gmv_by_province", "late_orders", "current_cut"] {
        assert!(tables.contains(name), "{tables}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_read_is_refused() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    for sql in [
        "CREATE TABLE t (a INT)",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "INSERT INTO gmv_day VALUES (1)",
        "COPY gmv_day TO '/tmp/x.csv'",
        "SET datafusion.execution.batch_size = 1",
        "DROP TABLE gmv_day",
        "UPDATE gmv_day SET gmv = 0",
        "SELECT 1; SELECT 2",
        "SELECT * INTO t FROM gmv_day",
        "EXPLAIN ANALYZE COPY gmv_day TO '/tmp/x.csv'",
        "SHOW ALL",
        "PREPARE p AS SELECT 1",
    ] {
        let reply = ask(&server, sql).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (403, &json!("sql_refused")),
            "{sql}: {}",
            reply.text()
        );
    }
    // Files are not tables, and functions that make much out of little are not there.
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT repeat('x', 2000000000)",
        "SELECT range(1, 9000000000)",
    ] {
        let reply = ask(&server, sql).await;
        assert_eq!(reply.json()["error"]["code"], "sql_plan", "{sql}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_carry_line_and_column() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let syntax = ask(&server, "SELECT gmv\nFROM gmv_day\nWHERE").await.json();
    assert_eq!(
        (&syntax["error"]["code"], &syntax["error"]["line"]),
        (&json!("sql_syntax"), &json!(3)),
        "{syntax}"
    );
    let unknown = ask(&server, "SELECT gmv,\n  gvm FROM gmv_day").await.json();
    assert_eq!(
        (&unknown["error"]["line"], &unknown["error"]["column"]),
        (&json!(2), &json!(3)),
        "{unknown}"
    );
    let table = ask(&server, "SELECT 1 FROM nowhere").await.json();
    assert!(table["error"]["message"].as_str().expect("a message").contains("nowhere"), "{table}");
    assert!(!table.to_string().contains("public."), "only names the author wrote: {table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_is_quoted_and_runs_no_formula() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let late = ask_as(&server, "text/csv", "SELECT reason FROM late_orders").await;
    assert_eq!(late.text(), "reason\r\n'=cmd()\r\n\"plain, with \"\"quotes\"\"\"\r\n");
    let numbers =
        ask_as(&server, "text/csv", "SELECT -gmv AS \"=n\", NULL AS a, '' AS b FROM gmv_day").await;
    assert_eq!(numbers.text(), "'=n,a,b\r\n-4.00,,\"\"\r\n", "a negative number is no formula");
    assert!(numbers.header("content-type").expect("has one").starts_with("text/csv"));
    assert_eq!(ask_as(&server, "image/png", "SELECT 1").await.status, 406);
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_comes_back_as_it_was() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let kind = "application/vnd.apache.arrow.stream";
    let reply = ask_as(&server, kind, "SELECT * FROM gmv_by_province").await;
    assert_eq!(reply.header("content-type").as_deref(), Some(kind));
    assert_eq!(reply.header("x-tidemark-cut").as_deref(), Some("1"));
    let reader = StreamReader::try_new(reply.body.as_slice(), None).expect("is Arrow");
    assert_eq!(reader.schema().metadata()["epoch"], "e1");
    let read: Vec<RecordBatch> = reader.map(|batch| batch.expect("reads")).collect();
    let published = publisher.results.latest().views["gmv_by_province"].batches();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].columns(), published[0].columns());
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_read_as_the_types_the_query_expects() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let ask = async |sql: &str, params: Value| {
        post(server.bound.http, "/api/sql", &[], &json!({"sql": sql, "params": params}).to_string())
            .await
    };
    let sql = "SELECT province FROM gmv_by_province WHERE gmv > $1 AND province <> $2";
    assert_eq!(ask(sql, json!(["1.49", "广东"])).await.json()["rows"], json!([["浙江"]]));
    assert_eq!(ask(sql, json!([2.0, "x"])).await.json()["rows"], json!([["广东"]]));
    for wrong in [json!([]), json!(["1.49"]), json!(["many", "x"]), json!([[1], "x"])] {
        let reply = ask(sql, wrong.clone()).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (400, &json!("sql_params")),
            "{wrong}"
        );
    }
    assert_eq!(ask("SELECT '$1; DROP TABLE x'", json!([])).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_the_limit_are_cut_off_and_the_answer_says_so() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    wishes.raw.sql.rows_max = 10;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let cut = ask(&server, "SELECT value FROM generate_series(1, 11)").await;
    assert_eq!(cut.json()["rows"].as_array().map(Vec::len), Some(10));
    assert_eq!(
        (&cut.json()["truncated"], cut.header("x-tidemark-truncated").as_deref()),
        (&json!(true), Some("true"))
    );
    let whole = ask(&server, "SELECT value FROM generate_series(1, 10)").await.json();
    assert_eq!(
        (whole["rows"].as_array().map(Vec::len), &whole["truncated"]),
        (Some(10), &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_at_its_time_limit() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    wishes.raw.sql.seconds_max = 1;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let begun = Instant::now();
    let reply = ask(&server, ENDLESS).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (422, &json!("sql_timeout")));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_looks_for_hours_and_finds_nothing_is_stopped_too() {
    let mut raw = RawConfig::default();
    (raw.sql.seconds_max, raw.sql.concurrent_max) = (1, 1);
    let service = service(raw, Vec::new());
    let futile = "SELECT count(*) FROM generate_series(1, 20000) a(x) \
                  JOIN generate_series(1, 100000000) b(x) ON a.x + b.x < 0";
    let stopped = service.query(futile.to_owned(), Vec::new()).await;
    assert_eq!(
        stopped.err(),
        Some(SqlError::Timeout {
            after: Duration::from_secs(1),
            limit: Limit::of_all("seconds-max")
        })
    );
    // Its turn is free only when it has really ended.
    service.query("SELECT 1".to_owned(), Vec::new()).await.expect("has room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_needs_too_much_memory_fails_alone() {
    let mut raw = RawConfig::default();
    raw.sql.memory_bytes_max = 1_048_576;
    let service = service(raw, Vec::new());
    let sql = "SELECT value, count(*) FROM generate_series(1, 5000000) GROUP BY value";
    let failed = service.query(sql.to_owned(), Vec::new()).await;
    assert_eq!(
        failed.err(),
        Some(SqlError::Memory { bytes: 1_048_576, limit: Limit::of_all("memory-bytes-max") })
    );
    assert!(service.query("SELECT 1".to_owned(), Vec::new()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_queries_are_refused_and_a_dropped_one_makes_room() {
    let mut raw = RawConfig::default();
    raw.sql.concurrent_max = 1;
    let service = service(raw, Vec::new());
    let running = {
        let service = service.clone();
        tokio::spawn(async move { service.query(ENDLESS.to_owned(), Vec::new()).await })
    };
    let refused = async {
        loop {
            if let Err(error) = service.query("SELECT 1".to_owned(), Vec::new()).await {
                return error;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.expect("in time");
    assert_eq!(refused, SqlError::Busy { running: 1, limit: Limit::of_all("concurrent-max") });
    // The client goes away: what drops the future must stop the query.
    running.abort();
    assert!(running.await.expect_err("was dropped").is_cancelled());
    let begun = Instant::now();
    service.query("SELECT 1".to_owned(), Vec::new()).await.expect("has room again");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn reference_tables_stand_beside_the_views() {
    let rates = Decimal128Array::from(vec![661]).with_precision_and_scale(10, 2).expect("fits");
    let batch = RecordBatch::try_from_iter([("rate", Arc::new(rates) as _)]).expect("fits");
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("fits");
    let service = service(RawConfig::default(), vec![("fx".to_owned(), Arc::new(table))]);
    let answer = service
        .query("SELECT gmv / rate FROM gmv_day, fx".to_owned(), Vec::new())
        .await
        .expect("runs");
    assert!(
        answer.batches[0].column(0).as_primitive::<arrow::datatypes::Decimal128Type>().value(0) > 0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_tables_csv_and_the_servers_own_words() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let args = |query: &str, format| SqlArgs {
        query: query.to_owned(),
        server: format!("http://{}", server.bound.http),
        format,
        params: Vec::new(),
        token: None,
    };
    let sql = "SELECT province, gmv, window_start FROM gmv_by_province ORDER BY gmv";
    let table = answer(&args(sql, OutputFormat::Table)).await.expect("runs");
    assert_eq!(
        table,
        "province  gmv   window_start\n--------  ----  --------------------\n浙江      1.50  \
         2020-11-10T16:00:00Z\n广东      2.50  2020-11-10T16:00:00Z\n(2 rows, cut 1)\n"
    );
    assert!(
        answer(&args(sql, OutputFormat::Csv))
            .await
            .expect("runs")
            .starts_with("province,gmv,window_start\r\n")
    );
    assert!(
        answer(&args(sql, OutputFormat::Json)).await.expect("runs").starts_with("{\"columns\"")
    );
    let error = answer(&args("SELECT x\nFROM gmv_day", OutputFormat::Table))
        .await
        .expect_err("no such column");
    assert!(error.to_string().starts_with("line 1, column 8: "), "{error}");
    let mut nobody = args("SELECT 1", OutputFormat::Table);
    nobody.server = "http://127.0.0.1:1".to_owned();
    assert!(
        answer(&nobody).await.expect_err("nobody there").to_string().contains("is `tidemark demo`")
    );
}
