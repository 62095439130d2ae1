//! Configuration, SQL folder and screens, read before anything runs, with all their mistakes told
//! together: nobody mends one at a time at midnight.
//!
//! What `[streams.x]` of the config file says over a stream's SQL is blamed on the config file. The
//! catalogue cannot tell the two apart, so it is read again with one of the lines at a time; that
//! costs nothing where there is no mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_pipeline::history::HashKey;
use tidemark_pipeline::run::publisher::view_info;
use tidemark_pipeline::run::reference::catalog;
use tidemark_pipeline::sql::{Catalog, SqlError, StateBounds, StreamDefinition};

use super::{ConfigArgs, DoorArgs};
use crate::config::{Config, ConfigError, RawConfig};
use crate::http::pages;
use crate::screens::Screens;
use crate::sql::{Known, Rules};

/// What a server cannot read a stream from: the option if it is one, and what is wrong.
pub(super) struct SourceMistake {
    /// The option, as in `WITH (…)`.
    pub(super) option: Option<String>,
    /// What is wrong, and what to do.
    pub(super) message: String,
}

/// Reads and checks everything. `check_source` says what keeps a stream from being read.
///
/// # Errors
/// When the config file cannot be read or is no TOML; or every mistake in it, in the SQL folder and in
/// the screens.
pub(super) fn prepared(
    args: &ConfigArgs,
    doors: &DoorArgs,
    check_source: impl Fn(&StreamDefinition) -> Option<SourceMistake>,
) -> anyhow::Result<(Config, Catalog)> {
    let (raw, mut mistakes) = args.read()?;
    let overrides = args.overrides(doors);
    let sql_dir = overrides.sql_dir.clone().unwrap_or_else(|| PathBuf::from(&raw.sql_dir));
    let config =
        Config::check(raw.clone(), overrides).map_err(|error| mistakes.extend(error.mistakes)).ok();
    let bounds = config.as_ref().map(|config| config.pipeline.state_bounds).unwrap_or_default();
    let catalog = catalog(&sql_dir, &raw.streams, bounds)
        .map_err(|errors| mistakes.extend(blamed((&sql_dir, bounds), &raw, &errors)))
        .ok();
    if let Some(catalog) = &catalog {
        mistakes.extend(screens(&sql_dir, catalog));
        if let Some(config) = &config {
            // Nothing is hashed before there is a server, so the key is made then.
            let rules =
                Rules::new(&config.sql, &Known::of_catalog(catalog), &HashKey::new([0; 32]));
            mistakes.extend(rules.err().unwrap_or_default());
        }
        for plan in catalog.logs() {
            let found = check_source(&plan.definition);
            mistakes.extend(found.map(|found| of_source(&raw, &plan.definition, &found)));
        }
    }
    match (config, catalog) {
        (Some(config), Some(catalog)) if mistakes.is_empty() => Ok((config, catalog)),
        _ => Err(ConfigError { mistakes }.into()),
    }
}

fn screens(sql_dir: &Path, catalog: &Catalog) -> Vec<String> {
    let views: Vec<_> =
        catalog.views.iter().map(|view| Arc::new(view_info(catalog, view))).collect();
    match Screens::load(&sql_dir.join("screens"), &views, &pages::built_in_map) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.mistakes,
    }
}

fn of_source(raw: &RawConfig, stream: &StreamDefinition, found: &SourceMistake) -> String {
    let written = raw.stream_places.get(&stream.name);
    let place = found.option.as_ref().and_then(|option| written?.options.get(option));
    match place {
        Some(place) => format!("{place}: {}", found.message),
        None => {
            let file = stream.statement.file.display();
            format!(
                "{file}:{}: stream {}: {}",
                stream.statement.place.line, stream.name, found.message
            )
        }
    }
}

/// The mistakes of a catalogue, those of the config file at their place there.
fn blamed(
    (sql_dir, bounds): (&Path, StateBounds),
    raw: &RawConfig,
    errors: &[SqlError],
) -> Vec<String> {
    let lines = |errors: &[SqlError]| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
    if raw.streams.is_empty() {
        return lines(errors);
    }
    let (plain, own) = match catalog(sql_dir, &BTreeMap::new(), bounds) {
        Ok(catalog) => (Some(catalog), Vec::new()),
        Err(own) => (None, own),
    };
    let mut told = lines(&own);
    for (stream, options) in &raw.streams {
        let written = raw.stream_places.get(stream).cloned().unwrap_or_default();
        if let Some(catalog) = &plain
            && !catalog.streams.contains_key(stream)
        {
            let known: Vec<&str> = catalog.streams.keys().map(String::as_str).collect();
            let known = known.join(", ");
            told.push(format!(
                "{}: no file of {} declares a stream {stream}; it has {known}",
                written.place,
                sql_dir.join("streams").display()
            ));
            continue;
        }
        for (option, value) in options {
            let alone = BTreeMap::from([(
                stream.clone(),
                BTreeMap::from([(option.clone(), value.clone())]),
            )]);
            let Err(found) = catalog(sql_dir, &alone, bounds) else { continue };
            // The first is the mistake; what follows it are views that miss their stream.
            let new = found.iter().find(|error| error.line > 0 && !own.contains(error));
            let place = written.options.get(option).unwrap_or(&written.place);
            told.extend(new.map(|error| format!("{place}: {}", error.message)));
        }
    }
    // Lines that are right one by one and wrong together are nobody's alone.
    if told.is_empty() { lines(errors) } else { unique(told) }
}

