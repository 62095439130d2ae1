//! Pages, probes and figures over HTTP.

use serde_json::json;
use tidemark_pipeline::results::{State, Status, ViewState, ViewStatus};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::{PATIENCE, get, send};

use super::fixture::{DAY, PROVINCE, Publisher, TestServer, Wishes};
use crate::screens::{BuiltIn, Screens};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_content_policy() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let server = TestServer::start(&publisher.results).await;
    let at = server.bound.http;
    let paths = [
        "/",
        "/screens/wall",
        "/lite",
        "/healthz",
        "/metrics",
        "/api/views",
        "/api/views/nope",
        "/nope",
    ];
    for path in paths {
        let reply = get(at, path).await;
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(
            policy.contains(&format!("connect-src 'self' ws://{at} wss://{at};")),
            "{path}: {policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert!(reply.header("cache-control").is_some(), "{path}");
    }
    let refused = send(at, "DELETE /api/views", &[], b"").await;
    assert_eq!((refused.status, refused.header("content-security-policy").is_some()), (405, true));
    assert_eq!(refused.json()["error"]["code"], "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_or_how_to_build_it_is_at_the_root() {
    let publisher = Publisher::new("e1");
    let server = TestServer::start(&publisher.results).await;
    let reply = get(server.bound.http, "/screens/wall").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").expect("has one").starts_with("text/html"));
    let text = reply.text();
    assert!(text.contains("npm --prefix web run build") || text.contains("<script"), "{text}");
    let missing = get(server.bound.http, "/assets/none.js").await;
    assert_eq!(
        (missing.status, missing.json()["error"]["code"].clone()),
        (404, json!("not_found"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_only_with_a_cut_and_fresh_figures() {
    let mut publisher = Publisher::new("e1");
    let server = TestServer::start(&publisher.results).await;
    let at = server.bound.http;
    assert_eq!(get(at, "/healthz").await.status, 200);
    let early = get(at, "/readyz").await;
    assert_eq!(
        (early.status, early.json()["reason"].clone()),
        (503, json!("no cut has been published yet"))
    );
    publisher.day(1).publish();
    assert_eq!(get(at, "/readyz").await.status, 200);
    let problem = Some("cannot reach kafka:9092".to_owned());
    publisher.results.set_status(Status { state: State::Stale, problem, ..Status::default() });
    let stale = get(at, "/readyz").await;
    assert_eq!(stale.status, 503);
    assert_eq!(stale.json()["reason"], "the figures are stale: cannot reach kafka:9092");
    assert_eq!(get(at, "/healthz").await.status, 200, "a restart mends no broker");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_no_longer_publishes_is_neither_ready_nor_well() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let mut wishes = Wishes::default();
    (wishes.raw.server.stalled_after_ms, wishes.raw.pipeline.publish_every_ms) = (300, 10);
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let at = server.bound.http;
    let begun = std::time::Instant::now();
    let stalled = loop {
        let reply = get(at, "/readyz").await;
        if reply.status == 503 {
            break reply;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", reply.text());
    };
    assert!(begun.elapsed().as_millis() >= 200);
    assert!(stalled.text().contains("the publisher has stalled"), "{}", stalled.text());
    assert_eq!(get(at, "/healthz").await.status, 503);
    publisher.day(2).publish();
    while get(at, "/readyz").await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it has come back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_view_is_named_and_its_headline_refused() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).province("浙江", 1).publish();
    let server = TestServer::start(&publisher.results).await;
    let at = server.bound.http;
    let mut stop = |views: &[&str]| {
        let why = Some("sum of gmv has over 38 digits".to_owned());
        let state = ViewState::Stopped;
        let status = || ViewStatus { state, problem: why.clone(), ..ViewStatus::default() };
        publisher.statuses = views.iter().map(|view| ((*view).to_owned(), status())).collect();
        publisher.publish();
    };
    assert_eq!(get(at, "/api/headline/gmv_day").await.status, 200);
    stop(&[DAY]);
    let ready = get(at, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ready")));
    assert_eq!(ready.json()["stoppedViews"], json!({DAY: "sum of gmv has over 38 digits"}));
    let health = get(at, "/healthz").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("degraded")));
    assert_eq!(health.json()["stoppedViews"], json!({DAY: "sum of gmv has over 38 digits"}));
    let refused = get(at, "/api/headline/gmv_day").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &json!("view_stopped")));
    assert!(refused.text().contains("over 38 digits"), "{}", refused.text());
    let other = get(at, &format!("/api/headline/{PROVINCE}?key.province=%E6%B5%99%E6%B1%9F")).await;
    assert_eq!(other.status, 200, "{}", other.text());
    stop(&[DAY, PROVINCE]);
    assert_eq!(get(at, "/readyz").await.status, 503, "there is nothing left to show");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_prometheus() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let server = TestServer::start(&publisher.results).await;
    let reply = get(server.bound.http, "/metrics").await;
    assert!(
        reply.header("content-type").expect("has one").starts_with("text/plain; version=0.0.4")
    );
    assert!(reply.text().contains("\ntidemark_cut "), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_listed_with_their_columns_and_what_they_mean() {
    let publisher = Publisher::new("e1");
    let server = TestServer::start(&publisher.results).await;
    let list = get(server.bound.http, "/api/views").await.json();
    let province = &list[0];
    assert_eq!(province["name"], PROVINCE);
    assert_eq!(province["keys"], json!(["window_start", "window_end", "province"]));
    assert_eq!(province["columns"][3], json!({"name": "gmv", "type": "DECIMAL(38,2)"}));
    assert_eq!(province["columns"][0]["type"], "TIMESTAMP(3) WITH TIME ZONE");
    assert_eq!((&province["scope"], &province["unit"]), (&json!("paid@1"), &json!("CNY")));
    assert_eq!(province["definition"], json!({"zh": "已支付", "en": "paid orders"}));
    assert_eq!(list[1]["name"], DAY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_one_object_and_its_rows_pass_through_as_they_are() {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 99_999_999_999_999_999_999_999).publish();
    let server = TestServer::start(&publisher.results).await;
    let reply = get(server.bound.http, &format!("/api/views/{PROVINCE}?last=1")).await;
    let cut = publisher.results.latest();
    let row = cut.views[PROVINCE].rows(Some(1)).next().expect("a row");
    assert!(reply.text().contains(&*row.json), "{}", reply.text());
    let view = reply.json();
    assert_eq!(
        (&view["view"], &view["cut"], &view["epoch"]),
        (&json!(PROVINCE), &json!(1), &json!("e1"))
    );
    assert_eq!(view["rows"].as_array().map(Vec::len), Some(1));
    let all = get(server.bound.http, &format!("/api/views/{PROVINCE}")).await.json();
    assert_eq!(all["rows"][0]["gmv"], "999999999999999999999.99");
    assert_eq!(get(server.bound.http, "/api/views/nope").await.status, 404);
    assert_eq!(get(server.bound.http, &format!("/api/views/{DAY}?last=x")).await.status, 400);
    assert_eq!(get(server.bound.http, &format!("/api/views/{DAY}?lsat=1")).await.status, 400);
}

const SMALL_SCREEN: &str = r#"version = 1
title = { zh = "墙", en = "Wall" }
time-zone = { offset-minutes = 480, label = { zh = "北京时间", en = "UTC+8" } }
currency = { code = "CNY", symbol = "¥", name = { zh = "元", en = "RMB" } }
footer = { scope = { zh = "口径", en = "Scope" }, source = { zh = "源", en = "Source" } }
[[panel]]
name = "hero"
kind = "odometer"
title = { zh = "成交额", en = "GMV" }
view = "gmv_day"
value = { column = "gmv", unit = "money" }
[layout.wide]
size = [1920, 1080]
hero = [24, 100, 900, 200]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_is_its_file_and_no_path_leads_out() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("wall.toml"), SMALL_SCREEN).expect("writes");
    std::fs::create_dir(folder.path().join("maps")).expect("folder");
    let mine = r#"{"$doc":"mine","caption":{"zh":"图","en":"map"},"regions":[{"code":"N","name":{"zh":"北","en":"N"},"label":[1,2],"polygons":[]}]}"#;
    std::fs::write(folder.path().join("maps/china.json"), mine).expect("writes");
    let publisher = Publisher::new("e1");
    let screens = Screens::load(folder.path(), &publisher.results.views(), &|_| BuiltIn::Absent);
    let wishes = Wishes { screens: screens.expect("passes"), ..Wishes::default() };
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let at = server.bound.http;
    assert_eq!(get(at, "/api/screens/wall").await.json()["panels"][0]["view"], DAY);
    let none = get(at, "/api/screens/none").await;
    assert_eq!(none.status, 404);
    assert!(none.text().contains("the files of sql/screens are: wall"), "{}", none.text());
    assert_eq!(get(at, "/maps/china.json").await.text(), mine);
    assert_eq!(get(at, "/maps/none.json").await.status, 404);
    for path in ["/api/screens/..%2fsecret", "/api/screens/%2e%2e", "/api/screens/wall.json"] {
        assert_eq!(get(at, path).await.status, 400, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lite_is_plain_and_escapes_what_strangers_wrote() {
    let mut publisher = Publisher::new("e1");
    publisher.province("<script>alert(1)</script>", 268_412_999_999_999).publish();
    let server = TestServer::start(&publisher.results).await;
    let text = get(server.bound.http, "/lite?views").await.text();
    assert!(!text.contains("<script") && !text.contains("<img"), "{text}");
    assert!(text.contains("&lt;script&gt;alert(1)"), "{text}");
    assert!(text.contains("2684129999999.99") && text.contains("paid@1"), "{text}");
    assert!(text.contains("2020-11-11 00:30:00 (Asia/Shanghai, UTC+08:00)"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_that_fell_back_to_lite_is_tried_again() {
    let publisher = Publisher::new("e1");
    let server = TestServer::start(&publisher.results).await;
    let next = async |path: &str| {
        let text = get(server.bound.http, path).await.text();
        let (_, after) = text.split_once("content=\"10;url=").expect("is taken anew");
        after.split_once('"').expect("quoted").0.replace("&amp;", "&")
    };
    assert_eq!(next("/lite").await, "/lite");
    assert_eq!(next("/lite?lang=en&x=%22%3E").await, "/lite?lang=en");
    let mut at = "/lite?wall=%2F%3Fscene%3D2%26lang%3Den".to_owned();
    for look in 1..7 {
        at = next(&at).await;
        assert_eq!(at, format!("/lite?wall=%2F%3Fscene%3D2%26lang%3Den&looks={look}"));
    }
    assert_eq!(next(&at).await, "/?scene=2&lang=en");
    for other in
        ["//evil.example", "https://evil.example", "/%5Cevil.example", "javascript:alert(1)"]
    {
        assert_eq!(next(&format!("/lite?wall={other}")).await, "/lite", "{other}");
    }
}

const PLAIN_SCREEN: &str = r#"
[[panel]]
name = "provinces"
kind = "rank"
title = { zh = "省份排行", en = "Top provinces" }
view = "gmv_by_province"
key = "province"
names = "provinces"
value = { column = "gmv", unit = "money" }
limit = 2
[[panel]]
name = "live"
kind = "ticker"
title = { zh = "最新", en = "Newest" }
view = "gmv_by_province"
time = "window_start"
columns = [{ column = "window_start", format = "clock" }, { column = "orders", format = "count" }]
[[panel]]
name = "packed"
kind = "rank"
title = { zh = "图", en = "By the map" }
view = "gmv_by_province"
key = "province"
names = "map:tiny"
value = { column = "gmv", unit = "money" }
[names.provinces]
"北京" = { zh = "北京", en = "Beijing" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn lite_shows_the_panels_of_the_screen_in_one_language() {
    let mut publisher = Publisher::new("e1");
    publisher.day(268_412_999_999_999).province("浙江", 900).province("北京", 12_345_600);
    publisher.province("西藏", 7).publish();
    let layout = "provinces = [24, 400, 900, 200]\nlive = [24, 700, 900, 200]\npacked = [1000, 400, 900, 200]\n";
    let screens = screens_of(&publisher, PLAIN_SCREEN, layout);
    let wishes = Wishes { screens, ..Wishes::default() };
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let page = async |path: &str| get(server.bound.http, path).await.text();
    let english = page("/lite?lang=en").await;
    // The content policy allows no address of data.
    assert!(!english.contains("\"data:"), "{english}");
    let after = |text: &str, title: &str| text.split_once(title).expect("a panel").1.to_owned();
    let hero = after(&english, "<h2>GMV</h2>");
    let hero_row = "<tr><td>GMV</td><td>¥2,684,129,999,999.99</td><td>2020-11-11 00:00:00</td><td>provisional</td></tr>";
    assert!(hero.starts_with(&format!("<table border=\"1\">{hero_row}</table>")), "{english}");
    let ranks = after(&english, "<h2>Top provinces</h2>");
    let ranked = "<tr><td>1</td><td>Beijing</td><td>¥123,456.00</td></tr><tr><td>2</td><td>浙江</td><td>¥9.00</td></tr></table>";
    assert!(ranks.starts_with(&format!("<table border=\"1\">{ranked}")), "{english}");
    assert!(after(&english, "<h2>By the map</h2>").contains("<td>Zhejiang</td><td>¥9.00</td>"));
    assert!(after(&english, "<h2>Newest</h2>").contains("<td>2020-11-11 00:00:00</td><td>3</td>"));
    assert!(!english.contains("gmv_by_province") && english.contains("as of 2020-11-11 00:30:00"));
    let chinese = page("/lite").await;
    assert!(
        chinese.contains("<html lang=\"zh\">") && chinese.contains("<h2>省份排行</h2>"),
        "{chinese}"
    );
    assert!(chinese.contains("<td>北京</td>") && chinese.contains("<td>暂计</td>"), "{chinese}");
    assert!(page("/lite?views&lang=en").await.contains("gmv_by_province"));
}

/// What a screen makes of cities: with names beside a map pack, NULL and empty keys.
const CITY_SCREEN: &str = r#"
[[panel]]
name = "provinces"
kind = "rank"
title = { zh = "省份排行", en = "Top provinces" }
view = "gmv_by_province"
key = "province"
names = "map:tiny"
value = { column = "gmv", unit = "money" }
limit = 1
[[panel]]
name = "map"
kind = "map"
title = { zh = "地图", en = "By the map" }
map = "tiny"
view = "gmv_by_province"
key = "province"
value = { column = "gmv", unit = "money" }
[names."map:tiny"]
"海外" = { zh = "海外", en = "Overseas" }
"#;

/// The screens of a folder with such panels and a pack of one region.
fn screens_of(publisher: &Publisher, panels: &str, boxes: &str) -> Screens {
    let folder = tempfile::tempdir().expect("folder");
    let text = SMALL_SCREEN.replace("[layout.wide]", &format!("{panels}[layout.wide]"));
    std::fs::write(folder.path().join("wall.toml"), text + boxes).expect("writes");
    std::fs::create_dir(folder.path().join("maps")).expect("folder");
    let pack = r#"{"caption":{"zh":"图","en":"map"},"regions":[{"code":"33","name":{"zh":"浙江","en":"Zhejiang"},
        "aliases":["浙江省"],"label":[120.2,30.3],"polygons":[[[0,0],[1,1],[0,1]]]}]}"#;
    std::fs::write(folder.path().join("maps/tiny.json"), pack).expect("writes");
    Screens::load(folder.path(), &publisher.results.views(), &|_| BuiltIn::Absent).expect("passes")
}

#[tokio::test(flavor = "multi_thread")]
async fn lite_names_and_ranks_as_the_wall_does() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).province("海外", 900).province("浙江", 500).province("", 7_000).publish();
    let boxes = "provinces = [24, 400, 900, 200]\nmap = [1000, 400, 900, 440]\n";
    let screens = screens_of(&publisher, CITY_SCREEN, boxes);
    let wishes = Wishes { screens, ..Wishes::default() };
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let english = get(server.bound.http, "/lite?lang=en").await.text();
    let ranks = "<h2>Top provinces</h2><table border=\"1\"><tr><td>1</td><td>Overseas</td><td>¥9.00</td></tr>\
                 <tr><td>–</td><td>Not stated</td><td>¥70.00</td></tr></table>";
    assert!(english.contains(ranks), "who has no name has no place and is seen: {english}");
    let map = "<h2>By the map</h2><table border=\"1\"><tr><td>1</td><td>Zhejiang</td><td>¥5.00</td></tr>\
               <tr><td>–</td><td>Not on the map</td><td>¥79.00</td></tr></table>";
    assert!(english.contains(map), "{english}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lite_shows_a_rehearsal_as_one_and_goes_on_with_it() {
    let mut publisher = Publisher::new("e1");
    let mut load_test = Publisher::new("e1");
    load_test.day(77_700).publish();
    publisher.day(400).publish_with(&load_test);
    let wishes = Wishes { screens: screens_of(&publisher, "", ""), ..Wishes::default() };
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let page = async |path: &str| get(server.bound.http, path).await.text();
    let live = page("/lite").await;
    assert!(
        live.contains("¥4.00") && !live.contains("¥777.00") && !live.contains("彩排"),
        "{live}"
    );
    // A wall that falls back names itself and says no more.
    for path in ["/lite?space=shadow", "/lite?wall=%2Fscreens%2Fwall%3Fspace%3Dshadow&lang=zh"] {
        let text = page(path).await;
        assert!(text.contains("¥777.00") && !text.contains("¥4.00"), "{path}: {text}");
        assert!(text.contains("<strong>彩排</strong>"), "{path}: {text}");
        assert!(text.contains("href=\"/lite?lang=zh&amp;space=shadow\""), "{path}: {text}");
        assert!(!text.contains("href=\"/\""), "no link leads to other figures: {text}");
    }
    assert!(page("/lite?space=shadow").await.contains("url=/lite?space=shadow\""));
    assert!(page("/lite?space=shadow&lang=en").await.contains("<strong>REHEARSAL</strong>"));
    assert!(page("/lite?views&space=shadow").await.contains("777.00"));
    let none = get(server.bound.http, "/lite?space=none").await;
    assert!(none.status == 404 && none.text().contains("there is no space"), "{}", none.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script_the_page_leads_to_the_plain_figures_of_its_own_screen() {
    let publisher = Publisher::new("e1");
    let server = TestServer::start(&publisher.results).await;
    let page = async |path: &str| get(server.bound.http, path).await.text();
    let first = page("/").await;
    if !first.contains("/boot.js") {
        // Built without the page.
        return;
    }
    let refresh = |to: &str| format!("<meta http-equiv=\"refresh\" content=\"0;url={to}\"");
    assert!(first.contains(&refresh("/lite")) && first.contains("href=\"/lite\""), "{first}");
    let rehearsal = page("/screens/wall?space=shadow&x=%22%3E").await;
    let to = "/lite?wall=%2Fscreens%2Fwall%3Fspace%3Dshadow%26x%3D%2522%253E";
    assert!(rehearsal.contains(&refresh(to)), "{rehearsal}");
    assert!(rehearsal.contains(&format!("href=\"{to}\"")), "{rehearsal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_carry_the_same_frames_and_resume() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).province("浙江", 1).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut first = Events::open(&server, "/api/events?views=gmv_day", "").await;
    assert!(first.read_until("\"type\":\"snap\"").await.contains("\"type\":\"hello\""));
    publisher.day(2).publish();
    let text = first.read_until("\"type\":\"delta\"").await;
    assert!(text.contains("id: e1/1\ndata: {\"type\":\"snap\""), "{text}");
    assert!(
        text.contains("id: e1/2\ndata: {\"type\":\"delta\",\"view\":\"gmv_day\",\"base\":1"),
        "{text}"
    );
    drop(first);

    let mut again =
        Events::open(&server, "/api/events?views=gmv_day", "Last-Event-ID: e1/1\r\n").await;
    assert!(!again.read_until("\"type\":\"delta\"").await.contains("\"type\":\"snap\""));
    let stopping = tokio::spawn(server.stop());
    again.read_until("\"type\":\"bye\"").await;
    stopping.await.expect("ends");
}

/// A stream of events as text.
pub(super) struct Events {
    stream: tokio::net::TcpStream,
    text: String,
}

impl Events {
    pub(super) async fn open(server: &TestServer, path: &str, headers: &str) -> Self {
        let at = server.bound.http;
        let mut stream = tokio::net::TcpStream::connect(at).await.expect("connects");
        let request = format!("GET {path} HTTP/1.0\r\nHost: {at}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("writes");
        Self { stream, text: String::new() }
    }

    /// All that has come, once it holds `wanted`.
    pub(super) async fn read_until(&mut self, wanted: &str) -> &str {
        let reading = async {
            while !self.text.contains(wanted) {
                let mut bytes = [0; 4_096];
                let read = self.stream.read(&mut bytes).await.expect("reads");
                assert!(read > 0, "ended before {wanted}: {}", self.text);
                self.text.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("in time");
        &self.text
    }
}
