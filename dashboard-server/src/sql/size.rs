//! How large a statement may be, counted before anything is built from it.
//!
//! Parser, planner and optimizer walk trees by recursion, and so does dropping them: `1+1+…` with
//! enough terms ends the process, not the query. So the size is counted first, in one pass over
//! the tokens that recurses into nothing, and everything below the bounds fits the stack of the
//! threads that run queries ([`STACK_BYTES`]).

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement, Visit as _, Visitor};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::error::SqlError;
use super::subscribe::is_subscribe;
use crate::config::SqlConfig;

/// Stack of a thread that runs queries. The deepest tree the bounds allow took under a tenth of it
/// in every shape that was tried; only pages that are touched take memory.
pub const STACK_BYTES: usize = 256 * 1_048_576;

/// Words that make an expression, a join, a set operation or a query one level deeper.
const OPERATORS: [Keyword; 19] = [
    Keyword::AND,
    Keyword::AT,
    Keyword::BETWEEN,
    Keyword::COLLATE,
    Keyword::DIV,
    Keyword::EXCEPT,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::INTERSECT,
    Keyword::IS,
    Keyword::JOIN,
    Keyword::LIKE,
    Keyword::NOT,
    Keyword::OR,
    Keyword::SELECT,
    Keyword::SIMILAR,
    Keyword::UNION,
    Keyword::WHEN,
    Keyword::XOR,
];

/// Refuses a text that is larger than it may be, before it is parsed.
///
/// # Errors
/// Which bound it passes, and the key that raises it.
pub(super) fn check_text(text: &str, limits: &SqlConfig) -> Result<(), SqlError> {
    if is_subscribe(text) {
        let message =
            "SUBSCRIBE is answered over WebSockets and HTTP (POST /api/sql/subscribe), not here";
        return Err(SqlError::NotLive { message: message.to_owned(), place: None });
    }
    within("bytes", text.len(), limits.statement_bytes_max, "sql.statement-bytes-max")?;
    // What is no SQL has no size; the parser says what is wrong with it.
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize() else { return Ok(()) };
    let size = Size::of(&tokens);
    within("levels of nesting", size.nesting, limits.nesting_max, "sql.nesting-max")?;
    within(
        "operators and function calls",
        size.operators,
        limits.operators_max,
        "sql.operators-max",
    )
}

/// Refuses a statement that names more tables than it may once every `WITH` is written out: each
/// use of such a name is planned anew, so a chain of them can double with every link.
///
/// # Errors
/// When it does.
pub(super) fn check_tables(statement: &Statement, limits: &SqlConfig) -> Result<(), SqlError> {
    let mut counted = Tables::default();
    let _whole = statement.visit(&mut counted);
    within("tables, each WITH written out", counted.outside, limits.tables_max, "sql.tables-max")
}

fn within(what: &'static str, has: usize, most: usize, key: &'static str) -> Result<(), SqlError> {
    if has > most { Err(SqlError::TooLarge { has, what, most, key }) } else { Ok(()) }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Size {
    nesting: usize,
    operators: usize,
}

impl Size {
    fn of(tokens: &[Token]) -> Self {
        let mut pass = Pass::default();
        let words = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_)));
        words.for_each(|token| pass.take(token));
        Self { nesting: pass.deepest, operators: pass.operators }
    }
}

/// One pass over the tokens. A level is open between parentheses, brackets, `CASE` and `END`; for
/// each it is known whether its commas join tables.
#[derive(Default)]
struct Pass {
    levels: Vec<bool>,
    is_from: bool,
    deepest: usize,
    operators: usize,
    /// Signs and `NOT`s in a row: each is a level of its own.
    prefixes: usize,
    after: After,
}

/// What the token before was, as far as it says what the next one means.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum After {
    /// A name: `(` calls it.
    Name,
    /// A value or a closing parenthesis: a sign after it takes two sides.
    Value,
    #[default]
    Other,
}

impl Pass {
    fn take(&mut self, token: &Token) {
        let before = self.after;
        self.after = After::Other;
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                self.operators += usize::from(before == After::Name);
                self.open();
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                self.close();
                self.after = After::Value;
            }
            Token::Comma => {
                self.operators += usize::from(self.is_from);
                self.prefixes = 0;
            }
            Token::Word(word) => self.word(word.keyword, word.quote_style.is_some()),
            Token::SemiColon | Token::EOF | Token::Colon => {}
            // The dot of a name is no level; more than a few parts are no name.
            Token::Period => {}
            Token::Plus | Token::Minus if before == After::Other => self.prefix(),
            token if is_value(token) => {
                self.prefixes = 0;
                self.after = After::Value;
            }
            // Every other sign is taken for an operator: those of a later parser too.
            _ => self.operators += 1,
        }
    }

    fn word(&mut self, keyword: Keyword, is_quoted: bool) {
        self.after = After::Name;
        if is_quoted {
            self.prefixes = 0;
            return;
        }
        match keyword {
            Keyword::NOT => self.prefix(),
            Keyword::CASE => self.open(),
            Keyword::END => self.close(),
            Keyword::FROM => self.is_from = true,
            Keyword::SELECT
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::WINDOW => self.is_from = false,
            _ => {}
        }
        let is_operator = OPERATORS.contains(&keyword);
        self.operators += usize::from(is_operator);
        if keyword != Keyword::NOT {
            self.prefixes = 0;
        }
        if is_operator || is_clause(keyword) {
            self.after = After::Other;
        }
    }

    fn prefix(&mut self) {
        self.prefixes += 1;
        // The sign of a number in a list is not worth counting.
        self.operators += usize::from(self.prefixes > 1);
        self.deepest = self.deepest.max(self.levels.len() + self.prefixes - 1);
    }

    fn open(&mut self) {
        self.levels.push(std::mem::take(&mut self.is_from));
        // Signs and NOTs before it stay open around it.
        self.deepest = self.deepest.max(self.levels.len() + self.prefixes);
        self.operators += std::mem::take(&mut self.prefixes);
    }

    fn close(&mut self) {
        self.is_from = self.levels.pop().unwrap_or(false);
        self.prefixes = 0;
    }
}

