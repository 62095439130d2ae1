//! Formats of an answer; queries seen, stopped and remembered.

use std::time::{Duration, Instant};

use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::client::{Reply, get, post, send};
use super::fixture::{Publisher, TestServer, Wishes};

const ENDLESS: &str = "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a(value), \
                       generate_series(1, 1000000) b(value)";
const PARQUET: &str = "application/vnd.apache.parquet";

fn publisher() -> Publisher {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).day(400).publish();
    publisher
}

async fn ask(server: &TestServer, path: &str, accept: &str, body: Value) -> Reply {
    post(server.bound.http, path, &[("Accept", accept)], &body.to_string()).await
}

async fn stop(server: &TestServer, id: &str) -> Reply {
    send(server.bound.http, &format!("DELETE /api/queries/{id}"), &[], b"").await
}

async fn listed(server: &TestServer) -> Value {
    get(server.bound.http, "/api/queries").await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_has_the_rows_the_types_and_the_papers() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let body = json!({"sql": "SELECT * FROM gmv_by_province", "queryId": "the-papers"});
    let reply = ask(&server, "/api/sql", PARQUET, body).await;
    assert_eq!((reply.status, reply.header("content-type").as_deref()), (200, Some(PARQUET)));
    assert_eq!(reply.header("x-tidemark-query").as_deref(), Some("the-papers"));
    let as_of = reply.header("x-tidemark-as-of").expect("has an as-of");
    assert_eq!(as_of.parse::<i64>().ok(), publisher.as_of);
    let watermark = reply.header("x-tidemark-watermark").expect("has a watermark");
    assert_eq!(watermark.parse::<i64>().ok(), publisher.as_of.map(|as_of| as_of - 5_000));
    let file = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(reply.body)).expect("is one");
    let papers = file.metadata().file_metadata().key_value_metadata().expect("has metadata");
    let paper = |name: &str| {
        papers.iter().find(|paper| paper.key == name).and_then(|paper| paper.value.clone())
    };
    assert_eq!(paper("tidemark.cut").as_deref(), Some("1"));
    assert_eq!(paper("tidemark.as_of"), Some(as_of));
    let read: Vec<RecordBatch> =
        file.build().expect("reads").map(|batch| batch.expect("reads")).collect();
    let published = publisher.results.latest().views["gmv_by_province"].batches();
    assert_eq!(read[0].columns(), published[0].columns());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_can_be_asked_for_in_the_address_and_an_unknown_one_is_refused() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let body = || json!({"sql": "SELECT province FROM gmv_by_province ORDER BY gmv"});
    let csv = ask(&server, "/api/sql?format=csv&bom=true", "*/*", body()).await;
    assert_eq!(csv.text(), "\u{feff}province\r\n浙江\r\n广东\r\n");
    let plain = ask(&server, "/api/sql?format=csv", "*/*", body()).await;
    assert_eq!(plain.text(), "province\r\n浙江\r\n广东\r\n", "programs get no mark");
    let arrow = ask(&server, "/api/sql?format=arrow", "text/csv", body()).await;
    StreamReader::try_new(arrow.body.as_slice(), None).expect("the address comes before Accept");
    for wrong in ["/api/sql?format=xlsx", "/api/sql?fromat=csv"] {
        let status = ask(&server, wrong, "*/*", body()).await.status;
        assert!([400, 406].contains(&status), "{wrong}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_many_pieces_is_whole_in_every_format() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let body =
        || json!({"sql": "SELECT value, 'n' || value AS name FROM generate_series(1, 90000)"});
    let answer = ask(&server, "/api/sql", "application/json", body()).await.json();
    let rows = answer["rows"].as_array().expect("rows");
    assert_eq!((rows.len(), &rows[89_999]), (90_000, &json!([90_000, "n90000"])));
    let csv = ask(&server, "/api/sql", "text/csv", body()).await.text();
    assert_eq!((csv.lines().count(), csv.lines().last()), (90_001, Some("90000,n90000")));
    let arrow = ask(&server, "/api/sql?format=arrow", "*/*", body()).await.body;
    let arrow = StreamReader::try_new(arrow.as_slice(), None).expect("is Arrow");
    assert_eq!(arrow.map(|batch| batch.expect("reads").num_rows()).sum::<usize>(), 90_000);
    let parquet = ask(&server, "/api/sql", PARQUET, body()).await.body;
    let parquet = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(parquet)).expect("is one");
    let groups = parquet.metadata().row_groups();
    let sizes: Vec<i64> = groups.iter().map(|group| group.num_rows()).collect();
    assert_eq!(sizes, [65_536, 24_464]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_stopped_by_its_name_and_its_turn_is_free_within_a_second() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    wishes.raw.sql.concurrent_max = 1;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let at = server.bound.http;
    let body = json!({"sql": ENDLESS, "queryId": "far-too-long"}).to_string();
    let asking = tokio::spawn(async move { post(at, "/api/sql", &[], &body).await });
    let begun = Instant::now();
    while listed(&server).await["running"] == json!([]) {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never ran");
        tokio::task::yield_now().await;
    }
    let running = listed(&server).await["running"][0].clone();
    assert_eq!((&running["id"], &running["door"]), (&json!("far-too-long"), &json!("http")));
    let again = json!({"sql": "SELECT 1", "queryId": "far-too-long"});
    assert_eq!(ask(&server, "/api/sql", "*/*", again).await.status, 400, "the name is taken");
    let stopped = Instant::now();
    assert_eq!(stop(&server, "far-too-long").await.status, 204);
    let reply = asking.await.expect("answers");
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (409, &json!("cancelled")));
    let next = ask(&server, "/api/sql", "*/*", json!({"sql": "SELECT 1"})).await;
    assert_eq!(next.status, 200, "{}", next.text());
    assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    assert_eq!(stop(&server, "far-too-long").await.status, 404, "it runs no more");
    assert_eq!(stop(&server, "bad%20name").await.status, 400);
    let log = listed(&server).await["log"].clone();
    let outcomes: Vec<(&Value, &Value)> =
        log.as_array().expect("a list").iter().map(|ran| (&ran["outcome"], &ran["rows"])).collect();
    assert_eq!(outcomes, [(&json!("done"), &json!(1)), (&json!("cancelled"), &Value::Null)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_tables_too_and_a_wrong_one_is_remembered_as_such() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let sql = |text: &str| json!({"sql": text});
    ask(&server, "/api/sql", "*/*", sql("SELECT nosuch FROM gmv_day")).await;
    let running = "SELECT door, statement FROM running_queries";
    let seen = ask(&server, "/api/sql", "*/*", sql(running)).await.json();
    assert_eq!(seen["rows"], json!([["http", running]]), "it sees itself");
    let log = "SELECT outcome, \"rows\", statement FROM query_log ORDER BY began_at, outcome";
    let log = ask(&server, "/api/sql", "*/*", sql(log)).await.json();
    let rows = log["rows"].as_array().expect("rows");
    assert!(rows.contains(&json!(["sql_plan", null, "SELECT nosuch FROM gmv_day"])), "{rows:?}");
    assert!(rows.contains(&json!(["done", 1, running])), "{rows:?}");
    let shadow = ask(&server, "/api/sql", "*/*", sql("SELECT * FROM shadow.query_log")).await;
    assert_eq!(shadow.status, 400, "queries are of no result space");
}
