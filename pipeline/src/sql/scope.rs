//! A scope: what its file says of it, and the head that a statement may have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::error::SqlError;
use super::meaning::{Meaning, part_of_scope};
use super::script::{Statement, ViewStatement};
use crate::results::snapshot::Bilingual;

/// A scope: the rule for what counts, with its version and definition.
#[derive(Debug, Clone)]
pub struct ScopeDefinition {
    /// Its name, the same for all its versions. In SQL the current version is read by it, an older one that is kept
    /// by `"NAME@VERSION"`.
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
    // A version is the same text under both names, so that it may be kept when the next one comes.
    let text = match view.name.as_str() {
        current if current == name => statement.text.clone(),
        kept if kept == declared => plainly_named(&statement.text, &declared, name),
        other => {
            return Err(wrong(format!(
                "the head says scope {declared}, the statement {other}; the current version is CREATE VIEW {name}, an \
                 older one that is kept is CREATE VIEW \"{declared}\""
            )));
        }
    };
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
    let hash = hex(&Sha256::digest(text.as_bytes()));
    let place =
        format!("{}:{}:{}", statement.file.display(), statement.place.line, statement.place.column);
    Ok(ScopeDefinition {
        name: name.to_owned(),
        version,
        definition,
        hash,
        meaning: Meaning::new(),
        follows,
        text,
        place,
    })
}

/// The statement of a kept version as it was when it was the current one.
fn plainly_named(text: &str, declared: &str, name: &str) -> String {
    let quoted = [format!("\"{declared}\""), format!("`{declared}`")];
    match quoted.iter().find(|quoted| text.contains(quoted.as_str())) {
        Some(quoted) => text.replacen(quoted, name, 1),
        None => text.replacen(declared, name, 1),
    }
}

/// The scopes, by their name in SQL, that a query reads itself: not those beneath another one.
pub(super) fn read_by(
    scopes: &BTreeMap<String, ScopeDefinition>,
    is_read: impl Fn(&str) -> bool,
) -> Vec<&ScopeDefinition> {
    let read: Vec<(&String, &ScopeDefinition)> =
        scopes.iter().filter(|(table, _)| is_read(table)).collect();
    let is_beneath = |table: &str| {
        read.iter().any(|(_, scope)| scope.meaning.contains_key(&part_of_scope(table)))
    };
    read.iter().filter(|(table, _)| !is_beneath(table)).map(|(_, scope)| *scope).collect()
}

/// What is wrong with the kept versions among scopes by their name in SQL: each needs a current version that is
/// later.
pub(super) fn without_later(scopes: &BTreeMap<String, ScopeDefinition>) -> Vec<SqlError> {
    let is_kept = |(table, scope): &(&String, &ScopeDefinition)| **table != scope.name;
    let wrong = |(_, kept): (&String, &ScopeDefinition)| {
        let (name, version) = (&kept.name, kept.version);
        let message = match scopes.get(name) {
            Some(current) if current.version > version => return None,
            Some(current) => format!(
                "{name}@{version} is kept as an older version, and the current one ({}) is {name}@{}",
                current.place, current.version
            ),
            None => format!(
                "{name}@{version} is kept as an older version, and there is no current one; write CREATE VIEW {name}"
            ),
        };
        Some(SqlError::of_file(Path::new(&kept.place), message))
    };
    scopes.iter().filter(is_kept).filter_map(wrong).collect()
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
