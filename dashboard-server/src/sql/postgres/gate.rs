//! What may pass: reading statements with a checked plan, and the small talk of clients.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DFSchema, ParamValues};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SessionContext, ident, lit};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::{Set, Statement};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion_postgres::QueryHook;
use datafusion_postgres::arrow_pg::datatypes::df::encode_dataframe;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{Response, Tag};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::types::format::FormatOptions;

use super::catalogue::{plan_of_nothing, rewritten};
use super::functions::SERVER_VERSION;
use crate::config::SqlConfig;
use crate::sql::allow::{check_plan, check_sql_statement};
use crate::sql::error::SqlError;
use crate::sql::expansion::check_expansion;
use crate::sql::size::check_tables;
use crate::sql::tables::Pin;

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
/// Settings a client may read besides, and not set.
const SHOWN: [(&str, &str); 2] =
    [("server_version", SERVER_VERSION), ("transaction_read_only", "on")];

/// The first hook: whatever reaches the library has passed here.
pub(super) struct Gate {
    pin: Arc<Pin>,
    limits: SqlConfig,
}

impl Gate {
    /// Queries see the cut of `pin`, which is renewed before each of them.
    pub(super) fn new(pin: Arc<Pin>, limits: SqlConfig) -> Self {
        Self { pin, limits }
    }

    async fn checked_plan(
        &self,
        statement: &Statement,
        session: &SessionContext,
    ) -> PgWireResult<LogicalPlan> {
        check_tables(statement, &self.limits).map_err(|error| pg_error(&error))?;
        let nothing = plan_of_nothing(statement);
        if let Some(plan) = nothing.map_err(|error| pg_error(&SqlError::of_planning(&error)))? {
            return Ok(plan);
        }
        let statement = rewritten(statement.clone());
        let engine = EngineStatement::Statement(Box::new(statement));
        let plan = session.state().statement_to_plan(engine).await;
        let plan = plan.map_err(|error| pg_error(&SqlError::of_planning(&error)))?;
        check_plan(&plan).map_err(|error| pg_error(&error))?;
        check_expansion(&plan, self.limits.operators_max).map_err(|error| pg_error(&error))?;
        Ok(plan)
    }

    async fn query(
        &self,
        statement: &Statement,
        session: &SessionContext,
        format: Arc<FormatOptions>,
    ) -> PgWireResult<Response> {
        let plan = self.checked_plan(statement, session).await?;
        answer(plan, session, format).await
    }
}

async fn answer(
    plan: LogicalPlan,
    session: &SessionContext,
    format: Arc<FormatOptions>,
) -> PgWireResult<Response> {
    // The library describes an answer by the plan that it is given: this one has the types that the answer will have.
    let plan = typed(session, plan).map_err(|error| pg_error(&SqlError::of_planning(&error)))?;
    let frame = session.execute_logical_plan(plan).await;
    let frame = frame.map_err(|error| pg_error(&SqlError::of_planning(&error)))?;
    Ok(Response::Query(encode_dataframe(frame, &Format::UnifiedText, Some(format)).await?))
}

/// A plan whose types have been made alike.
///
/// # Errors
/// When they cannot be, or where a parameter has none yet.
pub(super) fn typed(
    session: &SessionContext,
    plan: LogicalPlan,
) -> Result<LogicalPlan, DataFusionError> {
    let state = session.state();
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})
}

