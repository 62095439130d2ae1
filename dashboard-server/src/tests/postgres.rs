//! The PostgreSQL door, asked by the real psql where the machine has one.

use std::process::Output;

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
async fn psql_may_not_change_anything() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
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
        "DECLARE c CURSOR FOR SELECT 1",
        "EXPLAIN INSERT INTO gmv_day VALUES (1)",
    ] {
        let Some(refused) = psql(&server, &[command], &[]).await else { return };
        assert!(!refused.status.success(), "{command}: {}", told(&refused));
        assert!(told(&refused).contains("is not allowed here"), "{command}: {}", told(&refused));
    }
    let still = psql(&server, &["SELECT count(*) FROM gmv_day"], &[]).await.expect("has psql");
    assert!(told(&still).contains(" 1\n"), "{}", told(&still));
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
        "COMMIT",
        "DISCARD ALL",
        "SELECT current_database(), current_schema()",
    ];
    let Some(output) = psql(&server, &commands, &[]).await else { return };
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("tidemark"), "{}", told(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_answers_with_the_newest_cut() {
    let mut publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let sql = "SELECT gmv, cut FROM gmv_day, current_cut";
    let Some(before) = psql(&server, &[sql], &[]).await else { return };
    assert!(told(&before).contains("4.00 |   1"), "{}", told(&before));
    publisher.day(500).publish();
    let after = psql(&server, &[sql], &[]).await.expect("has psql");
    assert!(told(&after).contains("5.00 |   2"), "{}", told(&after));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_have_words_and_a_long_query_its_end() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    wishes.raw.sql.seconds_max = 1;
    wishes.raw.sql.rows_max = 10;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let Some(unknown) = psql(&server, &["SELECT gvm FROM gmv_day"], &[]).await else { return };
    assert!(told(&unknown).contains("gvm") && !unknown.status.success(), "{}", told(&unknown));
    let endless = "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a(value), \
                   generate_series(1, 1000000) b(value)";
    let stopped = psql(&server, &[endless], &[]).await.expect("has psql");
    assert!(told(&stopped).contains("stopped after 1 s"), "{}", told(&stopped));
    let many =
        psql(&server, &["SELECT value FROM generate_series(1, 11)"], &[]).await.expect("has psql");
    assert!(told(&many).contains("over 10 rows"), "{}", told(&many));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_tokens_one_is_the_password() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(b"sesame");
    wishes.raw.server.tokens = vec![digest.iter().map(|byte| format!("{byte:02x}")).collect()];
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let Some(without) = psql(&server, &["SELECT 1"], &[]).await else { return };
    assert!(!without.status.success());
    let wrong = psql(&server, &["SELECT 1"], &[("PGPASSWORD", "sesam")]).await.expect("has psql");
    assert!(!wrong.status.success());
    let right = psql(&server, &["SELECT 1"], &[("PGPASSWORD", "sesame")]).await.expect("has psql");
    assert!(right.status.success(), "{}", told(&right));
}
