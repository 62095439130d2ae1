//! What each user may see and do, at every door.

use serde_json::{Value, json};

use super::client::{Socket, get, post, send};
use super::fixture::{DAY, PROVINCE, Publisher, TestServer, Wishes};
use crate::auth::secret;
use crate::config::RawUser;

/// A server with one user of each role, whose key is NAME.sesame, and `guest`, a viewer of one view.
async fn with_users() -> TestServer {
    let mut publisher = Publisher::new("e1");
    publisher.day(400).province("浙江", 400).publish();
    let mut wishes = Wishes::default();
    for (name, role) in ["viewer", "media", "analyst", "operator", "admin"]
        .map(|role| (role, role))
        .into_iter()
        .chain([("guest", "viewer"), ("asker", "analyst")])
    {
        let views = ["guest", "asker"].contains(&name).then(|| vec![DAY.to_owned()]);
        let key = secret::hashed(&format!("{name}.sesame")).expect("hashed");
        wishes
            .raw
            .users
            .insert(name.to_owned(), RawUser { role: role.to_owned(), key, scram: None, views });
    }
    TestServer::start_with(&publisher.results, wishes).await
}

fn shown(name: &str) -> String {
    format!("Bearer {name}.sesame")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_refuses_every_role_that_it_is_not_for() {
    let server = with_users().await;
    let at = server.bound.http;
    // Whether viewer, media, analyst, operator and admin get past the door.
    for (what, allowed) in [
        ("GET /api/views", "xxxxx"),
        ("GET /api/views/gmv_day", "xxxxx"),
        ("GET /lite", "xxxxx"),
        ("POST /api/ws-ticket", "xxxxx"),
        ("GET /api/headline/gmv_day", ".xx.x"),
        ("POST /api/sql", "..xxx"),
        ("GET /api/ledgers/dead_letters", "..xxx"),
        ("POST /api/ledgers/dead_letters/remove", "...xx"),
        ("POST /api/reload", "...xx"),
        ("GET /metrics", "...xx"),
        ("POST /api/ingest/orders", "...xx"),
        ("GET /api/unheard-of", "....x"),
    ] {
        assert_eq!(send(at, what, &[], b"").await.status, 401, "{what} without a key");
        let wrong = [("Authorization", "Bearer admin.sesam")];
        assert_eq!(send(at, what, &wrong, b"").await.status, 401, "{what} with a wrong key");
        let mut got = String::new();
        for role in ["viewer", "media", "analyst", "operator", "admin"] {
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_a_user_may_not_see_is_not_there_at_any_door() {
    let server = with_users().await;
    let at = server.bound.http;
    let key = shown("asker");
    let headers = [("Authorization", key.as_str())];
    let names = send(at, "GET /api/views", &headers, b"").await.json();
    assert_eq!(names.as_array().map(Vec::len), Some(1), "{names}");
    assert_eq!(send(at, &format!("GET /api/views/{DAY}"), &headers, b"").await.status, 200);
    assert_eq!(send(at, &format!("GET /api/views/{PROVINCE}"), &headers, b"").await.status, 404);
    assert_eq!(send(at, &format!("GET /api/headline/{PROVINCE}"), &headers, b"").await.status, 404);
    assert_eq!(
        send(at, &format!("GET /api/events?views={PROVINCE}"), &headers, b"").await.status,
        404
    );
    assert_eq!(send(at, "GET /api/ledgers/dead_letters", &headers, b"").await.status, 403);
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_shows_what_the_user_of_its_ticket_sees() {
    let server = with_users().await;
    let at = server.bound.http;
    let key = shown("guest");
    let login = post(at, "/api/login", &[], &json!({"token": "guest.sesame"}).to_string()).await;
    let set = login.header("set-cookie").expect("a cookie");
    let cookie = set.split(';').next().expect("a pair").to_owned();
    let session = send(at, "GET /api/session", &[("Cookie", &cookie)], b"").await.json();
    assert_eq!(
        session,
        json!({"needsLogin": true, "isOpen": true, "user": "guest", "role": "viewer"})
    );
    let ticket =
        post(at, "/api/ws-ticket", &[("Cookie", &cookie)], "").await.json()["ticket"].clone();
    let mut by_ticket = Socket::open(at).await;
    by_ticket.say(&json!({"type": "auth", "ticket": ticket}).to_string()).await;
    let mut by_key =
        Socket::open_as(at, &[("authorization", key.as_str())]).await.expect("is let in");
    for socket in [&mut by_ticket, &mut by_key] {
        assert_eq!(socket.expect("hello").await["views"], json!([DAY]));
        socket.say(&json!({"type": "subscribe", "views": [PROVINCE, DAY]}).to_string()).await;
        assert_eq!(socket.expect("error").await["code"], "unknown_view");
        assert_eq!(socket.expect("snap").await["view"], DAY);
        socket
            .say(&json!({"type": "subscribe", "views": [PROVINCE], "space": "shadow"}).to_string())
            .await;
        assert_eq!(socket.expect("error").await["code"], "unknown_view");
    }
    assert_eq!(send(at, "POST /api/sql", &[("Cookie", &cookie)], b"{}").await.status, 403);
    let mut wrong =
        Socket::open_as(at, &[("authorization", "Bearer guest.sesam")]).await.expect("opens");
    wrong.say("{\"type\":\"ping\"}").await;
    assert_eq!(wrong.expect("error").await["code"], "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_users_this_machine_needs_no_key() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let server = TestServer::start(&publisher.results).await;
    assert_eq!(get(server.bound.http, "/metrics").await.status, 200);
    assert_eq!(
        post(server.bound.http, "/api/sql", &[], "{\"sql\":\"SELECT 1\"}").await.status,
        200
    );
    let mut socket = Socket::open(server.bound.http).await;
    assert_eq!(socket.expect("hello").await["views"], json!([PROVINCE, DAY]));
}
