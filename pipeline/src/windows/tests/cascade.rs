//! Windows over windows.

use super::live::Live;
use super::refusal;
use crate::results::Mark;

/// Minutes of two seconds in hours of six: the largest two-second sum by six seconds and key.
fn view(outer: &str) -> String {
    format!(
        "SELECT window_start, window_end, k, MAX(n) AS peak, COUNT(*) AS parts FROM TABLE({outer}((
  SELECT window_time AS rowtime, k, SUM(i) AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '2' SECOND))
  GROUP BY window_start, window_end, window_time, k), DESCRIPTOR(rowtime), INTERVAL '6' SECOND))
GROUP BY window_start, window_end, k"
    )
}

fn rows(live: &Live, start_s: i64, end_s: i64) -> Vec<String> {
    live.shown.get(&(end_s * 1_000, start_s * 1_000)).map_or(Vec::new(), |(rows, ..)| rows.clone())
}

fn row(start_s: i64, end_s: i64, key: &str, peak: i64, parts: i64) -> String {
    format!(
        "{{\"window_start\":{},\"window_end\":{},\"k\":\"{key}\",\"peak\":{peak},\"parts\":{parts}}}",
        start_s * 1_000,
        end_s * 1_000
    )
}

#[test]
fn an_outer_window_is_put_together_from_the_inner_ones_that_end_in_it() {
    for restarts in [false, true] {
        let mut live = Live::new(&view("TUMBLE"), 2);
        live.take(0, &[(500, "a", 3), (1_500, "a", 4), (2_100, "a", 5), (2_200, "b", 1)]);
        live.take(1, &[(1_900, "a", 10)]);
        live.publish();
        assert_eq!(rows(&live, 0, 6), [row(0, 6, "a", 17, 2), row(0, 6, "b", 1, 1)]);
        if restarts {
            live.restart();
        }
        // Both partitions have passed the first inner window: a row for it is late, as in Flink.
        live.take(0, &[(4_500, "a", 20), (1_000, "a", 1_000)]);
        live.take(1, &[(4_600, "a", 1)]);
        live.publish();
        assert_eq!(live.late, 1, "restarts: {restarts}");
        assert_eq!(rows(&live, 0, 6)[0], row(0, 6, "a", 21, 3));
        if restarts {
            live.restart();
        }
        // The first inner window is closed, and still a part of the outer one.
        live.take(0, &[(5_500, "a", 1)]);
        live.publish();
        assert_eq!(rows(&live, 0, 6)[0], row(0, 6, "a", 22, 3), "restarts: {restarts}");
        live.take(0, &[(7_100, "a", 2)]);
        live.take(1, &[(8_000, "a", 2)]);
        live.publish();
        assert_eq!(live.shown[&(6_000, 0)].1, Mark::Final);
        assert_eq!(rows(&live, 6, 12), [row(6, 12, "a", 2, 2)]);
        assert!(live.slices().iter().all(|slice| slice.start >= 6_000), "{:?}", live.slices());
        live.end();
        assert_eq!(live.shown[&(12_000, 6_000)].1, Mark::Final);
    }
}

#[test]
fn an_outer_window_may_hop_and_cumulate() {
    let hop =
        view("HOP").replace("INTERVAL '6' SECOND", "INTERVAL '2' SECOND, INTERVAL '6' SECOND");
    let cumulate = hop.replace("HOP(", "CUMULATE(");
    for (view, windows) in
        [(hop, [(-4, 2), (-2, 4), (0, 6), (2, 8)]), (cumulate, [(0, 2), (0, 4), (0, 6), (6, 8)])]
    {
        let mut live = Live::new(&view, 1);
        live.take(0, &[(500, "a", 3), (2_500, "a", 9), (4_500, "a", 1)]);
        live.end();
        let found: Vec<(i64, i64, i64)> = windows
            .iter()
            .map(|(start, end)| {
                let row = rows(&live, *start, *end).join("");
                let number = |name: &str| {
                    let rest = row.split(&format!("\"{name}\":")).nth(1).unwrap_or("0");
                    rest.split([',', '}']).next().and_then(|text| text.parse().ok()).unwrap_or(0)
                };
                (*end, number("peak"), number("parts"))
            })
            .collect();
        let last = if view.contains("HOP") { (8, 9, 2) } else { (8, 0, 0) };
        assert_eq!(found, [(2, 3, 1), (4, 9, 2), (6, 9, 3), last], "{view}");
    }
}

#[test]
fn windows_over_anything_but_the_inner_windows_time_are_refused() {
    let by_max = view("TUMBLE").replace("window_time AS rowtime", "MAX(ts) AS rowtime");
    assert!(
        refusal(&[], &by_max).message.contains("select and group by window_time"),
        "{}",
        refusal(&[], &by_max)
    );
    let late = format!("WITH ('allowed-lateness' = '1 s') AS {}", view("TUMBLE"));
    assert!(refusal(&[], &late).message.contains("judged by the inner window"));
    let same =
        view("TUMBLE").replace("window_time AS rowtime", "window_start, window_time AS rowtime");
    assert!(
        refusal(&[], &same).message.contains("window_start AS inner_window_start"),
        "{}",
        refusal(&[], &same)
    );
}
