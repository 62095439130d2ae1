//! The clauses in the words of a text, and the text with other names in their place.

use std::ops::Range;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::{Keyword, RESERVED_FOR_TABLE_ALIAS};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};
use tidemark_pipeline::history::Wanted;

use super::given::{Given, Parameters, Says, version_of};
use super::moment::{AsOf, Now};
use super::rewrite::rewritten;
use crate::sql::error::{Place, SqlError};

/// Tables of the past in one text: each is looked up, and read into memory where it is a view.
const TABLES_MAX: usize = 16;

/// A table that is wanted as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sql) struct Asked {
    /// Its name, with schema and catalogue before it where they are written.
    pub(super) table: Vec<String>,
    /// As it was when.
    pub(super) wanted: Wanted,
    /// The name that stands for it in the words that are planned.
    pub(super) relation: String,
    /// Where it is written.
    pub(in crate::sql) place: Place,
}

/// A text whose words are read.
#[derive(Debug, Clone)]
pub(in crate::sql) struct Reading {
    /// The text with other names for tables of the past.
    pub(in crate::sql) text: String,
    /// Its words, each at the place where it was written; white space is left out.
    pub(in crate::sql) words: Vec<TokenWithSpan>,
    /// The tables of the past.
    pub(in crate::sql) asked: Vec<Asked>,
    /// The parameters of its clauses.
    pub(in crate::sql) parameters: Parameters,
}

impl Reading {
    /// Whether it says the same without its clauses as the text did.
    pub(in crate::sql) fn is_as_written(&self) -> bool {
        self.asked.is_empty() && self.parameters.is_empty()
    }
}

/// Reads a text; `None` where it is no SQL, which the parser tells better.
///
/// # Errors
/// When a clause is not as it must be, with its place.
pub(in crate::sql) fn read(
    text: &str,
    now: &Now,
    given: Given<'_>,
) -> Result<Option<Reading>, SqlError> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location() else {
        return Ok(None);
    };
    let is_code = |token: &TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let words: Vec<TokenWithSpan> = tokens.into_iter().filter(is_code).collect();
    let mut clauses = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match begins(words.get(at..).unwrap_or_default()) {
            Some(begun) => {
                let clause = Clause::read(&words, at, begun, (now, given))?;
                at = clause.words.end;
                clauses.push(clause);
                if let Some(Clause { asked, .. }) = clauses.get(TABLES_MAX) {
                    return Err(SqlError::Plan {
                        message: format!("more than {TABLES_MAX} tables AS OF: ask in parts"),
                        place: Some(asked.place),
                    });
                }
            }
            None => at += 1,
        }
    }
    if clauses.is_empty() {
        let (text, asked, parameters) = (text.to_owned(), Vec::new(), Parameters::new());
        return Ok(Some(Reading { text, words, asked, parameters }));
    }
    Ok(Some(rewritten(text, &words, clauses)))
}

/// How a clause begins: how many words, and whether a version follows.
#[derive(Debug, Clone, Copy)]
struct Begun {
    words: usize,
    is_version: bool,
}

/// Whether a clause begins here.
fn begins(rest: &[TokenWithSpan]) -> Option<Begun> {
    let word = |at: usize| match rest.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_uppercase(),
        _ => String::new(),
    };
    let is_as_of = |at: usize| word(at) == "AS" && word(at + 1) == "OF";
    let next = |at: usize| rest.get(at).map(|token| &token.token);
    match (word(0).as_str(), word(1).as_str()) {
        // Whatever follows: there is nothing else that these words could begin.
        ("FOR", "SYSTEM_TIME" | "TIMESTAMP") => Some(Begun { words: 4, is_version: false }),
        ("FOR", "VERSION" | "SYSTEM_VERSION") => Some(Begun { words: 4, is_version: true }),
        // A column may be called so; then no value follows.
        ("TIMESTAMP", "AS") if is_as_of(1) && is_stamp(next(3)) => {
            Some(Begun { words: 3, is_version: false })
        }
        ("VERSION", "AS")
            if is_as_of(1)
                && matches!(next(3), Some(Token::Number(..) | Token::Placeholder(_))) =>
        {
            Some(Begun { words: 3, is_version: true })
        }
        _ => None,
    }
}

fn is_stamp(token: Option<&Token>) -> bool {
    match token {
        Some(Token::SingleQuotedString(_) | Token::Placeholder(_)) => true,
        Some(Token::Word(word)) => word.keyword == Keyword::TIMESTAMP && word.quote_style.is_none(),
        _ => false,
    }
}

