//! Bounds what calls of AGB take at once: requests, those that wait for their turn, and long answers in memory.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::error::{Error, Kind};
use super::operation::Operation;

/// From this length on an answer is a long one, in bytes.
const LONG_ANSWER: usize = 1 << 20;
const QUEUE_SETTING: &str = "agb.max_queued_requests";

/// How much calls of AGB may take at once.
#[derive(Clone, Copy, Debug)]
pub struct GateSettings {
    /// How many requests there are at once.
    pub max_requests: usize,
    /// How many wait for their turn; further ones are refused.
    pub max_queued: usize,
    /// How many answers of more than 1 MiB are read and held at once.
    pub max_long_answers: usize,
}

/// How much calls of AGB take at this moment, and the limit of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateUsage {
    /// Requests that are under way.
    pub requests: (usize, usize),
    /// Requests that wait for their turn.
    pub queued: (usize, usize),
    /// Long answers that are being read or held.
    pub long_answers: (usize, usize),
}

/// The gate that all calls of one AGB go through.
#[derive(Debug)]
pub(super) struct Gate {
    requests: Semaphore,
    queue: Semaphore,
    long_answers: Arc<Semaphore>,
    limits: GateSettings,
}

impl Gate {
    pub(super) fn new(settings: &GateSettings) -> Self {
        Self {
            requests: Semaphore::new(settings.max_requests),
            queue: Semaphore::new(settings.max_queued),
            long_answers: Arc::new(Semaphore::new(settings.max_long_answers)),
            limits: *settings,
        }
    }

    /// How much is taken.
    pub(super) fn usage(&self) -> GateUsage {
        let usage = |semaphore: &Semaphore, limit: usize| {
            let free = semaphore.available_permits();
            (limit.saturating_sub(free), limit)
        };
        GateUsage {
            requests: usage(&self.requests, self.limits.max_requests),
            queued: usage(&self.queue, self.limits.max_queued),
            long_answers: usage(&self.long_answers, self.limits.max_long_answers),
        }
    }

    /// Ends when it is this request's turn: in the order of asking. With too many ahead of it, it is refused at once.
    pub(super) async fn turn(
        &self,
        operation: &'static Operation,
    ) -> Result<SemaphorePermit<'_>, Error> {
        let busy = || {
            let (setting, limit) = (QUEUE_SETTING, self.limits.max_queued);
            Error::new(operation, Kind::Busy { setting, limit })
        };
        if let Ok(turn) = self.requests.try_acquire() {
            return Ok(turn);
        }
        let _place = self.queue.try_acquire().map_err(|_full| busy())?;
        self.requests.acquire().await.map_err(|_closed| busy())
    }
}

/// An answer that is being read, or has been.
#[derive(Debug, Default)]
pub(super) struct Body {
    bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// Takes in more. A long answer waits here until there is room for it.
    pub(super) async fn push(&mut self, bytes: &[u8], gate: &Gate) {
        if self.room.is_none() && self.bytes.len() + bytes.len() > LONG_ANSWER {
            self.room = gate.long_answers.clone().acquire_owned().await.ok();
        }
        self.bytes.extend_from_slice(bytes);
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::operation::GET_SESSION;
    use super::*;

    fn gate() -> Gate {
        Gate::new(&GateSettings {
            max_requests: 1,
            max_queued: 1,
            max_long_answers: 1,
        })
    }

    #[tokio::test]
    async fn requests_queue_in_order_and_those_beyond_the_queue_are_refused() {
        let gate = gate();
        let first = gate.turn(&GET_SESSION).await.unwrap();
        let mut second = Box::pin(gate.turn(&GET_SESSION));
        assert!((&mut second).now_or_never().is_none());
        let usage = gate.usage();
        assert_eq!((usage.requests, usage.queued), ((1, 1), (1, 1)));
        let third = gate.turn(&GET_SESSION).now_or_never().unwrap();
        let refused = third.unwrap_err();
        assert!(refused.is_busy());
        assert!(refused.to_string().contains("agb.max_queued_requests"));
        drop(first);
        assert!(second.await.is_ok());
        assert_eq!(
            (gate.usage().requests, gate.usage().queued),
            ((0, 1), (0, 1))
        );
    }

    #[tokio::test]
    async fn a_long_answer_waits_until_another_one_is_gone_and_a_short_one_does_not() {
        let gate = gate();
        let long = vec![0; LONG_ANSWER + 1];
        let mut first = Body::default();
        first.push(&long, &gate).await;
        let mut second = Body::default();
        assert!(second.push(&long, &gate).now_or_never().is_none());
        let mut short = Body::default();
        assert!(short.push(&[0], &gate).now_or_never().is_some());
        assert_eq!(gate.usage().long_answers, (1, 1));
        drop(first);
        second.push(&long, &gate).await;
        assert_eq!(second.len(), LONG_ANSWER + 1);
    }
}
