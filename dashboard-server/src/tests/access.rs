//! Who is let in.

use std::fmt::Write as _;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::client::{Socket, get, post, send};
use super::fixture::{DAY, Publisher, TestServer, Wishes};

async fn with_token(token: &str) -> TestServer {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let mut hash = String::new();
    Sha256::digest(token).iter().for_each(|byte| write!(hash, "{byte:02x}").expect("writes"));
    let mut wishes = Wishes::default();
    wishes.raw.server.tokens = vec![hash];
    TestServer::start_with(&publisher.results, wishes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_ours_is_refused() {
    let publisher = Publisher::new("e1");
    let mut wishes = Wishes::default();
    wishes.raw.server.origins = vec!["https://wall.example.com".to_owned()];
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let at = server.bound.http;
    for (host, status) in [
        ("evil.example.com", 421),
        ("localhost.evil.com", 421),
        ("", 421),
        ("localhost:1234", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("wall.example.com", 200),
    ] {
        let reply = send(at, "GET /api/views", &[("Host", host)], b"").await;
        assert_eq!(reply.status, status, "{host}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_is_refused_also_at_the_handshake() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let mut wishes = Wishes::default();
    wishes.raw.server.origins = vec!["https://wall.example.com/".to_owned()];
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let at = server.bound.http;
    let own = format!("http://{at}");
    for (origin, status) in
        [("http://evil.example.com", 403), ("null", 403), ("http://127.0.0.1:1", 403)]
    {
        let refused = Socket::open_as(at, &[("origin", origin)]).await.err();
        assert_eq!(refused, Some(status), "{origin}");
        let reply = post(at, "/api/sql", &[("Origin", origin)], "{\"sql\":\"SELECT 1\"}").await;
        assert_eq!(reply.json()["error"]["code"], "foreign_origin", "{origin}");
    }
    for origin in [own.as_str(), "https://wall.example.com"] {
        let mut socket = Socket::open_as(at, &[("origin", origin)]).await.expect("is let in");
        socket.expect("hello").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tokens_figures_need_one_and_the_page_does_not() {
    let server = with_token("sesame").await;
    let at = server.bound.http;
    for path in ["/api/views", "/api/events", "/metrics", "/lite", "/api/headline/gmv_day"] {
        let reply = get(at, path).await;
        assert_eq!(
            (reply.status, reply.header("www-authenticate").as_deref()),
            (401, Some("Bearer")),
            "{path}"
        );
    }
    // A person is told so in words, with the way in.
    let refused = get(at, "/lite").await;
    assert_eq!(refused.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert!(refused.text().contains("<a href=\"/\">登录 / Sign in</a>"), "{}", refused.text());
    assert_eq!(post(at, "/api/sql", &[], "{\"sql\":\"SELECT 1\"}").await.status, 401);
    assert_eq!(post(at, "/api/ws-ticket", &[], "").await.status, 401);
    for path in ["/", "/healthz", "/readyz"] {
        assert_eq!(get(at, path).await.status, 200, "{path}");
    }
    let shown = [("Authorization", "Bearer sesame")];
    assert_eq!(send(at, "GET /api/views", &shown, b"").await.status, 200);
    let wrong = [("Authorization", "Bearer sesam")];
    assert_eq!(send(at, "GET /api/views", &wrong, b"").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tokens_a_socket_needs_a_ticket_that_opens_once() {
    let server = with_token("sesame").await;
    let at = server.bound.http;
    let shown = [("Authorization", "Bearer sesame")];
    let ticket = post(at, "/api/ws-ticket", &shown, "").await.json()["ticket"].clone();
    let auth = json!({"type": "auth", "ticket": ticket}).to_string();
    let mut first = Socket::open(at).await;
    first.say(&auth).await;
    first.expect("hello").await;
    first.say(&json!({"type": "subscribe", "views": [DAY]}).to_string()).await;
    first.expect("snap").await;

    for opening in [auth.as_str(), "{\"type\":\"subscribe\",\"views\":[\"gmv_day\"]}"] {
        let mut refused = Socket::open(at).await;
        refused.say(opening).await;
        assert_eq!(refused.expect("error").await["code"], "unauthorized", "{opening}");
        assert!(refused.next().await.is_none());
    }
    let mut bearer =
        Socket::open_as(at, &[("authorization", "Bearer sesame")]).await.expect("is let in");
    bearer.expect("hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_logs_in_with_a_token_and_stays_in_by_a_cookie_that_script_cannot_read() {
    let server = with_token("sesame").await;
    let at = server.bound.http;
    assert_eq!(get(at, "/api/session").await.json(), json!({"needsLogin": true, "isOpen": false}));
    let wrong = post(at, "/api/login", &[], "{\"token\":\"sesam\"}").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let secret = post(at, "/api/login", &[], "\"sesame\"").await;
    assert!(secret.status == 400 && !secret.text().contains("sesame"), "{}", secret.text());

    let own = format!("http://{at}");
    let login = post(at, "/api/login", &[("Origin", &own)], "{\"token\":\"sesame\"}").await;
    assert_eq!(login.status, 204, "{}", login.text());
    let set = login.header("set-cookie").expect("a cookie");
    assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Strict"), "{set}");
    assert!(!set.contains("Secure") && !set.contains("sesame"), "{set}");
    let cookie = set.split(';').next().expect("a pair").to_owned();
    let carried = [("Cookie", cookie.as_str())];
    for path in ["/api/screens/none", "/api/views", "/lite"] {
        assert_ne!(send(at, &format!("GET {path}"), &carried, b"").await.status, 401, "{path}");
    }
    let session = send(at, "GET /api/session", &carried, b"").await;
    let expected = json!({
        "needsLogin": true, "isOpen": true, "user": "token", "role": "admin", "isDevice": false
    });
    assert_eq!(session.json(), expected);

    // The cookie alone opens no socket: its ticket does, as the first message.
    let mut bare = Socket::open_as(at, &[("cookie", cookie.as_str())]).await.expect("is let in");
    bare.say("{\"type\":\"ping\"}").await;
    assert_eq!(bare.expect("error").await["code"], "unauthorized");
    let page = [carried[0], ("Origin", own.as_str())];
    let ticket = post(at, "/api/ws-ticket", &page, "").await.json()["ticket"].clone();
    let mut socket = Socket::open_as(at, &[("cookie", cookie.as_str())]).await.expect("is let in");
    socket.say(&json!({"type": "auth", "ticket": ticket}).to_string()).await;
    socket.expect("hello").await;

    let foreign = [("Origin", "http://evil.example.com"), carried[0]];
    assert_eq!(post(at, "/api/ws-ticket", &foreign, "").await.status, 403);
    assert_eq!(post(at, "/api/logout", &carried, "").await.status, 204);
    assert_eq!(send(at, "GET /api/views", &carried, b"").await.status, 401);
    assert_eq!(
        send(at, "GET /api/views", &[("Cookie", "tidemark_session=guess")], b"").await.status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_tls_the_cookie_never_leaves_it_and_without_tokens_there_is_nothing_to_log_in_to() {
    let mut publisher = Publisher::new("e1");
    publisher.day(1).publish();
    let mut wishes = Wishes::default();
    wishes.raw.server.tokens =
        vec![Sha256::digest("sesame").iter().map(|byte| format!("{byte:02x}")).collect()];
    wishes.raw.server.origins = vec!["https://wall.example.com".to_owned()];
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let headers = [("Origin", "https://wall.example.com"), ("Host", "wall.example.com")];
    let login = post(server.bound.http, "/api/login", &headers, "{\"token\":\"sesame\"}").await;
    assert!(login.header("set-cookie").expect("a cookie").ends_with("; Secure"), "{}", login.head);

    let open = TestServer::start(&publisher.results).await;
    let session = get(open.bound.http, "/api/session").await.json();
    assert_eq!(session, json!({"needsLogin": false, "isOpen": true}));
}
