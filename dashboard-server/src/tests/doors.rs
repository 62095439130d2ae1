//! One statement, one answer: over HTTP, PostgreSQL and Flight SQL, where the streams' clock is Shanghai's.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, StringArray, TimestampMillisecondArray};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, TableProvider};
use serde_json::{Value, json};
use tidemark_pipeline::ledger::LedgerStore;
use tidemark_pipeline::model::Zone;

use super::client::post;
use super::fixture::{DAY_START, Publisher, TestServer, Wishes};
use super::flight;
use super::postgres::Driver;

const MINUTE_MS: i64 = 60_000;

/// Four orders, from midnight in Shanghai on, five minutes apart.
fn orders() -> Arc<dyn TableProvider> {
    let times = (0..4).map(|nth| DAY_START + nth * 5 * MINUTE_MS);
    let times = TimestampMillisecondArray::from_iter_values(times).with_timezone("Asia/Shanghai");
    let amounts = Decimal128Array::from(vec![1_000, 1_000, 1, 555]);
    let amounts = amounts.with_precision_and_scale(18, 2).expect("fits");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_time", Arc::new(times)),
        ("amount", Arc::new(amounts)),
        ("province", Arc::new(StringArray::from(vec!["浙江", "浙江", "广东", "广东"]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("fits");
    Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]]).expect("a table"))
}

struct Doors {
    server: TestServer,
    _ledgers: tempfile::TempDir,
}

impl Doors {
    async fn open() -> Self {
        let ledgers = tempfile::tempdir().expect("a folder");
        let store = LedgerStore::open(ledgers.path()).expect("opens");
        let mut publisher = Publisher::new("e1");
        let zone = Zone::named("Asia/Shanghai").expect("a zone");
        publisher.results.set_ledgers(store, zone);
        publisher.day(400).publish();
        let mut wishes = Wishes::default();
        wishes.reference.push(("orders".to_owned(), orders()));
        let server = TestServer::start_with(&publisher.results, wishes).await;
        Self { server, _ledgers: ledgers }
    }

    async fn http(&self, sql: &str, params: &[&str]) -> Value {
        let body = json!({ "sql": sql, "params": params }).to_string();
        post(self.server.bound.http, "/api/sql", &[], &body).await.json()
    }

