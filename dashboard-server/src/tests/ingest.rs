//! Records over HTTP.

use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use serde_json::json;
use tidemark_pipeline::model::record::Header;

use super::client::{PATIENCE, post, send};
use super::fixture::{Publisher, TestServer, Wishes};
use crate::ingest::{IngestError, IngestSink, LineResult};

/// A log in memory that can be made to wait.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<Bytes>>,
    open: Mutex<bool>,
    opened: Condvar,
    waiting: tokio::sync::Notify,
}

impl Log {
    fn open() -> Arc<Self> {
        let log = Self::default();
        *log.open.lock().expect("lock") = true;
        Arc::new(log)
    }
}

impl IngestSink for Log {
    fn append(
        &self,
        stream: &str,
        lines: Vec<Bytes>,
        _: &[Header<'_>],
    ) -> Result<Vec<LineResult>, IngestError> {
        if stream != "orders" {
            return Err(IngestError::UnknownStream { stream: stream.to_owned() });
        }
        self.waiting.notify_one();
        let mut open = self.open.lock().expect("lock");
        // Not for ever, so that a test that fails also ends.
        while !*open {
            let (still, waited) = self.opened.wait_timeout(open, PATIENCE / 2).expect("lock");
            assert!(!waited.timed_out(), "nobody let the log write");
            open = still;
        }
        let mut log = self.lines.lock().expect("lock");
        Ok(lines
            .into_iter()
            .map(|line| {
                if line.starts_with(b"{") {
                    log.push(line);
                    LineResult::Stored {
                        partition: 0,
                        offset: i64::try_from(log.len()).expect("small") - 1,
                    }
                } else {
                    LineResult::Refused { reason: "not a JSON object".to_owned() }
                }
            })
            .collect())
    }

    fn advance_watermark(
        &self,
        _stream: &str,
        watermark_ms: i64,
    ) -> Result<Vec<LineResult>, IngestError> {
        Ok(vec![LineResult::Stored { partition: 0, offset: watermark_ms }])
    }
}

async fn server(log: &Arc<Log>) -> TestServer {
    let publisher = Publisher::new("e1");
    let ingest: Arc<dyn IngestSink> = Arc::clone(log) as Arc<dyn IngestSink>;
    let mut wishes = Wishes { ingest: Some(ingest), ..Wishes::default() };
    wishes.raw.server.ingest_in_flight_max = 1;
    TestServer::start_with(&publisher.results, wishes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_has_its_result() {
    let log = Log::open();
    let server = server(&log).await;
    let reply =
        post(server.bound.http, "/api/ingest/orders", &[], "{\"a\":1}\n\nnonsense\n{\"a\":2}\n")
            .await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.json(),
        json!([
            {"line": 1, "partition": 0, "offset": 0},
            {"line": 3, "error": "not a JSON object"},
            {"line": 4, "partition": 0, "offset": 1},
        ])
    );
    assert_eq!(log.lines.lock().expect("lock").len(), 2);
    let closing =
        post(server.bound.http, "/api/ingest/orders", &[("tidemark-watermark", "77")], "").await;
    assert_eq!(closing.json(), json!([{"control": true, "partition": 0, "offset": 77}]));
    let bad =
        post(server.bound.http, "/api/ingest/orders", &[("tidemark-watermark", "noon")], "").await;
    assert_eq!(bad.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_log_is_not_found() {
    let log = Log::open();
    let server = server(&log).await;
    assert_eq!(post(server.bound.http, "/api/ingest/parcels", &[], "{}").await.status, 404);
    let publisher = Publisher::new("e1");
    let without = TestServer::start(&publisher.results).await;
    assert_eq!(post(without.bound.http, "/api/ingest/orders", &[], "{}").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let log = Log::open();
    let server = server(&log).await;
    let large = vec![b' '; 8 * 1_048_576 + 1];
    let announced = send(server.bound.http, "POST /api/ingest/orders", &[], &large).await;
    assert_eq!(
        (announced.status, announced.json()["error"]["code"].clone()),
        (413, json!("too_large"))
    );
    let chunk = format!("{:x}\r\n", large.len()).into_bytes();
    let chunked = [chunk.as_slice(), &large, b"\r\n0\r\n\r\n"].concat();
    let headers = [("Transfer-Encoding", "chunked"), ("Connection", "close")];
    let unannounced =
        super::client::send_1_1(server.bound.http, "POST /api/ingest/orders", &headers, &chunked);
    assert_eq!(unannounced.await.status, 413);
    assert!(log.lines.lock().expect("lock").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_at_once_are_told_when_to_come_back() {
    let log = Arc::new(Log::default());
    let server = server(&log).await;
    let at = server.bound.http;
    let first = tokio::spawn(async move { post(at, "/api/ingest/orders", &[], "{}").await });
    log.waiting.notified().await;
    let second = post(at, "/api/ingest/orders", &[], "{}").await;
    assert_eq!((second.status, second.header("retry-after").as_deref()), (429, Some("1")));
    *log.open.lock().expect("lock") = true;
    log.opened.notify_all();
    assert_eq!(first.await.expect("ends").status, 200);
    assert_eq!(
        post(at, "/api/ingest/orders", &[], "{}").await.status,
        200,
        "the turn is free again"
    );
}
