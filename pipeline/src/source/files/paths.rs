//! The files a path names: one file, a directory's, or those of a pattern, in the order of names.

use std::path::{Path, PathBuf};

use crate::source::SourceError;

/// The files of `path`, sorted by name.
///
/// A directory gives the files directly in it; names that begin with `.` or `_` are left out, as
/// writers of such folders leave their marks under them. `*` and `?` stand in the last part of a
/// path only.
///
/// # Errors
/// [`SourceError::NoFile`] when there is none.
pub(super) fn expand(path: &str) -> Result<Vec<PathBuf>, SourceError> {
    let no_file = |detail: String| SourceError::NoFile { path: path.to_owned(), detail };
    let whole = Path::new(path.strip_prefix("file://").unwrap_or(path));
    let pattern = whole.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    let (folder, pattern) = if whole.is_dir() {
        (whole, "*")
    } else if pattern.contains(['*', '?']) {
        (
            whole.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")),
            pattern,
        )
    } else {
        std::fs::metadata(whole).map_err(|error| no_file(error.to_string()))?;
        return Ok(vec![whole.to_owned()]);
    };
    let entries = std::fs::read_dir(folder).map_err(|error| no_file(error.to_string()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| is_wanted(name, pattern)))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    found.sort_unstable();
    if found.is_empty() {
        return Err(no_file(format!("there is none in {}", folder.display())));
    }
    Ok(found)
}

fn is_wanted(name: &str, pattern: &str) -> bool {
    !name.starts_with(['.', '_']) && matches(name.as_bytes(), pattern.as_bytes())
}

/// Whether `name` fits `pattern`: `*` is any bytes, `?` any one byte.
fn matches(name: &[u8], pattern: &[u8]) -> bool {
    // Where to go on when a star has to take one byte more: behind the star, and its end so far.
    let (mut at, mut wanted, mut star) = (0, 0, None);
    while let Some(byte) = name.get(at) {
        match pattern.get(wanted) {
            Some(b'*') => {
                star = Some((wanted + 1, at));
                wanted += 1;
            }
            Some(b'?') => (at, wanted) = (at + 1, wanted + 1),
            Some(letter) if letter == byte => (at, wanted) = (at + 1, wanted + 1),
            _ => match star {
                Some((behind, end)) => {
                    (at, wanted) = (end + 1, behind);
                    star = Some((behind, end + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(wanted).all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, fits) in [
            ("*", true),
            ("or*.csv", true),
            ("o?d*s*.c?v", true),
            ("*.gz", false),
            ("orders", false),
        ] {
            assert_eq!(matches(b"orders-1.csv", pattern.as_bytes()), fits, "{pattern}");
        }
    }

    #[test]
    fn a_folder_gives_its_files_by_name_without_hidden_ones() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", ".hidden", "_SUCCESS", "c.json"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let names = |path: &Path| -> Vec<String> {
            let found = expand(path.to_str().unwrap()).unwrap();
            found.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(dir.path()), ["a.csv", "b.csv", "c.json"]);
        assert_eq!(names(&dir.path().join("*.csv")), ["a.csv", "b.csv"]);
        assert_eq!(names(&dir.path().join("c.json")), ["c.json"]);
        let error = expand(dir.path().join("*.gz").to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("*.gz") && error.contains("there is none"), "{error}");
    }
}
