//! What keys of the data are called: lists of a screen's own, and map packs.

use std::ops::Range;

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::map_pack::Found;
use super::walk::{Entry, Walk};

impl Walk<'_> {
    /// Reads every `[names.LIST]`.
    pub(super) fn read_names(&mut self, found: Entry<'_, '_>) {
        let Some(found) = found else { return };
        let DeValue::Table(lists) = found.get_ref() else {
            self.wrong(&found.span(), "write names as `[names.LIST]`");
            return;
        };
        for (name, list) in lists {
            match list.get_ref() {
                DeValue::Table(table) => {
                    let read = self.name_table(table);
                    self.names.insert(name.get_ref().to_string(), read);
                }
                _ => drop(self.wrong(&list.span(), "a list of names is a table of key and words")),
            }
        }
    }

    fn name_table(&mut self, table: &DeTable<'_>) -> Value {
        let mut out = Map::new();
        for (key, words) in table {
            match words.get_ref() {
                DeValue::Table(texts) => {
                    let read = self.words(key.get_ref(), texts, &words.span());
                    out.insert(key.get_ref().to_string(), read);
                }
                _ => drop(self.wrong(&words.span(), "a name is `{ zh = \"…\", en = \"…\" }`")),
            }
        }
        Value::Object(out)
    }

    /// `"map:PACK"`, or a list of `[names.LIST]` put in its place.
    pub(super) fn names(&mut self, text: &str, span: &Range<usize>) -> Value {
        if let Some(pack) = text.strip_prefix("map:") {
            self.map_pack(pack, span);
            // What the map has no region for, such as buyers abroad, may be named beside it.
            return match self.names.get(text) {
                Some(more) => json!({ "map": pack, "more": more }),
                None => json!(text),
            };
        }
        match self.names.get(text) {
            Some(list) => list.clone(),
            None => {
                let known: Vec<String> = self.names.keys().cloned().collect();
                let known: Vec<&str> =
                    known.iter().map(String::as_str).chain(["map:china"]).collect();
                self.unknown(span, "list of names", text, &known);
                Value::Null
            }
        }
    }

    /// Whether a map pack has a part that is drawn in a corner of its own.
    pub(super) fn has_inset(&self, pack: &str) -> bool {
        matches!((self.known.map)(pack), Found::Pack(facts) if facts.has_inset)
    }

    /// What a list can call keys, in both languages; nothing where there is no such list.
    pub(super) fn every_name(&self, list: &str) -> Vec<[String; 2]> {
        let mut all = match list.strip_prefix("map:").map(self.known.map) {
            Some(Found::Pack(facts)) => facts.titles,
            _ => Vec::new(),
        };
        let own = self.names.get(list).and_then(Value::as_object);
        for name in own.into_iter().flat_map(Map::values) {
            all.push(["zh", "en"].map(|language| {
                name.get(language).and_then(Value::as_str).unwrap_or("").to_owned()
            }));
        }
        all
    }
}
