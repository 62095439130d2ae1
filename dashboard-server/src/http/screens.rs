//! `/api/screens/{name}`: what a wall shows, as its file under `sql/screens/` says.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::state::AppState;

/// Longest name of a screen.
const NAME_BYTES_MAX: usize = 64;

/// `GET /api/screens/{name}`: the file as it is, read anew each time, so that an edited wall needs
/// a reload of the page and nothing else.
///
/// # Errors
/// When the name is none, or there is no such file.
pub async fn get_screen(
    State(state): State<Arc<AppState>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    if !is_name(&name) {
        return Err(ApiError::bad_request("a screen's name is letters, digits, `-` and `_`"));
    }
    let file = state.sql_dir.join("screens").join(format!("{name}.json"));
    match tokio::fs::read(&file).await {
        Ok(bytes) => Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(ApiError::not_found(
            format!("there is no screen {name:?}; screens are the files in sql/screens/"),
        )),
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "cannot read screen {}: {error}", file.display());
            Err(ApiError::Internal {
                message: format!("the file of screen {name:?} cannot be read"),
            })
        }
    }
}

/// Only such names reach the file system, so that no path can.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_a_name() {
        assert!(is_name("wall-2_b"));
        for bad in ["", "..", "../wall", "a/b", "a.b", "a%2fb", "墙"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