    /// The only value of an answer, which is the same at every door; the first error otherwise.
    async fn value(&self, sql: &str) -> Result<String, String> {
        let told = self.http(sql, &[]).await;
        if let Some(message) = told["error"]["message"].as_str() {
            return Err(message.to_owned());
        }
        let over_http = match &told["rows"][0][0] {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let mut driver = Driver::connect(&self.server).await;
        let simple = driver.simple(sql).await?;
        let prepared = driver.ask(sql, &[]).await?;
        let mut client = flight::client(&self.server).await;
        let batch = flight::ask(&mut client, sql).await.map_err(|error| error.to_string())?;
        let flown = flight::told(&batch);
        for other in [&simple, &prepared, &flown] {
            assert_eq!(other[0][0], over_http, "{sql}");
            assert_eq!(Some(other.len()), told["rows"].as_array().map(Vec::len), "{sql}");
        }
        Ok(over_http)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_the_same_one_at_every_door() {
    let doors = Doors::open().await;
    for before_ten_past in [
        "event_time < to_timestamp(1605024600)",
        "event_time < to_timestamp(1605024600.0)",
        "event_time < to_timestamp_seconds(1605024600)",
        "event_time < to_timestamp_millis(1605024600000)",
        "event_time < from_unixtime(1605024600)",
        "event_time < to_timestamp('2020-11-11 00:10:00')",
        "event_time < to_timestamp('2020-11-10T16:10:00Z')",
        "event_time < to_timestamp('2020-11-11 00:10', 'YYYY-MM-DD HH24:MI')",
        "event_time < '2020-11-11 00:10:00'",
        "event_time < '2020-11-11 00:10'",
        "event_time < '2020-11-11 00:10+08'",
        "event_time < '2020-11-10T16:10Z'::timestamptz",
        "event_time < TIMESTAMP '2020-11-11 00:10'",
        "event_time < CAST('2020-11-11 00:10:00' AS TIMESTAMPTZ)",
        "event_time BETWEEN to_timestamp(1605024000) AND to_timestamp(1605024599)",
        "event_time BETWEEN '2020-11-11 00:00' AND '2020-11-11 00:09'",
        "event_time IN ('2020-11-11 00:00', '2020-11-11 00:05+08')",
        "EXTRACT(epoch FROM event_time) < 1605024600",
        "event_time < (SELECT to_timestamp(n) FROM (VALUES (1605024600)) AS t(n))",
    ] {
        let sql = format!("SELECT COUNT(*) FROM orders WHERE {before_ten_past}");
        assert_eq!(doors.value(&sql).await.as_deref(), Ok("2"), "{sql}");
    }
    for (of_the_day, told) in [
        ("CAST(to_timestamp(1605024600) AS DATE) = DATE '2020-11-11'", "true"),
        ("EXTRACT(hour FROM to_timestamp(1605024600)) = 0", "true"),
        (
            "date_trunc('day', from_unixtime(1605024600)) = TIMESTAMPTZ '2020-11-11 00:00:00'",
            "true",
        ),
        ("to_timestamp(1605024600) = to_timestamp('2020-11-11 00:10:00')", "true"),
        ("CAST(to_timestamp(1605024600) AS DATE) = CAST(event_time AS DATE)", "true"),
        ("to_date('2020-11-11', 'YYYY-MM-DD') = DATE '2020-11-11'", "true"),
    ] {
        let sql = format!(
            "SELECT CASE WHEN {of_the_day} THEN 'true' ELSE 'false' END FROM orders LIMIT 1"
        );
        assert_eq!(doors.value(&sql).await.as_deref(), Ok(told), "{sql}");
    }
    let sql = "SELECT to_timestamp(1605024600)";
    assert_eq!(doors.http(sql, &[]).await["rows"], json!([[1_605_024_600_000_i64]]));
    let mut driver = Driver::connect(&doors.server).await;
    assert_eq!(driver.simple(sql).await.expect("runs"), [["2020-11-11 00:10:00.000000+08"]]);
    let mut client = flight::client(&doors.server).await;
    let flown = flight::told(&flight::ask(&mut client, sql).await.expect("runs"));
    assert_eq!(flown, [["2020-11-11T00:10:00+08:00"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_as_a_parameter_means_what_it_means_in_the_query() {
    let doors = Doors::open().await;
    let mut driver = Driver::connect(&doors.server).await;
    let midnight = "2020-11-11 00:00";
    for (condition, params) in [
        ("event_time < $1", vec!["2020-11-11 00:10:00"]),
        ("event_time < $1", vec!["2020-11-11 00:10"]),
        ("event_time < $1", vec!["2020-11-11 00:10+08"]),
        ("event_time < $1", vec!["2020-11-10T16:10:00Z"]),
        ("event_time < $1::timestamptz", vec!["2020-11-11 00:10:00"]),
        ("event_time < $1::timestamptz", vec!["2020-11-11 00:10"]),
        ("event_time < $1::timestamptz", vec!["2020-11-11 00:10+08"]),
        ("event_time < CAST($1 AS TIMESTAMPTZ)", vec!["2020-11-10T16:10:00Z"]),
        ("event_time < CAST($1 AS TIMESTAMP)", vec!["2020-11-11 00:10"]),
        ("event_time < to_timestamp($1)", vec!["2020-11-11 00:10:00"]),
        (
            "event_time BETWEEN $1::timestamptz AND $2::timestamptz",
            vec![midnight, "2020-11-11 00:09:59"],
        ),
        ("event_time >= $1::date AND event_time < $2", vec!["2020-11-11", "2020-11-11 00:10"]),
        (
            "date_trunc($1, event_time) = $2 AND event_time < $3",
            vec!["hour", midnight, "2020-11-11 00:10"],
        ),
    ] {
        let sql = format!("SELECT COUNT(*) FROM orders WHERE {condition}");
        let found = driver.ask(&sql, &params).await;
        assert_eq!(found.expect(&sql), [["2"]], "{sql} {params:?}");
        let over_http = doors.http(&sql, &params).await;
        assert_eq!(over_http["rows"], json!([[2]]), "{sql} {params:?}: {over_http}");
    }
    let sql = "SELECT date_trunc($1, event_time), COUNT(*) FROM orders GROUP BY date_trunc($1, event_time)";
    assert_eq!(
        driver.ask(sql, &["hour"]).await.expect("runs"),
        [["2020-11-11 00:00:00.000000+08", "4"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_that_times_are_told_by_is_named_and_cannot_be_set() {
    let doors = Doors::open().await;
    let told = Driver::told_setting(&doors.server, "TimeZone").await;
    assert_eq!(told.as_deref(), Some("Asia/Shanghai"));
    let mut driver = Driver::connect(&doors.server).await;
    for show in ["SHOW timezone", "SHOW TIME ZONE", "SELECT current_setting('TimeZone')"] {
        assert_eq!(driver.simple(show).await.expect(show), [["Asia/Shanghai"]], "{show}");
    }
    for same in [
        "SET timezone = 'Asia/Shanghai'",
        "SET TIME ZONE 'asia/shanghai'",
        "SET TIME ZONE LOCAL",
        "SET timezone TO DEFAULT",
    ] {
        assert!(driver.simple(same).await.is_ok(), "{same}");
    }
    for other in ["SET timezone = 'UTC'", "SET TIME ZONE 'America/New_York'"] {
        let refused = driver.simple(other).await.expect_err(other);
        assert!(refused.contains("the clock of the streams, Asia/Shanghai"), "{refused}");
        let refused = driver.ask(other, &[]).await.expect_err(other);
        assert!(refused.contains("the clock of the streams, Asia/Shanghai"), "{refused}");
    }
    assert_eq!(
        driver.simple("SELECT to_timestamp(0)").await.expect("still by it"),
        [["1970-01-01 08:00:00.000000+08"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_of_postgresql_are_read_or_refused() {
    let doors = Doors::open().await;
    for (pattern, told) in [
        ("HH24:MI", "00:15"),
        ("YYYY-MM-DD HH24:MI:SS.MS", "2020-11-11 00:15:00.000"),
        ("YYYY年FMMM月DD日", "2020年11月11日"),
        ("%H:%M", "00:15"),
    ] {
        let sql = format!("SELECT to_char(MAX(event_time), '{pattern}') FROM orders");
        assert_eq!(doors.value(&sql).await.as_deref(), Ok(told), "{sql}");
    }
    for (sql, why) in [
        ("SELECT to_char(event_time, 'Q') FROM orders", "which is not known here"),
        ("SELECT to_char(amount, '999.99') FROM orders", "a number has no pattern here"),
    ] {
        let refused = doors.value(sql).await.expect_err(sql);
        assert!(refused.contains(why), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_words_of_postgresql_are_understood_at_every_door() {
    let doors = Doors::open().await;
    for (sql, told) in [
        ("SELECT CASE WHEN EXISTS (SELECT 1 FROM orders) THEN 'yes' ELSE 'no' END", "yes"),
        (
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM orders WHERE amount < 0) THEN 'yes' ELSE 'no' END",
            "no",
        ),
        ("SELECT CAST(NOT EXISTS (SELECT 1 FROM orders) AS VARCHAR)", "false"),
        (
            "SELECT CAST(EXISTS (SELECT 1 FROM orders AS i WHERE i.province = o.province) AS VARCHAR) FROM orders AS o ORDER BY amount",
            "true",
        ),
        ("SELECT COUNT(*) FROM orders WHERE EXISTS (SELECT 1 FROM orders)", "4"),
        ("TABLE orders FETCH FIRST 0 ROWS ONLY", "null"),
        ("SELECT COUNT(*) FROM (SELECT amount FROM orders FETCH FIRST 3 ROWS ONLY) AS o", "3"),
        ("SELECT COUNT(*) FROM (SELECT 1 FROM orders OFFSET 1 FETCH NEXT ROW ONLY) AS o", "1"),
        ("SELECT TRIM(BOTH FROM ' a ') || TRIM(LEADING FROM ' b') || TRIM('c ')", "abc"),
        ("SELECT CAST(DATE '2020-11-11' + 1 AS VARCHAR)", "2020-11-12"),
        (
            "SELECT CAST(d - n AS VARCHAR) FROM (VALUES (DATE '2020-11-11', 11)) AS t(d, n)",
            "2020-10-31",
        ),
        ("SELECT COUNT(*) FROM orders WHERE CAST(event_time AS DATE) = DATE '2020-11-10' + 1", "4"),
        ("SELECT MOD(7, 3) + mod(CAST(-7 AS BIGINT), 3)", "0"),
        ("SELECT pg_typeof(event_time) FROM orders LIMIT 1", "timestamp with time zone"),
        ("SELECT pg_typeof(amount) || ', ' || pg_typeof(1) FROM orders LIMIT 1", "numeric, bigint"),
    ] {
        if told == "null" {
            let none = doors.http(sql, &[]).await;
            assert_eq!(none["rows"], json!([]), "{sql}: {none}");
            let mut driver = Driver::connect(&doors.server).await;
            assert!(driver.simple(sql).await.expect(sql).is_empty(), "{sql}");
            continue;
        }
        assert_eq!(doors.value(sql).await.as_deref(), Ok(told), "{sql}");
    }
    for (sql, why) in [
        ("SELECT 'a0eebc99'::uuid", "no type UUID here"),
        ("SELECT 1 IN (SELECT 1)", "not among the columns of an answer"),
        ("SELECT 1 FETCH FIRST 1 ROW WITH TIES", "LIMIT n"),
    ] {
        let refused = doors.value(sql).await.expect_err(sql);
        assert!(refused.contains(why), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_asked_for_twice_are_told_twice_under_their_names() {
    let doors = Doors::open().await;
    for (sql, names, values) in [
        ("SELECT COUNT(*), count(*) FROM orders", ["count(*)", "count(*)"], ["4", "4"]),
        (
            "SELECT amount, amount FROM orders ORDER BY amount",
            ["amount", "amount"],
            ["0.01", "0.01"],
        ),
        (
            "SELECT o.amount, amount::varchar FROM orders AS o ORDER BY 1",
            ["amount", "amount"],
            ["0.01", "0.01"],
        ),
        ("SELECT 1, 1", ["Int64(1)", "Int64(1)"], ["1", "1"]),
        ("SELECT 1 AS a, 2 AS a", ["a", "a"], ["1", "2"]),
        (
            "SELECT province, province FROM orders GROUP BY province ORDER BY 2",
            ["province", "province"],
            ["广东", "广东"],
        ),
        ("SELECT 2, 2 UNION ALL SELECT 3, 3 ORDER BY 1", ["Int64(2)", "Int64(2)"], ["2", "2"]),
        (
            "SELECT (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM gmv_day)",
            ["count(*)", "count(*)"],
            ["4", "1"],
        ),
    ] {
        let told = doors.http(sql, &[]).await;
        let over_http: Vec<&str> = told["columns"]
            .as_array()
            .unwrap_or_else(|| panic!("{sql}: {told}"))
            .iter()
            .filter_map(|column| column["name"].as_str())
            .collect();
        assert_eq!(over_http, names, "{sql}");
        let mut driver = Driver::connect(&doors.server).await;
        assert_eq!(driver.columns(sql).await, names, "{sql}");
        let row = driver.simple(sql).await.expect(sql).swap_remove(0);
        assert_eq!(row, values, "{sql}");
        let mut client = flight::client(&doors.server).await;
        let batch = flight::ask(&mut client, sql).await.expect(sql);
        let flown: Vec<String> =
            batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(flown, names, "{sql}");
        assert_eq!(flight::told(&batch)[0], values, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quotients_and_averages_are_rounded_half_up() {
    let doors = Doors::open().await;
    for (sql, told) in [
        ("SELECT 1 / 3.0 * 1000000", "333333.000000"),
        ("SELECT 2 / 3.0", "0.666667"),
        ("SELECT -2 / 3.0", "-0.666667"),
        ("SELECT SUM(amount) / 3 FROM orders", "8.520000"),
        ("SELECT CAST(SUM(amount / 3) AS DECIMAL(18, 6)) FROM orders", "8.520000"),
        ("SELECT SUM(amount) / COUNT(*) FROM orders", "6.390000"),
        ("SELECT AVG(x) FROM (VALUES (0.02), (0.00), (0.00)) AS t(x)", "0.006667"),
        ("SELECT AVG(-x) FROM (VALUES (0.02), (0.00), (0.00)) AS t(x)", "-0.006667"),
        ("SELECT AVG(x) OVER () FROM (VALUES (0.02), (0.00), (0.00)) AS t(x)", "0.006667"),
        ("SELECT AVG(x) FROM (VALUES (1), (2)) AS t(x)", "1.5"),
        ("SELECT 7 / 2", "3"),
        // A quotient that needs more than 38 digits to be compared, and is divided by.
        (
            "SELECT CAST(MAX(21 / NULLIF(amount / 3 / 7, 0)) AS DECIMAL(18, 2)) FROM orders",
            "44100.00",
        ),
        ("SELECT COUNT(*) FROM orders WHERE amount / 3 / 7 < 1", "4"),
        ("SELECT (SELECT SUM(amount) FROM orders) / NULLIF(0, 0)", "null"),
    ] {
        if told == "null" {
            assert_eq!(doors.http(sql, &[]).await["rows"], json!([[null]]), "{sql}");
            continue;
        }
        assert_eq!(doors.value(sql).await.as_deref(), Ok(told), "{sql}");
    }
    // A product of two quotients has room.
    let sql = "SELECT CAST(SUM((amount / 3) * (amount / 7)) AS DECIMAL(18, 4)) FROM orders";
    let product = doors.value(sql).await.expect("has room");
    assert!(product.starts_with("10.9906"), "{product}");
    let refused = doors.value("SELECT SUM(amount) / 0 FROM orders").await.expect_err("no number");
    assert!(refused.contains("divided by zero"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_a_query_and_what_is_not_there_is_said_as_it_is() {
    let doors = Doors::open().await;
    let mut driver = Driver::connect(&doors.server).await;
    let sql = "SELECT * FROM orders FOR SYSTEM_TIME AS OF now()";
    let refused = driver.simple(sql).await.expect_err("has no past");
    assert!(refused.contains("orders is a reference table, of which no past is kept"), "{refused}");
    driver.simple("SET statement_timeout = 200").await.expect("may be set");
    let endless = "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a(value), \
                   generate_series(1, 1000000) b(value)";
    let stopped = driver.simple(endless).await.expect_err("is stopped");
    assert!(
        stopped.contains("stopped after 200 ms; ask for less, or raise statement_timeout"),
        "{stopped}"
    );
    assert!(!stopped.contains("seconds-max"), "{stopped}");
    let verifiers = driver.simple("SELECT count(*) FROM pg_authid").await;
    assert_eq!(verifiers.expect("is there"), [["0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_cut_a_table_is_being_restored_and_not_unknown() {
    let publisher = Publisher::new("e2");
    let server = TestServer::start(&publisher.results).await;
    // A history that the server keeps, and has not opened yet.
    let ask = "SELECT COUNT(*) FROM orders";
    let body = json!({ "sql": ask }).to_string();
    let told = post(server.bound.http, "/api/sql", &[], &body).await;
    assert_eq!(
        (told.status, told.header("retry-after").as_deref()),
        (503, Some("1")),
        "{}",
        told.text()
    );
    assert_eq!(told.json()["error"]["code"], "restoring");
    let mut driver = Driver::connect(&server).await;
    let told = driver.simple(ask).await.expect_err("not yet");
    assert!(told.contains("57P03") && told.contains("being restored"), "{told}");
    let mut publisher = publisher;
    publisher.histories.insert("orders".to_owned(), orders());
    publisher.day(400).publish();
    assert_eq!(driver.simple(ask).await.expect("is there"), [["4"]]);
    let unknown = driver.simple("SELECT COUNT(*) FROM gmv_dya").await.expect_err("is none");
    assert!(unknown.contains("gmv_dya") && unknown.contains("not found"), "{unknown}");
}
