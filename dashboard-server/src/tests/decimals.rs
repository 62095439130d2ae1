//! Decimals of any two scales, compared at every door as exactly as they are.

use serde_json::json;

use super::client::post;
use super::fixture::{Publisher, TestServer};
use super::flight;
use super::postgres::Driver;

/// 38 digits, none of them behind the point, and as many behind it.
const WHOLE: &str = "CAST('99999999999999999999999999999999999999' AS DECIMAL(38, 0))";
const TINY: &str = "CAST('0.00000000000000000000000000000000000001' AS DECIMAL(38, 38))";
/// An amount with as many digits as one may have, and the same with one more digit behind the point.
const AMOUNT: &str = "CAST('999999999999999999999999999999999999.25' AS DECIMAL(38, 2))";
const SAME: &str = "999999999999999999999999999999999999.250";
const MORE: &str = "999999999999999999999999999999999999.251";

/// Conditions, and whether they hold.
fn conditions() -> Vec<(String, bool)> {
    let one = |text: String, holds| (text, holds);
    let mut all = vec![
        one(format!("{WHOLE} > {TINY}"), true),
        one(format!("{WHOLE} <= {TINY}"), false),
        one(format!("{WHOLE} IS DISTINCT FROM {TINY}"), true),
        one(format!("{AMOUNT} = {SAME}"), true),
        one(format!("{AMOUNT} <> {SAME}"), false),
        one(format!("{AMOUNT} < {MORE}"), true),
        one(format!("{AMOUNT} IN (0.001, {SAME})"), true),
        one(format!("{AMOUNT} NOT IN (0.001, {MORE})"), true),
        one(format!("{AMOUNT} BETWEEN {SAME} AND {MORE}"), true),
        one(format!("{AMOUNT} BETWEEN 0.001 AND 0.002"), false),
        one(format!("CASE {AMOUNT} WHEN {MORE} THEN false WHEN {SAME} THEN true END"), true),
        one(format!("{AMOUNT} IN (SELECT x FROM (VALUES (0.001), ({SAME})) AS t(x))"), true),
        one(format!("NULLIF({AMOUNT}, {SAME}) IS NULL"), true),
        one(format!("GREATEST({AMOUNT}, {MORE}) = {MORE}"), true),
        // A whole number beside as many digits behind a point as there can be.
        one(format!("CAST(9223372036854775807 AS BIGINT) > {TINY}"), true),
        one(format!("{TINY} < 1"), true),
    ];
    let joined = ["a.x = b.y", "a.x >= b.y AND a.x <= b.y", "a.x IS NOT DISTINCT FROM b.y"];
    all.extend(joined.map(|on| {
        let text = format!(
            "(SELECT COUNT(*) FROM (VALUES ({AMOUNT}), (1.25)) AS a(x) JOIN (VALUES ({SAME}), ({MORE})) AS b(y) ON {on}) = 1"
        );
        one(text, true)
    }));
    let using = format!(
        "(SELECT COUNT(*) FROM (SELECT {AMOUNT} AS x) AS a JOIN (SELECT {SAME} AS x) AS b USING (x)) = 1"
    );
    all.push(one(using, true));
    all
}

/// Questions of the published amounts, 1.50 and 2.50, and how many rows are found.
const FOUND: [(&str, &str); 9] = [
    ("gmv <> round(gmv, 0)", "2"),
    ("gmv = round(gmv, 1)", "2"),
    ("gmv <> round(gmv, 1 - 1)", "2"),
    ("gmv > round(gmv, -1)", "2"),
    ("round(gmv) = 2", "1"),
    ("trunc(gmv, 0) <> gmv", "2"),
    ("gmv IN (round(gmv, 2), 7)", "2"),
    ("gmv < 1.5000000000000000000000000000000000001", "1"),
    ("CASE round(gmv, 0) WHEN gmv THEN false ELSE true END", "2"),
];

#[tokio::test(flavor = "multi_thread")]
async fn decimals_of_two_scales_are_compared_to_their_last_digit_at_every_door() {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).day(400).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut driver = Driver::connect(&server).await;
    let mut client = flight::client(&server).await;
    let asked = conditions().into_iter().map(|(condition, holds)| {
        let told = if holds { "1" } else { "0" };
        (format!("SELECT COUNT(*) FROM gmv_day WHERE {condition}"), told)
    });
    let found = FOUND.iter().map(|(condition, told)| {
        (format!("SELECT COUNT(*) FROM gmv_by_province WHERE {condition}"), *told)
    });
    for (sql, told) in asked.chain(found) {
        let body = json!({ "sql": sql }).to_string();
        let reply = post(server.bound.http, "/api/sql", &[], &body).await;
        let count: i64 = told.parse().expect("a number");
        assert_eq!(reply.json()["rows"], json!([[count]]), "{sql}: {}", reply.text());
        let rows = driver.simple(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(rows, [[told]], "{sql}");
        driver.prepare(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(driver.execute().await.expect(&sql), [[told]], "{sql}");
        let rows = flight::ask(&mut client, &sql).await.expect(&sql);
        assert_eq!(flight::told(&rows), [[told]], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_decimal_has_room_for_is_refused() {
    let publisher = Publisher::new("e1");
    let server = TestServer::start(&publisher.results).await;
    let sql = "SELECT CAST('1' AS DECIMAL(76, 0)) = CAST('0.1' AS DECIMAL(38, 38))";
    let body = json!({ "sql": sql }).to_string();
    let reply = post(server.bound.http, "/api/sql", &[], &body).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(reply.text().contains("Decimal256(76, 0) = Decimal128(38, 38)"), "{}", reply.text());
}
