//! `/api/screens/{name}`: what a wall shows, as its file under `sql/screens/` says.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::error::ApiError;
use super::pages;
use super::state::AppState;
use crate::auth::Principal;
use crate::screens::{is_name, limited};

const JSON: &str = "application/json";

/// `GET /api/screens/{name}`: the screen as it was checked when the SQL folder was last read, and of it what is
/// about views that the asker sees.
///
/// # Errors
/// When the name is none, or there is no such screen.
pub async fn get_screen(
    State(state): State<Arc<AppState>>,
    Extension(principal): Extension<Arc<Principal>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    if !is_name(&name) {
        return Err(ApiError::bad_request("a screen's name is lower-case letters, digits and `-`"));
    }
    let screens = state.screens.read();
    match screens.screen(&name).filter(|_| principal.shows(&name)) {
        Some(screen) => {
            let text = match principal.views.is_all() {
                true => screen.to_string(),
                false => for_someone(screen, &principal),
            };
            Ok(([(header::CONTENT_TYPE, JSON)], text).into_response())
        }
        None => {
            let names: Vec<&str> = screens.names().filter(|name| principal.shows(name)).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(ApiError::not_found(format!(
                "there is no screen {name:?}; the files of sql/screens are: {known}"
            )))
        }
    }
}

/// A screen with what someone may see of it.
fn for_someone(screen: &str, principal: &Principal) -> String {
    let screen: Value = serde_json::from_str(screen).unwrap_or_default();
    limited(&screen, &|view| principal.views.has(view)).to_string()
}

/// `GET /maps/{file}`: a map pack of the deployment, or else the built-in one.
///
/// # Errors
/// When there is none of this name.
pub async fn get_map(
    State(state): State<Arc<AppState>>,
    Path(file): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let own =
        file.strip_suffix(".json").and_then(|name| state.screens.read().map(name).map(Arc::clone));
    match own {
        Some(pack) => {
            let kind = [(header::CONTENT_TYPE, JSON)];
            Ok((kind, Bytes::copy_from_slice(&pack)).into_response())
        }
        None => pages::get_file(request).await,
    }
}
