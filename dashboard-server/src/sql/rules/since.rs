//! Since when each view is what it is. What it showed before is kept as it was shown, and nobody knows any more what of it
//! told of persons; so who is not to see that is shown none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidemark_pipeline::sql::Catalog;
use tidemark_pipeline::sql::catalog::ViewQuery;

/// Name of the file in the data folder.
const FILE: &str = "view-definitions.json";

/// Since when a view is what it is that is shown as it was before, until it is filled.
const NOT_YET: i64 = i64::MAX;

/// What is remembered of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// SHA-256 of its definition.
    hash: String,
    /// Epoch milliseconds.
    since: i64,
}

/// The definitions of views, remembered over restarts.
#[derive(Debug)]
pub struct Definitions {
    path: PathBuf,
    views: BTreeMap<String, Told>,
}

impl Definitions {
    /// Those that the file in a data folder has; of views it does not know, all is of now.
    #[must_use]
    pub fn read(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let views = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(path = %path.display(), %error, "{} cannot be read: {error}", path.display());
                BTreeMap::new()
            }),
            Err(_) => BTreeMap::new(),
        };
        Self { path, views }
    }

    /// As they are with the views of a catalogue, which are what they are since `now_ms` where they are others than before. A
    /// view that is gone is forgotten. Nothing is written down until they are [kept](Self::keep).
    #[must_use]
    pub fn with(&self, catalog: &Catalog, now_ms: i64) -> Self {
        let told = |name: &str, hash: &str| match self.views.get(name) {
            // One that was not filled when the server was stopped is filled before it is shown.
            Some(told) if told.hash == hash && told.since != NOT_YET => told.clone(),
            _ => Told { hash: hash.to_owned(), since: now_ms },
        };
        let views =
            catalog.views.iter().map(|view| (view.name.clone(), told(&view.name, &view.hash)));
        let views: BTreeMap<String, Told> = views.collect();
        Self { path: self.path.clone(), views }
    }

    /// Remembers of views that they are not yet what they are defined as.
    pub fn wait_for(&mut self, filling: &BTreeSet<String>) {
        for (_, told) in self.views.iter_mut().filter(|(view, _)| filling.contains(*view)) {
            told.since = NOT_YET;
        }
    }

    /// All but these are what they are defined as, since now where they were waited for.
    pub fn filled(&mut self, filling: &BTreeSet<String>, now_ms: i64) {
        let mut new = Self { path: self.path.clone(), views: self.views.clone() };
        let waited_for =
            |(view, told): &(&String, &mut Told)| told.since == NOT_YET && !filling.contains(*view);
        new.views.iter_mut().filter(waited_for).for_each(|(_, told)| told.since = now_ms);
        self.keep(new);
    }

    /// These in the place of the others, over restarts too.
    pub fn keep(&mut self, new: Self) {
        if new.views == self.views {
            return;
        }
        *self = new;
        if let Err(error) = self.write() {
            let path = self.path.display();
            tracing::error!(%error, "{path} cannot be written: {error}; after a restart the past of views is shown to fewer");
        }
    }

    /// Since when each view of their catalogue is what it is, with all that it reads; epoch milliseconds.
    #[must_use]
    pub fn since(&self, catalog: &Catalog) -> BTreeMap<String, i64> {
        let mut since: BTreeMap<String, i64> =
            self.views.iter().map(|(name, told)| (name.clone(), told.since)).collect();
        // A view over views shows what these show; each comes after those it reads.
        let mut over_views: Vec<_> = catalog
            .views
            .iter()
            .filter_map(|view| match &view.query {
                ViewQuery::Results(over) => Some((over.level, &view.name, over)),
                ViewQuery::Stream(_) => None,
            })
            .collect();
        over_views.sort_by_key(|(level, ..)| *level);
        for (_, name, over) in over_views {
            let newest = over.inputs.iter().filter_map(|input| since.get(input)).max().copied();
            if let (Some(own), Some(newest)) = (since.get_mut(name), newest) {
                *own = newest.max(*own);
            }
        }
        since
    }

    fn write(&self) -> std::io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let aside = self.path.with_extension("new");
        std::fs::write(&aside, serde_json::to_vec_pretty(&self.views)?)?;
        std::fs::rename(aside, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tidemark_pipeline::run::reference::catalog;

    use super::*;

    fn views(folder: &Path, sql: &str) -> Catalog {
        let streams = folder.join("sql/streams");
        std::fs::create_dir_all(&streams).expect("made");
        let stream = "CREATE TABLE t (k STRING, at TIMESTAMP(3) NOT NULL, WATERMARK FOR at AS at) WITH \
                      ('connector' = 'embedded', 'format' = 'json')";
        std::fs::write(streams.join("t.sql"), stream).expect("written");
        std::fs::create_dir_all(folder.join("sql/views")).expect("made");
        std::fs::write(folder.join("sql/views/v.sql"), sql).expect("written");
        catalog(&folder.join("sql"), &BTreeMap::new(), Default::default()).expect("plans")
    }

    #[test]
    fn a_view_is_what_it_is_since_it_or_what_it_reads_was_changed_over_restarts_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let two = |of: &str| {
            format!(
                "CREATE MATERIALIZED VIEW a AS SELECT {of} AS x, COUNT(*) AS n FROM t GROUP BY {of}; \
                 CREATE MATERIALIZED VIEW b AS SELECT x, n FROM a GROUP BY x, n; \
                 CREATE MATERIALIZED VIEW c AS SELECT COUNT(*) AS n FROM t;"
            )
        };
        let since = |a, b, c| {
            BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b), ("c".to_owned(), c)])
        };
        let note = |known: &mut Definitions, catalog: &Catalog, now_ms| {
            known.keep(known.with(catalog, now_ms));
            known.since(catalog)
        };
        let mut known = Definitions::read(folder.path());
        assert_eq!(note(&mut known, &views(folder.path(), &two("k")), 1), since(1, 1, 1));
        assert_eq!(note(&mut known, &views(folder.path(), &two("k")), 2), since(1, 1, 1));
        let mut known = Definitions::read(folder.path());
        let upper = views(folder.path(), &two("UPPER(k)"));
        // What is refused after all is as if it had never been.
        assert_eq!(known.with(&upper, 3).since(&upper), since(3, 3, 1));
        assert_eq!(note(&mut known, &upper, 4), since(4, 4, 1));
        // What is shown as it was until it is filled, is what it is since then; or since the restart before it was.
        let filling = BTreeSet::from(["a".to_owned()]);
        let mut waits = known.with(&upper, 4);
        waits.wait_for(&filling);
        known.keep(waits);
        assert_eq!(Definitions::read(folder.path()).with(&upper, 7).since(&upper), since(7, 7, 1));
        known.filled(&filling, 8);
        assert_eq!(known.since(&upper)["a"], NOT_YET);
        known.filled(&BTreeSet::new(), 9);
        assert_eq!(Definitions::read(folder.path()).since(&upper), since(9, 9, 1));
        let gone =
            views(folder.path(), "CREATE MATERIALIZED VIEW c AS SELECT COUNT(*) AS n FROM t;");
        assert_eq!(note(&mut known, &gone, 5), BTreeMap::from([("c".to_owned(), 1)]));
        let mut known = Definitions::read(folder.path());
        let again = views(folder.path(), &two("UPPER(k)"));
        assert_eq!(note(&mut known, &again, 6), since(6, 6, 1));
    }
}
