//! Headline figures: exact, rounded down, with their papers.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::client::get;
use super::fixture::{DAY, DAY_START, PROVINCE, Publisher, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_headline_is_rounded_down_and_carries_its_papers() {
    let mut publisher = Publisher::new("e1");
    publisher.day(26_841_299_999_999).publish();
    let server = TestServer::start(&publisher.results).await;
    let headline = get(server.bound.http, &format!("/api/headline/{DAY}")).await.json();
    assert_eq!(
        (&headline["value"], &headline["column"]),
        (&json!("268412999999.99"), &json!("gmv"))
    );
    assert_eq!(headline["rounded"], json!({"zh": "2,684.12亿 CNY", "en": "268.41 billion CNY"}));
    assert_eq!(headline["exact"], "268,412,999,999.99 CNY");
    assert_eq!((&headline["scope"], &headline["mark"]), (&json!("paid@1"), &json!("provisional")));
    assert_eq!(headline["window"]["start"]["ms"], DAY_START);
    assert_eq!(headline["window"]["end"]["text"], "2020-11-12 00:00:00 Asia/Shanghai, UTC+08:00");
    assert_eq!(headline["asOf"]["text"], "2020-11-11 00:30:00 Asia/Shanghai, UTC+08:00");
    assert_eq!(headline["offsets"], json!({"orders": {"0": 120, "1": 117}}));
    assert_eq!((&headline["cut"], &headline["epoch"]), (&json!(1), &json!("e1")));
    let sql = headline["sql"].as_str().expect("has its SQL");
    let hash: String = Sha256::digest(sql).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(headline["sqlSha256"], hash);
    assert_eq!(
        headline["sentence"]["zh"],
        "截至 2020-11-11 00:30:00（Asia/Shanghai, UTC+08:00），今日成交额 2,684.12亿 CNY（向下取整，精确值 \
         268,412,999,999.99 CNY），口径 paid@1，统计窗口 2020-11-11 00:00:00 至 2020-11-12 00:00:00；暂定值，仍在变动。"
    );
    assert_eq!(
        headline["sentence"]["en"],
        "As of 2020-11-11 00:30:00 (Asia/Shanghai, UTC+08:00), GMV today was 268.41 billion CNY (rounded \
         down; exactly 268,412,999,999.99 CNY), scope paid@1, window 2020-11-11 00:00:00 to 2020-11-12 \
         00:00:00; provisional, still moving."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn column_and_key_choose_the_figure_and_several_rows_are_not_one() {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).publish();
    let server = TestServer::start(&publisher.results).await;
    let at = server.bound.http;
    let several = get(at, &format!("/api/headline/{PROVINCE}")).await;
    assert_eq!(
        (several.status, several.json()["error"]["code"].clone()),
        (400, json!("ambiguous"))
    );
    assert!(several.text().contains("key.province=…"), "{}", several.text());
    let path = format!("/api/headline/{PROVINCE}?key.province=%E6%B5%99%E6%B1%9F&column=orders");
    let one = get(at, &path).await.json();
    assert_eq!((&one["value"], &one["key"]), (&json!("3"), &json!({"province": "浙江"})));
    for (query, status) in [
        ("key.province=Atlantis", 409),
        ("key.city=x", 400),
        ("column=province", 400),
        ("column=_revision", 400),
        ("colum=gmv", 400),
    ] {
        let reply = get(at, &format!("/api/headline/{PROVINCE}?{query}")).await;
        assert_eq!(reply.status, status, "{query}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_window_is_the_default_and_another_can_be_named() {
    let mut publisher = Publisher::new("e1");
    let yesterday = DAY_START - 86_400_000;
    publisher.set(DAY, yesterday, "", (100, 1, "final")).day(200).publish();
    let server = TestServer::start(&publisher.results).await;
    let at = server.bound.http;
    assert_eq!(get(at, &format!("/api/headline/{DAY}")).await.json()["value"], "2.00");
    let old = get(at, &format!("/api/headline/{DAY}?key.window_start={yesterday}")).await.json();
    assert_eq!((&old["value"], &old["mark"]), (&json!("1.00"), &json!("final")));
    assert!(old["sentence"]["en"].as_str().expect("a sentence").ends_with("; final."));
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_record_there_is_no_headline() {
    let mut publisher = Publisher::new("e1");
    let server = TestServer::start(&publisher.results).await;
    let path = format!("/api/headline/{DAY}");
    assert_eq!(get(server.bound.http, &path).await.status, 409);
    publisher.as_of = None;
    publisher.day(0).publish();
    assert_eq!(get(server.bound.http, &path).await.json()["error"]["code"], "no_figure");
}
