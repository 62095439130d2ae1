//! The frames, as text. The server's side is written by hand, because rows are JSON already and
//! must pass through as they are.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;
use tidemark_pipeline::model::Space;
use tidemark_pipeline::results::json::write_text;
use tidemark_pipeline::results::{
    Changes, Cut, Mode, Results, Snapshot, Status, StreamProgress, ViewState, ViewStatus,
};

use crate::auth::Views;

/// Largest message a viewer may send, in bytes. A subscription to a hundred views is a tenth of it.
pub const INBOUND_BYTES_MAX: usize = 16_384;

/// What a viewer may say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ClientFrame {
    /// Opens the door where tokens are configured; the first frame then.
    Auth {
        /// A one-use ticket from `POST /api/ws-ticket`.
        ticket: String,
    },
    /// Asks for views; asking again for a view replaces the earlier request.
    Subscribe {
        /// Names of views.
        views: Vec<String>,
        /// `live` or `shadow`; `live` if not given.
        space: Option<String>,
        /// Rows of the snapshot: the newest so many; all if not given.
        last: Option<usize>,
        /// What the viewer has already.
        from: Option<Resume>,
    },
    /// Ends the flow of views.
    Unsubscribe {
        /// Names of views; those not subscribed are passed over.
        views: Vec<String>,
        /// Only in this result space; in all if not given.
        space: Option<String>,
    },
    /// Asks for a query over one view that is kept up to date; asking again with its id replaces the one before.
    #[serde(rename = "subscribe-sql")]
    SubscribeSql {
        /// What the viewer calls it; in every frame of it.
        id: String,
        /// The query, or a `SUBSCRIBE` statement.
        sql: String,
        /// Values for `$1`, `$2`, ….
        #[serde(default)]
        params: Vec<Value>,
    },
    /// Ends such a query.
    #[serde(rename = "unsubscribe-sql")]
    UnsubscribeSql {
        /// What the viewer calls it; one that is not known is passed over.
        id: String,
    },
    /// Asks for a sign of life.
    Ping {},
    /// Gives one.
    Pong {},
}

/// The cut up to which a viewer has its views.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Resume {
    /// The life of the publisher it was in.
    pub epoch: String,
    /// The cut.
    pub cut: u64,
}

/// `hello`: the first frame, which says who is speaking and which of `seen` there are.
#[must_use]
pub fn hello(results: &Results, seen: &Views, now_ms: i64) -> String {
    let mut out = String::from("{\"type\":\"hello\",\"proto\":1,\"build\":");
    write_text(&mut out, crate::VERSION);
    out.push_str(",\"epoch\":");
    write_text(&mut out, results.epoch());
    let _infallible =
        write!(out, ",\"now\":{now_ms},\"mode\":\"{}\",\"views\":[", mode(results.mode()));
    for (nth, view) in results.views().iter().filter(|view| seen.has(&view.name)).enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write_text(&mut out, &view.name);
    }
    out.push_str("]}");
    out
}

/// The word for a kind of stream.
#[must_use]
pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live",
        Mode::Demo => "demo",
        Mode::Replay => "replay",
    }
}

/// `snap`: a view's rows, with `last` only the newest so many.
#[must_use]
pub fn snap(cut: &Cut, view: &Snapshot, last: Option<usize>) -> String {
    let mut out = String::from("{\"type\":\"snap\",\"view\":");
    write_text(&mut out, &view.info.name);
    let _infallible = write!(out, ",\"cut\":{}", cut.cut);
    write_times(&mut out, &cut.progress(&view.info));
    out.push_str(",\"scope\":");
    write_optional(&mut out, view.info.scope.as_deref());
    let _infallible = write!(out, ",\"space\":\"{}\",\"rows\":[", cut.of.as_str());
    write_list(&mut out, view.rows(last).map(|row| &*row.json));
    out.push_str("]}");
    out
}

