//! Every conformance case, stopped, saved and restored after every row: the rows are Flink's all the same.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use tidemark_tests::conformance::{Outcome, run};
use tidemark_tests::sql_logic::root;

/// The book of cases lies beside the project; `TIDEMARK_SHARED` names another folder. `skip` in its place leaves
/// the cases out.
fn book() -> PathBuf {
    let shared =
        std::env::var_os("TIDEMARK_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    shared.join("conformance/flink_windows.json")
}

#[test]
fn every_conformance_case_survives_a_restart_after_every_row() -> Result<()> {
    let path = book();
    if std::env::var_os("TIDEMARK_SHARED").is_some_and(|shared| shared == "skip") {
        println!(
            "conformance: 0 passed, 0 failed, 1 skipped: TIDEMARK_SHARED=skip leaves its cases out"
        );
        return Ok(());
    }
    ensure!(
        path.exists(),
        "the conformance cases are not at {}; TIDEMARK_SHARED names their folder, or is 'skip' to leave them out",
        path.display()
    );
    let book: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    let (mut passed, mut skipped, mut restarted) = (0, 0, 0);
    let mut failed = Vec::new();
    for case in book["cases"].as_array().context("cases")? {
        let title = format!(
            "{}.{}",
            case["suite"].as_str().unwrap_or(""),
            case["name"].as_str().unwrap_or("")
        );
        match run(case, &book["data"]) {
            Ok(Outcome::Passed { restarts }) => {
                passed += 1;
                restarted += restarts;
            }
            Ok(Outcome::Skipped(reason)) => {
                println!("skipped: {title}: {reason}");
                skipped += 1;
            }
            Ok(Outcome::Failed(why)) => failed.push(format!("{title}: {why}")),
            Err(error) => failed.push(format!("{title}: {error:#}")),
        }
    }
    println!(
        "conformance with {restarted} restarts: {passed} passed, {} failed, {skipped} skipped",
        failed.len()
    );
    ensure!(passed > 0 && failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
