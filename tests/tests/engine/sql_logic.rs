//! `tests/sql_logic/*.slt`: one file a rule and one a shipped view, small enough to be checked by eye.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use sqllogictest::Runner;
use tidemark_tests::sql_logic::{Engine, StatementError, root};

/// The files, those whose name holds `TIDEMARK_SLT` if that is set.
fn files() -> Result<Vec<PathBuf>> {
    let wanted = std::env::var("TIDEMARK_SLT").unwrap_or_default();
    let mut files = Vec::new();
    for folder in ["tests/sql_logic", "tests/sql_logic/views"] {
        for entry in std::fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            let is_test = path.extension().is_some_and(|extension| extension == "slt");
            if is_test && path.to_string_lossy().contains(&wanted) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[test]
fn every_sql_logic_file_holds() -> Result<()> {
    let mut wrong = Vec::new();
    let files = files()?;
    ensure!(!files.is_empty(), "TIDEMARK_SLT names no file");
    for file in &files {
        let mut runner = Runner::new(|| async { Engine::new().map_err(StatementError::from) });
        if let Err(error) = runner.run_file(file) {
            wrong.push(format!("{}: {}", file.display(), error.display(false)));
        }
    }
    println!("sql logic: {} passed, {} failed, 0 skipped", files.len() - wrong.len(), wrong.len());
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

#[test]
fn every_shipped_view_has_a_sql_logic_file() -> Result<()> {
    let mut missing = Vec::new();
    for entry in std::fs::read_dir(root().join("sql/views"))? {
        let path = entry?.path();
        let Some(view) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        // A plain view is a part of the views that read it.
        if !std::fs::read_to_string(&path)?.contains("CREATE MATERIALIZED VIEW") {
            continue;
        }
        if !root().join(format!("tests/sql_logic/views/{view}.slt")).exists() {
            missing.push(view.to_owned());
        }
    }
    ensure!(missing.is_empty(), "no file in tests/sql_logic/views for {}", missing.join(", "));
    Ok(())
}