/// `delta`: what changed in a view since the cut `base`.
#[must_use]
pub fn delta(cut: &Cut, view: &Snapshot, base: u64, changes: &Changes) -> String {
    let mut out = String::from("{\"type\":\"delta\",\"view\":");
    write_text(&mut out, &view.info.name);
    let _infallible = write!(out, ",\"base\":{base},\"cut\":{}", cut.cut);
    // A page that shows both spaces must not take one for the other.
    if cut.of != Space::Live {
        let _infallible = write!(out, ",\"space\":\"{}\"", cut.of.as_str());
    }
    write_times(&mut out, &cut.progress(&view.info));
    out.push_str(",\"upsert\":[");
    write_list(&mut out, changes.upsert.iter().map(|row| &**row));
    out.push_str("],\"delete\":[");
    write_list(&mut out, changes.delete.iter().map(|key| &**key));
    out.push_str("]}");
    out
}

/// `status`: how fresh the figures are, once a second, for someone who sees these views.
#[must_use]
pub fn status(status: &Status, cut: &Cut, seen: &Views, now_ms: i64) -> String {
    // A struct of numbers, words and texts has no value that JSON cannot write.
    let fields = serde_json::to_string(status).unwrap_or_else(|_| "{}".to_owned());
    let inner = fields.strip_prefix('{').unwrap_or(&fields);
    let mut out = format!("{{\"type\":\"status\",\"now\":{now_ms},\"cut\":{}", cut.cut);
    write_times(&mut out, &cut.overall());
    write_streams(&mut out, cut);
    write_views(&mut out, cut, seen);
    if let Some(shadow) = &cut.shadow {
        out.push_str(",\"shadow\":{\"cut\":");
        let _infallible = write!(out, "{}", shadow.cut);
        write_times(&mut out, &shadow.overall());
        write_streams(&mut out, shadow);
        write_views(&mut out, shadow, seen);
        out.push('}');
    }
    out.push(if inner == "}" { ' ' } else { ',' });
    out.push_str(inner);
    out
}

/// Appends `,"views":{"gmv_day":{"state":"catching_up","share":0.43},…}`: those that do not stand at
/// the cut, have no row for a window, or count only since an offset.
fn write_views(out: &mut String, cut: &Cut, seen: &Views) {
    out.push_str(",\"views\":{");
    let told = |status: &ViewStatus| {
        status.state != ViewState::Live || status.problem.is_some() || !status.since.is_empty()
    };
    let told = cut.statuses.iter().filter(|(name, status)| seen.has(name) && told(status));
    for (nth, (name, status)) in told.enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write_text(out, name);
        let _infallible = write!(out, ":{{\"state\":\"{}\"", status.state.as_str());
        if let Some(filled) = &status.filled {
            let (share, rate) = (filled.share(), filled.records_per_second);
            let _infallible = write!(out, ",\"share\":{share:.4},\"recordsPerSecond\":{rate:.0}");
        }
        if !status.since.is_empty() {
            let since: Vec<String> = status
                .since
                .iter()
                .map(|(partition, offset)| format!("\"{partition}\":{offset}"))
                .collect();
            let _infallible = write!(out, ",\"sinceOffsets\":{{{}}}", since.join(","));
        }
        if let Some(problem) = &status.problem {
            out.push_str(",\"problem\":");
            write_text(out, problem);
        }
        out.push('}');
    }
    out.push('}');
}

/// `ping`.
#[must_use]
pub fn ping(now_ms: i64) -> String {
    format!("{{\"type\":\"ping\",\"now\":{now_ms}}}")
}

/// `pong`.
pub const PONG: &str = "{\"type\":\"pong\"}";

/// `bye`: the server goes away; come back after `retry_ms`.
#[must_use]
pub fn bye(reason: &str, retry_ms: u64) -> String {
    let mut out = String::from("{\"type\":\"bye\",\"reason\":");
    write_text(&mut out, reason);
    let _infallible = write!(out, ",\"retryMs\":{retry_ms}}}");
    out
}

/// `bye` to whoever's session, user or device is no more: come back by logging in.
pub const SESSION_ENDED: &str = "{\"type\":\"bye\",\"reason\":\"session_ended\",\"retryMs\":0}";

/// Close code that goes with it; the page then asks who it is before it comes back.
pub const SESSION_ENDED_CODE: u16 = 4_401;

