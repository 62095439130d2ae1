//! Derived tables and views over views through the real stages: catalogue, partitions, publisher, checkpoint.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::build::partition_run;
use super::checkpoints::Backlog;
use super::partition::{PartitionRun, Place};
use super::publisher::{Moment, PublisherLimits, Publishers, views_to_run};
use super::saving::{Saving, StreamToRead};
use crate::admit::KeyRoom;
use crate::ledger::{Entry, LedgerKind, LedgerStore, Limits};
use crate::model::Record;
use crate::model::record::WATERMARK_HEADER;
use crate::results::Cut;
use crate::sql::Catalog;
use crate::state::dedup_store::DedupStore;
use crate::state::objects::{Disk, Objects};

const ORDERS: &str = "CREATE TABLE orders (order_id STRING NOT NULL, kind STRING, ts TIMESTAMP(3) NOT NULL, \
    shop STRING, amount DECIMAL(10, 2), arrival TIMESTAMP(3) METADATA FROM 'timestamp', \
    place BIGINT METADATA FROM 'offset', lag_ms AS CAST(arrival AS BIGINT) - CAST(ts AS BIGINT), \
    WATERMARK FOR ts AS ts) WITH ('connector' = 'embedded', 'partition.key' = 'order_id', 'time-zone' = 'UTC', \
    'event-time.min' = '1970-01-01T00:00:00Z');";

const FLOW: &str = "CREATE TABLE flow (order_id STRING NOT NULL, ts TIMESTAMP(3) NOT NULL, \
    order_time TIMESTAMP(3) METADATA FROM 'order-time', shop STRING, doubled AS net * 2, \
    net DECIMAL(12, 2) METADATA, excess DECIMAL(10, 2) METADATA, paid_orders BIGINT METADATA FROM 'paid-orders', \
    WATERMARK FOR ts AS SOURCE_WATERMARK()) WITH ('connector' = 'lifecycle', 'source' = 'orders', \
    'key' = 'order_id', 'kind' = 'kind', 'amount' = 'amount', 'on.placed' = 'open', 'on.paid' = 'pay', \
    'on.cancelled' = 'cancel', 'on.refunded' = 'refund', 'horizon' = '2 h');\n\
    CREATE TABLE flow_by_order (WATERMARK FOR order_time AS SOURCE_WATERMARK()) LIKE flow (OVERWRITING WATERMARKS);";

/// A folder of SQL and the figures computed from it, as a process would; dropping it is a crash.
struct Bench {
    runs: Vec<PartitionRun>,
    publisher: Publishers,
    saving: Saving,
    ledgers: Arc<LedgerStore>,
    offsets: Vec<i64>,
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = dir.join("sql").join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
}

