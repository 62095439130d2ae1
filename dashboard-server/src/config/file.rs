//! From the text of a config file to [`RawConfig`], finding every mistake in one go.
//!
//! Each key is read on its own first. Only so can one run report an unknown key, a number that is
//! text and a section that does not exist together, each at its own place.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::raw::{RawConfig, RawRole, RawTop, RawUser};

/// Everything that is wrong with the configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The mistakes, each naming its place and what to do.
    pub mistakes: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.as_slice() {
            [one] => write!(f, "the configuration has a mistake: {one}"),
            many => {
                write!(f, "the configuration has {} mistakes:", many.len())?;
                many.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

/// The configuration in `text`; `file` is only named in messages.
///
/// # Errors
/// Every syntax error, unknown key and value of the wrong type in the text.
pub fn read(text: &str, file: &Path) -> Result<RawConfig, ConfigError> {
    match read_all(text, file)? {
        (config, mistakes) if mistakes.is_empty() => Ok(config),
        (_, mistakes) => Err(ConfigError { mistakes }),
    }
}

/// The configuration in `text` with the mistakes in it: what is wrong keeps its default, so that the
/// rest can be checked too.
///
/// # Errors
/// Every syntax error: then nothing can be said of the rest.
pub fn read_all(text: &str, file: &Path) -> Result<(RawConfig, Vec<String>), ConfigError> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, file, mistakes: Vec::new() };
    for error in &errors {
        reader.mistake(&error.span().unwrap_or(0..0), error.message());
    }
    if !reader.mistakes.is_empty() {
        return Err(ConfigError { mistakes: reader.mistakes });
    }
    let config = reader.whole(table.get_ref());
    Ok((config, reader.mistakes))
}

const SECTIONS: [&str; 6] = ["server", "sql", "pipeline", "streams", "result-topics", "users"];

