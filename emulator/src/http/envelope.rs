//! The envelope around every answer.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A success: `data`, and what AGB puts beside it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    data: Value,
    beside: Map<String, Value>,
}

/// A refusal in AGB's terms.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// What handlers return.
pub(crate) type Answer = Result<Reply, Refusal>;

/// An answer on its way to the gate, which knows the request id and writes it out.
#[derive(Debug, Clone)]
pub(super) struct Unwritten {
    status: StatusCode,
    envelope: Map<String, Value>,
}

impl Reply {
    /// A success that has nothing to tell.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    pub(crate) fn data(data: &impl Serialize) -> Self {
        Self {
            data: serde_json::to_value(data).unwrap_or_default(),
            beside: Map::new(),
        }
    }

    /// Puts a field beside `data`.
    pub(crate) fn beside(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.beside.insert(name.to_owned(), value.into());
        self
    }
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "MissingParameter",
            format!("{parameter} is required"),
        )
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameter", message)
    }

    pub(crate) fn context_not_found(which: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidContext.NotFound",
            format!("context not found: {which}"),
        )
    }

    pub(crate) fn session_not_found(id: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidMcpSession.NotFound",
            format!("session not found: {id}"),
        )
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut envelope = self.beside;
        envelope.insert("success".to_owned(), json!(true));
        envelope.insert("code".to_owned(), json!("ok"));
        // Empty: the SDK takes a message for an error's, and prefers it to what a tool says.
        envelope.insert("message".to_owned(), json!(""));
        envelope.insert("data".to_owned(), self.data);
        Unwritten {
            status: StatusCode::OK,
            envelope,
        }
        .into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut envelope = Map::new();
        envelope.insert("success".to_owned(), json!(false));
        envelope.insert("code".to_owned(), json!(self.code));
        envelope.insert("message".to_owned(), json!(self.message));
        envelope.insert("data".to_owned(), Value::Null);
        Unwritten {
            status: self.status,
            envelope,
        }
        .into_response()
    }
}

impl IntoResponse for Unwritten {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl Unwritten {
    pub(super) fn write(mut self, request_id: &str) -> Response {
        self.envelope
            .insert("requestId".to_owned(), json!(request_id));
        self.envelope
            .insert("httpStatusCode".to_owned(), json!(self.status.as_u16()));
        let body = Body::from(Value::Object(self.envelope).to_string());
        let mut response = (self.status, body).into_response();
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}