fn load(dir: &Path) -> Result<Catalog, String> {
    crate::run::reference::catalog(&dir.join("sql"), &BTreeMap::new(), Default::default())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

impl Bench {
    fn open(dir: &Path, partitions: u32) -> Self {
        let catalog = load(dir).expect("the SQL is right");
        let limits = PublisherLimits { tombstones_max: 100 };
        let store = LedgerStore::open(&dir.join("ledgers")).expect("ledgers");
        let ledger_limits = Limits { bytes_max: 1 << 20, checkpoints_kept: 3, partitions: 4 };
        let mut publisher =
            Publishers::new(&catalog, limits, (Arc::clone(&store), ledger_limits)).expect("views");
        let to_read = StreamToRead {
            name: "orders".to_owned(),
            hash: catalog.stream_hash(&catalog.streams["orders"]),
            dedup_horizon_ms: 1,
            accepts_partitions: false,
            partitions: (0..partitions).collect(),
        };
        let place: Arc<dyn Objects> =
            Arc::new(Disk::open(&dir.join("checkpoints")).expect("opens"));
        let (saving, mut resumed) = Saving::open(
            (&place, 3),
            (DedupStore::new(&dir.join("dedup"), 1 << 20), KeyRoom::for_keys(1_024, 1)),
            &[to_read],
            &mut publisher,
            Backlog::new(u64::MAX),
        )
        .expect("checkpoints");
        let (mut runs, mut offsets) = (Vec::new(), Vec::new());
        for partition in 0..partitions {
            publisher.expect_partition("orders", partition);
            let place = Place {
                origin: "orders".to_owned(),
                is_file: false,
                partition,
                partitions: None,
                has_others: false,
            };
            let views = views_to_run(&catalog, "orders");
            let derived = catalog.derived_from("orders");
            let mut run = partition_run(&catalog.streams["orders"], &derived, place, None, &views)
                .expect("folds");
            if let Some(start) = resumed.partitions.remove(&("orders".to_owned(), partition)) {
                run.restore(start).expect("its own state");
            }
            offsets.push(run.next_offset().unwrap_or(0));
            runs.push(run);
        }
        Self { runs, publisher, saving, ledgers: store, offsets }
    }

    /// The process ends without a word, and begins again with what is on disk.
    fn crash(self, dir: &Path) -> Self {
        let partitions = u32::try_from(self.runs.len()).expect("few");
        drop(self);
        Self::open(dir, partitions)
    }

    /// What stands in the table `unmatched` at the offsets read so far.
    fn unmatched(&self) -> Vec<Entry> {
        let all = self
            .ledgers
            .scan("live", LedgerKind::Unmatched)
            .expect("readable")
            .map(|entry| entry.expect("an entry"));
        all.filter(|entry| {
            entry.stands_at(self.offsets[usize::try_from(entry.id.partition).expect("small")])
        })
        .collect()
    }

    /// Orders as `order kind second amount shop`, in partition 0 unless the order begins with a digit.
    fn read(&mut self, lines: &[&str]) {
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let at = words[0]
                .bytes()
                .next()
                .filter(u8::is_ascii_digit)
                .map_or(0, |digit| usize::from(digit - b'0'));
            let field = |name: &str, nth: usize| match words.get(nth) {
                Some(word) if *word != "-" => format!(", \"{name}\": \"{word}\""),
                _ => String::new(),
            };
            let second: i64 = words[2].parse().expect("a second");
            let payload = format!(
                "{{\"order_id\": \"{}\", \"kind\": \"{}\", \"ts\": {}{}{}}}",
                words[0],
                words[1],
                second * 1_000,
                field("amount", 3),
                field("shop", 4)
            );
            self.take(at, payload.as_bytes(), None, second * 1_000 + 250);
        }
    }

    fn close(&mut self, second: i64) {
        for at in 0..self.runs.len() {
            self.take(at, b"", Some((second * 1_000).to_string()), 0);
        }
    }

    fn take(&mut self, at: usize, payload: &[u8], watermark: Option<String>, timestamp_ms: i64) {
        let header = watermark.as_ref().map(|text| (WATERMARK_HEADER, text.as_bytes()));
        self.runs[at].take(Record {
            partition: u32::try_from(at).expect("small"),
            offset: self.offsets[at],
            timestamp_ms: Some(timestamp_ms),
            headers: header.as_slice(),
            key: None,
            payload,
        });
        self.offsets[at] += 1;
    }

    fn publish(&mut self) -> Cut {
        for run in &mut self.runs {
            run.process().expect("processed");
            let mut drain = run.drain().expect("drained");
            self.saving.note("orders", &mut drain);
            self.publisher.absorb("orders", drain).expect("absorbed");
        }
        let moment =
            Moment { now_ms: 0, quiet: BTreeMap::new(), idle_after: Duration::from_secs(1) };
        self.publisher.publish(&moment, Default::default()).expect("a cut")
    }

    fn save(&mut self) {
        self.saving.save(&self.publisher).expect("saved");
    }
}

fn rows(cut: &Cut, view: &str) -> Vec<String> {
    cut.views[view].rows(None).map(|row| row.json.to_string()).collect()
}

fn cells(cut: &Cut, view: &str, names: &[&str]) -> Vec<String> {
    let cell = |row: &serde_json::Value, name: &str| match &row[name] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    rows(cut, view)
        .iter()
        .map(|row| serde_json::from_str::<serde_json::Value>(row).expect("JSON"))
        .map(|row| names.iter().map(|name| cell(&row, name)).collect::<Vec<_>>().join(" "))
        .collect()
}

