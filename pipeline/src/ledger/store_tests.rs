//! What a crash, a second reading and a removal leave in the ledgers.

use super::*;

const LIVE: &str = "live";

fn entry(partition: PartitionId, offset: Offset, part: &str) -> Entry {
    let id = EntryId { stream: "orders".to_owned(), partition, offset, part: part.to_owned() };
    Entry { raw: b"{}".to_vec(), ..Entry::about(id, "orders") }
}

fn begins(ledger: LedgerKind, entry: &Entry) -> Change {
    Change::Begins(ledger, Box::new(entry.clone()))
}

fn offsets(store: &LedgerStore, ledger: LedgerKind) -> Vec<(PartitionId, Offset)> {
    let all = store.scan(LIVE, ledger).expect("opens").map(|entry| entry.expect("whole").id);
    all.map(|id| (id.partition, id.offset)).collect()
}

#[test]
fn a_record_that_is_read_again_writes_the_entry_it_had() {
    let dir = tempfile::tempdir().expect("folder");
    let letters: Vec<Change> = [entry(0, 1, ""), entry(1, 7, ""), entry(0, 300, "")]
        .iter()
        .map(|one| begins(LedgerKind::DeadLetter, one))
        .collect();
    let first = LedgerStore::open(dir.path()).expect("opens");
    first.apply(LIVE, &letters).expect("written");
    let total = first.total(LIVE, LedgerKind::DeadLetter);
    assert_eq!(total.rows, 3);
    drop(first);
    let second = LedgerStore::open(dir.path()).expect("opens");
    assert_eq!(second.total(LIVE, LedgerKind::DeadLetter), total, "totals survive");
    second.apply(LIVE, &letters).expect("written again");
    assert_eq!(offsets(&second, LedgerKind::DeadLetter), [(0, 1), (0, 300), (1, 7)]);
    assert_eq!(second.total(LIVE, LedgerKind::DeadLetter), total, "nothing is counted twice");
    assert_eq!(second.total("shadow", LedgerKind::DeadLetter), Total::default());
}

#[test]
fn rewinding_a_partition_takes_back_what_later_records_did_and_nothing_else() {
    let dir = tempfile::tempdir().expect("folder");
    let store = LedgerStore::open(dir.path()).expect("opens");
    let expired = Entry { since: 12, ..entry(0, 3, "life:expired") };
    let ends = |offset, until| {
        let id = entry(0, offset, "life:waiting").id;
        Change::Ends { ledger: LedgerKind::Unmatched, id, until }
    };
    store
        .apply(
            LIVE,
            &[
                begins(LedgerKind::DeadLetter, &entry(0, 9, "")),
                begins(LedgerKind::DeadLetter, &entry(0, 10, "")),
                begins(LedgerKind::DeadLetter, &entry(1, 99, "")),
                begins(LedgerKind::Late, &entry(0, 11, "gmv_day")),
                begins(LedgerKind::Unmatched, &entry(0, 2, "life:waiting")),
                begins(LedgerKind::Unmatched, &entry(0, 3, "life:waiting")),
                begins(LedgerKind::Unmatched, &expired),
                ends(2, 8),
                ends(3, 12),
            ],
        )
        .expect("written");
    store.rewind(LIVE, ("orders", 0), 10).expect("rewound");
    assert_eq!(offsets(&store, LedgerKind::DeadLetter), [(0, 9), (1, 99)]);
    assert_eq!(offsets(&store, LedgerKind::Late), []);
    let unmatched: Vec<(Offset, Option<Offset>)> = store
        .scan(LIVE, LedgerKind::Unmatched)
        .expect("opens")
        .map(|entry| entry.map(|entry| (entry.id.offset, entry.until)).expect("whole"))
        .collect();
    assert_eq!(
        unmatched,
        [(2, Some(8)), (3, None)],
        "the one that a later record ended stands again"
    );
    store.forget_ended(LIVE, ("orders", 0), 10).expect("forgotten");
    assert_eq!(offsets(&store, LedgerKind::Unmatched), [(0, 3)]);
    assert_eq!(store.total(LIVE, LedgerKind::Unmatched).rows, 1);
}

