//! `/api/examples`: the questions of `sql/examples`, as the files say, for the SQL page to begin from.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidemark_pipeline::results::snapshot::Bilingual;

use super::error::ApiError;
use super::state::AppState;

/// Files that are offered; more would be no list to choose from.
const EXAMPLES_MAX: usize = 500;
/// Longest file in bytes; a longer one is no question.
const EXAMPLE_BYTES_MAX: u64 = 65_536;

/// A question and its query.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    name: String,
    question: Bilingual,
    sql: String,
}

/// `GET /api/examples`, in the order of the files' names; none where there is no such folder. Read when it is
/// asked for: a new file needs no restart.
///
/// # Errors
/// When the reading breaks off.
pub async fn list_examples(
    State(state): State<Arc<AppState>>,
) -> Result<Json<Vec<Example>>, ApiError> {
    let folder = state.examples.clone();
    let reading = tokio::task::spawn_blocking(move || read(&folder)).await;
    let broken = |_| ApiError::Internal { message: "the examples cannot be read".to_owned() };
    reading.map(Json).map_err(broken)
}

fn read(folder: &Path) -> Vec<Example> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "sql")).collect();
    files.sort();
    files.truncate(EXAMPLES_MAX);
    files.iter().filter_map(|path| example(path)).collect()
}

fn example(path: &Path) -> Option<Example> {
    let size = fs::metadata(path).ok()?.len();
    if size > EXAMPLE_BYTES_MAX {
        tracing::warn!("{}: longer than {EXAMPLE_BYTES_MAX} bytes, not offered", path.display());
        return None;
    }
    let sql = fs::read_to_string(path).ok()?;
    let name = path.file_stem()?.to_str()?.to_owned();
    Some(Example { name, question: question(&sql), sql })
}

/// The head says `-- question.zh: …` and `-- question.en: …`.
fn question(sql: &str) -> Bilingual {
    let said = |language: &str| {
        let mark = format!("-- question.{language}:");
        let line = sql.lines().find_map(|line| line.strip_prefix(&mark));
        line.unwrap_or_default().trim().to_owned()
    };
    Bilingual { zh: said("zh"), en: said("en") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_questions_are_in_the_heads_of_the_files_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let write =
            |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writes");
        write(
            "b.sql",
            "-- question.zh: 哪个省最多?\n-- question.en: Which province leads?\nSELECT 1;\n",
        );
        write("a.sql", "SELECT 2;\n");
        write("README.md", "# no question");
        write("huge.sql", &"x".repeat(70_000));
        let found = read(folder.path());
        let names: Vec<&str> = found.iter().map(|example| example.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(found[1].question.zh, "哪个省最多?");
        assert_eq!(found[1].question.en, "Which province leads?");
        assert_eq!(found[0].question, Bilingual::default());
        assert_eq!(read(&folder.path().join("none")), []);
    }
}
