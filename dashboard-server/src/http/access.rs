//! Who may come in: known hosts, known origins, and tokens where they are configured.
//!
//! The host check is what keeps a foreign page from reaching a loopback server through a name that
//! it points at 127.0.0.1 (DNS rebinding). An address in digits cannot be rebound, so it is fine.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::serve::IncomingStream;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::error::ApiError;
use super::lite;
use super::state::AppState;
use crate::auth::policy::right_of;
use crate::auth::tickets::TICKET_MS;
use crate::auth::{Admitted, Principal, Shown, Views};
use crate::config::ServerConfig;
use crate::greeting::Requests;
use crate::server::Bounded;

/// Cookie of a session.
pub const SESSION_COOKIE: &str = "tidemark_session";
/// Cookie of a paired wall.
pub const DEVICE_COOKIE: &str = "tidemark_device";

/// Lets a request pass only if host, origin and its sender's role allow it; handlers find the sender as
/// [`Principal`] and [`Admitted`].
///
/// # Errors
/// When one of them does not.
pub async fn check_access(
    State(state): State<Arc<AppState>>,
    ConnectInfo(from): ConnectInfo<Client>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let is_lite = request.uri().path() == "/lite";
    match admit(&state, from, &mut request).await {
        Ok(()) => Ok(next.run(request).await),
        // A page for people refuses in words for people.
        Err(error) if is_lite => Ok(lite::refused(error)),
        Err(error) => Err(error),
    }
}

async fn admit(state: &AppState, from: Client, request: &mut Request) -> Result<(), ApiError> {
    let host = host_of(request).ok_or_else(|| ApiError::ForeignHost { host: String::new() })?;
    if !known_host(&host, &state.config) {
        return Err(ApiError::ForeignHost { host: host.to_string() });
    }
    check_origin(request.headers(), &host, &state.config)?;
    if let Some(right) = right_of(request.method(), request.uri().path()) {
        let admitted = who(state, request.headers(), from).await?;
        let principal = &admitted.principal;
        if !principal.may(right, request.uri().path()) {
            return Err(ApiError::Forbidden { role: principal.role.as_str(), right: right.told() });
        }
        check_page(state, request.method(), request.headers())?;
        request.extensions_mut().insert(Arc::clone(&admitted.principal));
        request.extensions_mut().insert(admitted);
    }
    Ok(())
}

/// A browser sends cookies by itself, and names the origin of the page with whatever changes something. What
/// changes something by a cookie and names none was not sent by our page.
fn check_page(state: &AppState, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let reads = [Method::GET, Method::HEAD].contains(method);
    let by_cookie = bearer(headers).is_none() && state.gate.doorman.anyone().is_none();
    if !reads && by_cookie && !headers.contains_key(header::ORIGIN) {
        return Err(ApiError::ForeignOrigin { origin: "none".to_owned() });
    }
    Ok(())
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

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its address; behind a proxy, the proxy's.
    pub address: IpAddr,
    /// Bytes that the system has taken for it so far.
    pub taken: Arc<AtomicU64>,
    /// Its requests.
    pub(crate) requests: Arc<Requests>,
}

impl Connected<IncomingStream<'_, Bounded>> for Client {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        let (taken, requests) = (stream.io().taken(), stream.io().requests());
        Self { address: stream.remote_addr().ip(), taken, requests }
    }
}

/// Who sends a request. A device sees the views that its screens need now.
///
/// # Errors
/// When it is nobody, or a key was shown after too many wrong ones.
pub async fn who(
    state: &AppState,
    headers: &HeaderMap,
    from: Client,
) -> Result<Admitted, ApiError> {
    let shown = Shown {
        key: bearer(headers),
        session: cookie(headers, SESSION_COOKIE),
        device: cookie(headers, DEVICE_COOKIE),
    };
    let mut admitted = state.gate.who(shown, from.address).await?;
    if let Some(screens) = &admitted.principal.screens {
        let views = state.screens.read().views_of(screens);
        let views = Views::Only(views.into_iter().collect());
        let views = views.without(&state.sql.rules_of(&admitted.principal).hidden_views());
        admitted.principal = Arc::new(Principal { views, ..(*admitted.principal).clone() });
    }
    Ok(admitted)
}

/// The key that a request shows.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    shown.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim)
}

/// The value of a cookie.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// An answer without a body that sets a cookie which script cannot read and other sites cannot use.
///
/// # Errors
/// Never in practice: what is set is always a header.
pub fn cookie_answer(
    headers: &HeaderMap,
    (name, value): (&str, &str),
    seconds: u64,
) -> Result<Response, ApiError> {
    // A browser names the origin of a page with every POST; there TLS may end at a proxy.
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let secure =
        if origin.is_some_and(|origin| origin.starts_with("https://")) { "; Secure" } else { "" };
    let text =
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let cookie = HeaderValue::try_from(text)
        .map_err(|_| ApiError::Internal { message: "no cookie can be set".to_owned() })?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// `POST /api/ws-ticket`.
///
/// # Errors
/// When no ticket can be made.
pub async fn create_ticket(
    State(state): State<Arc<AppState>>,
    Extension(admitted): Extension<Admitted>,
) -> Result<Json<Value>, ApiError> {
    let ticket = state.gate.tickets.issue(admitted).map_err(|error| no_random(&error))?;
    Ok(Json(json!({"ticket": ticket, "expiresInMs": TICKET_MS})))
}

/// What is said when the system has no random bytes to give.
pub(super) fn no_random(error: &std::io::Error) -> ApiError {
    tracing::error!(%error, "no random bytes: {error}");
    ApiError::Internal { message: "no secret can be made right now".to_owned() }
}
