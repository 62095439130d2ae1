//! Our errors as gRPC has them.

use arrow_flight::error::FlightError;
use tonic::Status;

use crate::sql::error::SqlError;

/// A SQL error with its code for programs, and its place where it is known.
pub(super) fn status(error: &SqlError) -> Status {
    let mut told = error.to_string();
    if let Some(place) = error.place() {
        told = format!("{told} (line {}, column {})", place.line, place.column);
    }
    let mut status = match error {
        SqlError::Syntax { .. }
        | SqlError::Plan { .. }
        | SqlError::NotLive { .. }
        | SqlError::Params { .. }
        | SqlError::TooLarge { .. }
        | SqlError::Run { .. } => Status::invalid_argument(told),
        SqlError::Refused { .. } => Status::permission_denied(told),
        SqlError::Busy { .. }
        | SqlError::Memory { .. }
        | SqlError::Row { .. }
        | SqlError::Rows { .. } => Status::resource_exhausted(told),
        SqlError::Timeout { .. } => Status::deadline_exceeded(told),
        SqlError::Cancelled => Status::cancelled(told),
        SqlError::Stopped | SqlError::Restoring => Status::unavailable(told),
    };
    if let Ok(code) = error.code().parse() {
        status.metadata_mut().insert("x-tidemark-code", code);
    }
    status
}

/// As [`status`], within a stream of rows.
pub(super) fn in_stream(error: &SqlError) -> FlightError {
    FlightError::Tonic(Box::new(status(error)))
}

/// What the library says when it cannot encode or decode.
pub(super) fn of_flight(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        error => Status::invalid_argument(error.to_string()),
    }
}

/// A handle or ticket that is not known.
pub(super) fn unknown_handle() -> Status {
    Status::not_found(
        "this handle is not known: it is another user's, was used, or is too old; ask again",
    )
}
