//! The shadow space for viewers and analysts: apart from the ordinary one, at the same cut.

use serde_json::{Value, json};

use super::client::{Socket, get, post};
use super::fixture::{DAY, PROVINCE, Publisher, TestServer};
use super::http::Events;

/// 1.00 of real orders and 64.00 of a load test, in one cut.
fn both() -> (Publisher, Publisher) {
    let (mut live, mut shadow) = (Publisher::new("e1"), Publisher::new("e1"));
    shadow.day(6_400).province("浙江", 6_400).publish();
    live.day(100).publish_with(&shadow);
    (live, shadow)
}

fn subscribe(space: &str) -> String {
    json!({"type":"subscribe","views":[DAY],"space":space}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_the_space_it_asks_for_and_both_when_it_asks_for_both() {
    let (mut live, mut shadow) = both();
    let server = TestServer::start(&live.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    socket.say(&subscribe("shadow")).await;
    let snap = socket.expect("snap").await;
    assert_eq!((&snap["space"], &snap["rows"][0]["gmv"]), (&json!("shadow"), &json!("64.00")));
    socket.say(&subscribe("live")).await;
    let snap = socket.expect("snap").await;
    assert_eq!((&snap["space"], &snap["rows"][0]["gmv"]), (&json!("live"), &json!("1.00")));
    // Only the load test moves: the ordinary view is not told of.
    shadow.day(6_500).publish();
    live.publish_with(&shadow);
    let delta = socket.expect("delta").await;
    assert_eq!((&delta["space"], &delta["upsert"][0]["gmv"]), (&json!("shadow"), &json!("65.00")));
    // Only the real orders move.
    live.day(200).publish_with(&shadow);
    let delta = socket.expect("delta").await;
    assert!(delta["space"].is_null(), "{delta}");
    assert_eq!((&delta["base"], &delta["upsert"][0]["gmv"]), (&json!(1), &json!("2.00")));
    // One of them ends, the other goes on.
    socket.say(&json!({"type":"unsubscribe","views":[DAY],"space":"shadow"}).to_string()).await;
    socket.say("{\"type\":\"ping\"}").await;
    socket.expect("pong").await;
    shadow.day(6_600).publish();
    live.day(300).publish_with(&shadow);
    let delta = socket.expect("delta").await;
    assert_eq!(delta["upsert"][0]["gmv"], "3.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_shadow_record_the_space_is_there_without_a_row() {
    let mut live = Publisher::new("e1");
    live.day(100).publish();
    let server = TestServer::start(&live.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    socket.say(&subscribe("shadow")).await;
    let snap = socket.expect("snap").await;
    assert_eq!((&snap["space"], &snap["rows"]), (&json!("shadow"), &json!([])));
    let mut shadow = Publisher::new("e1");
    shadow.publish();
    shadow.day(6_400).publish();
    live.publish_with(&shadow);
    assert_eq!(socket.expect("delta").await["upsert"][0]["gmv"], "64.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_and_the_view_over_http_know_the_space() {
    let (live, _shadow) = both();
    let server = TestServer::start(&live.results).await;
    let mut events =
        Events::open(&server, &format!("/api/events?views={DAY}&space=shadow"), "").await;
    let text = events.read_until("\"64.00\"").await;
    assert!(text.contains("\"space\":\"shadow\"") && !text.contains("\"1.00\""), "{text}");
    let view = get(server.bound.http, &format!("/api/views/{DAY}?space=shadow")).await.json();
    assert_eq!(
        (&view["space"], &view["rows"][0]["gmv"], &view["cut"]),
        (&json!("shadow"), &json!("64.00"), &json!(1))
    );
    let view = get(server.bound.http, &format!("/api/views/{DAY}")).await.json();
    assert_eq!((&view["space"], &view["rows"][0]["gmv"]), (&json!("live"), &json!("1.00")));
    assert_eq!(get(server.bound.http, &format!("/api/views/{DAY}?space=attic")).await.status, 404);
    assert_eq!(
        get(server.bound.http, &format!("/api/events?views={DAY}&space=attic")).await.status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_reads_the_shadow_space_as_a_schema_of_its_own() {
    let (live, _shadow) = both();
    let server = TestServer::start(&live.results).await;
    let ask = async |sql: &str| -> Value {
        post(server.bound.http, "/api/sql", &[], &json!({ "sql": sql }).to_string()).await.json()["rows"].clone()
    };
    assert_eq!(ask(&format!("SELECT gmv FROM {DAY}")).await, json!([["1.00"]]));
    assert_eq!(ask(&format!("SELECT gmv FROM shadow.{DAY}")).await, json!([["64.00"]]));
    let beside = format!(
        "SELECT l.gmv, s.gmv, l.gmv + s.gmv FROM {DAY} l JOIN shadow.{DAY} s USING (window_start)"
    );
    assert_eq!(ask(&beside).await, json!([["1.00", "64.00", "65.00"]]));
    let listed =
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'shadow' ORDER BY 1";
    let names = ask(listed).await.to_string();
    assert!(names.contains(DAY) && names.contains(PROVINCE), "{names}");
    assert_eq!(ask("SELECT count(*) FROM shadow.gmv_by_province").await, json!([[1]]));
    assert_eq!(ask("SELECT count(*) FROM gmv_by_province").await, json!([[0]]));
}
