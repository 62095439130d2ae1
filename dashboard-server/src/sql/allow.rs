//! What may be asked. Two walls: the kind of the statement, and every node of its plan.
//!
//! Both list what is allowed, so that a statement or node a later engine adds is refused until
//! someone has thought about it.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, ParserInput, Statement};
use datafusion::sql::sqlparser::ast::{SetExpr, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use tidemark_pipeline::sql::statement_size;

use super::dialect::plain_words;
use super::error::{Place, SqlError};
use super::past::{self, Asked, Given, Now, Parameters};
use super::size::{check_tables, check_text};
use crate::config::SqlConfig;

/// A statement that only reads.
pub(super) struct Parsed {
    /// As it can be planned.
    pub(super) statement: Statement,
    /// What it asks for of the past.
    pub(super) asked: Vec<Asked>,
    /// The parameters that say of which past.
    pub(super) parameters: Parameters,
}

/// The one statement in `text`, if it is of a kind that only reads; what it asks for of the past is by what is `given`.
///
/// # Errors
/// When the text is too large, is not SQL, is empty, holds several statements or one that is not listed.
pub(super) fn parse_reading(
    text: &str,
    limits: &SqlConfig,
    (now, given): (&Now, Given<'_>),
) -> Result<Parsed, SqlError> {
    check_text(text, limits)?;
    let text = &*plain_words(text);
    let (input, asked, parameters) = match past::read(text, now, given)? {
        Some(reading) if !reading.is_as_written() => {
            (ParserInput::Tokens(reading.words), reading.asked, reading.parameters)
        }
        _ => (ParserInput::Sql(text), Vec::new(), Parameters::new()),
    };
    let parser = match input {
        ParserInput::Tokens(words) => DFParserBuilder::new(words),
        ParserInput::Sql(text) => DFParserBuilder::new(text),
    };
    let mut statements = parser
        .with_dialect(&PostgreSqlDialect {})
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| at_the_end(SqlError::of_planning(&error), text))?;
    let Some(statement) = statements.pop_front() else {
        return Err(SqlError::Syntax { message: "the query is empty".to_owned(), place: None });
    };
    if !statements.is_empty() {
        return Err(SqlError::Refused { what: "more than one statement".to_owned() });
    }
    check_statement(&statement)?;
    check_clauses(text)?;
    if let Some(sql) = innermost(&statement) {
        check_tables(sql, limits)?;
        past::check_versions(sql)?;
        past::check_names(sql, &asked)?;
    }
    Ok(Parsed { statement, asked, parameters })
}

/// Part of the rows was asked for, and the planner would give all of them.
fn check_clauses(text: &str) -> Result<(), SqlError> {
    let Some((clause, at)) = statement_size::sampling(text) else { return Ok(()) };
    Err(SqlError::Plan {
        message: format!("{clause} is not supported, and every row would be counted: leave it out"),
        place: Some(Place { line: at.line, column: at.column }),
    })
}

/// A text that breaks off has its mistake where it ends; the parser gives no place for it.
fn at_the_end(error: SqlError, text: &str) -> SqlError {
    match error {
        SqlError::Syntax { message, place: None } => {
            let last = text.rsplit('\n').next().unwrap_or("");
            let line = u64::try_from(text.matches('\n').count()).unwrap_or(0) + 1;
            let column = u64::try_from(last.chars().count()).unwrap_or(0) + 1;
            SqlError::Syntax { message, place: Some(Place { line, column }) }
        }
        other => other,
    }
}

/// The statement within one that explains it.
pub(super) fn innermost(statement: &Statement) -> Option<&SqlStatement> {
    match statement {
        Statement::Statement(sql) => Some(sql),
        Statement::Explain(explain) => innermost(&explain.statement),
        _ => None,
    }
}

fn check_statement(statement: &Statement) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(sql) => check_sql_statement(sql),
        Statement::Explain(explain) => check_statement(&explain.statement),
        other => Err(SqlError::Refused { what: first_words(&other.to_string()) }),
    }
}

