//! One poller per session, shared by all who wait for it: it starts with the first of them and ends with the last.
//!
//! Those who wait for the same sync share one state of it, which is judged once a look. Whoever reads slowly finds the latest
//! state and no backlog.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use opentelemetry::KeyValue;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;

use super::asked::Target;
use super::board::Board;
use super::error::Outcome;
use super::history::History;
use super::report::Report;
use super::rule::Patience;
use super::starts::Starts;
use super::upstream::Upstream;
use super::waits::Wait;
use crate::agb;
use crate::domain::SyncTask;
use crate::resilience::{Budget, Deadline, Drain, Pace};
use crate::telemetry::{Span, Telemetry};

/// What all pollers share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) patience: Patience,
    pub(super) pace: Pace,
    pub(super) history: History,
    pub(super) budget: Budget,
    pub(super) drain: Drain,
    pub(super) starts: Starts,
    pub(super) telemetry: Telemetry,
}

impl Common {
    /// Looks at the tasks of a session, and remembers which they are.
    pub(super) async fn look(
        &self,
        session_id: &str,
        deadline: Deadline,
    ) -> Result<Vec<SyncTask>, agb::Error> {
        let look = self.upstream.look(session_id, deadline).await?;
        self.starts.of(session_id).see(&look);
        Ok(look)
    }
}

/// What is known of a target, and whether that is the end of it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) report: Report,
    pub(super) end: Option<End>,
    /// Whether a look has been judged.
    pub(super) looked: bool,
}

/// How waiting for a target ends.
#[derive(Clone, Debug)]
pub(super) enum End {
    Succeeded,
    Ended(Outcome),
}

/// All pollers, by session.
#[derive(Clone)]
pub(super) struct Pollers {
    common: Arc<Common>,
    sessions: Arc<Mutex<HashMap<String, Weak<Poller>>>>,
}

impl fmt::Debug for Pollers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pollers")
            .field("sessions", &lock(&self.sessions).len())
            .finish_non_exhaustive()
    }
}

/// The poller of one session. It looks for as long as someone holds it.
struct Poller {
    session_id: String,
    span: Span,
    telemetry: Telemetry,
    board: Arc<Mutex<Board>>,
    joined: Arc<Notify>,
    looking: AbortHandle,
    sessions: Arc<Mutex<HashMap<String, Weak<Poller>>>>,
}

/// Someone's share in a poller.
pub(super) struct Subscription {
    known: watch::Receiver<Known>,
    looks_before: u32,
    poller: Arc<Poller>,
    drain: Drain,
    /// Whether what is waited for was started before this call, or elsewhere.
    resumed: bool,
    span: Arc<Span>,
    telemetry: Telemetry,
}

impl Pollers {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self {
            common,
            sessions: Arc::default(),
        }
    }

    /// Begins to wait for a target.
    pub(super) fn join(&self, target: &Target) -> Subscription {
        let span = Arc::new(self.common.telemetry.span("sync wait"));
        span.set("agb.session.id", target.session_id().to_owned());
        let poller = span.enter(|| self.poller(target.session_id()));
        span.link(&poller.span);
        poller.span.link(&span);
        let mut board = lock(&poller.board);
        board.tell(&span);
        self.common.telemetry.instruments().sync_waiters.add(1, &[]);
        let known = board.join(target, Instant::now(), &self.common);
        let looks_before = board.look_count();
        drop(board);
        poller.joined.notify_one();
        Subscription {
            known,
            looks_before,
            poller,
            drain: self.common.drain.clone(),
            resumed: target
                .ticket()
                .is_none_or(|ticket| ticket.started.is_none()),
            span,
            telemetry: self.common.telemetry.clone(),
        }
    }

    /// Who waits for what.
    pub(super) fn waits(&self) -> Vec<Wait> {
        let pollers: Vec<_> = {
            let sessions = lock(&self.sessions);
            sessions.values().filter_map(Weak::upgrade).collect()
        };
        // Without the lock: the last holder of a poller takes it in its turn.
        let waits = pollers
            .iter()
            .filter_map(|poller| lock(&poller.board).wait(&poller.session_id, &self.common));
        waits.collect()
    }

    fn poller(&self, session_id: &str) -> Arc<Poller> {
        let mut sessions = lock(&self.sessions);
        let existing = sessions.get(session_id).and_then(Weak::upgrade);
        if let Some(poller) = &existing
            && !lock(&poller.board).has_ended()
        {
            return Arc::clone(poller);
        }
        let poller = Arc::new(self.start(session_id));
        sessions.insert(session_id.to_owned(), Arc::downgrade(&poller));
        drop(sessions);
        // Only now: the last holder of an ended poller locks the map in its turn.
        drop(existing);
        poller
    }

    fn start(&self, session_id: &str) -> Poller {
        let board: Arc<Mutex<Board>> = Arc::default();
        let joined = Arc::new(Notify::new());
        let looks = look_on(
            self.common.clone(),
            session_id.to_owned(),
            board.clone(),
            joined.clone(),
        );
        let span = self.common.telemetry.shared_span("sync poll");
        span.set("agb.session.id", session_id.to_owned());
        let in_log = tracing::info_span!("sync_poller", session_id);
        let looks = span.around(looks.instrument(in_log));
        let telemetry = self.common.telemetry.clone();
        telemetry.instruments().sync_pollers.add(1, &[]);
        Poller {
            session_id: session_id.to_owned(),
            span,
            telemetry,
            board,
            joined,
            looking: tokio::spawn(looks).abort_handle(),
            sessions: self.sessions.clone(),
        }
    }
}

