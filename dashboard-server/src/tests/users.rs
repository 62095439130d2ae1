//! What each user may see and do, at every door.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_pipeline::history::HashKey;

use super::client::{Reply, Socket, get, post, send};
use super::fixture::{DAY, PROVINCE, Publisher, TestServer, Wishes};
use crate::auth::secret;
use crate::config::{Config, Overrides, RawConfig, RawUser};
use crate::screens::{BuiltIn, Screens};
use crate::sql::{Known, Rules};

const ROLES: [&str; 5] = ["viewer", "media", "analyst", "operator", "admin"];

/// A user whose key is NAME.sesame.
pub(super) fn user(name: &str, role: &str, views: Option<&[&str]>) -> (String, RawUser) {
    let key = secret::hashed(&format!("{name}.sesame")).expect("hashed");
    let views = views.map(|views| views.iter().map(|view| (*view).to_owned()).collect());
    (name.to_owned(), RawUser { role: role.to_owned(), key, scram: None, views })
}

/// One user of each role, and `guest`, `asker`, `helper`, `keeper`: a viewer, analyst, operator and admin of one view.
pub(super) fn wishes() -> Wishes {
    let mut wishes = Wishes::default();
    wishes.raw.users.extend(ROLES.map(|role| user(role, role, None)));
    let of_one =
        [("guest", "viewer"), ("asker", "analyst"), ("helper", "operator"), ("keeper", "admin")];
    wishes.raw.users.extend(of_one.map(|(name, role)| user(name, role, Some(&[DAY]))));
    wishes
}

pub(super) async fn with_users() -> TestServer {
    let mut publisher = Publisher::new("e1");
    publisher.day(400).province("浙江", 400).publish();
    TestServer::start_with(&publisher.results, wishes()).await
}

/// Reads another configuration, as a reload does.
pub(super) fn renew(server: &TestServer, raw: RawConfig, known: &Known) {
    let config = Config::check(raw, Overrides::default()).expect("valid");
    let rules = Rules::new(&config.sql, known, &HashKey::new([7; 32])).expect("valid");
    let users = rules.of_users(&config.server.users);
    *server.rules.write() = Arc::new(rules);
    server.gate.renew(&users, &config.server.tokens);
}

pub(super) fn shown(name: &str) -> String {
    format!("Bearer {name}.sesame")
}

/// The cookie of a user's new session.
pub(super) async fn session(server: &TestServer, name: &str) -> String {
    let body = json!({"token": format!("{name}.sesame")}).to_string();
    let login = post(server.bound.http, "/api/login", &[], &body).await;
    assert_eq!(login.status, 204, "{}", login.text());
    pair(&login)
}

/// Name and value of the cookie that an answer sets.
pub(super) fn pair(reply: &Reply) -> String {
    let set = reply.header("set-cookie").expect("a cookie");
    set.split(';').next().expect("a pair").to_owned()
}

