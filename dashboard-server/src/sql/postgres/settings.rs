//! What a setting is said to be, and the one that cannot be another: by whose clock times are told.

use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{ident, lit};
use datafusion_postgres::pgwire::api::results::{Response, Tag};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use tidemark_pipeline::model::Zone;

use super::error::pg_error;
use crate::sql::error::SqlError;

/// One row with the value of a setting under its name.
///
/// # Errors
/// DataFusion's, when it cannot be planned.
pub(super) fn setting(name: &str, value: &str) -> PgWireResult<LogicalPlan> {
    LogicalPlanBuilder::values(vec![vec![lit(value)]])
        .and_then(|row| row.project([ident("column1").alias(name)])?.build())
        .map_err(|error| pg_error(&SqlError::of_planning(&error)))
}

/// One row with the zone by whose clock times are told.
///
/// # Errors
/// As [`setting`].
pub(super) fn time_zone(zone: Zone) -> PgWireResult<LogicalPlan> {
    setting("TimeZone", zone.name())
}

/// A zone that a client asks for is the one there is, or refused: an answer by another clock than its client thinks would
/// be a wrong one.
///
/// # Errors
/// When it is another.
pub(super) fn set_time_zone(zone: Zone, asked: &str) -> PgWireResult<Response> {
    let is_default = ["default", "local"].iter().any(|word| asked.eq_ignore_ascii_case(word));
    let is_same = || {
        asked.eq_ignore_ascii_case(zone.name())
            || Zone::named(asked).is_ok_and(|asked| asked == zone)
    };
    if is_default || is_same() {
        return Ok(Response::Execution(Tag::new("SET")));
    }
    let zone = zone.name();
    let told = format!(
        "times are told by the clock of the streams, {zone}, and by no other: leave SET timezone out, and write AT TIME ZONE \
         '{asked}' where another clock is meant"
    );
    let info = ErrorInfo::new("ERROR".to_owned(), "0A000".to_owned(), told);
    Err(PgWireError::UserError(Box::new(info)))
}
