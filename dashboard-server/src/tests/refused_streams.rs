//! What a role is not told of streams it is refused or shown in part, and of views that are being filled again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_pipeline::history::HashKey;
use tidemark_pipeline::ledger::{Change, Entry, EntryId, LedgerKind, LedgerStore};
use tidemark_pipeline::model::Zone;

use super::client::send;
use super::fixture::{DAY, PROVINCE, Publisher, TestServer, Wishes};
use super::past::{Ground, ask_as};
use super::users;
use crate::config::{Config, Overrides, RawRole};
use crate::sql::{Known, Rules};

const IN_PART: &str = "(hidden: your role is shown this stream in part)";
const PERSONS: &str = "(hidden: the stream has personal columns)";

fn letter(stream: &str, offset: i64) -> Change {
    let (stream, part) = (stream.to_owned(), String::new());
    let id = EntryId { stream: stream.clone(), partition: 0, offset, part };
    let entry = Entry {
        raw: b"{\"buyer_id\":\"b-1\"".to_vec(),
        kind: "bad-value".to_owned(),
        reason: "\"b-1\" is not a DECIMAL for `amount`".to_owned(),
        ..Entry::about(id, &stream)
    };
    Change::Begins(LedgerKind::DeadLetter, Box::new(entry))
}

/// A ledger with a broken record of each of these streams, all at places that the cut has read.
fn with_letters(publisher: &mut Publisher, streams: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LedgerStore::open(folder.path()).expect("opens");
    let letters: Vec<Change> = streams.iter().map(|stream| letter(stream, 7)).collect();
    store.apply("live", &letters).expect("written");
    publisher.results.set_ledgers(store, Zone::UTC);
    publisher.read = streams.iter().map(|&stream| stream.to_owned()).collect();
    publisher.publish();
    folder
}

async fn rows(server: &TestServer, who: &str, sql: &str) -> Value {
    let reply = ask_as(server, who, sql).await;
    assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
    reply.json()["rows"].clone()
}

