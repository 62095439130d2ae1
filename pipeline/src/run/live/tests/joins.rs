//! Views that join two streams: one cut, fill from both logs, restart, another definition, other partitions.

use super::*;

fn windowed(stream: &str) -> String {
    format!("(SELECT * FROM TUMBLE({stream}, at, INTERVAL '1' MINUTE))")
}

const ON: &str = "a.window_start = b.window_start AND a.window_end = b.window_end";

/// Orders with the parcel of the same number, by shop.
fn pairs(measure: &str) -> String {
    let (left, right) = (windowed("orders"), windowed("parcels"));
    format!(
        "CREATE MATERIALIZED VIEW pairs AS SELECT a.window_start, a.window_end, a.shop, {measure} AS n FROM {left} AS a \
         JOIN {right} AS b ON {ON} AND a.id = b.id GROUP BY a.window_start, a.window_end, a.shop;"
    )
}

/// Counts of both streams by shop.
fn both() -> String {
    let counts = |stream: &str| {
        format!(
            "(SELECT window_start, window_end, shop, COUNT(*) AS n FROM TUMBLE({stream}, at, INTERVAL '1' MINUTE) \
             GROUP BY window_start, window_end, shop)"
        )
    };
    format!(
        "CREATE MATERIALIZED VIEW both AS SELECT COALESCE(a.window_start, b.window_start) AS window_start, \
         COALESCE(a.window_end, b.window_end) AS window_end, COALESCE(a.shop, b.shop) AS shop, a.n AS orders, \
         b.n AS parcels FROM {} AS a FULL JOIN {} AS b ON {ON} AND a.shop = b.shop;",
        counts("orders"),
        counts("parcels")
    )
}

/// Orders and parcels in two logs; the parcels begin later and end later.
fn ground(partitions: u32, parcels: u32) -> Ground {
    let ground = Ground::new(partitions);
    ground.log.create_stream("parcels", parcels, Retention::default()).expect("made");
    let options = ", 'partition.key' = 'id', 'shadow.header' = 'tidemark-shadow'";
    ground.sql("streams/orders.sql", &stream_sql("orders", options));
    ground.sql("streams/parcels.sql", &stream_sql("parcels", options));
    ground
}

fn both_at_end(ground: &Ground, cut: &Cut) -> bool {
    at_end(ground, cut, "orders") && at_end(ground, cut, "parcels")
}

fn closed_both(ground: &Ground, pipeline: &Pipeline) -> Arc<Cut> {
    ground.closed(pipeline, "orders");
    ground.closed(pipeline, "parcels")
}

/// Accepted, counted, filtered, late of a view in a stream, over its partitions.
fn counts(cut: &Cut, view: &str, stream: &str) -> [i64; 4] {
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;
    let table = &cut.tables["views_accounted"];
    let column = |name: &str| table.column_by_name(name).expect("a column");
    let (views, streams) = (column("view").as_string::<i32>(), column("stream").as_string::<i32>());
    let is_its = |row: &usize| views.value(*row) == view && streams.value(*row) == stream;
    ["accepted", "counted", "filtered", "late"].map(|name| {
        let numbers = column(name).as_primitive::<Int64Type>();
        (0..table.num_rows()).filter(is_its).map(|row| numbers.value(row)).sum()
    })
}

fn expected(ground: &Ground, view: &str) -> Vec<String> {
    let fresh = ground.running("other");
    let cut = wait(&fresh, "a fresh run", |cut| both_at_end(ground, cut));
    let rows = rows(&cut, view);
    fresh.stop();
    rows
}

#[test]
fn a_join_shows_both_streams_at_one_cut_and_accounts_for_the_records_of_both() {
    let ground = ground(2, 2);
    ground.sql("views/pairs.sql", &pairs("COUNT(*)"));
    ground.sql("views/both.sql", &both());
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*)"));
    ground.sql("views/parcel_counts.sql", &minute_view("parcel_counts", "parcels", "COUNT(*)"));
    ground.write("orders", 0..300);
    ground.write("parcels", 90..420);
    let pipeline = ground.running("data");
    let cut = wait(&pipeline, "both streams", |cut| both_at_end(&ground, cut));
    // As final as the stream that is behind: the orders have passed four minutes, the parcels six.
    let info = &cut.views["pairs"].info;
    assert_eq!(info.streams, ["orders", "parcels"]);
    assert_eq!(cut.progress(info).watermark, cut.streams["orders"].watermark);
    assert_eq!(cut.progress(info).as_of, cut.streams["parcels"].as_of);
    let finals = |view: &str| {
        let all = rows(&cut, view);
        all.iter().filter(|row| row.contains("\"_mark\":\"final\"")).count()
    };
    assert_eq!((finals("both"), finals("counts"), finals("parcel_counts")), (12, 12, 15));
    let cut = closed_both(&ground, &pipeline);
    assert_eq!(rows(&cut, "both").len(), 21, "seven minutes of three shops");
    let numbers = |view: &str, field: &str| -> i64 {
        let number = |row: &String| {
            let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
            row[field].as_i64().unwrap_or(0)
        };
        rows(&cut, view).iter().map(number).sum()
    };
    assert_eq!((numbers("both", "orders"), numbers("both", "parcels")), (300, 330));
    assert_eq!(numbers("pairs", "n"), 210, "the orders 90 to 299 have a parcel");
    for view in ["pairs", "both"] {
        assert_eq!(counts(&cut, view, "orders"), [300, 300, 0, 0], "{view}");
        assert_eq!(counts(&cut, view, "parcels"), [330, 330, 0, 0], "{view}");
    }
    assert!(pipeline.results().status().alarms.is_empty(), "{:?}", pipeline.results().status());
    pipeline.stop();
    let again = ground.running("data");
    let resumed = wait(&again, "a first cut", |cut| cut.cut > 0);
    assert_eq!(resumed.offsets, cut.offsets, "nothing was read again");
    for view in ["pairs", "both"] {
        assert!(is_live(&resumed, view));
        assert_eq!(rows(&resumed, view), rows(&cut, view), "{view}");
    }
    again.stop();
}