const HOURLY: &str = "CREATE MATERIALIZED VIEW hourly AS SELECT window_start, shop, SUM(net) AS net, \
    SUM(doubled) AS doubled, SUM(paid_orders) AS orders \
    FROM TABLE(TUMBLE(TABLE flow, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_start, window_end, shop;";
const BY_ORDER: &str = "CREATE MATERIALIZED VIEW by_order WITH ('allowed-lateness' = '1 d') AS \
    SELECT window_start, SUM(net) AS net \
    FROM TABLE(TUMBLE(TABLE flow_by_order, DESCRIPTOR(order_time), INTERVAL '1' HOUR)) \
    GROUP BY window_start, window_end;";

fn figures() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    write(
        dir.path(),
        &[
            ("streams/orders.sql", ORDERS),
            // Read before its source, which comes later in the order of names.
            ("streams/flow.sql", FLOW),
            ("views/hourly.sql", HOURLY),
            ("views/by_order.sql", BY_ORDER),
        ],
    );
    dir
}

#[test]
fn a_refund_falls_on_its_own_hour_or_on_that_of_its_order_with_the_orders_shop() {
    let dir = figures();
    let mut bench = Bench::open(dir.path(), 1);
    bench.read(&["a placed 10 90 s1", "a paid 20 90 s1", "b placed 30 50 s2", "b paid 40 50 s2"]);
    bench.read(&["c placed 3650 1 s1", "a refunded 3700 30"]);
    let cut = bench.publish();
    assert_eq!(
        cells(&cut, "hourly", &["window_start", "shop", "net", "doubled", "orders"]),
        ["0 s1 90.00 180.00 1", "0 s2 50.00 100.00 1", "3600000 s1 -30.00 -60.00 0",]
    );
    assert_eq!(cells(&cut, "by_order", &["window_start", "net"]), ["0 110.00", "3600000 0.00"]);
    // The refund came after its order's hour had been passed: a revision of that hour.
    assert_eq!(cells(&cut, "by_order", &["_revision"]), ["1", "0"]);
    assert_eq!(cut.streams["flow"].as_of, Some(3_700_000));
    assert_eq!(cut.streams["flow_by_order"].as_of, Some(3_650_000));
    assert_eq!(cut.streams["flow"].watermark, cut.streams["orders"].watermark);
}

#[test]
fn a_crash_between_checkpoints_changes_no_figure_and_no_count() {
    let events = [
        "a refunded 5 30",
        "0b paid 9 70 s2",
        "1c placed 11 10 s1",
        "a placed 10 90 s1",
        "1c paid 12 10",
        "d cancelled 13",
        "a paid 20 90 s1",
        "0b placed 8 70 s2",
        "a paid 20 90 s1",
        "1c refunded 30 25",
        "d placed 14 5 s3",
        "e paid 15 1",
    ];
    let whole = {
        let dir = figures();
        let mut bench = Bench::open(dir.path(), 2);
        bench.read(&events);
        bench.close(5_000);
        let cut = bench.publish();
        (rows(&cut, "hourly"), rows(&cut, "by_order"), cut.tables["lifecycle_accounted"].clone())
    };
    assert!(whole.0.len() > 2 && !whole.1.is_empty(), "{whole:?}");
    for saved_every in [1, 2, 5] {
        let dir = figures();
        let mut bench = Bench::open(dir.path(), 2);
        let mut read: usize = 0;
        let mut safe = 0;
        let mut crashes = 0;
        while read < events.len() {
            bench.read(&events[read..=read]);
            bench.publish();
            read += 1;
            if read.is_multiple_of(saved_every) {
                bench.save();
                safe = read;
            }
            // What was read after the checkpoint is read again, as from a log; each crash comes once.
            if crashes < read / 3 {
                crashes += 1;
                bench = bench.crash(dir.path());
                read = safe;
            }
        }
        bench.close(5_000);
        let cut = bench.publish();
        let got = (
            rows(&cut, "hourly"),
            rows(&cut, "by_order"),
            cut.tables["lifecycle_accounted"].clone(),
        );
        assert_eq!(got, whole, "saved every {saved_every}");
        assert!(crashes > 2);
    }
}

