//! Flink's spelling of window functions, taken out of the token stream before the parser sees it.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::script::{PARTITION_BY_ARGUMENT, is_word};

/// Names of the window functions, as in the tokens.
const WINDOW_FUNCTIONS: [&str; 4] = ["TUMBLE", "HOP", "CUMULATE", "SESSION"];

/// Flink's spellings as plain function calls, every token keeping its place:
/// `TABLE(TUMBLE(TABLE t PARTITION BY a, DESCRIPTOR(c), …))` becomes
/// `TUMBLE((SELECT * FROM t), __partition_by(a), c, …)`.
pub(super) fn plain_calls(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut rewriter = Rewriter { tokens, at: 0, out: Vec::new() };
    while rewriter.at < rewriter.tokens.len() {
        rewriter.step(Depth::Outside);
    }
    rewriter.out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Outside,
    InWindowFunction,
}

struct Rewriter {
    tokens: Vec<TokenWithSpan>,
    at: usize,
    out: Vec<TokenWithSpan>,
}

impl Rewriter {
    fn word(&self, ahead: usize, word: &str) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|token| is_word(token, word))
    }

    fn token(&self, ahead: usize, wanted: &Token) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|token| token.token == *wanted)
    }

    fn window_function(&self, ahead: usize) -> bool {
        WINDOW_FUNCTIONS.iter().any(|name| self.word(ahead, name))
            && self.token(ahead + 1, &Token::LParen)
    }

    fn keep(&mut self) {
        if let Some(token) = self.tokens.get(self.at) {
            self.out.push(token.clone());
        }
        self.at += 1;
    }

    fn emit_like(&mut self, token: Token) {
        if let Some(place) = self.tokens.get(self.at.min(self.tokens.len().saturating_sub(1))) {
            self.out.push(TokenWithSpan { token, span: place.span });
        }
    }

    fn step(&mut self, depth: Depth) {
        if self.word(0, "TABLE") && self.token(1, &Token::LParen) && self.window_function(2) {
            self.at += 2;
            self.step(Depth::Outside);
            // The closing parenthesis of TABLE( … ).
            if self.token(0, &Token::RParen) {
                self.at += 1;
            }
        } else if self.window_function(0) {
            self.keep();
            self.keep();
            self.table_argument();
            self.arguments();
        } else if depth == Depth::InWindowFunction
            && self.word(0, "DESCRIPTOR")
            && self.token(1, &Token::LParen)
            && self.token(3, &Token::RParen)
        {
            self.at += 2;
            self.keep();
            self.at += 1;
        } else if depth == Depth::InWindowFunction
            && self.word(0, "PARTITION")
            && self.word(1, "BY")
        {
            self.partition_by();
        } else if self.word(0, "VIEW")
            && self.out.last().is_some_and(|last| last.token == Token::Comma)
        {
            // A column of the engine's tables. As a keyword behind a comma it would end the list for the parser.
            self.emit_like(Token::make_word("view", Some('"')));
            self.at += 1;
        } else if self.word(0, "GROUPING_ID") && self.token(1, &Token::LParen) {
            self.emit_like(word("grouping"));
            self.at += 1;
        } else {
            self.keep();
        }
    }

    /// `TABLE t` or `t`, with or without `DATA =>`, as `(SELECT * FROM t)`: a table is looked up only
    /// where one can stand.
    fn table_argument(&mut self) {
        if self.word(0, "DATA") && self.token(1, &Token::RArrow) {
            self.keep();
            self.keep();
        }
        if self.word(0, "TABLE") {
            self.at += 1;
        }
        if !matches!(self.tokens.get(self.at).map(|token| &token.token), Some(Token::Word(_))) {
            return;
        }
        self.emit_like(Token::LParen);
        self.emit_like(word("SELECT"));
        self.emit_like(Token::Mul);
        self.emit_like(word("FROM"));
        self.keep();
        while self.token(0, &Token::Period) {
            self.keep();
            self.keep();
        }
        self.emit_like(Token::RParen);
    }

    /// Everything up to the parenthesis that closes the function.
    fn arguments(&mut self) {
        let mut open = 1;
        while self.at < self.tokens.len() && open > 0 {
            if self.token(0, &Token::LParen) {
                open += 1;
                self.keep();
            } else if self.token(0, &Token::RParen) {
                open -= 1;
                self.keep();
            } else {
                self.step(Depth::InWindowFunction);
            }
        }
    }

    /// `PARTITION BY a, b` up to the next DESCRIPTOR or named argument, as one more argument.
    fn partition_by(&mut self) {
        self.emit_like(Token::Comma);
        self.emit_like(word(PARTITION_BY_ARGUMENT));
        self.emit_like(Token::LParen);
        self.at += 2;
        self.keep();
        while self.token(0, &Token::Comma)
            && !self.word(1, "DESCRIPTOR")
            && !self.token(2, &Token::RArrow)
            && self.token(2, &Token::Comma)
        {
            self.keep();
            self.keep();
        }
        self.emit_like(Token::RParen);
    }
}

fn word(text: &str) -> Token {
    Token::make_word(text, None)
}
