//! Aggregate functions: what is allowed gives the same bytes in any order and batching, the rest is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt32Array,
};
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{load, plan, refusal};
use crate::results::json::write_row;
use crate::sql::Catalog;
use crate::windows::fire::{Progress, ViewState};
use crate::windows::fold::{Accepted, ViewFold};
use crate::windows::{ViewCounts, Windows};

/// Rows with their places in the log.
#[derive(Clone)]
struct Rows {
    columns: Vec<ArrayRef>,
    arrivals: Vec<u64>,
}

fn random_rows(dice: &mut ChaCha8Rng, count: usize) -> Rows {
    let mut some = |likely: f64| dice.random_bool(likely);
    let present: Vec<bool> = (0..count * 6).map(|_| some(0.85)).collect();
    let at = |row: usize, column: usize| present[row * 6 + column];
    let ids = Int64Array::from_iter_values((0..count).map(|row| row as i64));
    let keys: StringArray =
        (0..count).map(|_| Some(format!("k{}", dice.random_range(0..4)))).collect();
    let integers: Int64Array = (0..count)
        .map(|row| at(row, 0).then(|| dice.random_range(-1_000_000..1_000_000)))
        .collect();
    let decimals: Decimal128Array = (0..count)
        .map(|row| at(row, 1).then(|| dice.random_range(-10_i128.pow(17)..10_i128.pow(17))))
        .collect();
    let bigs: Decimal128Array =
        (0..count).map(|row| at(row, 2).then(|| dice.random_range(0..1_000))).collect();
    let floats: Float64Array = (0..count)
        .map(|row| {
            at(row, 3).then(|| match dice.random_range(0..12) {
                0 => 0.0,
                1 => -0.0,
                2 => 1e17,
                _ => (dice.random::<f64>() - 0.5) * 10_f64.powi(dice.random_range(-12..12)),
            })
        })
        .collect();
    let texts: StringArray =
        (0..count).map(|row| at(row, 4).then(|| format!("s{}", dice.random_range(0..9)))).collect();
    let booleans: BooleanArray =
        (0..count).map(|row| at(row, 5).then(|| dice.random_bool(0.8))).collect();
    let times = TimestampMillisecondArray::from_iter_values(
        (0..count).map(|_| dice.random_range(0..5_000)),
    );
    // The partition is in the upper bits, the offset below.
    let arrivals = (0..count).map(|row| (row as u64 % 3) << 48 | row as u64 / 3).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids),
        Arc::new(keys),
        Arc::new(integers),
        Arc::new(decimals.with_precision_and_scale(20, 2).expect("fits")),
        Arc::new(bigs.with_precision_and_scale(38, 0).expect("fits")),
        Arc::new(floats),
        Arc::new(texts),
        Arc::new(booleans),
        Arc::new(times),
    ];
    Rows { columns, arrivals }
}

/// Folds the rows in this order, in random batches with random publishes between, each in its partition.
fn run(
    catalog: &Catalog,
    rows: &Rows,
    order: &[usize],
    dice: &mut ChaCha8Rng,
) -> Result<(Vec<String>, ViewCounts), String> {
    let plan = plan(catalog);
    let stream = &catalog.streams["t"];
    let windows = plan.window.as_ref().map(|spec| Windows::new(spec, stream.definition.zone, 0));
    let said = |error: datafusion::common::DataFusionError| error.strip_backtrace();
    let mut state = ViewState::new(Arc::clone(&plan), windows.clone(), catalog.views[0].retention)
        .map_err(said)?;
    let mut folds: BTreeMap<u32, ViewFold> = BTreeMap::new();
    let mut shown = Vec::new();
    let mut rest = order;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(dice.random_range(1..=rest.len().min(40)));
        rest = later;
        let mut parts: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        now.iter().for_each(|row| {
            parts.entry((rows.arrivals[*row] >> 48) as u32).or_default().push(*row)
        });
        for (partition, part) in parts {
            let take = UInt32Array::from_iter_values(part.iter().map(|row| *row as u32));
            let mut columns: Vec<ArrayRef> = rows
                .columns
                .iter()
                .map(|column| arrow::compute::take(column, &take, None).expect("taken"))
                .collect();
            columns.push(Arc::new(UInt32Array::from_iter_values(0..part.len() as u32)));
            let batch = RecordBatch::try_new(Arc::clone(&stream.schema), columns).expect("a batch");
            let times: Vec<i64> = stream
                .event_times(&batch)
                .map_err(said)?
                .expect("a watermark")
                .into_iter()
                .flatten()
                .collect();
            let arrivals: Vec<u64> = part.iter().map(|row| rows.arrivals[*row]).collect();
            let watermarks = vec![i64::MIN; part.len()];
            let accepted = Accepted {
                batch: &batch,
                times: &times,
                watermarks: &watermarks,
                arrivals: &arrivals,
                records: None,
                corrections: &[],
            };
            let fold = match folds.entry(partition) {
                std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
                std::collections::btree_map::Entry::Vacant(empty) => {
                    empty.insert(ViewFold::new(Arc::clone(&plan), windows.clone()).map_err(said)?)
                }
            };
            fold.fold(accepted, &mut |_| {}).map_err(said)?;
        }
        if rest.is_empty() || dice.random_bool(0.4) {
            for (partition, fold) in &mut folds {
                state.absorb(*partition, fold.drain(i64::MIN).map_err(said)?).map_err(said)?;
            }
            let ended = rest.is_empty();
            let progress = Progress {
                watermark: i64::MIN,
                settled: i64::MIN,
                as_of: Some(5_000),
                partitions: 1,
                ended,
            };
            for fired in state.fire(progress).map_err(said)?.fired.iter().filter(|_| ended) {
                if let Some(problem) = &fired.problem {
                    return Err(problem.clone());
                }
                for row in 0..fired.rows.num_rows() {
                    let mut text = String::new();
                    write_row(
                        &mut text,
                        &fired.rows,
                        &(0..fired.rows.num_columns()).collect::<Vec<_>>(),
                        row,
                    );
                    shown.push(text);
                }
            }
        }
    }
    let mut counts = ViewCounts::default();
    for fold in folds.values() {
        counts.accepted += fold.counts().accepted;
        counts.counted += fold.counts().counted;
        counts.filtered += fold.counts().filtered;
    }
    Ok((shown, counts))
}

