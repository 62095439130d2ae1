//! What was shown at any look is what is told of it later, whatever went on in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::results::json::write_row;
use crate::results::published::{NewWindow, schema_with_papers};
use crate::results::{Cut, Keep, Mark, PublishedView, ViewInfo};

const WIDE: Room = Room { age_ms: i64::MAX, bytes_max: u64::MAX };

fn view(name: &str, tombstones_max: usize) -> PublishedView {
    let schema = Schema::new(vec![
        Field::new("end", DataType::Int64, false),
        Field::new("key", DataType::Utf8, false),
        Field::new("n", DataType::Int64, false),
    ]);
    let info = ViewInfo {
        name: name.to_owned(),
        streams: Vec::new(),
        keys: vec!["end".into(), "key".into()],
        schema: schema_with_papers(&schema),
        scope: None,
        title: Default::default(),
        definition: Default::default(),
        unit: String::new(),
        time_zone: "UTC".into(),
        sql: String::new(),
        hash: String::new(),
        window_start: None,
        window_end: Some(0),
        result_topic: None,
        clear: Default::default(),
    };
    PublishedView::new(Arc::new(info), vec![0, 1], Keep::Rows(40), tombstones_max)
}

fn window(end: i64, cells: &[(&str, i64)]) -> NewWindow {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![end; cells.len()])),
        Arc::new(cells.iter().map(|cell| Some(cell.0)).collect::<StringArray>()),
        Arc::new(cells.iter().map(|cell| Some(cell.1)).collect::<Int64Array>()),
    ];
    let fields = ["end", "key", "n"].into_iter().zip(&columns);
    let fields: Vec<Field> =
        fields.map(|(name, of)| Field::new(name, of.data_type().clone(), true)).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("fits");
    NewWindow { window: (end - 1, end), rows, mark: Mark::Provisional, revision: 0 }
}

fn cut(number: u64, at: i64, views: &mut [&mut PublishedView]) -> Cut {
    let views = views.iter_mut().map(|view| (view.info().name.clone(), view.snapshot()));
    Cut { cut: number, published_at: at, views: views.collect(), ..Cut::default() }
}

/// The rows of a cut, a JSON text each, in order of these texts.
fn shown(cut: &Cut, view: &str) -> Vec<String> {
    let mut rows: Vec<String> =
        cut.views[view].rows(None).map(|row| row.json.to_string()).collect();
    rows.sort();
    rows
}

fn told(store: &ViewHistory, view: &str, at: i64) -> Result<Vec<String>, ViewHistoryError> {
    let then = store.at(view, at)?;
    let columns: Vec<usize> = (0..then.rows.num_columns()).collect();
    let mut rows: Vec<String> = (0..then.rows.num_rows())
        .map(|row| {
            let mut text = String::new();
            write_row(&mut text, &then.rows, &columns, row);
            text
        })
        .collect();
    rows.sort();
    Ok(rows)
}

#[test]
fn what_was_shown_at_any_look_is_told_of_it_later_and_after_restarts() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut looks: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let (mut at, mut begun, mut whole_again) = (1_000_i64, 0, 0);
    for life in 0..3 {
        let store = ViewHistory::open(folder.path(), WIDE).expect("opens");
        let mut recorder = RecordedViews::new(Arc::clone(&store), format!("e{life}"));
        // Few, so that now and then changes can no longer be told.
        let mut view = view("v", 6);
        for number in 1..200 {
            for _ in 0..dice.random_range(0..3) {
                let end = dice.random_range(1..8);
                let cells: Vec<(String, i64)> = (0..dice.random_range(0..12))
                    .map(|key| (format!("k{key}"), dice.random_range(0..3)))
                    .collect();
                let cells: Vec<(&str, i64)> =
                    cells.iter().map(|(key, n)| (key.as_str(), *n)).collect();
                view.show(number, window(end, &cells)).expect("shown");
            }
            if dice.random_bool(0.1) {
                let end = dice.random_range(1..8);
                view.withdraw(number, (end - 1, end));
            }
            view.trim(number);
            at += dice.random_range(1..2_000);
            let cut = cut(number, at, &mut [&mut view]);
            if dice.random_bool(0.7) {
                recorder.look(&cut).expect("written");
                looks.insert(at, shown(&cut, "v"));
            }
        }
        for (at, rows) in &looks {
            assert_eq!(told(&store, "v", *at).as_ref(), Ok(rows), "at {at}");
        }
        for entry in store.scan(Some("v")).map(|entry| entry.expect("reads")) {
            let is_of_now = entry.told.epoch == format!("e{life}");
            begun += usize::from(entry.kind == Kind::Begin && is_of_now);
            whole_again += usize::from(entry.kind == Kind::Whole);
        }
    }
    assert!(begun > 3, "changes could not be told now and then: {begun}");
    assert!(whole_again > 3, "segments ended: {whole_again}");
}

