//! Labels and the idle timer of a session, and lists of sessions by labels.

use std::collections::BTreeMap;

use super::super::{Backend, page_token, translate};
use crate::agb::{self, operation, wire};
use crate::creation::Stamp;
use crate::domain::{Labels, RESERVED_LABEL_PREFIX, SessionState, Violations};
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

pub(super) async fn keep_session_alive(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<(), Failure> {
    translate::sole_identifier("session_id", session_id)?;
    let call = wire::RefreshSessionIdleTime { session_id };
    let answer = backend.client.call(&call, deadline).await;
    answer
        .map(|_answer| ())
        .map_err(failed("resetting the idle timer", session_id))
}

pub(super) async fn set_session_labels(
    backend: &Backend,
    request: &pb::SetSessionLabelsRequest,
    deadline: Deadline,
) -> Result<(), Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    if request.labels.is_empty() {
        violations.add("labels", "is required: AGB takes no empty set of labels");
    }
    let labels = Labels::check("labels", &request.labels, &backend.limits, &mut violations);
    violations.into_result()?;
    let session_id = &request.session_id;
    // The gateway's own labels of the session must outlive the change.
    let mut all = get(backend, session_id, deadline).await?;
    if Stamp::is_being_created(&all) {
        // Written back later, they would undo what the call that creates it says in them meanwhile.
        return Err(Failure::BeingCreated(Resource::Session(session_id.clone())));
    }
    all.retain(|key, _| key.starts_with(RESERVED_LABEL_PREFIX));
    all.extend(labels.as_map().clone());
    let call = wire::SetLabel {
        session_id,
        labels: wire::label_text(&all),
    };
    let answer = backend.client.call(&call, deadline).await;
    answer
        .map(|_answer| ())
        .map_err(failed("setting the labels", session_id))
}

pub(super) async fn get_session_labels(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<BTreeMap<String, String>, Failure> {
    translate::sole_identifier("session_id", session_id)?;
    let mut labels = get(backend, session_id, deadline).await?;
    labels.retain(|key, _| !key.starts_with(RESERVED_LABEL_PREFIX));
    Ok(labels)
}

async fn get(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<BTreeMap<String, String>, Failure> {
    let call = wire::GetLabel {
        session_id,
        max_results: None,
        next_token: None,
    };
    let answer = backend.client.call(&call, deadline).await;
    let answer = answer.map_err(failed("getting the labels", session_id))?;
    answer.data.read().map_err(|detail| {
        let error = agb::Error::malformed(&operation::GET_LABEL, answer.request_id, detail);
        failed("getting the labels", session_id)(error)
    })
}

pub(super) async fn list_sessions(
    backend: &Backend,
    request: &pb::ListSessionsRequest,
    deadline: Deadline,
) -> Result<pb::ListSessionsResponse, Failure> {
    let mut violations = Violations::default();
    let labels = Labels::check("labels", &request.labels, &backend.limits, &mut violations);
    let page_size = violations.check(
        "page_size",
        page_token::size(request.page_size, backend.limits.pages),
    );
    let skip = violations.check(
        "skip",
        page_token::at_most(request.skip, backend.limits.skip),
    );
    let list = format!("sessions {:?} {}", labels.as_map(), request.show_deleted);
    let token = violations.check(
        "page_token",
        backend.page_tokens.read(&list, &request.page_token),
    );
    violations.into_result()?;
    let pages = Pages {
        backend,
        labels: wire::label_text(labels.as_map()),
        show_deleted: request.show_deleted,
        deadline,
    };
    let mut token = token.flatten();
    let mut left = skip.unwrap_or_default();
    // Skipping costs one call of AGB for each largest page.
    let most = page_token::number(backend.limits.pages.max);
    while left > 0 {
        let skipped = pages.get(left.min(most), token.as_deref()).await?;
        // AGB may give less than it was asked for.
        let given = u32::try_from(skipped.data.len()).unwrap_or(u32::MAX);
        left = left.saturating_sub(given);
        if skipped.page.next_token.is_empty() {
            return Ok(pb::ListSessionsResponse {
                total_size: size(skipped.page.total),
                ..pb::ListSessionsResponse::default()
            });
        }
        token = Some(skipped.page.next_token);
    }
    let answer = pages
        .get(page_size.unwrap_or_default(), token.as_deref())
        .await?;
    Ok(pb::ListSessionsResponse {
        sessions: answer.data.into_iter().map(listed).collect(),
        next_page_token: backend.page_tokens.write(&list, &answer.page.next_token),
        total_size: size(answer.page.total),
    })
}

struct Pages<'a> {
    backend: &'a Backend,
    labels: String,
    show_deleted: bool,
    deadline: Deadline,
}

impl Pages<'_> {
    async fn get(
        &self,
        max_results: u32,
        next_token: Option<&str>,
    ) -> Result<agb::Answer<Vec<wire::ListedSessionData>>, Failure> {
        let call = wire::ListSession {
            max_results,
            next_token,
            labels: &self.labels,
            is_all: self.show_deleted.then_some(true),
        };
        let answer = self.backend.client.call(&call, self.deadline).await;
        answer.map_err(|error| Failure::agb(error, "listing sessions", None))
    }
}

fn listed(data: wire::ListedSessionData) -> pb::Session {
    let state = match SessionState::from_agb(&data.session_status) {
        None => pb::SessionState::Unspecified,
        Some(SessionState::Running) => pb::SessionState::Running,
        Some(SessionState::Deleting) => pb::SessionState::Deleting,
        Some(SessionState::Deleted) => pb::SessionState::Deleted,
    };
    pb::Session {
        session_id: data.session_id,
        state: state.into(),
        ..pb::Session::default()
    }
}

fn size(total: u32) -> i32 {
    i32::try_from(total).unwrap_or(i32::MAX)
}

fn failed(doing: &'static str, session_id: &str) -> impl Fn(agb::Error) -> Failure {
    let resource = Resource::Session(session_id.to_owned());
    move |error| Failure::agb(error, doing, Some(resource.clone()))
}
