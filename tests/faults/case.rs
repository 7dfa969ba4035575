//! One case: one row under one fault, and what came of it.

use std::time::Duration;

use agb_emulator::{FaultAction, RequestEnd};
use futures_util::future::BoxFuture;
use tokio::time::{interval, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::fault::{Fault, Means};
use crate::overrides::expected_of;
use crate::row::{Call, Row};
use crate::rows;
use crate::support::{Agb, Effect, Fixture, State, Through, Wire, World};
use crate::table::{Expected, faults};

/// Only a case that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long what is done in the background may take to show.
const SETTLING: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(2);
/// How long AGB keeps a request while something else changes: many times what that takes, and a case in which it was not enough fails.
const MEANWHILE_MS: u64 = 500;
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// One row under one fault.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    row: &'static Row,
    fault: Fault,
    expected: Expected,
}

/// What the caller is told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    code: Code,
    reason: String,
    pushback: Option<i64>,
    /// RetryInfo, in milliseconds.
    retry: Option<i64>,
}

impl Case {
    /// Every case there is.
    pub(crate) fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for row in rows::all() {
            for fault in faults().filter(|fault| fault.applies(row)) {
                if let Some(expected) = expected_of(row, fault) {
                    cases.push(Self {
                        row,
                        fault,
                        expected,
                    });
                }
            }
        }
        cases
    }

    /// Which AGB is asked.
    pub(crate) fn agb(&self) -> Agb {
        self.fault.agb()
    }

    /// Makes the call under the fault. The error tells what was expected, and what came instead.
    pub(crate) async fn check(&self, world: &World) -> Result<(), String> {
        let fixture = world.prepare().await;
        let through = self.fault.through(self.row.class);
        let wire = world.through(through).await;
        match through {
            Through::StaleConnections => {
                world.proxy.close_idle().await;
                self.warm(&wire, &fixture).await?;
                world.proxy.make_stale();
            }
            Through::ClosedConnections => {
                self.warm(&wire, &fixture).await?;
                world.proxy.close_idle().await;
            }
            Through::Name => {
                self.warm(&wire, &fixture).await?;
                world.name.point_elsewhere().await;
            }
            _ => {}
        }
        let before = world.state().await;
        let asked_before = self.asked(world);
        let heard_before = world.emulator.request_count(self.row.operation);
        self.inflict(world);
        let session_id = fixture.session_id.clone();
        let call = (self.row.call)(wire, fixture);
        let result = if matches!(self.fault, Fault::SessionEnds | Fault::KeyRotated) {
            self.changed_meanwhile(world, call, &session_id, asked_before)
                .await?
        } else if self.fault == Fault::CallerCancels {
            Err(self.cancelled(world, call, asked_before).await?)
        } else {
            let ended = timeout(PATIENCE, call).await;
            ended.map_err(|_elapsed| self.problem("an end of the call", "none"))?
        };
        let asked = self.asked(world) - asked_before;
        let told = told(&result);
        if told != self.owed() || !self.expected.requests.allows(asked) {
            let expected = (self.owed(), self.expected.requests);
            return Err(self.problem(expected, (told, asked, result)));
        }
        let heard = world.emulator.request_count(self.row.operation) - heard_before;
        if self.is_tls_failure() && heard > 0 {
            return Err(self.problem("no request", heard));
        }
        self.check_state(world, &before).await
    }

    /// Whether the operation that is struck is about a session that the call has made.
    fn makes_session(&self) -> bool {
        self.row.rest == Effect::NewSession
    }

    fn is_tls_failure(&self) -> bool {
        use Fault::{TlsFailure, TlsUntrusted, TlsWrongName};
        [TlsFailure, TlsUntrusted, TlsWrongName].contains(&self.fault)
    }

    /// A call before, so that there are connections in the pool.
    async fn warm(&self, wire: &Wire, fixture: &Fixture) -> Result<(), String> {
        let list = rows::all().find(|row| row.rpc == "ContextService/ListContexts");
        let call: Call = list.expect("a row").call;
        let listed = call(wire.clone(), fixture.clone()).await;
        listed.map_err(|status| self.problem("a call before", status))
    }

    fn inflict(&self, world: &World) {
        if let Means::Emulator(times, action) = self.fault.means(&world.emulator.url()) {
            world.inject(self.row.operation, times, action);
        }
        if matches!(self.fault, Fault::SessionEnds | Fault::KeyRotated) {
            let delay_ms = MEANWHILE_MS;
            world.inject(self.row.operation, 1, FaultAction::Delay { delay_ms });
        }
        for (operation, body) in self.row.stand_ins {
            let answer = FaultAction::Respond {
                status: 200,
                body: (*body).to_owned(),
                headers: [].into(),
            };
            world.inject(operation, u32::MAX, answer);
        }
    }

    /// How often the operation was asked for: of AGB, or at the port that speaks no TLS. Who is refused is not counted.
    fn asked(&self, world: &World) -> u64 {
        if self.is_tls_failure() {
            return world.tls_connections(self.fault.through(self.row.class));
        }
        world.emulator.request_count(self.row.operation)
    }

    /// Changes AGB once it has the request, and before it goes on with it.
    async fn changed_meanwhile(
        &self,
        world: &World,
        call: BoxFuture<'static, Result<(), Status>>,
        session_id: &str,
        asked_before: u64,
    ) -> Result<Result<(), Status>, String> {
        let calling = tokio::spawn(call);
        let ended = async {
            let mut tick = interval(TICK);
            while self.asked(world) == asked_before {
                tick.tick().await;
            }
            if self.fault == Fault::KeyRotated {
                let Means::Emulator(times, action) = self.fault.means("") else {
                    unreachable!("it is scripted");
                };
                world.inject("*", times, action);
            } else if self.makes_session() {
                world.release(&world.new_session(session_id).await).await;
            } else {
                world.release(session_id).await;
            }
            if calling.is_finished() {
                return Err(self.problem("a call that goes on", "its end"));
            }
            Ok(calling.await.unwrap())
        };
        let ended = timeout(PATIENCE, ended).await;
        ended.map_err(|_elapsed| self.problem("an end of the call", "none"))?
    }

    /// Leaves the call once AGB has it, and returns when AGB has seen that nobody waits any more.
    async fn cancelled(
        &self,
        world: &World,
        call: BoxFuture<'static, Result<(), Status>>,
        asked_before: u64,
    ) -> Result<Status, String> {
        let calling = tokio::spawn(call);
        let ended = async {
            let mut tick = interval(TICK);
            while self.asked(world) == asked_before {
                tick.tick().await;
            }
            calling.abort();
            let gone = |end| end == RequestEnd::CallerGone;
            let requests = || world.emulator.requests().into_iter();
            while !requests()
                .any(|request| request.operation == self.row.operation && gone(request.end))
            {
                tick.tick().await;
            }
        };
        let ended = timeout(SETTLING, ended).await;
        ended.map_err(|_elapsed| self.problem("AGB's request given up", "it goes on"))?;
        Ok(Status::cancelled(""))
    }

    async fn check_state(&self, world: &World, before: &State) -> Result<(), String> {
        let mut expected = before.with(self.row.earlier);
        if self.fault == Fault::SessionEnds {
            if !self.makes_session() {
                expected = expected.with(Effect::ForgottenSession);
            }
        } else if self.expected.done {
            expected = expected.with(self.row.effect);
        }
        if self.expected.code == Code::Ok {
            expected = expected.with(self.row.rest);
        } else {
            expected = expected.with(self.expected.left.unwrap_or(self.row.left));
        }
        let settled = async {
            let mut tick = interval(TICK);
            while world.state().await != expected {
                tick.tick().await;
            }
        };
        if timeout(SETTLING, settled).await.is_err() {
            return Err(self.problem(expected, world.state().await));
        }
        Ok(())
    }

    fn owed(&self) -> Told {
        let pushback = self.expected.pushback;
        Told {
            code: self.expected.code,
            reason: self.expected.reason.to_owned(),
            pushback,
            retry: pushback.filter(|pushback| *pushback >= 0),
        }
    }

    fn problem(&self, expected: impl std::fmt::Debug, got: impl std::fmt::Debug) -> String {
        let Row { rpc, operation, .. } = self.row;
        let fault = self.fault;
        format!("{rpc} ({operation}) under {fault:?}\n  expected {expected:?}\n  got      {got:?}")
    }
}

fn told(result: &Result<(), Status>) -> Told {
    let Err(status) = result else {
        return Told {
            code: Code::Ok,
            reason: String::new(),
            pushback: None,
            retry: None,
        };
    };
    let details = status.get_error_details();
    let pushback = status.metadata().get(PUSHBACK);
    let delay = details.retry_info().and_then(|info| info.retry_delay);
    Told {
        code: status.code(),
        reason: details
            .error_info()
            .map(|info| info.reason.clone())
            .unwrap_or_default(),
        pushback: pushback.map(|value| value.to_str().unwrap().parse().unwrap()),
        retry: delay.map(|delay| i64::try_from(delay.as_millis()).unwrap()),
    }
}
