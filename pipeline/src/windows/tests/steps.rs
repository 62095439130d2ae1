//! `CUMULATE`: which steps are shown, which are final, and what a late record does to them.

use super::live::Live;
use crate::results::Mark;

fn view(options: &str) -> String {
    format!(
        "{options}AS\nSELECT window_start, window_end, SUM(i) AS n\n\
         FROM TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '20' SECOND))\n\
         GROUP BY window_start, window_end"
    )
}

fn sum(live: &Live, end_s: i64) -> String {
    let start_s = (end_s - 1) / 20 * 20;
    let found = live.shown.get(&(end_s * 1_000, start_s * 1_000));
    let row = found.map_or("", |(rows, ..)| rows[0].as_str());
    row.rsplit_once(':').map_or(String::new(), |(_, n)| n.trim_end_matches('}').to_owned())
}

#[test]
fn one_row_runs_and_steps_become_final_as_the_watermark_passes() {
    let mut live = Live::new(&view("WITH ('result.retention' = '600 rows') "), 1);
    live.take(0, &[(500, "a", 1), (4_200, "a", 10)]);
    // Newest 4.2 s: the step to 5 s runs; watermark 3.2 s: steps to 1, 2 and 3 s are final.
    let ends = Live::ends(&live.publish());
    assert_eq!(
        ends,
        [(1, Mark::Final, 0), (2, Mark::Final, 0), (3, Mark::Final, 0), (5, Mark::Provisional, 0)]
    );
    assert_eq!((sum(&live, 3), sum(&live, 5)), ("1".into(), "11".into()));
    live.take(0, &[(7_000, "a", 100)]);
    let firing = live.publish();
    assert_eq!(Live::ends(&firing).last(), Some(&(8, Mark::Provisional, 0)));
    assert!(firing.withdrawn.is_empty(), "the step to 5 s is final now, not gone");
    assert_eq!((sum(&live, 5), sum(&live, 8)), ("11".into(), "111".into()));
    assert_eq!(live.shown.len(), 7);
    live.end();
    assert!(live.shown.values().all(|(_, mark, _)| *mark == Mark::Final));
    assert_eq!((live.shown.len(), sum(&live, 20)), (20, "111".into()));
}

#[test]
fn what_is_shown_does_not_depend_on_when_it_was_published() {
    let records: Vec<(i64, &str, i64)> =
        [500, 4_200, 7_000, 8_000, 19_500, 21_000, 21_500, 24_000, 95_000, 96_000, 131_000]
            .map(|time| (time, "a", 1))
            .to_vec();
    for retention in ["3 rows", "25 rows", "2 s", "30 s"] {
        let options = format!("WITH ('result.retention' = '{retention}') ");
        let mut often = Live::new(&view(&options), 1);
        for (read, record) in (1..).zip(&records) {
            often.take(0, std::slice::from_ref(record));
            often.publish();
            let mut once = Live::new(&view(&options), 1);
            once.take(0, &records[..read]);
            once.publish();
            assert_eq!(often.shown, once.shown, "{retention}, {read} records");
            assert!(!once.shown.is_empty(), "{retention}, {read} records");
        }
        let mut once = Live::new(&view(&options), 1);
        once.take(0, &records);
        once.end();
        often.end();
        assert_eq!(often.shown, once.shown, "{retention}, at the end");
    }
}

#[test]
fn a_step_that_was_shown_too_early_is_taken_off() {
    let mut live = Live::new(&view(""), 2);
    live.take(0, &[(9_500, "a", 1)]);
    live.take(1, &[(500, "a", 1)]);
    live.publish();
    assert_eq!(live.shown.keys().map(|(end, _)| end / 1_000).collect::<Vec<_>>(), [10]);
    live.take(0, &[(11_500, "a", 1)]);
    assert_eq!(live.publish().withdrawn, [(0, 10_000)]);
    assert_eq!(live.shown.keys().map(|(end, _)| end / 1_000).collect::<Vec<_>>(), [12]);
}

#[test]
fn a_late_record_that_is_allowed_revises_its_steps_as_one_range() {
    let options = "WITH ('allowed-lateness' = '6 s', 'result.retention' = '600 rows') ";
    for restarts in [false, true] {
        let mut live = Live::new(&view(options), 1);
        live.take(0, &[(500, "a", 1), (2_500, "a", 10), (8_500, "a", 100)]);
        // Watermark 7.5 s: steps to 1 s are beyond revision, those to 7 s may still be revised.
        let firing = live.publish();
        assert_eq!(Live::ends(&firing)[0], (1, Mark::Final, 0));
        assert_eq!(
            Live::ends(&firing)[1..7],
            [2, 3, 4, 5, 6, 7].map(|end| (end, Mark::Provisional, 0))
        );
        assert_eq!(
            (sum(&live, 2), sum(&live, 7), sum(&live, 9)),
            ("1".into(), "11".into(), "111".into())
        );
        if restarts {
            live.restart();
            live.publish();
        }
        // 3.1 s is late for the steps to 4, 5, 6 and 7 s, and changes them and the one that runs.
        live.take(0, &[(3_100, "a", 1_000)]);
        let ends = Live::ends(&live.publish());
        let revised: Vec<_> = [4, 5, 6, 7].map(|end| (end, Mark::Provisional, 1)).into();
        assert_eq!(ends, [revised.as_slice(), &[(9, Mark::Provisional, 0)]].concat());
        assert_eq!(
            (sum(&live, 3), sum(&live, 4), sum(&live, 9)),
            ("11".into(), "1011".into(), "1111".into())
        );
        // Later than allowed: it enters the first step that is open and is late for the one that is not.
        live.take(0, &[(600, "a", 5)]);
        live.publish();
        assert_eq!((live.late, sum(&live, 1), sum(&live, 2)), (1, "1".into(), "6".into()));
        live.take(0, &[(30_000, "a", 0)]);
        live.publish();
        let at_4 = &live.shown[&(4_000, 0)];
        assert_eq!((at_4.1, at_4.2), (Mark::Final, 2), "restarts: {restarts}");
        assert_eq!(sum(&live, 20), "1116");
    }
}

#[test]
fn steps_beyond_the_retention_are_neither_shown_nor_kept_apart() {
    let options = "WITH ('allowed-lateness' = '1 d', 'result.retention' = '4 s') ";
    let mut live = Live::new(&view(options), 1);
    let records: Vec<(i64, &str, i64)> = (0..15).map(|second| (second * 1_000, "a", 1)).collect();
    for record in &records {
        live.take(0, std::slice::from_ref(record));
        live.publish();
    }
    assert!(live.slices().len() <= 6, "{:?}", live.slices());
    // The record is allowed, and counts in every step that is still shown.
    live.take(0, &[(500, "a", 1_000)]);
    let ends: Vec<i64> = Live::ends(&live.publish()).iter().map(|(end, ..)| *end).collect();
    assert_eq!(ends, [11, 12, 13, 15]);
    assert_eq!((sum(&live, 12), sum(&live, 15)), ("1012".into(), "1015".into()));
}

#[test]
fn a_day_that_stays_open_behind_a_slow_partition_takes_nothing_of_the_next_day() {
    let mut live = Live::new(&view("WITH ('result.retention' = '4 s') "), 2);
    live.take(1, &[(500, "a", 1)]);
    for (second, n) in [(19, 1), (20, 1), (26, 10), (30, 100)] {
        live.take(0, &[(second * 1_000 + 500, "a", n)]);
        // The second one's slice is of no step of the first base, and behind all that is shown of it.
        live.publish();
    }
    assert_eq!(sum(&live, 31), "111");
}
