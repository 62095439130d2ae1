//! Starts where the log has been cut, and fills that end by a fault.

use super::*;

/// A log of one partition whose first orders are gone: those before the number it returns.
fn cut(ground: &Ground, orders: i64) -> i64 {
    ground.write("orders", 0..orders);
    // Blocks are cut whole; a write makes the log look.
    let retention = Retention { age_ms: None, partition_bytes: Some(1) };
    ground.log.create_stream("orders", 1, retention).expect("kept shorter");
    ground.write("orders", orders..orders + 10);
    assert!(ground.log.bounds("orders", 0).expect("bounds").first > 0, "nothing was cut");
    ground.log.create_stream("orders", 1, Retention::default()).expect("kept from now on");
    orders + 10
}

fn is_final(cut: &Cut, view: &str) -> Vec<(i64, bool)> {
    let rows = |window: &crate::results::WindowRows| {
        let all = window.rows.iter().all(|row| row.json.contains("\"_mark\":\"final\""));
        (window.window.0, all)
    };
    cut.views[view].windows.iter().map(|window| rows(window)).collect()
}

#[test]
fn a_start_on_a_cut_log_calls_no_window_whole_that_may_lack_what_was_cut() {
    let ground = Ground::new(1);
    let next = cut(&ground, 20_000);
    ground.write("orders", next..20_900);
    let pipeline = ground.running("data");
    wait(&pipeline, "what is left", |cut| at_end(&ground, cut, "orders"));
    ground.write("orders", 20_900..21_200);
    let shown = ground.closed(&pipeline, "orders");
    assert!(shown.statuses["sums"].since.contains_key("0"), "{:?}", shown.statuses["sums"]);
    // That none of what was cut is newer than what was there at the start is all that is known.
    let windows = is_final(&shown, "sums");
    for (start, is_final) in &windows {
        assert_eq!(*is_final, *start > START_MS + 20_899_000, "{start} of {windows:?}");
    }
    assert!(windows.iter().filter(|(_, is_final)| *is_final).count() > 3, "{windows:?}");
    let before = rows(&shown, "sums");
    pipeline.stop();
    // A restart knows no better.
    let again = ground.running("data");
    let shown = wait(&again, "the same", |cut| at_end(&ground, cut, "orders"));
    assert_eq!(rows(&shown, "sums"), before);
    again.stop();
}

#[test]
fn windows_over_a_life_cycle_whose_events_were_cut_are_never_final() {
    let ground = Ground::new(1);
    let stream = stream_sql("orders", ", 'partition.key' = 'id'");
    ground.sql("streams/orders.sql", &stream.replace("amount BIGINT", "amount DECIMAL(12, 2)"));
    ground.sql(
        "streams/orders_flow.sql",
        "CREATE TABLE flow (id BIGINT NOT NULL, shop STRING, at TIMESTAMP(3) NOT NULL, \
         opened BIGINT NOT NULL METADATA FROM 'placed-orders', WATERMARK FOR at AS SOURCE_WATERMARK()) \
         WITH ('connector' = 'lifecycle', 'source' = 'orders', 'key' = 'id', 'kind' = 'shop', \
         'on.s0' = 'open', 'on.s1' = 'open', 'on.s2' = 'open');",
    );
    ground.sql("views/opened.sql", &minute_view("opened", "flow", "SUM(opened)"));
    let next = cut(&ground, 20_000);
    ground.write("orders", next..20_900);
    let pipeline = ground.running("data");
    wait(&pipeline, "what is left", |cut| at_end(&ground, cut, "orders"));
    ground.write("orders", 20_900..21_200);
    let shown = ground.closed(&pipeline, "orders");
    let windows = is_final(&shown, "opened");
    assert!(windows.len() > 3 && windows.iter().all(|(_, is_final)| !is_final), "{windows:?}");
    // The stream's own view says so of fewer.
    assert!(is_final(&shown, "sums").iter().any(|(_, is_final)| *is_final));
    pipeline.stop();
}

#[test]
fn a_fill_that_ends_by_a_fault_stops_its_view_with_the_reason_and_nothing_else() {
    let ground = Ground::new(1);
    ground.write("orders", 0..500);
    let mut input = ground.input("orders");
    let (open, opened) = (Arc::clone(&input.open), AtomicU32::new(0));
    input.open = Arc::new(move || match opened.fetch_add(1, Ordering::Relaxed) {
        0 => open(),
        _ => panic!("the disk is made of cheese"),
    });
    let pipeline = start(ground.catalog(), &ground.config("data"), Mode::Live, vec![input]);
    let pipeline = pipeline.map_err(|error| error.to_string()).expect("starts");
    wait(&pipeline, "the orders", |cut| at_end(&ground, cut, "orders"));
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*)"));
    pipeline.reloader().reload(ground.catalog()).expect("is taken");
    let cut = wait(&pipeline, "the fault", |cut| {
        cut.statuses.get("counts").is_some_and(|status| status.state == ViewState::Stopped)
    });
    let problem = cut.statuses["counts"].problem.clone().unwrap_or_default();
    assert!(problem.contains("made of cheese") && problem.contains("restart"), "{problem}");
    // The others go on.
    ground.write("orders", 500..600);
    let cut = ground.closed(&pipeline, "orders");
    assert!(is_live(&cut, "sums") && rows(&cut, "sums").len() > 3);
    pipeline.stop();
    // After a restart it is filled.
    let again = ground.running("data");
    let cut =
        wait(&again, "the view", |cut| is_live(cut, "counts") && !rows(cut, "counts").is_empty());
    assert!(rows(&cut, "counts").len() > 3);
    again.stop();
}
