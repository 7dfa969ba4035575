//! What this module asks of AGB.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::agb::{self, Client, operation, wire};
use crate::resilience::Deadline;

/// Labels by key.
pub type LabelMap = BTreeMap<String, String>;

/// How many sessions one page of a list has.
const PAGE_SIZE: u32 = 100;

/// A page of sessions.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// AGB's ids of the sessions that are active.
    pub session_ids: Vec<String>,
    /// Asks for the next page; `None`: this was the last one.
    pub next_token: Option<String>,
}

/// Makes, lists, labels and releases sessions.
pub trait Upstream: fmt::Debug + Send + Sync {
    /// Creates a session.
    fn create<'a>(
        &'a self,
        call: &'a wire::CreateSession,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<wire::LinkedSessionData, agb::Error>>;

    /// Describes a session.
    fn get<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<wire::LinkedSessionData, agb::Error>>;

    /// A page of the active sessions that have these labels.
    fn list<'a>(
        &'a self,
        labels: &'a LabelMap,
        token: Option<&'a str>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Listed, agb::Error>>;

    /// The labels of a session.
    fn labels<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<LabelMap, agb::Error>>;

    /// Replaces the labels of a session.
    fn set_labels<'a>(
        &'a self,
        session_id: &'a str,
        labels: &'a LabelMap,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), agb::Error>>;

    /// Releases a session.
    fn release<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), agb::Error>>;

    /// How long one call may take.
    fn request_timeout(&self) -> Duration;
}

impl Upstream for Client {
    fn create<'a>(
        &'a self,
        call: &'a wire::CreateSession,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<wire::LinkedSessionData, agb::Error>> {
        async move { created(self, self.call(call, deadline).await?) }.boxed()
    }

    fn get<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<wire::LinkedSessionData, agb::Error>> {
        async move {
            let call = wire::GetLinkedSession { session_id };
            Ok(self.call(&call, deadline).await?.data)
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        labels: &'a LabelMap,
        token: Option<&'a str>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Listed, agb::Error>> {
        async move {
            let labels = wire::label_text(labels);
            let call = wire::ListSession {
                max_results: PAGE_SIZE,
                next_token: token,
                labels: &labels,
                is_all: None,
            };
            let answer = self.call(&call, deadline).await?;
            let session_ids = answer.data.into_iter().map(|listed| listed.session_id);
            Ok(Listed {
                session_ids: session_ids.collect(),
                next_token: Some(answer.page.next_token).filter(|token| !token.is_empty()),
            })
        }
        .boxed()
    }

    fn labels<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<LabelMap, agb::Error>> {
        async move {
            let call = wire::GetLabel {
                session_id,
                max_results: None,
                next_token: None,
            };
            let answer = self.call(&call, deadline).await?;
            answer.data.read().map_err(|detail| {
                agb::Error::malformed(&operation::GET_LABEL, answer.request_id, detail)
            })
        }
        .boxed()
    }

    fn set_labels<'a>(
        &'a self,
        session_id: &'a str,
        labels: &'a LabelMap,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), agb::Error>> {
        async move {
            let labels = wire::label_text(labels);
            let call = wire::SetLabel { session_id, labels };
            self.call(&call, deadline).await.map(drop)
        }
        .boxed()
    }

    fn release<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), agb::Error>> {
        async move {
            let call = wire::ReleaseSessionAsync { session_id };
            self.call(&call, deadline).await.map(drop)
        }
        .boxed()
    }

    fn request_timeout(&self) -> Duration {
        Client::request_timeout(self)
    }
}

/// The session, unless AGB declines within a success, or forgets to name it.
fn created(
    client: &Client,
    answer: agb::Answer<wire::CreatedSessionData>,
) -> Result<wire::LinkedSessionData, agb::Error> {
    let data = answer.data;
    if data.success == Some(false) {
        let refusal = agb::Refusal {
            http_status: 200,
            message: data.err_msg,
            request_id: answer.request_id,
            ..agb::Refusal::default()
        };
        return Err(client.refused(&operation::CREATE_SESSION, refusal));
    }
    if data.linked.session.session_id.is_empty() {
        return Err(agb::Error::malformed(
            &operation::CREATE_SESSION,
            answer.request_id,
            "data.sessionId is missing",
        ));
    }
    Ok(data.linked)
}
