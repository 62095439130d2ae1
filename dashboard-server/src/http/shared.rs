//! Shared queries: `POST /api/queries/shared`, `GET /q/{id}`, and what one is.

use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use serde_json::{Value, json};

use super::access::{self, Client};
use super::error::ApiError;
use super::pages;
use super::sql::{self, Wishes};
use super::state::AppState;
use crate::auth::{Principal, Right};
use crate::sql::{Shared, SharedError};

/// `POST /api/queries/shared`, with the body of `POST /api/sql`: the query is answered with the rows of this moment from
/// now on, at the address that comes back. Of histories what waits for its commit is committed first, so that a version has
/// it; `cut` is the one that all of it is of, `askedCut` the newest one when it was asked for: records that came in between
/// are in it too. `past` has of each table the version, the offsets and the as-of; `cut` is null where all is `AS OF` another time.
///
/// # Errors
/// When it cannot be asked, or would not answer the same again.
pub async fn share_query(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let (question, _) = sql::question(body)?;
    let id = state.sql.share(&state.shared, &principal, question).await?;
    let shared = read(&state, &id).await?;
    Ok((StatusCode::CREATED, Json(told(&id, &shared))).into_response())
}

/// `GET /api/queries/shared/{id}`: the statement, its parameters, and what its rows are true of.
///
/// # Errors
/// When there is none, or it reads what whoever asks may not see.
pub async fn get_shared(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let shared = read(&state, &id).await?;
    if !state.sql.shows_shared(&principal, &shared) {
        return Err(SharedError::Unknown { id }.into());
    }
    Ok(Json(told(&id, &shared)))
}

/// `DELETE /api/queries/shared/{id}`: by whoever shared it, or who operates the server. What it held is free.
///
/// # Errors
/// When there is none, or it is of someone else.
pub async fn remove_shared(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let shared = read(&state, &id).await?;
    if shared.author != principal.name && !principal.role.may(Right::Operate) {
        if !state.sql.shows_shared(&principal, &shared) {
            return Err(SharedError::Unknown { id }.into());
        }
        let (role, right) = (principal.role.as_str(), "removing what others shared");
        return Err(ApiError::Forbidden { role, right });
    }
    let (queries, results) = (state.shared.clone(), Arc::clone(&state.results));
    let removing = tokio::task::spawn_blocking(move || {
        let pins = results.past().map(|past| past.pins.as_ref());
        queries.remove(&id, pins)
    });
    removing.await.map_err(|_| broken())??;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /q/{id}`: to a browser the page for analysts, to others the rows, in the format they ask for. Whoever opens it
/// sees no more than it sees anyway.
///
/// # Errors
/// When there is none, whoever asks may not see its tables, or it fails.
pub async fn open_shared(
    State(state): State<Arc<AppState>>,
    ConnectInfo(from): ConnectInfo<Client>,
    version: Version,
    Path(id): Path<String>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let is_browser = accept.is_some_and(|accept| accept.contains("text/html"));
    let names_a_format = wishes.as_ref().is_ok_and(|Query(wishes)| wishes.names_a_format());
    // What else stands behind the `?` is for the page, as is its language.
    if is_browser && !names_a_format {
        return Ok(pages::get_sql(headers).await);
    }
    let Query(wishes) = wishes.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let admitted = access::who(&state, &headers, from).await?;
    let principal = &admitted.principal;
    if !principal.may(Right::Query, "/q/") {
        let (role, right) = (principal.role.as_str(), Right::Query.told());
        return Err(ApiError::Forbidden { role, right });
    }
    let format = sql::format(&wishes, &headers, Default::default())?;
    let answer = state.sql.open_shared(&state.shared, principal, &id).await?;
    sql::respond(answer, format, version, &state).await
}

async fn read(state: &AppState, id: &str) -> Result<Shared, ApiError> {
    let (queries, id) = (state.shared.clone(), id.to_owned());
    let read = tokio::task::spawn_blocking(move || queries.get(&id)).await;
    Ok(read.map_err(|_| broken())??)
}

fn broken() -> ApiError {
    ApiError::Internal { message: "shared queries cannot be read".to_owned() }
}

fn told(id: &str, shared: &Shared) -> Value {
    let past: Vec<_> = shared.tables.iter().map(|table| &table.paper).collect();
    let pinned = shared.pinned.as_ref();
    json!({
        "id": id,
        "url": format!("/q/{id}"),
        "sql": shared.sql,
        "params": shared.params,
        "author": shared.author,
        "createdAt": shared.created_at,
        "epoch": pinned.map(|pinned| &pinned.epoch),
        "cut": pinned.map(|pinned| pinned.cut),
        "askedCut": pinned.map(|pinned| pinned.asked_cut),
        "asOf": pinned.and_then(|pinned| pinned.as_of),
        "past": past,
    })
}

impl From<SharedError> for ApiError {
    fn from(error: SharedError) -> Self {
        let message = error.to_string();
        match error {
            SharedError::Sql(error) => Self::Sql(error),
            SharedError::Unknown { .. } => Self::NotFound { message },
            SharedError::NotFixed { .. } => Self::BadRequest { message },
            SharedError::NotCommitted(_) => Self::Busy { message, retry_after_s: 5 },
            SharedError::Full { .. } => Self::Refused { message },
            other => {
                tracing::error!(error = %other, "a shared query: {other}");
                Self::Internal {
                    message: "the shared query cannot be kept or read; the log says why".to_owned(),
                }
            }
        }
    }
}
