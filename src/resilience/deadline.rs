//! The caller's deadline, which bounds every attempt, sleep and look.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// With less time left than this, nothing is tried any more.
const LAST_TRY: Duration = Duration::from_millis(5);
/// How much of the time left the last pauses take.
const LAST_PAUSE_SHARE: f64 = 0.5;

/// The point in time at which the caller's call ends, and how often something may be tried until then.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Instant,
    attempts: u32,
}

/// The deadline came before the thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline came first")]
pub struct DeadlineExceeded;

impl Deadline {
    /// A deadline that is `duration` away.
    pub fn after(duration: Duration) -> Self {
        Self {
            end: Instant::now() + duration,
            attempts: u32::MAX,
        }
    }

    /// The same, with at most so many attempts at each call; at least one.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self {
            attempts: attempts.max(1),
            ..self
        }
    }

    /// How many attempts at each call are allowed.
    pub fn attempts(self) -> u32 {
        self.attempts
    }

    /// How much time is left; zero once the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// A deadline that comes earlier, so that a part of the time is left for what has to be done afterwards: so many parts of
    /// a hundred, and no more than `max`.
    #[must_use]
    pub fn reserving(self, percent: u32, max: Duration) -> Self {
        let reserve = (self.remaining() * percent / 100).min(max);
        Self {
            end: self.end.checked_sub(reserve).unwrap_or(self.end),
            ..self
        }
    }

    /// Runs `future` until it ends or the deadline comes. A deadline that has passed does not start it.
    pub async fn bound<F: Future>(self, future: F) -> Result<F::Output, DeadlineExceeded> {
        if self.remaining().is_zero() {
            return Err(DeadlineExceeded);
        }
        timeout_at(self.end, future)
            .await
            .map_err(|_elapsed| DeadlineExceeded)
    }

    /// Pauses before something is tried again; shorter, when less is left, so that one more try fits in. It fails once there is
    /// no time for that either.
    pub async fn pause(self, duration: Duration) -> Result<(), DeadlineExceeded> {
        let left = self.remaining();
        if left < LAST_TRY {
            return Err(DeadlineExceeded);
        }
        sleep(duration.min(left.mul_f64(LAST_PAUSE_SHARE))).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_passed_deadline_starts_nothing() {
        let deadline = Deadline::after(Duration::ZERO);
        let mut started = false;
        assert_eq!(
            deadline.bound(async { started = true }).await,
            Err(DeadlineExceeded)
        );
        assert!(!started);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reserve_is_a_part_of_the_time_up_to_a_maximum() {
        let left = |seconds| {
            let deadline = Deadline::after(Duration::from_secs(seconds));
            deadline.reserving(25, Duration::from_secs(30)).remaining()
        };
        assert_eq!(left(0), Duration::ZERO);
        assert_eq!(left(40), Duration::from_secs(30));
        assert_eq!(left(600), Duration::from_secs(570));
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_cut_off_at_the_deadline() {
        let begin = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(3));
        assert_eq!(
            deadline.bound(std::future::pending::<()>()).await,
            Err(DeadlineExceeded)
        );
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_short_before_the_deadline_and_then_end() {
        let begin = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(3));
        assert_eq!(deadline.pause(Duration::from_secs(1)).await, Ok(()));
        assert_eq!(begin.elapsed(), Duration::from_secs(1));
        let mut pauses = 0;
        while deadline.pause(Duration::from_mins(1)).await.is_ok() {
            pauses += 1;
        }
        assert!(begin.elapsed() < Duration::from_secs(3));
        assert!(begin.elapsed() > Duration::from_millis(2_990));
        assert!(pauses < 12, "{pauses}");
    }
}
