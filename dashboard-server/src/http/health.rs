//! What probes and Prometheus ask.

use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tidemark_pipeline::lifecycle::Counts;
use tidemark_pipeline::results::{Results, State as Freshness};

use super::accounting;
use super::state::AppState;

/// `GET /healthz`: the process answers. Says nothing about figures, but what someone must look at.
pub async fn get_health(State(state): State<Arc<AppState>>) -> Response {
    let alarms = &state.results.status().alarms;
    Json(json!({"status": "ok", "version": crate::VERSION, "alarms": alarms})).into_response()
}

/// `GET /readyz`: 200 when there are fresh figures to show, 503 with the reason when not.
pub async fn get_readiness(State(state): State<Arc<AppState>>) -> Response {
    let cut = state.results.latest();
    let alarms = &state.results.status().alarms;
    match unready(&state.results) {
        None => Json(json!({"status": "ready", "cut": cut.cut, "alarms": alarms})).into_response(),
        Some(reason) => {
            let body = json!({"status": "not_ready", "cut": cut.cut, "reason": reason, "alarms": alarms});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// Why the figures are not fit to be shown, if they are not.
fn unready(results: &Results) -> Option<String> {
    if results.latest().cut == 0 {
        return Some("no cut has been published yet".to_owned());
    }
    let status = results.status();
    (status.state == Freshness::Stale).then(|| {
        let problem = status.problem.as_deref().unwrap_or("the log cannot be read");
        format!("the figures are stale: {problem}")
    })
}

/// `GET /metrics`: for Prometheus.
pub async fn get_metrics(State(state): State<Arc<AppState>>) -> Response {
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
                metrics::gauge!("tidemark_watermark_ms", "stream" => stream.clone()).set(watermark as f64);
            }
            metrics::gauge!("tidemark_idle_partitions", "stream" => stream.clone()).set(progress.idle.len() as f64);
        }
        if let Some(table) = cut.tables.get("lifecycle_accounted") {
            tell_life_cycles(table);
        }
    }
    accounting::tell(&cut);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, state.metrics.render()).into_response()
}

/// What became of the events of orders, by derived table, partition and fate.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts stay far below 2^53")]
fn tell_life_cycles(table: &RecordBatch) {
    let column = |name: &str| table.column_by_name(name);
    let streams = column("stream").and_then(|column| column.as_string_opt::<i32>());
    let partitions = column("partition").and_then(|column| column.as_primitive_opt::<Int32Type>());
    let (Some(streams), Some(partitions)) = (streams, partitions) else { return };
    for fate in Counts::NAMES {
        let Some(counts) = column(fate).and_then(|column| column.as_primitive_opt::<Int64Type>()) else { continue };
        for row in 0..table.num_rows() {
            let (stream, partition) = (streams.value(row).to_owned(), partitions.value(row).to_string());
            metrics::gauge!("tidemark_lifecycle_events", "stream" => stream, "partition" => partition, "fate" => fate)
                .set(counts.value(row) as f64);
        }
    }
}
