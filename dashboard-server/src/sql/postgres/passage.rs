//! Which statements may pass, and who answers them.

use datafusion::sql::sqlparser::ast::{CloseCursor, Declare, DiscardObject, Set, Statement};

use super::copy::{self, Form};
use super::functions::SETTINGS;
use crate::sql::allow::check_sql_statement;
use crate::sql::error::SqlError;

/// Settings a client may change: how values are written, and nothing about the engine.
const SETTABLE: [&str; 8] = [
    "application_name",
    "bytea_output",
    "datestyle",
    "extra_float_digits",
    "intervalstyle",
    "search_path",
    "statement_timeout",
    "timezone",
];
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
    /// The time zone that the client has set.
    TimeZone,
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
        Statement::Close { cursor } => Ok(Passage::Close(match cursor {
            CloseCursor::All => None,
            CloseCursor::Specific { name } => Some(name.value.clone()),
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
            if ["timezone", "time_zone"].contains(&name.as_str()) {
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
            if SETTABLE.contains(&name.as_str()) {
                Ok(Passage::SmallTalk)
            } else if SET_WITHOUT_EFFECT.iter().any(|(fixed, _)| *fixed == name) {
                Ok(Passage::Nothing("SET"))
            } else {
                Err(refused(statement))
            }
        }
        Set::SetTimeZone { .. } => Ok(Passage::SmallTalk),
        Set::SetTransaction { .. } | Set::SetNames { .. } => Ok(Passage::Nothing("SET")),
        _ => Err(refused(statement)),
    }
}

fn refused(statement: &Statement) -> SqlError {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    SqlError::Refused { what: words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

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
