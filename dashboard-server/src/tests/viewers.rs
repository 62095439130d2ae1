//! Many viewers: what they share, and what a slow one costs.

use std::sync::Arc;
use std::time::Duration;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_on_a_slow_line_that_still_drains_gets_its_snapshot_whole() {
    const PARTS: usize = 12;
    let mut publisher = Publisher::new("e1");
    for nth in 0..PARTS {
        large(&mut publisher, nth);
    }
    let mut wishes = Wishes::default();
    wishes.raw.server.write_timeout_ms = 1_000;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let mut slow = Socket::open(server.bound.http).await;
    slow.expect("hello").await;
    slow.say(&json!({"type":"subscribe","views":[PROVINCE]}).to_string()).await;
    let mut stream = slow.into_stream();
    let (mut got, mut part) = (0, vec![0; 16_384]);
    // The snapshot takes several times as long as nothing at all may leave.
    let reading = async {
        while got < PARTS * LARGE {
            let read = stream.read(&mut part).await.expect("is open");
            assert!(read > 0, "given up after {got} bytes");
            got += read;
            tokio::time::sleep(Duration::from_millis(u64::try_from(read / 800).expect("small")))
                .await;
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("arrives");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_never_speaks_of_figures_that_are_still_to_come() {
    let mut publisher = Publisher::new("e1");
    publisher.day(0).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut viewer = Socket::open(server.bound.http).await;
    viewer.expect("hello").await;
    viewer.say(&json!({"type":"subscribe","views":[DAY]}).to_string()).await;
    let mut newest = viewer.expect("snap").await["cut"].as_u64().expect("a cut");
    let publishing = tokio::spawn(async move {
        for fen in 1.. {
            publisher.day(fen).publish();
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    });
    let mut told = 0;
    while told < 4 {
        let frame = viewer.any().await.expect("goes on");
        let cut = frame["cut"].as_u64();
        match frame["type"].as_str() {
            Some("status") => {
                assert!(cut <= Some(newest), "a status of cut {cut:?} after figures of {newest}");
                told += 1;
            }
            Some("delta") => newest = cut.expect("a cut"),
            _ => {}
        }
    }
    publishing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_ping_comes_behind_the_figures_there_were_when_it_was_sent() {
    let mut publisher = Publisher::new("e1");
    publisher.day(0).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut viewer = Socket::open(server.bound.http).await;
    viewer.expect("hello").await;
    viewer.say(&json!({"type":"subscribe","views":[DAY]}).to_string()).await;
    let mut newest = viewer.expect("snap").await["cut"].as_u64();
    for fen in 1..=60 {
        let published = publisher.day(fen).publish();
        viewer.say(&json!({"type":"ping"}).to_string()).await;
        loop {
            let frame = viewer.any().await.expect("goes on");
            match frame["type"].as_str() {
                Some("pong") => break,
                Some("delta") => newest = frame["cut"].as_u64(),
                _ => {}
            }
        }
        assert_eq!(newest, Some(published));
    }
}
