//! `COPY (SELECT …) TO STDOUT`: an answer as one stream of text, CSV or PostgreSQL's binary form. ADBC reads rows in no other way,
//! and `\copy` of psql writes them to a file on its own side. To a file on ours, or from anywhere, nothing is copied.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use datafusion::sql::sqlparser::ast::{
    CopyLegacyCsvOption, CopyLegacyOption, CopyOption, CopySource, CopyTarget, Statement,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{CopyResponse, QueryResponse, Response};
use datafusion_postgres::pgwire::messages::copy::CopyData;
use datafusion_postgres::pgwire::messages::data::DataRow;
use futures::StreamExt as _;
use parking_lot::Mutex;

use crate::sql::error::SqlError;

/// What a binary copy begins with: its mark, no flags, nothing more.
const BINARY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// How rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// PostgreSQL's binary form.
    Binary,
    /// Values with a letter between them, and a backslash before what would be taken for something else.
    Text {
        /// The letter between two values.
        delimiter: char,
        /// What stands for NULL.
        null: String,
    },
    /// Comma separated values.
    Csv {
        /// The letter between two values.
        delimiter: char,
        /// What stands for NULL.
        null: String,
        /// The letter around a value that needs it.
        quote: char,
        /// Whether names of columns come first.
        has_header: bool,
    },
}

/// The query of a COPY to the client, and how its rows are written; `None` for any other statement.
///
/// # Errors
/// For an option that is not known here.
pub(super) fn to_client(statement: &Statement) -> Result<Option<(Statement, Form)>, SqlError> {
    let Statement::Copy { source, to: true, target: CopyTarget::Stdout, .. } = statement else {
        return Ok(None);
    };
    let Statement::Copy { options, legacy_options, .. } = statement else { return Ok(None) };
    let query = match source {
        CopySource::Query(query) => Statement::Query(query.clone()),
        CopySource::Table { table_name, columns } => {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            let columns = if columns.is_empty() { "*".to_owned() } else { columns.join(", ") };
            let text = format!("SELECT {columns} FROM {table_name}");
            let parsed = Parser::parse_sql(&PostgreSqlDialect {}, &text).ok();
            let unknown =
                || SqlError::Syntax { message: format!("{text} is no query"), place: None };
            parsed.and_then(|mut parsed| parsed.pop()).ok_or_else(unknown)?
        }
    };
    Ok(Some((query, form(options, legacy_options)?)))
}

fn form(options: &[CopyOption], legacy: &[CopyLegacyOption]) -> Result<Form, SqlError> {
    let mut asked = Asked::default();
    for option in options {
        match option {
            CopyOption::Format(name) => asked.format = name.value.to_lowercase(),
            CopyOption::Delimiter(letter) => asked.delimiter = Some(*letter),
            CopyOption::Null(text) => asked.null = Some(text.clone()),
            CopyOption::Header(has_header) => asked.has_header = *has_header,
            CopyOption::Quote(letter) => asked.quote = Some(*letter),
            CopyOption::Escape(letter) => asked.escape = Some(*letter),
            CopyOption::Encoding(name) if is_utf8(name) => {}
            other => return Err(unknown(&other.to_string())),
        }
    }
    for option in legacy {
        match option {
            CopyLegacyOption::Binary => "binary".clone_into(&mut asked.format),
            CopyLegacyOption::Delimiter(letter) => asked.delimiter = Some(*letter),
            CopyLegacyOption::Null(text) => asked.null = Some(text.clone()),
            CopyLegacyOption::Header => asked.has_header = true,
            CopyLegacyOption::Csv(options) => {
                "csv".clone_into(&mut asked.format);
                for option in options {
                    match option {
                        CopyLegacyCsvOption::Header => asked.has_header = true,
                        CopyLegacyCsvOption::Quote(letter) => asked.quote = Some(*letter),
                        CopyLegacyCsvOption::Escape(letter) => asked.escape = Some(*letter),
                        other => return Err(unknown(&other.to_string())),
                    }
                }
            }
            other => return Err(unknown(&other.to_string())),
        }
    }
    asked.form()
}

