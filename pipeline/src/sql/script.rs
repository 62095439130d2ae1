//! A SQL file as statements: what the parser knows goes to the parser, the rest is read here.
//!
//! The tokens keep their places while Flink's spellings are taken out of them, so that every error
//! names the line and column of the user's own text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use datafusion::sql::sqlparser::ast::{self, Ident, Query};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::error::{Place, SqlError};
use super::options::Options;
use super::plain_calls::plain_calls;
use super::statement_size;
use crate::decode::OFFSET_COLUMN;

/// A statement with its place, its own text and the comment before it.
#[derive(Debug, Clone)]
pub struct Statement {
    /// What it says.
    pub kind: StatementKind,
    /// The file it stands in.
    pub file: PathBuf,
    /// Where it begins.
    pub place: Place,
    /// Its text as written, without the closing semicolon.
    pub text: String,
    /// The comment lines before it, without their dashes.
    pub comment: Vec<String>,
}

/// What a statement says.
#[derive(Debug, Clone)]
pub enum StatementKind {
    /// `CREATE TABLE name (…) WITH (…)`.
    CreateTable(TableStatement),
    /// `CREATE VIEW` or `CREATE MATERIALIZED VIEW name [WITH (…)] AS query`.
    CreateView(ViewStatement),
    /// `INSERT INTO sink query`.
    Insert {
        /// The sink's name.
        sink: String,
        /// The query.
        query: Box<Query>,
    },
    /// A bare query.
    Query(Box<Query>),
}

/// `CREATE TABLE`, as written.
#[derive(Debug, Clone)]
pub struct TableStatement {
    /// Name of the table.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<ColumnStatement>,
    /// `WATERMARK FOR column AS expression`.
    pub watermark: Option<(String, ast::Expr, Place)>,
    /// `CHECK (…)` conditions, each with its text.
    pub checks: Vec<(ast::Expr, String)>,
    /// `WITH (…)`.
    pub options: Options,
    /// Where each option stands.
    pub option_places: BTreeMap<String, Place>,
    /// `LIKE other [(OVERWRITING WATERMARKS)]`: the table this one is another reading of.
    pub like: Option<(String, Place)>,
}

impl TableStatement {
    /// Where an option stands, or the statement where it does not.
    #[must_use]
    pub fn place_of(&self, option: &str, otherwise: Place) -> Place {
        self.option_places.get(option).copied().unwrap_or(otherwise)
    }

    /// The table with a column for the record's offset, if it has none.
    #[must_use]
    pub fn with_offset_column(&self) -> Self {
        let mut table = self.clone();
        if !table.columns.iter().any(|column| column.name == OFFSET_COLUMN) {
            let kind =
                ColumnKind::Field { data_type: ast::DataType::BigInt(None), required: false };
            table.columns.push(ColumnStatement {
                name: OFFSET_COLUMN.to_owned(),
                place: Place::default(),
                kind,
            });
        }
        table
    }
}

/// One column as written.
#[derive(Debug, Clone)]
pub struct ColumnStatement {
    /// Name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Read from the record, or computed.
    pub kind: ColumnKind,
}

/// Where a column's values come from.
#[derive(Debug, Clone)]
pub enum ColumnKind {
    /// A field of the record.
    Field {
        /// Declared type.
        data_type: ast::DataType,
        /// Whether `NOT NULL` is declared.
        required: bool,
    },
    /// `name AS expression`.
    Computed(ast::Expr),
    /// `name type METADATA [FROM 'key'] [VIRTUAL]`: something known of the row beside its fields.
    Metadata {
        /// Declared type.
        data_type: ast::DataType,
        /// What it is; the column's own name where no `FROM` is written.
        key: String,
        /// Whether `NOT NULL` is declared.
        required: bool,
    },
}

/// `CREATE [MATERIALIZED] VIEW`, as written.
#[derive(Debug, Clone)]
pub struct ViewStatement {
    /// Name of the view.
    pub name: String,
    /// Whether it is kept up to date.
    pub materialized: bool,
    /// `WITH (…)`.
    pub options: Options,
    /// The query.
    pub query: Box<Query>,
}

/// Name under which `PARTITION BY` of a session travels as an argument.
pub(super) const PARTITION_BY_ARGUMENT: &str = "__partition_by";