fn rows_of(view: &str, rows: &Rows) -> Vec<String> {
    let catalog = load(&[], view).unwrap_or_else(|errors| panic!("{view}: {errors:?}"));
    let order: Vec<usize> = (0..rows.arrivals.len()).collect();
    run(&catalog, rows, &order, &mut ChaCha8Rng::seed_from_u64(0))
        .unwrap_or_else(|error| panic!("{view}: {error}"))
        .0
}

/// Every aggregate on the list.
const ALLOWED: [&str; 38] = [
    "COUNT(*)",
    "COUNT(i)",
    "COUNT(DISTINCT i)",
    "COUNT(DISTINCT s)",
    "COUNT(DISTINCT d)",
    "COUNT(DISTINCT f)",
    "SUM(i)",
    "SUM(d)",
    "SUM(f)",
    "AVG(i)",
    "AVG(d)",
    "AVG(f)",
    "MIN(i)",
    "MAX(d)",
    "MIN(f)",
    "MAX(f)",
    "MIN(s)",
    "MAX(ts)",
    "APPROX_DISTINCT(s)",
    "APPROX_DISTINCT(i)",
    "APPROX_PERCENTILE(d, 0.5)",
    "APPROX_PERCENTILE(f, 0.95)",
    "APPROX_MEDIAN(i)",
    "APPROX_PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY d)",
    "BIT_AND(i)",
    "BIT_OR(i)",
    "BIT_XOR(i)",
    "BOOL_AND(b)",
    "BOOL_OR(b)",
    "FIRST_VALUE(s)",
    "LAST_VALUE(d)",
    "FIRST_VALUE(s ORDER BY big)",
    "LAST_VALUE(b ORDER BY s)",
    "ARRAY_AGG(s)",
    "ARRAY_AGG(i ORDER BY big DESC)",
    "STRING_AGG(s, ',')",
    "STRING_AGG(DISTINCT s, ',')",
    "SUM(d) FILTER (WHERE b AND i > 0)",
];

#[test]
fn no_order_and_no_batching_changes_a_byte_of_an_allowed_aggregate() {
    let columns: Vec<String> =
        ALLOWED.iter().enumerate().map(|(nth, call)| format!("{call} AS a{nth}")).collect();
    for (grouped, seed) in [("k, ", 1), ("", 2), ("k, ", 3)] {
        let view = format!(
            "WITH ('state.groups' = '4', 'state.values' = '300') AS SELECT {grouped}{} FROM t {}",
            columns.join(", "),
            if grouped.is_empty() { "" } else { "GROUP BY k" }
        );
        let catalog = load(&[], &view).unwrap_or_else(|errors| panic!("{errors:?}"));
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let rows = random_rows(&mut dice, 300);
        let mut order: Vec<usize> = (0..300).collect();
        let (first, _) = run(&catalog, &rows, &order, &mut dice).expect("runs");
        assert!(!first.is_empty());
        for _ in 0..12 {
            order.shuffle(&mut dice);
            let (again, _) = run(&catalog, &rows, &order, &mut dice).expect("runs");
            for (left, right) in first.iter().zip(&again) {
                assert_eq!(left, right, "seed {seed}");
            }
            assert_eq!(first.len(), again.len());
        }
    }
}