#[test]
fn every_event_has_one_fate_in_a_life_cycle_and_in_each_view_over_it() {
    let dir = figures();
    let mut bench = Bench::open(dir.path(), 1);
    bench.read(&[
        "a placed 10 90 s1",
        "a paid 20 90 s1",
        "a paid 21 90 s1",
        "a refunded 30 100",
        "b paid 40 1",
        "c shipped 50",
        "c placed 60 -1",
        "d paid 70 1",
    ]);
    bench.close(7_260);
    let cut = bench.publish();
    let table = &cut.tables["lifecycle_accounted"];
    let count = |name: &str| {
        use arrow::array::AsArray as _;
        table
            .column_by_name(name)
            .expect(name)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .value(0)
    };
    let fates =
        ["applied", "capped", "repeated", "waiting", "expired", "refused", "ignored"].map(count);
    assert_eq!((count("taken"), fates), (8, [2, 1, 1, 1, 1, 1, 1]));
    for view in &bench.publisher.live.views {
        let counts = bench.publisher.live.streams["orders"].partitions[&0].views[&*view.key].counts;
        assert_eq!(
            counts.accepted,
            counts.counted + counts.filtered + counts.late,
            "{}",
            view.name
        );
        assert_eq!(counts.accepted, 8, "records, whatever rows they made: {}", view.name);
    }
}

#[test]
fn what_does_not_count_is_a_ledger_with_its_place_and_reason_also_after_a_crash() {
    let told = |bench: &Bench| -> Vec<String> {
        let one =
            |entry: &Entry| format!("{} {} {}", entry.id.offset, entry.order_key, entry.reason);
        bench.unmatched().iter().map(one).collect()
    };
    let dir = figures();
    let mut bench = Bench::open(dir.path(), 1);
    bench.read(&[
        "a paid 10 5",
        "b cancelled 20",
        "c placed 30 5",
        "c refunded 40 5",
        "c paid 50 -5",
    ]);
    bench.publish();
    let first = [
        "0 a paid: its order has not come yet",
        "1 b cancelled: its order has not come yet",
        "3 c refunded: it gives back more than was paid",
        "4 c paid: its amount is below zero",
    ];
    assert_eq!(told(&bench), first);
    bench.save();
    let mut bench = bench.crash(dir.path());
    bench.publish();
    assert_eq!(told(&bench), first);
    bench.read(&["a placed 60 5", "c paid 70 5"]);
    bench.publish();
    assert_eq!(told(&bench), [first[1], first[3]]);
    let raw = String::from_utf8(bench.unmatched()[0].raw.clone()).expect("text");
    assert!(raw.contains("\"kind\": \"cancelled\""), "{raw}");
    bench.close(7_220);
    bench.publish();
    assert_eq!(
        told(&bench),
        ["1 b cancelled: its order did not come within the horizon", first[3]]
    );
    assert!(bench.unmatched()[0].raw == raw.as_bytes(), "what waited is told with its record");
}

#[test]
fn another_declaration_of_a_life_cycle_begins_again_from_the_log() {
    let dir = figures();
    let mut bench = Bench::open(dir.path(), 1);
    bench.read(&["a placed 10 90 s1", "a paid 20 90 s1"]);
    bench.publish();
    bench.save();
    let bench = bench.crash(dir.path());
    assert_eq!(bench.offsets, [2]);
    write(dir.path(), &[("streams/flow.sql", &FLOW.replace("'2 h'", "'3 h'"))]);
    assert_eq!(bench.crash(dir.path()).offsets, [0]);
    // Also where no view reads it: its orders and counts are of the old one.
    let dir = tempfile::tempdir().expect("folder");
    write(dir.path(), &[("streams/orders.sql", ORDERS), ("streams/flow.sql", FLOW)]);
    let mut bench = Bench::open(dir.path(), 1);
    bench.read(&["a placed 10 90 s1"]);
    bench.publish();
    bench.save();
    let bench = bench.crash(dir.path());
    assert_eq!(bench.offsets, [1]);
    write(dir.path(), &[("streams/flow.sql", &FLOW.replace("'2 h'", "'3 h'"))]);
    assert_eq!(bench.crash(dir.path()).offsets, [0]);
}

