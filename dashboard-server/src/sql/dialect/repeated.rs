//! `SELECT amount, amount`: columns of one name. The engine wants them told apart, and an answer shows them as they were written.
//!
//! A column that is there before gets a name with a mark in it: the mark, which column it repeats, the mark, and the name where it
//! is known. What leaves a door has passed [`as_written`].

use std::sync::Arc;

use arrow::array::RecordBatchOptions;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr};

/// A letter that is in no name.
const MARK: char = '\u{1}';

/// The query with its repeated columns under names of their own.
pub(super) fn named_apart(query: &mut Query) {
    body(&mut query.body);
}

fn body(of: &mut SetExpr) {
    match of {
        SetExpr::Select(select) => columns(select),
        SetExpr::Query(query) => named_apart(query),
        SetExpr::SetOperation { left, right, .. } => {
            body(left);
            body(right);
        }
        _ => {}
    }
}

fn columns(select: &mut Select) {
    // What a wildcard stands for is not known yet: a column beside one may be of those, and none has a number.
    let has_wildcard = select
        .projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut before: Vec<Named> = Vec::with_capacity(select.projection.len());
    let mut is_beside = false;
    for item in &mut select.projection {
        let Some(named) = Named::of(item) else {
            is_beside = true;
            before.push(Named::default());
            continue;
        };
        let repeats = before.iter().position(|other| other.is_like(&named));
        let is_repeated = repeats.is_some() || is_beside && named.is_column;
        if let (true, SelectItem::UnnamedExpr(expr)) = (is_repeated, &*item) {
            let nth = if has_wildcard { before.len() } else { repeats.unwrap_or_default() };
            // The name of what is reckoned is the engine's, and there already.
            let name = if named.is_column || has_wildcard { named.name.as_str() } else { "" };
            let alias = format!("{MARK}{nth}.{}{MARK}{name}", before.len());
            *item = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: Ident::with_quote('"', alias),
            };
        } else if let (true, SelectItem::ExprWithAlias { alias, .. }) =
            (repeats.is_some(), &mut *item)
        {
            let name = format!("{MARK}{}.{}{MARK}{}", before.len(), before.len(), named.name);
            *alias = Ident::with_quote('"', name);
        }
        before.push(named);
    }
}

/// What a column is called.
#[derive(Debug, Default)]
struct Named {
    /// Its text, with what it is qualified by.
    whole: String,
    name: String,
    is_qualified: bool,
    /// Whether its name is one that was written.
    is_column: bool,
}

impl Named {
    /// Of an item that is one column.
    fn of(item: &SelectItem) -> Option<Self> {
        match item {
            SelectItem::UnnamedExpr(expr) => Some(Self::of_expr(expr)),
            SelectItem::ExprWithAlias { alias, .. } => {
                let name = as_looked_up(alias);
                Some(Self { whole: name.clone(), name, is_qualified: false, is_column: true })
            }
            _ => None,
        }
    }

    fn of_expr(expr: &Expr) -> Self {
        match expr {
            Expr::Identifier(name) => {
                let name = as_looked_up(name);
                Self { whole: name.clone(), name, is_qualified: false, is_column: true }
            }
            Expr::CompoundIdentifier(parts) => {
                let parts: Vec<String> = parts.iter().map(as_looked_up).collect();
                let name = parts.last().cloned().unwrap_or_default();
                Self { whole: parts.join("."), name, is_qualified: true, is_column: true }
            }
            // The engine calls a cast by what is cast.
            Expr::Nested(inner) => Self::of_expr(inner),
            Expr::Cast { expr, .. } => Self::of_expr(expr),
            // And a subquery by its column.
            Expr::Subquery(query) => match query.body.as_ref() {
                SetExpr::Select(select) => {
                    let column = select.projection.first().and_then(Self::of).unwrap_or_default();
                    Self { whole: column.name.clone(), is_qualified: false, ..column }
                }
                _ => Self::default(),
            },
            expr => {
                let name = expr.to_string().to_lowercase();
                Self { whole: name.clone(), name, ..Self::default() }
            }
        }
    }