struct Reader<'a> {
    text: &'a str,
    file: &'a Path,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    fn whole(&mut self, table: &DeTable<'_>) -> RawConfig {
        let mut config = RawConfig::default();
        let mut top = DeTable::new();
        let mut result_topics = BTreeMap::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            match (name, value.get_ref()) {
                ("server", DeValue::Table(section)) => config.server = self.section(section),
                ("sql", DeValue::Table(section)) => self.sql(section, &mut config),
                ("pipeline", DeValue::Table(section)) => config.pipeline = self.section(section),
                ("streams", DeValue::Table(streams)) => self.streams(streams, &mut config),
                ("result-topics", DeValue::Table(options)) => {
                    let options = self.options("", options).into_iter();
                    result_topics = options.map(|(option, text, _)| (option, text)).collect();
                }
                ("users", DeValue::Table(users)) => self.users(users, &mut config),
                (name, _) if SECTIONS.contains(&name) => {
                    self.mistake(
                        &value.span(),
                        &format!("`{name}` must be a section: write `[{name}]`"),
                    );
                }
                (name, DeValue::Table(_)) => self.unknown(&key.span(), "section", name, &SECTIONS),
                _ => {
                    top.insert(key.clone(), value.clone());
                }
            }
        }
        let top: RawTop = self.section(&top);
        config.sql_dir = top.sql_dir;
        config.data_dir = top.data_dir;
        config.pipeline.result_topics = result_topics;
        config
    }

    /// Reads each key alone, so that one bad key hides no other.
    fn section<T: DeserializeOwned + Default>(&mut self, table: &DeTable<'_>) -> T {
        let mut good = DeTable::new();
        for (key, value) in table {
            let mut alone = DeTable::new();
            alone.insert(key.clone(), value.clone());
            match deserialize::<T>(alone) {
                Ok(_) => {
                    good.insert(key.clone(), value.clone());
                }
                Err(error) => self.bad_key(key, value, &error),
            }
        }
        deserialize(good).unwrap_or_default()
    }

    fn bad_key(
        &mut self,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
        error: &toml::de::Error,
    ) {
        let name = key.get_ref().as_ref();
        if error.message().starts_with("unknown field") {
            let known = known_keys(error.message());
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            self.unknown(&key.span(), "key", name, &known);
        } else {
            let place = error.span().unwrap_or_else(|| value.span());
            self.mistake(&place, &format!("`{name}`: {}", error.message().trim_end()));
        }
    }

    fn streams(&mut self, streams: &DeTable<'_>, config: &mut RawConfig) {
        for (name, value) in streams {
            let DeValue::Table(options) = value.get_ref() else {
                let stream: &str = name.get_ref();
                self.mistake(
                    &value.span(),
                    &format!("write the options of a stream under `[streams.{stream}]`"),
                );
                continue;
            };
            let stream = config.streams.entry(name.get_ref().to_string()).or_default();
            let places = config.stream_places.entry(name.get_ref().to_string()).or_default();
            places.place = self.named_place(&name.span());
            for (option, text, span) in self.options("", options) {
                places.options.insert(option.clone(), self.named_place(&span));
                stream.insert(option, text);
            }
        }
    }

    /// `[sql]`, and the sections of roles in it.
    fn sql(&mut self, section: &DeTable<'_>, config: &mut RawConfig) {
        let mut plain = DeTable::new();
        let mut roles = BTreeMap::new();
        for (key, value) in section {
            match (&**key.get_ref(), value.get_ref()) {
                ("roles", DeValue::Table(table)) => roles = self.roles(table),
                ("roles", _) => {
                    self.mistake(&value.span(), "write a role under `[sql.roles.NAME]`");
                }
                _ => {
                    plain.insert(key.clone(), value.clone());
                }
            }
        }
        config.sql = self.section(&plain);
        config.sql.roles = roles;
    }

    fn roles(&mut self, roles: &DeTable<'_>) -> BTreeMap<String, RawRole> {
        let mut read = BTreeMap::new();
        for (name, value) in roles {
            let name: &str = name.get_ref();
            let DeValue::Table(section) = value.get_ref() else {
                self.mistake(&value.span(), &format!("write a role under `[sql.roles.{name}]`"));
                continue;
            };
            let mut role: RawRole = self.section(section);
            role.places.insert(String::new(), self.named_place(&value.span()));
            self.places_in("", section, &mut role.places);
            read.insert(name.to_owned(), role);
        }
        read
    }

    fn places_in(&self, prefix: &str, table: &DeTable<'_>, places: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            places.insert(name.clone(), self.named_place(&key.span()));
            if let DeValue::Table(inner) = value.get_ref() {
                self.places_in(&format!("{name}."), inner, places);
            }
        }
    }

    fn users(&mut self, users: &DeTable<'_>, config: &mut RawConfig) {
        for (name, value) in users {
            let name: &str = name.get_ref();
            let DeValue::Table(section) = value.get_ref() else {
                self.mistake(&value.span(), &format!("write a user under `[users.{name}]`"));
                continue;
            };
            let user: RawUser = self.section(section);
            config.users.insert(name.to_owned(), user);
        }
    }

    /// The options of a stream; `properties.bootstrap.servers` without quotes is a table in a
    /// table to TOML, and one name to everyone else.
    fn options(
        &mut self,
        prefix: &str,
        table: &DeTable<'_>,
    ) -> Vec<(String, String, Range<usize>)> {
        let mut found = Vec::new();
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            // A dotted key begins where its line does.
            let first = line_start(self.text, key.span().start)..key.span().end;
            match value.get_ref() {
                DeValue::Table(inner) => {
                    found.extend(self.options(&format!("{name}."), inner));
                }
                DeValue::String(text) => found.push((name, text.to_string(), first.clone())),
                DeValue::Boolean(on) => found.push((name, on.to_string(), first.clone())),
                DeValue::Integer(number) => found.push((name, number.to_string(), first.clone())),
                other => self.mistake(
                    &value.span(),
                    &format!("`{name}` must be text in quotes, not {}", other.type_str()),
                ),
            }
        }
        found
    }

    fn unknown(&mut self, span: &Range<usize>, kind: &str, name: &str, known: &[&str]) {
        let advice = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.mistake(span, &format!("unknown {kind} `{name}`; {advice}"));
    }

    fn mistake(&mut self, span: &Range<usize>, what: &str) {
        let place = self.named_place(span);
        self.mistakes.push(format!("{place}: {what}"));
    }

    fn named_place(&self, span: &Range<usize>) -> String {
        let (line, column) = place(self.text, span.start);
        format!("{}:{line}:{column}", self.file.display())
    }
}

fn deserialize<T: DeserializeOwned>(table: DeTable<'_>) -> Result<T, toml::de::Error> {
    T::deserialize(toml::de::Deserializer::from(Spanned::new(0..0, table)))
}