/// `error`: something asked for cannot be given; the socket stays open.
#[must_use]
pub fn error(code: &str, message: &str) -> String {
    let mut out = String::from("{\"type\":\"error\",\"code\":");
    write_text(&mut out, code);
    out.push_str(",\"message\":");
    write_text(&mut out, message);
    out.push('}');
    out
}

/// As [`error`], about what the viewer gave this id.
#[must_use]
pub fn error_of(id: &str, code: &str, message: &str) -> String {
    let mut out = String::from("{\"type\":\"error\",\"id\":");
    write_text(&mut out, id);
    out.push_str(",\"code\":");
    write_text(&mut out, code);
    out.push_str(",\"message\":");
    write_text(&mut out, message);
    out.push('}');
    out
}

/// Appends `,"asOf":…,"watermark":…`, null before the first record, and `,"idle":[…]` with the
/// partitions that what is settled does not wait for, where there are any.
pub fn write_times(out: &mut String, progress: &StreamProgress) {
    out.push_str(",\"asOf\":");
    write_number(out, progress.as_of);
    out.push_str(",\"watermark\":");
    write_number(out, progress.watermark);
    if !progress.idle.is_empty() {
        let idle: Vec<String> = progress.idle.iter().map(ToString::to_string).collect();
        let _infallible = write!(out, ",\"idle\":[{}]", idle.join(","));
    }
}

/// Appends `,"streams":{"orders":{"asOf":…,"watermark":…},…}`.
fn write_streams(out: &mut String, cut: &Cut) {
    out.push_str(",\"streams\":{");
    for (nth, (name, progress)) in cut.streams.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write_text(out, name);
        out.push_str(":{\"settled\":");
        write_number(out, progress.settled);
        write_times(out, progress);
        if !progress.added.is_empty() {
            let added: Vec<String> = progress
                .added
                .iter()
                .map(|(partition, ms)| format!("\"{partition}\":{ms}"))
                .collect();
            let _infallible = write!(out, ",\"partitionsAdded\":{{{}}}", added.join(","));
        }
        out.push('}');
    }
    out.push('}');
}

/// Appends a JSON string, or null.
pub fn write_optional(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => write_text(out, text),
        None => out.push_str("null"),
    }
}

/// Appends JSON texts with commas between.
pub fn write_list<'a>(out: &mut String, items: impl Iterator<Item = &'a str>) {
    for (nth, item) in items.enumerate() {
        if nth > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
}

fn write_number(out: &mut String, number: Option<i64>) {
    match number {
        // The ends of time are no instants a page could show.
        Some(number) if number != i64::MIN && number != i64::MAX => {
            let _infallible = write!(out, "{number}");
        }
        _ => out.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_frames_read_as_the_design_writes_them() {
        let text = r#"{"type":"subscribe","views":["gmv_day"],"space":"live","last":600,
                       "from":{"epoch":"e","cut":17}}"#;
        let frame: ClientFrame = serde_json::from_str(text).expect("reads");
        let from = Some(Resume { epoch: "e".to_owned(), cut: 17 });
        let views = vec!["gmv_day".to_owned()];
        let space = Some("live".to_owned());
        assert_eq!(frame, ClientFrame::Subscribe { views, space, last: Some(600), from });
        let ping: ClientFrame = serde_json::from_str(r#"{"type":"ping","now":5}"#).expect("reads");
        assert_eq!(ping, ClientFrame::Ping {});
    }

    #[test]
    fn the_status_frame_is_one_flat_object() {
        let text = status(&Status::default(), &Cut::default(), &Views::All, 7);
        let value: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
        assert_eq!(value["state"], "catching_up");
        assert_eq!(value["lagMs"], 0);
        assert_eq!(value["now"], 7);
        assert!(value["asOf"].is_null());
        assert!(value["views"].is_object() && value["streams"].is_object());
    }

    #[test]
    fn texts_from_outside_are_escaped() {
        let text = error("unknown_view", "no view \"\n<script>\"");
        let value: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
        assert_eq!(value["message"], "no view \"\n<script>\"");
    }
}