fn unique(lines: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    lines.into_iter().filter(|line| seen.insert(line.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sql");

    fn mistakes(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("tidemark.toml");
        std::fs::write(&file, text).expect("writes");
        let args = ConfigArgs {
            config: Some(file),
            sql_dir: Some(PathBuf::from(SQL)),
            ..ConfigArgs::default()
        };
        let check = super::super::serve::check_source;
        let error = prepared(&args, &DoorArgs::default(), check).err().expect("has mistakes");
        let error = error.downcast::<ConfigError>().expect("is about the configuration");
        let folder = format!("{}/", folder.path().display());
        error.mistakes.iter().map(|line| line.replace(&folder, "")).collect()
    }

    #[test]
    fn a_wrong_key_of_a_stream_is_blamed_on_its_line_and_on_nothing_else() {
        let found =
            mistakes("[streams.orders]\nconnector = \"embedded\"\ndedup.horizn = \"1 d\"\n");
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("tidemark.toml:3:1: "), "{found:#?}");
        assert!(
            found[0].contains("dedup.horizn") && found[0].contains("dedup.horizon"),
            "{found:#?}"
        );
        let found =
            mistakes("[streams.orders]\nconnector = \"embedded\"\n\n  dedup.horizon = \"soon\"\n");
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("tidemark.toml:4:3: "), "{found:#?}");
        assert!(found[0].contains("'soon' is not a duration"), "{found:#?}");
    }

    #[test]
    fn a_stream_that_does_not_exist_is_blamed_on_its_section() {
        let found = mistakes("[streams.ordres]\nconnector = \"embedded\"\ntopic = \"x\"\n");
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("tidemark.toml:1:"), "{found:#?}");
        assert!(
            found[0].contains("declares a stream ordres; it has ") && found[0].contains("orders"),
            "{found:#?}"
        );
    }

    #[test]
    fn mistakes_of_every_kind_come_in_one_pass() {
        let found = mistakes(
            "sql-dri = \"x\"\n[server]\npostgres = \"x\"\n[sql]\nrows-max = \"many\"\n[pipeline]\n\
             publish-every-ms = 0\n[streams.orders]\ntopc = \"orders\"\n",
        );
        for part in
            ["sql-dri", "server.postgres", "rows-max", "pipeline.publish-every-ms = 0", "topc"]
        {
            assert!(found.iter().any(|line| line.contains(part)), "{part}: {found:#?}");
        }
        assert_eq!(found.len(), 5, "{found:#?}");
    }

    #[test]
    fn a_mask_or_filter_that_cannot_be_stops_the_start_with_its_file_and_key() {
        let found = mistakes(
            "[streams.orders]\nconnector = \"embedded\"\n[sql.roles.analyst.masks]\n\
             gmv_by_city = { gmv = \"hash\", cty = \"null\", city = \"1 + \", payments = \"'x'\" }\n\
             gmv_by_ctiy = { city = \"null\" }\n[sql.roles.operator.filters]\n\
             gmv_by_city = \"province = 1 OR\"\ngmv_day = \"gmv\"\nlate_orders = \"random() < 0.5\"\n",
        );
        for (place, part) in [
            ("tidemark.toml:4:17: sql.roles.analyst.masks.gmv_by_city.gmv", "only text and BIGINT"),
            ("tidemark.toml:4:31: ", "gmv_by_city has no column cty"),
            ("tidemark.toml:4:45: ", "masks.gmv_by_city.city"),
            ("tidemark.toml:4:60: ", "it is VARCHAR, and payments is BIGINT"),
            ("tidemark.toml:5:1: ", "there is no table gmv_by_ctiy; did you mean gmv_by_city?"),
            ("tidemark.toml:7:1: sql.roles.operator.filters.gmv_by_city", "province = 1 OR"),
            ("tidemark.toml:8:1: ", "and no condition"),
            ("tidemark.toml:9:1: ", "something else each time"),
        ] {
            assert!(
                found.iter().any(|line| line.starts_with(place) && line.contains(part)),
                "{place} {part}: {found:#?}"
            );
        }
        assert_eq!(found.len(), 8, "{found:#?}");
    }

    #[test]
    fn what_keeps_a_stream_from_being_read_is_told_with_the_rest() {
        let found = mistakes(
            "[pipeline]\npublish-every-ms = 0\n[streams.orders]\nconnector = \"kafka\"\ntopic = \"orders\"\n\
             properties.bootstrap.servers = \"127.0.0.1:1\"\nproperties.no.such.thing = \"1\"\n",
        );
        assert!(found.iter().any(|line| line.contains("publish-every-ms")), "{found:#?}");
        let source = found.iter().find(|line| line.contains("no.such.thing")).expect("is told");
        assert!(source.starts_with("tidemark.toml:7:1: "), "{found:#?}");
    }
}
