//! The PostgreSQL door, asked over its own protocol, and by the real psql where the machine has one:
//! only what psql itself asks for (`\d`) needs it.

use std::process::Output;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::fixture::{Publisher, TestServer, Wishes};

/// What psql says to these commands; `None`, said plainly, where there is no psql.
async fn psql(
    server: &TestServer,
    commands: &[&str],
    environment: &[(&str, &str)],
) -> Option<Output> {
    let door = server.bound.postgres.expect("the door is open");
    let mut psql = tokio::process::Command::new("psql");
    psql.args([
        "-X",
        "-w",
        "-h",
        "127.0.0.1",
        "-U",
        "analyst",
        "-d",
        "tidemark",
        "-v",
        "ON_ERROR_STOP=1",
        "-p",
    ]);
    psql.arg(door.port().to_string());
    commands.iter().for_each(|command| {
        psql.args(["-c", command]);
    });
    psql.envs(environment.iter().copied()).env("PGCONNECT_TIMEOUT", "10").kill_on_drop(true);
    match psql.output().await {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: there is no psql on this machine ({error})");
            None
        }
    }
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn publisher() -> Publisher {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).day(400).publish();
    publisher
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_reads_views_and_describes_them() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let ask = "SELECT province, gmv FROM gmv_by_province ORDER BY gmv DESC";
    let mut driver = Driver::connect(&server).await;
    assert_eq!(driver.simple(ask).await.expect("runs"), [["广东", "2.50"], ["浙江", "1.50"]]);
    let tables = driver.simple("SELECT relname FROM pg_catalog.pg_class").await.expect("runs");
    for name in ["gmv_by_province", "gmv_day", "late_orders", "current_cut"] {
        assert!(tables.iter().any(|row| row[0] == name), "{name}: {tables:?}");
    }
    let Some(rows) = psql(&server, &[ask], &[]).await else { return };
    assert!(
        told(&rows).contains(" 广东     | 2.50\n 浙江     | 1.50\n(2 rows)"),
        "{}",
        told(&rows)
    );
    let all = psql(&server, &["SELECT * FROM gmv_by_province"], &[]).await.expect("has psql");
    assert!(all.status.success() && told(&all).contains("provisional"), "{}", told(&all));
    let tables = psql(&server, &["\\dt"], &[]).await.expect("has psql");
    assert!(tables.status.success(), "{}", told(&tables));
    for name in ["gmv_by_province", "gmv_day", "late_orders", "current_cut"] {
        assert!(told(&tables).contains(name), "{}", told(&tables));
    }
    let list = psql(&server, &["\\d"], &[]).await.expect("has psql");
    assert!(list.status.success() && told(&list).contains("gmv_day"), "{}", told(&list));
    let columns = psql(&server, &["\\d gmv_by_province"], &[]).await.expect("has psql");
    assert!(columns.status.success(), "{}", told(&columns));
    assert!(
        told(&columns).contains("province") && told(&columns).contains("gmv"),
        "{}",
        told(&columns)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_may_change_anything() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let mut driver = Driver::connect(&server).await;
    for command in [
        "CREATE TABLE t (a INT)",
        "CREATE VIEW v AS SELECT 1",
        "INSERT INTO gmv_day VALUES (1)",
        "DELETE FROM gmv_day",
        "DROP TABLE gmv_day",
        "SELECT * INTO t FROM gmv_day",
        "COPY gmv_day TO '/tmp/x.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SHOW datafusion.execution.batch_size",
        "DECLARE c CURSOR FOR DELETE FROM gmv_day",
        "COPY (DELETE FROM gmv_day) TO STDOUT",
        "EXPLAIN INSERT INTO gmv_day VALUES (1)",
    ] {
        let refused = driver.simple(command).await.expect_err(command);
        assert!(refused.contains("is not allowed here"), "{command}: {refused}");
    }
    let still = driver.simple("SELECT count(*) FROM gmv_day").await;
    assert_eq!(still.expect("still answers"), [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_drivers_say_when_they_connect_is_answered() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let commands = [
        "SET extra_float_digits = 3",
        "SET application_name = 'Grafana'",
        "SET client_encoding TO 'UTF8'",
        "SET statement_timeout = '30s'",
        "SHOW transaction_isolation",
        "BEGIN",
        "SELECT version()",
        "SAVEPOINT one",
        "SHOW lock_timeout",
        "RELEASE SAVEPOINT one",
        "COMMIT",
        "DISCARD ALL",
        "SELECT current_database(), current_schema()",
    ];
    let mut driver = Driver::connect(&server).await;
    let mut last = Vec::new();
    for command in commands {
        last = driver.simple(command).await.unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    assert_eq!(last[0][0], "tidemark");
    let told = [
        ("SHOW standard_conforming_strings", "on"),
        ("show client_encoding", "UTF8"),
        ("SHOW server_version", "16.6"),
        ("SELECT pg_get_serial_sequence('gmv_day', 'gmv') IS NULL", "t"),
        ("SELECT to_regtype('hstore') IS NULL AND to_regtype('TEXT') = 25", "t"),
    ];
    for (command, value) in told {
        let rows =
            driver.simple(command).await.unwrap_or_else(|error| panic!("{command}: {error}"));
        assert_eq!(rows, [[value.to_owned()]], "{command}");
    }
    for command in ["SET server_version = '9'", "SET transaction_read_only = off"] {
        assert!(driver.simple(command).await.is_err(), "{command} was taken");
    }
    let version = driver.simple("SELECT version()").await.expect("a version");
    // As SQLAlchemy reads it.
    assert!(version[0][0].starts_with("PostgreSQL 16.6 "), "{version:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_prepared_once_answers_with_the_newest_cut() {
    let mut publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let mut driver = Driver::connect(&server).await;
    driver.prepare("SELECT gmv, cut FROM gmv_day, current_cut").await.expect("is allowed");
    assert_eq!(driver.execute().await.expect("runs"), [["4.00", "1"]]);
    publisher.day(500).publish();
    assert_eq!(driver.execute().await.expect("runs"), [["5.00", "2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_run_may_not_be_prepared() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let mut driver = Driver::connect(&server).await;
    for sql in [
        "CREATE TABLE t (a INT)",
        "INSERT INTO gmv_day VALUES (1)",
        "SELECT * INTO t FROM gmv_day",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let refused = driver.prepare(sql).await.expect_err("must be refused");
        assert!(
            refused.contains("42501") && refused.contains("is not allowed here"),
            "{sql}: {refused}"
        );
    }
}

/// As much of a driver as it takes to prepare a statement: psql of this age cannot.
pub(super) struct Driver(tokio::net::TcpStream);

impl Driver {
    pub(super) async fn connect(server: &TestServer) -> Self {
        let mut driver = Self::begin(server).await;
        driver.until_ready().await.expect("is let in");
        driver
    }

    /// Shows a password when it is asked for one; `None` when it is not let in.
    pub(super) async fn connect_with(server: &TestServer, password: &str) -> Option<Self> {
        let mut driver = Self::begin(server).await;
        assert_eq!(driver.0.read_u8().await.expect("speaks"), b'R');
        assert_eq!(driver.0.read_u32().await.expect("speaks"), 8);
        assert_eq!(driver.0.read_u32().await.expect("speaks"), 3, "asks for a password");
        driver.say(b'p', format!("{password}\0").as_bytes()).await;
        let is_let_in = driver.0.read_u8().await.is_ok_and(|kind| kind == b'R');
        if !is_let_in {
            return None;
        }
        let mut rest = [0; 8];
        driver.0.read_exact(&mut rest).await.expect("speaks");
        driver.until_ready().await.expect("is let in");
        Some(driver)
    }

    /// Proves a key without showing it; `None` when it is not let in.
    async fn connect_proving(server: &TestServer, user: &str, key: &str) -> Option<Self> {
        let mut driver = Self::begin_as(server, user).await;
        let (kind, asked) = driver.message().await;
        assert_eq!((kind, &asked[..]), (b'R', &b"\x00\x00\x00\x0aSCRAM-SHA-256\0\0"[..]));
        let bare = "n=,r=fyko+d2lbbFgONRv9qkxdawL";
        let first = format!("n,,{bare}");
        let length = u32::try_from(first.len()).expect("short").to_be_bytes();
        driver.say(b'p', &[b"SCRAM-SHA-256\0", &length[..], first.as_bytes()].concat()).await;
        let (kind, answer) = driver.message().await;
        assert_eq!((kind, &answer[..4]), (b'R', &[0, 0, 0, 11][..]));
        let answer = String::from_utf8_lossy(&answer[4..]).into_owned();
        driver.say(b'p', crate::auth::scram::proved(key, bare, &answer).as_bytes()).await;
        let (kind, last) = driver.message().await;
        if kind != b'R' {
            return None;
        }
        assert_eq!(last[..4], [0, 0, 0, 12], "the server proves itself too");
        driver.until_ready().await.expect("is let in");
        Some(driver)
    }

    /// What a connection that is not let in with a password is told.
    pub(super) async fn refusal(server: &TestServer, password: &str) -> String {
        let mut driver = Self::begin(server).await;
        assert_eq!(driver.message().await, (b'R', 3_u32.to_be_bytes().to_vec()));
        driver.say(b'p', format!("{password}\0").as_bytes()).await;
        driver.last_words().await
    }

    /// The error with which the server closes the connection.
    pub(super) async fn last_words(&mut self) -> String {
        let next = tokio::time::timeout(super::client::PATIENCE, self.message()).await;
        let (kind, told) = next.expect("is told in time");
        assert_eq!(kind, b'E', "{}", String::from_utf8_lossy(&told));
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(super::client::PATIENCE, self.0.read_to_end(&mut rest));
        closed.await.expect("and closed").expect("in order");
        assert!(rest.is_empty() || rest[0] == b'Z', "{rest:?}");
        String::from_utf8_lossy(&told).into_owned()
    }

    /// What a setting is said to be when a connection is let in.
    pub(super) async fn told_setting(server: &TestServer, name: &str) -> Option<String> {
        let mut driver = Self::begin(server).await;
        let mut told = None;
        loop {
            match driver.message().await {
                (b'Z', _) => return told,
                (b'S', body) => {
                    let body = String::from_utf8(body).expect("text");
                    let (key, value) = body.split_once('\0').expect("a pair");
                    if key == name {
                        told = Some(value.trim_end_matches('\0').to_owned());
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) async fn message(&mut self) -> (u8, Vec<u8>) {
        let kind = self.0.read_u8().await.expect("speaks");
        let length = self.0.read_u32().await.expect("speaks");
        let mut body = vec![0; usize::try_from(length).expect("fits") - 4];
        self.0.read_exact(&mut body).await.expect("speaks");
        (kind, body)
    }

    async fn begin(server: &TestServer) -> Self {
        Self::begin_as(server, "analyst").await
    }

    pub(super) async fn begin_as(server: &TestServer, user: &str) -> Self {
        let door = server.bound.postgres.expect("the door is open");
        let mut driver = Self(tokio::net::TcpStream::connect(door).await.expect("connects"));
        let words =
            [b"\x00\x03\x00\x00user\0", user.as_bytes(), b"\0database\0tidemark\0\0"].concat();
        let length = u32::try_from(words.len() + 4).expect("short").to_be_bytes();
        driver.0.write_all(&[&length[..], &words].concat()).await.expect("writes");
        driver
    }

    /// Waits until the server closes the connection; false when it says something else first.
    pub(super) async fn is_closed(&mut self) -> bool {
        let next = tokio::time::timeout(super::client::PATIENCE, self.0.read_u8()).await;
        next.is_ok_and(|byte| byte.is_err())
    }

    pub(super) async fn prepare(&mut self, sql: &str) -> Result<(), String> {
        self.say(b'P', format!("s\0{sql}\0\0\0").as_bytes()).await;
        self.say(b'S', b"").await;
        self.until_ready().await.map(|_| ())
    }

    /// What psql does: one query without preparing it.
    pub(super) async fn simple(&mut self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        self.say(b'Q', format!("{sql}\0").as_bytes()).await;
        self.until_ready().await
    }

    /// A query with its parameters as texts of no type, as psycopg sends them.
    pub(super) async fn ask(
        &mut self,
        sql: &str,
        params: &[&str],
    ) -> Result<Vec<Vec<String>>, String> {
        self.say(b'P', format!("\0{sql}\0\0\0").as_bytes()).await;
        let count = u16::try_from(params.len()).expect("few").to_be_bytes();
        let mut bind = [&b"\0\0\0\0"[..], &count[..]].concat();
        for param in params {
            let length = u32::try_from(param.len()).expect("short").to_be_bytes();
            bind.extend([&length[..], param.as_bytes()].concat());
        }
        bind.extend(b"\0\0");
        self.say(b'B', &bind).await;
        self.say(b'E', b"\0\0\0\0\0").await;
        self.say(b'S', b"").await;
        self.until_ready().await
    }

    /// The names of the columns of an answer, as a client is told them before it asks for rows.
    pub(super) async fn columns(&mut self, sql: &str) -> Vec<String> {
        self.say(b'P', format!("\0{sql}\0\0\0").as_bytes()).await;
        self.say(b'D', b"S\0").await;
        self.say(b'S', b"").await;
        let mut names = Vec::new();
        loop {
            let (kind, body) = self.message().await;
            match kind {
                b'Z' => return names,
                b'T' => {
                    let mut rest = &body[2..];
                    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
                        names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
                        rest = &rest[end + 19..];
                    }
                }
                b'E' => panic!("{sql}: {}", String::from_utf8_lossy(&body)),
                _ => {}
            }
        }
    }

    pub(super) async fn execute(&mut self) -> Result<Vec<Vec<String>>, String> {
        self.say(b'B', b"\0s\0\0\0\0\0\0\0").await;
        self.say(b'E', b"\0\0\0\0\0").await;
        self.say(b'S', b"").await;
        self.until_ready().await
    }

    pub(super) async fn say(&mut self, kind: u8, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
        self.0.write_all(&[&[kind], &length[..], body].concat()).await.expect("writes");
    }

    /// The next message, where it is an error; `None` where the connection ends without one.
    pub(super) async fn error(&mut self) -> Option<String> {
        let next = async {
            let kind = self.0.read_u8().await.ok()?;
            let length = self.0.read_u32().await.ok()?;
            let mut body = vec![0; usize::try_from(length).ok()? - 4];
            self.0.read_exact(&mut body).await.ok()?;
            (kind == b'E').then(|| String::from_utf8_lossy(&body).into_owned())
        };
        tokio::time::timeout(super::client::PATIENCE, next).await.ok()?
    }

    /// What is said at the end of a statement that is not prepared.
    pub(super) async fn tag(&mut self, sql: &str) -> String {
        self.say(b'Q', format!("{sql}\0").as_bytes()).await;
        let mut tag = String::new();
        loop {
            match self.message().await {
                (b'C', body) => tag = String::from_utf8_lossy(&body).trim_matches('\0').to_owned(),
                (b'Z', _) => return tag,
                _ => {}
            }
        }
    }

    /// What a COPY sends.
    pub(super) async fn copied(&mut self, sql: &str) -> String {
        self.say(b'Q', format!("{sql}\0").as_bytes()).await;
        let mut copied = String::new();
        loop {
            match self.message().await {
                (b'd', body) => copied.push_str(&String::from_utf8_lossy(&body)),
                (b'E', body) => panic!("{sql}: {}", String::from_utf8_lossy(&body)),
                (b'Z', _) => return copied,
                _ => {}
            }
        }
    }

    /// The rows of what has been prepared with these values: as text, or in PostgreSQL's binary form.
    pub(super) async fn execute_with(
        &mut self,
        values: &[&[u8]],
        is_binary: bool,
    ) -> Result<Vec<Vec<String>>, String> {
        let count = u16::try_from(values.len()).expect("few").to_be_bytes();
        let mut bind = [&b"\0s\0\0\x01\0"[..], &[u8::from(is_binary)], &count].concat();
        for value in values {
            bind.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
            bind.extend_from_slice(value);
        }
        bind.extend(b"\0\0");
        self.say(b'B', &bind).await;
        self.say(b'E', b"\0\0\0\0\0").await;
        self.say(b'S', b"").await;
        self.until_ready().await
    }

    /// The types of the parameters of what has been prepared, by their numbers in PostgreSQL.
    pub(super) async fn parameters(&mut self) -> Vec<u32> {
        self.say(b'D', b"Ss\0").await;
        self.say(b'S', b"").await;
        let mut types = Vec::new();
        loop {
            match self.message().await {
                (b't', body) => {
                    let all = body.get(2..).unwrap_or_default().as_chunks::<4>().0.iter();
                    types = all.map(|oid| u32::from_be_bytes(*oid)).collect();
                }
                (b'Z', _) => return types,
                _ => {}
            }
        }
    }

    /// Rows up to the next time the server is ready, or the error on the way.
    pub(super) async fn until_ready(&mut self) -> Result<Vec<Vec<String>>, String> {
        let mut found = Ok(Vec::new());
        loop {
            let kind = self.0.read_u8().await.expect("speaks");
            let length = self.0.read_u32().await.expect("speaks");
            let mut body = vec![0; usize::try_from(length).expect("fits") - 4];
            self.0.read_exact(&mut body).await.expect("speaks");
            match kind {
                b'Z' => return found,
                b'E' => found = Err(String::from_utf8_lossy(&body).into_owned()),
                b'D' => found.iter_mut().for_each(|rows: &mut Vec<_>| rows.push(cells(&body))),
                _ => {}
            }
        }
    }
}

fn cells(mut row: &[u8]) -> Vec<String> {
    let mut cells = Vec::new();
    row = &row[2..];
    while let Some((length, rest)) = row.split_first_chunk::<4>() {
        let (cell, rest) =
            rest.split_at(usize::try_from(u32::from_be_bytes(*length)).expect("fits"));
        cells.push(String::from_utf8_lossy(cell).into_owned());
        row = rest;
    }
    cells
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_have_words_and_a_long_query_its_end() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    wishes.raw.sql.seconds_max = 1;
    wishes.raw.sql.rows_max = 10;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let mut driver = Driver::connect(&server).await;
    let unknown = driver.simple("SELECT gvm FROM gmv_day").await.expect_err("no such column");
    assert!(unknown.contains("gvm"), "{unknown}");
    let endless = "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a(value), \
                   generate_series(1, 1000000) b(value)";
    let stopped = driver.simple(endless).await.expect_err("is stopped");
    assert!(stopped.contains("stopped after 1 s"), "{stopped}");
    let many = driver.simple("SELECT value FROM generate_series(1, 11)").await;
    let many = many.expect_err("are too many");
    assert!(many.contains("over 10 rows"), "{many}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_tokens_one_is_the_password() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(b"sesame");
    wishes.raw.server.tokens = vec![digest.iter().map(|byte| format!("{byte:02x}")).collect()];
    let server = TestServer::start_with(&publisher.results, wishes).await;
    for wrong in ["", "sesam"] {
        assert!(Driver::connect_with(&server, wrong).await.is_none(), "{wrong:?}");
    }
    let mut driver = Driver::connect_with(&server, "sesame").await.expect("is let in");
    assert_eq!(driver.simple("SELECT 1").await.expect("runs"), [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_users_the_role_must_allow_sql_and_only_their_views_are_there() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    for (name, role) in [("lin", "analyst"), ("guest", "viewer")] {
        let key = crate::auth::secret::hashed(&format!("{name}.sesame")).expect("hashed");
        let user = crate::config::RawUser {
            role: role.to_owned(),
            key,
            scram: None,
            views: Some(vec!["gmv_day".to_owned()]),
        };
        wishes.raw.users.insert(name.to_owned(), user);
    }
    let server = TestServer::start_with(&publisher.results, wishes).await;
    for wrong in ["", "lin.sesam", "lin", "guest.sesame"] {
        assert!(Driver::connect_with(&server, wrong).await.is_none(), "{wrong:?}");
    }
    let right = Driver::refusal(&server, "guest.sesame").await;
    assert!(right.contains("role viewer may not ask in SQL"), "{right}");
    let wrong = Driver::refusal(&server, "guest.sesam").await;
    assert!(!wrong.contains("role viewer"), "who has no key is not told the role: {wrong}");
    let mut driver = Driver::connect_with(&server, "lin.sesame").await.expect("is let in");
    assert_eq!(driver.simple("SELECT count(*) FROM gmv_day").await.expect("runs"), [["1"]]);
    let hidden = driver.simple("SELECT * FROM gmv_by_province").await.expect_err("is not there");
    assert!(hidden.contains("not found"), "{hidden}");
    // Both of the live and of the shadow space.
    let listed = "SELECT DISTINCT relname FROM pg_catalog.pg_class WHERE relname LIKE 'gmv%'";
    assert_eq!(driver.simple(listed).await.expect("runs"), [["gmv_day"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_verifier_proves_the_key_and_never_shows_it() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    for (name, role) in [("lin", "analyst"), ("guest", "viewer")] {
        let key = format!("{name}.sesame");
        let scram = Some(crate::auth::scram::Verifier::new(&key).expect("random").to_text());
        let key = crate::auth::secret::hashed(&key).expect("hashed");
        let user = crate::config::RawUser {
            role: role.to_owned(),
            key,
            scram,
            views: Some(vec!["gmv_day".to_owned()]),
        };
        wishes.raw.users.insert(name.to_owned(), user);
    }
    let server = TestServer::start_with(&publisher.results, wishes).await;
    assert!(Driver::connect_proving(&server, "lin", "lin.sesam").await.is_none(), "a wrong key");
    // Asked and refused like a user there is.
    assert!(Driver::connect_proving(&server, "wang", "wang.sesame").await.is_none(), "nobody");
    assert!(Driver::connect_proving(&server, "guest", "guest.sesame").await.is_none(), "a viewer");
    let mut driver =
        Driver::connect_proving(&server, "lin", "lin.sesame").await.expect("is let in");
    assert_eq!(driver.simple("SELECT count(*) FROM gmv_day").await.expect("runs"), [["1"]]);
    assert!(driver.simple("SELECT * FROM gmv_by_province").await.is_err(), "only the user's views");
    for _ in 0..8 {
        assert!(Driver::connect_proving(&server, "lin", "lin.guess").await.is_none());
    }
    let refused = Driver::connect_proving(&server, "lin", "lin.sesame").await;
    assert!(refused.is_none(), "after ten wrong ones this place waits");
}