/// Asks for a ticket with a cookie, as our page does.
pub(super) async fn ticket(server: &TestServer, cookie: &str) -> Value {
    let own = format!("http://{}", server.bound.http);
    let headers = [("Cookie", cookie), ("Origin", own.as_str())];
    let reply = post(server.bound.http, "/api/ws-ticket", &headers, "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["ticket"].clone()
}

/// A socket that a cookie's ticket opens, past its greeting.
pub(super) async fn socket_of(server: &TestServer, cookie: &str) -> (Socket, Value) {
    let mut socket = Socket::open(server.bound.http).await;
    let ticket = ticket(server, cookie).await;
    socket.say(&json!({"type": "auth", "ticket": ticket}).to_string()).await;
    let hello = socket.expect("hello").await;
    (socket, hello)
}

/// For each door whether viewer, media, analyst, operator and admin get past it.
const DOORS: [(&str, &str); 18] = [
    ("GET /api/views", "xxxxx"),
    ("GET /api/views/gmv_day", "xxxxx"),
    ("GET /api/screens/none", "xxxxx"),
    ("GET /api/events?views=unheard_of", "xxxxx"),
    ("GET /lite", "xxxxx"),
    ("POST /api/ws-ticket", "xxxxx"),
    ("GET /api/headline/gmv_day", ".xx.x"),
    ("POST /api/sql", "..xxx"),
    ("GET /api/ledgers/dead_letters", "..xxx"),
    ("POST /api/ledgers/dead_letters/remove", "...xx"),
    ("POST /api/ledgers/dead_letters/orders/replay", "...xx"),
    ("POST /api/reload", "...xx"),
    ("GET /metrics", "...xx"),
    ("POST /api/ingest/orders", "...xx"),
    ("GET /api/devices", "....x"),
    ("POST /api/devices", "....x"),
    ("POST /api/devices/none/revoke", "....x"),
    ("GET /api/unheard-of", "....x"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_door_refuses_every_role_that_it_is_not_for() {
    let server = with_users().await;
    let at = server.bound.http;
    for (what, allowed) in DOORS {
        assert_eq!(send(at, what, &[], b"").await.status, 401, "{what} without a key");
        let mut got = String::new();
        for role in ROLES {
            let key = shown(role);
            let reply = send(at, what, &[("Authorization", &key)], b"").await;
            assert_ne!(reply.status, 401, "{what} as {role}");
            if reply.status == 403 {
                let error = reply.json()["error"].clone();
                assert_eq!(error["code"], "forbidden", "{what} as {role}");
                assert!(error["message"].to_string().contains(role), "{error}");
            }
            got.push(if reply.status == 403 { '.' } else { 'x' });
        }
        assert_eq!(got, allowed, "{what}");
    }
    for path in ["/", "/devices", "/screens/overview", "/healthz", "/readyz", "/api/session"] {
        assert_eq!(get(at, path).await.status, 200, "{path} holds no figure");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_has_a_socket_and_only_those_that_may_ask_in_sql_the_postgres_door() {
    let server = with_users().await;
    let (mut sockets, mut connections) = (String::new(), String::new());
    for role in ROLES {
        let cookie = session(&server, role).await;
        let (_, hello) = socket_of(&server, &cookie).await;
        sockets.push(if hello["views"] == json!([PROVINCE, DAY]) { 'x' } else { '.' });
        let key = format!("{role}.sesame");
        let driver = super::postgres::Driver::connect_with(&server, &key).await;
        connections.push(if driver.is_some() { 'x' } else { '.' });
    }
    assert_eq!((sockets.as_str(), connections.as_str()), ("xxxxx", "..xxx"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_and_after_ten_of_them_the_place_waits() {
    let server = with_users().await;
    let at = server.bound.http;
    let right = shown("admin");
    let first = send(at, "GET /api/views", &[("Authorization", &right)], b"").await;
    assert_eq!(first.status, 200);
    for nth in 0..10 {
        // Half of them of a user there is, half of one there is not: the answers are the same.
        let name = if nth % 2 == 0 { "admin" } else { "nobody" };
        let wrong = format!("Bearer {name}.{nth}");
        let reply = send(at, "GET /api/views", &[("Authorization", &wrong)], b"").await;
        assert_eq!(reply.status, 401, "{nth}");
    }
    let login = post(at, "/api/login", &[], "{\"token\":\"viewer.sesame\"}").await;
    assert_eq!(login.status, 429, "{}", login.text());
    let wait: u64 = login.header("retry-after").expect("says when").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    let socket = Socket::open_as(at, &[("authorization", "Bearer viewer.sesam")]).await.err();
    assert_eq!(socket, Some(429));
    let known = send(at, "GET /api/views", &[("Authorization", &right)], b"").await;
    assert_eq!(known.status, 200, "who was right before is not kept out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_a_user_may_not_see_is_not_there_at_any_door() {
    let server = with_users().await;
    let at = server.bound.http;
    let key = shown("asker");
    let headers = [("Authorization", key.as_str())];
    let names = send(at, "GET /api/views", &headers, b"").await.json();
    assert_eq!(names.as_array().map(Vec::len), Some(1), "{names}");
    for (what, status) in [
        (format!("GET /api/views/{DAY}"), 200),
        (format!("GET /api/views/{PROVINCE}"), 404),
        (format!("GET /api/headline/{PROVINCE}"), 404),
        (format!("GET /api/events?views={PROVINCE}"), 404),
        ("GET /api/ledgers/dead_letters".to_owned(), 403),
    ] {
        assert_eq!(send(at, &what, &headers, b"").await.status, status, "{what}");
    }
    let lite = send(at, "GET /lite", &headers, b"").await.text();
    assert!(lite.contains(DAY) && !lite.contains(PROVINCE), "{lite}");
    let ask = async |sql: &str| -> Value {
        post(at, "/api/sql", &headers, &json!({ "sql": sql }).to_string()).await.json()
    };
    assert_eq!(ask(&format!("SELECT gmv FROM {DAY}")).await["rows"], json!([["4.00"]]));
    for hidden in [PROVINCE, "shadow.gmv_by_province", "late_orders", "current_views"] {
        let refused = ask(&format!("SELECT * FROM {hidden}")).await;
        assert!(
            refused["error"]["message"].to_string().contains("not found"),
            "{hidden}: {refused}"
        );
    }
    let listed = ask("SELECT table_name FROM information_schema.tables").await["rows"].to_string();
    assert!(
        listed.contains(DAY) && !listed.contains(PROVINCE) && !listed.contains("late_orders"),
        "{listed}"
    );
    let keeper = shown("keeper");
    let devices = send(at, "GET /api/devices", &[("Authorization", &keeper)], b"").await;
    assert_eq!(devices.status, 403, "a wall might see more than who pairs it");
}

const TWO_VIEWS: &str = r#"version = 1
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
[[panel]]
name = "ranks"
kind = "rank"
title = { zh = "排行", en = "Ranks" }
view = "gmv_by_province"
key = "province"
value = { column = "gmv", unit = "money" }
names = "brands"
[names.brands]
"secret brand" = { zh = "秘密", en = "Secret" }
[layout.wide]
size = [1920, 1080]
hero = [24, 100, 900, 200]
ranks = [24, 400, 900, 200]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_and_the_metrics_name_only_the_views_that_a_user_sees() {
    let mut publisher = Publisher::new("e1");
    publisher.day(400).province("浙江", 400).publish();
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("wall.toml"), TWO_VIEWS).expect("writes");
    let screens = Screens::load(folder.path(), &publisher.results.views(), &|_| BuiltIn::Absent);
    let wishes = Wishes { screens: screens.expect("passes"), ..wishes() };
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let as_user = async |name: &str, what: &str| {
        let key = shown(name);
        send(server.bound.http, what, &[("Authorization", key.as_str())], b"").await
    };
    let all = as_user("viewer", "GET /api/screens/wall").await.json();
    assert_eq!(all["panels"][1]["view"], PROVINCE);
    let some = as_user("guest", "GET /api/screens/wall").await;
    for hidden in [PROVINCE, "\"province\"", "secret"] {
        assert!(!some.text().contains(hidden), "{hidden}: {}", some.text());
    }
    let some = some.json();
    assert_eq!(some["panels"][0], all["panels"][0]);
    assert_eq!(some["panels"][1]["kind"], "text", "it says so in its place");
    assert_eq!(some["layouts"], all["layouts"]);
    let metrics = as_user("operator", "GET /metrics").await.text();
    assert!(metrics.contains(&format!("view=\"{PROVINCE}\"")), "{metrics}");
    let metrics = as_user("helper", "GET /metrics").await.text();
    assert!(metrics.contains(&format!("view=\"{DAY}\"")) && metrics.contains("tidemark_cut "));
    assert!(!metrics.contains(PROVINCE), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_body_that_is_too_long_is_refused_as_everything_else_is() {
    let server = with_users().await;
    let at = server.bound.http;
    let long = format!("{{\"token\":\"{}\"}}", "x".repeat(5_000));
    for path in ["/api/login", "/api/pairing/claim"] {
        let reply = post(at, path, &[], &long).await;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, error["code"].as_str()), (413, Some("too_large")), "{path}");
        assert!(error["message"].to_string().contains("4096 bytes"), "{path}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_shows_what_the_user_of_its_ticket_sees() {
    let server = with_users().await;
    let at = server.bound.http;
    let key = shown("guest");
    let cookie = session(&server, "guest").await;
    let told = send(at, "GET /api/session", &[("Cookie", &cookie)], b"").await.json();
    let expected = json!({
        "needsLogin": true, "isOpen": true, "user": "guest", "role": "viewer", "isDevice": false
    });
    assert_eq!(told, expected);
    let (by_ticket, hello) = socket_of(&server, &cookie).await;
    assert_eq!(hello["views"], json!([DAY]));
    let mut by_key =
        Socket::open_as(at, &[("authorization", key.as_str())]).await.expect("is let in");
    assert_eq!(by_key.expect("hello").await["views"], json!([DAY]));
    for mut socket in [by_ticket, by_key] {
        socket.say(&json!({"type": "subscribe", "views": [PROVINCE, DAY]}).to_string()).await;
        assert_eq!(socket.expect("error").await["code"], "unknown_view");
        assert_eq!(socket.expect("snap").await["view"], DAY);
        let shadow = json!({"type": "subscribe", "views": [PROVINCE], "space": "shadow"});
        socket.say(&shadow.to_string()).await;
        assert_eq!(socket.expect("error").await["code"], "unknown_view");
    }
    let own = format!("http://{at}");
    let page = [("Cookie", cookie.as_str()), ("Origin", own.as_str())];
    assert_eq!(send(at, "POST /api/sql", &page, b"{}").await.status, 403);
    let mut wrong =
        Socket::open_as(at, &[("authorization", "Bearer guest.sesam")]).await.expect("opens");
    wrong.say("{\"type\":\"ping\"}").await;
    assert_eq!(wrong.expect("error").await["code"], "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_logs_in_with_name_and_secret_apart_or_with_the_whole_key() {
    let server = with_users().await;
    let at = server.bound.http;
    for (body, status) in [
        (json!({"user": "guest", "token": "sesame"}), 204),
        (json!({"user": " guest ", "token": "guest.sesame"}), 204),
        (json!({"user": "", "token": "guest.sesame"}), 204),
        (json!({"user": "asker", "token": "guest.sesame"}), 401),
        (json!({"user": "guest", "token": "sesam"}), 401),
        (json!({"user": "guest"}), 400),
    ] {
        let reply = post(at, "/api/login", &[], &body.to_string()).await;
        assert_eq!(reply.status, status, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_by_a_cookie_must_come_from_our_page() {
    let server = with_users().await;
    let at = server.bound.http;
    let cookie = session(&server, "admin").await;
    let own = format!("http://{at}");
    for what in ["POST /api/ws-ticket", "POST /api/devices", "POST /api/reload", "POST /api/sql"] {
        let bare = send(at, what, &[("Cookie", &cookie)], b"").await;
        let code = bare.json()["error"]["code"].clone();
        assert_eq!((bare.status, code), (403, json!("foreign_origin")), "{what}");
        let page = [("Cookie", cookie.as_str()), ("Origin", own.as_str())];
        assert_ne!(send(at, what, &page, b"").await.status, 403, "{what}");
    }
    let read = send(at, "GET /api/views", &[("Cookie", &cookie)], b"").await;
    assert_eq!(read.status, 200, "reading changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_without_a_key_learn_how_many_alarms_there_are_and_not_which() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let mut status = tidemark_pipeline::results::Status::default();
    status.alarms = vec![format!("view {PROVINCE} is stopped")];
    publisher.results.set_status(status);
    let server = TestServer::start_with(&publisher.results, wishes()).await;
    let at = server.bound.http;
    for path in ["/healthz", "/readyz"] {
        let bare = get(at, path).await.json();
        assert!(bare["alarmCount"] == 1 && bare.get("alarms").is_none(), "{path}: {bare}");
        let key = shown("viewer");
        let known = send(at, &format!("GET {path}"), &[("Authorization", &key)], b"").await.json();
        assert_eq!(known["alarms"].as_array().map(Vec::len), Some(1), "{path}: {known}");
    }
    for (name, alarms) in [("viewer", 1), ("guest", 0)] {
        let key = shown(name);
        let mut socket =
            Socket::open_as(at, &[("authorization", key.as_str())]).await.expect("is let in");
        socket.any().await.expect("hello");
        let status = socket.any().await.expect("status");
        assert_eq!(status["alarms"].as_array().map(Vec::len), Some(alarms), "{name}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_users_this_machine_needs_no_key() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let server = TestServer::start(&publisher.results).await;
    let at = server.bound.http;
    assert_eq!(get(at, "/metrics").await.status, 200);
    assert_eq!(post(at, "/api/sql", &[], "{\"sql\":\"SELECT 1\"}").await.status, 200);
    assert_eq!(post(at, "/api/login", &[], "{}").await.status, 204);
    assert_eq!(post(at, "/api/pairing", &[], "").await.status, 409, "nothing to pair for");
    let mut socket = Socket::open(at).await;
    assert_eq!(socket.expect("hello").await["views"], json!([PROVINCE, DAY]));
}
