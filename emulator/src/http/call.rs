//! A call, read and authenticated: what handlers work on.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::envelope::Refusal;
use crate::app::App;
use crate::context::Context;
use crate::owner::OwnerId;
use crate::session::{Session, SessionStatus};

/// Page sizes beyond this are brought down to it.
const MAX_PAGE: usize = 100;
/// The page size when the caller names none.
const DEFAULT_PAGE: usize = 10;

/// One call by a known owner.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) request_id: String,
    pub(crate) owner: OwnerId,
    pub(crate) operation: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Value,
}

/// Which page of a list is asked for.
pub(super) struct Page {
    pub(super) from: u64,
    pub(super) most: usize,
}

impl Call {
    /// A parameter of the query; an empty one counts as absent.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.trim().is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.query(name).ok_or_else(|| Refusal::missing(name))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.query(name) {
            None => Ok(false),
            Some(text) => text
                .to_ascii_lowercase()
                .parse()
                .map_err(|_| Refusal::invalid(format!("{name} must be true or false"))),
        }
    }

    /// A number of at least 1.
    pub(super) fn positive(&self, name: &str, default: usize) -> Result<usize, Refusal> {
        let Some(text) = self.query(name) else {
            return Ok(default);
        };
        let number: usize = text
            .parse()
            .map_err(|_| Refusal::invalid(format!("{name} must be a positive number")))?;
        if number == 0 {
            Err(Refusal::invalid(format!("{name} must be at least 1")))
        } else {
            Ok(number)
        }
    }

    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_path_to_error::deserialize(&self.body)
            .map_err(|error| Refusal::invalid(format!("the body is not as it should be: {error}")))
    }

    /// The page that `maxResults` and `nextToken` name.
    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let from = match self.query("nextToken") {
            None => 0,
            Some(token) => {
                read_token(token).ok_or_else(|| Refusal::invalid("nextToken is none of ours"))?
            }
        };
        Ok(Page {
            from,
            most: self.positive("maxResults", DEFAULT_PAGE)?.min(MAX_PAGE),
        })
    }

    pub(super) fn context(&self, app: &App, id: &str) -> Result<Arc<Context>, Refusal> {
        app.contexts
            .by_id(self.owner, id)
            .ok_or_else(|| Refusal::context_not_found(id))
    }

    /// A session in whatever state. Resets its idle timer.
    pub(super) fn session(&self, app: &App, id: &str) -> Result<Arc<Session>, Refusal> {
        let session = app
            .sessions
            .get(self.owner, id)
            .ok_or_else(|| Refusal::session_not_found(id))?;
        session.touch();
        Ok(session)
    }

    /// A session that is running; one that is ending counts as not found.
    pub(super) fn running_session(&self, app: &App, id: &str) -> Result<Arc<Session>, Refusal> {
        let session = self.session(app, id)?;
        if session.status() == SessionStatus::Running {
            Ok(session)
        } else {
            Err(Refusal::session_not_found(id))
        }
    }
}

/// The token that leads to the page from this number on.
pub(super) fn token(from: u64) -> String {
    format!("page-{from:x}")
}

fn read_token(token: &str) -> Option<u64> {
    u64::from_str_radix(token.strip_prefix("page-")?, 16).ok()
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        // The gate put it there; every route lies behind the gate.
        parts
            .extensions
            .get()
            .cloned()
            .ok_or_else(|| Refusal::internal("the call was not read"))
    }
}
