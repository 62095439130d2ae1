//! The text with other names in place of its tables of the past.

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::clause::{Clause, Reading};

/// The text and its words with the clauses taken out and other names for their tables.
pub(super) fn rewritten(text: &str, words: &[TokenWithSpan], clauses: Vec<Clause>) -> Reading {
    let bytes = Bytes::of(text);
    let (mut out, mut done) = (String::with_capacity(text.len() + 64), 0);
    let mut kept = Vec::with_capacity(words.len());
    let mut next = 0;
    let mut put = |from: usize, to: usize, with: &str, out: &mut String| {
        out.push_str(text.get(done..from).unwrap_or_default());
        out.push_str(with);
        done = to;
    };
    for clause in &clauses {
        let (Some(name), Some(first)) = (words.get(clause.name), words.get(clause.words.start))
        else {
            continue;
        };
        let (from, to) = (bytes.at(name.span.start), bytes.at(name.span.end));
        let end = words.get(clause.words.end - 1).map_or(first.span.end, |last| last.span.end);
        if clause.is_open {
            put(bytes.at(first.span.start), bytes.at(end), " ", &mut out);
            kept.extend_from_slice(words.get(next..clause.words.start).unwrap_or_default());
            next = clause.words.end;
            continue;
        }
        let quoted = format!("\"{}\"", clause.asked.relation.replace('"', "\"\""));
        let alias = (!clause.has_alias).then(|| text.get(from..to).unwrap_or_default());
        let with = alias.map_or_else(|| quoted.clone(), |alias| format!("{quoted} AS {alias}"));
        put(from, to, &with, &mut out);
        put(bytes.at(first.span.start), bytes.at(end), " ", &mut out);
        kept.extend_from_slice(words.get(next..clause.name).unwrap_or_default());
        kept.push(TokenWithSpan::new(
            Token::make_word(clause.asked.relation.as_str(), Some('"')),
            name.span,
        ));
        if !clause.has_alias {
            kept.push(TokenWithSpan::new(Token::make_keyword("AS"), name.span));
            kept.push(name.clone());
        }
        kept.extend_from_slice(words.get(clause.name + 1..clause.words.start).unwrap_or_default());
        next = clause.words.end;
    }
    kept.extend_from_slice(words.get(next..).unwrap_or_default());
    put(text.len(), text.len(), "", &mut out);
    let parameters = clauses.iter().flat_map(|clause| clause.parameters.clone()).collect();
    let asked = clauses.into_iter().filter(|clause| !clause.is_open);
    let asked = asked.map(|clause| clause.asked).collect();
    Reading { text: out, words: kept, asked, parameters }
}

/// Where lines begin.
struct Bytes<'a> {
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Bytes<'a> {
    fn of(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(breaks).collect() }
    }

    /// The byte of a place; places count letters.
    fn at(&self, place: Location) -> usize {
        let nth = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        let line = self.lines.get(nth(place.line)).copied().unwrap_or(self.text.len());
        let rest = self.text.get(line..).unwrap_or_default();
        let letter = rest.char_indices().nth(nth(place.column));
        letter.map_or(self.text.len(), |(at, _)| line + at)
    }
}