/// Words before a parenthesis that are no function's name, and before a sign that is no sum.
fn is_clause(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::SELECT
            | Keyword::DISTINCT
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::BY
            | Keyword::HAVING
            | Keyword::VALUES
            | Keyword::AS
            | Keyword::ON
            | Keyword::THEN
            | Keyword::ELSE
            | Keyword::CASE
            | Keyword::LIMIT
            | Keyword::OVER
            | Keyword::INTERVAL
            | Keyword::EXPLAIN
            | Keyword::ANALYZE
            | Keyword::WITH
    )
}

fn is_value(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
    )
}

/// Tables a statement reads once every `WITH` is written out.
#[derive(Default)]
struct Tables {
    queries: Vec<Named>,
    outside: usize,
}

/// A query that is being walked, with the queries its `WITH` names and how many tables each reads.
#[derive(Default)]
struct Named {
    to_come: VecDeque<String>,
    known: BTreeMap<String, usize>,
    tables: usize,
}

impl Tables {
    fn reads(&self, name: &ObjectName) -> usize {
        let name = name.to_string().to_lowercase();
        self.queries.iter().rev().find_map(|query| query.known.get(&name)).copied().unwrap_or(1)
    }
}

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let names = query.with.iter().flat_map(|with| &with.cte_tables);
        let names = names.map(|named| named.alias.name.to_string().to_lowercase());
        self.queries.push(Named { to_come: names.collect(), ..Named::default() });
        ControlFlow::Continue(())
    }

    /// The queries of a `WITH` are walked first and in their order.
    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        let tables = self.queries.pop().map_or(0, |query| query.tables);
        match self.queries.last_mut() {
            None => self.outside = self.outside.saturating_add(tables),
            Some(around) => match around.to_come.pop_front() {
                Some(name) => {
                    around.known.insert(name, tables.max(1));
                }
                None => around.tables = around.tables.saturating_add(tables),
            },
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        let reads = self.reads(name);
        match self.queries.last_mut() {
            Some(query) => query.tables = query.tables.saturating_add(reads),
            None => self.outside = self.outside.saturating_add(reads),
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides, RawConfig};

    fn limits() -> SqlConfig {
        Config::check(RawConfig::default(), Overrides::default()).expect("valid").sql
    }

    fn size(text: &str) -> (usize, usize) {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().expect("is SQL");
        let size = Size::of(&tokens);
        (size.nesting, size.operators)
    }

    #[test]
    fn what_makes_a_tree_deeper_is_counted() {
        assert_eq!(size("SELECT 1 + 2 + 3"), (0, 3));
        assert_eq!(size("SELECT a || b || c, a AND b OR c"), (0, 5));
        assert_eq!(size("SELECT ((1))"), (2, 1));
        assert_eq!(size("SELECT sqrt(abs(x))"), (2, 3));
        assert_eq!(
            size("SELECT CASE WHEN a THEN b WHEN c THEN CASE WHEN d THEN e END END"),
            (2, 4)
        );
        assert_eq!(size("SELECT 1 FROM a, b, (SELECT 1, 2 FROM c) WHERE x IN (1, 2, 3)"), (1, 5));
        assert_eq!(size("SELECT 1 UNION ALL SELECT 2"), (0, 3));
        assert!(size("SELECT NOT NOT NOT NOT a").0 >= 3);
        assert!(size("SELECT - - - - 1").0 >= 3);
        assert!(size("SELECT NOT (NOT (NOT (a)))").0 >= 4);
    }

    #[test]
    fn a_long_list_of_values_is_not_deep() {
        let values: Vec<String> = (0..10_000).map(|n| format!("-{n}")).collect();
        let values = values.join(", ");
        assert_eq!(size(&format!("SELECT 1 FROM t WHERE x IN ({values})")), (1, 2));
        let text = format!("SELECT 1 FROM t WHERE x NOT IN ({})", values.replace('-', ""));
        assert!(check_text(&text, &limits()).is_ok());
    }

    #[test]
    fn words_in_text_and_names_are_not_operators() {
        assert_eq!(size("SELECT 'a AND b + (c', \"or\" FROM t -- AND (("), (0, 1));
    }

    #[test]
    fn a_chain_of_with_that_doubles_is_refused() {
        let mut text = "WITH c0 AS (SELECT 1 AS x)".to_owned();
        for n in 1..30 {
            text += &format!(", c{n} AS (SELECT a.x FROM c{0} a, c{0} b)", n - 1);
        }
        text += " SELECT * FROM c29";
        let parse = |text: &str| {
            datafusion::sql::sqlparser::parser::Parser::parse_sql(&PostgreSqlDialect {}, text)
                .expect("is SQL")
                .remove(0)
        };
        assert!(matches!(
            check_tables(&parse(&text), &limits()),
            Err(SqlError::TooLarge { key: "sql.tables-max", .. })
        ));
        let plain =
            "WITH a AS (SELECT * FROM t), b AS (SELECT * FROM a, a x) SELECT * FROM b, b y, u";
        let mut counted = Tables::default();
        let _whole = parse(plain).visit(&mut counted);
        assert_eq!(counted.outside, 5);
    }
}
