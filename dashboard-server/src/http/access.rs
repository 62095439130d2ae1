//! Who may come in: known hosts, known origins, and tokens where they are configured.
//!
//! The host check is what keeps a foreign page from reaching a loopback server through a name that
//! it points at 127.0.0.1 (DNS rebinding). An address in digits cannot be rebound, so it is fine.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::error::ApiError;
use super::state::AppState;
use crate::auth::policy::right_of;
use crate::auth::{Principal, secret};
use crate::clock::Clock;
use crate::config::ServerConfig;

/// How long a WebSocket ticket is good for.
const TICKET_MS: i64 = 30_000;
/// Tickets that may be open at one time; past it the oldest go. A wall needs one a reconnect.
const TICKETS_MAX: usize = 10_000;

/// Lets a request pass only if host, origin and its sender's role allow it; handlers find the sender as
/// [`Principal`].
///
/// # Errors
/// When one of them does not.
pub async fn check_access(
    State(state): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let host = host_of(&request).ok_or_else(|| ApiError::ForeignHost { host: String::new() })?;
    if !known_host(&host, &state.config) {
        return Err(ApiError::ForeignHost { host: host.to_string() });
    }
    check_origin(request.headers(), &host, &state.config)?;
    if let Some(right) = right_of(request.method(), request.uri().path()) {
        let principal = who(&state, request.headers()).await.ok_or(ApiError::Unauthorized)?;
        if !principal.may(right, request.uri().path()) {
            return Err(ApiError::Forbidden { role: principal.role.as_str(), right: right.told() });
        }
        request.extensions_mut().insert(principal);
    }
    Ok(next.run(request).await)
}

/// Host and port the client believes it talks to.
pub(super) fn host_of(request: &Request) -> Option<Authority> {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    match header {
        Some(host) => host.parse().ok(),
        None => request.uri().authority().cloned(),
    }
}

fn known_host(host: &Authority, config: &ServerConfig) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || config
            .origins
            .iter()
            .filter_map(|origin| authority(origin))
            .any(|known| same_host(&known, host))
}

fn same_host(left: &Authority, right: &Authority) -> bool {
    left.host().eq_ignore_ascii_case(right.host())
}

fn authority(origin: &str) -> Option<Authority> {
    origin.split_once("://").and_then(|(_, host)| host.parse().ok())
}

fn check_origin(
    headers: &HeaderMap,
    host: &Authority,
    config: &ServerConfig,
) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let text = String::from_utf8_lossy(origin.as_bytes()).to_lowercase();
    let own =
        authority(&text).is_some_and(|from| from.as_str().eq_ignore_ascii_case(host.as_str()));
    if own || config.origins.contains(&text) {
        Ok(())
    } else {
        Err(ApiError::ForeignOrigin { origin: text })
    }
}

/// Who sends a request: anyone where no key is needed, else the user of its key or of its session.
pub async fn who(state: &AppState, headers: &HeaderMap) -> Option<Arc<Principal>> {
    if state.doorman.lets_everyone_in() {
        return Some(Arc::new(Principal::anyone()));
    }
    match bearer(headers) {
        Some(key) => state.doorman.who(key).await,
        None => state.sessions.of(headers),
    }
}

/// The key that a request shows.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    shown.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim)
}

/// Tickets that each open one WebSocket: a browser cannot send a token with one, and a token in the
/// address would reach logs.
#[derive(Debug)]
pub struct Tickets {
    clock: Clock,
    open: Mutex<HashMap<String, (i64, Arc<Principal>)>>,
}

impl Tickets {
    /// No ticket is open.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, open: Mutex::default() }
    }

    /// A new ticket for someone, good for 30 s and once.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn issue(&self, principal: Arc<Principal>) -> Result<String, ApiError> {
        let ticket = random_text()?;
        let now = self.clock.now_ms();
        let mut open = self.open.lock();
        open.retain(|_, (until, _)| *until > now);
        if open.len() >= TICKETS_MAX {
            let oldest =
                open.iter().min_by_key(|(_, (until, _))| *until).map(|(ticket, _)| ticket.clone());
            oldest.map(|ticket| open.remove(&ticket));
        }
        open.insert(ticket.clone(), (now.saturating_add(TICKET_MS), principal));
        Ok(ticket)
    }

    /// Takes a ticket; `None` when it is unknown, used or too old.
    #[must_use]
    pub fn redeem(&self, ticket: &str) -> Option<Arc<Principal>> {
        let (until, principal) = self.open.lock().remove(ticket)?;
        (until > self.clock.now_ms()).then_some(principal)
    }
}

/// 256 random bits as text.
///
/// # Errors
/// When the system has none to give.
pub(super) fn random_text() -> Result<String, ApiError> {
    match secret::random_bytes::<32>() {
        Ok(bytes) => Ok(URL_SAFE_NO_PAD.encode(bytes)),
        Err(error) => {
            tracing::error!(%error, "no random bytes for a ticket: {error}");
            Err(ApiError::Internal { message: "no ticket can be made right now".to_owned() })
        }
    }
}

/// `POST /api/ws-ticket`: a ticket for the first frame of a WebSocket.
///
/// # Errors
/// When no ticket can be made.
pub async fn create_ticket(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
) -> Result<Json<Value>, ApiError> {
    let ticket = state.tickets.issue(principal)?;
    Ok(Json(json!({"ticket": ticket, "expiresInMs": TICKET_MS})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_once_and_not_after_its_time() {
        let now = Arc::new(std::sync::atomic::AtomicI64::new(0));
        let shown = Arc::clone(&now);
        let tickets =
            Tickets::new(Clock::from_fn(move || shown.load(std::sync::atomic::Ordering::Relaxed)));
        let issue = || tickets.issue(Arc::new(Principal::anyone())).expect("issues");
        let (first, second) = (issue(), issue());
        assert_eq!(tickets.redeem(&first).as_deref(), Some(&Principal::anyone()));
        assert!(tickets.redeem(&first).is_none(), "used twice");
        now.store(TICKET_MS, std::sync::atomic::Ordering::Relaxed);
        assert!(tickets.redeem(&second).is_none(), "too old");
        assert!(tickets.redeem("guess").is_none());
    }
}
