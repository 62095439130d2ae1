//! Values within a question that are known without asking, or that the engine has other words for: arrays of what there is
//! none of, a value among the values of an array, and the columns that hold the names of functions.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, Ident, OrderByKind, Query, SelectItem, SetExpr, TableFactor,
    Value,
};

use super::nothing::has_no_rows;
use super::rewrite::parsed;
use crate::sql::postgres::functions::NO_TEXTS;
use crate::sql::postgres::lists::elements;

/// Columns of `pg_type` and `pg_proc` whose values are functions; the engine has their names there, and `-` where there is none.
const FUNCTIONS: [&str; 10] = [
    "typinput",
    "typoutput",
    "typreceive",
    "typsend",
    "typmodin",
    "typmodout",
    "typanalyze",
    "typsubscript",
    "prosupport",
    "amhandler",
];

/// An expression in the engine's words. What stands within it has been put into them before.
pub(super) fn known(expression: &mut Expr) {
    let told = match expression {
        Expr::Subquery(query) if has_no_rows(query) => Some(value(Value::Null)),
        Expr::Exists { subquery, negated } | Expr::InSubquery { subquery, negated, .. }
            if has_no_rows(subquery) =>
        {
            Some(value(Value::Boolean(*negated)))
        }
        Expr::Cast { expr, data_type: DataType::Array(_), .. } => list_of_text(expr),
        // The parser knows the word for a function without arguments, and the engine for none.
        Expr::Function(function)
            if is_named(function, "user") && matches!(function.args, FunctionArguments::None) =>
        {
            parsed("session_user()")
        }
        Expr::Function(function) if is_named(function, "array") => array_of(function),
        Expr::Function(function) if is_named(function, "array_contains") => among(function),
        Expr::Function(function) if is_named(function, "parse_ident") => {
            in_its_schema(function);
            None
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } => {
            by_name(left, right);
            by_name(right, left);
            None
        }
        Expr::Identifier(word)
            if word.quote_style.is_none() && is_word(Some(word), "current_role") =>
        {
            parsed("session_user()")
        }
        // The table a row of the catalogue is in; nothing is looked up by it.
        Expr::CompoundIdentifier(words) if is_word(words.last(), "tableoid") => {
            Some(value(Value::Number("0".to_owned(), false)))
        }
        _ => None,
    };
    if let Some(told) = told {
        *expression = told;
    }
}

fn value(value: Value) -> Expr {
    Expr::Value(value.with_empty_span())
}

fn is_word(word: Option<&Ident>, wanted: &str) -> bool {
    word.is_some_and(|word| word.value.eq_ignore_ascii_case(wanted))
}

fn is_named(function: &Function, name: &str) -> bool {
    is_word(function.name.0.last().and_then(|part| part.as_ident()), name)
}

/// `'{a,b}'::text[]` as `ARRAY['a', 'b']`: the engine takes the whole text for the one value of an array.
fn list_of_text(text: &Expr) -> Option<Expr> {
    let Expr::Value(text) = text else { return None };
    let Value::SingleQuotedString(text) = &text.value else { return None };
    let words = elements(text)?;
    if words.is_empty() {
        return parsed(&format!("{NO_TEXTS}()"));
    }
    let words = words.into_iter().map(|word| match word {
        Some(word) => value(Value::SingleQuotedString(word)),
        None => value(Value::Null),
    });
    let mut array = parsed("ARRAY['']")?;
    if let Expr::Array(array) = &mut array {
        array.elem = words.collect();
    }
    Some(array)
}

/// `ARRAY(SELECT …)`: empty where there is nothing to select, else all values of one column.
fn array_of(function: &Function) -> Option<Expr> {
    let FunctionArguments::Subquery(query) = &function.args else { return None };
    if has_no_rows(query) || is_of_a_value(query) {
        return parsed(&format!("{NO_TEXTS}()"));
    }
    let gathered = gathered(query)
        .unwrap_or_else(|| format!("SELECT array_agg(one) FROM ({query}) AS tidemark_array(one)"));
    parsed(&format!("({gathered})"))
}