    /// Whether the engine would not tell the two apart.
    fn is_like(&self, other: &Self) -> bool {
        if self.whole.is_empty() {
            return false;
        }
        self.whole == other.whole
            || self.name == other.name && !(self.is_qualified && other.is_qualified)
    }
}

fn as_looked_up(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    }
}

/// The names of columns as they were written.
pub(in crate::sql) fn columns_as_written<'a>(
    names: impl Iterator<Item = &'a str>,
) -> Option<Vec<String>> {
    let names: Vec<&str> = names.collect();
    if !names.iter().any(|name| name.starts_with(MARK)) {
        return None;
    }
    let written = |name: &&str| {
        let Some((place, known)) = name.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK))
        else {
            return (*name).to_owned();
        };
        let repeated = || {
            let nth = place.split_once('.')?.0.parse::<usize>().ok()?;
            names.get(nth).copied()
        };
        let name = if known.is_empty() { repeated().unwrap_or_default() } else { known };
        name.to_owned()
    };
    Some(names.iter().map(written).collect())
}

/// An answer with the names of its columns as they were written.
///
/// # Errors
/// Arrow's, when the columns do not fit their own types.
pub(in crate::sql) fn as_written(
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let names = columns_as_written(schema.fields().iter().map(|field| field.name().as_str()));
    let Some(names) = names else { return Ok((schema, batches)) };
    let under = |(field, name): (&Arc<Field>, String)| field.as_ref().clone().with_name(name);
    let renamed = |schema: &SchemaRef| {
        let fields: Vec<Field> = schema.fields().iter().zip(names.clone()).map(under).collect();
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    };
    let rows = |batch: RecordBatch| {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        RecordBatch::try_new_with_options(renamed(&batch.schema()), columns, &options)
    };
    let batches = batches.into_iter().map(rows).collect::<Result<Vec<_>, _>>()?;
    Ok((renamed(&schema), batches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn told(text: &str) -> String {
        let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("parses");
        let Some(Statement::Query(query)) = parsed.first_mut() else { panic!("a query") };
        named_apart(query);
        query.to_string().replace(MARK, "|")
    }

    #[test]
    fn only_what_is_asked_for_twice_gets_another_name() {
        for (text, apart) in [
            ("SELECT a, b", "SELECT a, b"),
            ("SELECT a, A", "SELECT a, A AS \"|0.1|a\""),
            ("SELECT count(*), COUNT(*)", "SELECT count(*), COUNT(*) AS \"|0.1|\""),
            // What says who asks is one function to the PostgreSQL door, whatever it was called.
            ("SELECT session_user, session_user", "SELECT session_user, session_user AS \"|0.1|\""),
            ("SELECT x.a, y.a", "SELECT x.a, y.a"),
            ("SELECT x.a, a", "SELECT x.a, a AS \"|0.1|a\""),
            ("SELECT a, a::INT", "SELECT a, a::INT AS \"|0.1|a\""),
            ("SELECT *, a", "SELECT *, a AS \"|1.1|a\""),
            ("SELECT 1 AS a, 2 AS a", "SELECT 1 AS a, 2 AS \"|1.1|a\""),
            (
                "SELECT 1, 1 UNION SELECT 2, 2",
                "SELECT 1, 1 AS \"|0.1|\" UNION SELECT 2, 2 AS \"|0.1|\"",
            ),
        ] {
            assert_eq!(told(text), apart);
        }
    }

    #[test]
    fn names_are_shown_as_they_were_written() {
        let names = ["count(*)", "a", "\u{1}0.2\u{1}", "\u{1}1.3\u{1}a"];
        let written = columns_as_written(names.into_iter()).expect("some are marked");
        assert_eq!(written, ["count(*)", "a", "count(*)", "a"]);
        assert_eq!(columns_as_written(["a", "b"].into_iter()), None);
    }
}
