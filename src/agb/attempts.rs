//! Repeats what may be repeated: within the caller's deadline, by each operation's class, and not when AGB is down.

use std::future::Future;
use std::time::Duration;

use opentelemetry::KeyValue;

use super::attempt::Nth;
use super::error::{Error, Kind};
use super::operation::Operation;
use crate::resilience::{Breaker, BreakerState, Deadline, RetryPolicy, Throttle};
use crate::telemetry::Telemetry;

/// How calls of AGB are repeated.
#[derive(Clone, Copy, Debug)]
pub struct RetrySettings {
    /// How often, and after which pauses.
    pub policy: RetryPolicy,
    /// How many tokens the shared throttle has.
    pub throttle_tokens: u32,
    /// How many calls in a row AGB must leave unanswered before it is left alone.
    pub breaker_failures: u32,
    /// For how long it is left alone at first.
    pub breaker_pause: Duration,
    /// For how long at most.
    pub breaker_longest_pause: Duration,
}

/// The share of a token that a success gives back: one call in ten may be a repetition.
const TOKEN_RATIO: f64 = 0.1;

/// Whether a server is asked, and repeatedly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// Whether calls are let through.
    pub breaker: BreakerState,
    /// How many calls in a row have found no answer.
    pub failures: u32,
    /// How many tokens for repetitions are left, and how many there are at most.
    pub retry_tokens: (f64, f64),
}

/// What all calls of one AGB share.
#[derive(Debug)]
pub(super) struct Attempts {
    policy: RetryPolicy,
    throttle: Throttle,
    breaker: Breaker,
    telemetry: Telemetry,
    upstream: [KeyValue; 1],
}

impl Attempts {
    pub(super) fn new(
        settings: &RetrySettings,
        upstream: &'static str,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            telemetry,
            upstream: [KeyValue::new("agb_gateway.upstream", upstream)],
            policy: settings.policy,
            throttle: Throttle::new(settings.throttle_tokens, TOKEN_RATIO),
            breaker: Breaker::new(
                settings.breaker_failures,
                settings.breaker_pause,
                settings.breaker_longest_pause,
            ),
        }
    }

    pub(super) fn health(&self) -> Health {
        let (breaker, failures) = self.breaker.state();
        Health {
            breaker,
            failures,
            retry_tokens: self.throttle.tokens(),
        }
    }

    /// Makes an exchange with AGB, again and again where that may be done and helps.
    pub(super) async fn make<T, F: Future<Output = Result<T, Error>>>(
        &self,
        operation: &'static Operation,
        deadline: Deadline,
        mut exchange: impl FnMut(Nth) -> F,
    ) -> Result<T, Error> {
        let mut nth = Nth::default();
        loop {
            let error = match self.once(operation, exchange(nth)).await {
                Ok(answer) => {
                    self.throttle.succeeded();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let attempts = nth.resends + 1;
            let Some(pause) = self.pause(&error, attempts, deadline) else {
                return Err(error);
            };
            tracing::info!(operation = operation.name, %error, attempts, ?pause, "trying again");
            tokio::time::sleep(pause).await;
            nth = nth.next(error.type_name());
        }
    }

    /// One exchange, unless AGB is left alone just now.
    pub(super) async fn once<T>(
        &self,
        operation: &'static Operation,
        exchange: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let permit = self
            .breaker
            .admit()
            .map_err(|retry_after| Error::new(operation, Kind::LeftAlone { retry_after }))?;
        let result = exchange.await;
        match &result {
            // Whether AGB would have answered is not known.
            Err(error) if error.is_deadline() || error.is_busy() => drop(permit),
            Err(error) if error.is_outage() => {
                if permit.failed() {
                    let instruments = self.telemetry.instruments();
                    instruments.breaker_opened.add(1, &self.upstream);
                }
            }
            Ok(_) | Err(_) => permit.succeeded(),
        }
        result
    }

    /// How long to wait before the exchange is tried again; `None` when it is not.
    fn pause(&self, error: &Error, attempts: u32, deadline: Deadline) -> Option<Duration> {
        if error.is_left_alone() {
            // Fails fast: AGB was not asked, so nothing was learned either.
            return None;
        }
        if !error.is_outage() && !error.is_overload() {
            self.throttle.succeeded();
            return None;
        }
        let may_try = self.throttle.failed();
        let hint = error.retry_after();
        let random = fastrand::f64();
        let pause = self
            .policy
            .pause(attempts, deadline.attempts(), hint, random)
            .filter(|pause| *pause < deadline.remaining());
        let pause = pause.filter(|_| error.may_be_repeated());
        if pause.is_some() && !may_try {
            let instruments = self.telemetry.instruments();
            instruments.throttle_refused.add(1, &self.upstream);
        }
        pause.filter(|_| may_try)
    }
}