/// Looks whenever the board says that a look is due, until one ends all waiting.
async fn look_on(
    common: Arc<Common>,
    session_id: String,
    board: Arc<Mutex<Board>>,
    joined: Arc<Notify>,
) {
    loop {
        let due = lock(&board).due(&common);
        let is_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = joined.notified() => continue,
            () = is_due => {}
        }
        common.budget.take().await;
        let deadline = common.upstream.look_deadline();
        let begun = Instant::now();
        let look = common.look(&session_id, deadline).await;
        let outcome = look.as_ref().err().map_or("ok", agb::Error::type_name);
        let outcome = KeyValue::new("agb_gateway.outcome", outcome);
        let instruments = common.telemetry.instruments();
        instruments.sync_looks.add(1, &[outcome]);
        let mut board = lock(&board);
        board.take(look, begun, Instant::now(), &common);
        if board.has_ended() {
            return;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.telemetry.instruments().sync_waiters.add(-1, &[]);
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.looking.abort();
        self.telemetry.instruments().sync_pollers.add(-1, &[]);
        self.span.end();
        let mut sessions = lock(&self.sessions);
        // Another poller of the session may have taken the place meanwhile.
        if sessions
            .get(&self.session_id)
            .is_some_and(|poller| poller.strong_count() == 0)
        {
            sessions.remove(&self.session_id);
        }
    }
}

impl Subscription {
    /// What is known now.
    pub(super) fn known(&mut self) -> Known {
        let known = self.known.borrow_and_update().clone();
        let looks = lock(&self.poller.board).look_count();
        Known {
            report: Report {
                look_count: looks - self.looks_before,
                ..known.report
            },
            ..known
        }
    }

    /// Says how the wait has ended.
    pub(super) fn tell(&self, end: &End) {
        let outcome = match end {
            End::Succeeded => "succeeded",
            End::Ended(outcome) => {
                self.span.fail(outcome.type_name(), outcome.to_string());
                outcome.type_name()
            }
        };
        let outcome = KeyValue::new("agb_gateway.outcome", outcome);
        let instruments = self.telemetry.instruments();
        instruments.sync_ended.add(1, &[outcome]);
    }

    /// Ends when more is known than [`Subscription::known`] has told.
    pub(super) async fn news(&mut self) {
        // The sender lives in the board, which this holds.
        let _ = self.known.changed().await;
    }

    /// Waits for the end; also for that of the deadline, or of the server.
    pub(super) async fn end(&mut self, deadline: Deadline) -> End {
        let draining = self.draining();
        let ended = self.known.wait_for(|known| known.end.is_some());
        let known = tokio::select! {
            // What is known goes before what has only come at the same time.
            biased;
            known = deadline.bound(ended) => known,
            outcome = draining => return End::Ended(outcome),
        };
        match known {
            Ok(Ok(known)) => known.end.clone(),
            _ => None,
        }
        .unwrap_or(End::Ended(Outcome::Deadline))
    }

    /// Ends when who waits here has to leave because the server ends.
    pub(super) fn draining(&self) -> impl Future<Output = Outcome> + use<> {
        let (drain, resumed) = (self.drain.clone(), self.resumed);
        async move {
            if resumed {
                // Who only waits can do so elsewhere at once.
                drain.begun().await;
            } else {
                // Who has begun something here gets as much time as there is.
                drain.last_waits().await;
            }
            Outcome::Draining { resumed }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