#[test]
fn between_two_looks_the_rows_are_those_of_the_first_and_a_view_that_went_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ViewHistory::open(folder.path(), WIDE).expect("opens");
    let mut recorder = RecordedViews::new(Arc::clone(&store), "e".to_owned());
    let (mut one, mut other) = (view("one", 100), view("other", 100));
    one.show(1, window(1, &[("a", 1)])).expect("shown");
    recorder.look(&cut(1, 1_000, &mut [&mut one, &mut other])).expect("written");
    one.show(2, window(1, &[("a", 2)])).expect("shown");
    recorder.look(&cut(2, 2_000, &mut [&mut one])).expect("written");
    let n = |at| told(&store, "one", at).expect("told")[0].contains("\"n\":1");
    assert!(n(1_000) && n(1_999) && !n(2_000));
    let (view, looked_at) = ("one".to_owned(), Some(2_000));
    assert_eq!(
        told(&store, "one", 2_001),
        Err(ViewHistoryError::NotYet { view, at: 2_001, looked_at })
    );
    assert_eq!(told(&store, "other", 1_500), Ok(Vec::new()));
    assert_eq!(
        told(&store, "other", 2_000),
        Err(ViewHistoryError::Gone { view: "other".into(), since: 2_000 })
    );
    assert_eq!(
        told(&store, "one", 999),
        Err(ViewHistoryError::Before { view: "one".into(), oldest: 1_000 })
    );
    assert_eq!(told(&store, "no", 1), Err(ViewHistoryError::Unknown { view: "no".into() }));
    let then = store.at("one", 2_000).expect("told");
    assert_eq!((then.at, then.told.cut, then.told.epoch.as_str()), (2_000, 2, "e"));
    assert_eq!(then.schema, one.info().schema);
    // It comes again, with a clock that was put back in between.
    recorder.look(&cut(3, 500, &mut [&mut one, &mut other])).expect("written");
    assert_eq!(told(&store, "other", 2_001), Ok(Vec::new()));
    // A view that goes while nobody looks is gone for the next life.
    let mut later = RecordedViews::new(Arc::clone(&store), "f".to_owned());
    later.look(&cut(1, 3_000, &mut [&mut one])).expect("written");
    assert!(matches!(told(&store, "other", 3_000), Err(ViewHistoryError::Gone { .. })));
}

#[test]
fn a_view_that_was_defined_otherwise_has_its_columns_of_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ViewHistory::open(folder.path(), WIDE).expect("opens");
    let mut recorder = RecordedViews::new(Arc::clone(&store), "e".to_owned());
    let mut before = view("one", 100);
    before.show(1, window(1, &[("a", 1)])).expect("shown");
    recorder.look(&cut(1, 1_000, &mut [&mut before])).expect("written");
    let mut info = before.info().as_ref().clone();
    let columns = ["end", "key", "m"].map(|name| {
        let kind = if name == "key" { DataType::Utf8 } else { DataType::Int64 };
        Field::new(name, kind, false)
    });
    info.schema = schema_with_papers(&Schema::new(columns.to_vec()));
    let mut after = PublishedView::new(Arc::new(info), vec![0, 1], Keep::Rows(40), 100);
    // As many cuts later as rows that are told apart by them.
    after.show(1, window(1, &[("a", 5)])).expect("shown");
    recorder.look(&cut(2, 2_000, &mut [&mut after])).expect("written");
    assert_eq!(store.at("one", 1_500).expect("kept").schema, before.info().schema);
    assert_eq!(store.at("one", 2_000).expect("kept").schema, after.info().schema);
    assert!(told(&store, "one", 1_500).expect("kept")[0].contains("\"n\":1"));
    assert!(told(&store, "one", 2_000).expect("kept")[0].contains("\"m\":5"));
}