async fn lines(server: &TestServer, who: &str) -> String {
    let key = users::shown(who);
    let what = "GET /api/ledgers/dead_letters";
    send(server.bound.http, what, &[("Authorization", &key)], b"").await.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stream_that_a_role_is_refused_nothing_is_listed() {
    let mut ground = Ground::new().await;
    let _ledger = with_letters(&mut ground.publisher, &["orders", "visits"]);
    let mut wishes = users::wishes();
    let role = RawRole { tables_refused: vec!["orders".to_owned()], ..RawRole::default() };
    wishes.raw.sql.roles.insert("analyst".to_owned(), role);
    let server = ground.server(wishes).await;
    for (table, of) in [
        ("dead_letters", json!([["visits"]])),
        ("history_versions", json!([])),
        ("current_streams", json!([["visits"]])),
        ("current_offsets", json!([["visits"]])),
    ] {
        let sql = format!("SELECT DISTINCT stream FROM {table} ORDER BY 1");
        assert_eq!(rows(&server, "analyst", &sql).await, of, "{table}");
        let all = rows(&server, "admin", &sql).await.to_string();
        assert!(all.contains("orders"), "{table}: {all}");
    }
    let told = lines(&server, "analyst").await;
    assert!(told.contains("visits") && !told.contains("orders"), "{told}");
    assert!(lines(&server, "admin").await.contains("orders"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_hidden_says_for_which_reason() {
    let mut publisher = Publisher::new("e1");
    let _ledger = with_letters(&mut publisher, &["orders", "payments", "visits"]);
    let schema = tidemark_pipeline::ledger::table::schema(LedgerKind::DeadLetter, Zone::UTC);
    let province = publisher.results.views()[0].schema.clone();
    let mut wishes = users::wishes();
    let known = Known::of_results(&publisher.results).with_table("dead_letters", schema);
    let known = known.with_table("payments", Arc::clone(&province));
    wishes.known = Some(known.with_table("orders", province).with_personal("orders", "province"));
    let filters = BTreeMap::from([("payments".to_owned(), "province = '浙江'".to_owned())]);
    let role = RawRole { filters: filters.clone(), ..RawRole::default() };
    wishes.raw.sql.roles.insert("analyst".to_owned(), role);
    wishes.raw.sql.roles.insert("operator".to_owned(), RawRole { filters, ..RawRole::default() });
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let clear = "{\"buyer_id\":\"b-1\"";
    for (who, orders) in [("analyst", PERSONS), ("operator", clear)] {
        let sql = "SELECT stream, raw, reason FROM dead_letters ORDER BY stream";
        let told = rows(&server, who, sql).await;
        let raw = |nth: usize| told[nth][1].as_str().expect("a record").to_owned();
        assert_eq!([raw(0), raw(1), raw(2)], [orders, IN_PART, clear], "{who}");
        assert_eq!(told[1][2], json!("bad-value"), "{who}: a reason quotes the record");
        let listed = lines(&server, who).await;
        let of = |stream: &str| {
            let line = listed.lines().find(|line| line.contains(&format!("\"{stream}\"")));
            serde_json::from_str::<Value>(line.expect("a line")).expect("JSON")["record"].clone()
        };
        assert_eq!(
            [of("orders"), of("payments"), of("visits")],
            [json!(orders), json!(IN_PART), json!(clear)],
            "{who}"
        );
    }
}

/// The rules over what is known, after those over what was.
fn reloaded(server: &TestServer, before: &Known, after: &Known) {
    let config = Config::check(users::wishes().raw, Overrides::default()).expect("valid");
    let of = |known| Rules::new(&config.sql, known, &HashKey::new([7; 32])).expect("valid");
    let rules = Arc::new(of(after).after(&of(before)));
    *server.rules.write() = Arc::clone(&rules);
    server.gate.renew(&rules.of_users(&config.server.users), &config.server.tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_views_old_definition_are_shown_under_all_it_hid_or_not_at_all() {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).day(400).publish();
    let was = Known::of_results(&publisher.results).with_personal(PROVINCE, "province");
    let mut wishes = Wishes { known: Some(was.clone()), ..users::wishes() };
    wishes.raw.sql.seconds_max = 20;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let province = format!("SELECT province FROM {PROVINCE}");
    let hash = rows(&server, "analyst", &province).await[0][0].clone();
    assert_ne!(hash, json!("浙江"));
    let is_gone = async |who: &str, sql: &str| {
        let reply = ask_as(&server, who, sql).await;
        assert_eq!(reply.status, 400, "{sql}: {}", reply.text());
        assert!(reply.text().contains("not found"), "{sql}: {}", reply.text());
    };
    // From now on the province is none of a person, and the day reads the provinces; both are being filled.
    let is = Known::of_results(&publisher.results)
        .with_definition(PROVINCE, "new", &[])
        .with_definition(DAY, "hash of gmv_day", &[PROVINCE]);
    reloaded(&server, &was, &is);
    is_gone("analyst", &province).await;
    is_gone("analyst", &format!("SELECT gmv FROM {DAY}")).await;
    assert_eq!(rows(&server, "operator", &province).await, json!([["浙江"]]), "who sees it anyway");
    let frame = async |who: &str| {
        let key = users::shown(who);
        let path = format!("GET /api/views/{PROVINCE}");
        send(server.bound.http, &path, &[("Authorization", &key)], b"").await.status
    };
    assert_eq!((frame("analyst").await, frame("operator").await), (404, 200), "nor in a frame");
    // Filled.
    publisher.made_of.insert(PROVINCE.to_owned(), "new".to_owned());
    publisher.publish();
    assert_eq!(rows(&server, "analyst", &province).await, json!([["浙江"]]));
    assert_eq!(
        rows(&server, "analyst", &format!("SELECT gmv FROM {DAY}")).await,
        json!([["4.00"]])
    );
    let rules = Arc::clone(&server.rules.read());
    assert_eq!(rules.filling().into_iter().collect::<Vec<_>>(), [PROVINCE, DAY]);
    rules.look_at(&publisher.results.latest(), 0);
    assert!(rules.filling().is_empty());
    // And back: what was not hidden is hidden now, which old rows may be shown under.
    let again = Known::of_results(&publisher.results)
        .with_definition(PROVINCE, "newest", &[])
        .with_personal(PROVINCE, "province");
    reloaded(&server, &is, &again);
    assert_eq!(rows(&server, "analyst", &province).await, json!([[hash]]));
}
