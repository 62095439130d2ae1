//! `/lite`: the figures as plain HTML, without script or images, for a phone on a bad line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::datatypes::DataType;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value};
use tidemark_pipeline::model::Zone;
use tidemark_pipeline::results::{Cut, Snapshot};

use super::state::AppState;
use crate::auth::Principal;
use crate::headlines::words::{local_time, zone_name};
use crate::websocket::protocol;

/// Rows of one view, the newest: the page is for the figures and not for history.
const ROWS_MAX: usize = 40;

/// How often the page is taken anew, s.
const REFRESH_S: u64 = 10;
/// After as many a wall that fell back to this page is tried again; it is longer gone by then than what it takes for
/// the same break (`fallback.ts`), so one that is still broken reloads once and comes back here.
const LOOKS: u64 = 7;

/// `GET /lite`, with `?wall=PATH` where a wall has fallen back to it, whose page is tried again after [`LOOKS`].
pub async fn get_lite(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    Query(wanted): Query<BTreeMap<String, String>>,
) -> Response {
    let cut = state.results.latest();
    let status = state.results.status();
    let mut out = format!(
        "<!doctype html><html lang=\"zh\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\">\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_S}{}\"><title>Tidemark</title></head><body>",
        escaped(&next_page(&wanted)),
    );
    let _infallible = write!(
        out,
        "<h1>Tidemark</h1><p>mode {}, state {}, cut {}, every 10 s, <a href=\"/\">大屏 / wall</a></p>",
        protocol::mode(state.results.mode()),
        escaped(&word(&status.state)),
        cut.cut,
    );
    if let Some(problem) = &status.problem {
        let _infallible = write!(out, "<p><strong>{}</strong></p>", escaped(problem));
    }
    for view in cut.views.values().filter(|view| principal.views.has(&view.info.name)) {
        write_view(&mut out, &cut, view);
    }
    out.push_str("</body></html>");
    Html(out).into_response()
}

/// Where the page goes next; nothing where it stays what it is.
fn next_page(wanted: &BTreeMap<String, String>) -> String {
    // A path of this server, and no address of another's.
    let is_own =
        |path: &&String| path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
    let Some(wall) = wanted.get("wall").filter(is_own) else { return String::new() };
    let looks = wanted.get("looks").and_then(|looks| looks.parse::<u64>().ok()).unwrap_or(0) + 1;
    if looks >= LOOKS {
        return format!(";url={wall}");
    }
    let mut encoded = String::new();
    for byte in wall.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                encoded.push(char::from(byte))
            }
            _ => {
                let _infallible = write!(encoded, "%{byte:02X}");
            }
        }
    }
    format!(";url=/lite?wall={encoded}&looks={looks}")
}

/// The word a value has in JSON.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}

fn write_view(out: &mut String, cut: &Cut, view: &Snapshot) {
    let info = &view.info;
    let zone = Zone::named(&info.time_zone).unwrap_or(Zone::UTC);
    let _infallible =
        write!(out, "<h2>{} {}</h2><p>", escaped(&info.title.zh), escaped(&info.title.en));
    let _infallible = write!(out, "{}", escaped(&info.name));
    for (name, value) in
        [("scope", info.scope.as_deref().unwrap_or("")), ("unit", info.unit.as_str())]
    {
        if !value.is_empty() {
            let _infallible = write!(out, ", {name} {}", escaped(value));
        }
    }
    if let Some(as_of) = cut.progress(info).as_of {
        let _infallible =
            write!(out, ", as of {} ({})", local_time(as_of, &zone), zone_name(as_of, &zone));
    }
    out.push_str("</p><table border=\"1\"><tr>");
    for field in info.schema.fields() {
        let _infallible = write!(out, "<th>{}</th>", escaped(field.name()));
    }
    out.push_str("</tr>");
    for row in view.rows(Some(ROWS_MAX)) {
        write_row(out, view, &serde_json::from_str(&row.json).unwrap_or_default(), &zone);
    }
    out.push_str("</table>");
}

fn write_row(out: &mut String, view: &Snapshot, row: &Map<String, Value>, zone: &Zone) {
    out.push_str("<tr>");
    for field in view.info.schema.fields() {
        let text = match (row.get(field.name()), field.data_type()) {
            (None | Some(Value::Null), _) => String::new(),
            (Some(Value::Number(ms)), DataType::Timestamp(..)) => {
                ms.as_i64().map_or_else(|| ms.to_string(), |ms| local_time(ms, zone))
            }
            (Some(Value::String(text)), _) => text.clone(),
            (Some(other), _) => other.to_string(),
        };
        let _infallible = write!(out, "<td>{}</td>", escaped(&text));
    }
    out.push_str("</tr>");
}

/// Shop and product names are written by strangers.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
