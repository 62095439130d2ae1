//! While a request is being answered, its connection knows it: what comes then is its body, or another language, and no head.

use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt as _;

use super::access::Client;

/// Counts a request from its head to the last byte of its answer; around everything else.
pub async fn count_request(
    ConnectInfo(client): ConnectInfo<Client>,
    asked: Request,
    next: Next,
) -> Response {
    let request = client.requests.begin();
    let answer = next.run(asked).await;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        request.is_the_last();
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    if body.is_end_stream() {
        return Response::from_parts(parts, body);
    }
    // A stream does not tell how long it is.
    if let Some(bytes) = body.size_hint().exact() {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert(bytes.into());
    }
    let pieces = body.into_data_stream().map(move |piece| {
        let _until_it_ends = &request;
        piece
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}
