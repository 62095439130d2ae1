//! `GET /api/ws`: from HTTP to a WebSocket. Origin and host are checked before this is reached.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};

use super::protocol::INBOUND_BYTES_MAX;
use super::session::{self, SessionOptions};
use crate::auth::{Refusal, Right, Shown};
use crate::http::access::{self, Client};
use crate::http::error::ApiError;
use crate::http::state::AppState;

/// Read buffer of one viewer: they say little, and ten thousand of them say it.
const READ_BUFFER_BYTES: usize = 2_048;
/// Write buffer of one viewer; larger frames are written in parts.
const WRITE_BUFFER_BYTES: usize = 16_384;

/// Takes up the WebSocket.
pub async fn upgrade_viewer(
    State(state): State<Arc<AppState>>,
    ConnectInfo(from): ConnectInfo<Client>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    // A cookie alone opens no socket: a page shows a ticket. A program may show its key.
    let shown = Shown { key: access::bearer(&headers), ..Shown::default() };
    let admitted = match state.gate.who(shown, from.address).await {
        Ok(admitted) => Some(admitted),
        Err(Refusal::Unknown) => None,
        Err(too_many) => return ApiError::from(too_many).into_response(),
    };
    let admitted = admitted.filter(|admitted| admitted.principal.role.may(Right::Look));
    let options = SessionOptions {
        ping_every: state.config.ping_every,
        write_timeout: state.config.write_timeout,
        taken: from.taken,
        admitted,
        gate: Arc::clone(&state.gate),
        sql: state.sql.clone(),
        closing: state.closing.clone(),
    };
    let hub = Arc::clone(&state.hub);
    let guest = state.guest.clone();
    upgrade
        .max_message_size(INBOUND_BYTES_MAX)
        .max_frame_size(INBOUND_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(async move |socket| {
            session::run(socket, hub, options).await;
            // Shutdown waits until the last guest has left.
            drop(guest);
        })
}
