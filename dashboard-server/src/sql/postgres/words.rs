//! What clients of PostgreSQL may leave out, or say in words that the parser has none of, in words that it has; besides what is
//! read so at every door (`sql/dialect/words.rs`).
//!
//! ```text
//! FETCH ALL c · FETCH c · FETCH 5 c  ─▶  FETCH ALL FROM c · FETCH NEXT FROM c · FETCH 5 FROM c
//! MOVE FORWARD 2 IN c                ─▶  FETCH FORWARD 2 FROM c INTO "nothing that is shown"
//! ```

use std::borrow::Cow;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::sql::dialect::plain_words;

/// Where the rows go that a cursor is moved over.
const NOWHERE: &str = "nothing that is shown";

/// A text in the parser's words; what is no SQL stays as it is, and is told by the parser.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    match plain_words(text) {
        Cow::Borrowed(text) => of_cursors(text),
        Cow::Owned(text) => Cow::Owned(of_cursors(&text).into_owned()),
    }
}

/// A text with what it says of cursors in full.
fn of_cursors(text: &str) -> Cow<'_, str> {
    let has_any = ["fetch", "move"].iter().any(|word| {
        let begins = |at: &[u8]| at.eq_ignore_ascii_case(word.as_bytes());
        text.as_bytes().windows(word.len()).any(begins)
    });
    if !has_any {
        return Cow::Borrowed(text);
    }
    let Ok(words) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize() else {
        return Cow::Borrowed(text);
    };
    let statements = words.split(|word| *word == Token::SemiColon);
    let told: Vec<Option<String>> = statements.clone().map(fetched).collect();
    if told.iter().all(Option::is_none) {
        return Cow::Borrowed(text);
    }
    let as_written = |words: &[Token]| words.iter().map(ToString::to_string).collect::<String>();
    let all = statements.zip(told);
    let all = all.map(|(words, told)| told.unwrap_or_else(|| as_written(words)));
    Cow::Owned(all.collect::<Vec<_>>().join(";"))
}

/// Whether rows are passed over and not shown.
pub(super) fn is_moved(into: &ObjectName) -> bool {
    matches!(into.0.as_slice(), [part] if part.as_ident().is_some_and(|word| word.value == NOWHERE))
}

/// A name as it is known by: in small letters, unless it is written in quotes.
pub(super) fn name_of(word: &Ident) -> String {
    match word.quote_style {
        Some(_) => word.value.clone(),
        None => word.value.to_lowercase(),
    }
}

/// A FETCH or MOVE in full; `None` for any other statement.
fn fetched(words: &[Token]) -> Option<String> {
    let words: Vec<&Token> =
        words.iter().filter(|word| !matches!(word, Token::Whitespace(_))).collect();
    let (first, rest) = words.split_first()?;
    let is_moved = is(first, "MOVE");
    if !is_moved && !is(first, "FETCH") {
        return None;
    }
    let (cursor, way) = rest.split_last()?;
    let Token::Word(_) = cursor else { return None };
    let way = match way {
        [way @ .., last] if is(last, "FROM") || is(last, "IN") => way,
        way => way,
    };
    // Where it says more than this it is not ours, and the parser tells what is wrong.
    if way.iter().any(|word| is(word, "INTO") || is(word, "FROM") || is(word, "IN")) {
        return None;
    }
    let way = match way {
        [] => "NEXT".to_owned(),
        [one] if is(one, "FORWARD") || is(one, "BACKWARD") => format!("{one} 1"),
        way => way.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let into = if is_moved { format!(" INTO \"{NOWHERE}\"") } else { String::new() };
    Some(format!("FETCH {way} FROM {cursor}{into}"))
}

fn is(word: &Token, wanted: &str) -> bool {
    matches!(word, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn a_fetch_is_said_in_full_and_a_move_is_one_whose_rows_go_nowhere() {
        for (said, full) in [
            ("FETCH c", "FETCH NEXT FROM c"),
            ("fetch from C", "FETCH NEXT FROM C"),
            ("FETCH ALL \"c d\"", "FETCH ALL FROM \"c d\""),
            ("FETCH FORWARD c", "FETCH FORWARD 1 FROM c"),
            ("FETCH FORWARD ALL IN c", "FETCH FORWARD ALL FROM c"),
            ("FETCH 5 c", "FETCH 5 FROM c"),
            ("FETCH RELATIVE 2 c", "FETCH RELATIVE 2 FROM c"),
            ("MOVE 2 FROM c", "FETCH 2 FROM c INTO \"nothing that is shown\""),
            ("MOVE c", "FETCH NEXT FROM c INTO \"nothing that is shown\""),
        ] {
            assert_eq!(plain(said), full);
            let parsed = Parser::parse_sql(&PostgreSqlDialect {}, full).expect(full);
            let Statement::Fetch { into, .. } = &parsed[0] else { panic!("{full}") };
            assert_eq!(into.as_ref().is_some_and(is_moved), said.starts_with("MOVE"));
        }
        assert_eq!(
            plain("BEGIN; FETCH c; SELECT 'FETCH d; MOVE'"),
            "BEGIN;FETCH NEXT FROM c; SELECT 'FETCH d; MOVE'"
        );
        for same in [
            "SELECT fetch FROM moved",
            "SELECT 1 FETCH FIRST 2 ROWS ONLY",
            "FETCH 1 FROM c INTO x",
            "FETCH",
            "'FETCH",
        ] {
            assert_eq!(plain(same), same);
        }
    }
}
