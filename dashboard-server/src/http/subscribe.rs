//! `/api/sql/subscribe`: a query that is kept up to date, as server-sent events or as JSON, a frame a line.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

use super::error::ApiError;
use super::sql::{BODY_BYTES_MAX, checked_name};
use super::state::AppState;
use crate::auth::Admitted;
use crate::closing::{Closing, Guest};
use crate::sql::{Question, Subscribed, refused};
use crate::websocket::hub::Hub;
use crate::websocket::protocol;

/// How long nothing is said where nothing changes; then it is said how far the figures are.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Body of `POST /api/sql/subscribe`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Asked {
    /// A query over one view.
    sql: String,
    /// Values for `$1`, `$2`, ….
    #[serde(default)]
    params: Vec<Value>,
    /// A name to stop it by.
    #[serde(default)]
    query_id: Option<String>,
}

/// What may stand behind the `?`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wishes {
    /// `frame` where a query that is refused is to be told of in a frame, the only one, with status 200: a browser tells
    /// its user of every other status as of a fault, and a page asks to find out whether it can.
    refusals: Option<Refusals>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Refusals {
    Frame,
}

/// How frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `data: …` and an empty line.
    Events,
    /// A line each.
    Lines,
}

impl Form {
    /// The one that a client wants: lines, unless it asks for events.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let wants = |accept: &str| accept.split(',').any(|one| one.trim().starts_with(EVENTS));
        if accept.is_some_and(wants) { Self::Events } else { Self::Lines }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Events => EVENTS,
            Self::Lines => "application/x-ndjson",
        }
    }

    fn written(self, frame: &str) -> Bytes {
        match self {
            Self::Events => format!("data: {frame}\n\n").into(),
            Self::Lines => format!("{frame}\n").into(),
        }
    }
}

const EVENTS: &str = "text/event-stream";

/// `POST /api/sql/subscribe`.
///
/// # Errors
/// When the request cannot be read, or the query is wrong or cannot be kept up to date.
pub async fn subscribe_query(
    State(state): State<Arc<AppState>>,
    Extension(admitted): Extension<Admitted>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let Query(wishes) = wishes.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let body = body.map_err(|_| ApiError::TooLarge { bytes_max: BODY_BYTES_MAX })?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!("the body must be {{\"sql\":\"…\",\"params\":[…]}}: {error}"))
    })?;
    let id = asked.query_id.map(checked_name).transpose()?;
    let question = Question { text: asked.sql, params: asked.params, id };
    let form = Form::wanted(&headers);
    match (subscribed(&state, admitted, question, form).await, wishes.refusals) {
        (Err(ApiError::Sql(error)), Some(Refusals::Frame)) => {
            let kind = HeaderValue::from_static(form.content_type());
            let only = form.written(&refused("", &error));
            Ok(([(header::CONTENT_TYPE, kind)], only).into_response())
        }
        (answered, _) => answered,
    }
}

/// The answer to a query that is subscribed to: frames until someone has enough.
///
/// # Errors
/// When the query is wrong or cannot be kept up to date.
pub(super) async fn subscribed(
    state: &AppState,
    admitted: Admitted,
    question: Question,
    form: Form,
) -> Result<Response, ApiError> {
    let subscribed = state.sql.subscribe(&admitted.principal, (question, None)).await?;
    let name = HeaderValue::try_from(subscribed.name());
    let lines = Lines {
        subscribed,
        admitted,
        closing: state.closing.clone(),
        hub: Arc::clone(&state.hub),
        quiet_since: Instant::now(),
        ended: false,
        _guest: state.guest.clone(),
    };
    let mut response = Response::new(Body::from_stream(written(lines, form)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    // What compresses or gathers an answer would keep the newest frame to itself.
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if let Ok(name) = name {
        headers.insert("x-tidemark-query", name);
    }
    Ok(response)
}

struct Lines {
    subscribed: Subscribed,
    admitted: Admitted,
    closing: Closing,
    hub: Arc<Hub>,
    quiet_since: Instant,
    ended: bool,
    /// Shutdown waits for this stream as for a socket.
    _guest: Guest,
}

fn written(
    lines: Lines,
    form: Form,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + use<> {
    futures::stream::unfold(lines, move |mut lines| async move {
        let frame = lines.next().await?;
        Some((Ok(form.written(&frame)), lines))
    })
    .fuse()
}

impl Lines {
    /// The next frame, once the one before has been taken: whoever reads slowly gets fewer.
    async fn next(&mut self) -> Option<String> {
        let mut told = tokio::time::interval_at(self.quiet_since + PROGRESS_EVERY, PROGRESS_EVERY);
        told.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.ended || self.subscribed.is_over() {
                return None;
            }
            if let Some(frame) = self.subscribed.frame() {
                self.quiet_since = Instant::now();
                return Some(frame);
            }
            tokio::select! {
                () = self.closing.begun() => {
                    self.ended = true;
                    return Some(self.hub.bye().to_string());
                }
                () = self.admitted.stay.over() => {
                    self.ended = true;
                    return Some(protocol::SESSION_ENDED.to_owned());
                }
                () = self.subscribed.changed() => {}
                _ = told.tick() => {
                    self.quiet_since = Instant::now();
                    if let Some(progress) = self.subscribed.progress() {
                        return Some(progress);
                    }
                }
            }
        }
    }
}
