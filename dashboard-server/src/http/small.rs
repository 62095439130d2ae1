//! Bodies of a few lines: a key, a secret, a name and some screens.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::StatusCode;

use super::error::ApiError;

/// The longest of them.
const BODY_BYTES_MAX: usize = 4_096;

/// The limit as a layer of the route.
pub fn body_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(BODY_BYTES_MAX)
}

/// Such a body; one that is too long is refused as everything else is.
pub struct Small(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Small {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Self(body)),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::TooLarge { bytes_max: BODY_BYTES_MAX })
            }
            Err(error) => Err(ApiError::bad_request(error.body_text())),
        }
    }
}
