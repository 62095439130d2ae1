//! Joins with reference tables: below and above the aggregate, pinned, and what of them is in a plan.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::live::Live;
use super::{load, plan, refusal, shipped};
use crate::sql::catalog::ViewQuery;
use crate::windows::below::Runner;
use crate::windows::shared::Shared;

const RATES: &str = "CREATE TABLE rates (currency STRING NOT NULL, day DATE NOT NULL, published DATE NOT NULL, rate DECIMAL(18, 8) NOT NULL, note STRING)
WITH ('connector' = 'filesystem', 'path' = 'rates.csv', 'format' = 'csv', 'csv.header' = 'true');";
const HEAD: &str = "currency,day,published,rate,note\n";
const BASE: &str = "eur,2020-11-11,2020-11-10,7.5,\nusd,2020-11-11,2020-11-10,6.12345678,\nusd,2020-11-10,2020-11-09,99,old\n";
/// The scope pins the day and the day of publication.
const SCOPE: &str = "-- scope: yuan@1\n-- zh: 元\n-- en: yuan\nCREATE VIEW yuan AS
SELECT t.*, pinned.rate, t.i * pinned.rate AS gmv FROM t LEFT JOIN
  (SELECT currency, rate FROM rates WHERE day = DATE '2020-11-11' AND published <= DATE '2020-11-10') AS pinned
ON pinned.currency = t.k;";
const VIEW: &str = "SELECT window_start, window_end, SUM(gmv) AS gmv, COUNT(*) AS n, COUNT(*) FILTER (WHERE rate IS NULL) AS without_rate
FROM TABLE(TUMBLE(TABLE yuan, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end";

fn files(rates: &str) -> Vec<(String, String)> {
    vec![
        ("reference/rates.sql".to_owned(), RATES.to_owned()),
        ("reference/rates.csv".to_owned(), format!("{HEAD}{BASE}{rates}")),
        ("scopes/yuan.sql".to_owned(), SCOPE.to_owned()),
    ]
}

fn with<R>(rates: &str, use_files: impl FnOnce(&[(&str, &str)]) -> R) -> R {
    let files = files(rates);
    let borrowed: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    use_files(&borrowed)
}

fn loaded(rates: &str, view: &str) -> crate::sql::Catalog {
    with(rates, |files| load(files, view)).unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[test]
fn an_order_is_converted_exactly_and_one_without_a_rate_is_counted() {
    let mut live = Live::of(loaded("", VIEW), 2);
    live.take(0, &[(1_000, "usd", 1_000_000_007), (1_100, "eur", 2), (1_200, "usd", 3)]);
    live.take(1, &[(1_000, "gold", 5), (1_100, "usd", 1)]);
    live.end();
    let (rows, ..) = &live.shown[&(10_000, 0)];
    // (1000000007 + 3 + 1) x 6.12345678 + 2 x 7.5, and gold is told apart.
    assert_eq!(
        rows,
        &[
            "{\"window_start\":0,\"window_end\":10000,\"gmv\":\"6123456862.35802458\",\"n\":5,\"without_rate\":1}"
        ]
    );
}

#[test]
fn only_rows_inside_the_pin_are_in_the_plan() {
    let hash = |rates: &str| loaded(rates, VIEW).views[0].hash.clone();
    let plan = hash("");
    assert_eq!(plan, hash("usd,2020-11-11,2020-11-12,7.77,a correction published later\n"));
    assert_eq!(plan, hash("usd,2020-11-12,2020-11-10,7.77,of another day\n"));
    assert_ne!(plan, hash("gbp,2020-11-11,2020-11-10,8.7,a currency more inside the pin\n"));
    // Nor does a column count that nobody reads, nor the order of the lines.
    let files = files("");
    let other = files[1].1.replace(",old", ",older").replace(
        "eur,2020-11-11,2020-11-10,7.5,\nusd,2020-11-11,2020-11-10,6.12345678,\n",
        "usd,2020-11-11,2020-11-10,6.12345678,why\neur,2020-11-11,2020-11-10,7.5,\n",
    );
    let changed = [
        (files[0].0.as_str(), files[0].1.as_str()),
        ("reference/rates.csv", &other),
        (files[2].0.as_str(), SCOPE),
    ];
    assert_eq!(plan, load(&changed, VIEW).expect("loads").views[0].hash);
    let moved = other.replace("6.12345678", "6.12345679");
    let changed = [
        (files[0].0.as_str(), files[0].1.as_str()),
        ("reference/rates.csv", &moved),
        (files[2].0.as_str(), SCOPE),
    ];
    assert_ne!(plan, load(&changed, VIEW).expect("loads").views[0].hash);
}

#[test]
fn a_table_is_joined_above_the_aggregate_too() {
    let view = "SELECT g.window_start, g.window_end, g.k, g.n, r.rate FROM (
      SELECT window_start, window_end, k, SUM(i) AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND))
      GROUP BY window_start, window_end, k) AS g
    JOIN rates AS r ON r.currency = g.k AND r.day = DATE '2020-11-11'";
    let catalog = loaded("", view);
    assert_eq!(plan(&catalog).keys, [0, 1, 2]);
    let mut live = Live::of(catalog, 1);
    live.take(0, &[(1_000, "usd", 4), (1_100, "gold", 2), (1_200, "usd", 3)]);
    live.end();
    let (rows, ..) = &live.shown[&(10_000, 0)];
    assert_eq!(
        rows,
        &[
            "{\"window_start\":0,\"window_end\":10000,\"k\":\"usd\",\"n\":7,\"rate\":\"6.12345678\"}"
        ]
    );
}

