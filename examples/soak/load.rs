//! Callers of many RPCs, at full speed or in turn at a rate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::{Context, CreateContextRequest};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use crate::caller::Caller;
use crate::support::Failure;

/// Enough for any call that is not struck.
const PATIENCE: Duration = Duration::from_secs(20);
/// Of a hundred calls at a rate, how many are left by their callers, and how many have next to no time.
const LEAVING: u32 = 4;
const HURRIED: u32 = 4;

/// Callers that share a gateway.
pub(crate) struct Load {
    shared: Arc<Shared>,
    callers: Vec<Caller>,
    running: JoinSet<()>,
}

/// What the callers share.
#[derive(Default)]
pub(crate) struct Shared {
    stop: AtomicBool,
    /// When each call may begin; `None`: at once, and by callers that are patient.
    pace: Mutex<Option<Pace>>,
    calls: AtomicU64,
    /// By what came instead of an answer.
    failures: Mutex<BTreeMap<String, u64>>,
}

/// Calls begin so far apart; those that are late begin at once.
struct Pace {
    next: Instant,
    gap: Duration,
}

impl Load {
    /// Connects so many callers, each with a context of its own.
    pub(crate) async fn new(address: &str, callers: usize, seed: u64) -> Result<Self, Failure> {
        let shared = Arc::<Shared>::default();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut load = Self {
            shared: Arc::clone(&shared),
            callers: Vec::new(),
            running: JoinSet::new(),
        };
        for number in 0..callers {
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
            let channel = endpoint.connect().await?;
            let context_id = context(channel.clone(), number).await?;
            let random = random.fork();
            let caller = Caller::new(Arc::clone(&shared), channel, context_id, random, number);
            load.callers.push(caller);
        }
        Ok(load)
    }

    /// Calls, at so many calls a second, until it is stopped.
    pub(crate) fn run(&mut self, rate: Option<f64>) {
        *lock(&self.shared.pace) = rate.map(|rate| Pace {
            next: Instant::now(),
            gap: Duration::from_secs_f64(1.0 / rate),
        });
        for caller in self.callers.drain(..) {
            self.running.spawn(caller.run());
        }
    }

    /// How many calls have ended, and how many of them not with an answer.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let failed = lock(&self.shared.failures).values().sum();
        (self.shared.calls.load(Ordering::Relaxed), failed)
    }

    /// What came instead of answers.
    pub(crate) fn tally(&self) -> String {
        let failures = lock(&self.shared.failures);
        let each = failures
            .iter()
            .map(|(what, count)| format!("{what} {count}"));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Waits until every caller has ended what it began. A caller that found something wrong has panicked.
    pub(crate) async fn stop(&mut self) -> Result<(), Failure> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.callers.clear();
        while let Some(ended) = self.running.join_next().await {
            ended?;
        }
        Ok(())
    }
}

impl Shared {
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Makes one call when it is due. Some are left by their callers and some have next to no time, where there is a rate.
    pub(crate) async fn call<T, R>(
        &self,
        random: &mut fastrand::Rng,
        message: T,
        make: impl AsyncFnOnce(Request<T>) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let is_paced = self.turn().await;
        let mut request = Request::new(message);
        let mood = if is_paced { random.u32(..100) } else { 100 };
        let soon = Duration::from_millis(random.u64(1..100));
        request.set_timeout(if (LEAVING..LEAVING + HURRIED).contains(&mood) {
            soon / 4
        } else {
            PATIENCE
        });
        let result = if mood < LEAVING {
            let left = timeout(soon, make(request)).await;
            left.unwrap_or_else(|_elapsed| Err(Status::cancelled("the caller has left")))
        } else {
            make(request).await
        };
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Err(status) = &result {
            *lock(&self.failures).entry(name(status)).or_default() += 1;
        }
        result
    }

    /// Waits for the time of the next call; whether there is a rate.
    async fn turn(&self) -> bool {
        let due = lock(&self.pace).as_mut().map(|pace| {
            let due = pace.next;
            pace.next += pace.gap;
            due
        });
        if let Some(due) = due {
            sleep_until(due).await;
        }
        due.is_some()
    }
}

/// The reason that the gateway gave, or the code of who gave none: the client itself.
fn name(status: &Status) -> String {
    let details = status.get_error_details();
    match details.error_info() {
        Some(info) => info.reason.clone(),
        None => format!("{:?}", status.code()),
    }
}

async fn context(channel: Channel, number: usize) -> Result<String, Failure> {
    let request = CreateContextRequest {
        context: Some(Context {
            name: format!("soak-{number}"),
            ..Context::default()
        }),
        ..CreateContextRequest::default()
    };
    let mut contexts = ContextServiceClient::new(channel);
    let created = contexts.create_context(request).await?.into_inner();
    Ok(created.context.ok_or("no context")?.context_id)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
