//! `/api/ledgers/{ledger}`: the entries of a ledger as JSON lines, their removal, and the way back of
//! corrected records into an embedded log.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidemark_pipeline::ledger::{Entry, EntryId, LedgerError, LedgerKind, LedgerStore};
use tidemark_pipeline::model::{Offset, PartitionId};
use tidemark_pipeline::results::Cut;
use tidemark_pipeline::source::resend::Resend;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::state::AppState;
use crate::auth::Principal;
use crate::ingest::IngestError;
use crate::sql::RoleRules;

/// Bytes of a piece of the answer.
const PIECE_BYTES: usize = 65_536;
/// Pieces that wait for a slow reader.
const PIECES_MAX: usize = 4;

/// Which entries are wanted; what is left out narrows nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Of this stream.
    stream: Option<String>,
    /// Of this partition.
    partition: Option<PartitionId>,
    /// From this offset on.
    from: Option<Offset>,
    /// Up to and with this offset.
    to: Option<Offset>,
    /// With this in the reason, or as its word.
    reason: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

impl Wanted {
    fn fits(&self, entry: &Entry) -> bool {
        let id = &entry.id;
        self.stream.as_ref().is_none_or(|stream| *stream == id.stream)
            && self.partition.is_none_or(|partition| partition == id.partition)
            && self.from.is_none_or(|from| from <= id.offset)
            && self.to.is_none_or(|to| to >= id.offset)
            && self
                .reason
                .as_ref()
                .is_none_or(|reason| *reason == entry.kind || entry.reason.contains(reason))
    }
}

/// `GET /api/ledgers/{ledger}`: one entry a line, in the order of their places, at the newest cut.
///
/// # Errors
/// When there is no such ledger or the query cannot be read.
pub async fn list_entries(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    Path(ledger): Path<String>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let (ledger, store) = found(&state, &ledger)?;
    let rules = state.sql.rules_of(&principal);
    if let Some(message) = rules.refuses_entries(ledger.table()) {
        return Err(ApiError::NotShown { message });
    }
    let cut = state.results.latest();
    let (pieces, inbox) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let entries = Entries { store: &store, ledger, wanted: &wanted, cut: &cut, rules: &rules };
        entries.send(&pieces);
    });
    let pieces = futures::stream::unfold(inbox, |mut inbox| async {
        inbox.recv().await.map(|piece| (piece, inbox))
    });
    // What compresses a body asks once more after its end.
    let pieces = pieces.fuse();
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(pieces))
        .into_response())
}

fn found(state: &AppState, name: &str) -> Result<(LedgerKind, Arc<LedgerStore>), ApiError> {
    let known = || LedgerKind::ALL.map(LedgerKind::table).join(", ");
    let missing =
        || ApiError::not_found(format!("there is no ledger {name:?}; there are {}", known()));
    let ledger = LedgerKind::named(name).ok_or_else(missing)?;
    let store = state.results.ledgers().map(Arc::clone);
    Ok((ledger, store.ok_or_else(missing)?))
}

/// A piece of the answer, or why it breaks off.
type Piece = Result<Bytes, LedgerError>;

/// The entries of a ledger that someone wants, as its role is shown them.
struct Entries<'a> {
    store: &'a LedgerStore,
    ledger: LedgerKind,
    wanted: &'a Wanted,
    cut: &'a Cut,
    rules: &'a RoleRules,
}

impl Entries<'_> {
    fn send(&self, pieces: &mpsc::Sender<Piece>) {
        let entries = match self.store.scan(LIVE, self.ledger) {
            Ok(entries) => entries,
            Err(error) => {
                let _gone = pieces.blocking_send(Err(error));
                return;
            }
        };
        let mut piece = Vec::new();
        let told = entries.filter(|entry| {
            entry.as_ref().map_or(true, |entry| self.rules.tells_of(&entry.id.stream))
        });
        // Masked before it is looked at: what is asked for must not find what is hidden.
        let masked = told.map(|entry| Ok(self.rules.shown_entry(self.ledger, entry?)));
        let shown = masked.filter(|entry| {
            let fits = |entry: &Entry| self.wanted.fits(entry) && stands(entry, self.cut);
            entry.as_ref().map_or(true, fits)
        });
        for entry in shown.take(self.wanted.limit.unwrap_or(usize::MAX)) {
            match entry {
                Ok(entry) => {
                    piece.extend_from_slice(line(&entry).to_string().as_bytes());
                    piece.push(b'\n');
                }
                Err(error) => {
                    let _gone = pieces.blocking_send(Err(error));
                    return;
                }
            }
            if piece.len() >= PIECE_BYTES
                && pieces.blocking_send(Ok(std::mem::take(&mut piece).into())).is_err()
            {
                return;
            }
        }
        let _gone = pieces.blocking_send(Ok(piece.into()));
    }
}

