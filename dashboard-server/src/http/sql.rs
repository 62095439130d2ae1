//! `/api/sql`: one query, one answer, in the format the client asks for.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use super::state::AppState;
use crate::auth::Principal;
use crate::sql::{Answer, RowShape, SqlError, write_arrow, write_csv, write_json};

/// Largest request, in bytes. A query with its parameters is a page of text.
pub const BODY_BYTES_MAX: usize = 1_048_576;

/// The limit as a layer of the route.
pub fn body_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(BODY_BYTES_MAX)
}

/// Body of `POST /api/sql`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// One statement that reads.
    sql: String,
    /// Values for `$1`, `$2`, ….
    #[serde(default)]
    params: Vec<Value>,
    /// How rows are written in JSON.
    #[serde(default)]
    rows: RowShape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Arrow,
}

/// `POST /api/sql`.
///
/// # Errors
/// When the request cannot be read or the query fails.
pub async fn run_query(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let format = format(&headers)?;
    let body = body.map_err(|_| ApiError::TooLarge { bytes_max: BODY_BYTES_MAX })?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!("the body must be {{\"sql\":\"…\",\"params\":[…]}}: {error}"))
    })?;
    let answer = state.sql.query_as(&principal, asked.sql, asked.params).await?;
    // Writing a hundred thousand rows takes longer than the threads that serve people have.
    let writing = state.sql.runtime().spawn_blocking(move || written(&answer, format, asked.rows));
    writing.await.unwrap_or(Err(ApiError::Sql(SqlError::Stopped)))
}

fn format(headers: &HeaderMap) -> Result<Format, ApiError> {
    let accept =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
    for kind in accept.split(',').map(|kind| kind.split(';').next().unwrap_or("").trim()) {
        match kind {
            "text/csv" => return Ok(Format::Csv),
            "application/vnd.apache.arrow.stream" => return Ok(Format::Arrow),
            "application/json" | "application/*" | "*/*" | "" => return Ok(Format::Json),
            _ => {}
        }
    }
    Err(ApiError::NotAcceptable { accept: accept.to_owned() })
}

fn written(answer: &Answer, format: Format, shape: RowShape) -> Result<Response, ApiError> {
    let unwritable = |error: arrow::error::ArrowError| SqlError::Run { message: error.to_string() };
    let (kind, body) = match format {
        Format::Json => ("application/json", write_json(answer, shape).into_bytes()),
        Format::Csv => {
            ("text/csv; charset=utf-8", write_csv(answer).map_err(unwritable)?.into_bytes())
        }
        Format::Arrow => {
            ("application/vnd.apache.arrow.stream", write_arrow(answer).map_err(unwritable)?)
        }
    };
    let mut response = ([(header::CONTENT_TYPE, kind)], body).into_response();
    let headers = response.headers_mut();
    headers.insert("x-tidemark-cut", HeaderValue::from(answer.cut));
    let truncated = if answer.truncated { "true" } else { "false" };
    headers.insert("x-tidemark-truncated", HeaderValue::from_static(truncated));
    if let Ok(epoch) = HeaderValue::from_str(&answer.epoch) {
        headers.insert("x-tidemark-epoch", epoch);
    }
    Ok(response)
}