#[test]
fn a_join_added_or_changed_while_records_come_is_filled_from_both_logs_and_goes_when_removed() {
    let ground = ground(3, 3);
    ground.write("orders", 0..2_000);
    ground.write("parcels", 0..1_500);
    let pipeline = ground.running("data");
    wait(&pipeline, "the first records", |cut| both_at_end(&ground, cut));
    ground.sql("views/pairs.sql", &pairs("COUNT(*)"));
    ground.sql("views/both.sql", &both());
    let told = pipeline.reloader().reload(ground.catalog()).expect("is taken");
    assert_eq!(told.added, ["both", "pairs"]);
    let first = pipeline.results().latest();
    assert!(rows(&first, "pairs").is_empty() || is_live(&first, "pairs"), "not shown by halves");
    for at in 0..20 {
        ground.write("orders", 2_000 + at * 25..2_025 + at * 25);
        ground.write("parcels", 1_500 + at * 50..1_550 + at * 50);
    }
    let stands = |cut: &Cut, view: &str| is_live(cut, view) && both_at_end(&ground, cut);
    closed_both(&ground, &pipeline);
    let cut = wait(&pipeline, "the joins", |cut| stands(cut, "pairs") && stands(cut, "both"));
    for view in ["pairs", "both"] {
        assert!(rows(&cut, view).len() > 100, "{view}: {}", rows(&cut, view).len());
        assert_eq!(rows(&cut, view), expected(&ground, view), "{view}");
        assert_eq!(counts(&cut, view, "orders")[0], 2_500);
        assert_eq!(counts(&cut, view, "parcels")[0], 2_500);
    }
    let before = rows(&cut, "pairs");
    ground.sql("views/pairs.sql", &pairs("SUM(b.amount)"));
    let told = pipeline.reloader().reload(ground.catalog()).expect("is taken");
    assert_eq!((told.changed, told.unchanged), (vec!["pairs".to_owned()], 2));
    let cut = wait(&pipeline, "the new definition", |cut| {
        let now = rows(cut, "pairs");
        let is_new = cut.views["pairs"].info.sql.contains("SUM");
        assert!(is_new || now == before, "neither the old figures nor the new ones");
        is_new
    });
    std::fs::remove_dir_all(ground.dir.path().join("other")).expect("removed");
    assert_eq!(rows(&cut, "pairs"), expected(&ground, "pairs"));
    std::fs::remove_file(ground.sql_dir().join("views/pairs.sql")).expect("removed");
    assert_eq!(pipeline.reloader().reload(ground.catalog()).expect("taken").removed, ["pairs"]);
    wait(&pipeline, "its end", |cut| !cut.views.contains_key("pairs") && is_live(cut, "both"));
    pipeline.stop();
}

#[test]
fn a_join_begins_again_with_either_of_its_streams_and_the_other_stream_goes_on() {
    let ground = ground(2, 2);
    ground.sql("views/pairs.sql", &pairs("COUNT(*)"));
    ground.sql("views/both.sql", &both());
    ground.write("orders", 0..600);
    ground.write("parcels", 0..600);
    let pipeline = ground.running("data");
    let before = closed_both(&ground, &pipeline);
    pipeline.stop();
    // The parcels' stream is another one now: their log is read again, the orders' is not.
    let options = ", 'partition.key' = 'id', 'event-time.min' = '2001-01-01T00:00:00Z'";
    ground.sql("streams/parcels.sql", &stream_sql("parcels", options));
    let again = ground.running("data");
    let first = wait(&again, "a first cut", |cut| cut.cut > 0);
    assert!(first.offsets["orders"] == before.offsets["orders"], "{:?}", first.offsets);
    let cut = wait(&again, "the joins", |cut| {
        both_at_end(&ground, cut) && is_live(cut, "pairs") && is_live(cut, "both")
    });
    for view in ["pairs", "both"] {
        assert_eq!(rows(&cut, view), rows(&before, view), "{view}");
        assert_eq!(counts(&cut, view, "orders")[0], 600);
        assert_eq!(counts(&cut, view, "parcels")[0], 600);
    }
    assert!(again.results().status().alarms.is_empty(), "{:?}", again.results().status());
    again.stop();
}