/// Whether a query takes the values of an array in a row of the catalogue apart: options, privileges, tags. There are none.
fn is_of_a_value(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    !select.from.is_empty()
        && select.from.iter().all(|from| match &from.relation {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                is_word(name.0.last().and_then(|part| part.as_ident()), "unnest")
            }
            TableFactor::UNNEST { .. } => true,
            _ => false,
        })
}

/// The query with its one column gathered, in the query's order, so that it may look at the row it stands in; `None` for a
/// query that groups, or takes a part of its rows.
fn gathered(query: &Query) -> Option<String> {
    if query.with.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let is_grouped =
        !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let [SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    if is_grouped || select.distinct.is_some() || select.having.is_some() {
        return None;
    }
    let mut call = parsed(&format!("array_agg({column})"))?;
    if let Some(order) = &query.order_by
        && let Expr::Function(function) = &mut call
        && let FunctionArguments::List(list) = &mut function.args
    {
        let OrderByKind::Expressions(by) = &order.kind else { return None };
        let mut by = by.clone();
        for one in &mut by {
            // The first column, and there is only one.
            if one.expr == value(Value::Number("1".to_owned(), false)) {
                one.expr = column.clone();
            }
        }
        list.clauses.push(FunctionArgumentClause::OrderBy(by));
    }
    let mut query = query.clone();
    query.order_by = None;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = vec![SelectItem::UnnamedExpr(call)];
    }
    Some(query.to_string())
}

/// `x = ANY(ARRAY[a, b])`, which the library has made a function, as `x IN (a, b)`: there each value is compared as what it is.
fn among(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let [
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Array(array))),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(one)),
    ] = list.args.as_slice()
    else {
        return None;
    };
    if array.elem.is_empty() || array.elem.iter().any(|one| matches!(one, Expr::Array(_))) {
        return None;
    }
    let one = match one {
        simple @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_)) => {
            simple.clone()
        }
        other => Expr::Nested(Box::new(other.clone())),
    };
    Some(Expr::InList { expr: Box::new(one), list: array.elem.clone(), negated: false })
}

/// `'pg_class'::regclass`, which the library has made a look-up in the schema in front: a table of the catalogue is in its own.
fn in_its_schema(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(name))] = list.args.as_mut_slice() else {
        return;
    };
    let name = match name {
        Expr::Cast { expr, .. } => expr.as_mut(),
        name => name,
    };
    if let Expr::Value(name) = name
        && let Value::SingleQuotedString(name) = &mut name.value
        && name.starts_with("pg_")
        && !name.contains('.')
    {
        *name = format!("pg_catalog.{name}");
    }
}

/// A function that a column of functions is compared with, by its name.
fn by_name(column: &Expr, beside: &mut Expr) {
    let name = match column {
        Expr::Identifier(word) => Some(word),
        Expr::CompoundIdentifier(words) => words.last(),
        _ => None,
    };
    if !FUNCTIONS.iter().any(|function| is_word(name, function)) {
        return;
    }
    match beside {
        Expr::Value(number) if matches!(&number.value, Value::Number(number, _) if number == "0") =>
        {
            *beside = value(Value::SingleQuotedString("-".to_owned()));
        }
        // What the library has made of `'pg_catalog.array_in'::regproc`.
        Expr::Subquery(query) => {
            if let Some(name) = name_looked_up(query) {
                *beside = value(Value::SingleQuotedString(name));
            }
        }
        Expr::Nested(inner) => by_name(column, inner),
        _ => {}
    }
}

