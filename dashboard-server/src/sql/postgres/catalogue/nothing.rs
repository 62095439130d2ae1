//! Questions about what there is none of. Tools ask for keys, indexes and triggers with arrays that the engine cannot plan;
//! of a join with a table that never has a row the answer is known without a plan.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{EmptyRelation, Expr as Engine, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr, SetOperator,
    Statement, TableFactor, TableWithJoins, Value, visit_expressions,
};

/// Tables of the two catalogues that have no row here.
const NONE: [&str; 27] = [
    "pg_attrdef",
    "pg_constraint",
    "pg_depend",
    "pg_enum",
    "pg_event_trigger",
    "pg_extension",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_index",
    "pg_indexes",
    "pg_inherits",
    "pg_matviews",
    "pg_partitioned_table",
    "pg_policy",
    "pg_publication",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_rules",
    "pg_sequence",
    "pg_sequences",
    "pg_statistic_ext",
    "pg_subscription",
    "pg_trigger",
    "pg_user_mapping",
    "key_column_usage",
    "table_constraints",
];

/// Functions that make one row of none.
const GATHERING: [&str; 11] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "json_agg",
    "max",
    "min",
    "string_agg",
    "sum",
];

/// A plan without rows for a question about what there is none of; `None` for any other statement.
///
/// # Errors
/// DataFusion's, where the answer has two columns of one name.
pub(in crate::sql::postgres) fn plan_of_nothing(
    statement: &Statement,
) -> Result<Option<LogicalPlan>> {
    let Statement::Query(query) = statement else { return Ok(None) };
    let columns = columns(&query.body);
    let Some(columns) = columns.filter(|_| has_no_rows(query)) else { return Ok(None) };
    let fields = columns.iter().map(|name| Field::new(name, DataType::Utf8, true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let fields = schema.fields().iter().map(|field| (None, Arc::clone(field))).collect();
    let schema = DFSchema::new_with_metadata(fields, Default::default())?;
    let nothing = EmptyRelation { produce_one_row: false, schema: Arc::new(schema) };
    let mut plan = LogicalPlanBuilder::from(LogicalPlan::EmptyRelation(nothing));
    // A client that has been told of its parameters gives them.
    for id in placeholders(statement) {
        let parameter = Placeholder::new_with_field(id, None);
        plan = plan.filter(Engine::Placeholder(parameter).is_not_null())?;
    }
    plan.build().map(Some)
}

fn placeholders(statement: &Statement) -> Vec<String> {
    let mut found = Vec::new();
    let _all: ControlFlow<()> = visit_expressions(statement, |expression| {
        if let Expr::Value(value) = expression
            && let Value::Placeholder(id) = &value.value
            && !found.contains(id)
        {
            found.push(id.clone());
        }
        ControlFlow::Continue(())
    });
    found
}

fn has_no_rows(query: &Query) -> bool {
    query.with.is_none() && is_nothing(&query.body)
}

fn is_nothing(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => is_of_nothing(select),
        SetExpr::Query(query) => has_no_rows(query),
        SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } => {
            is_nothing(left) && is_nothing(right)
        }
        _ => false,
    }
}

fn is_of_nothing(select: &Select) -> bool {
    let is_grouped =
        !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let gathers = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expression)
        | SelectItem::ExprWithAlias { expr: expression, .. } => has_gathering(expression),
        _ => false,
    });
    (is_grouped || !gathers) && select.from.iter().any(is_empty)
}

