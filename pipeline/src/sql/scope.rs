//! A scope: what its file says of it, and the head that a statement may have.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::error::SqlError;
use super::meaning::Meaning;
use super::script::{Statement, ViewStatement};
use crate::results::snapshot::Bilingual;

/// A scope: the rule for what counts, with its version and definition.
#[derive(Debug, Clone)]
pub struct ScopeDefinition {
    /// Name in SQL.
    pub name: String,
    /// Version, from the head of its file.
    pub version: u32,
    /// What it counts, in Chinese and English.
    pub definition: Bilingual,
    /// SHA-256 of its text, in hex.
    pub hash: String,
    /// What it means beside its text, by the name of each part.
    pub meaning: Meaning,
    /// Reference tables whose rows may change under the version, `-- follows: TABLE, TABLE` in its head: its figures
    /// then move with them.
    pub follows: BTreeSet<String>,
    /// Its statement.
    pub text: String,
    /// File, line and column of it.
    pub place: String,
}

/// The value of `-- key: value` in the comment before a statement.
pub(super) fn head(statement: &Statement, key: &str) -> Option<String> {
    let value =
        statement.comment.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The scope that a statement declares; what it means beside its text is told when it has been planned.
///
/// # Errors
/// When its head lacks the version or a definition.
pub(super) fn scope_of(
    statement: &Statement,
    view: &ViewStatement,
) -> Result<ScopeDefinition, SqlError> {
    let wrong = |message: String| SqlError::at(&statement.file, statement.place, message);
    let declared = head(statement, "scope").ok_or_else(|| {
        wrong(format!("the scope needs a head: -- scope: {}@1, -- zh: …, -- en: …", view.name))
    })?;
    let (name, version) = declared
        .split_once('@')
        .and_then(|(name, version)| Some((name, version.parse().ok()?)))
        .ok_or_else(|| wrong(format!("'-- scope: {declared}' is not NAME@VERSION")))?;
    if name != view.name {
        return Err(wrong(format!("the head says scope {name}, the statement {}", view.name)));
    }
    let definition = Bilingual {
        zh: head(statement, "zh").unwrap_or_default(),
        en: head(statement, "en").unwrap_or_default(),
    };
    if definition.zh.is_empty() || definition.en.is_empty() {
        return Err(wrong(
            "the scope's head needs its definition in both languages: -- zh: … and -- en: …"
                .to_owned(),
        ));
    }
    let follows = head(statement, "follows").unwrap_or_default();
    let follows = follows
        .split(',')
        .map(|table| table.trim().to_owned())
        .filter(|table| !table.is_empty())
        .collect();
    let hash = hex(&Sha256::digest(statement.text.as_bytes()));
    let place =
        format!("{}:{}:{}", statement.file.display(), statement.place.line, statement.place.column);
    Ok(ScopeDefinition {
        name: view.name.clone(),
        version,
        definition,
        hash,
        meaning: Meaning::new(),
        follows,
        text: statement.text.clone(),
        place,
    })
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
