//! Errors as a PostgreSQL client knows them: in our words, with a code of five letters and the place.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};

use crate::sql::error::SqlError;

/// A SQL error with its SQLSTATE, and its place where it is known.
pub(super) fn pg_error(error: &SqlError) -> PgWireError {
    let code = match error {
        SqlError::Syntax { .. } => "42601",
        SqlError::Refused { .. } => "42501",
        SqlError::TooLarge { .. } => "54001",
        SqlError::Plan { .. } => "42000",
        SqlError::NotLive { .. } => "0A000",
        SqlError::Params { .. } => "22023",
        SqlError::Busy { .. } => "53300",
        SqlError::Timeout { .. } | SqlError::Cancelled => "57014",
        SqlError::Memory { .. } => "53200",
        SqlError::Row { .. } | SqlError::Rows { .. } => "54000",
        SqlError::Run { .. } => "22000",
        SqlError::Stopped => "57P01",
        SqlError::Restoring => "57P03",
    };
    let mut info = ErrorInfo::new("ERROR".to_owned(), code.to_owned(), error.to_string());
    info.detail =
        error.place().map(|place| format!("line {}, column {}", place.line, place.column));
    PgWireError::UserError(Box::new(info))
}

/// The library hands the engine's errors on as they are; this puts them into our words.
pub(super) fn told(error: &PgWireError) -> Option<PgWireError> {
    let PgWireError::ApiError(inner) = error else { return None };
    if let Some(engine) = inner.downcast_ref::<DataFusionError>() {
        if let DataFusionError::ResourcesExhausted(message) = engine.find_root() {
            let message = format!("{message}; ask for less, or raise sql.memory-bytes-max");
            let info = ErrorInfo::new("ERROR".to_owned(), "53200".to_owned(), message);
            return Some(PgWireError::UserError(Box::new(info)));
        }
        return Some(pg_error(&SqlError::of_planning(engine)));
    }
    let parser = inner.downcast_ref::<ParserError>()?;
    let engine = DataFusionError::SQL(Box::new(parser.clone()), None);
    Some(pg_error(&SqlError::of_planning(&engine)))
}
