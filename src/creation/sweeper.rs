//! Finds what gateways that have ended left behind: sessions that were created and never handed over.
//!
//! Every replica sweeps. A session is released only when its labels prove that a gateway of this account made it, say that it was
//! not handed over, and have expired by more than clocks may differ. Releasing one twice does no harm.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::sleep;

use super::creations::Creations;
use super::decide::millis;
use super::stamp::{Phase, Stamp};
use crate::agb;
use crate::resilience::Deadline;

/// How many pages of a hundred one round looks at; the next round goes on from there.
const PAGES_PER_ROUND: usize = 10;
/// For how long a session is not looked at again that is not provably ours: a look keeps it from becoming idle.
const NOT_OURS: Duration = Duration::from_hours(1);
/// Of how many sessions it is known when to look at them again.
const MAX_REMEMBERED: usize = 10_000;

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// How many sessions were listed that were not handed over.
    pub listed: usize,
    /// How many of them were released.
    pub released: usize,
}

/// Sweeps again and again.
#[derive(Debug)]
pub struct Sweeper {
    creations: Creations,
    interval: Duration,
    /// Where the next round goes on; `None`: at the beginning.
    token: Option<String>,
    /// When to look at a session again: milliseconds since the epoch.
    look_again: HashMap<String, i64>,
}

impl Sweeper {
    /// A sweeper with so much time between two rounds, give or take a quarter.
    pub fn new(creations: Creations, interval: Duration) -> Self {
        Self {
            creations,
            interval,
            token: None,
            look_again: HashMap::new(),
        }
    }

    /// Sweeps for ever.
    pub async fn run(mut self) {
        loop {
            // Replicas that were started together do not stay in step.
            sleep(self.interval.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            match self.round().await {
                Ok(sweep) => {
                    self.creations.told.swept(sweep.released, sweep.listed);
                    tracing::debug!(?sweep, "swept");
                }
                Err(error) => tracing::warn!(%error, "could not sweep; trying again later"),
            }
        }
    }

    /// One round.
    pub async fn round(&mut self) -> Result<Sweep, agb::Error> {
        let now = self.creations.clock.now();
        self.look_again.retain(|_, time| *time > now);
        if self.look_again.len() > MAX_REMEMBERED {
            self.look_again.clear();
        }
        let labels = Stamp::not_handed_over();
        let mut sweep = Sweep::default();
        for _ in 0..PAGES_PER_ROUND {
            // A token that AGB does not take any more must not keep the sweeper from beginning anew.
            let token = self.token.take();
            let upstream = &self.creations.upstream;
            let page = upstream
                .list(&labels, token.as_deref(), self.deadline())
                .await?;
            sweep.listed += page.session_ids.len();
            for session_id in page.session_ids {
                sweep.released += usize::from(self.look_at(session_id).await);
            }
            self.token = page.next_token;
            if self.token.is_none() {
                break;
            }
        }
        Ok(sweep)
    }

    /// Whether it was released. One that cannot be looked at, or not be released, is left to the next round.
    async fn look_at(&mut self, session_id: String) -> bool {
        if self.look_again.contains_key(&session_id) {
            return false;
        }
        match self.release_if_expired(&session_id).await {
            Ok(true) => {
                tracing::warn!(session_id, "released a session that was never handed over");
                true
            }
            Ok(false) => false,
            Err(error) if error.is_session_not_found() => false,
            Err(error) => {
                tracing::warn!(session_id, %error, "could not sweep a session; trying again later");
                false
            }
        }
    }

    async fn release_if_expired(&mut self, session_id: &str) -> Result<bool, agb::Error> {
        let creations = &self.creations;
        let upstream = &creations.upstream;
        let labels = upstream.labels(session_id, self.deadline()).await?;
        let now = creations.clock.now();
        let Some(stamp) = Stamp::read(&labels, &creations.keys) else {
            let later = now + millis(NOT_OURS);
            self.look_again.insert(session_id.to_owned(), later);
            return Ok(false);
        };
        let expired = stamp.expires + millis(creations.settings.timing.clock_skew);
        if matches!(stamp.phase, Phase::Owned | Phase::Taken) {
            return Ok(false);
        }
        if now <= expired {
            self.look_again.insert(session_id.to_owned(), expired);
            return Ok(false);
        }
        upstream.release(session_id, self.deadline()).await?;
        Ok(true)
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.creations.upstream.request_timeout())
    }
}