fn is_utf8(name: &str) -> bool {
    ["utf8", "utf-8", "unicode"].contains(&name.to_lowercase().as_str())
}

fn unknown(option: &str) -> SqlError {
    SqlError::Params { message: format!("COPY with {option} is not supported here") }
}

#[derive(Debug, Default)]
struct Asked {
    format: String,
    delimiter: Option<char>,
    null: Option<String>,
    quote: Option<char>,
    escape: Option<char>,
    has_header: bool,
}

impl Asked {
    fn form(self) -> Result<Form, SqlError> {
        let quote = self.quote.unwrap_or('"');
        // A quote within quotes is doubled; another way to say it would need another reader.
        if self.escape.is_some_and(|escape| escape != quote) {
            return Err(unknown("ESCAPE other than its QUOTE"));
        }
        match self.format.as_str() {
            "binary" => Ok(Form::Binary),
            "" | "text" if !self.has_header && self.quote.is_none() => Ok(Form::Text {
                delimiter: self.delimiter.unwrap_or('\t'),
                null: self.null.unwrap_or("\\N".to_owned()),
            }),
            "csv" => Ok(Form::Csv {
                delimiter: self.delimiter.unwrap_or(','),
                null: self.null.unwrap_or_default(),
                quote,
                has_header: self.has_header,
            }),
            "" | "text" => Err(unknown("HEADER or QUOTE and without FORMAT csv")),
            other => Err(unknown(&format!("FORMAT {other}"))),
        }
    }
}

impl Form {
    /// How the rows are encoded before they are written.
    pub(super) fn encoding(&self) -> Format {
        match self {
            Self::Binary => Format::UnifiedBinary,
            Self::Text { .. } | Self::Csv { .. } => Format::UnifiedText,
        }
    }

    /// The copy of an answer.
    pub(super) fn response(self, answer: QueryResponse) -> Response {
        let columns = answer.row_schema.len();
        let format = i8::from(self == Self::Binary);
        let head = match &self {
            Self::Binary => Some(Bytes::from_static(BINARY_HEAD)),
            Self::Csv { has_header: true, .. } => {
                let names = answer.row_schema.iter().map(|field| Some(field.name().as_bytes()));
                Some(self.line(names))
            }
            _ => None,
        };
        // What comes before the rows goes with the first of them, or it would be counted as one.
        let head = Arc::new(Mutex::new(head));
        let left = Arc::clone(&head);
        let rows = answer.data_rows.map(move |row| {
            let line = self.row(&row?);
            Ok(CopyData::new(match head.lock().take() {
                Some(head) => [head, line].concat().into(),
                None => line,
            }))
        });
        let alone = futures::stream::once(async move {
            Ok(CopyData::new(left.lock().take().unwrap_or_default()))
        });
        // The end of a binary copy is the library's.
        Response::CopyOut(CopyResponse::new(format, columns, rows.chain(alone)))
    }

    fn row(&self, row: &DataRow) -> Bytes {
        match self {
            Self::Binary => {
                let mut written = BytesMut::with_capacity(row.data.len() + 2);
                written.put_i16(row.field_count);
                written.put_slice(&row.data);
                written.freeze()
            }
            Self::Text { .. } | Self::Csv { .. } => self.line(values(&row.data)),
        }
    }

