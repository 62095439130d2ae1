//! Leading rows kept from publish to publish are those that all groups together give.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::live::Live;
use super::{load, plan, shipped};
use crate::sql::catalog::ViewQuery;
use crate::windows::fire::ViewState;

const DAYS: &str = "SELECT window_start, window_end, k, SUM(i) AS n, COUNT(*) AS c
  FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k";

fn ranked(groups: &str, order: &str) -> String {
    format!(
        "SELECT window_start, window_end, nth, k, n FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY {order}) AS nth FROM ({groups})
         ) WHERE nth <= 3"
    )
}

fn state(view: &str) -> ViewState {
    let catalog = load(&[], view).unwrap_or_else(|errors| panic!("{view}: {errors:?}"));
    ViewState::new(plan(&catalog), None, catalog.views[0].retention).expect("a state")
}

#[test]
fn random_records_give_what_all_groups_give_at_every_publish_and_after_a_restart() {
    let views = [
        ranked(DAYS, "n DESC"),
        ranked(DAYS, "c, n DESC NULLS LAST"),
        ranked(&format!("{DAYS} HAVING SUM(i) > 7"), "CAST(n AS DECIMAL(38, 2)) DESC"),
        // Those that are left out would lead.
        ranked(&format!("{DAYS} HAVING SUM(i) > 7"), "n"),
        ranked(
            &DAYS
                .replace("TUMBLE", "HOP")
                .replace("'10' SECOND", "'5' SECOND, INTERVAL '10' SECOND"),
            "n",
        ),
        ranked(DAYS, "n DESC").replace("<= 3", "< 3"),
        "SELECT k, SUM(i) AS n FROM t GROUP BY k ORDER BY n DESC LIMIT 3".to_owned(),
        "SELECT k, SUM(i) AS n FROM t GROUP BY k ORDER BY n LIMIT 3 OFFSET 2".to_owned(),
    ];
    for (number, view) in views.iter().enumerate() {
        let mut dice = ChaCha8Rng::seed_from_u64(number as u64 + 1);
        let (mut quick, mut plain) = (Live::new(view, 2), Live::new(view, 2));
        plain.state.keep_leading(usize::MAX, 0);
        quick.state.keep_leading(4, 1);
        let mut windows = 0;
        for publish in 0..400 {
            let records: Vec<(i64, String, i64)> = (0..dice.random_range(0..25))
                .map(|_| {
                    let time = i64::from(publish) * 150 + dice.random_range(0..400);
                    // What leads falls behind again, so that those that are kept run short.
                    (time, format!("shop {}", dice.random_range(0..40)), dice.random_range(-60..60))
                })
                .collect();
            for live in [&mut quick, &mut plain] {
                for (at, (time, key, amount)) in records.iter().enumerate() {
                    live.take(u32::try_from(at % 2).expect("small"), &[(*time, key, *amount)]);
                }
                live.publish();
            }
            assert_eq!(quick.shown, plain.shown, "publish {publish} of {view}");
            windows = windows.max(quick.state.windows_with_leading());
            if publish % 90 == 89 {
                quick.restart();
                quick.state.keep_leading(4, 1);
                quick.publish();
            }
        }
        quick.end();
        plain.end();
        assert_eq!(quick.shown, plain.shown, "the end of {view}");
        assert!(windows > 0, "no leading rows were kept of {view}");
    }
}

#[test]
fn leading_rows_are_kept_where_they_are_all_that_a_plan_looks_at() {
    assert!(state(&ranked(DAYS, "n DESC")).keeps_leading());
    let not = [
        // Of each key, not of the window.
        "SELECT window_start, window_end, k, b, n FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY n DESC) AS nth FROM (
             SELECT window_start, window_end, k, b, SUM(i) AS n
             FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k, b)
         ) WHERE nth <= 3",
        // Every row has a share of all.
        "SELECT window_start, window_end, k, n, whole FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY n DESC) AS nth FROM (
             SELECT window_start, window_end, k, SUM(i) AS n,
               SUM(SUM(i)) OVER (PARTITION BY window_start, window_end) AS whole
             FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k)
         ) WHERE nth <= 3",
        // Fails or not by the rows beside it.
        &ranked(&format!("{DAYS} HAVING SUM(i) <> 0 AND 10 / SUM(i) > 1"), "n DESC"),
        &ranked(DAYS, "CASE WHEN n > 0 THEN 1 / c ELSE 0 END"),
        DAYS,
        &ranked(DAYS, "n DESC").replace("<= 3", "< 3.5"),
    ];
    for view in not {
        assert!(!state(view).keeps_leading(), "{view}");
    }
    let catalog = shipped();
    for name in ["top_brands", "flows_by_city"] {
        let view = catalog.views.iter().find(|view| view.name == name).expect(name);
        let ViewQuery::Stream(plan) = &view.query else { panic!("{name} is over a stream") };
        let state = ViewState::new(std::sync::Arc::clone(plan), None, view.retention);
        assert!(state.expect("a state").keeps_leading(), "{name}");
    }
}
