//! `/lite`: the figures as plain HTML, without script or images, for a phone on a bad line and for a wall whose page cannot
//! run.

mod asked;
mod panels;
mod ranking;
mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::datatypes::DataType;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value};
use tidemark_pipeline::model::{Space, Zone};
use tidemark_pipeline::results::{Cut, Snapshot};

use self::asked::Asked;
use self::panels::Screen;
use self::words::Language;
use super::error::ApiError;
use super::pages;
use super::state::AppState;
use crate::auth::Principal;
use crate::headlines::words::{local_time, zone_name};

/// The screen that is shown where none is named, as the wall does.
const SCREEN: &str = "wall";
/// Rows of one view, the newest: the page is for the figures and not for history.
const ROWS_MAX: usize = 40;

/// How often the page is taken anew, s.
const REFRESH_S: u64 = 10;

/// `GET /lite`: the panels of the screen `?screen=NAME`, or with `?views` every view, in the language `?lang=zh|en`;
/// with `?wall=PATH` where a wall has fallen back to it, whose page is tried again after a while. `?space=shadow`, its own
/// or the wall's, is the rehearsal, and says so.
pub async fn get_lite(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    headers: HeaderMap,
    Query(wanted): Query<BTreeMap<String, String>>,
) -> Response {
    let asked = Asked(wanted);
    let language = Language::wanted(&asked, &headers);
    let space = match asked.space() {
        Ok(space) => space,
        Err(error) => return refused(error),
    };
    let cut = state.results.latest().space(space);
    let status = state.results.status();
    let screen = match asked.wants_views() {
        true => None,
        false => screen_of(&state, &principal, &asked),
    };
    let title = screen.as_ref().map_or("Tidemark", |screen| language.text(screen.get("title")));
    let mut out = begun(language, title, &asked.next_page());
    let _infallible = write!(out, "<h1>{}</h1>", escaped(title));
    if space == Space::Shadow {
        let _infallible = write!(
            out,
            "<p><strong>{}</strong> {}</p>",
            language.of("彩排", "REHEARSAL"),
            language.of("压测数据，不计入任何正式数字", "Load-test figures that count nowhere"),
        );
    }
    let _infallible = write!(
        out,
        "<p>{}, {}, {} {}",
        words::mode(state.results.mode(), space, language),
        words::state(status.state, language),
        language.of("切点", "cut"),
        cut.cut,
    );
    let first = cut.views.values().next();
    let zone = first.and_then(|view| Zone::named(&view.info.time_zone).ok()).unwrap_or(Zone::UTC);
    if let Some(as_of) = cut.overall().as_of {
        let (at, named) = (local_time(as_of, &zone), zone_name(as_of, &zone));
        let _infallible = write!(out, ", {} {at} ({named})", language.of("截至", "as of"));
    }
    let lang = ("lang", language.code());
    let _infallible = write!(
        out,
        "</p><p><a href=\"/{}\">{}</a> <a href=\"{}\">{}</a> <a href=\"{}\">{}</a></p>",
        if space == Space::Shadow { "?space=shadow" } else { "" },
        language.of("大屏", "The wall"),
        escaped(&asked.other_page(&[lang])),
        language.of("数字", "Figures"),
        escaped(&asked.other_page(&[("views", ""), lang])),
        language.of("全部视图", "All views"),
    );
    if let Some(problem) = &status.problem {
        let _infallible = write!(out, "<p><strong>{}</strong></p>", escaped(problem));
    }
    match &screen {
        Some(screen) => {
            let pack = |name: &str| pack_of(&state, name);
            Screen { screen, cut: &cut, views: &principal.views, language, pack: &pack }
                .write(&mut out);
            for part in ["scope", "source"] {
                let text = screen.get("footer").and_then(|footer| footer.get(part));
                let _infallible = write!(out, "<p>{}</p>", escaped(language.text(text)));
            }
        }
        None => {
            for view in cut.views.values().filter(|view| principal.views.has(&view.info.name)) {
                write_view(&mut out, &cut, view);
            }
        }
    }
    out.push_str("</body></html>");
    Html(out).into_response()
}

/// The answer where `/lite` is refused: words for a person, and the way in.
pub fn refused(error: ApiError) -> Response {
    let text = match error {
        ApiError::Unauthorized => "请先登录。 Sign in to see the figures.".to_owned(),
        _ => escaped(&error.to_string()),
    };
    let mut response = error.into_response();
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         {}<title>Tidemark</title></head><body><h1>Tidemark</h1><p>{text}</p>\
         <p><a href=\"/\">登录 / Sign in</a></p></body></html>",
        icon()
    );
    *response.body_mut() = page.into();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// The screen that is asked for, or that of the wall that fell back; `None` where there is none that may be shown.
fn screen_of(state: &AppState, principal: &Principal, asked: &Asked) -> Option<Value> {
    let name = asked.screen().unwrap_or(SCREEN);
    let screens = state.screens.read();
    // A paired wall may show another screen than the first.
    let mut own = screens.names().filter(|name| principal.shows(name));
    let name = if principal.shows(name) { Some(name) } else { own.next() };
    serde_json::from_str(screens.screen(name?)?).ok()
}

/// A map pack: the deployment's own, or else that of the page.
fn pack_of(state: &AppState, name: &str) -> Option<Value> {
    let own = state.screens.read().map(name).map(|pack| serde_json::from_slice(pack));
    own.or_else(|| pages::map_pack(name).map(|pack| serde_json::from_slice(&pack)))?.ok()
}

/// The icon of the page, so that no browser asks for one that is not there.
fn icon() -> String {
    pages::icon().map_or(String::new(), |name| format!("<link rel=\"icon\" href=\"/{name}\">"))
}

/// The page up to its figures.
fn begun(language: Language, title: &str, next: &str) -> String {
    let (title, next_url) = (escaped(title), escaped(next));
    format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">{}\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_S};url={next_url}\"><title>{title}</title></head><body>",
        language.code(),
        icon(),
    )
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
