//! Which names a declaration may take: not those of the engine's own tables and columns.

use arrow::datatypes::Schema;

use super::system_tables::system_tables;
use crate::results::snapshot::{MARK_COLUMN, REVISION_COLUMN, ROW_KEY};

/// Tables that a server has besides those of [`system_tables`], and schemas.
const TAKEN: [&str; 13] = [
    "late_orders",
    "dead_letters",
    "unmatched",
    "scopes",
    "current_cut",
    "current_offsets",
    "current_streams",
    "current_views",
    "running_queries",
    "query_log",
    "information_schema",
    "public",
    "shadow",
];

/// Whether a table of this name would hide one of the engine's, or PostgreSQL's catalogue.
#[must_use]
pub fn is_taken(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("pg_")
        || TAKEN.contains(&name.as_str())
        || system_tables().iter().any(|(table, _)| *table == name)
}

/// Why a table cannot have a name; `None` where it can.
pub(super) fn wrong_name(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some("a table needs a name that is not empty".to_owned());
    }
    is_taken(name).then(|| {
        format!("'{name}' is the name of a table or schema of the engine's own; take another")
    })
}

/// Why the rows of a query cannot be shown by the names of its columns; `None` where they can.
#[must_use]
pub fn wrong_columns(schema: &Schema) -> Option<String> {
    let fields = schema.fields();
    fields.iter().enumerate().find_map(|(at, field)| {
        let name = field.name();
        if fields.iter().take(at).any(|before| before.name() == name) {
            return Some(format!(
                "two columns are called '{name}', and a row has one value of a name: give one of them another with AS"
            ));
        }
        [MARK_COLUMN, REVISION_COLUMN, ROW_KEY].contains(&name.as_str()).then(|| {
            format!("'{name}' is a column that every view has besides its own: give this one another name with AS")
        })
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn names_of_the_engine_are_taken_in_any_case() {
        for name in ["late_orders", "Dead_Letters", "views_accounted", "pg_class", "shadow"] {
            assert!(is_taken(name), "{name}");
        }
        for name in ["orders", "late_orders_today", "paid@2", "pgx"] {
            assert!(!is_taken(name), "{name}");
        }
        assert!(wrong_name(" ").is_some_and(|reason| reason.contains("not empty")));
    }

    #[test]
    fn a_row_has_one_value_of_a_name() {
        let schema = |names: &[&str]| {
            let field = |name: &&str| Field::new(*name, DataType::Int64, true);
            Schema::new(names.iter().map(field).collect::<Vec<_>>())
        };
        assert_eq!(wrong_columns(&schema(&["a", "b", "_n"])), None);
        for (names, word) in [
            (["a", "b", "a"], "two columns are called 'a'"),
            (["a", "_mark", "b"], "'_mark' is a column that every view has"),
            (["_row", "a", "b"], "'_row'"),
            (["a", "b", "_revision"], "'_revision'"),
        ] {
            let told = wrong_columns(&schema(&names)).expect("refused");
            assert!(told.contains(word), "{told}");
        }
    }
}
