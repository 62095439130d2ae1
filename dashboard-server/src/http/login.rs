//! Logging in from a page: a key is shown once and becomes a session in a cookie.
//!
//! ```text
//! POST /api/login {token} ─▶ cookie, HttpOnly ─▶ POST /api/ws-ticket ─▶ first message of the socket
//! ```
//! The page never keeps the key, and script cannot read the cookie. `SameSite=Strict` and the check
//! of the origin keep other sites from using it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::access::{Client, DEVICE_COOKIE, SESSION_COOKIE, cookie, cookie_answer, no_random, who};
use super::error::ApiError;
use super::small::Small;
use super::state::AppState;
use crate::auth::Refusal;

/// How long a wrong key waits for its answer.
const WRONG_WAIT: Duration = Duration::from_millis(300);

/// Body of `POST /api/login`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    /// The key, NAME.SECRET; the secret alone where `user` is given.
    token: String,
    /// Name of the user.
    user: Option<String>,
}

impl Shown {
    /// The whole key. Who types a name beside a whole key means the key.
    fn key(&self) -> String {
        let token = self.token.trim();
        match self.user.as_deref().map(str::trim).filter(|user| !user.is_empty()) {
            Some(user) if !token.starts_with(&format!("{user}.")) => format!("{user}.{token}"),
            _ => token.to_owned(),
        }
    }
}

/// `POST /api/login`: a session for a key.
///
/// # Errors
/// When the key is wrong, too many were before it, or the body is none.
pub async fn log_in(
    State(state): State<Arc<AppState>>,
    ConnectInfo(from): ConnectInfo<Client>,
    headers: HeaderMap,
    Small(body): Small,
) -> Result<Response, ApiError> {
    if state.gate.doorman.anyone().is_some() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // Its message would hold what was sent.
    let shown: Shown = serde_json::from_slice(&body)
        .map_err(|_| ApiError::bad_request("the body must be {\"token\":\"…\"}"))?;
    let admitted = match state.gate.doorman.who(&shown.key(), from.address).await {
        Ok(admitted) => admitted,
        Err(refusal) => {
            tracing::warn!(address = %from.address, ?refusal, "a login from {} was refused", from.address);
            if refusal == Refusal::Unknown {
                tokio::time::sleep(WRONG_WAIT).await;
            }
            return Err(refusal.into());
        }
    };
    // Another session than before, so that none that was planted becomes one of this user.
    cookie(&headers, SESSION_COOKIE).and_then(|before| state.gate.sessions.end(before));
    let name = admitted.principal.name.clone();
    let session =
        state.gate.sessions.begin(admitted.principal).map_err(|error| no_random(&error))?;
    tracing::info!(user = name, address = %from.address, "{name} logged in from {}", from.address);
    let seconds = state.config.session_life.as_secs();
    cookie_answer(&headers, (SESSION_COOKIE, &session), seconds)
}

/// `POST /api/logout`: ends the session of the cookie, and what it has open.
///
/// # Errors
/// Never in practice: the cookie that is cleared is always a header.
pub async fn log_out(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let ended = cookie(&headers, SESSION_COOKIE).and_then(|text| state.gate.sessions.end(text));
    if let Some(principal) = ended {
        tracing::info!(user = principal.name, "{} logged out", principal.name);
    }
    cookie_answer(&headers, (SESSION_COOKIE, ""), 0)
}

/// `GET /api/session`: whether a page has to log in, whether it is, and as whom. A wall that has a cookie
/// of a device which was revoked is told so: it asks to be paired again.
pub async fn get_session(
    State(state): State<Arc<AppState>>,
    ConnectInfo(from): ConnectInfo<Client>,
    headers: HeaderMap,
) -> Response {
    let needs_login = state.gate.doorman.anyone().is_none();
    let admitted = who(&state, &headers, from).await.ok();
    let mut answer = json!({"needsLogin": needs_login, "isOpen": admitted.is_some()});
    if let Some(principal) = admitted.map(|it| it.principal).filter(|_| needs_login) {
        answer["user"] = principal.name.as_str().into();
        answer["role"] = principal.role.as_str().into();
        answer["isDevice"] = principal.is_device.into();
        if let Some(screens) = &principal.screens {
            answer["screens"] = json!(screens);
        }
    } else if needs_login && cookie(&headers, DEVICE_COOKIE).is_some() {
        answer["wasDevice"] = true.into();
    }
    Json(answer).into_response()
}
