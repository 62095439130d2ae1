use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};

use super::*;
use crate::admit::{RecordCounts, ValueCounts};
use crate::lifecycle::{Counts, Notice, Standing};
use crate::model::{DeadLetter, MissedWindows, Position, RejectReason};
use crate::run::partition::LateRecord;
use crate::state::{SavedFold, Since};
use crate::windows::session::Session;
use crate::windows::{LateRow, SliceKey, ViewCounts};

fn letter(reason: RejectReason) -> DeadLetter {
    let position =
        Position { origin: "topic".to_owned(), partition: 3, offset: 11, is_file: false };
    DeadLetter {
        stream: "orders".to_owned(),
        position,
        reason,
        log_time: Some(-5),
        raw: vec![0, 255, 7],
        raw_bytes: 9_000,
    }
}

/// One of each rule by which records are rejected.
fn reasons() -> Vec<RejectReason> {
    let text = |what: &str| what.to_owned();
    vec![
        RejectReason::Malformed { format: "json", detail: text("eof") },
        RejectReason::Malformed { format: "csv", detail: text("quote") },
        RejectReason::MissingField { field: text("a") },
        RejectReason::BadValue { field: text("a"), expected: text("BIGINT"), text: text("甲") },
        RejectReason::TooOld { event_time: text("1999"), minimum: text("2000") },
        RejectReason::Future { event_time: text("3"), log_time: text("2"), max_skew_ms: -1 },
        RejectReason::OlderThanDedupHorizon,
        RejectReason::TooLarge { bytes: 10, maximum: 9 },
        RejectReason::Refused { detail: text("CHECK") },
    ]
}

fn notice(was: Standing, standing: Standing) -> Notice {
    Notice {
        offset: 4,
        due_to: 9,
        time: -1,
        key: Arc::from(&b"key"[..]),
        order_key: "o-1".to_owned(),
        kind: 7,
        event_type: "paid".to_owned(),
        was,
        standing,
        raw: Box::from(&b"{}"[..]),
    }
}

fn drained() -> Drained {
    let keys: ArrayRef = Arc::new(StringArray::from(vec![Some("浙江"), None]));
    let lists = vec![Some(vec![Some(1), None]), None];
    let states: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, 3]));
    let rows = RecordBatch::try_from_iter([("n", numbers)]).expect("rows");
    let late = SliceKey { start: 5, open_from: 10, passed: 15 };
    Drained {
        slices: vec![SliceKey::on_time(0), late],
        slice_of: vec![0, 1],
        keys: vec![keys],
        states: vec![states],
        rows: vec![(late, rows)],
        sessions: Some(vec![(
            Box::from(&b"k"[..]),
            Session { start: 1, end: 9, slices: vec![2, 3] },
        )]),
        revised: BTreeMap::from([(late, 4)]),
    }
}

fn drain(letters: Vec<DeadLetter>, notices: Vec<Notice>) -> PartitionDrain {
    let fold = SavedFold {
        counts: ViewCounts { accepted: 4, counted: 3, filtered: 1, late: 0 },
        sessions: Some((Vec::new(), 3)),
        since: Some(Since { offset: 2, time: None }),
        foreign: 0,
        failed: None,
    };
    let late = LateRecord {
        view: "gmv#1".into(),
        offset: 8,
        event_time: 3,
        watermark: 20,
        missed: LateRow { row: 1, missed: MissedWindows::of_each([(0, 5), (5, 10), (0, 60)]) },
        log_time: None,
        raw: b"raw".to_vec(),
        raw_bytes: 3,
    };
    let view =
        ViewDrain { view: "gmv#1".into(), drained: drained(), fold, failed: Some("why".into()) };
    let derived = BranchDrain {
        stream: "flow".into(),
        as_of: Some(44),
        views: vec![ViewDrain {
            view: "net#2".into(),
            drained: Drained::default(),
            fold: SavedFold::default(),
            failed: None,
        }],
        late: vec![LateRecord { view: "net#2".into(), log_time: Some(6), ..late.clone() }],
    };
    let branch =
        BranchDrain { stream: "orders".into(), as_of: None, views: vec![view], late: vec![late] };
    let counts = RecordCounts { read: 9, accepted: 4, duplicate: 1, ..RecordCounts::default() };
    let mut numbers = Counts::default().to_numbers();
    numbers.iter_mut().zip(1..).for_each(|(number, nth)| *number = nth);
    let operator =
        OperatorDrain { counts: Counts::from_numbers(numbers), notices, ..Default::default() };
    let orders: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    PartitionDrain {
        partition: 3,
        next_offset: Some(12),
        watermark: -7,
        counts,
        by_value: BTreeMap::from([(Some("till".into()), ValueCounts::default())]),
        branches: vec![branch, derived],
        operators: vec![("flow".into(), operator)],
        dead_letters: letters,
        dedup: DedupDrain::default(),
        history: vec![RecordBatch::try_from_iter([("o", orders)]).expect("rows")],
    }
}