enum Passage {
    /// Runs as a query, once its plan is checked.
    Query,
    /// The library's other hooks answer it.
    SmallTalk,
    /// A setting that never changes: its name and its value.
    Fixed(&'static str, &'static str),
    /// Nothing has to be done.
    Nothing(&'static str),
}

fn passage(statement: &Statement) -> Result<Passage, SqlError> {
    match statement {
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. } => Ok(Passage::SmallTalk),
        Statement::Set(set) => set_passage(set, statement),
        Statement::ShowVariable { variable } => {
            let words: Vec<String> =
                variable.iter().map(|word| word.value.to_lowercase()).collect();
            let name = words.join("_");
            let mut fixed = SET_WITHOUT_EFFECT.iter().chain(&SHOWN);
            if let Some((name, value)) = fixed.find(|(fixed, _)| *fixed == name) {
                return Ok(Passage::Fixed(name, value));
            }
            let known = SETTABLE.contains(&name.as_str())
                || ["time_zone", "transaction_isolation", "transaction_isolation_level"]
                    .contains(&name.as_str());
            if known { Ok(Passage::SmallTalk) } else { Err(refused(statement)) }
        }
        // Nothing is changed here, so there is nothing to go back from.
        Statement::Savepoint { .. } => Ok(Passage::Nothing("SAVEPOINT")),
        Statement::ReleaseSavepoint { .. } => Ok(Passage::Nothing("RELEASE")),
        Statement::Discard { .. } => Ok(Passage::Nothing("DISCARD ALL")),
        Statement::Deallocate { .. } => Ok(Passage::Nothing("DEALLOCATE")),
        other => check_sql_statement(other).map(|()| Passage::Query),
    }
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

fn nothing_plan() -> LogicalPlan {
    let schema = Arc::new(DFSchema::empty());
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema })
}

/// One row with the value of a setting under its name.
fn setting(name: &str, value: &str) -> PgWireResult<LogicalPlan> {
    LogicalPlanBuilder::values(vec![vec![lit(value)]])
        .and_then(|row| row.project([ident("column1").alias(name)])?.build())
        .map_err(|error| pg_error(&SqlError::of_planning(&error)))
}

#[async_trait]
impl QueryHook for Gate {
    async fn handle_simple_query(
        &self,
        statement: &Statement,
        session: &SessionContext,
        client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        match passage(statement) {
            Ok(Passage::SmallTalk) => None,
            Ok(Passage::Nothing(tag)) => Some(Ok(Response::Execution(Tag::new(tag)))),
            Ok(Passage::Fixed(name, value)) => {
                let format = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
                Some(match setting(name, value) {
                    Ok(plan) => answer(plan, session, format).await,
                    Err(error) => Err(error),
                })
            }
            Ok(Passage::Query) => {
                self.pin.renew();
                let format = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
                Some(self.query(statement, session, format).await)
            }
            Err(error) => Some(Err(pg_error(&error))),
        }
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        session: &SessionContext,
        _client: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        match passage(statement) {
            Ok(Passage::SmallTalk) => None,
            Ok(Passage::Nothing(_)) => Some(Ok(nothing_plan())),
            Ok(Passage::Fixed(name, value)) => Some(setting(name, value)),
            Ok(Passage::Query) => Some(self.checked_plan(statement, session).await),
            Err(error) => Some(Err(pg_error(&error))),
        }
    }

    async fn handle_extended_query(
        &self,
        statement: &Statement,
        plan: &LogicalPlan,
        _params: &ParamValues,
        _session: &SessionContext,
        _client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        match passage(statement) {
            Ok(Passage::SmallTalk) => None,
            Ok(Passage::Nothing(tag)) => Some(Ok(Response::Execution(Tag::new(tag)))),
            Ok(Passage::Fixed(..)) => None,
            // Checked when it was prepared; again, because nothing depends on that being so.
            Ok(Passage::Query) => match check_plan(plan) {
                Ok(()) => {
                    self.pin.renew();
                    None
                }
                Err(error) => Some(Err(pg_error(&error))),
            },
            Err(error) => Some(Err(pg_error(&error))),
        }
    }
}

/// A SQL error with its SQLSTATE, and its place where it is known.
pub(super) fn pg_error(error: &SqlError) -> PgWireError {
    let code = match error {
        SqlError::Syntax { .. } => "42601",
        SqlError::Refused { .. } => "42501",
        SqlError::TooLarge { .. } => "54001",
        SqlError::Plan { .. } => "42000",
        SqlError::Params { .. } => "22023",
        SqlError::Busy { .. } => "53300",
        SqlError::Timeout { .. } | SqlError::Cancelled => "57014",
        SqlError::Memory { .. } => "53200",
        SqlError::Row { .. } | SqlError::Rows { .. } => "54000",
        SqlError::Run { .. } => "22000",
        SqlError::Stopped => "57P01",
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
        return Some(pg_error(&SqlError::of_planning(engine)));
    }
    let parser = inner.downcast_ref::<ParserError>()?;
    let engine = DataFusionError::SQL(Box::new(parser.clone()), None);
    Some(pg_error(&SqlError::of_planning(&engine)))
}
