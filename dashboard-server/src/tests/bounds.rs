//! What a query may ask of parser, planner, functions and threads, at the bounds and past them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Reply, post};
use super::fixture::{Publisher, TestServer, Wishes};
use super::postgres::Driver;

async fn ask(server: &TestServer, sql: &str) -> Reply {
    post(server.bound.http, "/api/sql", &[], &json!({ "sql": sql }).to_string()).await
}

async fn server() -> TestServer {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).day(400).publish();
    TestServer::start(&publisher.results).await
}

fn code(reply: &Reply) -> Value {
    reply.json()["error"]["code"].clone()
}

/// Statements that grow a tree by `n` levels, each by another way.
fn shapes(n: usize) -> Vec<(&'static str, String)> {
    let chain = |one: &str, by: &str| vec![one; n + 1].join(by);
    vec![
        ("+", format!("SELECT {}", chain("1", "+"))),
        ("+ on a column", format!("SELECT {} FROM gmv_day", chain("orders", "+"))),
        ("AND", format!("SELECT 1 FROM gmv_day WHERE {}", chain("true", " AND "))),
        ("OR", format!("SELECT 1 FROM gmv_day WHERE {}", chain("_revision > 1", " OR "))),
        ("||", format!("SELECT {} FROM gmv_day", chain("_mark", "||"))),
        (
            "CASE",
            format!("SELECT CASE {} END FROM gmv_day", "WHEN orders = 1 THEN 2 ".repeat(n / 2)),
        ),
        ("UNION", chain("SELECT 1", " UNION ALL ")),
    ]
}

