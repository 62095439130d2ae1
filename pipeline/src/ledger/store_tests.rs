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
