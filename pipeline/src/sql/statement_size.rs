//! What a statement may not be, told from its words before anything is built from them.
//!
//! Parser and planner walk trees by recursion: an expression with enough operators would end the process, a
//! running server's too, when it is read again. And some clauses are read by the parser and obeyed by nobody.

use std::path::Path;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::error::{Place, SqlError};

/// Operators of one statement: no business view has a tenth, and the tree they make fits every stack.
const OPERATORS_MAX: usize = 400;
/// Parentheses, brackets and CASEs in one another.
const NESTING_MAX: usize = 60;

/// Refuses a statement that is too large, or has a clause that would be ignored; `code` has no white space.
///
/// # Errors
/// What stands in the way, with its place.
pub(super) fn check(file: &Path, code: &[TokenWithSpan]) -> Result<(), SqlError> {
    let (mut operators, mut nesting) = (0, 0_usize);
    for (at, token) in code.iter().enumerate() {
        match &token.token {
            Token::LParen | Token::LBracket => nesting += 1,
            Token::RParen | Token::RBracket => nesting = nesting.saturating_sub(1),
            other => operators += usize::from(is_operator(other)),
        }
        if operators > OPERATORS_MAX || nesting > NESTING_MAX {
            let message = format!(
                "more than {OPERATORS_MAX} operators, or {NESTING_MAX} parentheses in one another: use IN (…), a \
                 reference table, or views over views"
            );
            return Err(SqlError::at(file, place_of(token), message));
        }
        if let Some(clause) = ignored(code.get(at..).unwrap_or(&[])) {
            let message = format!("{clause} would be ignored here; leave it out");
            return Err(SqlError::at(file, place_of(token), message));
        }
    }
    Ok(())
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod
        | Token::StringConcat
        | Token::Eq
        | Token::Neq
        | Token::Lt
        | Token::LtEq
        | Token::Gt
        | Token::GtEq => true,
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
        ),
        _ => false,
    }
}

/// The clause that begins here, if it is one that nobody would obey.
fn ignored(rest: &[TokenWithSpan]) -> Option<&'static str> {
    let keyword = |at: usize| match rest.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    };
    match (keyword(0)?, keyword(1)) {
        (Keyword::TABLESAMPLE, _) => Some("TABLESAMPLE"),
        (Keyword::SAMPLE, None) if is_number(rest.get(1)) => Some("SAMPLE"),
        (Keyword::CONNECT, Some(Keyword::BY)) => Some("CONNECT BY"),
        (Keyword::WITH, Some(Keyword::ORDINALITY)) => Some("WITH ORDINALITY"),
        // Options of ours are texts.
        (Keyword::WITH, None) if is_hint(rest) => Some("a hint WITH (…)"),
        (Keyword::FOR, Some(Keyword::UPDATE | Keyword::SHARE)) => Some("FOR UPDATE or FOR SHARE"),
        (Keyword::WITH, Some(Keyword::ROLLUP | Keyword::CUBE | Keyword::TOTALS)) => {
            Some("WITH ROLLUP, CUBE or TOTALS (write GROUP BY ROLLUP (…))")
        }
        (Keyword::SETTINGS, Some(_))
            if matches!(rest.get(2).map(|token| &token.token), Some(Token::Eq)) =>
        {
            Some("SETTINGS")
        }
        _ => None,
    }
}

fn is_number(token: Option<&TokenWithSpan>) -> bool {
    matches!(token.map(|token| &token.token), Some(Token::Number(..)))
}

fn is_hint(rest: &[TokenWithSpan]) -> bool {
    let token = |at: usize| rest.get(at).map(|token| &token.token);
    matches!((token(1), token(2)), (Some(Token::LParen), Some(Token::Word(word))) if word.quote_style.is_none())
}

/// A clause of an ad-hoc query that would pass for part of the rows and give all of them, with its place.
#[must_use]
pub fn sampling(sql: &str) -> Option<(&'static str, Place)> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().ok()?;
    let is_code = |token: &TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let code: Vec<TokenWithSpan> = tokens.into_iter().filter(is_code).collect();
    let sampled = ["TABLESAMPLE", "SAMPLE", "CONNECT BY"];
    (0..code.len()).find_map(|at| {
        let rest = code.get(at..)?;
        let clause = ignored(rest).filter(|clause| sampled.contains(clause))?;
        Some((clause, place_of(rest.first()?)))
    })
}

fn place_of(token: &TokenWithSpan) -> Place {
    Place { line: token.span.start.line, column: token.span.start.column }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::script::parse;

    #[test]
    fn clauses_that_nobody_would_obey_are_refused_and_names_alike_are_not() {
        for clause in [
            "SAMPLE 0.1",
            "TABLESAMPLE (10)",
            "CONNECT BY a = b",
            "WITH ORDINALITY",
            "WITH (NOLOCK)",
        ] {
            let text = format!("SELECT a FROM o {clause}");
            let refused = parse(Path::new("v.sql"), &text).expect_err(clause).to_string();
            assert!(
                refused.starts_with("v.sql:1:17: ") && refused.contains("ignored"),
                "{refused}"
            );
        }
        let (clause, place) = sampling("SELECT a\nFROM o TABLESAMPLE (10)").expect("found");
        assert_eq!((clause, place.line, place.column), ("TABLESAMPLE", 2, 8));
        assert!(sampling("SELECT sample, connect FROM o FOR UPDATE").is_none());
        assert!(parse(Path::new("v.sql"), "SELECT sample FROM o").is_ok());
    }

    #[test]
    fn a_statement_that_would_end_the_process_is_refused_with_its_place() {
        let long = format!("SELECT {} FROM o", vec!["1"; 20_000].join("+"));
        let deep = format!("SELECT {}1{} FROM o", "(".repeat(20_000), ")".repeat(20_000));
        for text in [long, deep] {
            let refused = parse(Path::new("views/v.sql"), &text).expect_err("refused").to_string();
            assert!(refused.starts_with("views/v.sql:1:"), "{refused}");
            assert!(refused.contains("more than 400 operators"), "{refused}");
        }
        let usual = format!("SELECT {} FROM o", vec!["1"; 300].join("+"));
        assert!(parse(Path::new("views/v.sql"), &usual).is_ok());
    }
}
