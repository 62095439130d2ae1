//! The built page: files embedded in the program, so that one file is the whole installation.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::error::ApiError;
use crate::screens::BuiltIn;

#[derive(RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Page;

/// Names under `assets/` hold a hash of their content: they never change.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Other files are asked for again each time, and answered with 304 when they are the same.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tidemark</title>\
<h1>The page is not built yet</h1>\
<p>The server runs, but it was built without the wall. Build the page, then the server again:</p>\
<pre>npm --prefix web ci\nnpm --prefix web run build\ncargo build --release</pre>\
<p>Meanwhile the figures are here: <a href=\"/lite\">as plain text</a>, \
<a href=\"/api/views\">as JSON</a>.</p></html>";

/// Documents that have a route of their own.
const DOCUMENTS: [&str; 2] = ["index.html", "sql.html"];

/// `GET /`, `/screens/{name}` and `/devices`: the page; it reads its own address.
pub async fn get_index(uri: Uri, headers: HeaderMap) -> Response {
    match Page::get("index.html") {
        Some(file) => answer("index.html", with_its_way_out(file, &uri), &headers),
        None => not_built(),
    }
}

/// The page as it stands at an address: without a script it leads to the plain page by itself, and that must know of
/// which screen and of which space the figures are to be.
fn with_its_way_out(file: EmbeddedFile, uri: &Uri) -> EmbeddedFile {
    const PLAIN: &str = "/lite\"";
    let at = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let Ok(text) = std::str::from_utf8(&file.data) else { return file };
    if at == "/" {
        return file;
    }
    let wall: String = form_urlencoded::byte_serialize(at.as_bytes()).collect();
    let text = text.replace(PLAIN, &format!("/lite?wall={wall}\""));
    EmbeddedFile { data: Cow::Owned(text.into_bytes()), metadata: file.metadata }
}

/// `GET /sql`: the page for analysts.
pub async fn get_sql(headers: HeaderMap) -> Response {
    document("sql.html", &headers)
}

fn document(name: &str, headers: &HeaderMap) -> Response {
    match Page::get(name) {
        Some(file) => answer(name, file, headers),
        None => not_built(),
    }
}

fn not_built() -> Response {
    (StatusCode::OK, Html(NOT_BUILT)).into_response()
}

/// Any other file of the page.
///
/// # Errors
/// When there is none of this name.
pub async fn get_file(request: Request) -> Result<Response, ApiError> {
    let path = request.uri().path();
    let name = path.trim_start_matches('/');
    let file = Page::get(name).filter(|_| !DOCUMENTS.contains(&name));
    let file = file.ok_or_else(|| ApiError::not_found(format!("there is nothing at {path}")))?;
    Ok(answer(name, file, request.headers()))
}

/// What the page brings of a map pack of this name; a program without its page cannot say, so that a
/// screen is not refused for what a build will add.
#[must_use]
pub fn built_in_map(name: &str) -> BuiltIn {
    match map_pack(name) {
        Some(pack) => BuiltIn::Pack(pack),
        None if Page::get("index.html").is_none() => BuiltIn::NotBuilt,
        None => BuiltIn::Absent,
    }
}

/// A map pack that the page brings.
#[must_use]
pub fn map_pack(name: &str) -> Option<Vec<u8>> {
    Page::get(&format!("maps/{name}.json")).map(|file| file.data.into_owned())
}

/// The address of the page's icon, without its slash; `None` in a build without the page.
#[must_use]
pub fn icon() -> Option<String> {
    let is_icon = |name: &std::borrow::Cow<'static, str>| {
        name.starts_with("assets/icon-") && name.ends_with(".svg")
    };
    Page::iter().find(is_icon).map(std::borrow::Cow::into_owned)
}

fn answer(name: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let tag = entity_tag(&file.metadata.sha256_hash());
    let caching = if name.starts_with("assets/") { FOREVER } else { ASK_AGAIN };
    let same = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut response = if same {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = mime_guess::from_path(name).first_or_octet_stream();
        ([(header::CONTENT_TYPE, content_type(kind.essence_str()))], file.data).into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, caching);
    response.headers_mut().insert(header::ETAG, tag);
    response
}

fn content_type(kind: &str) -> String {
    let text = kind.starts_with("text/") || ["application/json", "image/svg+xml"].contains(&kind);
    if text { format!("{kind}; charset=utf-8") } else { kind.to_owned() }
}

/// Weak, because compression may change the bytes on the way and not the file.
fn entity_tag(hash: &[u8; 32]) -> HeaderValue {
    let digits: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("W/\"{digits}\"")).unwrap_or(HeaderValue::from_static("W/\"0\""))
}