#[test]
fn a_drain_comes_back_with_all_that_a_publisher_looks_at() {
    let all = reasons().into_iter().map(letter).collect::<Vec<_>>();
    let notices = vec![
        notice(Standing::Settled, Standing::Waiting),
        notice(Standing::Foreign, Standing::TooMany),
    ];
    let live = drain(all.clone(), notices.clone());
    let shadow = PartitionDrain { watermark: 99, ..drain(Vec::new(), Vec::new()) };
    let numbers = vec![(Some("till".into()), vec![3, -4]), (None, Vec::new())];
    let told = Drains { live, shadow: Some(shadow), numbers: numbers.clone() };
    let back = decode(&encode(&told).expect("encodes")).expect("decodes");
    assert_eq!(back.numbers, numbers);
    assert_eq!(back.shadow.as_ref().expect("a shadow").watermark, 99);
    assert_eq!(back.live.history, told.live.history);
    let ((at, told), (was, before)) = (back.live.split(), told.live.split());
    assert_eq!(format!("{at:?}"), format!("{was:?}"));
    assert_eq!(told.late, before.late);
    assert_eq!(told.dead_letters, all);
    assert_eq!(
        told.notices.iter().map(|(_, notice)| notice).collect::<Vec<_>>(),
        [&notices[0], &notices[1]]
    );
    assert_eq!(told.partition, 3);
    assert_eq!(format!("{:?}", told.views), format!("{:?}", before.views));
    let (_, folded, failed) = &told.views[0];
    assert_eq!(failed.as_deref(), Some("why"));
    assert_eq!(folded.keys[0].as_string::<i32>().value(0), "浙江");
    assert_eq!(folded.rows[0].1.column(0).as_primitive::<Int64Type>().value(0), i64::MIN);
}

#[test]
fn every_standing_of_an_event_has_a_number_of_its_own() {
    use Standing::{
        Capped, Crowded, Expired, Foreign, Negative, NoAmount, Settled, TooMany, TooOld, Waiting,
    };
    let all =
        [Waiting, Capped, Expired, TooOld, Crowded, Negative, NoAmount, TooMany, Foreign, Settled];
    let notices: Vec<Notice> = all.into_iter().map(|one| notice(one, Settled)).collect();
    let told = Drains {
        live: drain(Vec::new(), notices.clone()),
        shadow: None,
        numbers: FreshNumbers::new(),
    };
    let back = decode(&encode(&told).expect("encodes")).expect("decodes");
    assert_eq!(back.live.operators[0].1.notices, notices);
}

#[test]
fn parts_come_back_in_their_order_and_damaged_ones_are_refused() {
    let parts = [
        Part { from: None, to: Some(0), bytes: b"one".to_vec() },
        Part { from: Some(0), to: Some(7), bytes: Vec::new() },
    ];
    let bytes = write_parts(&parts);
    assert_eq!(read_parts(&bytes).expect("reads"), parts);
    for cut in 0..bytes.len() {
        assert!(read_parts(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}