#[test]
fn what_depends_on_arrival_is_refused_with_its_place_and_what_to_use() {
    for (call, column, instead) in [
        ("STDDEV(d)", 17, "SUM(x * x)"),
        ("MEDIAN(d)", 17, "APPROX_MEDIAN"),
        ("SUM(DISTINCT d)", 17, "group by the value"),
        ("NTH_VALUE(d, 2)", 17, "ROW_NUMBER"),
        ("ANY_VALUE(d)", 17, "FIRST_VALUE"),
        ("CORR(f, f)", 17, "SUM(x * x)"),
        ("APPROX_PERCENTILE(d, 1.5)", 17, "from 0 to 1"),
        ("SUM(CAST(d AS DOUBLE))", 17, "leave out the cast"),
    ] {
        let error = refusal(
            &[],
            &format!("SELECT k, COUNT(d),\n       SUM(i), {call} AS x FROM t GROUP BY k"),
        );
        assert!(error.file.ends_with("views/v.sql"), "{error}");
        assert_eq!((error.line, error.column), (3, column - 1), "{error}");
        assert!(error.message.contains(instead), "{error}");
    }
}

#[test]
fn a_function_above_the_aggregate_is_held_to_the_list_too() {
    let inner = "(SELECT k, SUM(d) AS gmv FROM t GROUP BY k)";
    let error = refusal(&[], &format!("SELECT STDDEV(gmv) AS x FROM {inner}"));
    assert!(error.message.contains("STDDEV cannot be used"), "{error}");
    let error = refusal(&[], &format!("SELECT DISTINCT ON (k) k, gmv FROM {inner}"));
    assert!(error.message.contains("ROW_NUMBER"), "{error}");
}

#[test]
fn a_float_is_not_added_in_a_scope() {
    let scope = "-- scope: paid@1\n-- zh: 支付\n-- en: paid\nCREATE VIEW paid AS SELECT * FROM t WHERE b;\n";
    let error =
        refusal(&[("scopes/paid.sql", scope)], "SELECT k, SUM(f) AS x FROM paid GROUP BY k");
    assert!(error.message.contains("scope paid") && error.line == 2, "{error}");
    assert!(
        load(&[("scopes/paid.sql", scope)], "SELECT k, SUM(d) AS x FROM paid GROUP BY k").is_ok()
    );
}

fn with_bigs(values: &[i128]) -> Rows {
    let mut rows = random_rows(&mut ChaCha8Rng::seed_from_u64(1), values.len());
    let column =
        Decimal128Array::from(values.to_vec()).with_precision_and_scale(38, 0).expect("fits");
    rows.columns[4] = Arc::new(column);
    rows
}

#[test]
fn a_sum_of_38_digits_is_exact_and_one_more_has_no_room() {
    let most = 10_i128.pow(38) - 1;
    let view = "SELECT SUM(big) AS total FROM t";
    let total = |values: &[i128]| rows_of(view, &with_bigs(values));
    assert_eq!(
        total(&[most - 7, 3, 4]),
        ["{\"total\":\"99999999999999999999999999999999999999\"}"]
    );
    assert_eq!(total(&[-most, 0]), ["{\"total\":\"-99999999999999999999999999999999999999\"}"]);
    let catalog = load(&[], view).expect("planned");
    let mut dice = ChaCha8Rng::seed_from_u64(2);
    // Whether it has does not depend on which of them comes first, nor on what is published between.
    for _ in 0..20 {
        let rows = with_bigs(&[most, 5, -5, 0, 0, 0]);
        let mut order: Vec<usize> = (0..6).collect();
        order.shuffle(&mut dice);
        let error =
            run(&catalog, &rows, &order, &mut dice).expect_err("it has 39 digits on the way");
        assert!(error.contains("overflow: sum(t.big) has added up more than 38 digits"), "{error}");
    }
}

#[test]
fn a_sum_of_integers_that_passes_64_bits_has_no_room() {
    let mut rows = random_rows(&mut ChaCha8Rng::seed_from_u64(1), 2);
    rows.columns[2] = Arc::new(Int64Array::from(vec![i64::MAX, 0]));
    assert_eq!(rows_of("SELECT SUM(i) AS n FROM t", &rows), ["{\"n\":9223372036854775807}"]);
    rows.columns[2] = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
    let catalog = load(&[], "SELECT SUM(i) AS n FROM t").expect("planned");
    let error =
        run(&catalog, &rows, &[0, 1], &mut ChaCha8Rng::seed_from_u64(0)).expect_err("too large");
    assert!(error.contains("more than 9223372036854775807"), "{error}");
}

