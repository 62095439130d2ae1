use std::fmt::Write as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::results::json::write_row;

/// A folder with the files of a script.
struct Script {
    folder: TempDir,
    options: JobOptions,
}

/// Orders of five-second windows; the watermark is two seconds behind.
const ORDERS: &str = "CREATE TABLE orders (id STRING NOT NULL, shop STRING, amount DECIMAL(12, 2), currency STRING,\n\
    event_time TIMESTAMP(3) NOT NULL, WATERMARK FOR event_time AS event_time - INTERVAL '2' SECOND)\n\
    WITH ('connector' = 'filesystem', 'path' = 'orders.jsonl', 'format' = 'json', 'dedup.key' = 'id',\n\
    'dedup.horizon' = '10 d');\n";
const SUMS: &str = "SELECT window_start, COUNT(*) AS n, SUM(amount) AS gmv\n\
    FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '5' SECOND)) GROUP BY window_start, window_end";

impl Script {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, options: JobOptions::default() }
    }

    /// Orders, each with its second of event time: `(id, second, amount)`.
    fn orders(self, orders: &[(&str, i64, &str)]) -> Self {
        let mut lines = String::new();
        for (id, second, amount) in orders {
            let time = 1_605_024_000_000 + second * 1_000;
            writeln!(
                lines,
                r#"{{"id":"{id}","shop":"s","amount":"{amount}","currency":"EUR","event_time":{time}}}"#
            )
            .expect("text");
        }
        self.file("orders.jsonl", &lines)
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).expect("written");
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, sql: &str) -> Result<(Vec<String>, JobSummary), JobError> {
        let mut rows = Vec::new();
        let summary =
            run_script(&self.path("job.sql"), sql, &self.options, &mut |event| match event {
                JobEvent::Rows { rows: batch, mark, revision } => {
                    let columns: Vec<usize> = (0..batch.num_columns()).collect();
                    for row in 0..batch.num_rows() {
                        let mut text = String::new();
                        write_row(&mut text, batch, &columns, row);
                        if self.options.emit == Emit::Changes {
                            write!(text, " {} {revision}", mark.as_str()).expect("text");
                        }
                        rows.push(text);
                    }
                }
                JobEvent::Columns(_) | JobEvent::DeadLetter(_) | JobEvent::Read { .. } => {}
            })?;
        Ok((rows, summary))
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        self.run(sql).expect("runs").0
    }

    fn refused(&self, sql: &str) -> String {
        self.run(sql).expect_err("is refused").to_string()
    }
}

fn view(options: &str, query: &str) -> String {
    format!("{ORDERS}CREATE MATERIALIZED VIEW sums {options} AS {query};\n")
}

/// The second order of window 0 comes three seconds after its watermark has passed the window's end.
fn with_a_late_order() -> Script {
    Script::new().orders(&[
        ("a", 1, "1.00"),
        ("b", 10, "2.00"),
        ("late", 2, "4.00"),
        ("c", 30, "8.00"),
        ("gone", 3, "16.00"),
    ])
}

