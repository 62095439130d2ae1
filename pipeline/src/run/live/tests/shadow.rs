//! Shadow records through the running pipeline: the space begins while it runs, views are filled in both
//! spaces, and both come back after a restart.

use super::*;
use crate::model::Space;
use crate::model::record::SHADOW_HEADER;

const MARK: &[Header<'static>] = &[(SHADOW_HEADER, b"1")];

/// Rows of both views in a log of only these orders.
fn plain(numbers: &[std::ops::Range<i64>]) -> [Vec<String>; 2] {
    let ground = Ground::new(2);
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*)"));
    numbers.iter().for_each(|numbers| ground.write("orders", numbers.clone()));
    let pipeline = ground.running("data");
    let cut = ground.closed(&pipeline, "orders");
    pipeline.stop();
    [rows(&cut, "sums"), rows(&cut, "counts")]
}

fn both_closed(ground: &Ground, pipeline: &Pipeline) -> Arc<Cut> {
    ground
        .log
        .writer("orders")
        .expect("writer")
        .close(Space::Shadow, EventTime(END_MS), END_MS)
        .expect("closed");
    ground.close("orders", END_MS);
    let is_closed =
        |cut: &Cut| cut.streams.get("orders").is_some_and(|at| at.watermark == Some(END_MS));
    wait(pipeline, "both spaces closed", |cut| {
        at_end(ground, cut, "orders")
            && is_closed(cut)
            && cut.shadow.as_ref().is_some_and(|shadow| is_closed(shadow))
    })
}

#[test]
fn a_space_that_begins_while_it_runs_is_filled_restored_and_apart() {
    let ground = Ground::new(2);
    ground.write("orders", 0..600);
    let pipeline = ground.running("data");
    wait(&pipeline, "the first orders", |cut| at_end(&ground, cut, "orders"));
    assert!(pipeline.results().latest().shadow.is_none(), "no shadow record, no shadow space");
    // The load test has orders of the same numbers: in one space they would be duplicates.
    ground.write_with("orders", 100..700, MARK);
    ground.write("orders", 600..900);
    wait(&pipeline, "a shadow space", |cut| at_end(&ground, cut, "orders") && cut.shadow.is_some());
    ground.sql("views/counts.sql", &minute_view("counts", "orders", "COUNT(*)"));
    pipeline.reloader().reload(ground.catalog()).expect("reloads");
    ground.write_with("orders", 700..800, MARK);
    wait(&pipeline, "the new view", |cut| is_live(cut, "counts") && at_end(&ground, cut, "orders"));
    pipeline.stop();
    let pipeline = ground.running("data");
    ground.write_with("orders", 790..900, MARK);
    ground.write("orders", 890..1_000);
    let cut = both_closed(&ground, &pipeline);
    assert!(
        pipeline.results().status().alarms.is_empty(),
        "{:?}",
        pipeline.results().status().alarms
    );
    pipeline.stop();
    let shadow = cut.space(Space::Shadow);
    assert_eq!([rows(&cut, "sums"), rows(&cut, "counts")], plain(&[0..1_000]), "live");
    assert_eq!([rows(&shadow, "sums"), rows(&shadow, "counts")], plain(&[100..900]), "shadow");
    assert_eq!((cut.cut, &cut.offsets), (shadow.cut, &shadow.offsets), "one cut");
}
