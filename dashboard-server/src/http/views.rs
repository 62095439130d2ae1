//! `/api/views`: what is computed, and the rows of one view.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tidemark_pipeline::model::Offset;
use tidemark_pipeline::results::json::write_text;
use tidemark_pipeline::results::snapshot::Bilingual;
use tidemark_pipeline::results::{Cut, Results, Snapshot, ViewInfo, ViewState, ViewStatus};

use super::error::ApiError;
use super::state::AppState;
use crate::auth::Principal;
use crate::sql::sql_type;
use crate::websocket::protocol::{write_list, write_optional, write_times};
use crate::websocket::viewer::named;

/// One view in the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewEntry<'a> {
    name: &'a str,
    /// The first of `streams`; `null` for a view over results.
    stream: Option<&'a str>,
    /// The streams it reads: two for a join of two.
    streams: &'a [String],
    keys: &'a [String],
    columns: Vec<Column<'a>>,
    scope: Option<&'a str>,
    title: &'a Bilingual,
    definition: &'a Bilingual,
    unit: &'a str,
    time_zone: &'a str,
    window_start: Option<&'a str>,
    window_end: Option<&'a str>,
    sql: &'a str,
    state: ViewState,
    /// How far a view that catches up is; `null` otherwise.
    filled: Option<FilledEntry>,
    /// By partition, the first offset there was in a log that had been cut.
    since_offsets: &'a BTreeMap<String, Offset>,
    problem: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FilledEntry {
    /// From 0 to 1.
    share: f64,
    records_per_second: f64,
    seconds_left: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Column<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    of: String,
}

/// `GET /api/views`: every view, in the order of their names.
pub async fn list_views(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
) -> Response {
    let cut = state.results.latest();
    let plain = ViewStatus::default();
    let status = |name: &String| cut.statuses.get(name).unwrap_or(&plain);
    let seen = cut.views.iter().filter(|(name, _)| principal.views.has(name));
    let views: Vec<ViewEntry<'_>> =
        seen.map(|(name, view)| entry(&view.info, status(name))).collect();
    Json(views).into_response()
}

fn entry<'a>(view: &'a ViewInfo, status: &'a ViewStatus) -> ViewEntry<'a> {
    let name = |at: Option<usize>| {
        at.and_then(|at| view.schema.fields().get(at)).map(|field| field.name().as_str())
    };
    let columns = view.schema.fields().iter();
    ViewEntry {
        name: &view.name,
        stream: view.streams.first().map(String::as_str),
        streams: &view.streams,
        keys: &view.keys,
        columns: columns
            .map(|field| Column { name: field.name(), of: sql_type(field.data_type()) })
            .collect(),
        scope: view.scope.as_deref(),
        title: &view.title,
        definition: &view.definition,
        unit: &view.unit,
        time_zone: &view.time_zone,
        window_start: name(view.window_start),
        window_end: name(view.window_end),
        sql: &view.sql,
        state: status.state,
        filled: status.filled.as_ref().map(|filled| FilledEntry {
            share: filled.share(),
            records_per_second: filled.records_per_second,
            seconds_left: filled.seconds_left(),
        }),
        since_offsets: &status.since,
        problem: status.problem.as_deref(),
    }
}

/// Query of `GET /api/views/{name}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Only the newest so many rows.
    last: Option<usize>,
    /// `live` or `shadow`; `live` if not given.
    space: Option<String>,
}

/// `GET /api/views/{name}`: one view at the newest cut.
///
/// # Errors
/// When there is no such view or the query cannot be read.
pub async fn get_view(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    Path(name): Path<String>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let space = named(wanted.space.as_deref().unwrap_or("live"))
        .map_err(|error| ApiError::not_found(error.to_string()))?;
    let cut = state.results.latest().space(space);
    let view = find_view(&cut, &principal, &name)?;
    let text = write_view(&state.results, &cut, view, wanted.last);
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// A view of the cut by its name, among those someone sees.
///
/// # Errors
/// When there is none.
pub fn find_view<'a>(
    cut: &'a Cut,
    principal: &Principal,
    name: &str,
) -> Result<&'a Arc<Snapshot>, ApiError> {
    let missing =
        || ApiError::not_found(format!("there is no view {name:?}; the list is at /api/views"));
    cut.views.get(name).filter(|_| principal.views.has(name)).ok_or_else(missing)
}

/// The rows are JSON since they were published and pass through as they are.
fn write_view(results: &Results, cut: &Cut, view: &Snapshot, last: Option<usize>) -> String {
    let mut out = String::from("{\"view\":");
    write_text(&mut out, &view.info.name);
    let _infallible = write!(out, ",\"cut\":{},\"epoch\":", cut.cut);
    write_text(&mut out, results.epoch());
    write_times(&mut out, &cut.progress(&view.info));
    out.push_str(",\"scope\":");
    write_optional(&mut out, view.info.scope.as_deref());
    let state = cut.statuses.get(&view.info.name).map(|status| status.state).unwrap_or_default();
    let _infallible = write!(out, ",\"state\":\"{}\"", state.as_str());
    let _infallible = write!(out, ",\"space\":\"{}\",\"rows\":[", cut.of.as_str());
    write_list(&mut out, view.rows(last).map(|row| &*row.json));
    out.push_str("]}");
    out
}
