//! The frames of a subscription: `snap`, `delta`, `progress` and `error`, as those of views, with the subscriber's own id.

use std::fmt::Write as _;
use std::sync::Arc;

use tidemark_pipeline::results::json::write_text;
use tidemark_pipeline::results::snapshot::ROW_KEY;

use super::query::LiveQuery;
use super::selection::Selection;
use crate::sql::error::SqlError;
use crate::sql::sql_type;
use crate::websocket::protocol::{write_list, write_times};

/// What is behind the id of a frame that brings a subscriber from `base` to a selection: the same for all who are there.
pub(super) fn body(
    selection: &Selection,
    base: Option<u64>,
    query: &LiveQuery,
    epoch: &str,
) -> Arc<str> {
    let mut out = String::new();
    match base.filter(|base| *base >= selection.complete_since) {
        Some(base) => write_delta(&mut out, selection, base),
        None => write_snap(&mut out, selection, query, epoch),
    }
    out.into()
}

/// A frame of one subscriber.
pub(super) fn frame(id: &str, name: &str, body: &str) -> String {
    // The type is told by what follows.
    let kind = if body.starts_with(",\"base\"") { "delta" } else { "snap" };
    let mut out = String::with_capacity(body.len() + id.len() + name.len() + 48);
    let _infallible = write!(out, "{{\"type\":\"{kind}\",\"id\":");
    write_text(&mut out, id);
    out.push_str(",\"query\":");
    write_text(&mut out, name);
    out.push_str(body);
    out
}

/// `progress`: nothing is other than at the frame before, up to this cut.
pub(super) fn progress(id: &str, selection: &Selection) -> String {
    let mut out = String::from("{\"type\":\"progress\",\"id\":");
    write_text(&mut out, id);
    let _infallible = write!(out, ",\"cut\":{}", selection.cut);
    write_times(&mut out, &selection.progress);
    out.push('}');
    out
}

/// `error`: the subscription of this id is over, or never was.
pub(super) fn error(id: &str, error: &SqlError) -> String {
    let mut out = String::from("{\"type\":\"error\",\"id\":");
    write_text(&mut out, id);
    let _infallible = write!(out, ",\"code\":\"{}\",\"message\":", error.code());
    write_text(&mut out, &error.to_string());
    if let Some(place) = error.place() {
        let _infallible = write!(out, ",\"line\":{},\"column\":{}", place.line, place.column);
    }
    out.push('}');
    out
}

fn write_snap(out: &mut String, selection: &Selection, query: &LiveQuery, epoch: &str) {
    out.push_str(",\"view\":");
    write_text(out, &query.view);
    let _infallible = write!(out, ",\"space\":\"{}\",\"epoch\":", query.space.as_str());
    write_text(out, epoch);
    let _infallible = write!(out, ",\"cut\":{}", selection.cut);
    write_times(out, &selection.progress);
    out.push_str(",\"keys\":[");
    for (nth, key) in keys(query).into_iter().enumerate() {
        out.push_str(if nth > 0 { "," } else { "" });
        write_text(out, key);
    }
    out.push_str("],\"columns\":[");
    for (nth, field) in query.columns.fields().iter().enumerate() {
        out.push_str(if nth > 0 { ",{\"name\":" } else { "{\"name\":" });
        write_text(out, field.name());
        out.push_str(",\"type\":");
        write_text(out, &sql_type(field.data_type()));
        out.push('}');
    }
    out.push_str("],\"rows\":[");
    write_list(out, selection.rows().map(|row| &*row.json));
    out.push_str("]}");
}

fn keys(query: &LiveQuery) -> Vec<&str> {
    match &query.keys {
        None => vec![ROW_KEY],
        Some(keys) => {
            let fields = keys.iter().filter_map(|at| query.columns.fields().get(*at));
            fields.map(|field| field.name().as_str()).collect()
        }
    }
}

/// What changed since `base`. A row that came and went in between is among the deleted, as in a view's own delta.
fn write_delta(out: &mut String, selection: &Selection, base: u64) {
    let _infallible = write!(out, ",\"base\":{base},\"cut\":{}", selection.cut);
    write_times(out, &selection.progress);
    out.push_str(",\"upsert\":[");
    write_list(out, selection.changed_since(base).map(|row| &*row.json));
    out.push_str("],\"delete\":[");
    write_list(out, selection.gone_since(base));
    out.push_str("]}");
}
