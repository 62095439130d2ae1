//! Who may come in: known hosts, known origins, and tokens where they are configured.
//!
//! The host check is what keeps a foreign page from reaching a loopback server through a name that
//! it points at 127.0.0.1 (DNS rebinding). An address in digits cannot be rebound, so it is fine.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::error::ApiError;
use super::login::is_let_in;
use super::state::AppState;
use crate::clock::Clock;
use crate::config::{ServerConfig, TokenHash};

/// How long a WebSocket ticket is good for.
const TICKET_MS: i64 = 30_000;
/// Tickets that may be open at one time; past it the oldest go. A wall needs one a reconnect.
const TICKETS_MAX: usize = 10_000;

/// Lets a request pass only if host, origin and token allow it.
///
/// # Errors
/// When one of them does not.
pub async fn check_access(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let host = host_of(&request).ok_or_else(|| ApiError::ForeignHost { host: String::new() })?;
    if !known_host(&host, &state.config) {
        return Err(ApiError::ForeignHost { host: host.to_string() });
    }
    check_origin(request.headers(), &host, &state.config)?;
    let open = is_open(request.uri().path()) || state.config.tokens.is_empty();
    if !open && !is_let_in(&state, request.headers()) {
        return Err(ApiError::Unauthorized);
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

/// What holds no figure: the page itself, its way in, and what probes ask. The WebSocket has its ticket.
fn is_open(path: &str) -> bool {
    let open = ["/api/ws", "/api/session", "/api/login", "/api/logout"];
    let guarded = ["/api/", "/metrics", "/lite"];
    open.contains(&path) || !guarded.iter().any(|prefix| path.starts_with(prefix))
}

/// Whether the request shows one of `tokens`.
#[must_use]
pub fn bears_token(headers: &HeaderMap, tokens: &[TokenHash]) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|token| is_token(token.trim(), tokens))
}

/// Whether `token` is one of `tokens`. Takes the same time for every wrong one.
#[must_use]
pub fn is_token(token: &str, tokens: &[TokenHash]) -> bool {
    let shown: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    tokens.iter().fold(false, |found, known| found | same_bytes(&shown, &known.0))
}

fn same_bytes(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().zip(right).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// Tickets that each open one WebSocket: a browser cannot send a token with one, and a token in the
/// address would reach logs.
#[derive(Debug)]
pub struct Tickets {
    clock: Clock,
    open: Mutex<HashMap<String, i64>>,
}

impl Tickets {
    /// No ticket is open.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, open: Mutex::default() }
    }

    /// A new ticket, good for 30 s and once.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn issue(&self) -> Result<String, ApiError> {
        let ticket = random_text()?;
        let now = self.clock.now_ms();
        let mut open = self.open.lock();
        open.retain(|_, until| *until > now);
        if open.len() >= TICKETS_MAX {
            let oldest =
                open.iter().min_by_key(|(_, until)| **until).map(|(ticket, _)| ticket.clone());
            oldest.map(|ticket| open.remove(&ticket));
        }
        open.insert(ticket.clone(), now.saturating_add(TICKET_MS));
        Ok(ticket)
    }

    /// Takes a ticket; false when it is unknown, used or too old.
    #[must_use]
    pub fn redeem(&self, ticket: &str) -> bool {
        let until = self.open.lock().remove(ticket);
        until.is_some_and(|until| until > self.clock.now_ms())
    }
}

/// 256 random bits as text.
///
/// # Errors
/// When the system has none to give.
pub(super) fn random_text() -> Result<String, ApiError> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 32];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => Ok(URL_SAFE_NO_PAD.encode(bytes)),
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
pub async fn create_ticket(State(state): State<Arc<AppState>>) -> Result<Json<Value>, ApiError> {
    let ticket = state.tickets.issue()?;
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
        let (first, second) = (tickets.issue().expect("issues"), tickets.issue().expect("issues"));
        assert!(tickets.redeem(&first));
        assert!(!tickets.redeem(&first), "used twice");
        now.store(TICKET_MS, std::sync::atomic::Ordering::Relaxed);
        assert!(!tickets.redeem(&second), "too old");
        assert!(!tickets.redeem("guess"));
    }

    #[test]
    fn a_token_is_known_by_its_hash() {
        let hash: [u8; 32] = Sha256::digest(b"sesame").into();
        assert!(is_token("sesame", &[TokenHash([0; 32]), TokenHash(hash)]));
        assert!(!is_token("sesam", &[TokenHash(hash)]));
        assert!(!is_token("sesame", &[]));
    }
}
