//! Headers that every answer carries, errors included.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::access::host_of;
use super::state::AppState;

/// What is the same for all. The page needs nothing from anywhere else, so nothing else is allowed.
const FIXED: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=()",
    ),
    (header::SERVER, "tidemark"),
];

/// Adds the security headers, and `no-store` where a handler said nothing about caching.
pub async fn add_headers(
    State(_state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let policy = content_policy(host_of(&request).as_ref());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    keep_out_of_caches(headers);
    response
}

fn keep_out_of_caches(headers: &mut HeaderMap) {
    let entry = headers.entry(header::CACHE_CONTROL);
    entry.or_insert(HeaderValue::from_static("no-store"));
}

/// The content policy. Trusted Types leave two ways to make script or markup out of text: Svelte's own
/// templates, and the address of the watchdog's worker. It names the socket's address too, because an older Safari does not count
/// `ws:` of the same host as `'self'`.
fn content_policy(host: Option<&Authority>) -> HeaderValue {
    const BEFORE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                          font-src 'self'; connect-src 'self'";
    const AFTER: &str = "; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types svelte-trusted-html tidemark";
    let plain = |host: &&Authority| {
        host.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    let sockets =
        host.filter(plain).map_or(String::new(), |host| format!(" ws://{host} wss://{host}"));
    HeaderValue::try_from(format!("{BEFORE}{sockets}{AFTER}"))
        .unwrap_or(HeaderValue::from_static("default-src 'none'"))
}