/// A clause with the table before it, as words from … to.
pub(super) struct Clause {
    /// What is asked for.
    pub(super) asked: Asked,
    /// The last part of the table's name.
    pub(super) name: usize,
    /// Whether an alias stands before the clause or behind it.
    pub(super) has_alias: bool,
    /// The words of the clause itself.
    pub(super) words: Range<usize>,
    /// Its parameters.
    pub(super) parameters: Parameters,
    /// Whether the value of one comes later, so that the table of now stands for it.
    pub(super) is_open: bool,
}

impl Clause {
    fn read(
        words: &[TokenWithSpan],
        at: usize,
        begun: Begun,
        (now, given): (&Now, Given<'_>),
    ) -> Result<Self, SqlError> {
        let refused = |at: usize, message: String| {
            let place = words.get(at).map(place_of);
            SqlError::Plan { message, place }
        };
        let has_as_of = is_word(words.get(at + begun.words - 2), "AS")
            && is_word(words.get(at + begun.words - 1), "OF");
        if !has_as_of {
            return Err(refused(
                at,
                "a table can be had AS OF one time or version, and not between two or at all times; of views, \
                 view_history has what changed when"
                    .to_owned(),
            ));
        }
        let (table, has_alias_before) = table_before(words, at).ok_or_else(|| {
            refused(
                at,
                "AS OF stands behind the name of a table; put it behind each table within a subquery".to_owned(),
            )
        })?;
        let value = at + begun.words;
        let mut parameters = Parameters::new();
        let (wanted, count) = match begun.is_version {
            true => version(words.get(value), given, &mut parameters)
                .map(|version| (Wanted::Version(version), 1)),
            false => time(words.get(value..).unwrap_or_default(), (now, given), &mut parameters),
        }
        .map_err(|message| refused(value.min(words.len().saturating_sub(1)), message))?;
        let names: Vec<String> =
            table.clone().step_by(2).filter_map(|at| name_of(words.get(at)?)).collect();
        let name = table.end - 1;
        let place = words.get(name).map_or(Place { line: 1, column: 1 }, place_of);
        let end = value + count;
        let relation = relation(names.last().map_or("", String::as_str), wanted);
        Ok(Self {
            asked: Asked { table: names, wanted, relation, place },
            name,
            has_alias: has_alias_before || is_copied(words, &table) || is_alias(words.get(end)),
            words: at..end,
            is_open: matches!(given, Given::Later) && !parameters.is_empty(),
            parameters,
        })
    }
}

/// The name for a table as it was; no table of ours has such a name.
fn relation(table: &str, wanted: Wanted) -> String {
    match wanted {
        Wanted::Version(version) => format!("{table} version {version}"),
        Wanted::Time(ms) => format!("{table} as of {ms}"),
    }
}

fn place_of(token: &TokenWithSpan) -> Place {
    Place { line: token.span.start.line, column: token.span.start.column }
}

fn is_word(token: Option<&TokenWithSpan>, wanted: &str) -> bool {
    matches!(token.map(|token| &token.token), Some(Token::Word(word))
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

/// A name as it is looked up.
fn name_of(token: &TokenWithSpan) -> Option<String> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_some() => Some(word.value.clone()),
        Token::Word(word) => Some(word.value.to_lowercase()),
        _ => None,
    }
}

/// Whether a word can be a name there: the engine's own words before a table cannot.
fn is_name(token: Option<&TokenWithSpan>) -> bool {
    match token.map(|token| &token.token) {
        Some(Token::Word(word)) => word.quote_style.is_some() || !before_a_table(word),
        _ => false,
    }
}

fn before_a_table(word: &Word) -> bool {
    RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword)
        || matches!(
            word.keyword,
            Keyword::FROM
                | Keyword::JOIN
                | Keyword::AS
                | Keyword::ONLY
                | Keyword::TABLE
                | Keyword::LATERAL
        )
}

/// The words of the table's name before a clause, and whether an alias stands between.
fn table_before(words: &[TokenWithSpan], at: usize) -> Option<(Range<usize>, bool)> {
    let last = chain_before(words, at)?;
    let before = last.start.checked_sub(1).and_then(|before| words.get(before));
    let is_alias =
        last.len() == 1 && (is_word(before, "AS") || is_name(before)) && !is_copied(words, &last);
    if !is_alias {
        return Some((last, false));
    }
    let end = if is_word(before, "AS") { last.start - 1 } else { last.start };
    Some((chain_before(words, end)?, true))
}

