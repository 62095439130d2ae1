//! `/api/ingest/{stream}`: JSON lines into the embedded log. An answer means they are durable.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidemark_pipeline::model::record::WATERMARK_HEADER;

use super::error::ApiError;
use super::state::AppState;
use crate::ingest::{IngestError, IngestSink, LineResult};

/// Largest body, in bytes; see `server.ingest-in-flight-max` for how many there may be.
const BODY_BYTES_MAX: usize = 8 * 1_048_576;
/// Time for a body to arrive, so that a client that stalls does not keep a turn.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// `POST /api/ingest/{stream}`: one record a line; answers one result a line.
///
/// With the header `tidemark-watermark: MS`, a control record follows the lines: no later record
/// will be older. With the stream's own header for load tests, `tidemark-shadow` where it names no
/// other, all lines are that.
///
/// # Errors
/// When nothing was stored: no such stream, body too large, too many at once, disk trouble.
pub async fn append_lines(
    State(state): State<Arc<AppState>>,
    Path(stream): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let sink = state.ingest.clone().ok_or(IngestError::UnknownStream { stream: stream.clone() })?;
    let busy = |_| IngestError::Busy { retry_after_s: 1 };
    // Before the body is read, because it is the bodies that take the memory.
    let turn = Arc::clone(&state.ingest_turns).try_acquire_owned().map_err(busy)?;
    let (parts, body) = request.into_parts();
    let watermark = watermark(&parts.headers)?;
    let shadow = sink.shadow_header(&stream).and_then(|name| {
        let value = parts.headers.get(name)?;
        Some((name.to_owned(), value.as_bytes().to_vec()))
    });
    if let (Some(_), Some((name, _))) = (watermark, &shadow) {
        return Err(ApiError::bad_request(format!(
            "`{WATERMARK_HEADER}` closes windows of the live space, and `{name}` marks load tests: send one of them"
        )));
    }
    let body = read(&parts.headers, body).await?;
    let writing = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        store(sink.as_ref(), &stream, &body, (watermark, shadow))
    });
    let stopped =
        |_| ApiError::Internal { message: "the log stopped while it was writing".to_owned() };
    Ok(Json(writing.await.map_err(stopped)??).into_response())
}

fn watermark(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(WATERMARK_HEADER) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        ApiError::bad_request(format!("`{WATERMARK_HEADER}` must be a time in epoch milliseconds"))
    })
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let too_large = ApiError::TooLarge { bytes_max: BODY_BYTES_MAX };
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced
        .is_some_and(|length: u64| length > u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX))
    {
        return Err(too_large);
    }
    match tokio::time::timeout(BODY_WAIT, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large),
        Err(_) => Err(ApiError::TooSlow { seconds: BODY_WAIT.as_secs() }),
    }
}

fn store(
    sink: &dyn IngestSink,
    stream: &str,
    body: &Bytes,
    (watermark, shadow): (Option<i64>, Option<(String, Vec<u8>)>),
) -> Result<Vec<Value>, IngestError> {
    let (numbers, lines): (Vec<usize>, Vec<Bytes>) = lines(body).unzip();
    let shadow = shadow.as_ref().map(|(name, value)| (name.as_str(), value.as_slice()));
    let results = sink.append(stream, lines, shadow.as_slice())?;
    let mut answer: Vec<Value> =
        numbers.iter().zip(&results).map(|(line, result)| told(Some(*line), result)).collect();
    if let Some(watermark) = watermark {
        let moved = sink.advance_watermark(stream, watermark)?;
        answer.extend(moved.iter().map(|result| told(None, result)));
    }
    Ok(answer)
}

/// Lines with their numbers from 1, without empty ones; parts of the body, not copies.
fn lines(body: &Bytes) -> impl Iterator<Item = (usize, Bytes)> {
    body.split(|byte| *byte == b'\n').enumerate().filter_map(|(nth, line)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let blank = line.iter().all(u8::is_ascii_whitespace);
        (!blank).then(|| (nth + 1, body.slice_ref(line)))
    })
}

fn told(line: Option<usize>, result: &LineResult) -> Value {
    let mut value = match result {
        LineResult::Stored { partition, offset } => {
            json!({"partition": partition, "offset": offset})
        }
        LineResult::Refused { reason } => json!({"error": reason}),
    };
    match line {
        Some(line) => value["line"] = line.into(),
        None => value["control"] = true.into(),
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_when_empty_ones_are_passed_over() {
        let body = Bytes::from_static(b"{\"a\":1}\r\n\n  \n{\"a\":2}");
        let found: Vec<(usize, Bytes)> = lines(&body).collect();
        assert_eq!(
            found,
            [(1, Bytes::from_static(b"{\"a\":1}")), (4, Bytes::from_static(b"{\"a\":2}"))]
        );
    }
}
