//! An AGB in simulated time, and the way of one replica to it, on which things are lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agb_gateway::agb::operation::{self, Operation};
use agb_gateway::agb::{Error, Refusal, wire};
use agb_gateway::creation::{LabelMap, Listed, Upstream};
use agb_gateway::resilience::Deadline;
use fastrand::Rng;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

/// How long one call may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Pages are short, so that there are more than one.
const PAGE: usize = 2;

/// The sessions that are active, by id.
#[derive(Debug)]
pub(crate) struct Agb {
    pub(crate) active: Mutex<BTreeMap<String, LabelMap>>,
    pub(crate) rng: Mutex<Rng>,
    created: Mutex<u64>,
}

impl Agb {
    pub(crate) fn new(rng: Rng) -> Arc<Self> {
        Arc::new(Self {
            active: Mutex::default(),
            rng: Mutex::new(rng),
            created: Mutex::default(),
        })
    }

    /// Makes a session.
    pub(crate) fn add(&self, labels: LabelMap) -> String {
        let id = format!("s-{:016x}", self.rng.lock().unwrap().u64(..));
        self.active.lock().unwrap().insert(id.clone(), labels);
        *self.created.lock().unwrap() += 1;
        id
    }

    pub(crate) fn created(&self) -> u64 {
        *self.created.lock().unwrap()
    }

    fn number(&self, range: std::ops::Range<u64>) -> u64 {
        self.rng.lock().unwrap().u64(range)
    }

    fn chance(&self, percent: u64) -> bool {
        self.number(0..100) < percent
    }
}

/// The way of one replica to AGB.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) agb: Arc<Agb>,
    /// The replica was killed: nothing of it ever goes on.
    pub(crate) is_killed: AtomicBool,
    /// Nothing gets through.
    pub(crate) is_cut: AtomicBool,
    /// How many of a hundred exchanges are lost.
    pub(crate) lost_percent: u64,
}

impl Way {
    /// An exchange with AGB. What AGB has been asked it does, whatever becomes of the replica.
    async fn exchange<T: Send + 'static>(
        &self,
        operation: &'static Operation,
        deadline: Deadline,
        before: Duration,
        work: impl FnOnce(&Agb) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if self.is_killed.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        let lost = || Error::malformed(operation, "", "lost");
        let exchange = async {
            let is_lost = self.agb.chance(self.lost_percent);
            let after = Duration::from_millis(self.agb.number(1..30));
            if self.is_cut.load(Ordering::Relaxed) || is_lost && self.agb.chance(50) {
                sleep(after).await;
                return Err(lost());
            }
            let agb = Arc::clone(&self.agb);
            let working = tokio::spawn(async move {
                sleep(before).await;
                work(&agb)
            });
            let answer = working.await.unwrap();
            sleep(after).await;
            if is_lost || self.is_cut.load(Ordering::Relaxed) {
                return Err(lost());
            }
            answer
        };
        let bounded = tokio::time::timeout(REQUEST_TIMEOUT, exchange);
        let answer = match deadline.bound(bounded).await {
            Ok(answer) => answer.unwrap_or_else(|_elapsed| Err(lost())),
            Err(exceeded) => Err(Error::from_deadline(operation, exceeded)),
        };
        if self.is_killed.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        answer
    }

    fn short(&self) -> Duration {
        Duration::from_millis(self.agb.number(1..40))
    }
}

fn not_found(operation: &'static Operation) -> Error {
    let refusal = Refusal {
        http_status: 400,
        code: "InvalidMcpSession.NotFound".to_owned(),
        ..Refusal::default()
    };
    Error::refused(operation, refusal)
}

impl Upstream for Way {
    fn create<'a>(
        &'a self,
        call: &'a wire::CreateSession,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<wire::LinkedSessionData, Error>> {
        let labels = serde_json::from_str(call.labels.as_deref().unwrap()).unwrap();
        // Now and then longer than anybody waits for it.
        let longest = if self.agb.chance(3) { 1_500 } else { 300 };
        let before = Duration::from_millis(self.agb.number(1..longest));
        let work = |agb: &Agb| Ok(session(agb.add(labels)));
        self.exchange(&operation::CREATE_SESSION, deadline, before, work)
            .boxed()
    }

    fn get<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<wire::LinkedSessionData, Error>> {
        let session_id = session_id.to_owned();
        let work = |agb: &Agb| {
            let active = agb.active.lock().unwrap();
            let found = active.contains_key(&session_id).then_some(session_id);
            let session_id = found.ok_or_else(|| not_found(&operation::GET_SESSION))?;
            Ok(session(session_id))
        };
        self.exchange(&operation::GET_SESSION, deadline, self.short(), work)
            .boxed()
    }

    fn list<'a>(
        &'a self,
        labels: &'a LabelMap,
        token: Option<&'a str>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Listed, Error>> {
        let (wanted, from) = (labels.clone(), token.unwrap_or_default().to_owned());
        // A list of one id is short: only sweeps take more than one page.
        let page = if wanted.contains_key("agb-gateway/request") {
            usize::MAX
        } else {
            PAGE
        };
        let work = move |agb: &Agb| {
            let active = agb.active.lock().unwrap();
            let mut found = active.iter().filter(|(id, labels)| {
                **id > from
                    && wanted
                        .iter()
                        .all(|(key, value)| labels.get(key) == Some(value))
            });
            let session_ids: Vec<_> = found
                .by_ref()
                .map(|(id, _)| id.clone())
                .take(page)
                .collect();
            let next_token = found.next().and(session_ids.last().cloned());
            Ok(Listed {
                session_ids,
                next_token,
            })
        };
        self.exchange(&operation::LIST_SESSION, deadline, self.short(), work)
            .boxed()
    }

    fn labels<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<LabelMap, Error>> {
        let session_id = session_id.to_owned();
        let work = move |agb: &Agb| {
            let active = agb.active.lock().unwrap();
            let labels = active.get(&session_id).cloned();
            labels.ok_or_else(|| not_found(&operation::GET_LABEL))
        };
        self.exchange(&operation::GET_LABEL, deadline, self.short(), work)
            .boxed()
    }

    fn set_labels<'a>(
        &'a self,
        session_id: &'a str,
        labels: &'a LabelMap,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let (session_id, labels) = (session_id.to_owned(), labels.clone());
        let work = move |agb: &Agb| {
            let mut active = agb.active.lock().unwrap();
            let place = active.get_mut(&session_id);
            *place.ok_or_else(|| not_found(&operation::SET_LABEL))? = labels;
            Ok(())
        };
        // With the look before it, nearly as long as is assumed at most: so that much can happen in between.
        let before = Duration::from_millis(self.agb.number(1..110));
        self.exchange(&operation::SET_LABEL, deadline, before, work)
            .boxed()
    }

    fn release<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let session_id = session_id.to_owned();
        let work = move |agb: &Agb| {
            let released = agb.active.lock().unwrap().remove(&session_id);
            let released = released.ok_or_else(|| not_found(&operation::RELEASE_SESSION_ASYNC));
            released.map(drop)
        };
        self.exchange(
            &operation::RELEASE_SESSION_ASYNC,
            deadline,
            self.short(),
            work,
        )
        .boxed()
    }

    fn request_timeout(&self) -> Duration {
        REQUEST_TIMEOUT
    }
}

fn session(session_id: String) -> wire::LinkedSessionData {
    wire::LinkedSessionData {
        session: wire::SessionData {
            session_id,
            ..wire::SessionData::default()
        },
        ..wire::LinkedSessionData::default()
    }
}
