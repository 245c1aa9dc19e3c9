//! Why the read API has no answer, in the one form that all its refusals have.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::answer::json_answer;

/// What kind of refusal it is: programs decide by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request is not as it should be. 400.
    BadRequest,
    /// Who asks may not. 403.
    Forbidden,
    /// What is asked for is not there. 404.
    NotFound,
    /// The path is there, and knows no such method. 405.
    WrongMethod,
    /// The server would not: its reason is told. 422.
    Refused,
    /// Nothing can be told now; later perhaps. 503.
    Unavailable,
    /// There was no answer in time. 504.
    TimedOut,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::WrongMethod => "method_not_allowed",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timeout",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Why a path of the read API has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of refusal it is.
    pub code: Code,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Refusal {
    /// A refusal with its words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({ "code": self.code.name(), "message": self.message });
        json_answer(self.code.status(), &json!({ "error": error }))
    }
}
