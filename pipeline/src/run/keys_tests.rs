//! What a view calls its keys: columns that tell all its rows apart, or `_row` besides.

use std::collections::BTreeMap;

use super::publisher::view_info;
use crate::results::snapshot::ROW_KEY;

const ORDERS: &str = "CREATE TABLE orders (id STRING NOT NULL, k STRING, j STRING, x BIGINT, ts TIMESTAMP(3) NOT NULL, \
    WATERMARK FOR ts AS ts) WITH ('connector' = 'embedded', 'time-zone' = 'UTC');";

/// The keys of a view with this query.
fn keys(query: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a folder");
    for (path, text) in [
        ("streams/orders.sql", ORDERS.to_owned()),
        ("views/v.sql", format!("CREATE MATERIALIZED VIEW v AS {query};")),
    ] {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let catalog = super::reference::catalog(dir.path(), &BTreeMap::new(), Default::default());
    let catalog = catalog.map_err(|errors| format!("{errors:?}")).expect("is right");
    view_info(&catalog, &catalog.views[0]).keys
}

const MINUTES: &str = "FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))";
const STEPS: &str =
    "FROM TABLE(CUMULATE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR))";

#[test]
fn columns_that_are_all_a_view_groups_by_are_its_keys() {
    assert_eq!(keys("SELECT k, SUM(x) AS s FROM orders GROUP BY k"), ["k"]);
    assert_eq!(keys("SELECT SUM(x) AS s FROM orders"), Vec::<String>::new());
    let grouped = format!(
        "SELECT window_start, k, upper(j) AS u, SUM(x) AS s {MINUTES} GROUP BY window_start, window_end, k, upper(j)"
    );
    assert_eq!(keys(&grouped), ["window_start", "k", "u"]);
    let steps = format!("SELECT window_end, SUM(x) AS s {STEPS} GROUP BY window_start, window_end");
    assert_eq!(keys(&steps), ["window_end"]);
}

#[test]
fn rows_that_no_column_tells_apart_have_a_key_of_their_own() {
    let queries = [
        "SELECT upper(k) AS u, SUM(x) AS s FROM orders GROUP BY k".to_owned(),
        "SELECT k, SUM(x) AS s FROM orders GROUP BY k, j".to_owned(),
        "SELECT k, k AS again, SUM(x) AS s FROM orders GROUP BY k, j".to_owned(),
        format!(
            "SELECT window_end, k, SUM(x) AS s {MINUTES} GROUP BY window_start, window_end, ROLLUP(k)"
        ),
        format!("SELECT window_start, SUM(x) AS s {STEPS} GROUP BY window_start, window_end"),
        format!("SELECT window_start, window_end, id, x {MINUTES}"),
    ];
    for query in queries {
        assert_eq!(keys(&query).last().map(String::as_str), Some(ROW_KEY), "{query}");
    }
}