/// The keys a section has, from serde's own list of what it expected: one source, never out of date.
fn known_keys(message: &str) -> Vec<String> {
    let expected = message.split_once("expected").map_or("", |(_, rest)| rest);
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The known name that differs by at most a third of its letters.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let alike = |text: &str| text.replace('_', "-").to_lowercase();
    known
        .iter()
        .map(|candidate| (distance(&alike(name), &alike(candidate)), *candidate))
        .filter(|(changes, candidate)| *changes <= (candidate.chars().count() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to change, add or drop between two words (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (nth, letter) in left.chars().enumerate() {
        let mut before = nth;
        let mut last = nth + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let changed = before + usize::from(letter != *other);
            before = *cell;
            last = changed.min(*cell + 1).min(last + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = nth + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Where the text of a line begins, after its indentation.
fn line_start(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or("");
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let indented = text.get(line..offset).unwrap_or("");
    line + (indented.len() - indented.trim_start().len())
}

/// Line and column, both from 1; a column counts letters, not bytes.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        read(text, Path::new("tidemark.toml")).expect_err("has mistakes").mistakes
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_a_near_miss() {
        let found = mistakes("[server]\n  lisen = \"127.0.0.1:1\"\n");
        assert_eq!(found, ["tidemark.toml:2:3: unknown key `lisen`; did you mean `listen`?"]);
    }

    #[test]
    fn a_key_of_the_pipeline_is_suggested_too_and_underscores_are_forgiven_in_the_search() {
        let found = mistakes("[pipeline]\nfold_threads = 2\n");
        assert_eq!(
            found,
            ["tidemark.toml:2:1: unknown key `fold_threads`; did you mean `fold-threads`?"]
        );
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let found = mistakes(
            "sql-dri = \"x\"\n[servre]\n[sql]\nrows-max = \"many\"\n[pipeline]\nfold-threads = -1\n\
             [streams.orders]\ntopic = [1]\n",
        );
        assert_eq!(found.len(), 5, "{found:#?}");
        assert!(found.iter().any(|m| m.contains(":2:2: unknown section `servre`")), "{found:#?}");
        assert!(found.iter().any(|m| m.contains(":4:12: `rows-max`: invalid type")), "{found:#?}");
        assert!(
            found.iter().any(|m| m.contains(":6:") && m.contains("fold-threads")),
            "{found:#?}"
        );
        assert!(found.iter().any(|m| m.contains(":8:9: `topic` must be text")), "{found:#?}");
        assert!(found.iter().any(|m| m.contains(":1:1: unknown key `sql-dri`")), "{found:#?}");
    }

    #[test]
    fn dotted_options_of_a_stream_need_no_quotes() {
        let raw = read(
            "[streams.orders]\nproperties.bootstrap.servers = \"a:9092\"\n\"topic\" = \"orders\"\n",
            Path::new("x"),
        )
        .expect("reads");
        let orders = &raw.streams["orders"];
        assert_eq!(orders["properties.bootstrap.servers"], "a:9092");
        assert_eq!(orders["topic"], "orders");
    }

    #[test]
    fn a_role_is_read_with_the_places_of_its_masks_and_filters() {
        let text = "[sql]\nrows-max = 7\n[sql.roles.analyst]\nseconds-max = 5\n\
                    [sql.roles.analyst.masks]\norders = { buyer_id = \"hash\" }\n\
                    [sql.roles.analyst.filters]\norders = \"province = '浙江'\"\n";
        let raw = read(text, Path::new("x")).expect("reads");
        let role = &raw.sql.roles["analyst"];
        assert_eq!((raw.sql.rows_max, role.seconds_max), (7, Some(5)));
        assert_eq!(role.masks["orders"]["buyer_id"], "hash");
        assert_eq!(role.places["masks.orders.buyer_id"], "x:6:12");
        assert_eq!(role.places["filters.orders"], "x:8:1");
        let found = mistakes("[sql.roles.analyst]\nrow-max = 1\nseconds-max = \"x\"\n");
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].contains(":2:1: unknown key `row-max`; did you mean `rows-max`?"));
        assert!(found[1].contains(":3:15: `seconds-max`"), "{found:#?}");
    }

    #[test]
    fn broken_syntax_names_its_place() {
        let found = mistakes("[server]\nlisten = \n");
        assert!(found[0].starts_with("tidemark.toml:2:"), "{found:?}");
    }

    #[test]
    fn the_documented_defaults_are_the_defaults_and_none_is_missing() {
        let text = include_str!("../../../config/default.toml");
        let mut raw = read(text, Path::new("config/default.toml")).expect("reads");
        // Its keys are read where the writer is made, which has these defaults; without a topic there is none.
        let written = std::mem::take(&mut raw.pipeline.result_topics);
        assert_eq!(written["topic"], "");
        assert_eq!(written["transactional-id"], "tidemark");
        assert_eq!(format!("{raw:#?}"), format!("{:#?}", RawConfig::default()));
        for key in every_key() {
            assert!(
                text.lines().any(|line| line.starts_with(&format!("{key} = "))),
                "config/default.toml does not document `{key}`"
            );
        }
    }

    fn every_key() -> Vec<String> {
        fn keys<T: DeserializeOwned>() -> Vec<String> {
            let (table, _) = DeTable::parse_recoverable("no-such-key = 1");
            let error = T::deserialize(toml::de::Deserializer::from(table)).err().expect("unknown");
            known_keys(error.message())
        }
        let mut all = keys::<RawTop>();
        all.extend(keys::<super::super::RawServerConfig>());
        all.extend(keys::<super::super::RawSqlConfig>());
        // The manual shows a user as a comment, since no user is the default.
        for key in keys::<RawUser>() {
            assert!(
                include_str!("../../../config/default.toml").contains(&format!("# {key} = ")),
                "{key}"
            );
        }
        for key in keys::<RawRole>() {
            let manual = include_str!("../../../config/default.toml");
            let is_shown = ["# KEY = ", "# [sql.roles.analyst.KEY]"]
                .iter()
                .any(|form| manual.contains(&form.replace("KEY", &key)));
            assert!(is_shown, "{key}");
        }
        all.extend(keys::<tidemark_pipeline::config::RawPipelineConfig>());
        assert!(all.len() > 20, "{all:?}");
        all
    }
}
