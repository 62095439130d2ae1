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
    Statement, TableFactor, TableWithJoins, Value, Visit as _, Visitor, visit_expressions,
};

/// Tables of the two catalogues that have no row here.
const NONE: [&str; 38] = [
    "pg_attrdef",
    // Of the library, with the verifiers of its own making.
    "pg_authid",
    "pg_auth_members",
    "pg_constraint",
    "pg_db_role_setting",
    "pg_default_acl",
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
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_rules",
    "pg_sequence",
    "pg_sequences",
    "pg_shdescription",
    "pg_shseclabel",
    "pg_statistic_ext",
    "pg_statistic_ext_data",
    "pg_subscription",
    "pg_subscription_rel",
    "pg_trigger",
    "pg_user_mapping",
    "constraint_column_usage",
    "key_column_usage",
    "referential_constraints",
    "table_constraints",
];

/// Whether a table of the two catalogues has no row here.
pub(super) fn is_empty(table: &str) -> bool {
    NONE.contains(&table)
}

/// Functions that make one row of none.
const GATHERING: [&str; 12] = [
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
    "first_value",
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

/// Whether a query joins something with a table that has no row, and so has none itself.
pub(super) fn has_no_rows(query: &Query) -> bool {
    has_none(query, &[])
}

/// The same beside the queries of a `WITH` around it that have no rows, by their names.
fn has_none(query: &Query, around: &[String]) -> bool {
    let mut names = around.to_vec();
    for named in query.with.iter().flat_map(|with| &with.cte_tables) {
        let name = named.alias.name.value.to_lowercase();
        if has_none(&named.query, &names) {
            names.push(name);
        } else {
            names.retain(|other| *other != name);
        }
    }
    let is_recursive = query.with.as_ref().is_some_and(|with| with.recursive);
    !is_recursive && is_nothing(&query.body, &names)
}

fn is_nothing(body: &SetExpr, names: &[String]) -> bool {
    match body {
        SetExpr::Select(select) => is_of_nothing(select, names),
        SetExpr::Query(query) => has_none(query, names),
        SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } => {
            is_nothing(left, names) && is_nothing(right, names)
        }
        _ => false,
    }
}

fn is_of_nothing(select: &Select, names: &[String]) -> bool {
    let is_grouped =
        !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let gathers = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expression)
        | SelectItem::ExprWithAlias { expr: expression, .. } => has_gathering(expression),
        _ => false,
    });
    (is_grouped || !gathers) && select.from.iter().any(|from| joins_none(from, names))
}

/// Whether a function within makes one row of all; what a query within gathers is its own.
pub(super) fn has_gathering(expression: &Expr) -> bool {
    let mut looked_for = Gathering { queries: 0 };
    expression.visit(&mut looked_for).is_break()
}

struct Gathering {
    /// Queries around what is looked at.
    queries: usize,
}

impl Visitor for Gathering {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Function(function)
                if self.queries == 0 && GATHERING.contains(&last(&function.name).as_str()) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn joins_none(from: &TableWithJoins, names: &[String]) -> bool {
    let mut empty = is_none(&from.relation, names);
    for join in &from.joins {
        let joined = is_none(&join.relation, names);
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

fn is_none(relation: &TableFactor, names: &[String]) -> bool {
    match relation {
        TableFactor::Table { name, args: None, .. } => {
            let is_named = name.0.len() == 1 && names.contains(&last(name));
            is_named || is_catalogue(name) && is_empty(&last(name))
        }
        TableFactor::Derived { subquery, .. } => has_none(subquery, names),
        TableFactor::NestedJoin { table_with_joins, .. } => joins_none(table_with_joins, names),
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
            "WITH k AS (SELECT unnest(conkey) AS n FROM pg_constraint), n AS (SELECT k.n FROM k JOIN pg_class ON true) \
             SELECT n, array_agg(n), 1 FROM n GROUP BY n UNION ALL SELECT n, NULL, 2 FROM k",
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
            "WITH k AS (SELECT 1 AS a FROM pg_index), k AS (SELECT 2 AS a) SELECT a FROM k",
            "WITH k AS (SELECT 1 AS a FROM pg_index) SELECT a FROM public.k",
            "SELECT 1",
            "SELECT a FROM pg_index FULL JOIN pg_class ON true",
        ] {
            assert!(planned(text).is_none(), "{text}");
        }
    }
}
