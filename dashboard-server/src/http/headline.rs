//! `/api/headline/{view}`: one figure with its papers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tidemark_pipeline::model::{Offset, PartitionId, Zone};
use tidemark_pipeline::results::Cut;
use tidemark_pipeline::results::snapshot::Bilingual;

use super::error::ApiError;
use super::health::stopped;
use super::state::AppState;
use super::views::find_view;
use crate::auth::Principal;
use crate::headlines::figure::{Choice, ChoiceError, Figure, choose};
use crate::headlines::words::{local_time, sentence, speak, zone_name};

/// A figure with everything needed to check it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Headline<'a> {
    view: &'a str,
    column: &'a str,
    /// All digits, as text.
    value: &'a str,
    unit: &'a str,
    title: &'a Bilingual,
    key: &'a BTreeMap<String, String>,
    scope: Option<&'a str>,
    definition: &'a Bilingual,
    window: Option<Span>,
    as_of: Instant,
    watermark: Option<Instant>,
    /// Silent partitions that a settled figure has not waited for.
    idle: &'a [PartitionId],
    /// Partitions the log did not have at first, with the time they were taken in (epoch milliseconds).
    partitions_added: &'a BTreeMap<PartitionId, i64>,
    /// By partition, the first offset that was left in the log when the view began.
    since_offsets: &'a BTreeMap<String, Offset>,
    mark: &'a str,
    revision: u64,
    cut: u64,
    epoch: &'a str,
    /// Offset after the last record counted, by stream and partition.
    offsets: &'a BTreeMap<String, BTreeMap<PartitionId, Offset>>,
    sql: &'a str,
    sql_sha256: String,
    software: String,
    rounded: Bilingual,
    exact: String,
    sentence: Bilingual,
}

#[derive(Debug, Serialize)]
struct Span {
    start: Instant,
    end: Instant,
}

/// A moment for programs and for people.
#[derive(Debug, Serialize)]
struct Instant {
    ms: i64,
    text: String,
}

/// `GET /api/headline/{view}?column=…&key.NAME=…`.
///
/// # Errors
/// When the parameters do not name one figure, or there is none yet.
pub async fn get_headline(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    Path(name): Path<String>,
    wanted: Result<Query<BTreeMap<String, String>>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let choice = choice(wanted)?;
    let cut = state.results.latest();
    let view = find_view(&cut, &principal, &name)?;
    if let Some(why) = stopped(&cut, &name) {
        let message = format!(
            "view {name} is stopped, and its last figure is no longer true: {why}; see /readyz"
        );
        return Err(ApiError::Stopped { message });
    }
    let figure = choose(&cut, view, &choice).map_err(refused)?;
    papers(&figure, &cut, state.results.epoch())
}

fn choice(wanted: BTreeMap<String, String>) -> Result<Choice, ApiError> {
    let mut choice = Choice::default();
    for (name, value) in wanted {
        if let Some(key) = name.strip_prefix("key.") {
            choice.keys.insert(key.to_owned(), value);
        } else if name == "column" {
            choice.column = Some(value);
        } else {
            return Err(ApiError::bad_request(format!(
                "unknown parameter {name:?}; known are `column` and `key.NAME`"
            )));
        }
    }
    Ok(choice)
}

fn refused(error: ChoiceError) -> ApiError {
    let message = error.to_string();
    match error {
        ChoiceError::UnknownColumn { .. } | ChoiceError::UnknownKey { .. } => {
            ApiError::BadRequest { message }
        }
        ChoiceError::SeveralRows { .. } => ApiError::Ambiguous { message },
        ChoiceError::NoRow { .. } => ApiError::NoFigure { message },
    }
}

fn papers(figure: &Figure, cut: &Cut, epoch: &str) -> Result<Response, ApiError> {
    let info = &figure.info;
    let missing =
        || ApiError::NoFigure { message: format!("{}.{} is null here", info.name, figure.column) };
    let value = figure.value.as_deref().ok_or_else(missing)?;
    let no_time = || ApiError::NoFigure { message: "no record has been accepted yet".to_owned() };
    let progress = cut.progress(info);
    let status = cut.statuses.get(&info.name).cloned().unwrap_or_default();
    let as_of = progress.as_of.ok_or_else(no_time)?;
    let zone = Zone::named(&info.time_zone).map_err(|message| ApiError::Internal { message })?;
    let spoken = speak(value, &info.unit);
    let instant =
        |ms| Instant { ms, text: format!("{} {}", local_time(ms, &zone), zone_name(ms, &zone)) };
    let in_time = |ms: &i64| *ms != i64::MIN && *ms != i64::MAX;
    let headline = Headline {
        view: &info.name,
        column: &figure.column,
        value,
        unit: &info.unit,
        title: &info.title,
        key: &figure.key,
        scope: info.scope.as_deref(),
        definition: &info.definition,
        window: figure.window.map(|(start, end)| Span { start: instant(start), end: instant(end) }),
        as_of: instant(as_of),
        watermark: progress.watermark.filter(in_time).map(instant),
        idle: &progress.idle,
        partitions_added: &progress.added,
        since_offsets: &status.since,
        mark: &figure.mark,
        revision: figure.revision,
        cut: cut.cut,
        epoch,
        offsets: &cut.offsets,
        sql: &info.sql,
        sql_sha256: hex(&Sha256::digest(info.sql.as_bytes())),
        software: format!("tidemark {}", crate::VERSION),
        rounded: spoken.rounded,
        exact: spoken.exact,
        sentence: sentence(figure, value, as_of, &zone),
    };
    Ok(Json(headline).into_response())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}
