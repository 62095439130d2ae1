//! Refuses an `INSERT INTO` a file that its own query reads: the rows would replace what they came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::Query;

use super::sources::resolved_path;
use crate::sql::StreamDefinition;
use crate::sql::script::{Statement, StatementKind};
use crate::sql::session::tables_of;

/// The queries that the views of a script stand for, by name.
pub struct ViewQueries(BTreeMap<String, Query>);

impl ViewQueries {
    /// Those of all its views.
    pub fn of(statements: &[Statement]) -> Self {
        let views = statements.iter().filter_map(|statement| match &statement.kind {
            StatementKind::CreateView(view) => Some((view.name.clone(), *view.query.clone())),
            _ => None,
        });
        Self(views.collect())
    }

    /// Every table a query reads, through views and through the tables that others are derived from.
    fn tables_behind(
        &self,
        state: &SessionState,
        query: &Query,
        tables: &BTreeMap<String, StreamDefinition>,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut asked = tables_of(state, query);
        while let Some(name) = asked.pop() {
            if !found.insert(name.clone()) {
                continue;
            }
            if let Some(query) = self.0.get(&name) {
                asked.extend(tables_of(state, query));
            }
            if let Some(derived) = tables.get(&name).and_then(|table| table.derived.as_ref()) {
                asked.push(derived.source.clone());
            }
        }
        found
    }

    /// Why rows of `query` cannot be written into the file of `sink`; `None` where they can.
    pub fn overwritten(
        &self,
        state: &SessionState,
        (sink, query): (&StreamDefinition, &Query),
        tables: &BTreeMap<String, StreamDefinition>,
    ) -> Option<String> {
        // A file that is not there yet is nobody's input.
        let target = file(Path::new(sink.options.get("path")?))?;
        let behind = self.tables_behind(state, query, tables);
        let mut inputs = behind.iter().filter_map(|name| tables.get(name));
        let input = inputs.find(|table| {
            table.connector == "filesystem"
                && resolved_path(table).ok().and_then(|path| file(Path::new(&path)))
                    == Some(target.clone())
        })?;
        Some(format!(
            "INSERT INTO {}: the query reads the table {} from the same file, {}, and would overwrite it; \
             write into a table with another 'path'",
            sink.name,
            input.name,
            target.display()
        ))
    }
}

/// The one name of a file, whatever links and dots lead to it; `None` while there is no such file.
pub(super) fn file(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}
