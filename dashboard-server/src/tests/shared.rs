//! Queries that are shared: the same rows for ever, to whoever sees their tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::catalog::MemTable;
use serde_json::{Value, json};
use tidemark_pipeline::results::CommittedCut;

use super::client::{Reply, get, post, send};
use super::fixture::{DAY_START, TestServer, Wishes};
use super::past::{Ground, NOW, ask_as, stamp};
use super::users;
use crate::config::RawRole;
use crate::sql::Known;

async fn share(server: &TestServer, user: &str, body: Value) -> Reply {
    let shown = users::shown(user);
    let headers = [("Authorization", shown.as_str())];
    post(server.bound.http, "/api/queries/shared", &headers, &body.to_string()).await
}

async fn open(server: &TestServer, user: &str, url: &str, headers: &[(&str, &str)]) -> Reply {
    let shown = users::shown(user);
    let all: Vec<(&str, &str)> =
        [("Authorization", shown.as_str())].into_iter().chain(headers.iter().copied()).collect();
    send(server.bound.http, &format!("GET {url}"), &all, b"").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_query_answers_with_the_same_rows_whatever_happens_since() {
    let mut ground = Ground::new().await;
    let mut wishes = users::wishes();
    let rate =
        RecordBatch::try_from_iter([("rate", Arc::new(Int64Array::from(vec![7])) as ArrayRef)]);
    let rate = rate.expect("fits");
    let table = MemTable::try_new(rate.schema(), vec![vec![rate]]).expect("fits");
    wishes.reference.push(("fx".to_owned(), Arc::new(table)));
    let server = ground.server(wishes).await;
    let sql = "SELECT o.id, d.gmv, fx.rate, (SELECT COUNT(*) FROM orders VERSION AS OF 1) FROM orders o, gmv_day d, fx \
               WHERE o.id <> $1 ORDER BY o.id";
    let shared = share(&server, "analyst", json!({"sql": sql, "params": [2]})).await;
    assert_eq!(shared.status, 201, "{}", shared.text());
    let told = shared.json();
    let url = told["url"].as_str().expect("an address").to_owned();
    assert_eq!(
        (&told["sql"], &told["author"], &told["createdAt"]),
        (&json!(sql), &json!("analyst"), &json!(NOW))
    );
    let then = json!([[1, "3.00", 7, 1], [3, "3.00", 7, 1]]);
    let again = async |server: &TestServer| {
        let reply = open(server, "admin", &url, &[]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    };
    assert_eq!(again(&server).await["rows"], then);
    // More orders, another day's total; the files of then are put together and deleted.
    ground.publisher.day(99_900);
    ground.pass(4).await;
    ground.table.compact().await.expect("put together");
    ground.table.forget(Duration::ZERO).await.expect("deleted");
    ground.publish(5);
    let now = ask_as(&server, "admin", "SELECT COUNT(*) FROM orders").await;
    assert_eq!(now.json()["rows"], json!([[4]]));
    let gone = ask_as(&server, "admin", "SELECT 1 FROM orders FOR VERSION AS OF 4").await;
    assert!(gone.text().contains("no longer kept"), "{}", gone.text());
    let answer = again(&server).await;
    assert_eq!(answer["rows"], then);
    assert!(answer["past"].to_string().contains("\"version\":3"), "{}", answer["past"]);
    let csv = open(&server, "analyst", &url, &[("Accept", "text/csv")]).await;
    assert!(csv.text().contains("1,3.00,7,1\r\n"), "{}", csv.text());
    let browser = [("Accept", "text/html,*/*;q=0.8")];
    for url in [url.clone(), format!("{url}?lang=en")] {
        let page = open(&server, "viewer", &url, &browser).await;
        assert!(page.header("content-type").expect("one").starts_with("text/html"), "{url}");
    }
    assert_eq!(open(&server, "analyst", &format!("{url}?lang=en"), &[]).await.status, 400);
    // Another server over the same folder, as after a restart.
    let pins = std::fs::read_to_string(ground.folder.path().join("pins.json")).expect("held");
    assert!(pins.contains("\"orders\":[1,3]"), "{pins}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_commit_is_committed_first_and_one_cut_is_pinned_of_all() {
    let mut ground = Ground::new().await;
    ground.publisher.day(400);
    ground.publish_waiting(4, &[4]);
    let server = ground.server(Wishes::default()).await;
    let sql = "SELECT COUNT(*), MAX(gmv) FROM orders, gmv_day";
    let address = server.bound.http;
    let body = json!({ "sql": sql }).to_string();
    let seen = post(address, "/api/sql", &[], &body).await.json();
    assert_eq!(seen["rows"], json!([[4, "4.00"]]));
    let sharing = |sql: &str| {
        let body = json!({ "sql": sql }).to_string();
        tokio::spawn(async move { post(address, "/api/queries/shared", &[], &body).await })
    };
    let asked = sharing(sql);
    let wish = tokio::task::block_in_place(|| ground.wishes.recv()).expect("asked for");
    assert_eq!(wish.streams, std::collections::BTreeSet::from(["orders".to_owned()]));
    // Another order comes in before the commit, and is in it; what comes then is not.
    ground.publisher.day(500);
    ground.publish_waiting(5, &[4, 5]);
    let cut = ground.publisher.results.latest();
    ground.commit(4..=5).await;
    let version = ground.table.version();
    ground.publisher.day(600);
    ground.publish_waiting(6, &[6]);
    let versions = BTreeMap::from([("orders".to_owned(), version)]);
    let committed = CommittedCut { cut: Arc::clone(&cut), versions };
    assert!(wish.reply.send(Ok(committed)).is_ok());
    let told = asked.await.expect("asked");
    assert_eq!(told.status, 201, "{}", told.text());
    let told = told.json();
    assert_eq!((&told["askedCut"], &told["cut"]), (&seen["cut"], &json!(cut.cut)));
    assert_eq!((&told["epoch"], &told["asOf"]), (&json!("e1"), &json!(DAY_START + 1_800_000)));
    let paper = |table: &str| {
        let all = told["past"].as_array().expect("papers").iter();
        all.filter(|paper| paper["table"] == table).cloned().next().expect("one")
    };
    let orders = paper("orders");
    assert_eq!((&orders["version"], &orders["cut"]), (&json!(version), &json!(cut.cut)));
    assert_eq!(orders["offsets"], json!(cut.offsets.get("orders")));
    assert_eq!(paper("gmv_day")["cut"], json!(cut.cut));
    let url = told["url"].as_str().expect("an address").to_owned();
    for _ in 0..2 {
        let opened = get(address, &url).await.json();
        assert_eq!(opened["rows"], json!([[5, "5.00"]]));
        assert_eq!((&opened["cut"], &opened["past"]), (&told["cut"], &told["past"]));
        ground.commit(6..=9).await;
        ground.publish(9);
    }
    // Where it cannot be committed, nothing is shared that would lack what was seen.
    ground.publish_waiting(10, &[10]);
    for (reply, part) in [(Some("the disk is full"), "the disk is full"), (None, "has stopped")] {
        let asked = sharing("SELECT COUNT(*) FROM orders");
        let wish = tokio::task::block_in_place(|| ground.wishes.recv()).expect("asked for");
        match reply {
            Some(why) => assert!(wish.reply.send(Err(why.to_owned())).is_ok()),
            None => drop(wish),
        }
        let refused = asked.await.expect("asked");
        assert!(refused.status == 429 && refused.text().contains(part), "{}", refused.text());
    }
    // Views alone need no commit.
    let told = sharing("SELECT gmv FROM gmv_day").await.expect("asked").json();
    assert_eq!(told["askedCut"], told["cut"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_query_shows_nobody_more_than_they_see_and_goes_with_what_it_held() {
    let ground = Ground::new().await;
    let server = ground.server(users::wishes()).await;
    let sql = "SELECT d.gmv, COUNT(*) FROM gmv_day d, orders GROUP BY d.gmv";
    let of_orders = share(&server, "analyst", json!({ "sql": sql })).await.json();
    let of_day = share(&server, "analyst", json!({"sql": "SELECT gmv FROM gmv_day"})).await.json();
    let url = |shared: &Value| shared["url"].as_str().expect("an address").to_owned();
    let reply = open(&server, "asker", &url(&of_day), &[]).await;
    assert_eq!(reply.json()["rows"], json!([["3.00"]]));
    let text = format!("/api/queries/shared/{}", of_orders["id"].as_str().expect("an id"));
    for path in [url(&of_orders), text.clone()] {
        let hidden = open(&server, "asker", &path, &[]).await;
        let missing =
            open(&server, "asker", &path.replace(|letter: char| letter.is_ascii_digit(), "0"), &[])
                .await;
        let told = (hidden.status, hidden.text().contains("there is no shared query"));
        assert_eq!(told, (404, true), "{path}: {}", hidden.text());
        assert_eq!(missing.status, 404, "{path}");
        assert!(!hidden.text().contains("orders"), "{}", hidden.text());
    }
    assert_eq!(open(&server, "admin", &text, &[]).await.json()["sql"], json!(sql));
    assert_eq!(open(&server, "viewer", &url(&of_day), &[]).await.status, 403);
    assert_eq!(get(server.bound.http, &url(&of_day)).await.status, 401);
    assert_eq!(share(&server, "viewer", json!({ "sql": sql })).await.status, 403);
    let id = of_orders["id"].as_str().expect("an id");
    let what = format!("/api/queries/shared/{id}");
    let remove = async |user: &str| {
        let shown = users::shown(user);
        send(
            server.bound.http,
            &format!("DELETE {what}"),
            &[("Authorization", shown.as_str())],
            b"",
        )
        .await
    };
    let held = || std::fs::read_to_string(ground.folder.path().join("pins.json")).expect("a file");
    assert!(held().contains(id));
    assert_eq!(remove("asker").await.status, 404, "to whoever does not see it there is none");
    assert_eq!(open(&server, "analyst", &what, &[]).await.json()["sql"], json!(sql));
    assert_eq!(remove("analyst").await.status, 204);
    assert!(!held().contains(id));
    for path in [url(&of_orders), what.clone(), "/q/..%2f..".to_owned(), "/q/zz".to_owned()] {
        assert_eq!(open(&server, "analyst", &path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_answer_otherwise_another_time_is_not_shared() {
    let ground = Ground::new().await;
    let mut wishes = users::wishes();
    wishes.raw.sql.shared_max = 1;
    let server = ground.server(wishes).await;
    for (sql, part) in [
        ("SELECT now(), gmv FROM gmv_day", "now()"),
        ("SELECT gmv FROM gmv_day WHERE random() < 2", "random()"),
        ("SELECT gmv, cut FROM gmv_day, current_cut", "current_cut is another at every moment"),
        ("SELECT COUNT(*) FROM late_orders, gmv_day", "late_orders is another"),
        ("SELECT COUNT(*) FROM view_history", "view_history is another"),
        ("SELECT COUNT(*) FROM information_schema.tables", "is of now"),
        ("SELECT gmv FROM shadow.gmv_day", "is of now"),
        ("EXPLAIN SELECT gmv FROM gmv_day", "only a query"),
        ("SHOW TABLES", "only a query"),
        ("SELECT gvm FROM gmv_day", "gvm"),
        ("SELECT 1 FROM nowhere", "not found"),
        ("DELETE FROM gmv_day", "not allowed"),
    ] {
        let reply = share(&server, "analyst", json!({ "sql": sql })).await;
        assert!([400, 403].contains(&reply.status), "{sql}: {} {}", reply.status, reply.text());
        assert!(reply.text().contains(part), "{sql}: {}", reply.text());
    }
    assert!(!server.data_dir.path().join("shared").exists(), "nothing is left of them");
    let moment = "SELECT gmv FROM gmv_day FOR SYSTEM_TIME AS OF now() - INTERVAL '4998 seconds'";
    let shared = share(&server, "analyst", json!({ "sql": moment })).await;
    assert_eq!(shared.status, 201, "the moment is that of sharing: {}", shared.text());
    let full = share(&server, "analyst", json!({ "sql": moment })).await;
    assert!(full.status == 409 && full.text().contains("sql.shared-max"), "{}", full.text());
    let url = shared.json()["url"].as_str().expect("an address").to_owned();
    assert_eq!(open(&server, "analyst", &url, &[]).await.json()["rows"], json!([["2.00"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_crash_is_taken_away_and_a_history_begun_anew_is_not_taken_for_the_old() {
    let mut ground = Ground::new().await;
    let pins = Arc::clone(&ground.publisher.results.past().expect("kept").pins);
    let held = std::collections::BTreeSet::from([2]);
    let held = std::collections::BTreeMap::from([("orders".to_owned(), held)]);
    pins.hold("shared/0123456789abcdef01234567", held.clone()).expect("held");
    pins.hold("someone else", held).expect("held");
    let server = ground.server(Wishes::default()).await;
    assert_eq!(pins.holders(), ["someone else"], "no query is there that holds it");
    let body = json!({"sql": "SELECT COUNT(*) FROM orders"}).to_string();
    let shared = post(server.bound.http, "/api/queries/shared", &[], &body).await.json();
    let url = shared["url"].as_str().expect("an address").to_owned();
    assert_eq!(get(server.bound.http, &url).await.json()["rows"], json!([[3]]));
    ground.begin_anew().await;
    for seconds in 1..=4 {
        ground.pass(seconds).await;
    }
    let other = get(server.bound.http, &url).await;
    assert!(other.status == 422 && other.text().contains("begun anew"), "{}", other.text());
    // One that is whole survives a start.
    let folder = server.data_dir.path().join("shared");
    std::fs::create_dir(folder.join(".abc")).expect("made");
    let id = shared["id"].as_str().expect("an id").to_owned();
    let queries = crate::sql::SharedQueries::open(server.data_dir.path(), 9, Some(&pins));
    assert!(queries.get(&id).is_ok() && pins.holders().contains(&format!("shared/{id}")));
    assert!(!folder.join(".abc").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_is_shown_of_a_table_it_is_shown_of_its_past_however_it_asks() {
    let ground = Ground::new().await;
    let cut = ground.publisher.results.latest();
    let mut wishes = users::wishes();
    let known = Known::of_results(&ground.publisher.results);
    wishes.known = Some(known.with_table("orders", cut.histories["orders"].schema()));
    let masks = BTreeMap::from([("buyer".to_owned(), "null".to_owned())]);
    let analyst = RawRole {
        masks: BTreeMap::from([("orders".to_owned(), masks)]),
        filters: BTreeMap::from([("gmv_by_province".to_owned(), "province = '浙江'".to_owned())]),
        ..RawRole::default()
    };
    wishes.raw.sql.roles.insert("analyst".to_owned(), analyst);
    let server = ground.server(wishes).await;
    let provinces = format!(
        "SELECT province FROM gmv_by_province FOR SYSTEM_TIME AS OF {} ORDER BY 1",
        stamp(2_500)
    );
    let now = "SELECT COUNT(buyer), COUNT(*) FROM orders";
    for (sql, whole, shown) in [
        (now, json!([[3, 3]]), json!([[0, 3]])),
        (
            "SELECT COUNT(buyer), COUNT(*) FROM orders FOR VERSION AS OF 2",
            json!([[2, 2]]),
            json!([[0, 2]]),
        ),
        (provinces.as_str(), json!([["广东"], ["浙江"]]), json!([["浙江"]])),
        (
            "SELECT DISTINCT view FROM view_history ORDER BY 1",
            json!([["gmv_by_province"], ["gmv_day"]]),
            json!([["gmv_day"]]),
        ),
    ] {
        assert_eq!(ask_as(&server, "admin", sql).await.json()["rows"], whole, "{sql}");
        assert_eq!(ask_as(&server, "analyst", sql).await.json()["rows"], shown, "{sql}");
    }
    let shared = share(&server, "admin", json!({ "sql": now })).await.json();
    let url = shared["url"].as_str().expect("an address").to_owned();
    for (who, shown) in [("admin", json!([[3, 3]])), ("analyst", json!([[0, 3]]))] {
        assert_eq!(open(&server, who, &url, &[]).await.json()["rows"], shown, "{who}");
    }
    let shared = share(&server, "admin", json!({ "sql": provinces })).await.json();
    let url = shared["url"].as_str().expect("an address").to_owned();
    for (who, shown) in [("admin", json!([["广东"], ["浙江"]])), ("analyst", json!([["浙江"]]))]
    {
        assert_eq!(open(&server, who, &url, &[]).await.json()["rows"], shown, "{who}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_view_was_before_it_was_changed_is_shown_to_those_who_are_shown_persons() {
    let ground = Ground::new().await;
    let mut wishes = users::wishes();
    let changed = BTreeMap::from([("gmv_by_province".to_owned(), DAY_START + 2_500)]);
    wishes.known = Some(Known::of_results(&ground.publisher.results).with_since(changed));
    let server = ground.server(wishes).await;
    let asked = |ms: i64| {
        format!("SELECT COUNT(*) FROM gmv_by_province FOR SYSTEM_TIME AS OF {}", stamp(ms))
    };
    let history = "SELECT MIN(at) FROM view_history WHERE view = 'gmv_by_province'";
    for (who, first) in [("admin", 1_000), ("analyst", 3_000)] {
        let first = json!([[DAY_START + first]]);
        assert_eq!(ask_as(&server, who, history).await.json()["rows"], first, "{who}");
        assert_eq!(ask_as(&server, who, &asked(3_500)).await.json()["rows"], json!([[2]]), "{who}");
    }
    assert_eq!(ask_as(&server, "admin", &asked(2_900)).await.json()["rows"], json!([[2]]));
    let refused = ask_as(&server, "analyst", &asked(2_900)).await;
    assert!(refused.text().contains("was defined otherwise then"), "{}", refused.text());
    let shared = share(&server, "admin", json!({ "sql": asked(2_900) })).await.json();
    let url = shared["url"].as_str().expect("an address").to_owned();
    assert_eq!(open(&server, "admin", &url, &[]).await.json()["rows"], json!([[2]]));
    let refused = open(&server, "analyst", &url, &[]).await;
    assert!(refused.text().contains("was defined otherwise then"), "{}", refused.text());
}
