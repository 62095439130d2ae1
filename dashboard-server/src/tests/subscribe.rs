//! Queries that are kept up to date.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::client::{PATIENCE, Reply, Socket, get, post, send};
use super::fixture::{DAY, DAY_START, PROVINCE, Publisher, TestServer, Wishes};
use super::flight;
use super::postgres::Driver;
use super::users::{self, session, shown, socket_of};
use crate::commands::sql::{OutputFormat, SqlArgs, frames};
use crate::config::RawRole;
use crate::sql::Known;

/// What a subscriber knows: rows by their keys.
#[derive(Default)]
struct Told {
    cut: u64,
    keys: Vec<String>,
    rows: BTreeMap<String, Value>,
}

impl Told {
    fn key(&self, row: &Value) -> String {
        let key: Map<String, Value> =
            self.keys.iter().map(|key| (key.clone(), row[key].clone())).collect();
        Value::Object(key).to_string()
    }

    /// Takes a frame as a page would.
    fn apply(&mut self, frame: &Value) {
        let list = |name: &str| frame[name].as_array().cloned().unwrap_or_default();
        match frame["type"].as_str() {
            Some("snap") => {
                let keys = list("keys");
                self.keys =
                    keys.iter().map(|key| key.as_str().expect("a name").to_owned()).collect();
                self.rows = list("rows").iter().map(|row| (self.key(row), row.clone())).collect();
                assert_eq!(self.rows.len(), list("rows").len(), "keys tell rows apart");
            }
            Some("delta") => {
                assert_eq!(frame["base"], self.cut, "frames fit together");
                let upserted: Vec<String> =
                    list("upsert").iter().map(|row| self.key(row)).collect();
                for gone in list("delete") {
                    let key = self.key(&gone);
                    assert!(!upserted.contains(&key), "either went or came: {key}");
                    // It may have come and gone since the frame before.
                    self.rows.remove(&key);
                }
                for row in list("upsert") {
                    self.rows.insert(self.key(&row), row);
                }
            }
            _ => panic!("{frame}"),
        }
        assert!(frame["asOf"].is_number() && frame["watermark"].is_number(), "{frame}");
        self.cut = frame["cut"].as_u64().expect("a cut");
    }

    fn told(&self) -> Vec<String> {
        let plain = |row: &Value| {
            let mut row = row.clone();
            row.as_object_mut().expect("a row").remove("_row");
            row.to_string()
        };
        let mut all: Vec<String> = self.rows.values().map(plain).collect();
        all.sort();
        all
    }
}

/// The same throws each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u32) -> u32 {
        // Xorshift, by Marsaglia.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(most)).expect("is small")
    }
}

fn publisher() -> Publisher {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).day(400).publish();
    publisher
}