fn has_gathering(expression: &Expr) -> bool {
    let found = visit_expressions(expression, |part| match part {
        Expr::Function(function) if GATHERING.contains(&last(&function.name).as_str()) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn is_empty(from: &TableWithJoins) -> bool {
    let mut empty = is_none(&from.relation);
    for join in &from.joins {
        let joined = is_none(&join.relation);
        empty = match &join.join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                empty || joined
            }
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => empty,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => joined,
            _ => empty && joined,
        };
    }
    empty
}

fn is_none(relation: &TableFactor) -> bool {
    match relation {
        TableFactor::Table { name, args: None, .. } => {
            is_catalogue(name) && { NONE.contains(&last(name).as_str()) }
        }
        TableFactor::Derived { subquery, .. } => has_no_rows(subquery),
        TableFactor::NestedJoin { table_with_joins, .. } => is_empty(table_with_joins),
        _ => false,
    }
}

/// Whether a name is of one of the two catalogues; without a schema those of the first are found too.
fn is_catalogue(name: &ObjectName) -> bool {
    let words: Vec<String> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|word| word.value.to_lowercase())
        .collect();
    match words.as_slice() {
        [table] => table.starts_with("pg_"),
        [.., schema, _] => ["pg_catalog", "information_schema"].contains(&schema.as_str()),
        [] => false,
    }
}

fn last(name: &ObjectName) -> String {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.map(|word| word.value.to_lowercase()).unwrap_or_default()
}

/// The names of an answer's columns as PostgreSQL gives them; `None` where they are not in the statement.
fn columns(body: &SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => {
            let mut names = Vec::new();
            for item in &select.projection {
                match item {
                    SelectItem::UnnamedExpr(expression) => names.push(name_of(expression)),
                    SelectItem::ExprWithAlias { alias, .. } => names.push(alias.value.clone()),
                    _ => return None,
                }
            }
            Some(unlike(names))
        }
        SetExpr::Query(query) => columns(&query.body),
        SetExpr::SetOperation { left, .. } => columns(left),
        _ => None,
    }
}

fn name_of(expression: &Expr) -> String {
    match expression {
        Expr::Identifier(word) => word.value.clone(),
        Expr::CompoundIdentifier(words) => {
            words.last().map(|word| word.value.clone()).unwrap_or_default()
        }
        Expr::Function(function) => last(&function.name),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => name_of(expr),
        Expr::Case { .. } => "case".to_owned(),
        _ => "?column?".to_owned(),
    }
}

/// PostgreSQL gives two columns one name, and the engine does not.
fn unlike(mut names: Vec<String>) -> Vec<String> {
    for at in 1..names.len() {
        let (before, rest) = names.split_at_mut(at);
        if let Some(name) = rest.first_mut()
            && before.contains(name)
        {
            *name = format!("{name}_{at}");
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn planned(text: &str) -> Option<LogicalPlan> {
        let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("parses");
        plan_of_nothing(&parsed[0]).expect("plans")
    }

    #[test]
    fn what_is_joined_with_nothing_has_no_rows_and_its_columns() {
        for text in [
            "SELECT i.indexrelid, c.relname AS name, count(*) FROM pg_class c JOIN pg_index i ON true GROUP BY 1, 2",
            "SELECT a, b, c FROM (SELECT * FROM pg_catalog.pg_constraint) AS k LEFT JOIN t ON true",
            "SELECT 1, 2, unnest(conkey) FROM pg_class, pg_constraint",
            "SELECT a, b, c FROM pg_trigger UNION ALL SELECT d, e, f FROM pg_policy",
            "SELECT a, b, c FROM information_schema.key_column_usage WHERE a = $1",
        ] {
            let plan = planned(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(plan.schema().fields().len(), 3, "{text}");
        }
        let plan =
            planned("SELECT conname FROM pg_constraint WHERE oid = $1 AND x = $2").expect("is");
        assert_eq!(plan.get_parameter_types().expect("types").len(), 2);
    }

    #[test]
    fn what_may_have_rows_is_left_alone() {
        for text in [
            "SELECT count(*) FROM pg_index",
            "SELECT relname FROM pg_class LEFT JOIN pg_index ON true",
            "SELECT relname FROM pg_class WHERE NOT EXISTS (SELECT 1 FROM pg_index)",
            "SELECT a FROM pg_index UNION ALL SELECT relname FROM pg_class",
            "SELECT a FROM public.pg_index",
            "SELECT a FROM key_column_usage",
            "SELECT 1",
            "SELECT a FROM pg_index FULL JOIN pg_class ON true",
        ] {
            assert!(planned(text).is_none(), "{text}");
        }
    }
}
