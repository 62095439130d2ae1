//! A view that keeps more state than it may is stopped with its place and reason; the others go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use tidemark_pipeline::model::Record;
use tidemark_pipeline::run::reference::catalog;
use tidemark_pipeline::sql::StateBounds;
use tidemark_tests::system::System;

const STREAM: &str = "CREATE TABLE orders (id STRING NOT NULL, event_time TIMESTAMP(3) NOT NULL,\n\
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND)\n\
    WITH ('connector' = 'embedded', 'format' = 'json', 'time-zone' = 'UTC');\n";
/// It says that a day has ten groups, and then there are as many as there are orders.
const BY_ID: &str = "CREATE MATERIALIZED VIEW by_id WITH ('state.groups' = '10') AS\n\
    SELECT window_start, window_end, id, COUNT(*) AS n FROM TUMBLE(orders, event_time, INTERVAL '1' DAY)\n\
    GROUP BY window_start, window_end, id;\n";
const ALL: &str = "CREATE MATERIALIZED VIEW all_orders AS\n\
    SELECT window_start, window_end, COUNT(*) AS n FROM TUMBLE(orders, event_time, INTERVAL '1' DAY)\n\
    GROUP BY window_start, window_end;\n";

fn read(system: &mut System, ids: std::ops::Range<i64>) -> Result<()> {
    for id in ids {
        let payload = format!(r#"{{"id":"o{id}","event_time":{}}}"#, 1_605_024_000_000 + id);
        let payload = payload.as_bytes();
        let record = Record {
            partition: 0,
            offset: id,
            timestamp_ms: None,
            headers: &[],
            key: None,
            payload,
        };
        system.read("orders", 0, [record])?;
    }
    Ok(())
}

#[test]
fn a_view_that_passes_its_bound_is_stopped_with_its_place_and_the_others_go_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (path, sql) in
        [("streams/orders.sql", STREAM), ("views/by_id.sql", BY_ID), ("views/all_orders.sql", ALL)]
    {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::write(path, sql)?;
    }
    let bounds = StateBounds { bytes_max: 100_000, ..StateBounds::default() };
    let catalog = catalog(folder.path(), &BTreeMap::new(), bounds)
        .map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mut system = System::open(Arc::new(catalog), 1)?;
    read(&mut system, 0..500)?;
    system.publish()?;
    ensure!(system.failures().is_empty(), "{:?}", system.failures());
    read(&mut system, 500..9_000)?;
    system.publish()?;
    let failures = system.failures();
    let [failure] = failures.as_slice() else { anyhow::bail!("one view is stopped: {failures:?}") };
    for words in [
        "by_id",
        "pipeline.state-bytes-max",
        "100000",
        "stream orders",
        "partition 0 to offset 8999",
    ] {
        ensure!(failure.contains(words), "'{words}' is missing: {failure}");
    }
    ensure!(
        system.alarms().iter().any(|alarm| alarm.contains("view by_id is stopped")),
        "{:?}",
        system.alarms()
    );
    read(&mut system, 9_000..9_010)?;
    let cut = system.publish()?;
    let rows: Vec<String> =
        cut.views["all_orders"].rows(None).map(|row| row.json.to_string()).collect();
    ensure!(rows.len() == 1 && rows[0].contains("\"n\":9010"), "{rows:?}");
    Ok(())
}