#[test]
fn what_the_log_knows_of_a_record_is_a_column() {
    let dir = figures();
    write(
        dir.path(),
        &[(
            "views/lag.sql",
            "CREATE MATERIALIZED VIEW lag AS SELECT shop, MAX(lag_ms) AS lag_ms, MAX(place) AS place FROM orders GROUP BY shop;",
        )],
    );
    let mut bench = Bench::open(dir.path(), 1);
    bench.read(&["a placed 10 90 s1", "a placed 11 90 s1"]);
    // A field of that name in the record is not the column.
    bench.take(0, b"{\"order_id\": \"x\", \"ts\": 12000, \"shop\": \"s2\", \"arrival\": \"soon\", \"place\": 77}", None, 12_007);
    let cut = bench.publish();
    assert_eq!(cells(&cut, "lag", &["shop", "lag_ms", "place"]), ["s1 250 1", "s2 7 2"]);
}

#[test]
fn a_view_over_views_is_of_the_very_cut_and_changes_when_an_input_does() {
    let dir = figures();
    write(
        dir.path(),
        &[
            (
                "views/a_share.sql",
                "CREATE MATERIALIZED VIEW a_share AS SELECT shops.shop, shops.net, ROUND(shops.net / whole.net, 2) AS share, \
             whole.taken FROM shops CROSS JOIN whole;",
            ),
            (
                "views/shops.sql",
                "CREATE MATERIALIZED VIEW shops AS SELECT shop, SUM(net) AS net FROM hourly GROUP BY shop;",
            ),
            (
                "views/whole.sql",
                "CREATE MATERIALIZED VIEW whole AS SELECT 1 AS one, (SELECT SUM(net) FROM shops) AS net, SUM(taken) AS taken \
             FROM lifecycle_accounted;",
            ),
        ],
    );
    let mut bench = Bench::open(dir.path(), 1);
    bench.read(&["a placed 10 90 s1", "a paid 20 90 s1", "b placed 30 30 s2", "b paid 40 30 s2"]);
    let first = bench.publish();
    assert_eq!(
        cells(&first, "a_share", &["shop", "net", "share", "taken"]),
        ["s1 90.00 0.75 4", "s2 30.00 0.25 4"]
    );
    let second = bench.publish();
    assert_eq!(second.views["a_share"].changed_at, first.cut, "nothing had changed");
    bench.read(&["b refunded 50 30"]);
    let third = bench.publish();
    assert_eq!(
        cells(&third, "a_share", &["shop", "net", "share", "taken"]),
        ["s1 90.00 1.00 5", "s2 0.00 0.00 5"]
    );
}

#[test]
fn views_that_cannot_be_views_over_views_are_refused_with_their_place() {
    let refused = |name: &str, sql: &str| {
        let dir = figures();
        write(dir.path(), &[(name, sql)]);
        load(dir.path()).expect_err("refused")
    };
    let mixed = refused(
        "views/mixed.sql",
        "CREATE MATERIALIZED VIEW mixed AS SELECT o.shop, COUNT(*) AS n FROM orders o JOIN hourly h ON o.shop = h.shop GROUP BY o.shop;",
    );
    assert!(mixed.contains("mixed.sql:1:1: a query reads streams or views, not both"), "{mixed}");
    let papers =
        refused("views/papers.sql", "CREATE MATERIALIZED VIEW papers AS SELECT * FROM hourly;");
    assert!(papers.contains("every view has a column _mark of its own"), "{papers}");
    for untold in [
        "SELECT net FROM hourly",
        "SELECT net, taken FROM hourly CROSS JOIN lifecycle_accounted LIMIT 2",
        "SELECT SUM(net) AS net FROM hourly UNION ALL SELECT SUM(net) FROM hourly",
    ] {
        let sql = format!("CREATE MATERIALIZED VIEW bare AS {untold};");
        let told = refused("views/bare.sql", &sql);
        assert!(told.contains("bare.sql:1:1: nothing tells the rows"), "{untold}: {told}");
    }
    for told_apart in [
        "SELECT SUM(net) AS net FROM hourly",
        "SELECT net FROM hourly ORDER BY net DESC LIMIT 1",
        "SELECT shop, net FROM hourly",
        "SELECT a.net, b.net AS other FROM (SELECT SUM(net) AS net FROM hourly) a CROSS JOIN (SELECT MAX(net) AS net FROM hourly) b",
    ] {
        let dir = figures();
        let sql = format!("CREATE MATERIALIZED VIEW fine AS {told_apart};");
        write(dir.path(), &[("views/fine.sql", &sql)]);
        assert!(load(dir.path()).is_ok(), "{told_apart}");
    }
    let circle = refused(
        "views/round.sql",
        "CREATE MATERIALIZED VIEW a AS SELECT * FROM b; CREATE MATERIALIZED VIEW b AS SELECT * FROM a;",
    );
    assert!(circle.contains("round.sql:1:"), "{circle}");
}

