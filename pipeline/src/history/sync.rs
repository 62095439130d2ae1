//! What a commit on a local disk needs to survive a power cut: the store itself leaves that to the system.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
struct Action {
    add: Option<Added>,
}

#[derive(Deserialize)]
struct Added {
    path: String,
}

/// Syncs the files of a version with their folders, and then its entry in the table's log.
///
/// # Errors
/// When the disk refuses.
pub(super) fn version(table: &Path, version: u64) -> std::io::Result<()> {
    let log = table.join("_delta_log");
    let entry = log.join(format!("{version:020}.json"));
    let text = std::fs::read_to_string(&entry)?;
    let added = text.lines().filter_map(|line| serde_json::from_str::<Action>(line).ok()?.add);
    let files: Vec<PathBuf> = added.map(|added| table.join(added.path)).collect();
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    for path in files.iter().map(PathBuf::as_path).chain(folders).chain([table, &entry, &log]) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}