#[test]
fn several_partners_of_one_record_are_one_record_in_the_accounting() {
    let view = "SELECT COUNT(*) AS n, SUM(i) AS total FROM t JOIN rates ON rates.currency = t.k";
    let mut live = Live::of(loaded("", view), 1);
    live.take(0, &[(1_000, "usd", 4), (1_100, "gold", 2), (1_200, "eur", 3)]);
    live.end();
    assert_eq!(live.shown[&(i64::MAX, i64::MIN)].0, ["{\"n\":3,\"total\":11}"]);
    let counts = live.counts(0);
    assert_eq!((counts.accepted, counts.counted, counts.filtered), (3, 2, 1));
}

#[test]
fn a_join_that_would_give_rows_no_record_has_is_refused() {
    let error = with("", |files| {
        refusal(files, "SELECT COUNT(*) AS n FROM t RIGHT JOIN rates ON rates.currency = t.k")
    });
    assert!(error.message.contains("Right join would give rows of the reference table"), "{error}");
    assert_eq!(error.line, 2, "{error}");
}

/// The shipped scope with the shipped rates: exact, rounded once, and complete.
#[test]
fn the_shipped_scope_in_yuan_is_planned_over_the_shipped_rates() {
    let catalog = shipped();
    let view = catalog.views.iter().find(|view| view.name == "gmv_by_currency").expect("the view");
    assert_eq!(
        view.scope.as_ref().map(|scope| (scope.name.as_str(), scope.version)),
        Some(("paid", 3))
    );
}

#[test]
fn views_over_one_scope_look_its_rates_up_once() {
    let catalog = shipped();
    let rows = RecordBatch::new_empty(Arc::clone(&catalog.streams["orders"].schema));
    let mut shared = Shared::default();
    let mut nodes = Vec::new();
    for name in ["gmv_by_province", "gmv_by_category", "gmv_by_channel", "gmv_by_minute"] {
        let view = catalog.views.iter().find(|view| view.name == name).expect("the view");
        let ViewQuery::Stream(plan) = &view.query else { panic!("{name} is over a stream") };
        let runner = Runner::new(plan.below.clone());
        assert!(runner.is_plain(), "{name}");
        runner.run_shared(&rows, &mut shared).expect("no row fails");
        nodes.push(shared.nodes());
    }
    assert_eq!(nodes, [3; 4], "the batch, those paid, and those with their rates");
}

#[test]
fn rates_that_never_change_are_looked_up_and_a_key_that_is_there_twice_is_joined() {
    let is_plain = |view: &str| {
        let catalog = loaded("", view);
        Runner::new(plan(&catalog).below.clone()).is_plain()
    };
    assert!(is_plain(VIEW));
    let inner = "SELECT SUM(t.i * pinned.rate) AS total, COUNT(*) AS n FROM t
      JOIN (SELECT currency, rate FROM rates WHERE day = DATE '2020-11-11') AS pinned ON pinned.currency = t.k";
    assert!(is_plain(inner));
    // usd has a rate for each of two days.
    let twice = "SELECT SUM(t.i * rates.rate) AS total FROM t JOIN rates ON rates.currency = t.k";
    assert!(!is_plain(twice));
    let mut live = Live::of(loaded("", inner), 1);
    live.take(0, &[(1_000, "usd", 4), (1_100, "gold", 2), (1_200, "eur", 3), (1_300, "usd", 1)]);
    live.end();
    let total = "{\"total\":\"53.11728390\",\"n\":3}";
    assert_eq!(live.shown[&(i64::MAX, i64::MIN)].0, [total]);
}
