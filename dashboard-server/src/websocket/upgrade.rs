//! `GET /api/ws`: from HTTP to a WebSocket. Origin and host are checked before this is reached.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::response::Response;

use super::protocol::INBOUND_BYTES_MAX;
use super::session::{self, SessionOptions};
use crate::auth::{Principal, Right};
use crate::http::access;
use crate::http::state::AppState;

/// Read buffer of one viewer: they say little, and ten thousand of them say it.
const READ_BUFFER_BYTES: usize = 2_048;
/// Write buffer of one viewer; larger frames are written in parts.
const WRITE_BUFFER_BYTES: usize = 16_384;

/// Takes up the WebSocket.
pub async fn upgrade_viewer(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    // A cookie alone opens no socket: a page shows a ticket. A program may show its key.
    let shown = match access::bearer(&headers) {
        _ if state.doorman.lets_everyone_in() => Some(Arc::new(Principal::anyone())),
        Some(key) => {
            state.doorman.who(key).await.filter(|principal| principal.role.may(Right::Look))
        }
        None => None,
    };
    let options = SessionOptions {
        ping_every: state.config.ping_every,
        write_timeout: state.config.write_timeout,
        principal: shown,
        tickets: Arc::clone(&state.tickets),
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
