//! `/api/events`: the frames of the WebSocket as server-sent events, for networks that block those.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::Utf8Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use tidemark_pipeline::results::Cut;
use tokio::sync::watch;

use super::error::ApiError;
use super::state::AppState;
use crate::auth::{Admitted, Principal};
use crate::closing::{Closing, Guest};
use crate::websocket::hub::Hub;
use crate::websocket::protocol::{self, Resume};
use crate::websocket::viewer::{Viewer, Wish};

/// Query of `GET /api/events`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Names of views with commas between; all if not given.
    views: Option<String>,
    /// Only the newest so many rows at first.
    last: Option<usize>,
    /// `live` or `shadow`; `live` if not given.
    space: Option<String>,
}

/// `GET /api/events?views=a,b&last=N&space=live`.
///
/// The last event of each cut has an id; a browser that comes back sends it, and goes on from there.
///
/// # Errors
/// When a view does not exist or the query cannot be read.
pub async fn stream_events(
    State(state): State<Arc<AppState>>,
    Extension(admitted): Extension<Admitted>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let from = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(resume);
    let principal = Arc::clone(&admitted.principal);
    let hello = state.hub.hello(&principal.views);
    let mut viewer = Viewer::new(Arc::clone(&state.hub));
    viewer.is_of(&principal);
    let wish = Wish { space: wanted.space.as_deref(), last: wanted.last, from: from.as_ref() };
    for name in names(&state, &principal, wanted.views.as_deref()) {
        viewer.subscribe(&name, &wish).map_err(|error| ApiError::not_found(error.to_string()))?;
    }
    let mut response = Response::new(Body::from_stream(events(&state, viewer, &hello, admitted)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather an answer before they pass it on would gather for ever.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn names(state: &AppState, principal: &Principal, wanted: Option<&str>) -> Vec<String> {
    match wanted {
        Some(list) => list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        None => {
            let views = state.results.views();
            let seen = views.iter().filter(|view| principal.views.has(&view.name));
            seen.map(|view| view.name.clone()).collect()
        }
    }
}

/// An id is `EPOCH/CUT`.
fn resume(id: &str) -> Option<Resume> {
    let (epoch, cut) = id.rsplit_once('/')?;
    Some(Resume { epoch: epoch.to_owned(), cut: cut.parse().ok()? })
}

struct Events {
    hub: Arc<Hub>,
    viewer: Viewer,
    cuts: watch::Receiver<Arc<Cut>>,
    status: watch::Receiver<Utf8Bytes>,
    closing: Closing,
    admitted: Admitted,
    ready: VecDeque<Bytes>,
    ended: bool,
    /// Shutdown waits for this stream as for a socket.
    _guest: Guest,
}

fn events(
    state: &AppState,
    viewer: Viewer,
    hello: &Utf8Bytes,
    admitted: Admitted,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + use<> {
    let mut events = Events {
        hub: Arc::clone(&state.hub),
        viewer,
        cuts: state.results.watch(),
        status: state.hub.watch_status(),
        closing: state.closing.clone(),
        admitted,
        ready: VecDeque::new(),
        ended: false,
        _guest: state.guest.clone(),
    };
    events.push(hello, None);
    events.push_changes();
    futures::stream::unfold(events, |mut events| async move {
        let bytes = events.next().await?;
        Some((Ok(bytes), events))
    })
    .fuse()
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            self.wait().await;
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = self.closing.begun() => {
                let bye = self.hub.bye();
                self.push(&bye, None);
                self.ended = true;
            }
            () = self.admitted.stay.over() => {
                self.push(&Utf8Bytes::from_static(protocol::SESSION_ENDED), None);
                self.ended = true;
            }
            _ = self.cuts.changed() => self.push_changes(),
            _ = self.status.changed() => {
                let all = self.status.borrow_and_update().clone();
                let status = self.hub.status_for(&self.admitted.principal.views, all);
                // As over a WebSocket, the figures it speaks of come first.
                self.push_changes();
                self.push(&status, None);
            }
        }
    }

    /// A torn group must not look complete, so only its last frame carries the id.
    fn push_changes(&mut self) {
        let cut = Arc::clone(&self.cuts.borrow_and_update());
        let mut frames = self.viewer.frames(&cut);
        let last = frames.pop();
        for frame in &frames {
            self.push(frame, None);
        }
        if let Some(last) = last {
            let id = format!("{}/{}", self.hub.results().epoch(), cut.cut);
            self.push(&last, Some(&id));
        }
    }

    /// The frame goes as it is, shared with everyone else who gets it.
    fn push(&mut self, frame: &Utf8Bytes, id: Option<&str>) {
        let head = id.map_or("data: ".to_owned(), |id| format!("id: {id}\ndata: "));
        self.ready.push_back(Bytes::from(head));
        self.ready.push_back(Bytes::from(frame.clone()));
        self.ready.push_back(Bytes::from_static(b"\n\n"));
    }
}
