//! `/api/queries`: what runs and what ran, whichever door it came through; and stopping one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::error::ApiError;
use super::sql::checked_name;
use super::state::AppState;
use crate::auth::Principal;
use crate::sql::{Ran, Running, Watch};

/// Queries of the log that are told; the table `query_log` has them all.
const LOG_TOLD: usize = 100;

/// `GET /api/queries`: those that run, and the newest of those that ran.
///
/// Who operates the server sees everybody's, others their own.
pub async fn list_queries(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
) -> Json<Value> {
    let (queries, watch) = (state.sql.queries(), Watch::of(&principal));
    let running: Vec<Value> =
        queries.running(&watch).iter().map(|query| entry(query, query.ran_ms())).collect();
    let log: Vec<Value> = queries.log(&watch).iter().take(LOG_TOLD).map(ended).collect();
    Json(json!({"running": running, "log": log}))
}

/// `DELETE /api/queries/{id}`: stops a query. What it holds is free within a second.
///
/// # Errors
/// When none of this name runs.
pub async fn stop_query(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = checked_name(id)?;
    if state.sql.queries().stop(&id, &Watch::of(&principal)) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(format!("no query named {id} runs; GET /api/queries lists them")))
}

fn entry(query: &Running, ms: i64) -> Value {
    json!({
        "id": query.id,
        "door": query.door.as_str(),
        "who": query.who,
        "beganAt": query.began_at,
        "ms": ms,
        "statement": query.statement,
    })
}

fn ended(ran: &Ran) -> Value {
    let mut entry = entry(&ran.query, ran.took_ms);
    entry["rows"] = ran.rows.into();
    entry["outcome"] = ran.outcome.into();
    entry
}
