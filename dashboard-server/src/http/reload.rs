//! `/api/reload`: views added, changed and removed without a stop.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::state::AppState;

/// `POST /api/reload`: reads the SQL folder again and answers what that adds, changes and removes.
///
/// # Errors
/// When the folder has a mistake; nothing is changed then.
pub async fn reload_sql(State(state): State<Arc<AppState>>) -> Result<Response, ApiError> {
    let missing =
        || ApiError::not_found("this server has no pipeline whose SQL could be read again");
    let reload = state.reload.clone().ok_or_else(missing)?;
    let reloading = tokio::task::spawn_blocking(move || reload.reload());
    let stopped = |_| ApiError::Internal { message: "the reload was stopped".to_owned() };
    match reloading.await.map_err(stopped)? {
        Ok(reloaded) => Ok(Json(reloaded).into_response()),
        Err(refused) => Err(ApiError::Refused { message: refused.to_string() }),
    }
}