/// The name of the function whose number a query looks up.
fn name_looked_up(query: &Query) -> Option<String> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [from] = select.from.as_slice() else { return None };
    let TableFactor::Table { name, .. } = &from.relation else { return None };
    if !is_word(name.0.last().and_then(|part| part.as_ident()), "pg_proc") {
        return None;
    }
    let Some(Expr::BinaryOp { op: BinaryOperator::Eq, right, .. }) = &select.selection else {
        return None;
    };
    let Expr::Value(name) = right.as_ref() else { return None };
    let Value::SingleQuotedString(name) = &name.value else { return None };
    name.rsplit('.').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::super::rewritten;

    fn told(text: &str) -> String {
        let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("parses");
        rewritten(parsed[0].clone()).to_string()
    }

    #[test]
    fn what_is_asked_of_nothing_within_a_question_is_known() {
        for (asked, known) in [
            ("SELECT (SELECT adbin FROM pg_attrdef)", "SELECT NULL"),
            ("SELECT 1 WHERE EXISTS (SELECT 1 FROM pg_index)", "SELECT 1 WHERE false"),
            ("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_index)", "SELECT 1 WHERE true"),
            ("SELECT 1 WHERE 1 NOT IN (SELECT indexrelid FROM pg_index)", "SELECT 1 WHERE true"),
            ("SELECT ARRAY(SELECT enumlabel FROM pg_enum)", "SELECT tidemark_no_texts()"),
            ("SELECT ARRAY(SELECT x FROM unnest(c.options) AS x)", "SELECT tidemark_no_texts()"),
            ("SELECT l.tableoid", "SELECT 0"),
            ("SELECT current_role, \"current_role\"", "SELECT session_user, \"current_role\""),
            ("SELECT 1 WHERE user = \"user\"", "SELECT 1 WHERE session_user = \"user\""),
        ] {
            assert_eq!(told(asked), known, "{asked}");
        }
        let counted = "SELECT (SELECT count(*) FROM pg_index)";
        assert_eq!(told(counted), counted);
        let within = "SELECT ARRAY(SELECT ARRAY(SELECT a FROM pg_roles) FROM pg_policy)";
        assert_eq!(told(within), "SELECT tidemark_no_texts()");
        let class = told("SELECT parse_ident('pg_class'::TEXT), parse_ident('gmv')");
        assert_eq!(class, "SELECT parse_ident('pg_catalog.pg_class'::TEXT), parse_ident('gmv')");
    }

    #[test]
    fn an_array_of_rows_is_gathered_in_its_order() {
        assert_eq!(
            told("SELECT ARRAY(SELECT a FROM pg_class WHERE b = c.d ORDER BY 1)"),
            "SELECT (SELECT array_agg(a ORDER BY a) FROM pg_class WHERE b = c.d)"
        );
        let part = told("SELECT ARRAY(SELECT a FROM t LIMIT 2)");
        assert!(part.contains("array_agg(one) FROM (SELECT a FROM t LIMIT 2)"), "{part}");
    }

    #[test]
    fn a_value_is_looked_for_among_those_of_an_array() {
        let any = "SELECT array_contains(ARRAY['a', 'b'], c.d)";
        assert_eq!(told(any), "SELECT c.d IN ('a', 'b')");
        let cast = "SELECT array_contains('{a,\"b,c\"}'::TEXT[], d)";
        assert_eq!(told(cast), "SELECT d IN ('a', 'b,c')");
        let column = "SELECT array_contains(a.b, 1)";
        assert_eq!(told(column), column);
    }

    #[test]
    fn a_column_of_functions_is_compared_with_a_name() {
        assert_eq!(
            told("SELECT 1 WHERE typreceive <> 0 AND oid <> 0"),
            "SELECT 1 WHERE typreceive <> '-' AND oid <> 0"
        );
        let library = "(SELECT oid FROM pg_catalog.pg_proc WHERE proname = 'pg_catalog.array_in')";
        assert_eq!(
            told(&format!("SELECT t.typinput = {library}")),
            "SELECT t.typinput = 'array_in'"
        );
    }
}