/// Whether a table is the one of `COPY orders … TO STDOUT`, where no other name can be given to it.
fn is_copied(words: &[TokenWithSpan], table: &Range<usize>) -> bool {
    let Some(at) = table.start.checked_sub(1) else { return false };
    let is_first = at.checked_sub(1).and_then(|before| words.get(before));
    is_word(words.get(at), "COPY") && is_first.is_none_or(|before| before.token == Token::SemiColon)
}

/// The name that ends before a word: `a`, `a.b` or `a.b.c`.
fn chain_before(words: &[TokenWithSpan], end: usize) -> Option<Range<usize>> {
    let mut start = end.checked_sub(1).filter(|at| is_name(words.get(*at)))?;
    while start >= 2
        && matches!(words.get(start - 1).map(|token| &token.token), Some(Token::Period))
        && is_name(words.get(start - 2))
    {
        start -= 2;
    }
    Some(start..end)
}

fn is_alias(token: Option<&TokenWithSpan>) -> bool {
    match token.map(|token| &token.token) {
        Some(Token::Word(word)) => {
            word.quote_style.is_some()
                || word.keyword == Keyword::AS
                || !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword)
        }
        _ => false,
    }
}

fn version(
    token: Option<&TokenWithSpan>,
    given: Given<'_>,
    parameters: &mut Parameters,
) -> Result<u64, String> {
    let number = match token.map(|token| &token.token) {
        Some(Token::Number(digits, _)) => digits.parse().ok(),
        Some(Token::Placeholder(name)) => {
            let (nth, value) = given.value(name)?;
            parameters.insert(nth, Says::Version);
            return value.map_or(Ok(0), |value| version_of(name, value));
        }
        _ => None,
    };
    number.ok_or_else(|| "a version is a whole number, as in FOR VERSION AS OF 12".to_owned())
}

/// The instant that is written here, and how many words it has.
fn time(
    rest: &[TokenWithSpan],
    (now, given): (&Now, Given<'_>),
    parameters: &mut Parameters,
) -> Result<(Wanted, usize), String> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(rest.to_vec());
    let written = parser.parse_expr().map_err(|error| {
        let told = error.to_string();
        let told = told.trim_start_matches("sql parser error: ");
        format!("AS OF is followed by a time: {}", told.split(" at Line").next().unwrap_or(told))
    })?;
    let mut as_of = AsOf { now, given, parameters };
    Ok((Wanted::Time(as_of.instant(&written)?), parser.index()))
}

