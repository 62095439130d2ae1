//! Every version of every scope there has been: a version that has been used must never mean something else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};

use super::objects::Objects;
use super::store::CheckpointError;
use crate::sql::catalog::ScopeDefinition;
use crate::sql::meaning::{Meaning, OPTIONAL_PART};

/// One version of one scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KnownScope {
    /// SHA-256 of its text, in hex.
    hash: String,
    /// What it counts.
    zh: String,
    /// What it counts.
    en: String,
    /// Its statement.
    text: String,
    /// What it means beside its text; `None` in a register that was written before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meaning: Option<Meaning>,
}

impl KnownScope {
    /// What has changed, in words; nothing where the scope means what it meant.
    fn changes(&self, scope: &ScopeDefinition) -> Vec<String> {
        let mut changes = Vec::new();
        if self.hash != scope.hash {
            changes.push(format!(
                "its text is another (SHA-256 then {}, now {})",
                self.hash, scope.hash
            ));
        }
        let Some(before) = &self.meaning else { return changes };
        let names: BTreeSet<&String> = before.keys().chain(scope.meaning.keys()).collect();
        changes.extend(names.into_iter().filter_map(|name| {
            match (before.get(name), scope.meaning.get(name)) {
                (Some(then), Some(now)) if then == now => None,
                (Some(then), Some(now)) => Some(format!("{name}: then {then}, now {now}")),
                (Some(then), None) => Some(format!("{name}: then {then}, now gone")),
                (None, Some(_)) if name.starts_with(OPTIONAL_PART) => None,
                (None, now) => Some(format!("{name}: new, {}", now.map_or("", String::as_str))),
            }
        }));
        changes
    }
}

/// A version of a scope that means something else than it did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{place}: scope {name}@{version} means something else than when it was first used - {}; figures have been \
     published under that name, so take the change back or raise the version (-- scope: {name}@{}); rows of a \
     reference table may change under a version that says -- follows: TABLE from the first",
    .changes.join("; "),
    .version.saturating_add(1)
)]
pub struct ScopeConflict {
    /// File, line and column of the scope.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Each thing that has changed, with what it was and is.
    pub changes: Vec<String>,
}

/// Its name beside the checkpoints.
const NAME: &str = "scopes.json";

/// The register, an object beside the checkpoints.
#[derive(Debug)]
pub struct ScopeRegister {
    objects: Arc<dyn Objects>,
    known: BTreeMap<String, BTreeMap<u32, KnownScope>>,
}

