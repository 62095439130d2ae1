//! What may be subscribed to: one view as it is, some of its rows, and what can be said of each row by itself.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Query, Select, SetExpr, Statement as SqlStatement, TableFactor,
    visit_expressions,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::config::SqlConfig;
use crate::sql::allow::{self, Parsed};
use crate::sql::error::{Place, SqlError};
use crate::sql::past::{Given, Now};

/// What to do where a query cannot be kept up to date.
const INSTEAD: &str = "ask again with POST /api/sql, or make it a view (CREATE MATERIALIZED VIEW)";

/// Whether a text is a `SUBSCRIBE` statement.
#[must_use]
pub fn is_subscribe(text: &str) -> bool {
    first_word(text).is_some_and(|(word, _)| word.eq_ignore_ascii_case("SUBSCRIBE"))
}

/// The query that is subscribed to.
pub(super) struct Subscribable {
    /// As it can be planned.
    pub(super) statement: Statement,
}

/// Reads `SUBSCRIBE TO (SELECT …)`, `SUBSCRIBE view`, or the query alone.
///
/// # Errors
/// When it is no SQL, or a query that cannot be kept up to date, with its place and what to do instead.
pub(super) fn read(text: &str, limits: &SqlConfig, now: &Now) -> Result<Subscribable, SqlError> {
    let (query, is_as_written) = query_in(text);
    let parsed = allow::parse_reading(&query, limits, (now, Given::Nothing));
    let Parsed { statement, asked, .. } = parsed.map_err(|error| match error {
        // Of a name alone nobody needs to be told the place.
        SqlError::Syntax { message, .. } if !is_as_written => {
            SqlError::Syntax { message, place: None }
        }
        error => error,
    })?;
    if let Some(asked) = asked.first() {
        return Err(not_live("what was does not change any more", INSTEAD, Some(asked.place)));
    }
    let Statement::Statement(sql) = &statement else {
        return Err(not_live("EXPLAIN is no query that has rows", INSTEAD, None));
    };
    match sql.as_ref() {
        SqlStatement::Query(parsed) => check_query(parsed, &query)?,
        _ => return Err(not_live("this is no SELECT", INSTEAD, None)),
    }
    Ok(Subscribable { statement })
}

/// The query of a statement, each letter where it stood; the other tells whether it stands in the text.
fn query_in(text: &str) -> (String, bool) {
    let Some((_, after)) = first_word(text).filter(|_| is_subscribe(text)) else {
        return (text.to_owned(), true);
    };
    let rest = text.get(after..).unwrap_or("");
    let after = match first_word(rest) {
        Some((word, end)) if word.eq_ignore_ascii_case("TO") => after + end,
        _ => after,
    };
    let rest = text.get(after..).unwrap_or("").trim().trim_end_matches(';').trim_end();
    let Some(inner) = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
        let is_query = first_word(rest).is_some_and(|(word, _)| {
            word.eq_ignore_ascii_case("SELECT") || word.eq_ignore_ascii_case("WITH")
        });
        return match is_query {
            true => (blank(text, after), true),
            false => (format!("SELECT * FROM {rest}"), false),
        };
    };
    let begins = text.len() - text.get(after..).unwrap_or("").trim_start().len() + 1;
    let ends = begins + inner.len();
    (text.get(..ends).map(|text| blank(text, begins)).unwrap_or_default(), true)
}

/// The text with blanks in place of its beginning, so that what is behind stands where it stood.
fn blank(text: &str, until: usize) -> String {
    let (before, rest) = text.split_at(until.min(text.len()));
    let blanks = before.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' });
    blanks.chain(rest.chars()).collect()
}

/// The first word and where it ends.
fn first_word(text: &str) -> Option<(&str, usize)> {
    let begins = text.len() - text.trim_start().len();
    let rest = text.get(begins..)?;
    let length = rest.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest.len());
    let word = rest.get(..length).filter(|word| !word.is_empty())?;
    Some((word, begins + length))
}

fn check_query(query: &Query, text: &str) -> Result<(), SqlError> {
    let refuse = |what: &str, instead: &str, keyword: Keyword| {
        Err(not_live(what, instead, place_of(text, keyword)))
    };
    if query.with.is_some() {
        return refuse("WITH names other queries", "write FROM view", Keyword::WITH);
    }
    if query.order_by.is_some() {
        let instead = "sort them where they are shown, or ask again with POST /api/sql";
        return refuse("ORDER BY: rows come when they change", instead, Keyword::ORDER);
    }
    if query.limit_clause.is_some() {
        let keyword = [Keyword::LIMIT, Keyword::OFFSET].into_iter();
        let keyword = keyword.min_by_key(|keyword| place_of(text, *keyword).is_none());
        return refuse(
            "LIMIT: which rows are first changes with every row",
            INSTEAD,
            keyword.unwrap_or(Keyword::LIMIT),
        );
    }
    if query.fetch.is_some() {
        return refuse("FETCH: which rows are first changes", INSTEAD, Keyword::FETCH);
    }
    match query.body.as_ref() {
        SetExpr::Select(select) => check_select(select, text),
        SetExpr::SetOperation { op, .. } => {
            let keyword = match op.to_string().as_str() {
                "UNION" => Keyword::UNION,
                "EXCEPT" => Keyword::EXCEPT,
                _ => Keyword::INTERSECT,
            };
            refuse(&format!("{op} is of several queries"), "subscribe to each of them", keyword)
        }
        _ => Err(not_live("there is no SELECT from a view", INSTEAD, None)),
    }
}