/// Words with spaces between, for tests.
#[cfg(test)]
fn told(words: &[TokenWithSpan]) -> String {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::scalar::ScalarValue;
    use tidemark_pipeline::model::Zone;

    fn reading(text: &str) -> Result<Reading, SqlError> {
        let now = Now { ms: 1_605_060_000_000, zone: Zone::UTC };
        Ok(read(text, &now, Given::Nothing)?.expect("is SQL"))
    }

    #[test]
    fn a_parameter_is_the_value_that_is_given_and_stands_open_until_then() {
        let now = Now { ms: 1_605_060_000_000, zone: Zone::UTC };
        let text = "SELECT 1 FROM a FOR VERSION AS OF $2 JOIN b FOR SYSTEM_TIME AS OF $1 - INTERVAL '1 second' ON a.x = $3";
        let told =
            |given: Given<'_>| read(text, &now, given).map(|reading| reading.expect("is SQL"));
        let values = [ScalarValue::from("1970-01-01 00:00:03"), ScalarValue::from(7_i64)];
        let reading = told(Given::Values(&values)).expect("reads");
        assert_eq!(
            reading.text,
            "SELECT 1 FROM \"a version 7\" AS a   JOIN \"b as of 2000\" AS b   ON a.x = $3"
        );
        let parameters = Parameters::from([(1, Says::Time), (2, Says::Version)]);
        assert_eq!(reading.parameters, parameters);
        let open = told(Given::Later).expect("reads");
        assert_eq!(open.text, "SELECT 1 FROM a   JOIN b   ON a.x = $3");
        assert!(open.asked.is_empty() && !open.is_as_written());
        assert_eq!(open.parameters, parameters);
        let with = |version: ScalarValue| {
            let values = [ScalarValue::from("1970-01-01"), version];
            told(Given::Values(&values)).map(|reading| reading.asked[0].wanted)
        };
        assert_eq!(with(ScalarValue::from("12")).expect("reads"), Wanted::Version(12));
        for (value, part) in [
            (ScalarValue::from(-1_i64), "no version"),
            (ScalarValue::from("1.5"), "no version"),
            (ScalarValue::from(true), "no version"),
            (ScalarValue::Null, "is NULL"),
        ] {
            let refused = with(value.clone()).expect_err("is refused").to_string();
            assert!(refused.contains(part), "{value}: {refused}");
        }
        let refused = told(Given::Values(&values[..1])).expect_err("is refused").to_string();
        assert!(refused.contains("$2 has no value"), "{refused}");
    }

    #[test]
    fn the_words_of_a_clause_go_and_another_name_stands_for_the_table() {
        for (text, becomes) in [
            (
                "SELECT orders.id FROM orders FOR VERSION AS OF 12 WHERE 1 = 1",
                "SELECT orders.id FROM \"orders version 12\" AS orders   WHERE 1 = 1",
            ),
            (
                "SELECT 1 FROM public.Orders FOR SYSTEM_VERSION AS OF 3 AS o",
                "SELECT 1 FROM public.\"orders version 3\"   AS o",
            ),
            (
                "SELECT 1 FROM orders o FOR SYSTEM_TIME AS OF '1970-01-01 00:00:01' JOIN b VERSION AS OF 2 c ON true",
                "SELECT 1 FROM \"orders as of 1000\" o   JOIN \"b version 2\"   c ON true",
            ),
            (
                "SELECT 1 FROM 订单 AS o FOR TIMESTAMP AS OF TIMESTAMP '1970-01-01 00:00:02' -- 评\n, \"B\" TIMESTAMP AS OF '1970-01-01'",
                "SELECT 1 FROM \"订单 as of 2000\" AS o   -- 评\n, \"B as of 0\" AS \"B\"  ",
            ),
            (
                "SELECT (SELECT 1 FROM a FOR VERSION AS OF 0), x FROM (SELECT 2 FROM a FOR VERSION AS OF 1) y",
                "SELECT (SELECT 1 FROM \"a version 0\" AS a  ), x FROM (SELECT 2 FROM \"a version 1\" AS a  ) y",
            ),
            (
                "SELECT timestamp AS of, version AS of FROM a",
                "SELECT timestamp AS of, version AS of FROM a",
            ),
            (
                "SELECT 'FOR VERSION AS OF 1' FROM a FOR UPDATE",
                "SELECT 'FOR VERSION AS OF 1' FROM a FOR UPDATE",
            ),
            ("COPY orders FOR VERSION AS OF 2 TO STDOUT", "COPY \"orders version 2\"   TO STDOUT"),
        ] {
            let reading = reading(text).expect(text);
            assert_eq!(reading.text, becomes);
            // The words that are planned are those of the text, each at its old place.
            let again = Tokenizer::new(&PostgreSqlDialect {}, becomes).tokenize().expect("words");
            let again: Vec<String> = again
                .iter()
                .filter(|token| !matches!(token, Token::Whitespace(_)))
                .map(ToString::to_string)
                .collect();
            assert_eq!(super::told(&reading.words), again.join(" "));
        }
        let reading = reading("SELECT 1\n FROM a.b.orders FOR VERSION AS OF 7").expect("reads");
        let asked = &reading.asked[0];
        assert_eq!(asked.table, ["a", "b", "orders"]);
        assert_eq!(
            (asked.wanted, asked.place.line, asked.place.column),
            (Wanted::Version(7), 2, 11)
        );
    }

    #[test]
    fn what_is_not_as_it_must_be_is_refused_at_its_place() {
        let many = vec!["a VERSION AS OF 1"; 17].join(", ");
        assert!(reading(&format!("SELECT 1 FROM {many}")).is_err());
        assert!(reading(&format!("SELECT 1 FROM {}", &many[..many.len() - 19])).is_ok());
        for (text, column, part) in [
            ("SELECT 1 FROM (SELECT 1) FOR VERSION AS OF 1", 26, "behind the name"),
            ("SELECT 1 FROM a FOR VERSION AS OF $1", 35, "takes no parameter here"),
            ("SELECT 1 FROM a FOR VERSION AS OF 1.5", 35, "whole number"),
            ("SELECT 1 FROM a FOR SYSTEM_TIME AS OF", 36, "followed by a time"),
            ("SELECT 1 FROM a FOR SYSTEM_TIME AS OF x", 39, "no instant"),
            ("SELECT 1 FROM a FOR SYSTEM_TIME BETWEEN '1' AND '2'", 17, "not between two"),
            ("SELECT 1 FROM a FOR SYSTEM_TIME ALL", 17, "at all times"),
            ("SELECT 1 FROM f(1) FOR VERSION AS OF 1", 20, "behind the name"),
        ] {
            match reading(text) {
                Err(SqlError::Plan { message, place: Some(place) }) => {
                    assert_eq!((place.line, place.column), (1, column), "{text}: {message}");
                    assert!(message.contains(part), "{text}: {message}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
