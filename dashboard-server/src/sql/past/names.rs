//! What the names in a statement may not do: stand for a CTE of another time, or have a version that nobody planned.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Ident, Query, Spanned as _, Statement, TableFactor, Visit as _, Visitor,
};

use super::clause::Asked;
use crate::sql::error::{Place, SqlError};

/// Whether no table of the past is one that a `WITH` of the statement is called by.
///
/// # Errors
/// When one is, with its place.
pub(in crate::sql) fn check_names(statement: &Statement, asked: &[Asked]) -> Result<(), SqlError> {
    if asked.is_empty() {
        return Ok(());
    }
    let mut names = WithNames::default();
    let _whole = statement.visit(&mut names);
    match asked.iter().find(|asked| asked.table.len() == 1 && names.0.contains(&asked.table[0])) {
        None => Ok(()),
        Some(asked) => Err(SqlError::Plan {
            message: format!(
                "{} is the name of a WITH here, which has no past; put AS OF within it",
                asked.table[0]
            ),
            place: Some(asked.place),
        }),
    }
}

#[derive(Default)]
struct WithNames(BTreeSet<String>);

impl Visitor for WithNames {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(named.map(|table| as_looked_up(&table.alias.name)));
        ControlFlow::Continue(())
    }
}

fn as_looked_up(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    }
}

/// Whether no table of a statement has a version: the planner would pass over it in silence.
///
/// # Errors
/// When one has, with its place.
pub(in crate::sql) fn check_versions(statement: &Statement) -> Result<(), SqlError> {
    match statement.visit(&mut Versions) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Versions;

impl Visitor for Versions {
    type Break = Box<SqlError>;

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Box<SqlError>> {
        let TableFactor::Table { name, version: Some(version), .. } = table else {
            return ControlFlow::Continue(());
        };
        let start = name.span().start;
        ControlFlow::Break(Box::new(SqlError::Plan {
            message: format!(
                "{name} {version} is not understood here, and the rows of now would be told: write FOR SYSTEM_TIME AS \
                 OF a time, or FOR VERSION AS OF a number"
            ),
            place: (start.line > 0).then_some(Place { line: start.line, column: start.column }),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::{BigQueryDialect, SnowflakeDialect};
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn a_version_that_nobody_planned_is_refused_wherever_it_stands() {
        for text in [
            "SELECT 1\nFROM orders FOR SYSTEM_TIME AS OF x",
            "SELECT (SELECT 1\nFROM orders FOR SYSTEM_TIME AS OF x)",
            "WITH a AS (SELECT 1\nFROM orders FOR SYSTEM_TIME AS OF x) SELECT * FROM a",
            "SELECT 1 FROM a WHERE EXISTS (SELECT 1\nFROM orders VERSION AS OF 3)",
            "EXPLAIN SELECT 1\nFROM orders FOR SYSTEM_TIME AS OF x",
        ] {
            let parsed = Parser::parse_sql(&BigQueryDialect {}, text).expect(text);
            match check_versions(&parsed[0]) {
                Err(SqlError::Plan { place: Some(place), .. }) => {
                    assert_eq!((place.line, place.column), (2, 6), "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        let text = "SELECT 1 FROM a JOIN orders AT(TIMESTAMP => x) ON true";
        let parsed = Parser::parse_sql(&SnowflakeDialect {}, text).expect("parses");
        assert!(check_versions(&parsed[0]).is_err());
        let parsed =
            Parser::parse_sql(&BigQueryDialect {}, "SELECT 1 FROM orders o").expect("parses");
        assert!(check_versions(&parsed[0]).is_ok());
    }
}