/// Reads a whole file's statements.
///
/// # Errors
/// The first mistake, with its line and column.
pub fn parse(file: &Path, text: &str) -> Result<Vec<Statement>, SqlError> {
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|error| located(file, &error.to_string(), Place::default()))?;
    split_statements(tokens)
        .into_iter()
        .map(|tokens| parse_statement(file, text, tokens))
        .filter_map(Result::transpose)
        .collect()
}

/// The tokens between semicolons; comments and spaces stay, for places and titles.
fn split_statements(tokens: Vec<TokenWithSpan>) -> Vec<Vec<TokenWithSpan>> {
    let mut all = vec![Vec::new()];
    for token in tokens {
        match token.token {
            Token::SemiColon => all.push(Vec::new()),
            _ => {
                if let Some(last) = all.last_mut() {
                    last.push(token);
                }
            }
        }
    }
    all
}

fn parse_statement(
    file: &Path,
    text: &str,
    tokens: Vec<TokenWithSpan>,
) -> Result<Option<Statement>, SqlError> {
    let comment = comment_of(&tokens);
    let code: Vec<TokenWithSpan> = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
        .collect();
    let (Some(first), Some(last)) = (code.first(), code.last()) else { return Ok(None) };
    let place = place_of(first);
    let end = Place { line: last.span.end.line, column: last.span.end.column };
    let own_text = slice_of(text, first, last);
    statement_size::check(file, &code)?;
    let dialect = GenericDialect {};
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(plain_calls(code));
    let kind = parse_kind(&mut parser).map_err(|message| {
        let found = place_of(&parser.peek_token());
        // What ends too early is wrong where it ends.
        located(file, &message, if found.line == 0 { end } else { found })
    })?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        let message = format!("expected the end of the statement, found {}", rest.token);
        return Err(SqlError::at(file, place_of(&rest), message));
    }
    Ok(Some(Statement { kind, file: file.to_path_buf(), place, text: own_text, comment }))
}

fn parse_kind(parser: &mut Parser<'_>) -> Result<StatementKind, String> {
    if parser.parse_keyword(Keyword::CREATE) {
        return parse_create(parser);
    }
    if parser.parse_keyword(Keyword::INSERT) {
        expect_keyword(parser, Keyword::INTO)?;
        let sink = identifier(parser)?;
        let query = parser.parse_query().map_err(|error| error.to_string())?;
        return Ok(StatementKind::Insert { sink, query });
    }
    let next = parser.peek_token();
    match &next.token {
        Token::Word(word)
            if matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES) =>
        {
            parser.parse_query().map(StatementKind::Query).map_err(|error| error.to_string())
        }
        Token::LParen => {
            parser.parse_query().map(StatementKind::Query).map_err(|error| error.to_string())
        }
        other => Err(format!(
            "expected CREATE TABLE, CREATE VIEW, CREATE MATERIALIZED VIEW, INSERT INTO or SELECT, found {other}"
        )),
    }
}

fn parse_create(parser: &mut Parser<'_>) -> Result<StatementKind, String> {
    if parser.parse_keyword(Keyword::TABLE) {
        return parse_table(parser).map(StatementKind::CreateTable);
    }
    let materialized = parser.parse_keyword(Keyword::MATERIALIZED);
    expect_keyword(parser, Keyword::VIEW)?;
    let name = identifier(parser)?;
    let (options, _) = parse_options(parser)?;
    expect_keyword(parser, Keyword::AS)?;
    let query = parser.parse_query().map_err(|error| error.to_string())?;
    Ok(StatementKind::CreateView(ViewStatement { name, materialized, options, query }))
}

