//! `/api/sql`: one query, one answer, in the format the client asks for.
//!
//! The answer is held once and written as the client takes it; its head says what it is true of.

use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Handle;

use super::error::ApiError;
use super::state::AppState;
use super::subscribe::{Form, subscribed};
use crate::auth::Admitted;
use crate::sql::{Answer, Encoder, Format, Question, RowShape, SqlError, is_subscribe, past_told};

/// Largest request, in bytes. A query with its parameters is a page of text.
pub const BODY_BYTES_MAX: usize = 1_048_576;

/// Bytes that the head says of tables of the past; of more only the body does, for heads have bounds.
const PAST_BYTES_MAX: usize = 4_096;

/// The limit as a layer of the route.
pub fn body_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(BODY_BYTES_MAX)
}

/// Body of `POST /api/sql`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Asked {
    /// One statement that reads.
    sql: String,
    /// Values for `$1`, `$2`, ….
    #[serde(default)]
    params: Vec<Value>,
    /// How rows are written in JSON.
    #[serde(default)]
    rows: RowShape,
    /// A name to stop the query by.
    #[serde(default)]
    query_id: Option<String>,
}

/// What may stand behind the `?`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wishes {
    /// `json`, `csv`, `arrow` or `parquet`, where the client cannot set `Accept`.
    format: Option<String>,
    /// Whether CSV begins with a byte order mark, by which a spreadsheet knows UTF-8.
    #[serde(default)]
    bom: bool,
}

impl Wishes {
    /// Whether the address says in which format the answer is wanted.
    pub(super) fn names_a_format(&self) -> bool {
        self.format.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Csv,
    Arrow,
    Parquet,
}

impl Kind {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Json, "json", "application/json"),
        (Self::Csv, "csv", "text/csv"),
        (Self::Arrow, "arrow", "application/vnd.apache.arrow.stream"),
        (Self::Parquet, "parquet", "application/vnd.apache.parquet"),
    ];

    fn of(format: Format) -> Self {
        match format {
            Format::Json(_) => Self::Json,
            Format::Csv { .. } => Self::Csv,
            Format::Arrow => Self::Arrow,
            Format::Parquet => Self::Parquet,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// `POST /api/sql`.
///
/// # Errors
/// When the request cannot be read or the query fails.
pub async fn run_query(
    State(state): State<Arc<AppState>>,
    Extension(admitted): Extension<Admitted>,
    version: Version,
    wishes: Result<Query<Wishes>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let Query(wishes) = wishes.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let (question, rows) = question(body)?;
    if is_subscribe(&question.text) {
        return subscribed(&state, admitted, question, Form::wanted(&headers)).await;
    }
    let format = format(&wishes, &headers, rows)?;
    let answer = state.sql.ask(&admitted.principal, question).await?;
    respond(answer, format, version, &state).await
}

/// What is asked, and how rows are written in JSON.
///
/// # Errors
/// When the body is no question.
pub(super) fn question(
    body: Result<Bytes, BytesRejection>,
) -> Result<(Question, RowShape), ApiError> {
    let body = body.map_err(|_| ApiError::TooLarge { bytes_max: BODY_BYTES_MAX })?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!("the body must be {{\"sql\":\"…\",\"params\":[…]}}: {error}"))
    })?;
    let id = asked.query_id.map(checked_name).transpose()?;
    Ok((Question { text: asked.sql, params: asked.params, id }, asked.rows))
}

/// The format that is wanted.
///
/// # Errors
/// When it is not known.
pub(super) fn format(
    wishes: &Wishes,
    headers: &HeaderMap,
    rows: RowShape,
) -> Result<Format, ApiError> {
    Ok(match kind(wishes, headers)? {
        Kind::Json => Format::Json(rows),
        Kind::Csv => Format::Csv { has_mark: wishes.bom },
        Kind::Arrow => Format::Arrow,
        Kind::Parquet => Format::Parquet,
    })
}

/// An answer as it goes out.
///
/// # Errors
/// When it cannot be written.
pub(super) async fn respond(
    answer: Answer,
    format: Format,
    version: Version,
    state: &AppState,
) -> Result<Response, ApiError> {
    let kind = Kind::of(format);
    let papers = papers(&answer);
    // A client that speaks HTTP/1.0 knows by the length alone that it has all of it.
    let is_whole = version < Version::HTTP_11;
    let body = written(answer, format, is_whole, state.sql.runtime().clone()).await?;
    let kind = HeaderValue::from_static(kind.content_type());
    Ok(([(header::CONTENT_TYPE, kind)], papers, body).into_response())
}

