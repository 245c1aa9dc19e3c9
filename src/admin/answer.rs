//! How answers are written.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A body of a kind. It is what was so when it was asked for: nobody is to keep it.
pub(crate) fn answer(status: StatusCode, kind: &'static str, body: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body).into_response()
}

/// JSON, indented for people.
pub(crate) fn json_answer(status: StatusCode, value: &Value) -> Response {
    answer(status, "application/json", format!("{value:#}\n"))
}