/// Whether a statement is of a kind that only reads. Its plan must be checked too.
///
/// # Errors
/// When it is not listed.
pub(super) fn check_sql_statement(statement: &SqlStatement) -> Result<(), SqlError> {
    match statement {
        SqlStatement::Query(query) => check_body(&query.body),
        SqlStatement::ExplainTable { .. }
        | SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowFunctions { .. } => Ok(()),
        SqlStatement::Explain { statement, .. } => check_sql_statement(statement),
        other => Err(SqlError::Refused { what: first_words(&other.to_string()) }),
    }
}

/// `DELETE …` stands where a query may, as in a cursor or a copy of it.
fn check_body(body: &SetExpr) -> Result<(), SqlError> {
    match body {
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => Ok(()),
        SetExpr::Query(query) => check_body(&query.body),
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        other => Err(SqlError::Refused { what: first_words(&other.to_string()) }),
    }
}

/// Whether a plan only reads, down to its subqueries: `SELECT … INTO` and a changing CTE are
/// queries by their kind and not by their plan.
///
/// # Errors
/// When a node is not listed.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<(), SqlError> {
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|node| {
        refused = (!only_reads(node)).then(|| first_words(&node.display().to_string()));
        let go_on = refused.is_none();
        Ok(if go_on { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    match (walked, refused) {
        (_, Some(what)) => Err(SqlError::Refused { what }),
        (Err(error), None) => Err(SqlError::of_planning(&error)),
        (Ok(_), None) => Ok(()),
    }
}

fn only_reads(node: &LogicalPlan) -> bool {
    matches!(
        node,
        LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::Unnest(_)
    )
}

/// The first two words, which name the kind of a statement and never its data.
fn first_words(text: &str) -> String {
    let words: Vec<&str> =
        text.split([' ', '(', '\n', ':']).filter(|word| !word.is_empty()).take(2).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides, RawConfig};

    fn parse(text: &str) -> Result<Statement, SqlError> {
        let config = Config::check(RawConfig::default(), Overrides::default()).expect("valid");
        let now = Now { ms: 0, zone: tidemark_pipeline::model::Zone::UTC };
        parse_reading(text, &config.sql, (&now, Given::Nothing)).map(|parsed| parsed.statement)
    }

    fn refused(text: &str) -> String {
        match parse(text) {
            Err(SqlError::Refused { what }) => what,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn statements_that_are_not_listed_are_refused_by_their_kind() {
        assert_eq!(refused("CREATE TABLE t (a INT)"), "CREATE TABLE");
        assert_eq!(
            refused("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'"),
            "CREATE EXTERNAL"
        );
        assert_eq!(refused("INSERT INTO t VALUES (1)"), "INSERT INTO");
        assert_eq!(refused("COPY (SELECT 1) TO '/tmp/x.csv'"), "COPY SELECT");
        assert_eq!(
            refused("SET datafusion.execution.batch_size = 1"),
            "SET datafusion.execution.batch_size"
        );
        assert_eq!(refused("DROP TABLE t"), "DROP TABLE");
        assert_eq!(refused("DELETE FROM t"), "DELETE FROM");
        assert_eq!(refused("EXPLAIN INSERT INTO t VALUES (1)"), "INSERT INTO");
        assert_eq!(refused("SELECT 1; SELECT 2"), "more than one statement");
        assert_eq!(refused("PREPARE p AS SELECT 1"), "PREPARE p");
    }

    #[test]
    fn a_sample_that_would_be_of_all_rows_is_refused_with_its_place() {
        for clause in ["TABLESAMPLE (10)", "TABLESAMPLE BERNOULLI (1 PERCENT)", "SAMPLE 0.1"] {
            match parse(&format!("SELECT COUNT(*)\nFROM gmv {clause}")) {
                Err(SqlError::Plan { place, .. }) => {
                    assert_eq!(place, Some(Place { line: 2, column: 10 }), "{clause}");
                }
                other => panic!("{clause}: {other:?}"),
            }
        }
    }

    #[test]
    fn reading_is_allowed() {
        for text in [
            "SELECT 1",
            "WITH a AS (SELECT 1) SELECT * FROM a;",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT 1",
            "SHOW TABLES",
            "SHOW COLUMNS FROM gmv",
            "VALUES (1)",
            "DESCRIBE gmv",
        ] {
            parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}