#[test]
fn rows_of_streams_with_other_partitions_are_not_joined_and_only_that_view_stops() {
    let ground = ground(3, 3);
    ground.sql("views/pairs.sql", &pairs("COUNT(*)"));
    ground.sql("views/both.sql", &both());
    ground.write("orders", 0..60);
    // Every source shows as many partitions as the ground says; this one has its own.
    let catalog = ground.catalog();
    let few = StreamInput {
        stream: "parcels".to_owned(),
        open: {
            let (log, shown) = (ground.log.clone(), Arc::new(AtomicU32::new(2)));
            Arc::new(move || {
                Ok(Box::new(Growing {
                    source: Box::new(log.source("parcels")?),
                    shown: Arc::clone(&shown),
                }))
            })
        },
    };
    let inputs = vec![ground.input("orders"), few];
    let pipeline = start(catalog, &ground.config("data"), Mode::Live, inputs)
        .map_err(|error| error.to_string())
        .expect("starts");
    let is_stopped = |cut: &Cut| {
        cut.statuses.get("pairs").is_some_and(|status| status.state == ViewState::Stopped)
    };
    let cut = wait(&pipeline, "the stop", |cut| is_stopped(cut) && at_end(&ground, cut, "orders"));
    let problem = cut.statuses["pairs"].problem.clone().unwrap_or_default();
    assert!(problem.contains("orders has 3 partitions and parcels has 2"), "{problem}");
    assert!(is_live(&cut, "both") && !rows(&cut, "both").is_empty());
    pipeline.stop();
}

#[test]
fn shadow_records_of_either_stream_are_joined_in_their_own_space_only() {
    let ground = ground(2, 2);
    ground.sql("views/pairs.sql", &pairs("COUNT(*)"));
    ground.sql("views/both.sql", &both());
    ground.write("orders", 0..60);
    ground.write("parcels", 0..60);
    let marked = [(crate::model::record::SHADOW_HEADER, &b"1"[..])];
    ground.write_with("orders", 60..120, &marked);
    ground.write_with("parcels", 90..150, &marked);
    let pipeline = ground.running("data");
    let cut = closed_both(&ground, &pipeline);
    let total = |cut: &Cut, view: &str, field: &str| -> i64 {
        let number = |row: &String| {
            let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
            row[field].as_i64().unwrap_or(0)
        };
        rows(cut, view).iter().map(number).sum()
    };
    let shadow = cut.shadow.clone().expect("shadow records came");
    assert_eq!((total(&cut, "pairs", "n"), total(&shadow, "pairs", "n")), (60, 30));
    assert_eq!((total(&cut, "both", "parcels"), total(&shadow, "both", "parcels")), (60, 60));
    assert_eq!(counts(&shadow, "pairs", "parcels"), [60, 60, 0, 0]);
    assert_eq!(cut.tables["shadow_proof"].num_rows(), 5, "a row a view and stream");
    assert!(pipeline.results().status().alarms.is_empty(), "{:?}", pipeline.results().status());
    pipeline.stop();
    let again = ground.running("data");
    let resumed = wait(&again, "a first cut", |cut| cut.cut > 0);
    let resumed_shadow = resumed.shadow.clone().expect("it was saved");
    assert_eq!(rows(&resumed_shadow, "pairs"), rows(&shadow, "pairs"));
    assert_eq!(rows(&resumed, "pairs"), rows(&cut, "pairs"));
    again.stop();
}

#[test]
fn what_waits_for_a_silent_stream_is_bounded_and_the_stop_names_both() {
    let ground = ground(1, 1);
    let hints = "pairs WITH ('state.values' = '1', 'state.groups' = '1') AS";
    ground.sql("views/pairs.sql", &pairs("COUNT(*)").replace("pairs AS", hints));
    // The same joined by groups keeps a group a minute and shop of it.
    ground.sql("views/both.sql", &both().replace("both AS", &hints.replace("pairs", "both")));
    let bounds = crate::sql::StateBounds { bytes_max: 20_000, groups: 1, ..Default::default() };
    let catalog = crate::run::reference::catalog(&ground.sql_dir(), &BTreeMap::new(), bounds)
        .expect("within the bound by the estimate");
    let inputs = vec![ground.input("orders"), ground.input("parcels")];
    ground.write("orders", 0..900);
    let pipeline = start(catalog, &ground.config("data"), Mode::Live, inputs)
        .map_err(|error| error.to_string())
        .expect("starts");
    let cut = wait(&pipeline, "the stop", |cut| {
        at_end(&ground, cut, "orders")
            && cut.statuses.get("pairs").is_some_and(|status| status.problem.is_some())
    });
    let problem = cut.statuses["pairs"].problem.clone().unwrap_or_default();
    for words in ["bytes of state, and 20000 are allowed", "stream orders", "stream parcels"] {
        assert!(problem.contains(words), "{words} not in {problem}");
    }
    assert!(is_live(&cut, "both") && rows(&cut, "both").len() == 45, "{:?}", cut.statuses);
    pipeline.stop();
}