/// An event that is held against its order, comes to count and is held again.
#[test]
fn an_entry_that_ends_and_begins_again_is_taken_back_to_when_it_first_stood() {
    let first = Entry { since: 5, ..entry(0, 2, "life:capped") };
    let again = Entry { since: 9, ..first.clone() };
    let ends = |until| Change::Ends { ledger: LedgerKind::Unmatched, id: first.id.clone(), until };
    let stands = |next_offset| {
        let dir = tempfile::tempdir().expect("folder");
        let store = LedgerStore::open(dir.path()).expect("opens");
        let begins = [&first, &again].map(|one| begins(LedgerKind::Unmatched, one));
        for change in [begins[0].clone(), ends(7), begins[1].clone(), ends(11)] {
            store.apply(LIVE, &[change]).expect("written");
        }
        store.rewind(LIVE, ("orders", 0), next_offset).expect("rewound");
        let all = store.scan(LIVE, LedgerKind::Unmatched).expect("opens");
        all.map(|entry| entry.map(|it| (it.since, it.until, it.earlier)).expect("whole")).last()
    };
    assert_eq!(stands(5), None);
    assert_eq!(stands(7), Some((5, None, vec![])), "before it ended");
    assert_eq!(stands(8), Some((5, Some(7), vec![])), "after it had ended");
    assert_eq!(stands(10), Some((9, None, vec![(5, 7)])), "when it stood again");
    assert_eq!(stands(12), Some((9, Some(11), vec![(5, 7)])));
}

#[test]
fn a_change_that_is_written_twice_is_one_and_what_ended_long_ago_is_forgotten() {
    let dir = tempfile::tempdir().expect("folder");
    let store = LedgerStore::open(dir.path()).expect("opens");
    let first = Entry { since: 5, ..entry(0, 2, "life:capped") };
    let ends = Change::Ends { ledger: LedgerKind::Unmatched, id: first.id.clone(), until: 7 };
    let again = Entry { since: 9, ..first.clone() };
    let changes =
        [begins(LedgerKind::Unmatched, &first), ends, begins(LedgerKind::Unmatched, &again)];
    store.apply(LIVE, &changes).expect("written");
    let held = || {
        let all = store.scan(LIVE, LedgerKind::Unmatched).expect("opens");
        all.map(|entry| entry.map(|it| (it.since, it.until, it.earlier)).expect("whole"))
            .collect::<Vec<_>>()
    };
    let whole = [(9, None, vec![(5, 7)])];
    assert_eq!(held(), whole);
    store.apply(LIVE, &changes).expect("written again");
    assert_eq!(held(), whole);
    store.forget_ended(LIVE, ("orders", 0), 7).expect("forgotten");
    assert_eq!(held(), whole, "a reader at 7 has not read what ended it");
    store.forget_ended(LIVE, ("orders", 0), 8).expect("forgotten");
    assert_eq!(held(), [(9, None, vec![])]);
}

#[test]
fn what_is_removed_frees_its_bytes_and_an_unknown_entry_is_no_error() {
    let dir = tempfile::tempdir().expect("folder");
    let store = LedgerStore::open(dir.path()).expect("opens");
    let (one, two) = (entry(0, 1, "a"), entry(0, 1, "b"));
    store
        .apply(LIVE, &[begins(LedgerKind::Late, &one), begins(LedgerKind::Late, &two)])
        .expect("written");
    assert_eq!(
        store.remove(LIVE, LedgerKind::Late, &[one.id.clone(), one.id]).expect("removed"),
        1
    );
    assert_eq!(store.total(LIVE, LedgerKind::Late).rows, 1);
    store.forget_view(LIVE, "b").expect("forgotten");
    assert_eq!(store.total(LIVE, LedgerKind::Late), Total::default());
}

#[test]
fn a_second_process_is_told_that_the_ledgers_are_in_use() {
    let dir = tempfile::tempdir().expect("folder");
    let _first = LedgerStore::open(dir.path()).expect("opens");
    assert!(matches!(LedgerStore::open(dir.path()), Err(LedgerError::Locked { .. })));
}