/// A name that can stand in an address.
///
/// # Errors
/// When it is too short, too long or of other letters.
pub(super) fn checked_name(name: String) -> Result<String, ApiError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain && (8..=64).contains(&name.len()) {
        return Ok(name);
    }
    Err(ApiError::bad_request("queryId is 8 to 64 letters, digits and `-`"))
}

fn kind(wishes: &Wishes, headers: &HeaderMap) -> Result<Kind, ApiError> {
    if let Some(wanted) = &wishes.format {
        let known = Kind::ALL.into_iter().find(|(_, word, _)| word == wanted);
        let unknown = || ApiError::NotAcceptable { accept: wanted.clone() };
        return known.map(|(kind, ..)| kind).ok_or_else(unknown);
    }
    let accept =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
    for wanted in accept.split(',').map(|kind| kind.split(';').next().unwrap_or("").trim()) {
        if matches!(wanted, "application/*" | "*/*" | "") {
            return Ok(Kind::Json);
        }
        if let Some((kind, ..)) = Kind::ALL.into_iter().find(|(_, _, name)| *name == wanted) {
            return Ok(kind);
        }
    }
    Err(ApiError::NotAcceptable { accept: accept.to_owned() })
}

/// What an answer is true of, for its head.
fn papers(answer: &Answer) -> HeaderMap {
    let mut papers = HeaderMap::new();
    let mut tell = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            papers.insert(HeaderName::from_static(name), value);
        }
    };
    tell("x-tidemark-cut", answer.cut.to_string());
    tell("x-tidemark-truncated", answer.truncated.to_string());
    tell("x-tidemark-epoch", answer.epoch.clone());
    tell("x-tidemark-query", answer.query.clone());
    if let Some(past) = past_told(&answer.past).filter(|past| past.len() <= PAST_BYTES_MAX) {
        tell("x-tidemark-past", past);
    }
    if let Some(limit) = answer.limit {
        tell("x-tidemark-limit", limit.to_string());
    }
    if let Some(as_of) = answer.as_of {
        tell("x-tidemark-as-of", as_of.to_string());
    }
    if let Some(watermark) = answer.watermark {
        tell("x-tidemark-watermark", watermark.to_string());
    }
    papers
}

/// The answer as a body: one piece where it is small or has to be, else piece by piece. Pieces are made on the
/// threads of queries, because a hundred thousand rows take longer than those that serve people have; and none
/// is made before it is wanted, so that a slow client keeps no thread.
async fn written(
    answer: Answer,
    format: Format,
    is_whole: bool,
    runtime: Handle,
) -> Result<Body, ApiError> {
    let beginning = runtime.spawn_blocking(move || {
        let mut encoder = Encoder::new(answer, format)?;
        let mut bytes = encoder.piece()?.unwrap_or_default();
        while is_whole && !encoder.is_over() {
            bytes.extend(encoder.piece()?.unwrap_or_default());
        }
        Ok((bytes, encoder))
    });
    let begun: Result<(Vec<u8>, Encoder), SqlError> =
        beginning.await.unwrap_or(Err(SqlError::Stopped));
    let (first, encoder) = begun?;
    if encoder.is_over() {
        return Ok(Body::from(first));
    }
    let rest = futures::stream::unfold(Some(encoder), move |encoder| {
        let runtime = runtime.clone();
        async move { following(encoder?, &runtime).await }
    });
    // What compresses a body asks once more after its end.
    let rest = rest.fuse();
    let first = futures::stream::iter([Ok(Bytes::from(first))]);
    Ok(Body::from_stream(first.chain(rest)))
}

/// The next piece; one that cannot be written breaks the connection off, because the head has long been sent.
async fn following(
    mut encoder: Encoder,
    runtime: &Handle,
) -> Option<(io::Result<Bytes>, Option<Encoder>)> {
    let writing = runtime.spawn_blocking(move || (encoder.piece(), encoder));
    match writing.await {
        Ok((Ok(Some(piece)), encoder)) => Some((Ok(Bytes::from(piece)), Some(encoder))),
        Ok((Ok(None), _)) => None,
        Ok((Err(error), _)) => Some((Err(io::Error::other(error)), None)),
        Err(error) => Some((Err(io::Error::other(error)), None)),
    }
}
