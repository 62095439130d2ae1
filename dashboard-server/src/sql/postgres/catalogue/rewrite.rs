//! What PostgreSQL has a word for and the engine another.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Select, SelectItem,
    SetExpr, Statement, TableFactor, Value, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::classes::classes;
use super::nothing::has_gathering;
use super::values::known;

/// A letter that is in no pattern.
const MARK: char = '\u{1}';

/// The statement as the engine can plan it.
pub(in crate::sql::postgres) fn rewritten(mut statement: Statement) -> Statement {
    // Before the look-ups of the library are told like others.
    classes(&mut statement);
    let _all: ControlFlow<()> = visit_expressions_mut(&mut statement, |expression| {
        // First, because what has no rows is not to be made one row of.
        known(expression);
        escape(expression);
        one_of_a_catalogue(expression);
        comment(expression);
        number_of_a_name(expression);
        ControlFlow::Continue(())
    });
    statement
}

/// `LIKE p ESCAPE c`, where the engine knows one way to escape only.
fn escape(expression: &mut Expr) {
    let (Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. }) =
        expression
    else {
        return;
    };
    let Some(Value::SingleQuotedString(escape)) = escape_char.as_ref().map(|it| &it.value) else {
        return;
    };
    let Some(escape) = escape.chars().next().filter(|letter| *letter != '\\') else { return };
    let quoted = if escape == '\'' { "''".to_owned() } else { escape.to_string() };
    let text = format!(
        "replace(replace(replace(replace({pattern}, '\\', '\\\\'), '{quoted}{quoted}', '{MARK}'), \
         '{quoted}', '\\'), '{MARK}', '{quoted}')"
    );
    if let Some(told) = parsed(&text) {
        **pattern = told;
        *escape_char = None;
    }
}

/// A value that is looked up in a catalogue by the number of a row: there is one, and the engine wants that said.
fn one_of_a_catalogue(expression: &mut Expr) {
    let Expr::Subquery(query) = expression else { return };
    if query.limit_clause.is_some() {
        return;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if !is_of_catalogue(select) {
        return;
    }
    let is_grouped =
        !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_mut_slice()
    else {
        return;
    };
    if is_grouped || has_gathering(value) {
        return;
    }
    if let Some(one) = parsed(&format!("max({value})")) {
        *value = one;
    }
}

fn is_of_catalogue(select: &Select) -> bool {
    !select.from.is_empty()
        && select.from.iter().all(|from| {
            matches!(&from.relation, TableFactor::Table { name, .. }
                if name.to_string().starts_with("pg_"))
        })
}

/// Comments are rows, and the functions that say them are not of the engine.
fn comment(expression: &mut Expr) {
    let Expr::Function(function) = expression else { return };
    let FunctionArguments::List(list) = &function.args else { return };
    let arguments: Vec<&Expr> = list
        .args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
            _ => None,
        })
        .collect();
    let name = function.name.to_string().to_lowercase();
    let (of, part) = match (name.trim_start_matches("pg_catalog."), arguments.as_slice()) {
        ("obj_description", [of] | [of, _]) => (*of, "0".to_owned()),
        ("col_description", [of, part]) => (*of, part.to_string()),
        _ => return,
    };
    let looked_up = format!(
        "(SELECT max(tidemark_comment.description) FROM pg_catalog.pg_description AS tidemark_comment \
         WHERE tidemark_comment.objoid = {of} AND tidemark_comment.objsubid = {part})"
    );
    if let Some(looked_up) = parsed(&looked_up) {
        *expression = looked_up;
    }
}

/// `to_regclass('name')`: the number of what a name is of, and NULL where there is none.
fn number_of_a_name(expression: &mut Expr) {
    let Expr::Function(function) = expression else { return };
    let FunctionArguments::List(list) = &function.args else { return };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(name))] = list.args.as_slice() else { return };
    let (table, column) = match function.name.to_string().to_lowercase().as_str() {
        "to_regclass" | "pg_catalog.to_regclass" => ("pg_class", "relname"),
        "to_regnamespace" | "pg_catalog.to_regnamespace" => ("pg_namespace", "nspname"),
        _ => return,
    };
    let looked_up = format!(
        "(SELECT max(tidemark_name.oid) FROM pg_catalog.{table} AS tidemark_name \
         WHERE tidemark_name.{column} = replace(regexp_replace({name}, '^.*[.]', ''), '\"', ''))"
    );
    if let Some(looked_up) = parsed(&looked_up) {
        *expression = looked_up;
    }
}

/// An expression in words.
pub(super) fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("parses");
        rewritten(parsed[0].clone()).to_string()
    }

    #[test]
    fn a_comment_is_looked_up_and_one_of_many_rows_is_said_to_be_one() {
        let comment =
            told("SELECT obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class AS c");
        assert!(comment.contains("objoid = c.oid AND tidemark_comment.objsubid = 0"), "{comment}");
        let one =
            "SELECT 1 WHERE (SELECT c.relkind = 'c' FROM pg_catalog.pg_class AS c WHERE c.oid = 1)";
        assert!(told(one).contains("max(c.relkind = 'c')"), "{}", told(one));
        for same in [
            "SELECT (SELECT count(*) FROM pg_catalog.pg_class)",
            "SELECT (SELECT gmv FROM gmv_day)",
            "SELECT a LIKE 'b%'",
        ] {
            assert_eq!(told(same), same);
        }
    }

    #[test]
    fn a_pattern_is_escaped_as_the_engine_knows_it() {
        let pattern = told("SELECT a NOT LIKE 'pg/_%' ESCAPE '/'");
        assert!(pattern.contains("replace(") && !pattern.contains("ESCAPE"), "{pattern}");
        let same = "SELECT a LIKE 'pg\\_%' ESCAPE '\\'";
        assert_eq!(told(same), same);
    }
}
