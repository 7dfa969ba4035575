//! Whether and when to try again: how often at most, how long to pause, and how much of that all calls together may do.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often, and after which pauses, one call is tried.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    max_attempts: u32,
    base: Duration,
    cap: Duration,
}

impl RetryPolicy {
    /// At most so many attempts, the first one included; pauses of up to `base`, doubling with each, up to `cap`.
    pub fn new(max_attempts: u32, base: Duration, cap: Duration) -> Self {
        Self {
            max_attempts,
            base,
            cap,
        }
    }

    /// How often one call is tried, the first time included.
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The pause before the next attempt, when so many were made, of which `limit` are allowed; `None` when that was the last
    /// one. Full jitter: `random`, from 0 to 1, is the share of the longest pause. What the server asks for comes on top.
    pub fn pause(
        &self,
        attempts: u32,
        limit: u32,
        hint: Option<Duration>,
        random: f64,
    ) -> Option<Duration> {
        if attempts >= self.max_attempts.min(limit) {
            return None;
        }
        let doubled = 1_u32
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let longest = self.base.saturating_mul(doubled).min(self.cap);
        Some(hint.unwrap_or_default() + longest.mul_f64(random.clamp(0.0, 1.0)))
    }
}

/// What all calls of one server share: each failure takes a token, each success gives a small part of one back, and while no more
/// than half of them are left, nothing is tried again. So an outage costs hardly more requests than there are calls.
///
/// The manner is that of gRPC's retry throttling (gRFC A6).
#[derive(Debug)]
pub struct Throttle {
    max: f64,
    ratio: f64,
    tokens: Mutex<f64>,
}

impl Throttle {
    /// A throttle with so many tokens, each success giving back `ratio` of one.
    pub fn new(max: u32, ratio: f64) -> Self {
        Self {
            max: f64::from(max),
            ratio,
            tokens: Mutex::new(f64::from(max)),
        }
    }

    /// A call was answered.
    pub fn succeeded(&self) {
        self.change(self.ratio);
    }

    /// A call has failed. Whether it may be tried again is returned.
    pub fn failed(&self) -> bool {
        self.change(-1.0) > self.max / 2.0
    }

    /// How many tokens are left, and how many there are at most.
    pub fn tokens(&self) -> (f64, f64) {
        (self.change(0.0), self.max)
    }

    fn change(&self, by: f64) -> f64 {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = (*tokens + by).clamp(0.0, self.max);
        *tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn policy() -> RetryPolicy {
        RetryPolicy::new(4, 100 * MILLISECOND, 300 * MILLISECOND)
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_end_with_the_attempts() {
        let pauses: Vec<_> = (1..=4)
            .map(|attempts| policy().pause(attempts, u32::MAX, None, 1.0))
            .collect();
        let expected = [Some(100), Some(200), Some(300), None];
        assert_eq!(
            pauses,
            expected.map(|pause| pause.map(|pause: u32| pause * MILLISECOND))
        );
    }

    #[test]
    fn jitter_takes_any_share_of_the_pause_and_a_hint_comes_on_top() {
        let hint = Some(1_000 * MILLISECOND);
        assert_eq!(policy().pause(1, 9, None, 0.0), Some(Duration::ZERO));
        assert_eq!(policy().pause(1, 9, None, 0.5), Some(50 * MILLISECOND));
        assert_eq!(policy().pause(1, 9, hint, 0.5), Some(1_050 * MILLISECOND));
    }

    #[test]
    fn the_smaller_of_two_limits_holds() {
        assert!(policy().pause(1, 1, None, 0.5).is_none());
        assert!(policy().pause(1, 2, None, 0.5).is_some());
        assert!(policy().pause(4, 9, None, 0.5).is_none());
    }

    #[test]
    fn a_total_outage_costs_at_most_half_the_tokens() {
        let throttle = Throttle::new(100, 0.1);
        throttle.failed();
        assert_eq!(throttle.tokens(), (99.0, 100.0));
        let retries = (0..1_000).filter(|_| throttle.failed()).count();
        assert_eq!(retries, 48);
    }

    #[test]
    fn successes_give_tokens_back_slowly() {
        let throttle = Throttle::new(100, 0.1);
        for _ in 0..100 {
            throttle.failed();
        }
        (0..500).for_each(|_| throttle.succeeded());
        assert!(!throttle.failed(), "half is not more than half");
        (0..30).for_each(|_| throttle.succeeded());
        assert!(throttle.failed());
    }
}
