//! What each role may use and is shown, at all three doors.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::MemTable;
use serde_json::{Value, json};
use tidemark_pipeline::ledger::{Change, Entry, EntryId, LedgerKind, LedgerStore};
use tidemark_pipeline::model::Zone;

use super::client::{PATIENCE, Reply, Socket, post, send};
use super::fixture::{DAY, PROVINCE, Publisher, TestServer, Wishes};
use super::postgres::Driver;
use super::users::{session, shown, socket_of, wishes};
use super::{flight, users};
use crate::config::RawRole;
use crate::sql::Known;

const ENDLESS: &str = "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a(value), \
                       generate_series(1, 1000000) b(value)";
const HUNGRY: &str = "SELECT count(*) FROM (SELECT value * 7919 % 1000003 AS k FROM generate_series(1, 1000000) GROUP BY 1) AS t";
/// Provinces, each with its buyers' ids; a zero is where a division would tell.
const BUYERS: [(&str, &str, i64); 4] =
    [("浙江", "b-1", 1), ("浙江", "b-2", 2), ("广东", "b-1", 0), ("广东", "b-3", 4)];

fn publisher() -> Publisher {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).day(400).publish();
    publisher
}

fn table(name: &str) -> (String, Arc<MemTable>) {
    let schema = Arc::new(Schema::new(vec![
        Field::new("province", DataType::Utf8, false),
        Field::new("buyer_id", DataType::Utf8, false),
        Field::new("amount", DataType::Int64, false),
    ]));
    let provinces: StringArray = BUYERS.iter().map(|row| Some(row.0)).collect();
    let buyers: StringArray = BUYERS.iter().map(|row| Some(row.1)).collect();
    let amounts: Int64Array = BUYERS.iter().map(|row| row.2).collect();
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(provinces), Arc::new(buyers), Arc::new(amounts)];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("fits");
    (name.to_owned(), Arc::new(MemTable::try_new(schema, vec![vec![batch]]).expect("fits")))
}

/// Two tables of orders with a buyer in each row, whose ids are personal.
fn with_orders(wishes: &mut Wishes, publisher: &Publisher) {
    let mut known = Known::of_results(&publisher.results);
    for name in ["orders", "visits"] {
        let (name, table) = table(name);
        let schema = datafusion::catalog::TableProvider::schema(table.as_ref());
        known = known.with_table(&name, schema).with_personal(&name, "buyer_id");
        wishes.reference.push((name, table));
    }
    wishes.known = Some(known);
}

fn role(wishes: &mut Wishes, name: &str, role: RawRole) {
    wishes.raw.sql.roles.insert(name.to_owned(), role);
}

async fn ask(server: &TestServer, who: &str, sql: &str) -> Reply {
    let key = shown(who);
    let body = json!({ "sql": sql }).to_string();
    post(server.bound.http, "/api/sql", &[("Authorization", &key)], &body).await
}

