//! What a handler may answer instead of a result: the only place that picks a status.
//!
//! Every error is `{"error":{"code","message"}}`, with `line` and `column` where the mistake is in
//! a text. `code` is for programs and stays; `message` is for people and says what to do.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::auth::Refusal;
use crate::ingest::IngestError;
use crate::sql::{Place, SqlError};

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Nothing of this name is here.
    #[error("{message}")]
    NotFound {
        /// What was looked for and where to find what there is.
        message: String,
    },
    /// The request cannot be understood.
    #[error("{message}")]
    BadRequest {
        /// What is wrong with it and how to write it.
        message: String,
    },
    /// A key is missing, so that the answer would be several rows.
    #[error("{message}")]
    Ambiguous {
        /// Which keys to give.
        message: String,
    },
    /// There is no figure yet.
    #[error("{message}")]
    NoFigure {
        /// What is missing.
        message: String,
    },
    /// What was asked for cannot be done as things are; nothing was changed.
    #[error("{message}")]
    Refused {
        /// Why, with every place.
        message: String,
    },
    /// The view was stopped; its last figure is no longer true.
    #[error("{message}")]
    Stopped {
        /// Which, and why.
        message: String,
    },
    /// A token is needed and none, or a wrong one, was shown.
    #[error("this needs a token: send `Authorization: Bearer TOKEN`")]
    Unauthorized,
    /// Something that was here and is over.
    #[error("{message}")]
    Gone {
        /// What it was, and what to do.
        message: String,
    },
    /// The sender's role does not allow it.
    #[error("role {role:?} does not allow {right}; ask an admin for a role that does")]
    Forbidden {
        /// The sender's role.
        role: &'static str,
        /// What is not allowed.
        right: &'static str,
    },
    /// The sender's role is shown this in part, or not at all.
    #[error("{message}")]
    NotShown {
        /// What, by which rule, and what to do.
        message: String,
    },
    /// The `Host` is not a name of this server.
    #[error("host {host:?} is not a name of this server; add its origin to server.origins")]
    ForeignHost {
        /// As sent.
        host: String,
    },
    /// A page of another origin asks.
    #[error("origin {origin:?} may not connect; add it to server.origins if it should")]
    ForeignOrigin {
        /// As sent.
        origin: String,
    },
    /// The method has no meaning here.
    #[error("this method is not allowed here")]
    MethodNotAllowed,
    /// The body is larger than it may be.
    #[error("the body is over {bytes_max} bytes; send it in parts")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// Too many requests of this kind are being served.
    #[error("{message}")]
    Busy {
        /// What is busy.
        message: String,
        /// When to come back.
        retry_after_s: u32,
    },
    /// The body took too long to arrive.
    #[error("the body did not arrive within {seconds} s")]
    TooSlow {
        /// The bound.
        seconds: u64,
    },
    /// None of the wanted formats is known.
    #[error(
        "cannot answer as {accept:?}; known are application/json, text/csv, application/vnd.apache.arrow.stream and application/vnd.apache.parquet"
    )]
    NotAcceptable {
        /// As asked for.
        accept: String,
    },
    /// A query failed.
    #[error("{0}")]
    Sql(#[from] SqlError),
    /// Something here is broken; the log has the detail.
    #[error("{message}")]
    Internal {
        /// What cannot be done, without insides.
        message: String,
    },
}

impl ApiError {
    /// A request that cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest { message: message.into() }
    }

    /// Something that is not here.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound { message: message.into() }
    }

    /// Too much at one time; again after a while.
    pub fn busy_for(message: String, wait: Duration) -> Self {
        let retry_after_s = u32::try_from(wait.as_secs().max(1)).unwrap_or(u32::MAX);
        Self::Busy { message, retry_after_s }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::BadRequest { .. } | Self::Ambiguous { .. } => StatusCode::BAD_REQUEST,
            Self::NoFigure { .. } | Self::Refused { .. } | Self::Stopped { .. } => {
                StatusCode::CONFLICT
            }
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Gone { .. } => StatusCode::GONE,
            Self::ForeignHost { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin { .. } | Self::Forbidden { .. } | Self::NotShown { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::NotAcceptable { .. } => StatusCode::NOT_ACCEPTABLE,
            Self::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Sql(error) => sql_status(error),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::BadRequest { .. } => "bad_request",
            Self::Ambiguous { .. } => "ambiguous",
            Self::NoFigure { .. } => "no_figure",
            Self::Refused { .. } => "refused",
            Self::Stopped { .. } => "view_stopped",
            Self::Unauthorized => "unauthorized",
            Self::Gone { .. } => "gone",
            Self::ForeignHost { .. } => "foreign_host",
            Self::Forbidden { .. } | Self::NotShown { .. } => "forbidden",
            Self::ForeignOrigin { .. } => "foreign_origin",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge { .. } => "too_large",
            Self::Busy { .. } => "busy",
            Self::TooSlow { .. } => "too_slow",
            Self::NotAcceptable { .. } => "not_acceptable",
            Self::Internal { .. } => "internal",
            Self::Sql(error) => error.code(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Busy { retry_after_s, .. } => Some(*retry_after_s),
            Self::Sql(SqlError::Busy { .. } | SqlError::Restoring) => Some(1),
            _ => None,
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Sql(error) => error.place(),
            _ => None,
        }
    }
}

fn sql_status(error: &SqlError) -> StatusCode {
    match error {
        SqlError::Refused { .. } => StatusCode::FORBIDDEN,
        SqlError::Syntax { .. }
        | SqlError::TooLarge { .. }
        | SqlError::Plan { .. }
        | SqlError::NotLive { .. }
        | SqlError::Params { .. } => StatusCode::BAD_REQUEST,
        SqlError::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
        SqlError::Timeout { .. }
        | SqlError::Memory { .. }
        | SqlError::Row { .. }
        | SqlError::Rows { .. }
        | SqlError::Run { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        SqlError::Cancelled => StatusCode::CONFLICT,
        SqlError::Stopped | SqlError::Restoring => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::Unauthorized,
            Refusal::TooMany(wait) => {
                let seconds = wait.as_secs().max(1);
                Self::busy_for(format!("too many wrong keys; again in {seconds} s"), wait)
            }
        }
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        let message = error.to_string();
        match error {
            IngestError::UnknownStream { .. } => Self::NotFound { message },
            IngestError::Busy { retry_after_s } => Self::Busy { message, retry_after_s },
            IngestError::NoWatermarks { .. } => Self::BadRequest { message },
            IngestError::Failed { .. } => {
                tracing::error!(%error, "ingest failed: {error}");
                Self::Internal { message }
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"code": self.code(), "message": self.to_string()});
        if let Some(place) = self.place() {
            body["line"] = place.line.into();
            body["column"] = place.column.into();
        }
        let mut response = (self.status(), axum::Json(json!({ "error": body }))).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self == Self::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Answers a method that a route does not have.
pub async fn refuse_method() -> ApiError {
    ApiError::MethodNotAllowed
}
