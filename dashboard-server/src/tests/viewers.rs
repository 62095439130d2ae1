//! Many viewers: what they share, and what a slow one costs.

use std::sync::Arc;

use serde_json::json;
use tokio::io::AsyncReadExt as _;

use super::client::{PATIENCE, Socket, get};
use super::fixture::{DAY, PROVINCE, Publisher, TestServer, Wishes};
use crate::clock::Clock;
use crate::websocket::hub::{Held, Hub};

/// Rows so large that a few of them fill every buffer on the way.
const LARGE: usize = 200_000;

fn large(publisher: &mut Publisher, nth: usize) -> u64 {
    let name = format!("{nth:06}{}", "宽".repeat(LARGE / 3));
    publisher.province(&name, 1).day(i128::try_from(nth).expect("small")).publish()
}

#[test]
fn viewers_in_step_share_the_very_same_bytes() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let hub = Hub::new(Arc::clone(&publisher.results), Clock::system());
    let cut = publisher.results.latest();
    let day: Arc<str> = DAY.into();
    let frame = |cut, held| hub.frame(cut, &day, held).expect("has changed");
    let whole = Held { cut: None, last: None };
    assert_eq!(frame(&cut, whole).as_ptr(), frame(&cut, whole).as_ptr());
    // A limit that cuts nothing off is the same frame.
    let limited = Held { cut: None, last: Some(600) };
    assert_eq!(frame(&cut, whole).as_ptr(), frame(&cut, limited).as_ptr());
    publisher.day(2).publish();
    let next = publisher.results.latest();
    let since = Held { cut: Some(1), last: None };
    assert_eq!(frame(&next, since).as_ptr(), frame(&next, since).as_ptr());
    assert!(frame(&next, since).contains("\"base\":1"));
    assert!(hub.frame(&next, &day, Held { cut: Some(2), last: None }).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_viewer_skips_cuts_and_holds_nobody_up() {
    let mut publisher = Publisher::new("e1");
    large(&mut publisher, 0);
    let server = TestServer::start(&publisher.results).await;
    let mut slow = Socket::open(server.bound.http).await;
    slow.expect("hello").await;
    slow.say(&json!({"type":"subscribe","views":[PROVINCE]}).to_string()).await;
    slow.expect("snap").await;
    let mut quick = Socket::open(server.bound.http).await;
    quick.expect("hello").await;
    quick.say(&json!({"type":"subscribe","views":[DAY]}).to_string()).await;
    quick.expect("snap").await;

    // While the slow one does not read, the quick one gets every single cut.
    let mut newest = 0;
    for nth in 1..=40 {
        newest = large(&mut publisher, nth);
        assert_eq!(quick.expect("delta").await["cut"], newest);
    }
    // The slow one then gets few frames that fit together, and ends at the newest cut.
    let (mut at, mut frames, mut rows) = (1, 0, 1);
    while at < newest {
        let delta = slow.expect("delta").await;
        assert_eq!(delta["base"], at, "frames must fit together");
        at = delta["cut"].as_u64().expect("is a cut");
        rows += delta["upsert"].as_array().map_or(0, Vec::len);
        frames += 1;
    }
    assert_eq!(rows, 41, "nothing is lost");
    assert!(frames < 20, "{frames} frames for 40 cuts: they were queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_never_drains_is_given_up() {
    let mut publisher = Publisher::new("e1");
    large(&mut publisher, 0);
    let mut wishes = Wishes::default();
    wishes.raw.server.write_timeout_ms = 200;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let mut stuck = Socket::open(server.bound.http).await;
    stuck.expect("hello").await;
    stuck.say(&json!({"type":"subscribe","views":[PROVINCE]}).to_string()).await;
    let mut stream = stuck.into_stream();
    let mut publishing = 0;
    tokio::time::timeout(PATIENCE, async {
        while !get(server.bound.http, "/metrics")
            .await
            .text()
            .contains("tidemark_viewers_too_slow_total")
        {
            publishing += 1;
            large(&mut publisher, publishing);
        }
    })
    .await
    .expect("is given up in time");
    let mut rest = Vec::new();
    let drained = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(drained.is_ok(), "the connection must be closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_answers_no_ping_is_closed() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let mut wishes = Wishes::default();
    wishes.raw.server.ping_every_ms = 100;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let mut stream = Socket::open(server.bound.http).await.into_stream();
    // Reading bytes answers nothing, as a frozen page does.
    let mut bytes = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(closed.is_ok(), "the connection must be closed");
    let pings = String::from_utf8_lossy(&bytes).matches("\"type\":\"ping\"").count();
    assert_eq!(pings, 3);
}
