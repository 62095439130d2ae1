//! What is open closes when whoever opened it has to go, at every door; and walls that are paired.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::client::{PATIENCE, Socket, get, post, send, stream};
use super::fixture::{DAY, PROVINCE, Publisher, TestServer, Wishes};
use super::users::{pair, session, shown, socket_of, ticket, user, wishes, with_users};
use crate::clock::Clock;
use crate::config::{Config, Overrides};
use crate::screens::{BuiltIn, Screens};

/// Takes all users but some out, as a reload does.
fn keep_users(server: &TestServer, kept: &[&str]) {
    let mut raw = wishes().raw;
    raw.users.retain(|name, _| kept.contains(&name.as_str()));
    // Hashes have fresh salt: who stays is the same as it was.
    let config = Config::check(raw, Overrides::default()).expect("valid").server;
    let before = server.users.clone();
    let users: Vec<_> = config
        .users
        .iter()
        .map(|user| before.iter().find(|it| it.name == user.name).expect("was there").clone())
        .collect();
    server.gate.renew(&users, &config.tokens);
}

async fn closed_for_good(socket: &mut Socket) {
    let bye = socket.expect("bye").await;
    assert_eq!(bye["reason"], "session_ended");
    assert_eq!(socket.close_code().await, Some(4_401));
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_closes_what_that_session_has_open_and_nothing_else() {
    let server = with_users().await;
    let at = server.bound.http;
    let (first, second) = (session(&server, "viewer").await, session(&server, "viewer").await);
    let (mut gone, _) = socket_of(&server, &first).await;
    let (mut stays, _) = socket_of(&server, &second).await;
    let mut events = stream(at, "GET /api/events", &[("Cookie", &first)]).await;
    let unused = ticket(&server, &first).await;
    assert_eq!(post(at, "/api/logout", &[("Cookie", &first)], "").await.status, 204);
    closed_for_good(&mut gone).await;
    let mut rest = String::new();
    let read = tokio::time::timeout(PATIENCE, events.read_to_string(&mut rest)).await;
    read.expect("ends").expect("is text");
    assert!(rest.contains("\"reason\":\"session_ended\""), "{rest}");
    let mut late = Socket::open(at).await;
    late.say(&json!({"type": "auth", "ticket": unused}).to_string()).await;
    assert_eq!(late.expect("error").await["code"], "unauthorized", "a ticket of before");
    stays.say(&json!({"type": "subscribe", "views": [DAY]}).to_string()).await;
    stays.expect("snap").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_too_old_closes_its_socket_by_itself() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let now = Arc::new(AtomicI64::new(1_000));
    let shown = Arc::clone(&now);
    let mut wishes = wishes();
    wishes.raw.server.session_hours = 2;
    wishes.clock = Some(Clock::from_fn(move || shown.load(Ordering::Relaxed)));
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let cookie = session(&server, "viewer").await;
    let (mut socket, _) = socket_of(&server, &cookie).await;
    now.fetch_add(2 * 3_600_000, Ordering::Relaxed);
    closed_for_good(&mut socket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_taken_out_has_to_go_from_every_door_and_the_others_stay() {
    let server = with_users().await;
    let at = server.bound.http;
    let cookie = session(&server, "analyst").await;
    let (mut by_session, _) = socket_of(&server, &cookie).await;
    let (mut stays, _) = socket_of(&server, &session(&server, "viewer").await).await;
    let key = shown("analyst");
    let mut by_key =
        Socket::open_as(at, &[("authorization", key.as_str())]).await.expect("is let in");
    by_key.expect("hello").await;
    let mut driver =
        super::postgres::Driver::connect_with(&server, "analyst.sesame").await.expect("is let in");
    assert_eq!(driver.simple("SELECT 1").await.expect("runs"), [["1"]]);

    keep_users(&server, &["viewer", "admin"]);
    closed_for_good(&mut by_session).await;
    closed_for_good(&mut by_key).await;
    let last = driver.last_words().await;
    assert!(
        last.contains("57P01") && last.contains("connect again"),
        "the PostgreSQL connection: {last}"
    );
    let carried = [("Cookie", cookie.as_str())];
    assert_eq!(send(at, "GET /api/views", &carried, b"").await.status, 401);
    assert_eq!(send(at, "GET /api/views", &[("Authorization", &key)], b"").await.status, 401);
    stays.say(&json!({"type": "subscribe", "views": [DAY]}).to_string()).await;
    stays.expect("snap").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_first_user_comes_open_sockets_have_to_log_in() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    let mut raw = Wishes::default().raw;
    raw.users.extend([user("lin", "admin", None)]);
    let config = Config::check(raw, Overrides::default()).expect("valid").server;
    server.gate.renew(&config.users, &config.tokens);
    closed_for_good(&mut socket).await;
    assert_eq!(get(server.bound.http, "/api/views").await.status, 401);
}

/// Two screens, of one view each.
async fn with_screens() -> TestServer {
    let mut publisher = Publisher::new("e1");
    publisher.day(400).province("浙江", 400).publish();
    let folder = tempfile::tempdir().expect("folder");
    for (name, view) in [("day", DAY), ("map", PROVINCE)] {
        let text = SCREEN.replace("VIEW", view);
        std::fs::write(folder.path().join(format!("{name}.toml")), text).expect("written");
    }
    let views = publisher.results.views();
    let mut wishes = wishes();
    wishes.screens =
        Screens::load(folder.path(), &views, &|_| BuiltIn::NotBuilt).expect("no mistake");
    TestServer::start_with(&publisher.results, wishes).await
}

const SCREEN: &str = include_str!("one_panel.toml");

/// A wall that shows a code, and the cookie it gets when it is approved with a body.
struct Wall {
    code: String,
    secret: String,
}

impl Wall {
    async fn begin(server: &TestServer) -> Self {
        let told = post(server.bound.http, "/api/pairing", &[], "").await.json();
        let text = |name: &str| told[name].as_str().expect("a text").to_owned();
        assert_eq!(told["expiresInMs"], 300_000);
        Self { code: text("code"), secret: text("secret") }
    }

    async fn claim(&self, server: &TestServer) -> super::client::Reply {
        let body = json!({"secret": self.secret}).to_string();
        post(server.bound.http, "/api/pairing/claim", &[], &body).await
    }

    async fn approved(
        &self,
        server: &TestServer,
        by: &str,
        screens: Value,
    ) -> super::client::Reply {
        let key = shown(by);
        let body = json!({"code": self.code, "name": "hall", "screens": screens}).to_string();
        post(server.bound.http, "/api/devices", &[("Authorization", &key)], &body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_is_paired_by_its_code_shows_its_screens_only_and_goes_when_it_is_revoked() {
    let server = with_screens().await;
    let at = server.bound.http;
    let wall = Wall::begin(&server).await;
    assert_eq!(wall.claim(&server).await.status, 202, "nobody has approved it");
    let key = shown("admin");
    let headers = [("Authorization", key.as_str())];
    let listed = send(at, "GET /api/devices", &headers, b"").await.json();
    assert_eq!(listed["waiting"][0]["address"], "127.0.0.1");
    assert!(!listed.to_string().contains(&wall.code), "the code is read off the wall: {listed}");
    let unknown = wall.approved(&server, "admin", json!(["none"])).await;
    assert_eq!(unknown.status, 400, "{}", unknown.text());
    for role in ["viewer", "media", "analyst", "operator", "keeper"] {
        assert_eq!(wall.approved(&server, role, json!(["day"])).await.status, 403, "{role}");
    }
    let approved = wall.approved(&server, "admin", json!(["day"])).await.json();
    assert_eq!((&approved["name"], &approved["address"]), (&json!("hall"), &json!("127.0.0.1")));
    let claimed = wall.claim(&server).await;
    assert_eq!(claimed.status, 204);
    let set = claimed.header("set-cookie").expect("a cookie");
    assert!(
        set.contains("HttpOnly")
            && set.contains("SameSite=Strict")
            && set.contains("Max-Age=34560000"),
        "{set}"
    );
    assert_eq!(wall.claim(&server).await.status, 410, "once");

    let cookie = pair(&claimed);
    let carried = [("Cookie", cookie.as_str())];
    let session = send(at, "GET /api/session", &carried, b"").await.json();
    let expected = json!({
        "needsLogin": true, "isOpen": true, "user": "hall", "role": "viewer", "isDevice": true,
        "screens": ["day"]
    });
    assert_eq!(session, expected);
    assert_eq!(send(at, "GET /api/screens/day", &carried, b"").await.status, 200);
    assert_eq!(send(at, "GET /api/screens/map", &carried, b"").await.status, 404);
    assert_eq!(send(at, &format!("GET /api/views/{PROVINCE}"), &carried, b"").await.status, 404);
    assert_eq!(send(at, "GET /metrics", &carried, b"").await.status, 403);
    let (mut socket, hello) = socket_of(&server, &cookie).await;
    assert_eq!(hello["views"], json!([DAY]));

    // The wall stays over a restart: the file has it, and not its token.
    let file = server.data_dir.path().join("devices.json");
    let written = std::fs::read_to_string(file).expect("written");
    let token = cookie.split_once('=').expect("a pair").1;
    assert!(written.contains("\"hall\"") && !written.contains(token), "{written}");

    let id = approved["id"].as_str().expect("an id");
    let revoked = post(at, &format!("/api/devices/{id}/revoke"), &headers, "").await;
    assert_eq!(revoked.status, 204);
    closed_for_good(&mut socket).await;
    let session = send(at, "GET /api/session", &carried, b"").await.json();
    assert_eq!(session, json!({"needsLogin": true, "isOpen": false, "wasDevice": true}));
    assert_eq!(send(at, "GET /api/views", &carried, b"").await.status, 401);
    let again = post(at, &format!("/api/devices/{id}/revoke"), &headers, "").await;
    assert_eq!(again.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_ends_after_five_minutes_and_wrong_ones_are_counted() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let now = Arc::new(AtomicI64::new(1_000));
    let told = Arc::clone(&now);
    let mut wishes = wishes();
    wishes.clock = Some(Clock::from_fn(move || told.load(Ordering::Relaxed)));
    wishes.raw.users.extend([user("deputy", "admin", None)]);
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let wall = Wall::begin(&server).await;
    now.fetch_add(300_000, Ordering::Relaxed);
    assert_eq!(wall.claim(&server).await.status, 410);
    assert_eq!(wall.approved(&server, "admin", Value::Null).await.status, 404);
    let wall = Wall::begin(&server).await;
    let wrong = Wall { code: "0".to_owned(), secret: String::new() };
    for _ in 1..5 {
        assert_eq!(wrong.approved(&server, "admin", Value::Null).await.status, 404);
    }
    let late = wall.approved(&server, "admin", Value::Null).await;
    assert_eq!(late.status, 429, "{}", late.text());
    let another = wall.approved(&server, "deputy", Value::Null).await;
    assert_eq!(another.status, 200, "counted by approver: {}", another.text());
}