#[test]
fn a_view_that_nothing_reads_hands_its_rows_on_with_the_lateness_it_allows() {
    let script = with_a_late_order();
    let strict = script.rows(&view("", SUMS));
    assert!(strict[0].contains(r#""n":1,"gmv":"1.00""#), "{strict:?}");
    let patient = script.rows(&view("WITH ('allowed-lateness' = '10 s')", SUMS));
    assert!(patient[0].contains(r#""n":2,"gmv":"5.00""#), "{patient:?}");
    assert_eq!(patient.len(), 3, "{patient:?}");
}

#[test]
fn the_rows_of_a_view_do_not_depend_on_the_batches_and_its_revisions_are_told_as_changes() {
    let mut script = with_a_late_order();
    let patient = view("WITH ('allowed-lateness' = '10 s')", SUMS);
    let want = script.rows(&patient);
    for batch_records in [1, 2] {
        script.options.batch_records = batch_records;
        assert_eq!(script.rows(&patient), want);
    }
    script.options = JobOptions { emit: Emit::Changes, batch_records: 1, ..JobOptions::default() };
    let changes = script.rows(&patient);
    let revised = |row: &&String| row.contains(r#""n":2,"gmv":"5.00""#) && row.ends_with("1");
    assert!(changes.iter().any(|row| revised(&row)), "{changes:?}");
    assert!(changes.iter().any(|row| row.ends_with("final 1")), "{changes:?}");
}

#[test]
fn a_view_shows_what_its_retention_keeps_and_the_others_are_counted() {
    let script = with_a_late_order();
    let (rows, summary) =
        script.run(&view("WITH ('result.retention' = '1 rows')", SUMS)).expect("runs");
    assert_eq!((rows.len(), summary.beyond_retention), (1, 2), "{rows:?}");
    assert!(rows[0].contains(r#""gmv":"8.00""#), "{rows:?}");
}

#[test]
fn a_view_is_refused_for_what_a_server_refuses_with_its_place() {
    let script = with_a_late_order();
    let refused = |options: &str, query: &str| script.refused(&view(options, query));
    let unknown = refused("WITH ('alowed-lateness' = '1 s')", SUMS);
    assert!(unknown.contains("job.sql:5:1") && unknown.contains("did you mean"), "{unknown}");
    let plain = refused("", "SELECT id FROM orders");
    assert!(plain.contains("needs GROUP BY or a window"), "{plain}");
    let distinct = "SELECT window_start, shop, APPROX_DISTINCT(id) AS n\n\
        FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '1' SECOND)) GROUP BY window_start, window_end, shop";
    let much = refused("WITH ('allowed-lateness' = '1 d')", distinct);
    assert!(much.contains("job.sql:5:1") && much.contains("slices x"), "{much}");
}

#[test]
fn the_state_bound_holds_for_the_estimate_of_a_view_and_for_any_query_while_it_runs() {
    let orders: Vec<(String, i64)> = (0..3_000).map(|id| (format!("o{id}"), id % 5)).collect();
    let orders: Vec<(&str, i64, &str)> =
        orders.iter().map(|(id, second)| (id.as_str(), *second, "1.00")).collect();
    let mut script = Script::new().orders(&orders);
    script.options.state_bounds.bytes_max = 50_000;
    let by_id = SUMS.replace("window_start, COUNT", "window_start, id, COUNT") + ", id";
    let estimated = script.refused(&view("", &by_id));
    assert!(estimated.contains("pipeline.state-bytes-max"), "{estimated}");
    let measured = script.refused(&view("WITH ('state.groups' = '10')", &by_id));
    assert!(measured.contains("job.sql:5:1: it keeps"), "{measured}");
    let query = script.refused(&format!("{ORDERS}{by_id};"));
    assert!(query.contains("job.sql:5:1: the query keeps"), "{query}");
    script.options.state_bounds.bytes_max = 50_000_000;
    assert_eq!(script.rows(&format!("{ORDERS}{by_id};")).len(), 3_000);
}

#[test]
fn views_are_read_by_queries_and_by_other_views_after_their_input_has_ended() {
    let script = with_a_late_order();
    let sql = view("", SUMS)
        + "CREATE MATERIALIZED VIEW total AS SELECT SUM(gmv) AS gmv, COUNT(*) AS windows FROM sums;\n\
           SELECT gmv, windows, _mark FROM total;\n\
           SELECT MAX(gmv) AS best FROM sums;";
    let want = [
        r#"{"gmv":"11.00","windows":3,"_mark":"final"}"#.to_owned(),
        r#"{"best":"8.00"}"#.to_owned(),
    ];
    assert_eq!(script.rows(&sql), want);
}

const RATES: &str = "CREATE TABLE rates (currency STRING NOT NULL, day DATE NOT NULL, rate DECIMAL(10, 4) NOT NULL)\n\
    WITH ('connector' = 'filesystem', 'path' = 'rates.csv', 'format' = 'csv', 'csv.header' = 'true');\n";

#[test]
fn a_query_joins_a_table_without_event_time_by_rates_pinned_to_a_day() {
    let rates = "currency,day,rate\nEUR,2020-11-10,7.8000\nEUR,2020-11-11,9.0000\n";
    let script = with_a_late_order().file("rates.csv", rates);
    let query = "SELECT SUM(amount * rate) AS cny FROM orders JOIN rates ON orders.currency = rates.currency\n\
        AND rates.day = DATE '2020-11-10'";
    let want = [r#"{"cny":"241.800000"}"#.to_owned()];
    assert_eq!(script.rows(&format!("{ORDERS}{RATES}{query};")), want, "31 EUR at 7.8");
    // The scope of a view, and the table first in the text: it is the stream that has a watermark.
    let turned = format!(
        "{ORDERS}{RATES}CREATE VIEW paid AS SELECT r.rate * o.amount AS cny, o.event_time FROM rates r JOIN orders o\n\
         ON o.currency = r.currency WHERE r.day = DATE '2020-11-10';\n\
         CREATE MATERIALIZED VIEW sums AS SELECT SUM(cny) AS cny FROM paid;\nSELECT cny FROM sums;"
    );
    assert_eq!(script.rows(&turned), want);
    let missing =
        script.refused(&format!("{ORDERS}{}{query};", RATES.replace("rates.csv", "no.csv")));
    assert!(missing.contains("job.sql:5:1") && missing.contains("no.csv"), "{missing}");
    let script = script.file("rates.csv", "currency,day,rate\nEUR,2020-11-10,much\n");
    let broken = script.refused(&format!("{ORDERS}{RATES}{query};"));
    assert!(broken.contains("job.sql:5:1") && broken.contains("much"), "{broken}");
}

#[test]
fn what_became_of_the_records_is_read_as_tables_after_the_streams_have_ended() {
    let script = with_a_late_order();
    let lines = std::fs::read_to_string(script.path("orders.jsonl")).expect("there");
    let script = script.file("orders.jsonl", &format!("{lines}{{broken\n{lines}"));
    let sql = view("WITH ('allowed-lateness' = '10 s')", SUMS)
        + &format!("INSERT INTO out {SUMS};\n")
        + "SELECT view, \"offset\", windows_missed FROM late_orders ORDER BY view, \"offset\";\n\
           SELECT \"offset\", raw FROM dead_letters;\n\
           SELECT stream, \"read\", accepted, duplicate, rejected FROM records_accounted;\n\
           SELECT view, accepted, counted, late FROM views_accounted ORDER BY view;\n";
    let out = "CREATE TABLE out (window_start TIMESTAMP(3), n BIGINT, gmv DECIMAL(22, 2))\n\
        WITH ('connector' = 'filesystem', 'path' = 'OUT', 'format' = 'json');\n";
    let out = out.replace("OUT", &script.path("out.jsonl").display().to_string());
    // The offset of a record in a file is its line.
    let want = [
        r#"{"view":"job.sql:9:1","offset":3,"windows_missed":1}"#,
        r#"{"view":"job.sql:9:1","offset":5,"windows_missed":1}"#,
        r#"{"view":"sums","offset":5,"windows_missed":1}"#,
        r#"{"offset":6,"raw":"{broken"}"#,
        r#"{"stream":"orders","read":11,"accepted":5,"duplicate":5,"rejected":1}"#,
        r#"{"view":"job.sql:9:1","accepted":5,"counted":3,"late":2}"#,
        r#"{"view":"sums","accepted":5,"counted":4,"late":1}"#,
    ];
    let rows = script.rows(&(out + &sql.replace("INTO out", "INTO out ")));
    assert_eq!(rows[3..], want, "{rows:#?}");
}

#[test]
fn no_view_is_kept_over_a_ledger_and_a_full_one_stops_the_job() {
    let mut script = with_a_late_order();
    let refused = script.refused(&format!(
        "{ORDERS}CREATE MATERIALIZED VIEW v AS SELECT COUNT(*) AS n FROM late_orders;"
    ));
    assert!(refused.contains("job.sql:5:1") && refused.contains("late_orders"), "{refused}");
    script.options.ledger_bytes_max = 10;
    let full = script.refused(&format!("{ORDERS}{SUMS};\nSELECT * FROM late_orders;"));
    assert!(full.contains("job.sql:5:1: ledger late_orders is full"), "{full}");
}

#[test]
fn an_input_that_is_another_one_for_the_next_statement_stops_the_job() {
    let script = with_a_late_order();
    let out = script.path("orders.jsonl").display().to_string();
    let sink = format!(
        "CREATE TABLE sink (id STRING) WITH ('connector' = 'filesystem', 'path' = '{out}', 'format' = 'json');\n"
    );
    // A query may not write over what it reads itself, but over what another has read.
    std::fs::copy(script.path("orders.jsonl"), script.path("other.jsonl")).expect("copied");
    let other =
        ORDERS.replace("TABLE orders", "TABLE other").replace("orders.jsonl", "other.jsonl");
    assert_ne!(other, ORDERS);
    let sql = format!(
        "{ORDERS}{other}{sink}SELECT id FROM orders;\nINSERT INTO sink SELECT id FROM other;\n{SUMS};"
    );
    let changed = script.refused(&sql);
    let line = ORDERS.lines().count() + other.lines().count() + 4;
    assert!(
        changed.contains(&format!("job.sql:{line}:1"))
            && changed.contains("read 5 records and accepted 5, this one 5 and 0"),
        "{changed}"
    );
}

#[test]
fn dedup_keys_beyond_the_memory_bound_still_tell_duplicates() {
    // Hours apart, so that the keys are of many hours of event time, of which the older go to disk.
    let orders: Vec<(String, i64)> = (0..20_000).map(|id| (format!("o{id}"), id * 30)).collect();
    let mut orders: Vec<(&str, i64, &str)> =
        orders.iter().map(|(id, second)| (id.as_str(), *second, "1.00")).collect();
    let again = orders.clone();
    orders.extend(again);
    let mut script = Script::new().orders(&orders);
    script.options.dedup_memory_bytes_max = 4_096;
    let count = format!("{ORDERS}SELECT COUNT(*) AS n, SUM(amount) AS gmv FROM orders;");
    let (rows, summary) = script.run(&count).expect("runs");
    assert_eq!(rows, [r#"{"n":20000,"gmv":"20000.00"}"#.to_owned()]);
    assert_eq!((summary.records.accepted, summary.records.duplicate), (20_000, 20_000));
}

#[test]
fn no_query_overwrites_the_file_it_reads_whatever_the_tables_are_called() {
    let script = Script::new().orders(&[("a", 1, "1.00")]);
    let before = std::fs::read_to_string(script.path("orders.jsonl")).expect("read");
    let path = script.path("orders.jsonl").display().to_string();
    let orders = ORDERS.replace("orders.jsonl", &path);
    let again = script.path(".").join("orders.jsonl").display().to_string();
    let columns =
        "id STRING, shop STRING, amount DECIMAL(12, 2), currency STRING, event_time TIMESTAMP(3)";
    let copy = format!(
        "CREATE TABLE copy ({columns}) WITH ('connector' = 'filesystem', 'path' = '{again}', 'format' = 'json');\n"
    );
    let plain =
        "CREATE VIEW all_orders AS SELECT id, shop, amount, currency, event_time FROM orders;\n";
    let kept = format!("CREATE MATERIALIZED VIEW sums AS {SUMS};\n");
    let sums = "SELECT CAST(n AS STRING), '', gmv, '', window_start FROM sums";
    for (sink, query) in [
        ("orders", "SELECT id, shop, amount, currency, event_time FROM orders"),
        ("copy", "SELECT id, shop, amount, currency, event_time FROM orders"),
        ("copy", "SELECT * FROM all_orders"),
        ("copy", sums),
        (
            "copy",
            "SELECT n, '', n, '', w FROM (SELECT COUNT(*) AS n, MAX(event_time) AS w FROM all_orders)",
        ),
    ] {
        let sql = format!("{orders}{copy}{plain}{kept}INSERT INTO {sink} {query};\n");
        let refused = script.refused(&sql);
        let line = sql.lines().count();
        assert!(refused.contains(&format!("job.sql:{line}:1")), "{refused}");
        assert!(refused.contains("would overwrite it"), "{query}: {refused}");
        let after = std::fs::read_to_string(script.path("orders.jsonl")).expect("read");
        assert_eq!(after, before, "{query}");
    }
}

#[test]
fn a_run_that_fails_leaves_the_output_as_it_was_and_no_half_of_another() {
    let script =
        Script::new().orders(&[("a", 1, "1.00"), ("b", 99, "7.00")]).file("out.jsonl", "old\n");
    let path = script.path("out.jsonl").display().to_string();
    let sql = format!(
        "{ORDERS}CREATE TABLE out (w TIMESTAMP(3), x BIGINT) WITH ('connector' = 'filesystem', \
         'path' = '{path}', 'format' = 'json');\nINSERT INTO out SELECT window_start, 10 / (CAST(SUM(amount) AS BIGINT) - 7) \
         FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '5' SECOND)) GROUP BY window_start, window_end;\n"
    );
    let failed = script.refused(&sql);
    assert!(failed.to_lowercase().contains("divide by zero"), "{failed}");
    assert_eq!(std::fs::read_to_string(script.path("out.jsonl")).expect("read"), "old\n");
    assert!(!script.path("out.jsonl.partial").exists(), "nothing of the failed run is left");
}

#[test]
fn a_file_holds_what_the_query_says_or_the_job_stops() {
    let script = Script::new().orders(&[("a", 1, "1.00"), ("b", 2, "393371.52")]);
    let insert = |of_type: &str, value: &str| {
        format!(
            "{ORDERS}CREATE TABLE out (total {of_type}) WITH ('connector' = 'filesystem', 'path' = '{}', \
             'format' = 'json');\nINSERT INTO out SELECT {value} FROM orders;\nSELECT total FROM out;\n",
            script.path("out").display()
        )
    };
    for of_type in ["DECIMAL(38, 2)", "DECIMAL(8, 2)", "DECIMAL(20, 4)", "STRING"] {
        let (rows, _) = script.run(&insert(of_type, "SUM(amount)")).expect("runs");
        assert!(rows.len() == 1 && rows[0].contains("393372.52"), "{of_type}: {rows:?}");
    }
    for of_type in ["DECIMAL(12, 1)", "INT", "TINYINT", "DOUBLE"] {
        let refused = script.refused(&insert(of_type, "SUM(amount)"));
        assert!(refused.contains("would cut what the query says"), "{of_type}: {refused}");
    }
    for of_type in ["DECIMAL(12, 2)", "INT", "DOUBLE"] {
        let refused = script.refused(&insert(of_type, "MAX(id)"));
        assert!(refused.contains("would cut what the query says"), "{of_type}: {refused}");
    }
    for (of_type, value) in [("DECIMAL(4, 2)", "SUM(amount)"), ("TINYINT", "COUNT(*) * 100")] {
        let refused = script.refused(&insert(of_type, value));
        assert!(refused.contains("INSERT INTO out"), "{of_type}: {refused}");
    }
}

#[test]
fn statements_that_write_one_table_add_up_and_two_tables_do_not_share_a_file() {
    let script = Script::new().orders(&[("a", 1, "1.00"), ("b", 7, "2.00")]);
    for format in ["json", "csv', 'csv.header' = 'true", "parquet"] {
        let sink = |table: &str| {
            format!(
                "CREATE TABLE {table} (id STRING, amount DECIMAL(12, 2)) WITH ('connector' = 'filesystem', \
                 'path' = '{}', 'format' = '{format}');\n",
                script.path("out").display()
            )
        };
        let insert = "INSERT INTO out SELECT id, amount FROM orders";
        let sql = format!(
            "{ORDERS}{}{insert} WHERE id = 'x';\n{insert} WHERE id = 'a';\n{insert} WHERE id = 'b';\n\
             SELECT id, amount FROM out;\n",
            sink("out")
        );
        // A second run of the script begins anew.
        for _ in 0..2 {
            let (rows, _) = script.run(&sql).expect("runs");
            let want = [r#"{"id":"a","amount":"1.00"}"#, r#"{"id":"b","amount":"2.00"}"#];
            assert_eq!(rows, want, "{format}");
        }
        let other = format!(
            "{ORDERS}{}{}{insert};\nINSERT INTO other SELECT id, amount FROM orders;\n",
            sink("out"),
            sink("other")
        );
        let refused = script.refused(&other);
        assert!(
            refused.contains("the table out was written into the same file before"),
            "{refused}"
        );
    }
}

#[test]
fn a_column_called_view_is_read_wherever_it_stands() {
    let script = with_a_late_order();
    let sql = format!("{}SELECT late, view FROM views_accounted;\n", view("", SUMS));
    let (rows, _) = script.run(&sql).expect("runs");
    assert_eq!(rows.last().map(String::as_str), Some(r#"{"late":2,"view":"sums"}"#), "{rows:?}");
}