/// The space of real orders.
const LIVE: &str = "live";

fn stands(entry: &Entry, cut: &Cut) -> bool {
    let next = cut.offsets.get(&entry.id.stream).and_then(|stream| stream.get(&entry.id.partition));
    next.is_some_and(|next| entry.stands_at(*next))
}

/// An entry as JSON; what does not apply to it is left out.
fn line(entry: &Entry) -> Value {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| {
        if !(value.is_null() || value == json!("")) {
            line.insert(name.to_owned(), value);
        }
    };
    put("stream", json!(entry.id.stream));
    put("topic", json!(entry.topic));
    put("partition", json!(entry.id.partition));
    put("offset", json!(entry.id.offset));
    put("view", json!(entry.id.part));
    put("log_time", json!(entry.log_time));
    put("event_time", json!(entry.event_time));
    put("window_end", json!(entry.missed.last().map(|window| window.1)));
    let missed = entry.missed.count();
    put("windows_missed", if missed == 0 { Value::Null } else { json!(missed) });
    put("order_key", json!(entry.order_key));
    put("kind", json!(entry.kind));
    put("reason", json!(entry.reason));
    put("record", json!(String::from_utf8_lossy(&entry.raw)));
    let is_cut = u64::try_from(entry.raw.len()).unwrap_or(0) < entry.raw_bytes;
    put("cut_from_bytes", if is_cut { json!(entry.raw_bytes) } else { Value::Null });
    Value::Object(line)
}

/// One line of `POST /api/ledgers/{ledger}/remove`.
#[derive(Debug, Deserialize)]
struct Place {
    stream: String,
    partition: PartitionId,
    offset: Offset,
    #[serde(default)]
    view: String,
}

/// `POST /api/ledgers/{ledger}/remove`: takes entries out that someone has dealt with; one place a line,
/// as `GET` tells them. Counters do not change.
///
/// # Errors
/// When there is no such ledger, a line is no place, or the disk refuses.
pub async fn remove_entries(
    State(state): State<Arc<AppState>>,
    Path(ledger): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let (ledger, store) = found(&state, &ledger)?;
    let places: Vec<Place> = lines(body)?;
    let ids: Vec<EntryId> = places
        .into_iter()
        .map(|place| EntryId {
            stream: place.stream,
            partition: place.partition,
            offset: place.offset,
            part: place.view,
        })
        .collect();
    let removing = tokio::task::spawn_blocking(move || store.remove(LIVE, ledger, &ids));
    let removed = removing.await.map_err(|_| stopped())?.map_err(|error| refused(&error))?;
    tracing::info!(
        table = ledger.table(),
        removed,
        "{removed} entries of {} were removed",
        ledger.table()
    );
    Ok(Json(json!({"removed": removed})).into_response())
}

/// `POST /api/ledgers/dead_letters/{stream}/replay`: corrected records, one a line, back into an embedded
/// log. An answer means that they are durable. Sending them again makes no order count twice.
///
/// # Errors
/// When the stream has no embedded log here, a line is no corrected record, or the disk refuses.
pub async fn replay_records(
    State(state): State<Arc<AppState>>,
    Path(stream): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let sink = state.ingest.clone().ok_or(IngestError::UnknownStream { stream: stream.clone() })?;
    let records: Vec<Resend> = lines(body)?;
    let written = records.len();
    let writing = tokio::task::spawn_blocking(move || sink.replay(&stream, &records));
    writing.await.map_err(|_| stopped())??;
    Ok(Json(json!({"written": written})).into_response())
}

fn lines<T: serde::de::DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
) -> Result<Vec<T>, ApiError> {
    let body = body.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let all = body.split(|byte| *byte == b'\n').enumerate();
    all.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
        .map(|(nth, line)| {
            serde_json::from_slice(line)
                .map_err(|error| ApiError::bad_request(format!("line {}: {error}", nth + 1)))
        })
        .collect()
}

fn stopped() -> ApiError {
    ApiError::Internal { message: "the ledger stopped while it was written".to_owned() }
}

fn refused(error: &LedgerError) -> ApiError {
    tracing::error!(%error, "a ledger cannot be written: {error}");
    ApiError::Internal {
        message: "the ledger cannot be written; the log of the server says why".to_owned(),
    }
}
