//! Logging in from a page: a token is shown once and becomes a session in a cookie.
//!
//! ```text
//! POST /api/login {token} ─▶ cookie, HttpOnly ─▶ POST /api/ws-ticket ─▶ first message of the socket
//! ```
//! The page never keeps the token, and script cannot read the cookie. `SameSite=Strict` and the check
//! of the origin keep other sites from using it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::access::{random_text, who};
use super::error::ApiError;
use super::state::AppState;
use crate::auth::Principal;
use crate::clock::Clock;

/// Name of the cookie.
const COOKIE: &str = "tidemark_session";
/// Sessions at one time; past it the oldest go. A person or a wall has one a browser.
const SESSIONS_MAX: usize = 10_000;
/// How long a wrong token waits for its answer, so that nobody tries many.
const WRONG_WAIT: Duration = Duration::from_millis(300);

/// Who is logged in: by the hash of each cookie, until when it is good and whose it is.
#[derive(Debug)]
pub struct Sessions {
    clock: Clock,
    life_ms: i64,
    open: Mutex<HashMap<[u8; 32], (i64, Arc<Principal>)>>,
}

impl Sessions {
    /// Nobody is logged in. A session is good for `life`.
    #[must_use]
    pub fn new(clock: Clock, life: Duration) -> Self {
        let life_ms = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
        Self { clock, life_ms, open: Mutex::default() }
    }

    fn begin(&self, principal: Arc<Principal>) -> Result<String, ApiError> {
        let text = random_text()?;
        let now = self.clock.now_ms();
        let mut open = self.open.lock();
        open.retain(|_, (until, _)| *until > now);
        if open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, (until, _))| *until).map(|(hash, _)| *hash);
            oldest.map(|hash| open.remove(&hash));
        }
        open.insert(hash(&text), (now.saturating_add(self.life_ms), principal));
        Ok(text)
    }

    fn end(&self, headers: &HeaderMap) {
        if let Some(text) = cookie(headers) {
            self.open.lock().remove(&hash(text));
        }
    }

    /// Whose session the request carries the cookie of; `None` without one that is still good.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> Option<Arc<Principal>> {
        let (until, principal) = self.open.lock().get(&hash(cookie(headers)?)).cloned()?;
        (until > self.clock.now_ms()).then_some(principal)
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Body of `POST /api/login`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    token: String,
}

/// `POST /api/login`: a session for a token.
///
/// # Errors
/// When the token is wrong or the body is none.
pub async fn log_in(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    if state.doorman.lets_everyone_in() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // Its message would hold what was sent.
    let shown: Shown = serde_json::from_slice(&body)
        .map_err(|_| ApiError::bad_request("the body must be {\"token\":\"…\"}"))?;
    let Some(principal) = state.doorman.who(shown.token.trim()).await else {
        tokio::time::sleep(WRONG_WAIT).await;
        return Err(ApiError::Unauthorized);
    };
    let session = state.sessions.begin(principal)?;
    let seconds = state.config.session_life.as_secs();
    cookie_answer(&headers, &session, seconds)
}

/// `POST /api/logout`: ends the session of the cookie.
///
/// # Errors
/// Never in practice: the cookie that is cleared is always a header.
pub async fn log_out(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    state.sessions.end(&headers);
    cookie_answer(&headers, "", 0)
}

fn cookie_answer(headers: &HeaderMap, value: &str, seconds: u64) -> Result<Response, ApiError> {
    // A browser names the origin of a page with every POST; there TLS may end at a proxy.
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let secure =
        if origin.is_some_and(|origin| origin.starts_with("https://")) { "; Secure" } else { "" };
    let text =
        format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let cookie = HeaderValue::try_from(text)
        .map_err(|_| ApiError::Internal { message: "no session can be made".to_owned() })?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// `GET /api/session`: whether a page has to log in, whether it is, and as whom.
pub async fn get_session(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let needs_login = !state.doorman.lets_everyone_in();
    let principal = who(&state, &headers).await;
    let mut answer = json!({"needsLogin": needs_login, "isOpen": principal.is_some()});
    if let Some(principal) = principal.filter(|_| needs_login) {
        answer["user"] = principal.name.as_str().into();
        answer["role"] = principal.role.as_str().into();
    }
    Json(answer).into_response()
}
