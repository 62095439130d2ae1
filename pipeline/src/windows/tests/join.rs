//! Joins of two streams, window by window.

use super::live::Live;
use super::{STREAM, load, refusal};
use crate::results::Mark;
use crate::sql::Catalog;
use crate::windows::fire::right_partition;

fn right() -> String {
    STREAM.replace("CREATE TABLE t", "CREATE TABLE u")
}

fn windowed(table: &str, seconds: i64) -> String {
    format!(
        "(SELECT * FROM TABLE(TUMBLE(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{seconds}' SECOND)))"
    )
}

fn view(kind: &str, on: &str) -> String {
    format!(
        "SELECT a.window_start, a.window_end, a.k, a.i AS paid, b.i AS sent\nFROM {} AS a\n{kind} JOIN {} AS b\nON {on}",
        windowed("t", 5),
        windowed("u", 5)
    )
}

const ON: &str = "a.window_start = b.window_start AND a.window_end = b.window_end AND a.k = b.k";

fn loaded(view: &str) -> Catalog {
    load(&[("streams/u.sql", &right())], view).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn pairs(live: &Live, end_s: i64) -> Vec<String> {
    let Some((rows, ..)) = live.shown.get(&(end_s * 1_000, end_s * 1_000 - 5_000)) else {
        return Vec::new();
    };
    let tail = |row: &String| {
        row.split_once("\"k\":").map_or(String::new(), |(_, tail)| tail.replace('"', ""))
    };
    let mut all: Vec<String> = rows.iter().map(tail).collect();
    all.sort();
    all
}

#[test]
fn rows_meet_within_a_window_and_it_closes_when_both_streams_have_passed() {
    let mut live = Live::of(loaded(&view("", ON)), 1);
    live.take(0, &[(1_000, "x", 1), (2_000, "y", 2), (6_000, "x", 3)]);
    live.take(right_partition(0), &[(1_500, "x", 10), (1_600, "x", 11)]);
    live.publish();
    assert_eq!(pairs(&live, 5), ["x,paid:1,sent:10}", "x,paid:1,sent:11}"]);
    // The left stream is far, the right one is not: the window stays open for the right side.
    live.take(0, &[(30_000, "z", 0)]);
    live.publish();
    assert_eq!(live.shown[&(5_000, 0)].1, Mark::Provisional);
    live.take(right_partition(0), &[(3_000, "y", 12), (9_000, "x", 13)]);
    live.publish();
    assert_eq!(live.shown[&(5_000, 0)].1, Mark::Final);
    assert_eq!(pairs(&live, 5), ["x,paid:1,sent:10}", "x,paid:1,sent:11}", "y,paid:2,sent:12}"]);
    assert_eq!(pairs(&live, 10), ["x,paid:3,sent:13}"]);
    // Each side is late by its own watermark: 29 s on the left, 8 s on the right.
    live.take(0, &[(7_000, "x", 99)]);
    live.take(right_partition(0), &[(8_500, "x", 14)]);
    live.publish();
    assert_eq!(
        (live.late, pairs(&live, 10)),
        (1, vec!["x,paid:3,sent:13}".to_owned(), "x,paid:3,sent:14}".to_owned()])
    );
}

#[test]
fn an_outer_join_keeps_the_rows_of_its_side_and_an_aggregate_stands_above() {
    let mut live = Live::of(loaded(&view("LEFT", ON)), 1);
    live.take(0, &[(1_000, "x", 1), (2_000, "y", 2)]);
    live.take(right_partition(0), &[(1_500, "x", 10), (1_500, "z", 7)]);
    live.end();
    assert_eq!(pairs(&live, 5), ["x,paid:1,sent:10}", "y,paid:2,sent:null}"]);
    let sums = format!(
        "SELECT window_start, window_end, k, SUM(paid) AS p, COUNT(sent) AS n FROM ({})\nGROUP BY window_start, window_end, k",
        view("LEFT", ON)
    );
    let mut live = Live::of(loaded(&sums), 1);
    live.take(0, &[(1_000, "x", 1), (2_000, "y", 2)]);
    live.take(right_partition(0), &[(1_500, "x", 10), (1_500, "x", 7)]);
    live.end();
    assert_eq!(pairs(&live, 5), ["x,p:2,n:2}", "y,p:2,n:0}"]);
}

#[test]
fn a_join_that_could_meet_rows_of_other_windows_or_partitions_is_refused_with_its_place() {
    let other = right();
    let files = [("streams/u.sql", other.as_str())];
    let refused = |view: &str| refusal(&files, view);
    for (on, words) in [
        ("a.window_start = b.window_start AND a.k = b.k", "left.window_end = right.window_end"),
        (
            "a.window_start = b.window_start AND a.window_end = b.window_end AND a.s = b.s",
            "partitioned by k and u by k",
        ),
        ("a.k = b.k", "left.window_start = right.window_start"),
    ] {
        let error = refused(&view("", on));
        assert!(error.message.contains(words), "{error}");
        assert_eq!(error.line, 5, "{error}");
    }
    let differ = view("", ON).replacen("INTERVAL '5' SECOND", "INTERVAL '6' SECOND", 1);
    assert!(refused(&differ).message.contains("the windows of t and u differ"));
    let bare = "SELECT a.k, COUNT(*) AS n FROM t AS a JOIN u AS b ON a.k = b.k GROUP BY a.k";
    assert!(refused(bare).message.contains("put each side into TUMBLE"), "{}", refused(bare));
    let no_key = right().replace(", 'partition.key' = 'k'", "");
    assert!(
        refusal(&[("streams/u.sql", &no_key)], &view("", ON))
            .message
            .contains("declare 'partition.key'")
    );
}

fn groups(stream: &str, measure: &str) -> String {
    format!(
        "(SELECT window_start, window_end, k, {measure} AS n FROM TABLE(TUMBLE(TABLE {stream}, DESCRIPTOR(ts), \
         INTERVAL '5' SECOND)) GROUP BY window_start, window_end, k)"
    )
}

fn full() -> String {
    format!(
        "SELECT COALESCE(a.window_start, b.window_start) AS window_start,\n\
         COALESCE(a.window_end, b.window_end) AS window_end, COALESCE(a.k, b.k) AS k, a.n AS paid, b.n AS sent\n\
         FROM {} AS a\nFULL JOIN {} AS b\nON {ON}",
        groups("t", "SUM(i)"),
        groups("u", "COUNT(*)")
    )
}

#[test]
fn groups_of_both_sides_meet_whatever_partitions_their_rows_were_in() {
    let catalog = loaded(&full());
    let view = super::plan(&catalog);
    let names: Vec<&str> =
        view.keys.iter().map(|at| view.schema.field(*at).name().as_str()).collect();
    assert_eq!(names, ["window_start", "window_end", "k"], "what is the first not NULL is a key");
    let mut live = Live::of(catalog, 2);
    live.take(0, &[(1_000, "x", 1), (2_000, "y", 2)]);
    live.take(1, &[(1_000, "x", 4)]);
    live.take(right_partition(1), &[(1_500, "x", 0), (1_600, "x", 0), (1_700, "z", 0)]);
    live.publish();
    let rows = ["x,paid:5,sent:2}", "y,paid:2,sent:null}", "z,paid:null,sent:1}"];
    assert_eq!(pairs(&live, 5), rows);
    live.restart();
    live.publish();
    assert_eq!(pairs(&live, 5), rows, "both sides' groups are in the state that is saved");
    live.take(right_partition(0), &[(4_000, "y", 0)]);
    live.publish();
    assert_eq!(pairs(&live, 5)[1], "y,paid:2,sent:1}");
}

#[test]
fn a_join_keeps_what_both_sides_would_keep_and_the_estimate_says_so() {
    use crate::sql::options::Retention;
    use crate::sql::state_estimate::{StateBounds, StateEstimate};
    let of = |plan: &crate::sql::ViewPlan| {
        StateEstimate::of(plan, 0, Retention::Rows(10), StateBounds::default()).expect("a number")
    };
    for view in [full(), view("", ON)] {
        let plan = super::plan(&loaded(&view));
        let right = plan.right_side().expect("a join");
        let left = crate::sql::ViewPlan { join: None, ..plan.as_ref().clone() };
        assert_eq!(of(&plan).bytes(), of(&left).bytes() + of(&right).bytes());
    }
    let bounds = StateBounds { bytes_max: 1_000, ..StateBounds::default() };
    let refusal = of(&super::plan(&loaded(&full()))).refusal(bounds).expect("too much");
    assert_eq!(refusal.matches("10000 groups of").count(), 2, "{refusal}");
}

#[test]
fn windows_over_a_join_are_refused_with_what_to_do() {
    let over = format!(
        "SELECT window_start, window_end, COUNT(*) AS n FROM TABLE(TUMBLE(\n\
         (SELECT a.window_time AS at, a.k FROM {} AS a JOIN {} AS b ON {ON}), DESCRIPTOR(at), INTERVAL '1' HOUR))\n\
         GROUP BY window_start, window_end",
        windowed("t", 5),
        windowed("u", 5)
    );
    let error = refusal(&[("streams/u.sql", &right())], &over);
    println!("{error}");
    assert!(error.message.contains("windows cannot stand over a join"), "{error}");
}