#[test]
fn the_table_tells_what_came_changed_and_went_and_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ViewHistory::open(folder.path(), WIDE).expect("opens");
    let mut recorder = RecordedViews::new(Arc::clone(&store), "e".to_owned());
    let mut one = view("one", 100);
    one.show(1, window(1, &[("a", 1), ("b", 1)])).expect("shown");
    recorder.look(&cut(1, 1_000, &mut [&mut one])).expect("written");
    one.show(2, window(1, &[("a", 2)])).expect("shown");
    recorder.look(&cut(2, 2_000, &mut [&mut one])).expect("written");
    recorder.look(&cut(3, 3_000, &mut [&mut one])).expect("nothing to write");
    let mut lines = Vec::new();
    for entry in store.scan(None) {
        let rows = batch(&entry.expect("reads")).expect("fits");
        for row in 0..rows.num_rows() {
            let cell = |column: usize| {
                arrow::util::display::array_value_to_string(rows.column(column), row).expect("text")
            };
            lines.push(format!("{} {} {}", cell(3), cell(4), cell(5)));
        }
    }
    let row = |key: &str, n: i64| {
        format!(
            "{{\"end\":1,\"key\":\"{key}\",\"n\":{n},\"_mark\":\"provisional\",\"_revision\":0}}"
        )
    };
    assert_eq!(
        lines,
        [
            format!("1 begin {}", row("a", 1)),
            format!("1 begin {}", row("b", 1)),
            "2 delete {\"end\":1,\"key\":\"b\"}".to_owned(),
            format!("2 upsert {}", row("a", 2)),
        ]
    );
}

#[test]
fn the_oldest_goes_by_age_and_by_bytes_and_what_is_left_is_whole() {
    for (room, is_by_age) in [
        (Room { age_ms: 100_000, bytes_max: u64::MAX }, true),
        (Room { age_ms: i64::MAX, bytes_max: 30_000 }, false),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ViewHistory::open(folder.path(), room).expect("opens");
        let mut recorder = RecordedViews::new(Arc::clone(&store), "e".to_owned());
        let (mut busy, mut quiet) = (view("busy", 100), view("quiet", 100));
        quiet.show(1, window(1, &[("a", 7)])).expect("shown");
        for number in 1..400 {
            let n = i64::try_from(number).expect("small");
            busy.show(number, window(1, &[("a", n), ("b", 1)])).expect("shown");
            let cut = cut(number, n * 1_000, &mut [&mut busy, &mut quiet]);
            recorder.look(&cut).expect("written");
            if !is_by_age {
                assert!(store.bytes() <= 30_000 + 4_096, "{} bytes", store.bytes());
            }
        }
        let oldest = match store.at("busy", 0) {
            Err(ViewHistoryError::Before { oldest, .. }) => oldest,
            other => panic!("{other:?}"),
        };
        assert!(oldest > 10_000, "something went: {oldest}");
        if is_by_age {
            // Whole segments go, so a little more than the age is there, and never less.
            assert!((250_000..=299_000).contains(&oldest), "{oldest}");
        }
        let first = oldest / 1_000;
        for n in [first, first + 1, 390, 399] {
            let rows = told(&store, "busy", n * 1_000).expect("kept");
            assert!(rows[0].contains(&format!("\"n\":{n},")), "{n}: {rows:?}");
        }
        // What has not changed since is what is shown now, however old it is.
        assert_eq!(told(&store, "quiet", 399_000).expect("kept").len(), 1);
        // A start knows what went.
        drop((store, recorder));
        let store = ViewHistory::open(folder.path(), room).expect("opens again");
        assert!(matches!(store.at("busy", oldest - 1), Err(ViewHistoryError::Before { .. })));
        assert!(told(&store, "busy", oldest).is_ok());
    }
}

