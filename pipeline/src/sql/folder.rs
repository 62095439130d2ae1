//! The files of a folder of SQL.

use std::path::{Path, PathBuf};

use super::error::SqlError;
use super::script::{self, Statement};

/// The statements of a folder's files, in the order of their names; none if it does not exist.
pub(super) fn read_folder(dir: &Path, errors: &mut Vec<SqlError>) -> Vec<Statement> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let parsed = std::fs::read_to_string(&file)
            .map_err(|error| SqlError::of_file(&file, format!("cannot be read: {error}")))
            .and_then(|text| script::parse(&file, &text));
        match parsed {
            Ok(statements) => all.extend(statements),
            Err(error) => errors.push(error),
        }
    }
    all
}
