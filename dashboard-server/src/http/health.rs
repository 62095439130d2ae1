//! What probes and Prometheus ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use tidemark_pipeline::lifecycle::Counts;
use tidemark_pipeline::results::{Cut, Filled, State as Freshness, ViewState};

use super::access::{self, Client};
use super::accounting;
use super::state::AppState;
use crate::auth::{Principal, Views};

/// `GET /healthz`: 200 while the process answers and its publisher publishes, 503 with the reason when
/// only a restart helps. `degraded` when a view is stopped or shows no row for a window, with their names.
/// Says nothing about the brokers: restarting does not mend those. `alarms` are what someone must look at although the figures go on; whoever may not see all views is told their number.
pub async fn get_health(
    State(state): State<Arc<AppState>>,
    ConnectInfo(from): ConnectInfo<Client>,
    headers: HeaderMap,
) -> Response {
    let mut body = json!({"version": crate::VERSION});
    let sees_all = sees_all(&state, &headers, from).await;
    tell_alarms(&mut body, &state, sees_all);
    let is_whole = tell_views(&mut body, &state.results.latest(), sees_all);
    match state.pulse.stalled() {
        None => {
            body["status"] = json!(if is_whole { "ok" } else { "degraded" });
            Json(body).into_response()
        }
        Some(reason) => {
            body["status"] = json!("failed");
            body["reason"] = json!(reason);
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// Whether whoever asks may know what there is. A probe without a key is answered too, with less.
async fn sees_all(state: &AppState, headers: &HeaderMap, from: Client) -> bool {
    let admitted = access::who(state, headers, from).await;
    admitted.is_ok_and(|admitted| admitted.principal.views.is_all())
}

fn tell_alarms(body: &mut Value, state: &AppState, sees_all: bool) {
    let status = state.results.status();
    match sees_all {
        true => body["alarms"] = json!(status.alarms),
        false => body["alarmCount"] = json!(status.alarms.len()),
    }
}

/// `GET /readyz`: 200 when there are fresh figures to show, 503 with the reason when not. While only
/// single views are stopped the others are fit to be shown: 200, and the stopped ones are named.
pub async fn get_readiness(
    State(state): State<Arc<AppState>>,
    ConnectInfo(from): ConnectInfo<Client>,
    headers: HeaderMap,
) -> Response {
    let sees_all = sees_all(&state, &headers, from).await;
    let cut = state.results.latest();
    let reason = unready(&state);
    let word = if reason.is_none() { "ready" } else { "not_ready" };
    let freshness = state.results.status().state;
    let mut body = json!({"status": word, "cut": cut.cut, "state": freshness});
    tell_alarms(&mut body, &state, sees_all);
    tell_views(&mut body, &cut, sees_all);
    match reason {
        None => Json(body).into_response(),
        Some(reason) => {
            body["reason"] = json!(reason);
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// Names the views that are stopped, and those that show no row for a window, with the reasons; whether there
/// are none.
fn tell_views(body: &mut Value, cut: &Cut, sees_all: bool) -> bool {
    let named = |reason: &dyn Fn(&str) -> Option<String>| -> BTreeMap<String, String> {
        cut.views.keys().filter_map(|view| Some((view.clone(), reason(view)?))).collect()
    };
    let stopped = named(&|view| stopped(cut, view).map(str::to_owned));
    let in_error = named(&|view| {
        let status = cut.statuses.get(view).filter(|status| status.state == ViewState::Live)?;
        status.problem.clone()
    });
    let is_whole = stopped.is_empty() && in_error.is_empty();
    for (name, views) in [("stoppedViews", stopped), ("viewsInError", in_error)] {
        if sees_all && !views.is_empty() {
            body[name] = json!(views);
        }
    }
    is_whole
}

/// Why a view is stopped, if it is.
pub(super) fn stopped<'a>(cut: &'a Cut, view: &str) -> Option<&'a str> {
    let status = cut.statuses.get(view).filter(|status| status.state == ViewState::Stopped)?;
    Some(status.problem.as_deref().unwrap_or("the log says why"))
}

/// Why the figures are not fit to be shown, if they are not.
fn unready(state: &AppState) -> Option<String> {
    let cut = state.results.latest();
    if cut.cut == 0 {
        return Some("no cut has been published yet".to_owned());
    }
    let status = state.results.status();
    if status.state == Freshness::Stale {
        let problem = status.problem.as_deref().unwrap_or("the log cannot be read");
        return Some(format!("the figures are stale: {problem}"));
    }
    if status.state == Freshness::Paused {
        let problem = status.problem.as_deref().unwrap_or("an alarm says which partition waits");
        return Some(format!("reading is paused: {problem}"));
    }
    if !cut.views.is_empty() && cut.views.keys().all(|view| stopped(&cut, view).is_some()) {
        return Some("every view is stopped".to_owned());
    }
    state.pulse.stalled()
}

/// `GET /metrics`: for Prometheus. Of views, those that the asker sees.
pub async fn get_metrics(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
) -> Response {
    let cut = state.results.latest();
    // A gauge is a float by Prometheus' own rule; these are for graphs and not for sums.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds and counts stay far below 2^53")]
    {
        metrics::gauge!("tidemark_cut").set(cut.cut as f64);
        for (stream, progress) in &cut.streams {
            if let Some(as_of) = progress.as_of {
                metrics::gauge!("tidemark_as_of_ms", "stream" => stream.clone()).set(as_of as f64);
            }
            if let Some(watermark) = progress.watermark {
                metrics::gauge!("tidemark_watermark_ms", "stream" => stream.clone())
                    .set(watermark as f64);
            }
            metrics::gauge!("tidemark_idle_partitions", "stream" => stream.clone())
                .set(progress.idle.len() as f64);
        }
        for view in cut.views.keys() {
            let filled = cut.statuses.get(view).and_then(|status| status.filled.as_ref());
            metrics::gauge!("tidemark_view_filled_share", "view" => view.clone())
                .set(filled.map_or(1.0, Filled::share));
        }
        if let Some(table) = cut.tables.get("lifecycle_accounted") {
            tell_life_cycles(table);
        }
    }
    accounting::tell(&cut);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, of_views(state.metrics.render(), &principal.views)).into_response()
}

/// The samples without those of views that someone may not see.
fn of_views(all: String, views: &Views) -> String {
    if views.is_all() {
        return all;
    }
    let is_seen = |line: &&str| {
        let view = line.split_once("view=\"").and_then(|(_, rest)| rest.split_once('"'));
        view.is_none_or(|(view, _)| views.has(view))
    };
    all.split_inclusive('\n').filter(is_seen).collect()
}

/// What became of the events of orders, by derived table, partition and fate.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts stay far below 2^53")]
fn tell_life_cycles(table: &RecordBatch) {
    let column = |name: &str| table.column_by_name(name);
    let streams = column("stream").and_then(|column| column.as_string_opt::<i32>());
    let partitions = column("partition").and_then(|column| column.as_primitive_opt::<Int32Type>());
    let (Some(streams), Some(partitions)) = (streams, partitions) else { return };
    for fate in Counts::NAMES {
        let Some(counts) = column(fate).and_then(|column| column.as_primitive_opt::<Int64Type>())
        else {
            continue;
        };
        for row in 0..table.num_rows() {
            let (stream, partition) =
                (streams.value(row).to_owned(), partitions.value(row).to_string());
            metrics::gauge!("tidemark_lifecycle_events", "stream" => stream, "partition" => partition, "fate" => fate)
                .set(counts.value(row) as f64);
        }
    }
}