fn check_select(select: &Select, text: &str) -> Result<(), SqlError> {
    let refuse =
        |what: &str, keyword: Keyword| Err(not_live(what, INSTEAD, place_of(text, keyword)));
    if select.distinct.is_some() {
        return refuse("DISTINCT is about several rows", Keyword::DISTINCT);
    }
    let is_grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, modifiers) => {
            !expressions.is_empty() || !modifiers.is_empty()
        }
    };
    if is_grouped {
        return refuse("GROUP BY is about several rows", Keyword::GROUP);
    }
    if select.having.is_some() {
        return refuse("HAVING is about several rows", Keyword::HAVING);
    }
    if select.qualify.is_some() {
        return refuse("QUALIFY is about several rows", Keyword::QUALIFY);
    }
    if let ControlFlow::Break(place) = over(select) {
        return Err(not_live("OVER is about several rows", INSTEAD, place));
    }
    let from = place_of(text, Keyword::FROM);
    let [table] = select.from.as_slice() else {
        let what = if select.from.is_empty() { "there is no FROM" } else { "several tables" };
        return Err(not_live(what, "name one view", from));
    };
    if !table.joins.is_empty() {
        return refuse("a JOIN is about rows of several tables", Keyword::JOIN);
    }
    match &table.relation {
        TableFactor::Table { args: None, version: None, sample: None, .. } => Ok(()),
        _ => Err(not_live("what is behind FROM is no view", "name one view", from)),
    }
}

/// The first call with OVER, and its place where that is known.
fn over(select: &Select) -> ControlFlow<Option<Place>> {
    visit_expressions(select, |expr| match expr {
        Expr::Function(call) if call.over.is_some() => {
            let ident = call.name.0.first().and_then(|part| part.as_ident());
            let start = ident.map(|ident| ident.span.start).filter(|start| start.line > 0);
            ControlFlow::Break(start.map(|at| Place { line: at.line, column: at.column }))
        }
        _ => ControlFlow::Continue(()),
    })
}

/// Where a word of SQL first stands.
fn place_of(text: &str, keyword: Keyword) -> Option<Place> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().ok()?;
    let found = tokens.into_iter().find(|token| match &token.token {
        Token::Word(word) => word.keyword == keyword && word.quote_style.is_none(),
        _ => false,
    })?;
    Some(Place { line: found.span.start.line, column: found.span.start.column })
}

/// Why a query cannot be kept up to date, and what to do instead.
pub(super) fn not_live(what: &str, instead: &str, place: Option<Place>) -> SqlError {
    let message =
        format!("{what}, and a subscription is to rows of one view one by one: {instead}");
    SqlError::NotLive { message, place }
}

#[cfg(test)]
mod tests {
    use tidemark_pipeline::model::Zone;

    use super::*;
    use crate::config::{Config, Overrides, RawConfig};

    fn refused(text: &str) -> (String, Option<(u64, u64)>) {
        let config = Config::check(RawConfig::default(), Overrides::default()).expect("valid");
        let now = Now { ms: 0, zone: Zone::UTC };
        match read(text, &config.sql, &now) {
            Err(SqlError::NotLive { message, place }) => {
                (message, place.map(|place| (place.line, place.column)))
            }
            Err(error) => panic!("{text}: {error:?}"),
            Ok(_) => panic!("{text}: is taken"),
        }
    }

    #[test]
    fn what_is_about_several_rows_is_refused_with_its_place_and_what_to_do_instead() {
        for (text, at, part) in [
            ("SELECT a FROM v ORDER BY a", (1, 17), "ORDER BY"),
            ("SELECT a FROM v\nLIMIT 3", (2, 1), "LIMIT"),
            ("SELECT a FROM v OFFSET 3", (1, 17), "LIMIT"),
            ("SELECT a, count(*) FROM v GROUP BY a", (1, 27), "GROUP BY"),
            ("SELECT DISTINCT a FROM v", (1, 8), "DISTINCT"),
            ("SELECT a FROM v JOIN w ON v.a = w.a", (1, 17), "JOIN"),
            ("SELECT a FROM v, w", (1, 10), "several tables"),
            ("SELECT a FROM v UNION ALL SELECT a FROM w", (1, 17), "UNION"),
            ("WITH x AS (SELECT 1) SELECT * FROM x", (1, 1), "WITH"),
            ("SELECT rank() OVER (ORDER BY a) FROM v", (1, 8), "OVER"),
            ("SELECT * FROM (SELECT * FROM v) AS x", (1, 10), "is no view"),
            ("SELECT * FROM v FOR SYSTEM_TIME AS OF now()", (1, 15), "what was does not change"),
            ("SUBSCRIBE TO (SELECT a\nFROM v ORDER BY a)", (2, 8), "ORDER BY"),
        ] {
            let (message, place) = refused(text);
            assert_eq!(place, Some(at), "{text}: {message}");
            assert!(message.starts_with(part) || message.contains(part), "{text}: {message}");
            assert!(message.contains(": "), "says what to do: {message}");
        }
    }

    #[test]
    fn a_statement_is_its_query_with_every_letter_where_it_stood() {
        for (text, query) in [
            ("SELECT * FROM v", "SELECT * FROM v"),
            ("SUBSCRIBE TO (SELECT a FROM v);", "              SELECT a FROM v"),
            ("subscribe\n(SELECT (a) FROM v)", "         \n SELECT (a) FROM v"),
            ("SUBSCRIBE SELECT a FROM v", "          SELECT a FROM v"),
            ("SUBSCRIBE v;", "SELECT * FROM v"),
            ("SUBSCRIBE TO shadow.v", "SELECT * FROM shadow.v"),
        ] {
            assert_eq!(query_in(text).0, query, "{text}");
        }
        assert!(is_subscribe(" Subscribe to v") && !is_subscribe("SELECT subscribe FROM v"));
    }
}