impl ScopeRegister {
    /// Reads the register beside the checkpoints; an empty one if there is none.
    ///
    /// # Errors
    /// When it cannot be read. It is never passed over: it is what keeps a version from changing its meaning.
    pub fn open(objects: &Arc<dyn Objects>) -> Result<Self, CheckpointError> {
        let known = match objects.read(NAME)? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| CheckpointError::Damaged {
                    place: format!("{}/{NAME}", objects.place()),
                    detail: error.to_string(),
                })?
            }
            None => BTreeMap::new(),
        };
        Ok(Self { objects: Arc::clone(objects), known })
    }

    /// Compares scopes with what their versions have said before.
    ///
    /// # Errors
    /// Every scope whose version means something else.
    pub fn check(
        &self,
        scopes: &BTreeMap<String, ScopeDefinition>,
    ) -> Result<(), Vec<ScopeConflict>> {
        let conflict = |scope: &ScopeDefinition| {
            let before = self.known.get(&scope.name)?.get(&scope.version)?;
            let changes = before.changes(scope);
            (!changes.is_empty()).then(|| ScopeConflict {
                place: scope.place.clone(),
                name: scope.name.clone(),
                version: scope.version,
                changes,
            })
        };
        let conflicts: Vec<ScopeConflict> = scopes.values().filter_map(conflict).collect();
        if conflicts.is_empty() { Ok(()) } else { Err(conflicts) }
    }

    /// Remembers scopes that have been checked, and of those it knows by their text only what they mean; when this
    /// returns they survive a power cut.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn learn(
        &mut self,
        scopes: &BTreeMap<String, ScopeDefinition>,
    ) -> Result<(), CheckpointError> {
        let mut is_new = false;
        for scope in scopes.values() {
            let versions = self.known.entry(scope.name.clone()).or_default();
            let known = versions.entry(scope.version).or_insert_with(|| {
                is_new = true;
                KnownScope {
                    hash: scope.hash.clone(),
                    zh: scope.definition.zh.clone(),
                    en: scope.definition.en.clone(),
                    text: scope.text.clone(),
                    meaning: None,
                }
            });
            // Also columns that have come since: from now on figures may use them.
            if known.meaning.as_ref() != Some(&scope.meaning) {
                is_new = true;
                known.meaning = Some(scope.meaning.clone());
            }
        }
        if is_new { self.write() } else { Ok(()) }
    }

    fn write(&self) -> Result<(), CheckpointError> {
        let text =
            serde_json::to_vec_pretty(&self.known).map_err(|error| CheckpointError::Damaged {
                place: format!("{}/{NAME}", self.objects.place()),
                detail: error.to_string(),
            })?;
        Ok(self.objects.write(NAME, &text)?)
    }

    /// The table `scopes`: every version there has been, with `is_current` for those in `current`.
    ///
    /// # Errors
    /// Never, unless its schema and its columns disagree.
    pub fn table(
        &self,
        current: &BTreeMap<String, ScopeDefinition>,
    ) -> Result<RecordBatch, ArrowError> {
        let all: Vec<(&String, u32, &KnownScope)> = self
            .known
            .iter()
            .flat_map(|(name, versions)| {
                versions.iter().map(move |(version, scope)| (name, *version, scope))
            })
            .collect();
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let schema = Schema::new(vec![
            text("name"),
            Field::new("version", DataType::UInt32, false),
            Field::new("is_current", DataType::Boolean, false),
            text("definition_zh"),
            text("definition_en"),
            text("sha256"),
            text("sql"),
        ]);
        let texts = |of: fn(&KnownScope) -> &str| -> ArrayRef {
            Arc::new(all.iter().map(|(.., scope)| Some(of(scope))).collect::<StringArray>())
        };
        let is_current = |name: &String, version: u32| {
            current.get(name).is_some_and(|scope| scope.version == version)
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(all.iter().map(|(name, ..)| Some(name.as_str())).collect::<StringArray>()),
            Arc::new(all.iter().map(|(_, version, _)| Some(*version)).collect::<UInt32Array>()),
            Arc::new(
                all.iter()
                    .map(|(name, version, _)| Some(is_current(name, *version)))
                    .collect::<BooleanArray>(),
            ),
            texts(|scope| &scope.zh),
            texts(|scope| &scope.en),
            texts(|scope| &scope.hash),
            texts(|scope| &scope.text),
        ];
        RecordBatch::try_new(Arc::new(schema), columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::snapshot::Bilingual;

    fn scopes(version: u32, text: &str) -> BTreeMap<String, ScopeDefinition> {
        let scope = ScopeDefinition {
            name: "paid".to_owned(),
            version,
            definition: Bilingual { zh: "已支付".to_owned(), en: "paid".to_owned() },
            hash: format!("hash of {text}"),
            meaning: Meaning::new(),
            follows: BTreeSet::new(),
            text: text.to_owned(),
            place: "scopes/paid.sql:4:1".to_owned(),
        };
        BTreeMap::from([("paid".to_owned(), scope)])
    }

    #[test]
    fn a_version_that_says_something_else_is_refused_with_both_hashes_also_after_a_restart() {
        let dir = tempfile::tempdir().expect("folder");
        let objects: Arc<dyn Objects> =
            Arc::new(crate::state::objects::Disk::open(dir.path()).expect("opens"));
        let mut register = ScopeRegister::open(&objects).expect("opens");
        register.check(&scopes(1, "a")).expect("is new");
        register.learn(&scopes(1, "a")).expect("is written");
        let again = ScopeRegister::open(&objects).expect("opens");
        again.check(&scopes(1, "a")).expect("is the same");
        again.check(&scopes(2, "b")).expect("is another version");
        let [conflict] = &again.check(&scopes(1, "b")).expect_err("has changed")[..] else {
            panic!("one conflict")
        };
        let told = conflict.to_string();
        for word in ["scopes/paid.sql:4:1", "paid@1", "hash of a", "hash of b"] {
            assert!(told.contains(word), "{word} not in: {told}");
        }
    }

    #[test]
    fn old_versions_stay_in_the_table_with_their_text() {
        let dir = tempfile::tempdir().expect("folder");
        let objects: Arc<dyn Objects> =
            Arc::new(crate::state::objects::Disk::open(dir.path()).expect("opens"));
        let mut register = ScopeRegister::open(&objects).expect("opens");
        register.learn(&scopes(1, "a")).expect("is written");
        register.learn(&scopes(2, "b")).expect("is written");
        let table = register.table(&scopes(2, "b")).expect("a table");
        let told = arrow::util::pretty::pretty_format_batches(&[table
            .project(&[1, 2, 6])
            .expect("columns")]);
        let told = told.expect("prints").to_string();
        assert!(told.contains("| 1       | false      | a   |"), "{told}");
        assert!(told.contains("| 2       | true       | b   |"), "{told}");
    }
}