#[test]
fn mistakes_of_a_life_cycle_are_told_with_line_column_and_hint() {
    let told = |from: &str, to: &str| {
        let dir = figures();
        assert!(FLOW.contains(from), "{from}");
        write(dir.path(), &[("streams/flow.sql", &FLOW.replace(from, to))]);
        load(dir.path()).expect_err("refused").lines().next().expect("a line").to_owned()
    };
    let column = |word: &str, text: &str| text.find(word).expect(word) + 1;
    let spend = told("'on.paid' = 'pay'", "'on.paid' = 'spend'");
    assert!(
        spend.contains(&format!(
            "flow.sql:1:{}: 'on.paid' = 'spend': 'spend' is no action",
            column("'on.paid'", FLOW)
        )),
        "{spend}"
    );
    assert!(
        told("'horizon'", "'horizom'")
            .contains("unknown option 'horizom'; did you mean 'horizon'?")
    );
    assert!(
        told("'source' = 'orders'", "'source' = 'order'")
            .contains("no such stream is declared; did you mean 'orders'?")
    );
    assert!(
        told("'key' = 'order_id'", "'key' = 'shop'")
            .contains("declare 'partition.key' = 'shop' at orders")
    );
    assert!(told("'kind' = 'kind'", "'kind' = 'amount'").contains("it must be a STRING"));
    assert!(told("'amount' = 'amount', ", "").contains("option 'amount' is missing"));
    assert!(told("'on.placed' = 'open', ", "").contains("no kind of event opens an order"));
    assert!(told("'2 h'", "'soon'").contains("option 'horizon': 'soon' is not a duration"));
    let shop = told("shop STRING", "shopp STRING");
    assert!(
        shop.contains(&format!(
            "flow.sql:1:{}: `shopp` is no column of orders; did you mean 'shop'?",
            column("shop STRING", FLOW)
        )),
        "{shop}"
    );
    assert!(told("shop STRING", "shop STRING NOT NULL").contains("`shop` may be NULL"));
    assert!(
        told("shop STRING", "amount DECIMAL(10, 2)").contains("`amount` is the amount of an event")
    );
    assert!(
        told("net DECIMAL(12, 2)", "net DECIMAL(12, 1)")
            .contains("METADATA FROM 'net' is a DECIMAL(10, 2) or longer")
    );
    assert!(
        told("FROM 'paid-orders'", "FROM 'paid-order'").contains("did you mean 'paid-orders'?")
    );
    assert!(
        told("FOR ts AS SOURCE_WATERMARK()", "FOR ts AS ts")
            .contains("write AS SOURCE_WATERMARK()")
    );
    assert!(told("FOR ts AS", "FOR shop AS").contains("it must be the source's event time"));
    assert!(told("LIKE flow", "LIKE orders").contains("only a table of the connector 'lifecycle'"));
    assert!(told("LIKE flow", "LIKE flaw").contains("there is no such table"));
}

#[test]
fn metadata_that_a_record_does_not_have_is_refused() {
    let dir = figures();
    write(
        dir.path(),
        &[("streams/orders.sql", &ORDERS.replace("FROM 'offset'", "FROM 'headers'"))],
    );
    let told = load(dir.path()).err().expect("refused");
    assert!(
        told.contains("METADATA FROM 'headers': a record has timestamp, partition, offset"),
        "{told}"
    );
    write(dir.path(), &[("streams/orders.sql", &ORDERS.replace("place BIGINT", "place INT"))]);
    let told = load(dir.path()).err().expect("refused");
    assert!(told.contains("METADATA FROM 'offset' is a BIGINT, not a INT"), "{told}");
}