async fn rows(server: &TestServer, who: &str, sql: &str) -> Value {
    let reply = ask(server, who, sql).await;
    assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
    reply.json()["rows"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_a_role_is_told_with_its_key_and_role_at_all_three_doors() {
    let publisher = publisher();
    let mut wishes = wishes();
    let (rows_max, seconds_max, memory_bytes_max) = (Some(5), Some(1), Some(8_388_608));
    role(
        &mut wishes,
        "analyst",
        RawRole { rows_max, seconds_max, memory_bytes_max, ..RawRole::default() },
    );
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let six = "SELECT value FROM generate_series(1, 6)";
    let key = |key: &str| format!("sql.roles.analyst.{key}, the limit of role analyst");
    let http = ask(&server, "analyst", six).await;
    assert_eq!(http.json()["rows"].as_array().map(Vec::len), Some(5));
    assert_eq!(http.header("x-tidemark-limit"), Some(key("rows-max")));
    for (sql, limit) in [(ENDLESS, "seconds-max"), (HUNGRY, "memory-bytes-max")] {
        let http = ask(&server, "analyst", sql).await;
        assert!(http.text().contains(&key(limit)), "{}", http.text());
    }
    let mut driver = Driver::connect_with(&server, "analyst.sesame").await.expect("is let in");
    for (sql, limit) in [(six, "rows-max"), (ENDLESS, "seconds-max"), (HUNGRY, "memory-bytes-max")]
    {
        let told = driver.simple(sql).await.expect_err("is over a limit");
        assert!(told.contains(&key(limit)), "PostgreSQL: {told}");
        let told = flight::ask_as(&server, "analyst", sql).await.expect_err("is over a limit");
        assert!(told.contains(&key(limit)), "Flight SQL: {told}");
    }
    // Whoever has no limits of its own has those of everybody.
    assert_eq!(rows(&server, "admin", six).await.as_array().map(Vec::len), Some(6));
    assert_eq!(ask(&server, "admin", HUNGRY).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_takes_all_its_turns_leaves_the_others_theirs() {
    let publisher = publisher();
    let mut wishes = wishes();
    wishes.raw.sql.concurrent_max = 3;
    role(&mut wishes, "analyst", RawRole { concurrent_max: Some(1), ..RawRole::default() });
    let server = Arc::new(TestServer::start_with(&publisher.results, wishes).await);
    let busy = {
        let server = Arc::clone(&server);
        tokio::spawn(async move { ask(&server, "analyst", ENDLESS).await })
    };
    let refused = async {
        loop {
            let reply = ask(&server, "asker", "SELECT 1").await;
            if reply.status != 200 {
                return reply;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.expect("in time");
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("sql.roles.analyst.concurrent-max"), "{}", refused.text());
    assert_eq!(rows(&server, "operator", "SELECT 1").await, json!([[1]]));
    busy.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_a_role_may_not_ask_is_not_there() {
    let publisher = publisher();
    let mut wishes = wishes();
    with_orders(&mut wishes, &publisher);
    let tables = Some(vec!["gmv_*".to_owned(), "orders".to_owned(), "late_orders".to_owned()]);
    let tables_refused = vec![PROVINCE.to_owned()];
    role(&mut wishes, "analyst", RawRole { tables, tables_refused, ..RawRole::default() });
    let server = TestServer::start_with(&publisher.results, wishes).await;
    for gone in [PROVINCE, "visits"] {
        let reply = ask(&server, "analyst", &format!("SELECT * FROM {gone}")).await;
        assert_eq!((reply.status, reply.text().contains("not found")), (400, true), "{gone}");
        let listed =
            format!("SELECT count(*) FROM information_schema.columns WHERE table_name = '{gone}'");
        assert_eq!(rows(&server, "analyst", &listed).await, json!([[0]]), "{gone}");
        assert_ne!(rows(&server, "admin", &listed).await, json!([[0]]), "{gone}");
    }
    assert_eq!(rows(&server, "analyst", "SELECT count(*) FROM orders").await, json!([[4]]));
    assert_eq!(
        rows(&server, "analyst", "SELECT view FROM current_views").await,
        json!([[DAY]]),
        "what tells of all views tells of those"
    );
    let mut driver = Driver::connect_with(&server, "analyst.sesame").await.expect("is let in");
    assert!(driver.simple(&format!("SELECT * FROM {PROVINCE}")).await.is_err());
    assert!(flight::ask_as(&server, "analyst", "SELECT * FROM visits").await.is_err());
    // Nor is a view on the wall and where views are listed.
    let key = shown("analyst");
    let headers = [("Authorization", key.as_str())];
    let at = server.bound.http;
    for (what, status) in [
        (format!("GET /api/views/{DAY}"), 200),
        (format!("GET /api/views/{PROVINCE}"), 404),
        (format!("GET /api/headline/{PROVINCE}"), 404),
        (format!("GET /api/events?views={PROVINCE}"), 404),
    ] {
        assert_eq!(send(at, &what, &headers, b"").await.status, status, "{what}");
    }
    let (mut socket, hello) = socket_of(&server, &session(&server, "analyst").await).await;
    assert_eq!(hello["views"], json!([DAY]));
    socket.say(&json!({"type": "subscribe", "views": [PROVINCE]}).to_string()).await;
    assert_eq!(socket.expect("error").await["code"], "unknown_view");
    let lite = send(at, "GET /lite?views", &headers, b"").await.text();
    assert!(lite.contains(DAY) && !lite.contains(PROVINCE), "{lite}");
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_are_hashed_for_analysts_so_that_joins_and_counts_are_right_and_nobody_is_seen() {
    let publisher = publisher();
    let mut wishes = wishes();
    with_orders(&mut wishes, &publisher);
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let clear = "SELECT buyer_id FROM orders ORDER BY amount";
    assert_eq!(
        rows(&server, "operator", clear).await,
        json!([["b-1"], ["b-1"], ["b-2"], ["b-3"]]),
        "who runs the server sees what is in it"
    );
    let hashed = rows(&server, "analyst", clear).await;
    assert_eq!((&hashed[0], hashed[0][0].as_str().map(str::len)), (&hashed[1], Some(32)));
    for (sql, told) in [
        ("SELECT count(DISTINCT buyer_id) FROM orders", json!([[3]])),
        ("SELECT count(*) FROM orders o JOIN visits v ON o.buyer_id = v.buyer_id", json!([[6]])),
        ("SELECT count(*) FROM orders WHERE buyer_id = 'b-1'", json!([[0]])),
        ("SELECT count(*) FROM orders o WHERE o.buyer_id LIKE 'b-%'", json!([[0]])),
        ("SELECT count(*) FROM orders WHERE buyer_id IN ('b-1', 'b-2')", json!([[0]])),
    ] {
        assert_eq!(rows(&server, "analyst", sql).await, told, "{sql}");
    }
    let hostile = [
        "SELECT * FROM orders",
        "SELECT o.buyer_id AS x FROM orders AS o",
        "WITH t AS (SELECT buyer_id b FROM orders) SELECT b || '' FROM t",
        "SELECT (SELECT min(buyer_id) FROM orders)",
        "SELECT array_agg(buyer_id) FROM orders",
        "SELECT buyer_id FROM orders UNION SELECT buyer_id FROM visits",
        "SELECT CASE WHEN buyer_id LIKE 'b%' THEN 'b-' ELSE 'x' END FROM orders",
        "SELECT orders.* FROM orders JOIN visits USING (buyer_id)",
        "EXPLAIN SELECT * FROM orders WHERE buyer_id > 'a'",
        "EXPLAIN ANALYZE VERBOSE SELECT * FROM orders",
        "SELECT CAST(1 / (CASE WHEN starts_with(buyer_id, 'b-') THEN 0 ELSE 1 END) AS INT) FROM orders",
    ];
    for sql in hostile {
        let http = ask(&server, "analyst", sql).await.text();
        assert!(!http.contains("b-1") && !http.contains("b-\""), "{sql}: {http}");
        assert!(!http.to_lowercase().contains("zero"), "{sql}: {http}");
        if let Ok(rows) = flight::ask_as(&server, "analyst", sql).await {
            assert!(!format!("{rows:?}").contains("b-1"), "{sql}: {rows:?}");
        }
    }
    let mut driver = Driver::connect_with(&server, "analyst.sesame").await.expect("is let in");
    let told = format!("{:?}", driver.simple("SELECT * FROM orders").await.expect("runs"));
    assert!(
        !told.contains("b-1") && told.contains(hashed[0][0].as_str().expect("a hash")),
        "{told}"
    );
    let plain = "SELECT masked('b-1'), hash('b-1')";
    assert_eq!(ask(&server, "analyst", plain).await.status, 400, "nobody hashes a list of buyers");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_reads_in_the_ledgers_what_happened_and_not_the_record_it_happened_to() {
    let publisher = publisher();
    let folder = tempfile::tempdir().expect("a folder");
    let store = LedgerStore::open(folder.path()).expect("opens");
    let letter = |stream: &str, offset| {
        let (stream, part) = (stream.to_owned(), String::new());
        let id = EntryId { stream, partition: 0, offset, part };
        let entry = Entry {
            raw: b"{\"buyer_id\":\"b-1\"".to_vec(),
            kind: "bad-value".to_owned(),
            reason: "\"b-1\" is not a DECIMAL for `amount`".to_owned(),
            ..Entry::about(id, "orders")
        };
        Change::Begins(LedgerKind::DeadLetter, Box::new(entry))
    };
    store.apply("live", &[letter("orders", 7), letter("orders", 8)]).expect("written");
    publisher.results.set_ledgers(store, Zone::UTC);
    let mut wishes = wishes();
    with_orders(&mut wishes, &publisher);
    let masks = BTreeMap::from([("raw_bytes".to_owned(), "null".to_owned())]);
    let masks = BTreeMap::from([("dead_letters".to_owned(), masks)]);
    let known = wishes.known.take().expect("given");
    wishes.known = Some(known.with_table(
        "dead_letters",
        tidemark_pipeline::ledger::table::schema(LedgerKind::DeadLetter, Zone::UTC),
    ));
    role(&mut wishes, "operator", RawRole { masks, ..RawRole::default() });
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let sql = "SELECT \"offset\", kind, reason, raw FROM dead_letters ORDER BY \"offset\" LIMIT 1";
    let hidden = "(hidden: the stream has personal columns)";
    assert_eq!(rows(&server, "analyst", sql).await, json!([[7, "bad-value", "bad-value", hidden]]));
    let clear = rows(&server, "admin", sql).await;
    assert!(clear[0][3].as_str().expect("raw").contains("b-1"), "{clear}");
    let found = "SELECT count(*) FROM dead_letters WHERE raw LIKE '%b-1%' OR reason LIKE '%b-1%'";
    assert_eq!(rows(&server, "analyst", found).await, json!([[0]]));
    assert_eq!(rows(&server, "admin", found).await, json!([[2]]));
    let at = server.bound.http;
    let list = async |who: &str, asked: &str| {
        let key = shown(who);
        let what = format!("GET /api/ledgers/dead_letters{asked}");
        send(at, &what, &[("Authorization", &key)], b"").await
    };
    let lines = list("analyst", "").await.text();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains(hidden) && !lines.contains("b-1"), "{lines}");
    assert_eq!(
        list("analyst", "?reason=b-1").await.text(),
        "",
        "nothing is found by what is hidden"
    );
    assert!(list("admin", "?reason=b-1").await.text().contains("b-1"));
    let refused = list("operator", "").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("read it with SQL"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_role_is_not_shown_are_told_by_nothing() {
    let publisher = publisher();
    let mut wishes = wishes();
    with_orders(&mut wishes, &publisher);
    let filters = BTreeMap::from([("orders".to_owned(), "province = '浙江'".to_owned())]);
    let masks = BTreeMap::from([(
        "orders".to_owned(),
        BTreeMap::from([
            ("buyer_id".to_owned(), "'***' || right(buyer_id, 1)".to_owned()),
            ("amount".to_owned(), "null".to_owned()),
        ]),
    )]);
    role(&mut wishes, "analyst", RawRole { filters, masks, ..RawRole::default() });
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let all = "SELECT * FROM orders ORDER BY buyer_id";
    let two = json!([["浙江", "***1", null], ["浙江", "***2", null]]);
    assert_eq!(rows(&server, "analyst", all).await, two);
    for (sql, told) in [
        ("SELECT count(*) FROM orders", json!([[2]])),
        ("SELECT count(*) FROM orders WHERE province = '广东'", json!([[0]])),
        ("SELECT DISTINCT province FROM orders WHERE province <> 'x'", json!([["浙江"]])),
        ("SELECT count(*) FROM orders o, visits v WHERE o.province = v.province", json!([[4]])),
        ("SELECT sum(amount) FROM orders", json!([[null]])),
    ] {
        assert_eq!(rows(&server, "analyst", sql).await, told, "{sql}");
    }
    // An error on a row that is not shown would tell of it; it is above the rows that are.
    let zero =
        "SELECT count(*) FROM orders WHERE 10 / (CASE province WHEN '广东' THEN 0 ELSE 1 END) > 1";
    assert_eq!(rows(&server, "analyst", zero).await, json!([[2]]));
    assert_ne!(ask(&server, "admin", zero).await.status, 200, "it fails where the rows are shown");
    for sql in ["EXPLAIN SELECT * FROM orders", "EXPLAIN ANALYZE SELECT count(*) FROM orders"] {
        let plan = rows(&server, "analyst", sql).await.to_string();
        assert!(plan.contains("GuardedExec"), "{plan}");
        for secret in ["浙江", "right", "FilterExec", "output_rows=4"] {
            assert!(!plan.contains(secret), "{secret}: {plan}");
        }
    }
    let mut driver = Driver::connect_with(&server, "analyst.sesame").await.expect("is let in");
    let shown_whole = "SELECT province, buyer_id FROM orders";
    let told = format!("{:?}", driver.simple(shown_whole).await.expect("runs"));
    assert!(told.contains("***2") && !told.contains("广东"), "{told}");
    let told = flight::ask_as(&server, "analyst", "SELECT province FROM orders").await;
    assert_eq!(told.expect("runs"), [["浙江"], ["浙江"]]);
    // The other table is another one, and so is what another role is shown.
    assert_eq!(rows(&server, "analyst", "SELECT count(*) FROM visits").await, json!([[4]]));
    assert_eq!(rows(&server, "operator", "SELECT count(*) FROM orders").await, json!([[4]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_shown_in_part_is_so_in_sql_and_nowhere_else() {
    let publisher = publisher();
    let mut wishes = wishes();
    let filters = BTreeMap::from([(PROVINCE.to_owned(), "province = '浙江'".to_owned())]);
    role(&mut wishes, "analyst", RawRole { filters, ..RawRole::default() });
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let sql = format!("SELECT province, gmv FROM {PROVINCE}");
    assert_eq!(rows(&server, "analyst", &sql).await, json!([["浙江", "1.50"]]));
    let shadow = format!("SELECT count(*) FROM shadow.{PROVINCE}");
    assert_eq!(rows(&server, "analyst", &shadow).await, json!([[0]]), "the same in both spaces");
    let at = server.bound.http;
    let path = format!("GET /api/views/{PROVINCE}");
    for (who, status) in [("analyst", 404), ("viewer", 200), ("admin", 200)] {
        let key = shown(who);
        let reply = send(at, &path, &[("Authorization", &key)], b"").await;
        assert_eq!(reply.status, status, "{who}");
    }
    let key = shown("analyst");
    let mut socket = Socket::open_as(at, &[("authorization", &key)]).await.expect("is let in");
    assert_eq!(socket.expect("hello").await["views"], json!([DAY]));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_role_is_shown_something_else_what_its_users_have_open_is_closed() {
    let publisher = publisher();
    let mut wishes = wishes();
    with_orders(&mut wishes, &publisher);
    let known = wishes.known.clone().expect("given");
    let (server, mut raw) = {
        let raw = wishes.raw.clone();
        (TestServer::start_with(&publisher.results, wishes).await, raw)
    };
    let mut driver = Driver::connect_with(&server, "analyst.sesame").await.expect("is let in");
    let mut other = Driver::connect_with(&server, "operator.sesame").await.expect("is let in");
    let masks = BTreeMap::from([("buyer_id".to_owned(), "null".to_owned())]);
    let masks = BTreeMap::from([("orders".to_owned(), masks)]);
    raw.sql.roles.insert("analyst".to_owned(), RawRole { masks, ..RawRole::default() });
    users::renew(&server, raw, &known);
    let last = driver.last_words().await;
    assert!(last.contains("57P01") && last.contains("connect again"), "the connection: {last}");
    assert!(other.simple("SELECT 1").await.is_ok(), "the other role is as it was");
    assert_eq!(
        rows(&server, "analyst", "SELECT DISTINCT buyer_id FROM orders").await,
        json!([[null]])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_view_with_masks_come_in_an_order_that_says_nothing_of_what_is_masked() {
    let mut publisher = Publisher::new("e1");
    // A view has its rows in the order of its keys, and here that is also the order of falling amounts.
    for nth in 0..40_i128 {
        publisher.province(&format!("p{nth:02}"), 9_000 - 100 * nth);
    }
    publisher.day(400).publish();
    let mut wishes = wishes();
    for (name, mask) in [("analyst", "hash"), ("operator", "null")] {
        let masks = BTreeMap::from([("province".to_owned(), mask.to_owned())]);
        let masks = BTreeMap::from([(PROVINCE.to_owned(), masks)]);
        role(&mut wishes, name, RawRole { masks, ..RawRole::default() });
    }
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let column = |rows: &Value, at: usize| -> Vec<String> {
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| row[at].to_string()).collect()
    };
    let sorted = |values: &[String]| {
        let mut sorted = values.to_vec();
        sorted.sort();
        sorted
    };
    let names = format!("SELECT province FROM {PROVINCE}");
    let by_name = column(&rows(&server, "admin", &names).await, 0);
    assert_eq!(by_name, sorted(&by_name), "the view itself is in the order of names");
    let by_hash = column(&rows(&server, "analyst", &names).await, 0);
    assert_eq!((by_hash.len(), &by_hash), (40, &sorted(&by_hash)));
    // The amounts, which tell here which name each hash stands for, are not in the order of names.
    let both = format!("SELECT gmv, province FROM {PROVINCE}");
    let amounts = column(&rows(&server, "analyst", &both).await, 0);
    let falling: Vec<String> = sorted(&amounts).into_iter().rev().collect();
    assert_ne!(amounts, falling);
    let numbered = format!(
        "SELECT gmv, n FROM (SELECT gmv, province, row_number() OVER () AS n FROM {PROVINCE}) ORDER BY gmv DESC"
    );
    let numbers = column(&rows(&server, "analyst", &numbered).await, 1);
    let in_turn: Vec<String> = (1..=40).map(|n| n.to_string()).collect();
    assert_ne!(numbers, in_turn, "a number is the place of a name among the names");
    // Of one that is NULL for all, the others tell the order.
    let amounts = column(&rows(&server, "operator", &both).await, 0);
    assert_eq!(amounts, sorted(&amounts));
    // One row of the first is not the first name's.
    let one = format!("SELECT gmv FROM {PROVINCE} LIMIT 1");
    assert_eq!(rows(&server, "analyst", &one).await, json!([["51.00"]]), "the least amount");
    // At the other doors too.
    let mut driver = Driver::connect_with(&server, "analyst.sesame").await.expect("is let in");
    let told: Vec<String> = driver
        .simple(&names)
        .await
        .expect("runs")
        .iter()
        .map(|row| format!("\"{}\"", row[0]))
        .collect();
    assert_eq!(told, by_hash);
    let told = flight::ask_as(&server, "analyst", &names).await.expect("runs");
    let told: Vec<String> = told.iter().map(|row| format!("\"{}\"", row[0])).collect();
    assert_eq!(told, by_hash);
}
