//! What clients of PostgreSQL say that the parser has no words for, and what is no protocol at all.

use super::fixture::{Publisher, TestServer, Wishes};
use super::postgres::Driver;

fn publisher() -> Publisher {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).day(400).publish();
    publisher
}

async fn one(driver: &mut Driver, sql: &str) -> Vec<String> {
    let rows = driver.simple(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_read_and_moved_in_all_words_that_go_forward() {
    let server = TestServer::start(&publisher().results).await;
    let mut driver = Driver::connect(&server).await;
    let declared = "DECLARE C CURSOR WITH HOLD FOR SELECT value FROM generate_series(1, 12)";
    assert!(one(&mut driver, declared).await.is_empty());
    for (words, rows) in [
        ("FETCH c", vec!["1"]),
        ("FETCH NEXT c", vec!["2"]),
        ("FETCH FORWARD FROM c", vec!["3"]),
        ("FETCH 2 c", vec!["4", "5"]),
        ("MOVE 2 FROM c", vec![]),
        ("FETCH FORWARD 1 IN c", vec!["8"]),
        ("MOVE c", vec![]),
        ("FETCH ALL c", vec!["10", "11", "12"]),
        ("FETCH FORWARD ALL c", vec![]),
        ("FETCH FORWARD ALL FROM \"c\"", vec![]),
    ] {
        assert_eq!(one(&mut driver, words).await, rows, "{words}");
    }
    assert_eq!(driver.tag("MOVE ALL c").await, "MOVE 0");
    assert!(one(&mut driver, "CLOSE c").await.is_empty());
    let (declared, both) = (
        "DECLARE d CURSOR WITH HOLD FOR SELECT value FROM generate_series(1, 4)",
        "MOVE 3 d; FETCH d",
    );
    assert!(one(&mut driver, declared).await.is_empty());
    assert_eq!(one(&mut driver, both).await, ["4"]);
    for (words, code) in
        [("FETCH BACKWARD ALL d", "55000"), ("MOVE 1 e", "34000"), ("FETCH ALL", "34000")]
    {
        let refused = driver.simple(words).await.expect_err(words);
        assert!(refused.contains(code), "{words}: {refused}");
    }
    // Prepared, as drivers do it.
    assert!(
        one(&mut driver, "DECLARE p CURSOR WITH HOLD FOR SELECT value FROM generate_series(1, 9)")
            .await
            .is_empty()
    );
    driver.prepare("MOVE FORWARD 7 p").await.expect("is prepared");
    assert!(driver.execute().await.expect("moves").is_empty());
    driver.prepare("FETCH ALL p").await.expect("is prepared");
    assert_eq!(driver.execute().await.expect("fetches"), [["8"], ["9"]]);
    assert_eq!(driver.tag("FETCH ALL p").await, "FETCH 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_who_it_is_where_names_are_looked_up_and_the_numbers_of_tables() {
    let server = TestServer::start(&publisher().results).await;
    let mut driver = Driver::connect(&server).await;
    let number = one(&mut driver, "SELECT 'gmv_day'::regclass::oid").await;
    let looked_up = "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                     WHERE c.relname = 'gmv_day' AND n.nspname = 'public'";
    assert_eq!(one(&mut driver, looked_up).await, number);
    for (sql, told) in [
        ("SELECT current_user, session_user", vec!["analyst", "analyst"]),
        ("SELECT user, current_role", vec!["analyst", "analyst"]),
        ("SELECT current_schema, current_schema()", vec!["public", "public"]),
        ("SELECT 1 WHERE current_user = 'analyst'", vec!["1"]),
        ("SELECT 'gmv_day'::regclass", vec!["gmv_day"]),
        ("SELECT 'public.gmv_day'::regclass::text", vec!["gmv_day"]),
        (
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'gmv_day'::regclass AND attname = 'gmv'",
            vec!["1"],
        ),
        (
            "SELECT count(*) FROM pg_class WHERE oid = 'public.gmv_day'::regclass::oid AND relname = 'gmv_day'",
            vec!["1"],
        ),
        ("SELECT relname FROM pg_class WHERE oid = 'pg_class'::regclass", vec!["pg_class"]),
        ("SHOW search_path", vec!["\"$user\", public"]),
    ] {
        assert_eq!(one(&mut driver, sql).await, told, "{sql}");
        driver.prepare(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(driver.execute().await.expect(sql).concat(), told, "{sql}");
    }
    for sql in
        ["SELECT 'nosuch'::regclass", "SELECT 1 FROM pg_class WHERE oid = 'nosuch'::regclass"]
    {
        let refused = driver.simple(sql).await.expect_err(sql);
        assert!(refused.contains("relation \"nosuch\" does not exist"), "{sql}: {refused}");
    }
    assert!(one(&mut driver, "SET search_path TO public, shadow").await.is_empty());
    let refused = driver.simple("SET search_path TO shadow").await.expect_err("is not so");
    assert!(refused.contains("22023") && refused.contains("write shadow.name"), "{refused}");
}

/// Messages that say of themselves what they are not.
const BROKEN: [(&str, u8, &[u8]); 12] = [
    ("Parse of nothing", b'P', b""),
    ("Parse without types", b'P', b"s\0SELECT 1\0"),
    ("Parse with types that do not come", b'P', b"s\0SELECT 1\0\xff\xff\0\0\0\x17"),
    ("Bind of nothing", b'B', b""),
    ("Bind without values", b'B', b"\0s\0\0\0"),
    ("Bind with values that do not come", b'B', b"\0s\0\0\0\xff\xff"),
    ("Bind with a value longer than itself", b'B', b"\0s\0\0\0\0\x01\x7f\xff\xff\xffx\0\0"),
    ("Bind with a value of -2 bytes", b'B', b"\0s\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
    ("Bind with formats of other values", b'B', b"\0s\0\0\x02\0\0\0\0\0\x01\0\0\0\x01x\0\0"),
    ("Execute without a number", b'E', b"\0"),
    ("Describe of nothing", b'D', b""),
    ("a query without an end", b'Q', b"SELECT 1"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_what_it_says_ends_its_connection_with_a_protocol_violation() {
    let server = TestServer::start(&publisher().results).await;
    for (what, kind, body) in BROKEN {
        let mut driver = Driver::connect(&server).await;
        driver.prepare("SELECT $1::text").await.expect("is prepared");
        driver.say(kind, body).await;
        let told = driver.error().await.unwrap_or_else(|| panic!("{what}: no word"));
        assert!(told.contains("08P01"), "{what}: {told}");
        assert!(driver.is_closed().await, "{what}");
    }
    // Formats of columns that the answer does not have are an error like any other.
    let mut driver = Driver::connect(&server).await;
    driver.prepare("SELECT 1, 2, 3").await.expect("is prepared");
    driver.say(b'B', b"\0s\0\0\0\0\0\0\x02\0\0\0\0").await;
    driver.say(b'E', b"\0\0\0\0\0").await;
    driver.say(b'S', b"").await;
    let refused = driver.until_ready().await.expect_err("is refused");
    assert!(refused.contains("08P01") && refused.contains("3 columns"), "{refused}");
    assert_eq!(driver.execute().await.expect("goes on"), [["1", "2", "3"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_words_of_a_proof_are_looked_at_before_they_are_believed() {
    let mut wishes = Wishes::default();
    let scram = crate::auth::scram::Verifier::new("lin.sesame").expect("random").to_text();
    let user = crate::config::RawUser {
        role: "analyst".to_owned(),
        key: crate::auth::secret::hashed("lin.sesame").expect("hashed"),
        scram: Some(scram),
        views: None,
    };
    wishes.raw.users.insert("lin".to_owned(), user);
    let server = TestServer::start_with(&publisher().results, wishes).await;
    for body in [&b"SCRAM-SHA-256\0\x7f\xff\xff\xffn"[..], b"", b"SCRAM-SHA-256\0\0"] {
        let mut driver = Driver::begin_as(&server, "lin").await;
        let (kind, _) = driver.message().await;
        assert_eq!(kind, b'R');
        driver.say(b'p', body).await;
        let told = driver.error().await.expect("a word");
        assert!(told.contains("08P01"), "{told}");
    }
}