/// Statements that are nested `n` deep.
fn nests(n: usize) -> Vec<(&'static str, String)> {
    let wrap = |before: &str, inside: &str, after: &str| {
        format!("{}{inside}{}", before.repeat(n), after.repeat(n))
    };
    vec![
        ("parentheses", format!("SELECT {}", wrap("(", "1", ")"))),
        ("NOT NOT", format!("SELECT {}", wrap("NOT ", "true", ""))),
        ("signs", format!("SELECT {}", wrap("- ", "1", ""))),
        ("functions", format!("SELECT {}", wrap("abs(", "1", ")"))),
        ("subqueries", wrap("SELECT * FROM (", "SELECT 1", ") x")),
        ("CASE in CASE", format!("SELECT {}", wrap("CASE WHEN true THEN ", "1", " END"))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_too_large_is_refused_and_the_server_lives() {
    let server = server().await;
    for n in [2_100, 20_000] {
        for (name, sql) in shapes(n).into_iter().chain(nests(n)) {
            let reply = ask(&server, &sql).await;
            assert_eq!((reply.status, code(&reply)), (400, json!("sql_too_large")), "{name} {n}");
        }
    }
    let long = format!("SELECT '{}'", "x".repeat(600_000));
    assert_eq!(code(&ask(&server, &long).await), "sql_too_large");
    assert_eq!(ask(&server, "SELECT 1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_just_within_the_bounds_has_an_answer() {
    let server = server().await;
    // A term of OR has its own comparison, a branch of CASE too.
    for (name, sql) in shapes(990).into_iter().chain(nests(12)) {
        let begun = Instant::now();
        let reply = ask(&server, &sql).await;
        let refused_by_the_row = code_if_refused(&reply) == Some(json!("sql_row_too_large"));
        let fine = reply.status == 200 || (name == "||" && refused_by_the_row);
        assert!(
            fine,
            "{name}: {} {}",
            reply.status,
            reply.text().chars().take(300).collect::<String>()
        );
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
    }
    let plus = vec!["1"; 2_000].join("+");
    assert_eq!(ask(&server, &format!("SELECT {plus}")).await.json()["rows"], json!([[2_000]]));
    let values: Vec<String> = (0..10_000).map(|n| format!("'customer-{n}'")).collect();
    let list = format!(
        "SELECT count(*) FROM gmv_by_province WHERE province NOT IN ({})",
        values.join(",")
    );
    assert_eq!(ask(&server, &list).await.json()["rows"], json!([[2]]));
}

fn code_if_refused(reply: &Reply) -> Option<Value> {
    (reply.status != 200).then(|| code(reply))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_postgres_door_has_the_same_bounds_simple_and_prepared() {
    let server = server().await;
    let mut driver = Driver::connect(&server).await;
    for n in [2_100, 20_000] {
        for (name, sql) in shapes(n).into_iter().chain(nests(n)) {
            let refused = driver.simple(&sql).await.expect_err(name);
            assert!(refused.contains("54001"), "{name}: {refused}");
            let refused = driver.prepare(&sql).await.expect_err(name);
            assert!(refused.contains("54001"), "{name}: {refused}");
        }
    }
    let plus = format!("SELECT {} AS n", vec!["1"; 2_000].join("+"));
    assert_eq!(driver.simple(&plus).await.expect("is within the bounds"), [["2000"]]);
    let bomb = "SELECT replace(lpad('a',1000,'a'),'a',lpad('b',1000,'b'))";
    let refused = driver.simple(bomb).await.expect_err("is too large");
    assert!(refused.contains("sql.row-bytes-max"), "{refused}");
    assert_eq!(driver.simple("SELECT 'a' || 'b' || 1").await.expect("joins"), [["ab1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_with_that_doubles_is_refused_at_both_doors() {
    let server = server().await;
    let mut text = "WITH c0 AS (SELECT orders AS x FROM gmv_day)".to_owned();
    for n in 1..24 {
        text += &format!(", c{n} AS (SELECT a.x FROM c{0} a, c{0} b)", n - 1);
    }
    text += " SELECT count(*) FROM c23";
    let reply = ask(&server, &text).await;
    assert_eq!(code(&reply), "sql_too_large", "{}", reply.text());
    let mut driver = Driver::connect(&server).await;
    assert!(driver.simple(&text).await.expect_err("doubles").contains("54001"));
    assert!(driver.prepare(&text).await.expect_err("doubles").contains("54001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_columns_that_doubles_is_refused_at_both_doors() {
    let server = server().await;
    let mut text = "WITH c0 AS (SELECT orders AS a FROM gmv_day)".to_owned();
    for n in 1..40 {
        text += &format!(", c{n} AS (SELECT a + a AS a FROM c{})", n - 1);
    }
    text += " SELECT a FROM c39 WHERE a > 0";
    let reply = ask(&server, &text).await;
    assert_eq!(code(&reply), "sql_too_large", "{}", reply.text());
    let mut driver = Driver::connect(&server).await;
    assert!(driver.simple(&text).await.expect_err("doubles").contains("54001"));
    assert!(driver.prepare(&text).await.expect_err("doubles").contains("54001"));
    let short = "WITH a AS (SELECT orders + 1 AS n FROM gmv_day), b AS (SELECT n + n AS n FROM a) \
                 SELECT n FROM b WHERE n > 0";
    assert_eq!(ask(&server, short).await.json()["rows"], json!([[16]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_make_much_out_of_little_are_refused_before_they_work() {
    let server = server().await;
    let a = "lpad('a',20000,'a')";
    for sql in [
        "SELECT replace(replace(replace(lpad('a',1000,'a'),'a',lpad('b',1000,'b')),'b',lpad('c',1000,'c')),'c',lpad('d',1000,'d'))".to_owned(),
        format!("SELECT replace({a}, '', {a})"),
        format!("SELECT regexp_replace({a}, 'a', {a}, 'g')"),
        format!("SELECT regexp_match({a}, '{}a*{}')", "(".repeat(40), ")".repeat(40)),
        format!("SELECT array_to_string(string_to_array({a}, 'a'), {a})"),
        format!("SELECT concat_ws({a},{})", vec!["''"; 20].join(",")),
        format!("SELECT concat({})", vec![a; 20].join(",")),
        format!("SELECT {}", vec![a; 20].join(" || ")),
        format!("SELECT translate({a} || {a}, 'a', '墙')"),
        format!("SELECT array_replace(string_to_array({a}, 'a'), '', {a})"),
        format!("SELECT to_char(now(), {a})"),
        format!("SELECT levenshtein({a}, {a})"),
        format!("SELECT make_array({})", vec![a; 20].join(",")),
        "SELECT lpad('x', 2000000000)".to_owned(),
        "SELECT rpad('x', orders * 1000000) FROM gmv_day".to_owned(),
        // Doubling through a chain of names, where every step is small.
        "WITH a AS (SELECT lpad('x', 9000, 'x') s), b AS (SELECT s||s||s||s s FROM a), \
         c AS (SELECT s||s||s||s s FROM b), d AS (SELECT s||s||s||s s FROM c) SELECT length(s) FROM d".to_owned(),
        // One value in every row of a join, and one value of all rows.
        "SELECT count(s) FROM (SELECT string_agg(lpad('x', 1000, 'x'), ',') s FROM generate_series(1, 1000)) a, \
         generate_series(1, 1000000) b".to_owned(),
    ] {
        let begun = Instant::now();
        let reply = ask(&server, &sql).await;
        let short: String = sql.chars().take(90).collect();
        assert_eq!((reply.status, code(&reply)), (422, json!("sql_row_too_large")), "{short}: {}", reply.text());
        assert!(begun.elapsed() < Duration::from_secs(10), "{short}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_functions_make_counts_as_the_memory_of_the_query() {
    let server = server().await;
    let wide: Vec<String> =
        (0..40).map(|n| format!("lpad(value::text, {}, 'x') AS c{n}", 20_000 + n)).collect();
    let sql = format!("SELECT {} FROM generate_series(1, 100000)", wide.join(", "));
    let reply = ask(&server, &sql).await;
    assert_eq!((reply.status, code(&reply)), (422, json!("sql_memory")), "{}", reply.text());
    // What is dropped is given back: far more than the bound passes through in small batches.
    let sql = "SELECT sum(length(lpad(value::text, 1000, 'x'))) FROM generate_series(1, 1000000)";
    assert_eq!(ask(&server, sql).await.json()["rows"], json!([[1_000_000_000]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_within_the_bounds_say_what_they_always_said() {
    let server = server().await;
    for (sql, rows) in [
        (
            "SELECT 'a' || 'b', 'a' || NULL, 1 || 'x', concat('a', NULL, 1)",
            json!([["ab", null, "1x", "a1"]]),
        ),
        ("SELECT province || '!' FROM gmv_by_province ORDER BY 1", json!([["广东!"], ["浙江!"]])),
        (
            "SELECT lpad('7', 3, '0'), rpad('ab', 1), replace('aXbX', 'X', '--')",
            json!([["007", "a", "a--b--"]]),
        ),
        (
            "SELECT regexp_replace('2020-11-11', '-', '', 'g'), upper('straße')",
            json!([["20201111", "STRASSE"]]),
        ),
        (
            "SELECT array_to_string(make_array(1, 2, 3), '+'), levenshtein('kitten', 'sitting')",
            json!([["1+2+3", 3]]),
        ),
        (
            "SELECT string_agg(province, ',' ORDER BY province) FROM gmv_by_province",
            json!([["广东,浙江"]]),
        ),
        (
            "SELECT concat_ws('-', 'a', 'b'), split_part('a-b', '-', 2), translate('abc', 'b', 'x')",
            json!([["a-b", "b", "axc"]]),
        ),
        (
            "SELECT substring('abcdef' FROM 2 FOR 3), overlay('abc' PLACING 'X' FROM 2)",
            json!([["bcd", "aXc"]]),
        ),
    ] {
        let reply = ask(&server, sql).await;
        assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
        assert_eq!(reply.json()["rows"], rows, "{sql}");
    }
    let named = ask(&server, "SELECT _mark || '!' FROM gmv_day").await.json();
    assert!(named["columns"][0]["name"].as_str().expect("a name").contains("||"), "{named}");
}

/// A function that works for hours on one batch.
const BURNING: &str = "SELECT sum(levenshtein(lpad(value::text, 5000, 'ab'), lpad('y', 5000, 'ba'))) \
                       FROM generate_series(1, 1000000)";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_past_its_time_burns_nothing_afterwards() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let mut wishes = Wishes::default();
    (wishes.raw.sql.seconds_max, wishes.raw.sql.concurrent_max, wishes.raw.sql.threads) = (1, 1, 1);
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let begun = Instant::now();
    assert_eq!(code(&ask(&server, BURNING).await), "sql_timeout");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    // There is one turn, and it is free only when the work has ended.
    assert_eq!(ask(&server, "SELECT 1").await.status, 200);
    let mut driver = Driver::connect(&server).await;
    let stopped = driver.simple(BURNING).await.expect_err("takes too long");
    assert!(stopped.contains("57014"), "{stopped}");
    assert_eq!(ask(&server, "SELECT 1").await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_client_has_gone_stops_within_a_batch() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let mut wishes = Wishes::default();
    (wishes.raw.sql.concurrent_max, wishes.raw.sql.threads) = (1, 1);
    let server = Arc::new(TestServer::start_with(&publisher.results, wishes).await);
    let asking = {
        let server = Arc::clone(&server);
        tokio::spawn(async move { ask(&server, BURNING).await })
    };
    // It has begun when nobody else has a turn.
    while ask(&server, "SELECT 1").await.status == 200 {}
    asking.abort();
    let begun = Instant::now();
    while ask(&server, "SELECT 1").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(8), "it still burns");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_that_keep_many_values_to_themselves_are_no_wide_rows() {
    let server = server().await;
    let sql = "SELECT median(value), count(DISTINCT value), count(DISTINCT value % 30000) \
               FROM generate_series(1, 100000)";
    let reply = ask(&server, sql).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["rows"][0][1], json!(100_000));
}
