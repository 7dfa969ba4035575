//! Fails fast when a server does not answer at all, and finds out when it does again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After so many failures in a row without a success between them, it lets nothing through for a pause; then one probe. A probe
/// that fails doubles the pause, one that succeeds ends it.
#[derive(Debug)]
pub struct Breaker {
    failures_to_open: u32,
    pause: Duration,
    longest_pause: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    failures: u32,
    /// Set while it is open.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    until: Instant,
    pause: Duration,
    /// A probe is on its way.
    probing: bool,
}

/// Whether calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// They are.
    Closed,
    /// They are not, for so long.
    Open(Duration),
    /// The pause is over, and the next one is let through.
    ProbeDue,
    /// One is under way, and no other is let through.
    Probing,
}

/// A call that was let through. What is dropped without a word has taught nothing.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    /// Opens after so many failures in a row, at first for `pause`, at most for `longest_pause`.
    pub fn new(failures_to_open: u32, pause: Duration, longest_pause: Duration) -> Self {
        Self {
            failures_to_open,
            pause,
            longest_pause,
            state: Mutex::default(),
        }
    }

    /// Lets a call through, or tells when the next probe may be made.
    pub fn admit(&self) -> Result<Permit<'_>, Duration> {
        let mut probe = false;
        self.change(|state| {
            if let Some(open) = &mut state.open {
                let left = open.until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                if open.probing {
                    return Err(open.pause);
                }
                open.probing = true;
                probe = true;
            }
            Ok(())
        })?;
        Ok(Permit {
            breaker: self,
            probe,
        })
    }

    /// Whether calls are let through, and how many in a row have failed.
    pub fn state(&self) -> (BreakerState, u32) {
        self.change(|state| {
            let breaker = match state.open {
                None => BreakerState::Closed,
                Some(open) if open.probing => BreakerState::Probing,
                Some(open) => match open.until.saturating_duration_since(Instant::now()) {
                    Duration::ZERO => BreakerState::ProbeDue,
                    left => BreakerState::Open(left),
                },
            };
            (breaker, state.failures)
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Permit<'_> {
    /// The server has answered.
    pub fn succeeded(mut self) {
        self.probe = false;
        self.breaker.change(|state| *state = State::default());
    }

    /// The server could not be reached, or has not answered. Whether that has opened the breaker is returned.
    pub fn failed(mut self) -> bool {
        let probe = std::mem::take(&mut self.probe);
        let breaker = self.breaker;
        breaker.change(|state| {
            let was_open = state.open.is_some();
            state.failures = state.failures.saturating_add(1);
            let pause = match state.open {
                Some(open) if probe => (open.pause * 2).min(breaker.longest_pause),
                // Calls from before it opened.
                Some(_) => return false,
                None if state.failures < breaker.failures_to_open => return false,
                None => breaker.pause,
            };
            state.open = Some(Open {
                until: Instant::now() + pause,
                pause,
                probing: false,
            });
            !was_open
        })
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.change(|state| {
                if let Some(open) = &mut state.open {
                    open.probing = false;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(3, SECOND, 4 * SECOND)
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.admit().unwrap().failed();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_tells_for_how_long() {
        let breaker = breaker();
        fail(&breaker, 2);
        breaker.admit().unwrap().succeeded();
        fail(&breaker, 3);
        assert_eq!(breaker.admit().unwrap_err(), SECOND);
        advance(SECOND / 4).await;
        assert_eq!(breaker.admit().unwrap_err(), SECOND * 3 / 4);
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_goes_through_and_its_success_ends_it() {
        let breaker = breaker();
        fail(&breaker, 3);
        advance(SECOND).await;
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_err(), "one probe at a time");
        probe.succeeded();
        assert!(breaker.admit().is_ok());
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn it_tells_how_it_stands() {
        let breaker = breaker();
        fail(&breaker, 2);
        assert_eq!(breaker.state(), (BreakerState::Closed, 2));
        fail(&breaker, 1);
        advance(SECOND / 4).await;
        let open = BreakerState::Open(SECOND * 3 / 4);
        assert_eq!(breaker.state(), (open, 3));
        advance(SECOND).await;
        assert_eq!(breaker.state().0, BreakerState::ProbeDue);
        let probe = breaker.admit().unwrap();
        assert_eq!(breaker.state().0, BreakerState::Probing);
        probe.succeeded();
        assert_eq!(breaker.state(), (BreakerState::Closed, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_doubles_the_pause_up_to_the_longest() {
        let breaker = breaker();
        fail(&breaker, 3);
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let pause = breaker.admit().unwrap_err();
            pauses.push(pause);
            advance(pause).await;
            breaker.admit().unwrap().failed();
        }
        assert_eq!(pauses, [SECOND, 2 * SECOND, 4 * SECOND, 4 * SECOND]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_makes_room_for_the_next() {
        let breaker = breaker();
        fail(&breaker, 3);
        advance(SECOND).await;
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_from_before_it_opened_do_not_prolong_it() {
        let breaker = breaker();
        let early = breaker.admit().unwrap();
        fail(&breaker, 3);
        advance(SECOND / 2).await;
        early.failed();
        assert_eq!(breaker.admit().unwrap_err(), SECOND / 2);
    }
}