#[test]
fn a_filter_on_an_aggregate_leaves_rows_out_of_it_alone() {
    let mut rows = random_rows(&mut ChaCha8Rng::seed_from_u64(1), 3);
    rows.columns[2] = Arc::new(Int64Array::from(vec![1, 20, 300]));
    rows.columns[7] = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
    let view = "SELECT SUM(i) FILTER (WHERE b) AS yes, COUNT(*) FILTER (WHERE NOT b) AS no, SUM(i) AS n FROM t";
    assert_eq!(rows_of(view, &rows), ["{\"yes\":1,\"no\":1,\"n\":321}"]);
}

#[test]
fn equal_rows_above_the_aggregate_are_picked_by_key() {
    let mut rows = random_rows(&mut ChaCha8Rng::seed_from_u64(1), 4);
    rows.columns[1] = Arc::new(StringArray::from(vec!["c", "a", "d", "b"]));
    rows.columns[2] = Arc::new(Int64Array::from(vec![5; 4]));
    // The rows come as z, y, c, d: not in the order of what is picked by.
    let renamed = "(SELECT CASE k WHEN 'a' THEN 'z' WHEN 'b' THEN 'y' ELSE k END AS r, SUM(n) AS n
      FROM (SELECT k, SUM(i) AS n FROM t GROUP BY k) GROUP BY 1)";
    let picked = |view: &str| rows_of(view, &rows).join("");
    assert_eq!(picked(&format!("SELECT r FROM {renamed} LIMIT 2")), "{\"r\":\"c\"}{\"r\":\"d\"}");
    assert_eq!(
        picked(&format!("SELECT r FROM {renamed} ORDER BY n DESC LIMIT 2")),
        "{\"r\":\"c\"}{\"r\":\"d\"}"
    );
    let ranked = format!(
        "SELECT r, ROW_NUMBER() OVER (ORDER BY n) AS nth, RANK() OVER (ORDER BY n) AS place FROM {renamed}"
    );
    let expected: Vec<String> = ["c", "d", "y", "z"]
        .iter()
        .enumerate()
        .map(|(at, key)| format!("{{\"r\":\"{key}\",\"nth\":{},\"place\":1}}", at + 1))
        .collect();
    assert_eq!(rows_of(&format!("SELECT * FROM ({ranked}) ORDER BY nth"), &rows), expected);
}

#[test]
fn the_first_and_the_last_value_go_by_partition_and_offset() {
    let mut dice = ChaCha8Rng::seed_from_u64(9);
    let mut rows = random_rows(&mut dice, 40);
    rows.columns[6] = Arc::new(StringArray::from_iter_values((0..40).map(|row| format!("s{row}"))));
    let by_arrival = |row: &usize| rows.arrivals[*row];
    let (first, last) = (
        (0..40).min_by_key(by_arrival).expect("rows"),
        (0..40).max_by_key(by_arrival).expect("rows"),
    );
    let catalog =
        load(&[], "SELECT FIRST_VALUE(s) AS a, LAST_VALUE(s) AS b, ARRAY_AGG(s) AS c FROM t")
            .expect("planned");
    let mut order: Vec<usize> = (0..40).collect();
    order.shuffle(&mut dice);
    let (found, _) = run(&catalog, &rows, &order, &mut dice).expect("runs");
    order.sort_by_key(by_arrival);
    let all: Vec<String> = order.iter().map(|row| format!("\"s{row}\"")).collect();
    let expected = format!("{{\"a\":\"s{first}\",\"b\":\"s{last}\",\"c\":[{}]}}", all.join(","));
    assert_eq!(found, [expected]);
}

#[test]
fn an_average_is_exact_and_has_no_room_for_too_many_digits() {
    let view = "SELECT AVG(big) AS mean FROM t";
    assert_eq!(rows_of(view, &with_bigs(&[1, 2, 2])), ["{\"mean\":\"1.6666\"}"]);
    let catalog = load(&[], view).expect("planned");
    let rows = with_bigs(&[10_i128.pow(37), 10_i128.pow(37)]);
    let error = run(&catalog, &rows, &[0, 1], &mut ChaCha8Rng::seed_from_u64(0))
        .expect_err("38 digits and four places");
    assert!(error.contains("overflow: avg(t.big) has more than 38 digits"), "{error}");
}
