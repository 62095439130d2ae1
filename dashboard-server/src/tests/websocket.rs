//! The frames of one viewer.

use serde_json::json;

use super::client::Socket;
use super::fixture::{DAY, PROVINCE, Publisher, TestServer, Wishes};

fn subscribe(views: &[&str]) -> String {
    json!({"type": "subscribe", "views": views}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_says_who_speaks_and_a_snapshot_is_followed_by_what_changed() {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    let hello = socket.expect("hello").await;
    assert_eq!(hello["proto"], 1);
    assert_eq!(hello["epoch"], "e1");
    assert_eq!(hello["mode"], "demo");
    assert_eq!(hello["views"], json!([PROVINCE, DAY]));
    assert!(hello["now"].is_i64() && hello["build"].is_string());

    socket.say(&subscribe(&[PROVINCE])).await;
    let snap = socket.expect("snap").await;
    assert_eq!(
        (&snap["cut"], &snap["scope"], &snap["space"]),
        (&json!(1), &json!("paid@1"), &json!("live"))
    );
    assert_eq!(snap["rows"].as_array().map(Vec::len), Some(2));
    assert_eq!(snap["rows"][0]["gmv"], "2.50", "decimals are strings with all digits");

    publisher.province("浙江", 151).remove("广东").publish();
    let delta = socket.expect("delta").await;
    assert_eq!((&delta["base"], &delta["cut"]), (&json!(1), &json!(2)));
    assert_eq!(delta["upsert"].as_array().map(Vec::len), Some(1));
    assert_eq!(delta["upsert"][0]["gmv"], "1.51");
    assert_eq!(delta["delete"][0]["province"], "广东");
    assert_eq!(delta["watermark"], json!(snap["asOf"].as_i64().expect("is a time") - 5_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_did_not_change_gets_no_frame() {
    let mut publisher = Publisher::new("e1");
    publisher.day(100).province("浙江", 100).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    socket.say(&subscribe(&[DAY, PROVINCE])).await;
    socket.expect("snap").await;
    socket.expect("snap").await;
    publisher.day(101).publish();
    assert_eq!(socket.expect("delta").await["view"], DAY);
    publisher.province("浙江", 101).publish();
    let delta = socket.expect("delta").await;
    assert_eq!(
        delta["view"], PROVINCE,
        "the unchanged province must not have had a frame at cut 2"
    );
    assert_eq!((&delta["base"], &delta["cut"]), (&json!(1), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn last_limits_the_snapshot_and_not_the_deltas() {
    let mut publisher = Publisher::new("e1");
    for name in ["a", "b", "c"] {
        publisher.province(name, 100);
    }
    publisher.publish();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    socket.say(&json!({"type":"subscribe","views":[PROVINCE],"last":1}).to_string()).await;
    let snap = socket.expect("snap").await;
    assert_eq!(snap["rows"].as_array().map(Vec::len), Some(1));
    assert_eq!(snap["rows"][0]["province"], "c");
    publisher.province("a", 200).publish();
    assert_eq!(socket.expect("delta").await["upsert"][0]["province"], "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_resumes_from_its_cut_and_another_epoch_gives_a_snapshot() {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 100).publish();
    publisher.province("广东", 200).publish();
    let server = TestServer::start(&publisher.results).await;
    let from = |epoch: &str, cut: u64| {
        json!({"type":"subscribe","views":[PROVINCE],"from":{"epoch":epoch,"cut":cut}}).to_string()
    };
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    socket.say(&from("e1", 1)).await;
    let delta = socket.expect("delta").await;
    assert_eq!((&delta["base"], &delta["cut"]), (&json!(1), &json!(2)));
    assert_eq!(delta["upsert"].as_array().map(Vec::len), Some(1));
    socket.say(&from("e0", 1)).await;
    assert_eq!(socket.expect("snap").await["rows"].as_array().map(Vec::len), Some(2));
    socket.say(&from("e1", 99)).await;
    socket.expect("snap").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_too_far_behind_gets_a_snapshot() {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 100).publish();
    publisher.province("广东", 200).publish();
    publisher.complete_since = 2;
    publisher.province("广东", 201).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    let from = json!({"type":"subscribe","views":[PROVINCE],"from":{"epoch":"e1","cut":1}});
    socket.say(&from.to_string()).await;
    assert_eq!(socket.expect("snap").await["cut"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_view_or_a_bad_frame_is_told_and_the_socket_stays_open() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    socket.say(&subscribe(&["nope", DAY])).await;
    let error = socket.expect("error").await;
    assert_eq!(error["code"], "unknown_view");
    socket.expect("snap").await;
    for bad in ["{", "[]", "{\"type\":\"dance\"}", "{\"type\":\"subscribe\"}"] {
        socket.say(bad).await;
        assert_eq!(socket.expect("error").await["code"], "bad_frame", "{bad}");
    }
    socket.say(&json!({"type":"subscribe","views":[DAY],"space":"attic"}).to_string()).await;
    assert_eq!(socket.expect("error").await["code"], "unknown_space");
    socket.say("{\"type\":\"ping\",\"now\":1}").await;
    socket.expect("pong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_unsubscribe_nothing_comes() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).province("浙江", 1).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    socket.say(&subscribe(&[DAY, PROVINCE])).await;
    socket.expect("snap").await;
    socket.expect("snap").await;
    socket.say(&json!({"type":"unsubscribe","views":[DAY]}).to_string()).await;
    socket.say("{\"type\":\"ping\"}").await;
    socket.expect("pong").await;
    publisher.day(2).province("浙江", 2).publish();
    assert_eq!(socket.expect("delta").await["view"], PROVINCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_comes_every_second_and_pings_by_themselves() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let mut wishes = Wishes::default();
    wishes.raw.server.ping_every_ms = 100;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let mut socket = Socket::open(server.bound.http).await;
    let (mut statuses, mut pings) = (0, 0);
    while statuses < 2 || pings < 5 {
        let frame = socket.any().await.expect("stays open");
        match frame["type"].as_str() {
            Some("status") => {
                assert_eq!(frame["state"], "live");
                assert!(frame["asOf"].is_i64() && frame["lagMs"].is_i64(), "{frame}");
                statuses += 1;
            }
            Some("ping") => pings += 1,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_shutdown_everyone_gets_goodbye_with_another_time_to_come_back() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut sockets =
        [Socket::open(server.bound.http).await, Socket::open(server.bound.http).await];
    for socket in &mut sockets {
        socket.expect("hello").await;
    }
    let stopping = tokio::spawn(server.stop());
    let first = sockets[0].expect("bye").await;
    let second = sockets[1].expect("bye").await;
    assert_ne!(first["retryMs"], second["retryMs"]);
    assert!(sockets[0].next().await.is_none());
    tokio::time::timeout(std::time::Duration::from_secs(5), stopping)
        .await
        .expect("within 5 s")
        .expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_16_kilobytes_ends_the_socket() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    socket.say(&format!("{{\"type\":\"ping\",\"now\":\"{}\"}}", "x".repeat(16_384))).await;
    assert!(socket.next().await.is_none());
}