    fn line<'a>(&self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Bytes {
        let mut line = String::new();
        let (Self::Text { delimiter, .. } | Self::Csv { delimiter, .. }) = self else {
            return Bytes::new();
        };
        for (nth, value) in values.enumerate() {
            if nth > 0 {
                line.push(*delimiter);
            }
            let value = value.map(String::from_utf8_lossy);
            self.write(&mut line, value.as_deref());
        }
        line.push('\n');
        Bytes::from(line)
    }

    fn write(&self, line: &mut String, value: Option<&str>) {
        match (self, value) {
            (Self::Text { null, .. } | Self::Csv { null, .. }, None) => line.push_str(null),
            (Self::Text { delimiter, .. }, Some(value)) => {
                for letter in value.chars() {
                    match letter {
                        '\\' => line.push_str("\\\\"),
                        '\n' => line.push_str("\\n"),
                        '\r' => line.push_str("\\r"),
                        '\t' => line.push_str("\\t"),
                        letter if letter == *delimiter => line.extend(['\\', letter]),
                        letter => line.push(letter),
                    }
                }
            }
            (Self::Csv { delimiter, null, quote, .. }, Some(value)) => {
                let special = [*delimiter, *quote, '\n', '\r'];
                // A value like the word for NULL, or for the end of a file, is no such word.
                if value == null || value == "\\." || value.contains(special) {
                    line.push(*quote);
                    let doubled = String::from_iter([*quote, *quote]);
                    line.push_str(&value.replace(*quote, &doubled));
                    line.push(*quote);
                } else {
                    line.push_str(value);
                }
            }
            (Self::Binary, _) => {}
        }
    }
}

/// The values of a row as it is sent: each with its length before it, -1 for NULL.
fn values(mut row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (length, rest) = row.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            row = rest;
            return Some(None);
        };
        let (value, rest) = rest.split_at_checked(length)?;
        row = rest;
        Some(Some(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<(Statement, Form)>, SqlError> {
        let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("parses");
        to_client(&parsed[0])
    }

    fn line(text: &str, values: &[Option<&str>]) -> String {
        let (_, form) = parsed(text).expect("is known").expect("is a copy");
        let values = values.iter().map(|value| value.map(str::as_bytes));
        String::from_utf8(form.line(values).to_vec()).expect("text")
    }

    #[test]
    fn only_a_copy_to_the_client_is_one() {
        let (query, form) =
            parsed("COPY gmv (a, b) TO STDOUT (FORMAT binary)").expect("known").expect("a copy");
        assert_eq!((query.to_string().as_str(), form), ("SELECT a, b FROM gmv", Form::Binary));
        for other in
            ["COPY t TO '/tmp/x'", "COPY t TO PROGRAM 'sh'", "COPY t FROM STDIN", "SELECT 1"]
        {
            assert!(parsed(other).expect("is read").is_none(), "{other}");
        }
        for unknown in [
            "COPY t TO STDOUT (FORMAT parquet)",
            "COPY t TO STDOUT (FREEZE)",
            "COPY t TO STDOUT (HEADER)",
            "COPY t TO STDOUT (FORMAT csv, ESCAPE 'x')",
        ] {
            assert!(parsed(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn what_would_be_taken_for_something_else_is_marked() {
        let values = [Some("a\tb\\"), None, Some(""), Some("x,\"y\""), Some("\\.")];
        assert_eq!(line("COPY t TO STDOUT", &values), "a\\tb\\\\\t\\N\t\tx,\"y\"\t\\\\.\n");
        assert_eq!(
            line("COPY t TO STDOUT WITH CSV HEADER", &values),
            "a\tb\\,,\"\",\"x,\"\"y\"\"\",\"\\.\"\n"
        );
        assert_eq!(
            line("COPY t TO STDOUT (FORMAT csv, DELIMITER ';', NULL '-')", &values[1..4]),
            "-;;\"x,\"\"y\"\"\"\n"
        );
    }

    #[test]
    fn a_row_is_taken_apart_by_its_lengths() {
        let row = [&[0, 0, 0, 1, b'a'][..], &[255; 4], &[0; 4]].concat();
        assert_eq!(values(&row).collect::<Vec<_>>(), [Some(&b"a"[..]), None, Some(&b""[..])]);
    }
}
