//! What the parser does not know, in words that it does, before it sees them.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// The text with `TABLE t` as `SELECT * FROM t`, and `TRIM(BOTH FROM x)` with the blank that it trims.
pub(in crate::sql) fn plain_words(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    // Nearly no text has any of it, and one of a megabyte need not be read twice.
    let begins = lower.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '(');
    if !begins.starts_with("table") && !lower.contains("trim") && !begins.starts_with(['-', '/']) {
        return Cow::Borrowed(text);
    }
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location() else {
        return Cow::Borrowed(text);
    };
    let is_code = |token: &TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let words: Vec<TokenWithSpan> = tokens.into_iter().filter(is_code).collect();
    let mut told = String::with_capacity(text.len() + 32);
    let mut done = 0;
    for at in 0..words.len() {
        let rest = words.get(at..).unwrap_or_default();
        // What is put where, and where the text goes on.
        let (at, with, until) = match rest {
            [table, ..] if at == 0 && is(rest, 0, "TABLE") && is_name(rest, 1) => {
                (table.span.start, "SELECT * FROM", table.span.end)
            }
            [_, _, _, from, ..] if is_blank_trim(rest) => {
                (from.span.start, "' ' ", from.span.start)
            }
            _ => continue,
        };
        told.push_str(text.get(done..byte(text, at)).unwrap_or_default());
        told.push_str(with);
        done = byte(text, until);
    }
    if told.is_empty() {
        return Cow::Borrowed(text);
    }
    told.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(told)
}

/// `TRIM ( BOTH FROM`, and its like with one side.
fn is_blank_trim(rest: &[TokenWithSpan]) -> bool {
    is(rest, 0, "TRIM")
        && rest.get(1).is_some_and(|token| token.token == Token::LParen)
        && ["BOTH", "LEADING", "TRAILING"].iter().any(|side| is(rest, 2, side))
        && is(rest, 3, "FROM")
}

fn is(rest: &[TokenWithSpan], at: usize, word: &str) -> bool {
    matches!(rest.get(at).map(|token| &token.token),
        Some(Token::Word(found)) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

fn is_name(rest: &[TokenWithSpan], at: usize) -> bool {
    matches!(rest.get(at).map(|token| &token.token), Some(Token::Word(_)))
}

/// The byte of a place; places count letters.
fn byte(text: &str, place: Location) -> usize {
    let nth = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(nth(place.line)).map(str::len).sum();
    let line = lines.next().unwrap_or_default();
    before + line.char_indices().nth(nth(place.column)).map_or(line.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_a_trim_are_said_in_the_parsers_words() {
        for (text, told) in [
            ("TABLE gmv_day", "SELECT * FROM gmv_day"),
            (
                " table public.\"gmv_day\" ORDER BY 1",
                " SELECT * FROM public.\"gmv_day\" ORDER BY 1",
            ),
            ("SELECT trim(both from 'ä'), 1", "SELECT trim(both ' ' from 'ä'), 1"),
            ("SELECT 'ä'\n, TRIM( LEADING FROM x) a", "SELECT 'ä'\n, TRIM( LEADING ' ' FROM x) a"),
            ("-- all\nTABLE a", "-- all\nSELECT * FROM a"),
        ] {
            assert_eq!(plain_words(text), told);
        }
        for text in [
            "SELECT 1",
            "SELECT trim(both 'x' from y)",
            "SELECT 'trim(both from x)'",
            "SELECT a AS \"table\" FROM t",
            "table",
            "TABLE (gmv_day)",
        ] {
            assert!(
                matches!(plain_words(text), Cow::Borrowed(_)) || plain_words(text) == text,
                "{text}"
            );
        }
    }
}
