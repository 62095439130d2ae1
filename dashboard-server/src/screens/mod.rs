//! Screens: what a wall shows, as the TOML files of `sql/screens/` say, checked at start.
//!
//! ```text
//! NAME.toml ─parse─▶ tables with places ─walk over `shape`─▶ JSON for the page
//!                                        └─ against the catalogue: views, columns, boxes
//! ```
//!
//! The page gets only what passed: a view that does not exist is refused here, with its line and
//! column, and not found out by an empty panel on the night.

mod layout;
mod least;
mod limited;
mod map_pack;
mod names;
mod sense;
mod shape;
mod walk;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use parking_lot::RwLock;
use serde_json::Value;
use tidemark_pipeline::results::ViewInfo;

pub use self::limited::limited;
use self::map_pack::Found;

/// Longest screen file in bytes; a wall of thirty panels is a tenth of it.
const FILE_BYTES_MAX: usize = 262_144;
/// Folder beside the screens with map packs that stand in for the built-in ones.
const MAPS: &str = "maps";

/// The screens of a folder as JSON texts, by name, and the map packs beside them.
#[derive(Debug, Default, Clone)]
pub struct Screens {
    screens: BTreeMap<String, Arc<str>>,
    maps: BTreeMap<String, Arc<[u8]>>,
}

/// What the program brings of a map pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuiltIn {
    /// None of this name.
    Absent,
    /// A program without its page cannot say.
    NotBuilt,
    /// The pack.
    Pack(Vec<u8>),
}

/// Screens that another reading of the SQL folder may replace.
pub type SharedScreens = Arc<RwLock<Screens>>;

/// Everything that is wrong with the screens, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} in sql/screens:\n{}", if mistakes.len() == 1 { "a mistake" } else { "mistakes" }, mistakes.join("\n"))]
pub struct ScreenErrors {
    /// The mistakes, each as `file:line:column: what is wrong; what to do`.
    pub mistakes: Vec<String>,
}

impl Screens {
    /// Reads and checks `folder`, usually `sql/screens`. A folder that is missing has no screens.
    ///
    /// `built_in` says what the page brings of a map pack. Map packs in `folder/maps` come before the
    /// built-in ones; they are checked and read once.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load(
        folder: &Path,
        views: &[Arc<ViewInfo>],
        built_in: &dyn Fn(&str) -> BuiltIn,
    ) -> Result<Self, ScreenErrors> {
        let mut found = Self::default();
        let mut mistakes = Vec::new();
        let mut packs = BTreeMap::new();
        for (name, bytes) in files(&folder.join(MAPS), "json", &mut mistakes) {
            let pack = match map_pack::check(&bytes) {
                Ok(facts) => Found::Pack(facts),
                Err(wrong) => {
                    let file = folder.join(MAPS).join(format!("{name}.json"));
                    let told = |what| format!("{}: not a map pack: {what}", file.display());
                    mistakes.extend(wrong.into_iter().map(told));
                    Found::Unseen
                }
            };
            packs.insert(name.clone(), pack);
            found.maps.insert(name, bytes.into());
        }
        let map = |name: &str| match (packs.get(name), built_in(name)) {
            (Some(pack), _) => pack.clone(),
            (None, BuiltIn::Absent) => Found::Nothing,
            (None, BuiltIn::NotBuilt) => Found::Unseen,
            (None, BuiltIn::Pack(bytes)) => {
                map_pack::check(&bytes).map_or(Found::Unseen, Found::Pack)
            }
        };
        let known = walk::Known { views, map: &map };
        for (name, bytes) in files(folder, "toml", &mut mistakes) {
            let file = folder.join(format!("{name}.toml"));
            let text = match String::from_utf8(bytes) {
                Ok(text) if text.len() <= FILE_BYTES_MAX => text,
                Ok(_) => {
                    mistakes
                        .push(format!("{}: longer than {FILE_BYTES_MAX} bytes", file.display()));
                    continue;
                }
                Err(_) => {
                    mistakes.push(format!("{}: is not UTF-8", file.display()));
                    continue;
                }
            };
            match walk::read(&text, &file, &known) {
                Ok(screen) => drop(found.screens.insert(name, screen.to_string().into())),
                Err(more) => mistakes.extend(more),
            }
        }
        if mistakes.is_empty() { Ok(found) } else { Err(ScreenErrors { mistakes }) }
    }

    /// A screen as JSON, in the form the page reads.
    #[must_use]
    pub fn screen(&self, name: &str) -> Option<&Arc<str>> {
        self.screens.get(name)
    }

    /// Names of all screens, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.screens.keys().map(String::as_str)
    }

    /// The views that some screens need, in their order.
    #[must_use]
    pub fn views_of(&self, screens: &[String]) -> BTreeSet<String> {
        let mut views = BTreeSet::new();
        for screen in screens.iter().filter_map(|name| self.screens.get(name)) {
            let screen: Value = serde_json::from_str(screen).unwrap_or_default();
            gather_views(&screen, &mut views);
        }
        views
    }

    /// A map pack that stands in for the built-in one of its name.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<&Arc<[u8]>> {
        self.maps.get(name)
    }
}

/// Everything a screen says of views it says under `view`.
fn gather_views(value: &Value, views: &mut BTreeSet<String>) {
    match value {
        Value::Object(table) => {
            views.extend(table.get("view").and_then(Value::as_str).map(str::to_owned));
            table.values().for_each(|value| gather_views(value, views));
        }
        Value::Array(list) => list.iter().for_each(|value| gather_views(value, views)),
        _ => {}
    }
}

/// Names without extension and contents, in the order of the names.
fn files(folder: &Path, extension: &str, mistakes: &mut Vec<String>) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return found,
        Err(error) => {
            mistakes.push(format!("{}: cannot be read: {error}", folder.display()));
            return found;
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|it| it != extension) {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_name(name) {
            let rule =
                "name it with lower-case letters, digits and `-`, because the name is its address";
            mistakes.push(format!("{}: {rule}", path.display()));
            continue;
        }
        match fs::read(&path) {
            Ok(bytes) => drop(found.insert(name.to_owned(), bytes)),
            Err(error) => mistakes.push(format!("{}: cannot be read: {error}", path.display())),
        }
    }
    found
}

/// Whether a text may name a screen, a panel or a map pack: it becomes part of an address.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 60 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests;
