//! Where in its text a query is wrong. The library rewrites what clients of PostgreSQL ask before it is planned, and the
//! places are lost on the way; so what could not be planned is planned once more as it was written.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use datafusion_postgres::pgwire::error::PgWireError;

use super::error::pg_error;
use crate::sql::SqlService;
use crate::sql::error::{Place, SqlError};
use crate::sql::past::Given;
use crate::sql::tables::Pin;

/// Finds places within one connection's session.
pub(super) struct Places {
    session: Arc<SessionContext>,
    service: SqlService,
    pin: Arc<Pin>,
}

impl Places {
    /// Of the tables of `session`, which are those of `pin`.
    pub(super) fn new(session: Arc<SessionContext>, service: SqlService, pin: Arc<Pin>) -> Self {
        Self { session, service, pin }
    }

    /// The error with the place in `text` where it is known.
    pub(super) async fn put_into(&self, error: PgWireError, text: &str) -> PgWireError {
        let error = super::error::told(&error).unwrap_or(error);
        let PgWireError::UserError(mut info) = error else { return error };
        // Those of a text that cannot be read or planned.
        if ["42601", "42000"].contains(&info.code.as_str()) && info.position.is_none() {
            // As it was written it may be wrong for another reason, which is not told.
            let as_written = self.as_written(text).await;
            let place = as_written.filter(|error| error.to_string() == info.message);
            let place = place.and_then(|error| error.place());
            info.position = place.and_then(|place| position(text, place));
            if let Some(place) = place {
                info.detail = Some(format!("line {}, column {}", place.line, place.column));
            }
        }
        PgWireError::UserError(info)
    }

    /// What is wrong with a text as it was written.
    async fn as_written(&self, text: &str) -> Option<SqlError> {
        let statement = match self.service.statement(text, &self.pin, Given::Later).await {
            Ok((statement, _)) => statement,
            Err(error) => return Some(error),
        };
        let planned = self.session.state().statement_to_plan(statement).await;
        planned.err().map(|error| SqlError::of_planning(&error))
    }
}

/// An error of a text with its place, where that is known.
pub(super) fn told_at(error: &SqlError, text: &str) -> PgWireError {
    match pg_error(error) {
        PgWireError::UserError(mut info) => {
            info.position = error.place().and_then(|place| position(text, place));
            PgWireError::UserError(info)
        }
        other => other,
    }
}

/// A place as the protocol has it: letters from the beginning, the first being 1.
fn position(text: &str, place: Place) -> Option<String> {
    let line = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(place.column).ok()?;
    let before: usize = text.split('\n').take(line).map(|line| line.chars().count() + 1).sum();
    Some((before + column).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_letters_over_lines() {
        assert_eq!(position("SELECT gvm", Place { line: 1, column: 8 }).as_deref(), Some("8"));
        assert_eq!(position("选\n SELECT x", Place { line: 2, column: 9 }).as_deref(), Some("11"));
        assert_eq!(position("x", Place { line: 0, column: 1 }), None);
    }
}