async fn fresh(server: &TestServer, sql: &str, params: &Value) -> (u64, Vec<String>) {
    let body = json!({"sql": sql, "params": params, "rows": "objects"}).to_string();
    let reply = post(server.bound.http, "/api/sql", &[], &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let mut rows: Vec<String> =
        answer["rows"].as_array().expect("rows").iter().map(ToString::to_string).collect();
    rows.sort();
    (answer["cut"].as_u64().expect("a cut"), rows)
}

fn subscribe(id: &str, sql: &str, params: &Value) -> String {
    json!({"type": "subscribe-sql", "id": id, "sql": sql, "params": params}).to_string()
}

async fn hello(server: &TestServer) -> Socket {
    let mut socket = Socket::open(server.bound.http).await;
    socket.expect("hello").await;
    socket
}

/// The answer to a subscription over HTTP, its head read.
struct Lines(BufReader<TcpStream>);

impl Lines {
    async fn open(server: &TestServer, path: &str, headers: &[(&str, &str)], body: &Value) -> Self {
        let at = server.bound.http;
        let body = body.to_string();
        let mut head =
            format!("POST {path} HTTP/1.0\r\nHost: {at}\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let mut stream = TcpStream::connect(at).await.expect("connects");
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.expect("writes");
        Self(BufReader::new(stream))
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line)).await;
        let read = read.expect("a line in time").expect("reads");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The head, up to the empty line.
    async fn head(&mut self) -> String {
        let mut head = String::new();
        while let Some(line) = self.line().await.filter(|line| !line.is_empty()) {
            head.push_str(&line);
            head.push('\n');
        }
        head
    }

    /// The next frame that is no sign of progress.
    async fn frame(&mut self) -> Option<Value> {
        let next = tokio::time::timeout(PATIENCE, self.next_frame()).await;
        next.expect("a frame in time")
    }

    async fn next_frame(&mut self) -> Option<Value> {
        loop {
            let line = self.line().await?;
            let text = line.strip_prefix("data: ").unwrap_or(&line);
            if text.is_empty() {
                continue;
            }
            let frame: Value = serde_json::from_str(text).expect("is JSON");
            if frame["type"] != "progress" {
                return Some(frame);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_a_fresh_select_at_every_cut() {
    let mut publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let queries = [
        (format!("SELECT * FROM {PROVINCE}"), json!([])),
        (format!("SELECT province, gmv FROM {PROVINCE} WHERE gmv > 2"), json!([])),
        (
            format!(
                "SELECT gmv * 2 AS twice, upper(p.province) AS p FROM {PROVINCE} AS p \
                     WHERE p.province LIKE $1 AND orders < $2"
            ),
            json!(["%1%", 50]),
        ),
        (
            format!("SELECT window_start AS a, window_end AS b, province AS c FROM {PROVINCE}"),
            json!([]),
        ),
        (format!("SELECT orders FROM {PROVINCE} WHERE province IN ('p1', 'p2', 'p11')"), json!([])),
    ];
    let mut socket = hello(&server).await;
    for (nth, (sql, params)) in queries.iter().enumerate() {
        socket.say(&subscribe(&nth.to_string(), sql, params)).await;
    }
    let mut known: Vec<Told> = queries.iter().map(|_| Told::default()).collect();
    let seed = 20_201_111;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for _ in 0..queries.len() {
        let snap = socket.expect("snap").await;
        known[snap["id"].as_str().expect("an id").parse::<usize>().expect("ours")].apply(&snap);
    }
    let mut compared = 0;
    for round in 0..300 {
        // Several cuts between two looks, as a slow reader has them.
        for _ in 0..1 + dice.below(3) {
            for _ in 0..dice.below(6) {
                let name = format!("p{}", dice.below(15));
                match dice.below(4) {
                    0 => publisher.remove_known(&name),
                    _ => {
                        let (fen, orders) =
                            (i128::from(dice.below(500)), i64::from(dice.below(99)));
                        publisher.set(PROVINCE, DAY_START, &name, (fen, orders, "provisional"))
                    }
                };
            }
            publisher.publish();
        }
        let newest = publisher.results.latest().cut;
        for (nth, (sql, params)) in queries.iter().enumerate() {
            let (cut, rows) = fresh(&server, sql, params).await;
            assert_eq!(cut, newest, "nobody else publishes");
            // Until the frames that are on their way have come: either they bring the rows, or there is none.
            let waited = async {
                while known[nth].told() != rows {
                    let frame = socket.next().await.expect("a frame");
                    let of: usize = frame["id"].as_str().expect("an id").parse().expect("ours");
                    known[of].apply(&frame);
                }
            };
            let waited = tokio::time::timeout(Duration::from_secs(5), waited).await;
            assert!(
                waited.is_ok(),
                "round {round}, query {nth}: {:?} and not {rows:?}",
                known[nth].told()
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 1_500);
    // All that is told afterwards is nothing new.
    publisher.day(1).publish();
    socket.say("{\"type\":\"ping\"}").await;
    loop {
        let frame = socket.next().await.expect("a frame");
        if frame["type"] == "pong" {
            break;
        }
        let of: usize = frame["id"].as_str().expect("an id").parse().expect("ours");
        let before = known[of].told();
        known[of].apply(&frame);
        assert_eq!(known[of].told(), before, "what had changed back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_known_by_the_views_keys_where_they_are_shown_and_else_by_a_name_without_a_meaning()
 {
    let mut publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = hello(&server).await;
    let sql = format!("SELECT province AS p, window_start, window_end AS e FROM {PROVINCE}");
    socket.say(&subscribe("keyed", &sql, &json!([]))).await;
    let keyed = socket.expect("snap").await;
    assert_eq!(keyed["keys"], json!(["window_start", "e", "p"]));
    assert_eq!(keyed["columns"][0], json!({"name": "p", "type": "VARCHAR"}));
    assert_eq!(
        (&keyed["view"], &keyed["epoch"], &keyed["space"]),
        (&json!(PROVINCE), &json!("e1"), &json!("live"))
    );
    socket.say(&json!({"type": "unsubscribe-sql", "id": "keyed"}).to_string()).await;
    socket.say(&subscribe("few", &format!("SELECT gmv FROM {PROVINCE}"), &json!([]))).await;
    let few = socket.expect("snap").await;
    assert_eq!((&few["id"], &few["keys"]), (&json!("few"), &json!(["_row"])));
    let names: Vec<&str> = few["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["_row"].as_str().expect("named"))
        .collect();
    assert!(names.len() == 2 && names[0] != names[1] && !few.to_string().contains("浙江"), "{few}");
    publisher.remove("浙江").publish();
    let delta = socket.expect("delta").await;
    assert_eq!((&delta["id"], &delta["upsert"]), (&json!("few"), &json!([])), "the other is ended");
    let gone = delta["delete"][0].as_object().expect("a key");
    assert_eq!(gone.keys().collect::<Vec<_>>(), ["_row"]);
    assert!(names.contains(&gone["_row"].as_str().expect("named")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_up_to_date_is_refused_with_its_place_and_what_to_do() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let mut socket = hello(&server).await;
    for (sql, code, line, column, part) in [
        (
            format!("SELECT gmv FROM {DAY} ORDER BY gmv"),
            "sql_not_live",
            json!(1),
            json!(25),
            "sort them where they are shown",
        ),
        (
            format!("SELECT sum(gmv) FROM {DAY}"),
            "sql_not_live",
            json!(null),
            json!(null),
            "make it a view",
        ),
        (
            "SELECT * FROM late_orders".to_owned(),
            "sql_not_live",
            json!(null),
            json!(null),
            "late_orders is no view",
        ),
        (
            "SELECT * FROM generate_series(1, 3)".to_owned(),
            "sql_not_live",
            json!(1),
            json!(10),
            "name one view",
        ),
        (
            "SELECT * FROM current_cut".to_owned(),
            "sql_not_live",
            json!(null),
            json!(null),
            "subscribe to a view",
        ),
        (
            format!("SELECT gmv, now() FROM {DAY}"),
            "sql_not_live",
            json!(null),
            json!(null),
            "now() changes by itself",
        ),
        (
            format!("SELECT * FROM {DAY} WHERE gmv > (SELECT 1)"),
            "sql_not_live",
            json!(null),
            json!(null),
            "a subquery",
        ),
        (format!("SELECT gvm FROM {DAY}"), "sql_plan", json!(1), json!(8), "gvm"),
        (format!("DROP TABLE {DAY}"), "sql_refused", json!(null), json!(null), "DROP TABLE"),
        ("SUBSCRIBE nowhere".to_owned(), "sql_plan", json!(1), json!(15), "nowhere"),
    ] {
        socket.say(&subscribe("x", &sql, &json!([]))).await;
        let error = socket.expect("error").await;
        assert_eq!((&error["id"], &error["code"]), (&json!("x"), &json!(code)), "{sql}: {error}");
        assert!(error["message"].as_str().expect("words").contains(part), "{sql}: {error}");
        if code == "sql_not_live" {
            assert_eq!((&error["line"], &error["column"]), (&line, &column), "{sql}: {error}");
        }
        let body = json!({ "sql": sql }).to_string();
        let reply = post(server.bound.http, "/api/sql/subscribe", &[], &body).await;
        assert_eq!(reply.json()["error"]["code"], code, "{sql}");
        let path = "/api/sql/subscribe?refusals=frame";
        let reply = post(server.bound.http, path, &[], &body).await;
        let frame = (reply.status, reply.json()["type"].clone(), reply.json()["code"].clone());
        assert_eq!(frame, (200, json!("error"), json!(code)), "a page finds out without a fault");
    }
    let statement = format!("SUBSCRIBE TO {DAY}");
    let mut driver = Driver::connect(&server).await;
    let told = driver.simple(&statement).await.expect_err("rows come once there");
    assert!(told.contains("POST /api/sql/subscribe"), "{told}");
    let told = flight::ask(&mut flight::client(&server).await, &statement).await;
    assert!(told.expect_err("here too").to_string().contains("POST /api/sql/subscribe"));
    socket.say("{\"type\":\"subscribe-sql\",\"sql\":\"SELECT 1\"}").await;
    assert_eq!(socket.expect("error").await["code"], "bad_frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_frames_are_lines_or_events_and_a_subscription_is_a_query_that_can_be_stopped() {
    let mut publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let body = json!({"sql": format!("SELECT gmv FROM {DAY}"), "queryId": "the-live-one"});
    let mut lines = Lines::open(&server, "/api/sql/subscribe", &[], &body).await;
    let head = lines.head().await;
    assert!(head.contains("content-type: application/x-ndjson"), "{head}");
    assert!(head.contains("x-tidemark-query: the-live-one"), "{head}");
    let snap = lines.frame().await.expect("a frame");
    assert_eq!((&snap["type"], &snap["rows"][0]["gmv"]), (&json!("snap"), &json!("4.00")));
    let events = [("Accept", "text/event-stream"), ("Accept-Encoding", "gzip")];
    let statement = json!({"sql": format!("SUBSCRIBE TO {DAY};")});
    let mut events = Lines::open(&server, "/api/sql", &events, &statement).await;
    let head = events.head().await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert_eq!(events.frame().await.expect("a frame")["rows"][0]["orders"], 7);
    publisher.day(500).publish();
    for lines in [&mut lines, &mut events] {
        let delta = lines.frame().await.expect("a frame");
        assert_eq!(
            (&delta["type"], &delta["base"], &delta["cut"]),
            (&json!("delta"), &json!(1), &json!(2))
        );
        assert_eq!(delta["upsert"][0]["gmv"], "5.00");
    }
    // Where nothing changes it is said how far the figures are.
    publisher.province("浙江", 1).publish();
    let progress = lines.line().await.expect("a line");
    let progress: Value = serde_json::from_str(&progress).expect("is JSON");
    assert_eq!((&progress["type"], &progress["cut"]), (&json!("progress"), &json!(3)));
    let running = get(server.bound.http, "/api/queries").await.json()["running"].clone();
    let doors: Vec<&Value> =
        running.as_array().expect("a list").iter().map(|query| &query["door"]).collect();
    assert_eq!(doors, [&json!("subscribe"), &json!("subscribe")]);
    let stop = send(server.bound.http, "DELETE /api/queries/the-live-one", &[], b"").await;
    assert_eq!(stop.status, 204);
    assert_eq!(lines.frame().await.expect("a last frame")["code"], "cancelled");
    assert_eq!(lines.line().await, None, "that was the end");
    let log = get(server.bound.http, "/api/queries").await.json()["log"].clone();
    assert_eq!((&log[0]["id"], &log[0]["outcome"]), (&json!("the-live-one"), &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_what_comes_a_line_each_and_fails_with_the_servers_words() {
    let mut publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let args = |query: String| SqlArgs {
        query,
        server: format!("http://{}", server.bound.http),
        format: OutputFormat::Table,
        params: Vec::new(),
        token: None,
    };
    let mut lines: Vec<Value> = Vec::new();
    let wanted = args(format!("SUBSCRIBE TO (SELECT gmv FROM {DAY})"));
    let mut print = |line: &str| {
        let frame: Value = serde_json::from_str(line)?;
        if frame["type"] != "progress" {
            lines.push(frame);
        }
        publisher.day(i128::try_from(lines.len())?).publish();
        Ok(lines.len() < 3)
    };
    let printing = frames(&wanted, &mut print);
    let printed = tokio::time::timeout(PATIENCE, printing).await.expect("in time");
    printed.expect("prints");
    let kinds: Vec<&Value> = lines.iter().map(|line| &line["type"]).collect();
    assert_eq!(kinds, ["snap", "delta", "delta"]);
    let refused =
        frames(&args(format!("SUBSCRIBE TO (SELECT gmv FROM {DAY} LIMIT 1)")), &mut |_| Ok(true))
            .await;
    let refused = refused.expect_err("is refused").to_string();
    assert!(refused.starts_with("line 1, column 39: LIMIT"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_fewer_changes_and_none_that_are_old() {
    const LARGE: usize = 100_000;
    let mut publisher = Publisher::new("e1");
    let mut large = |nth: usize| {
        let name = format!("{nth:06}{}", "宽".repeat(LARGE / 3));
        publisher.province(&name, 1).province("浙江", i128::try_from(nth).expect("small")).publish()
    };
    large(0);
    let results = Arc::clone(&publisher.results);
    let server = TestServer::start(&results).await;
    let sql = format!("SELECT province, orders, gmv FROM {PROVINCE}");
    let mut slow = hello(&server).await;
    slow.say(&subscribe("slow", &sql, &json!([]))).await;
    let mut rows = Told::default();
    rows.apply(&slow.expect("snap").await);
    let mut quick = hello(&server).await;
    quick.say(&subscribe("quick", &format!("{sql} WHERE province = '浙江'"), &json!([]))).await;
    quick.expect("snap").await;
    let mut large = |nth: usize| {
        let name = format!("{nth:06}{}", "宽".repeat(LARGE / 3));
        publisher.province(&name, 1).province("浙江", i128::try_from(nth).expect("small")).publish()
    };
    let mut newest = 0;
    for nth in 1..=40 {
        newest = large(nth);
        assert_eq!(quick.expect("delta").await["cut"], newest, "it is held up by nobody");
    }
    let mut frames = 0;
    while rows.cut < newest {
        rows.apply(&slow.expect("delta").await);
        frames += 1;
    }
    assert!(frames < 30, "{frames} frames for 40 cuts: they were queued");
    assert_eq!(rows.told(), fresh(&server, &sql, &json!([])).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_shown_what_its_role_is_shown_as_long_as_it_may_stay() {
    let mut publisher = publisher();
    let mut wishes = users::wishes();
    wishes.known = Some(Known::of_results(&publisher.results).with_personal(PROVINCE, "province"));
    let filters = BTreeMap::from([(PROVINCE.to_owned(), "gmv < 2".to_owned())]);
    wishes.raw.sql.roles.insert("analyst".to_owned(), RawRole { filters, ..RawRole::default() });
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let sql = format!("SELECT * FROM {PROVINCE}");
    let cookie = session(&server, "analyst").await;
    let (mut socket, _) = socket_of(&server, &cookie).await;
    socket.say(&subscribe("mine", &sql, &json!([]))).await;
    let snap = socket.expect("snap").await;
    assert_eq!(snap["rows"].as_array().map(Vec::len), Some(1), "{snap}");
    assert!(!snap.to_string().contains("浙江"), "{snap}");
    assert_eq!(snap["keys"], json!(["_row"]), "a mask may make two keys one");
    publisher.province("广东", 100).publish();
    let delta = socket.expect("delta").await;
    assert_eq!((delta["upsert"].as_array().map(Vec::len), &delta["delete"]), (Some(1), &json!([])));
    let admin = shown("admin");
    let body = json!({ "sql": sql });
    let mut lines =
        Lines::open(&server, "/api/sql/subscribe", &[("Authorization", &admin)], &body).await;
    lines.head().await;
    let all = lines.frame().await.expect("a frame");
    assert!(all.to_string().contains("浙江") && all["keys"][2] == "province", "{all}");
    // Who sees one view subscribes to that one, and who looks at walls to none.
    let asker = shown("asker");
    let reply = post(
        server.bound.http,
        "/api/sql/subscribe",
        &[("Authorization", &asker)],
        &body.to_string(),
    )
    .await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!("sql_plan")));
    let (mut wall, _) = socket_of(&server, &session(&server, "viewer").await).await;
    wall.say(&subscribe("wall", &sql, &json!([]))).await;
    assert_eq!(wall.expect("error").await["code"], "forbidden");
    let out: Reply = post(server.bound.http, "/api/logout", &[("Cookie", &cookie)], "").await;
    assert_eq!(out.status, 204);
    assert_eq!(socket.expect("bye").await["reason"], "session_ended");
    assert_eq!(socket.close_code().await, Some(4_401));
    server.gate.renew(&[], &[]);
    assert_eq!(lines.frame().await.expect("a last frame")["reason"], "session_ended");
    assert_eq!(lines.line().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_so_many_of_a_role_and_the_same_one_is_computed_once() {
    let mut publisher = publisher();
    let mut wishes = users::wishes();
    let subscriptions_max = Some(2);
    wishes
        .raw
        .sql
        .roles
        .insert("analyst".to_owned(), RawRole { subscriptions_max, ..RawRole::default() });
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let sql = format!("SELECT gmv FROM {DAY}");
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let (mut socket, _) = socket_of(&server, &session(&server, "analyst").await).await;
        socket.say(&subscribe("one", &sql, &json!([]))).await;
        socket.expect("snap").await;
        sockets.push(socket);
    }
    let (mut third, _) = socket_of(&server, &session(&server, "analyst").await).await;
    third.say(&subscribe("one", &sql, &json!([]))).await;
    let error = third.expect("error").await;
    assert_eq!(error["code"], "sql_busy");
    assert!(error.to_string().contains("sql.roles.analyst.subscriptions-max"), "{error}");
    let (mut other, _) = socket_of(&server, &session(&server, "operator").await).await;
    other.say(&subscribe("one", &sql, &json!([]))).await;
    other.expect("snap").await;
    publisher.day(7).publish();
    let mut frames = Vec::new();
    for socket in &mut sockets {
        frames.push(socket.expect("delta").await["upsert"].clone());
    }
    assert_eq!(frames, [json!([{"gmv": "0.07", "_row": frames[0][0]["_row"]}]), frames[0].clone()]);
    assert_ne!(
        other.expect("delta").await["upsert"][0]["_row"],
        frames[0][0]["_row"],
        "another role has another computation, and the same role the same"
    );
    drop(sockets.pop());
    let room = async {
        loop {
            third.say(&subscribe("one", &sql, &json!([]))).await;
            if third.next().await.expect("a frame")["type"] == "snap" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, room).await.expect("a place is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_whose_rows_fail_or_are_too_many_ends_with_the_reason() {
    let mut publisher = publisher();
    let mut wishes = Wishes::default();
    wishes.raw.sql.rows_max = 3;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let mut socket = hello(&server).await;
    socket
        .say(&subscribe(
            "zero",
            &format!("SELECT 1 / (orders - 5) AS x FROM {PROVINCE}"),
            &json!([]),
        ))
        .await;
    socket.expect("snap").await;
    socket.say(&subscribe("many", &format!("SELECT gmv FROM {PROVINCE}"), &json!([]))).await;
    socket.expect("snap").await;
    publisher.set(PROVINCE, DAY_START, "浙江", (1, 5, "final")).publish();
    let (mut error, mut delta) = (json!(null), json!(null));
    for _ in 0..2 {
        let frame = socket.next().await.expect("a frame");
        if frame["type"] == "error" { error = frame } else { delta = frame }
    }
    assert_eq!((&error["id"], &error["code"]), (&json!("zero"), &json!("sql_failed")), "{error}");
    assert_eq!(delta["id"], "many", "the other goes on");
    publisher.province("a", 1).province("b", 1).publish();
    let error = socket.expect("error").await;
    assert_eq!((&error["id"], &error["code"]), (&json!("many"), &json!("sql_rows")), "{error}");
    socket.say(&subscribe("many", &format!("SELECT gmv FROM {DAY}"), &json!([]))).await;
    socket.expect("snap").await;
}
