//! Which sessions a caller has: those of the images and with the labels that its rule names. Others are as if they did not exist.

use std::collections::BTreeMap;
use std::time::Duration;

use moka::sync::Cache;
use tonic::{Request, Status};

use super::{Backend, deadline, translate};
use crate::agb::{self, operation, wire};
use crate::auth::{Caller, Denied, Refusal};
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

/// Of how many sessions it is remembered that they carry a rule's labels.
const MAX_REMEMBERED: u64 = 100_000;
/// For how long. Labels that a rule fixes are only changed by callers whom it does not bind.
const MEMORY: Duration = Duration::from_secs(30);

type LabelMap = BTreeMap<String, String>;

/// The sessions that were seen to carry a rule's labels. That one does not carry them is not remembered.
#[derive(Clone, Debug)]
pub struct Owned(Cache<(String, LabelMap), ()>);

impl Default for Owned {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(MAX_REMEMBERED);
        Self(cache.time_to_live(MEMORY).build())
    }
}

/// What a caller's rule says of sessions. Without the layer that knows callers, which is so in unit tests alone, nothing.
#[derive(Clone, Debug)]
pub(super) struct Scope(Option<Caller>);

impl Scope {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        Self(request.extensions().get::<Caller>().cloned())
    }

    /// Checks the image of a new session, and adds the labels that it must carry.
    pub(super) fn bind_new(&self, request: &mut pb::CreateSessionRequest) -> Result<(), Failure> {
        if let Some(caller) = &self.0
            && !caller.may_use_image(&request.image_id)
        {
            let allowed = caller.images().unwrap_or_default();
            return Err(denied(
                caller,
                Denied::Image {
                    image: request.image_id.clone(),
                    allowed: allowed.iter().map(ToString::to_string).collect(),
                },
            ));
        }
        self.bind(&mut request.labels)
    }

    /// Adds the fixed labels to those of a request, which must not contradict them.
    pub(super) fn bind(&self, labels: &mut LabelMap) -> Result<(), Failure> {
        let Some(caller) = &self.0 else {
            return Ok(());
        };
        for (key, fixed) in caller.labels() {
            let label = labels.entry(key.clone()).or_insert_with(|| fixed.clone());
            if label != fixed {
                let (key, fixed) = (key.clone(), fixed.clone());
                return Err(denied(caller, Denied::Label { key, fixed }));
            }
        }
        Ok(())
    }

    /// A session that the caller has just created is its own, even before AGB shows the labels.
    pub(super) fn created(&self, backend: &Backend, answer: &pb::CreateSessionResponse) {
        if let (Some(labels), Some(session)) = (self.labels(), &answer.session) {
            let key = (session.session_id.clone(), labels.clone());
            backend.owned.0.insert(key, ());
        }
    }

    /// Checks that a session is one of the caller's. One that is not is refused in the same words as one that does not exist.
    pub(super) async fn check(
        &self,
        backend: &Backend,
        session_id: &str,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let Some(labels) = self.labels() else {
            return Ok(());
        };
        translate::sole_identifier("session_id", session_id)?;
        let key = (session_id.to_owned(), labels.clone());
        if backend.owned.0.contains_key(&key) {
            return Ok(());
        }
        let call = wire::GetLabel {
            session_id,
            max_results: None,
            next_token: None,
        };
        let unknown = |request_id: &str| Failure::NotFound {
            doing: "looking for the session".to_owned(),
            resource: Resource::Session(session_id.to_owned()),
            request_id: request_id.to_owned(),
        };
        let failed = |error: agb::Error| {
            let resource = Resource::Session(session_id.to_owned());
            Failure::agb(error, "looking for the session", Some(resource))
        };
        let answer = match backend.client.call(&call, deadline).await {
            Ok(answer) => answer,
            Err(error) if error.is_session_not_found() => return Err(unknown(error.request_id())),
            Err(error) => return Err(failed(error)),
        };
        let request_id = answer.request_id;
        let carried = answer.data.read().map_err(|detail| {
            failed(agb::Error::malformed(
                &operation::GET_LABEL,
                request_id.clone(),
                detail,
            ))
        })?;
        if labels
            .iter()
            .all(|(key, fixed)| carried.get(key) == Some(fixed))
        {
            backend.owned.0.insert(key, ());
            return Ok(());
        }
        Err(unknown(&request_id))
    }

    /// The labels that every session of the caller carries.
    pub(super) fn bound(&self) -> &LabelMap {
        static NONE: LabelMap = LabelMap::new();
        self.0.as_ref().map_or(&NONE, Caller::labels)
    }

    /// The same; `None` when there are none.
    fn labels(&self) -> Option<&LabelMap> {
        let labels = self.bound();
        (!labels.is_empty()).then_some(labels)
    }
}

/// The deadline of a request about a session that its caller has.
pub(super) async fn owned<T: Sync>(
    backend: &Backend,
    request: &Request<T>,
    session_id: &str,
) -> Result<Deadline, Status> {
    let deadline = deadline(request)?;
    let scope = Scope::of(request);
    scope.check(backend, session_id, deadline).await?;
    Ok(deadline)
}

fn denied(caller: &Caller, what: Denied) -> Failure {
    let principal = caller.principal().to_owned();
    Refusal::Denied { principal, what }.into()
}
