//! Which statements may pass, and who answers them.

use datafusion::sql::sqlparser::ast::{CloseCursor, Declare, DiscardObject, Expr, Set, Statement};

use super::copy::{self, Form};
use super::functions::SETTINGS;
use super::words::{is_moved, name_of};
use crate::sql::allow::check_sql_statement;
use crate::sql::error::SqlError;

/// Settings a client may change: how values are written, and nothing about the engine.
const SETTABLE: [&str; 6] = [
    "application_name",
    "bytea_output",
    "datestyle",
    "extra_float_digits",
    "intervalstyle",
    "statement_timeout",
];
/// The setting whose value is the clock of the streams.
const TIME_ZONE: &str = "timezone";
/// Settings that drivers set or ask for when they connect, with what is so anyway.
const SET_WITHOUT_EFFECT: [(&str, &str); 6] = [
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("default_transaction_read_only", "on"),
    ("idle_in_transaction_session_timeout", "0"),
    ("lock_timeout", "0"),
    ("standard_conforming_strings", "on"),
];
/// Settings a client may read besides, and not set, beside those that it may ask for by a query.
const SHOWN: [(&str, &str); 1] = [("transaction_read_only", "on")];

/// Who answers a statement.
pub(super) enum Passage {
    /// Runs as a query, once its plan is checked.
    Query,
    /// As a query, and its rows are copied to the client.
    Copy(Box<Statement>, Form),
    /// As a query, and its rows are kept until they are fetched.
    Declare(Box<Statement>, Box<Declare>),
    /// Rows of a cursor.
    Fetch,
    /// Passes over rows of a cursor.
    Move,
    /// Of one cursor, or of all.
    Close(Option<String>),
    /// Lets go of one prepared statement, or of all.
    Deallocate(Option<String>),
    /// Lets go of all that the client has left.
    Discard,
    /// The library's other hooks answer it.
    SmallTalk,
    /// As [`Self::SmallTalk`], and what was declared in the transaction is no more.
    EndOfTransaction,
    /// The time zone by whose clock times are told.
    TimeZone,
    /// A client asks for another one, or for the one there is.
    SetTimeZone(String),
    /// A setting that never changes: its name and its value.
    Fixed(&'static str, &'static str),
    /// Nothing has to be done.
    Nothing(&'static str),
}

/// Where a statement goes.
///
/// # Errors
/// For one that is not listed.
pub(super) fn passage(statement: &Statement) -> Result<Passage, SqlError> {
    if let Some((query, form)) = copy::to_client(statement)? {
        check_sql_statement(&query)?;
        return Ok(Passage::Copy(Box::new(query), form));
    }
    match statement {
        Statement::StartTransaction { .. } => Ok(Passage::SmallTalk),
        // Nothing is changed here, so there is nothing to go back from.
        Statement::Rollback { savepoint: Some(_), .. } => Ok(Passage::Nothing("ROLLBACK")),
        Statement::Commit { .. } | Statement::Rollback { .. } => Ok(Passage::EndOfTransaction),
        Statement::Declare { stmts } => declare(stmts, statement),
        Statement::Fetch { into: None, .. } => Ok(Passage::Fetch),
        Statement::Fetch { into: Some(into), .. } if is_moved(into) => Ok(Passage::Move),
        Statement::Close { cursor } => Ok(Passage::Close(match cursor {
            CloseCursor::All => None,
            CloseCursor::Specific { name } => Some(name_of(name)),
        })),
        Statement::Set(set) => set_passage(set, statement),
        Statement::ShowVariable { variable } => {
            let words: Vec<String> =
                variable.iter().map(|word| word.value.to_lowercase()).collect();
            let name = words.join("_");
            let mut fixed = SET_WITHOUT_EFFECT.iter().chain(&SHOWN).chain(&SETTINGS);
            let is_settable = SETTABLE.contains(&name.as_str());
            if let Some((name, value)) = fixed.find(|(fixed, _)| *fixed == name && !is_settable) {
                return Ok(Passage::Fixed(name, value));
            }
            if [TIME_ZONE, "time_zone"].contains(&name.as_str()) {
                return Ok(Passage::TimeZone);
            }
            let known = is_settable
                || ["transaction_isolation", "transaction_isolation_level"]
                    .contains(&name.as_str());
            if known { Ok(Passage::SmallTalk) } else { Err(refused(statement)) }
        }
        Statement::Savepoint { .. } => Ok(Passage::Nothing("SAVEPOINT")),
        Statement::ReleaseSavepoint { .. } => Ok(Passage::Nothing("RELEASE")),
        Statement::Discard { object_type: DiscardObject::ALL } => Ok(Passage::Discard),
        Statement::Discard { .. } => Ok(Passage::Nothing("DISCARD")),
        Statement::Deallocate { name, .. } => Ok(Passage::Deallocate(
            (!name.value.eq_ignore_ascii_case("all")).then(|| name.value.clone()),
        )),
        other => check_sql_statement(other).map(|()| Passage::Query),
    }
}

/// Whether a text goes back to a savepoint, after which a transaction that has failed goes on.
pub(super) fn goes_back(text: &str) -> bool {
    let mut words = text.split_whitespace().take(3).map(str::to_uppercase);
    let first = words.next();
    let next = words.next().filter(|word| !["WORK", "TRANSACTION"].contains(&word.as_str()));
    first.as_deref() == Some("ROLLBACK") && next.or_else(|| words.next()).as_deref() == Some("TO")
}

fn declare(declared: &[Declare], statement: &Statement) -> Result<Passage, SqlError> {
    let [declare] = declared else { return Err(refused(statement)) };
    let Some(query) = &declare.for_query else { return Err(refused(statement)) };
    let query = Statement::Query(query.clone());
    check_sql_statement(&query)?;
    Ok(Passage::Declare(Box::new(query), Box::new(declare.clone())))
}

fn set_passage(set: &Set, statement: &Statement) -> Result<Passage, SqlError> {
    match set {
        Set::SingleAssignment { variable, values, .. } if !values.is_empty() => {
            let name = variable.to_string().to_lowercase();
            if name == TIME_ZONE {
                let zone = values.first().map_or_else(String::new, ToString::to_string);
                Ok(Passage::SetTimeZone(unquoted(&zone)))
            } else if SETTABLE.contains(&name.as_str()) {
                Ok(Passage::SmallTalk)
            } else if name == "search_path" {
                check_search_path(values).map(|()| Passage::Nothing("SET"))
            } else if SET_WITHOUT_EFFECT.iter().any(|(fixed, _)| *fixed == name) {
                Ok(Passage::Nothing("SET"))
            } else {
                Err(refused(statement))
            }
        }
        Set::SetTimeZone { value, .. } => Ok(Passage::SetTimeZone(unquoted(&value.to_string()))),
        Set::SetTransaction { .. } | Set::SetNames { .. } => Ok(Passage::Nothing("SET")),
        _ => Err(refused(statement)),
    }
}

/// Names without a schema are looked up in `public`, whatever is set; who would have them of another is told so.
fn check_search_path(values: &[Expr]) -> Result<(), SqlError> {
    let told = values.iter().map(|value| value.to_string().to_lowercase());
    let names: Vec<String> = told
        .flat_map(|value| value.split(',').map(str::to_owned).collect::<Vec<_>>())
        .map(|name| name.trim_matches([' ', '\'', '"']).to_owned())
        .collect();
    let is_passed_over = |name: &&String| !["$user", "pg_catalog"].contains(&name.as_str());
    let first = names.iter().find(is_passed_over).map_or("", String::as_str);
    if ["public", "default"].contains(&first) {
        return Ok(());
    }
    Err(SqlError::Params {
        message: format!(
            "search_path stays \"$user\", public: a name without a schema is of public; write {}.name for others",
            if first.is_empty() { "shadow" } else { first }
        ),
    })
}

fn unquoted(word: &str) -> String {
    word.trim_matches(['\'', '"']).to_owned()
}

fn refused(statement: &Statement) -> SqlError {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    SqlError::Refused { what: words.join(" ") }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn a_search_path_may_say_what_is_so_anyway() {
        let told = |text: &str| {
            let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect(text);
            passage(&parsed[0]).map(|_| ()).map_err(|error| error.to_string())
        };
        for same in [
            "SET search_path TO public",
            "SET search_path TO \"$user\", public, shadow",
            "SET search_path = 'public'",
            "SET search_path TO pg_catalog, public",
            "SET SESSION search_path TO DEFAULT",
        ] {
            assert_eq!(told(same), Ok(()), "{same}");
        }
        for (other, word) in [
            ("SET search_path TO shadow", "write shadow.name"),
            ("SET search_path = 'shadow, public'", "write shadow.name"),
            ("SET search_path TO ''", "stays \"$user\", public"),
        ] {
            let refused = told(other).expect_err(other);
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn only_a_rollback_to_a_savepoint_goes_back() {
        for text in
            ["ROLLBACK TO \"_pg3_1\"", "rollback work to savepoint a;", "Rollback Transaction To a"]
        {
            assert!(goes_back(text), "{text}");
        }
        for text in ["ROLLBACK", "ROLLBACK WORK", "SELECT 'ROLLBACK TO a'", "ROLLBACK; SELECT 1"] {
            assert!(!goes_back(text), "{text}");
        }
    }
}