#[test]
fn an_instant_is_always_told_the_same_however_soon_it_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ViewHistory::open(folder.path(), WIDE).expect("opens");
    let mut recorder = RecordedViews::new(Arc::clone(&store), "e".to_owned());
    let (mut one, mut other) = (view("one", 100), view("other", 100));
    let mut told_of: BTreeMap<(&str, i64), Vec<String>> = BTreeMap::new();
    // The clock stands still, goes back and jumps; now one view changes and now the other.
    let times = [1_000, 1_100, 1_100, 1_100, 1_050, 900, 1_101, 1_102, 3_000, 3_000, 2_000, 3_001];
    for (number, at) in (1..).zip(times) {
        let n = i64::try_from(number).expect("small");
        match number % 3 {
            0 => one.show(number, window(1, &[("a", n)])).expect("shown"),
            1 => other.show(number, window(1, &[("a", n)])).expect("shown"),
            _ => {}
        }
        recorder.look(&cut(number, at, &mut [&mut one, &mut other])).expect("written");
        for name in ["one", "other"] {
            for ms in (880..1_200).chain(1_990..3_020) {
                match told(&store, name, ms) {
                    Ok(rows) => {
                        let first = told_of.entry((name, ms)).or_insert_with(|| rows.clone());
                        assert_eq!(*first, rows, "{name} at {ms}, after the cut {number} at {at}");
                    }
                    Err(ViewHistoryError::NotYet { looked_at, .. }) => {
                        assert!(looked_at.is_some_and(|looked_at| looked_at < ms));
                        assert!(!told_of.contains_key(&(name, ms)), "{name} at {ms} was known");
                    }
                    Err(ViewHistoryError::Before { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
    assert!(told_of.len() > 1_000, "{} instants were told of", told_of.len());
}

#[test]
fn of_the_time_in_which_a_process_was_killed_nothing_is_told_and_after_a_last_look_what_it_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let life = |at: i64, n: i64, has_end: bool| {
        let store = ViewHistory::open(folder.path(), WIDE).expect("opens");
        let mut recorder = RecordedViews::new(Arc::clone(&store), format!("e{at}"));
        let mut one = view("one", 100);
        one.show(1, window(1, &[("a", n)])).expect("shown");
        recorder.look(&cut(1, at, &mut [&mut one])).expect("written");
        if has_end {
            recorder.end().expect("written");
        }
        store
    };
    drop(life(1_000, 1, true));
    drop(life(2_000, 2, false));
    let again = ViewHistory::open(folder.path(), WIDE).expect("opens");
    let (view, looked_at) = ("one".to_owned(), Some(2_000));
    let not_yet = |view, at| ViewHistoryError::NotYet { view, at, looked_at };
    assert_eq!(told(&again, "one", 2_500), Err(not_yet(view.clone(), 2_500)));
    // One that opens it and never looks changes nothing.
    RecordedViews::new(Arc::clone(&again), "e".to_owned()).end().expect("nothing to write");
    drop(again);
    drop(life(3_000, 3, true));
    let store = life(4_000, 4, true);
    let n = |at: i64| {
        told(&store, "one", at).map(|rows| rows[0].contains(&format!("\"n\":{},", at / 1_000)))
    };
    for at in [1_000, 1_999, 2_000, 3_000, 3_999, 4_000] {
        assert_eq!(n(at), Ok(true), "at {at}");
    }
    let lost = ViewHistoryError::Lost { view, from: 2_000, until: 3_000 };
    for at in [2_001, 2_500, 2_999] {
        assert_eq!(n(at), Err(lost.clone()), "at {at}");
    }
    assert!(lost.to_string().contains("1970-01-01T00:00:02.000Z"), "{lost}");
    // It goes with what is no longer kept.
    drop(store);
    let room = Room { age_ms: 1_000, ..WIDE };
    let store = ViewHistory::open(folder.path(), room).expect("opens");
    let mut recorder = RecordedViews::new(Arc::clone(&store), "f".to_owned());
    recorder.look(&cut(1, 9_000, &mut [])).expect("written");
    assert!(matches!(told(&store, "one", 2_500), Err(ViewHistoryError::Before { .. })));
}

#[tokio::test]
async fn who_asks_of_now_waits_for_the_next_look_and_no_longer_than_it_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ViewHistory::open(folder.path(), WIDE).expect("opens");
    let mut recorder = RecordedViews::new(Arc::clone(&store), "e".to_owned());
    let mut one = view("one", 100);
    one.show(1, window(1, &[("a", 1)])).expect("shown");
    recorder.look(&cut(1, 1_000, &mut [&mut one])).expect("written");
    let forever = std::time::Duration::from_secs(600);
    let mut waiting = Box::pin(store.known_until(1_500, forever));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    one.show(2, window(1, &[("a", 2)])).expect("shown");
    recorder.look(&cut(2, 1_400, &mut [&mut one])).expect("written");
    assert!(futures::poll!(waiting.as_mut()).is_pending(), "a later look may be of 1,450");
    recorder.look(&cut(3, 1_500, &mut [&mut one])).expect("written");
    waiting.await;
    assert!(told(&store, "one", 1_500).expect("known")[0].contains("\"n\":2"));
    store.known_until(9_000, std::time::Duration::from_millis(1)).await;
    assert!(matches!(told(&store, "one", 9_000), Err(ViewHistoryError::NotYet { .. })));
}