fn parse_table(parser: &mut Parser<'_>) -> Result<TableStatement, String> {
    let name = identifier(parser)?;
    let mut table = TableStatement {
        name,
        columns: Vec::new(),
        watermark: None,
        checks: Vec::new(),
        options: Options::new(),
        option_places: BTreeMap::new(),
        like: None,
    };
    expect(parser, &Token::LParen)?;
    loop {
        parse_table_element(parser, &mut table)?;
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    expect(parser, &Token::RParen)?;
    (table.options, table.option_places) = parse_options(parser)?;
    table.like = parse_like(parser)?;
    Ok(table)
}

/// `LIKE table [(OVERWRITING WATERMARKS)]`, or nothing. Only the watermark can be another one.
fn parse_like(parser: &mut Parser<'_>) -> Result<Option<(String, Place)>, String> {
    if !parser.parse_keyword(Keyword::LIKE) {
        return Ok(None);
    }
    let place = place_of(&parser.peek_token());
    let name = identifier(parser)?;
    if parser.consume_token(&Token::LParen) {
        for word in ["OVERWRITING", "WATERMARKS"] {
            let next = parser.next_token();
            if !is_word(&next, word) {
                return Err(format!("expected OVERWRITING WATERMARKS, found {next}"));
            }
        }
        expect(parser, &Token::RParen)?;
    }
    Ok(Some((name, place)))
}

fn parse_table_element(parser: &mut Parser<'_>, table: &mut TableStatement) -> Result<(), String> {
    let start = parser.peek_token();
    if parser.parse_keyword(Keyword::CHECK) {
        expect(parser, &Token::LParen)?;
        let check = parser.parse_expr().map_err(|error| error.to_string())?;
        expect(parser, &Token::RParen)?;
        let text = check.to_string();
        table.checks.push((check, text));
        return Ok(());
    }
    if is_word(&start, "WATERMARK") && next_is_word(parser, "FOR") {
        let column = identifier(parser)?;
        expect_keyword(parser, Keyword::AS)?;
        if table.watermark.is_some() {
            return Err(String::from("a stream has one WATERMARK, and this is a second"));
        }
        let place = place_of(&parser.peek_token());
        let expression = parser.parse_expr().map_err(|error| error.to_string())?;
        table.watermark = Some((column, expression, place));
        return Ok(());
    }
    let name = identifier(parser)?;
    let kind = if parser.parse_keyword(Keyword::AS) {
        ColumnKind::Computed(parser.parse_expr().map_err(|error| error.to_string())?)
    } else {
        parse_field(parser, &name)?
    };
    table.columns.push(ColumnStatement { name, place: place_of(&start), kind });
    Ok(())
}

fn parse_field(parser: &mut Parser<'_>, name: &str) -> Result<ColumnKind, String> {
    let data_type = parser.parse_data_type().map_err(|error| error.to_string())?;
    let mut required = false;
    let mut metadata = None;
    loop {
        let next = parser.peek_token();
        if is_word(&next, "METADATA") && metadata.is_none() {
            parser.next_token();
            metadata = Some(name.to_owned());
            if parser.parse_keyword(Keyword::FROM) {
                metadata = Some(parser.parse_literal_string().map_err(|error| error.to_string())?);
            }
        } else if is_word(&next, "VIRTUAL") && metadata.is_some() {
            parser.next_token();
        } else if parser.parse_keyword(Keyword::NOT) {
            expect_keyword(parser, Keyword::NULL)?;
            required = true;
        } else if parser.parse_keyword(Keyword::COMMENT) {
            parser.parse_literal_string().map_err(|error| error.to_string())?;
        } else if !parser.parse_keyword(Keyword::NULL) {
            return Ok(match metadata {
                Some(key) => ColumnKind::Metadata { data_type, key, required },
                None => ColumnKind::Field { data_type, required },
            });
        }
    }
}

/// `WITH ('key' = 'value', …)`, or nothing.
fn parse_options(parser: &mut Parser<'_>) -> Result<(Options, BTreeMap<String, Place>), String> {
    let mut options = Options::new();
    let mut places = BTreeMap::new();
    if !parser.parse_keyword(Keyword::WITH) {
        return Ok((options, places));
    }
    expect(parser, &Token::LParen)?;
    loop {
        let place = place_of(&parser.peek_token());
        let key = parser.parse_literal_string().map_err(|error| error.to_string())?;
        expect(parser, &Token::Eq)?;
        let value = parser.parse_literal_string().map_err(|error| error.to_string())?;
        if options.insert(key.clone(), value).is_some() {
            return Err(format!("option '{key}' is given twice"));
        }
        places.insert(key, place);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    expect(parser, &Token::RParen)?;
    Ok((options, places))
}

/// Consumes `WATERMARK FOR` when the second word follows; the first is known to stand there.
fn next_is_word(parser: &mut Parser<'_>, word: &str) -> bool {
    parser.next_token();
    let found = is_word(&parser.peek_token(), word);
    if found {
        parser.next_token();
    } else {
        parser.prev_token();
    }
    found
}

fn identifier(parser: &mut Parser<'_>) -> Result<String, String> {
    parser.parse_identifier().map(|ident| normalized(&ident)).map_err(|error| error.to_string())
}

/// An identifier as DataFusion knows it: quoted as written, otherwise in lower case.
pub(super) fn normalized(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

fn expect(parser: &mut Parser<'_>, token: &Token) -> Result<(), String> {
    parser.expect_token(token).map(drop).map_err(|error| error.to_string())
}

fn expect_keyword(parser: &mut Parser<'_>, keyword: Keyword) -> Result<(), String> {
    parser.expect_keyword(keyword).map(drop).map_err(|error| error.to_string())
}

pub(super) fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

fn place_of(token: &TokenWithSpan) -> Place {
    Place { line: token.span.start.line, column: token.span.start.column }
}

fn located(file: &Path, message: &str, otherwise: Place) -> SqlError {
    let place = Place::in_message(message).unwrap_or(otherwise);
    let text = message.trim_start_matches("sql parser error: ");
    let text = text.split(" at Line: ").next().unwrap_or(text);
    SqlError::at(file, place, text)
}

fn comment_of(tokens: &[TokenWithSpan]) -> Vec<String> {
    use datafusion::sql::sqlparser::tokenizer::Whitespace;
    tokens
        .iter()
        .take_while(|token| matches!(token.token, Token::Whitespace(_)))
        .filter_map(|token| match &token.token {
            Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) => {
                Some(comment.trim().to_owned())
            }
            _ => None,
        })
        .collect()
}

/// The text from one token to the end of another.
fn slice_of(text: &str, first: &TokenWithSpan, last: &TokenWithSpan) -> String {
    let from = byte_at(text, first.span.start.line, first.span.start.column);
    let to = byte_at(text, last.span.end.line, last.span.end.column);
    text.get(from..to.max(from)).unwrap_or(text).to_owned()
}

fn byte_at(text: &str, line: u64, column: u64) -> usize {
    let mut at = 0;
    let mut lines = text.split_inclusive('\n');
    for _ in 1..line {
        at += lines.next().map_or(0, str::len);
    }
    let letters = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    at + lines.next().unwrap_or("").chars().take(letters).map(char::len_utf8).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query_of(sql: &str) -> String {
        match &parse(Path::new("t.sql"), sql).expect("parses")[0].kind {
            StatementKind::Query(query) => query.to_string(),
            other => panic!("not a query: {other:?}"),
        }
    }

    #[test]
    fn flinks_spelling_becomes_a_plain_call() {
        let sql = "SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(rowtime), INTERVAL '5' SECOND)) WHERE a > 1";
        assert_eq!(
            query_of(sql),
            "SELECT * FROM TUMBLE((SELECT * FROM t), rowtime, INTERVAL '5' SECOND) WHERE a > 1"
        );
    }

    #[test]
    fn a_sessions_partition_by_becomes_an_argument() {
        let sql = "SELECT * FROM TABLE(SESSION(TABLE t PARTITION BY `name`, b, DESCRIPTOR(ts), INTERVAL '5' SECOND))";
        assert_eq!(
            query_of(sql),
            "SELECT * FROM SESSION((SELECT * FROM t), __partition_by(`name`, b), ts, INTERVAL '5' SECOND)"
        );
    }

    #[test]
    fn a_stream_has_computed_columns_a_watermark_and_options() {
        let sql = "-- 订单\nCREATE TABLE o (\n `ts` STRING NOT NULL, amount DECIMAL(10, 2),\n at AS TO_TIMESTAMP(`ts`),\n \
                   WATERMARK FOR at AS at - INTERVAL '1' SECOND, CHECK (amount > 0)) WITH ('connector' = 'stdin');";
        let statements = parse(Path::new("o.sql"), sql).expect("parses");
        assert_eq!(statements[0].comment, ["订单"]);
        let StatementKind::CreateTable(table) = &statements[0].kind else { panic!("not a table") };
        assert_eq!(table.columns.len(), 3);
        assert_eq!(table.watermark.as_ref().map(|(column, ..)| column.as_str()), Some("at"));
        assert_eq!(table.checks.len(), 1);
        assert_eq!(table.options["connector"], "stdin");
    }

    #[test]
    fn an_error_names_the_line_and_column_of_the_users_own_text() {
        let sql = "SELECT 1;\nSELECT *\n  FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(a), INTERVAL '5' SECOND)) GROUP BYE a";
        let error = parse(Path::new("q.sql"), sql).expect_err("BYE is no keyword");
        assert_eq!((error.line, error.file.to_str()), (3, Some("q.sql")));
        assert!(error.column > 60, "{error}");
    }
}
