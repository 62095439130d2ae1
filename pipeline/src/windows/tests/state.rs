//! How much state views keep, and which are refused for it.

use super::live::Live;
use super::{load, refusal, shipped};
use crate::sql::catalog::ViewQuery;
use crate::sql::options::Emit;
use crate::sql::state_estimate::{StateBounds, StateEstimate};

fn cumulate(options: &str, call: &str) -> String {
    format!(
        "{options}AS SELECT window_start, window_end, {call} AS n\n\
         FROM TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '1' DAY))\n\
         GROUP BY window_start, window_end"
    )
}

#[test]
fn a_view_that_would_pass_its_bound_is_refused_with_the_estimate_in_words() {
    let day = "WITH ('allowed-lateness' = '1 d', 'result.retention' = '1 d') ";
    let error = refusal(&[], &cumulate(day, "APPROX_DISTINCT(s)"));
    for words in [
        "86404 slices x 8 partitions x (1 groups of 16.0 KiB)",
        "approx_distinct",
        "10.6 GiB",
        "bound is 512.0 MiB",
        "coarser steps",
    ] {
        assert!(error.message.contains(words), "{words}: {error}");
    }
    // A sum of that kind, and a sketch a day, are fine.
    assert!(load(&[], &cumulate(day, "SUM(d)")).is_ok());
    assert!(
        load(&[], &cumulate("WITH ('result.retention' = '600 rows') ", "APPROX_DISTINCT(s)"))
            .is_ok()
    );
}

#[test]
fn the_views_own_words_on_groups_and_values_count() {
    let tumble = |options: &str, call: &str| {
        format!(
            "{options}AS SELECT window_start, k, {call} AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_start, window_end, k"
        )
    };
    assert!(load(&[], &tumble("", "COUNT(DISTINCT s)")).is_ok());
    let many = "WITH ('state.groups' = '31', 'state.values' = '50000000') ";
    let error = refusal(&[], &tumble(many, "COUNT(DISTINCT s)"));
    assert!(
        error.message.contains("(31 groups of 37 bytes + 50000000 values of 33 bytes)"),
        "{error}"
    );
    assert!(
        refusal(&[], &tumble("WITH ('state.groups' = '1000000') ", "APPROX_MEDIAN(d)"))
            .message
            .contains("1000000 groups")
    );
    let error = refusal(&[], &tumble("WITH ('state.groups' = 'many') ", "COUNT(*)"));
    assert!(error.message.contains("'state.groups': 'many' is not a number"), "{error}");
}

/// The shipped views, were each allowed a day of lateness, must stay under a gibibyte together. The ticker of
/// single orders is left out: a second of it has as many groups as orders, and nobody revises a ticker. So is
/// the lag of sources: a sketch is reckoned at its largest, which lags within a few decades never need. What is shown
/// once, when it is closed, is not there to be revised.
#[test]
fn all_shipped_views_with_a_day_of_lateness_are_estimated_under_a_gibibyte() {
    let bounds = StateBounds::default();
    let catalog = shipped();
    let mut all = 0;
    for view in catalog
        .views
        .iter()
        .filter(|view| !["live_orders", "source_day"].contains(&view.name.as_str()))
        .filter(|view| view.emit == Emit::Changes)
    {
        if let ViewQuery::Stream(plan) = &view.query {
            let estimate =
                StateEstimate::of(plan, 86_400_000, view.retention, bounds).expect("an estimate");
            println!("{}: {} bytes", view.name, estimate.bytes());
            all += estimate.bytes();
        }
    }
    println!("together: {all} bytes");
    assert!(all < 1 << 30, "{all}");
}

/// A tenth of a day of one-second slices, two groups each.
#[test]
fn closed_slices_that_may_be_revised_cost_what_their_groups_cost() {
    let view = "WITH ('allowed-lateness' = '1 d', 'state.groups' = '2') AS SELECT window_start, window_end, k, SUM(i) AS n, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end, k";
    let mut live = Live::new(view, 1);
    let before = resident_bytes();
    for second in 0..8_640 {
        live.take(0, &[(second * 1_000, "a", 1), (second * 1_000, "b", 1)]);
        if second % 2_000 == 0 {
            live.publish();
            live.shown.clear();
        }
    }
    live.publish();
    live.shown.clear();
    let table = &live.state.tables()[&0];
    assert_eq!(table.slices.len(), 8_640);
    let own: usize = table.slices.values().map(|slice| slice.heap_bytes()).sum();
    let each = own / 8_640;
    println!(
        "{own} bytes of groups, {each} a slice; the process grew by {} bytes",
        resident_bytes().saturating_sub(before)
    );
    assert!(each < 2 * 64, "{each} bytes for two groups");
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0)
        * 4_096
}

#[test]
fn a_record_that_a_view_leaves_out_opens_no_window() {
    let view = "AS SELECT window_start, window_end, COUNT(DISTINCT k) AS n\n\
        FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)) WHERE i > 5\n\
        GROUP BY window_start, window_end";
    let mut live = Live::new(view, 1);
    live.take(0, &[(1_000, "a", 1), (2_000, "b", 2)]);
    live.publish();
    assert!(live.shown.is_empty(), "{:?}", live.shown);
    live.take(0, &[(3_000, "c", 9)]);
    live.publish();
    assert_eq!(live.shown.len(), 1);
}
