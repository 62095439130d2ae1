//! `'orders'::regclass`: the number of a table by its name, and its name where that is shown.
//!
//! The library makes a look-up of it, whose number has a mark that the engine loses on the way, and which is NULL for a table
//! there is not. Here a function stands around the look-up that says so, and one that says the name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, SelectItem,
    SetExpr, Statement, TableFactor, VisitMut as _, VisitorMut,
};

use super::rewrite::parsed;
use crate::sql::postgres::functions::{CLASS, CLASS_NAME};

/// The statement with its look-ups of tables as they are meant.
pub(super) fn classes(statement: &mut Statement) {
    if let Statement::Query(query) = statement
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        select.projection.iter_mut().for_each(shown);
    }
    let _all = statement.visit(&mut Classes);
}

/// A column that is a look-up and nothing else is shown as a name.
fn shown(column: &mut SelectItem) {
    let expr = match column {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
        _ => return,
    };
    let Expr::Subquery(query) = expr else { return };
    let Some(named) = called(CLASS_NAME, query) else { return };
    *expr = named;
    if let SelectItem::UnnamedExpr(named) = column {
        let (expr, alias) = (named.clone(), Ident::new("regclass"));
        *column = SelectItem::ExprWithAlias { expr, alias };
    }
}

struct Classes;

impl VisitorMut for Classes {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let told = match expr {
            Expr::Cast { expr, data_type, .. } if is_text(data_type) => match expr.as_ref() {
                Expr::Subquery(query) => called(CLASS_NAME, query),
                _ => None,
            },
            Expr::Subquery(query) => called(CLASS, query),
            _ => None,
        };
        if let Some(told) = told {
            *expr = told;
        }
        ControlFlow::Continue(())
    }
}

fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Text | DataType::Varchar(_) | DataType::CharacterVarying(_))
        || ["name", "pg_catalog.name", "pg_catalog.text"]
            .contains(&of.to_string().to_lowercase().as_str())
}

/// A function of a name and of the number that is found for it; `None` for a query that looks up no table.
fn called(function: &str, query: &Query) -> Option<Expr> {
    let name = name_looked_up(query)?;
    let mut found = query.clone();
    found.limit_clause = None;
    if let SetExpr::Select(select) = found.body.as_mut() {
        // There is one, and the engine wants that said.
        select.projection = vec![SelectItem::UnnamedExpr(parsed("max(c.oid)")?)];
    }
    parsed(&format!("{function}({name}, ({found}))"))
}

/// The name that the library's look-up has: `SELECT c.oid FROM pg_class c … CROSS JOIN (SELECT parse_ident(name::TEXT) AS parts)`.
fn name_looked_up(query: &Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(Expr::CompoundIdentifier(column))] = select.projection.as_slice()
    else {
        return None;
    };
    let [from] = select.from.as_slice() else { return None };
    let TableFactor::Table { name, .. } = &from.relation else { return None };
    let is_class = name.to_string() == "pg_catalog.pg_class";
    if !is_class || column.last().is_none_or(|word| word.value != "oid") {
        return None;
    }
    let TableFactor::Derived { subquery, .. } = &from.joins.last()?.relation else { return None };
    let SetExpr::Select(parts) = subquery.body.as_ref() else { return None };
    let [SelectItem::ExprWithAlias { expr: Expr::Function(call), .. }] =
        parts.projection.as_slice()
    else {
        return None;
    };
    let FunctionArguments::List(list) = &call.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Cast { expr, .. }))] => {
            Some(expr.as_ref().clone())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;

    use super::*;

    fn told(text: &str) -> String {
        let parsed = PostgresCompatibilityParser::new().parse(text).expect("parses");
        let mut statement = parsed[0].clone();
        classes(&mut statement);
        statement.to_string()
    }

    #[test]
    fn a_table_is_looked_up_as_the_library_does_it_and_a_missing_one_is_said_to_be() {
        let number = told("SELECT 1 WHERE a = 'orders'::regclass");
        assert!(number.contains("a = tidemark_class('orders', (SELECT max(c.oid)"), "{number}");
        let oid = told("SELECT 'orders'::regclass::oid");
        assert!(oid.contains("tidemark_class('orders', (SELECT max(c.oid)"), "{oid}");
        for name in ["SELECT 'orders'::regclass", "SELECT 'orders'::regclass::text"] {
            assert!(told(name).contains("tidemark_class_name('orders', ("), "{}", told(name));
        }
        let same = "SELECT (SELECT c.oid FROM pg_catalog.pg_class AS c LIMIT 1)";
        assert!(!told(same).contains("tidemark_class"), "{}", told(same));
    }
}
