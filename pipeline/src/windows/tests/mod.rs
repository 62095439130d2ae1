//! Views over rows in memory, folded and published where the tests say.

mod aggregates;
mod cascade;
mod join;
mod live;
mod reference;
mod steps;
mod state;
mod top;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sql::catalog::ViewQuery;
use crate::sql::{Catalog, SqlError, StateBounds, ViewPlan};

const STREAM: &str = "CREATE TABLE t (
  id BIGINT NOT NULL, k STRING, i BIGINT, d DECIMAL(20, 2), big DECIMAL(38, 0), f DOUBLE, s STRING, b BOOLEAN,
  ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'embedded', 'format' = 'json', 'time-zone' = 'UTC', 'partition.key' = 'k');\n";

/// A catalogue of the test stream, these files and one view `v` with this query.
fn load(files: &[(&str, &str)], view: &str) -> Result<Catalog, Vec<SqlError>> {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("streams/t.sql", STREAM);
    for (path, text) in files {
        write(path, text);
    }
    let head = if view.starts_with("WITH (") || view.starts_with("AS") { "" } else { "AS\n" };
    write("views/v.sql", &format!("CREATE MATERIALIZED VIEW v {head}{view};\n"));
    Catalog::load_with(
        folder.path(),
        &BTreeMap::new(),
        StateBounds::default(),
        &crate::run::reference::read,
    )
}

/// The shipped SQL.
fn shipped() -> Catalog {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql");
    crate::run::reference::catalog(&folder, &BTreeMap::new(), StateBounds::default())
        .expect("the shipped folder")
}

fn refusal(files: &[(&str, &str)], view: &str) -> SqlError {
    match load(files, view) {
        Ok(_) => panic!("not refused: {view}"),
        Err(errors) => errors[0].clone(),
    }
}

fn plan(catalog: &Catalog) -> Arc<ViewPlan> {
    match &catalog.views[0].query {
        ViewQuery::Stream(plan) => Arc::clone(plan),
        ViewQuery::Results(_) => panic!("a view over a stream"),
    }
}
