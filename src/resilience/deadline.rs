//! The caller's deadline, which bounds every attempt, sleep and look.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// The point in time at which the caller's call ends.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

/// The deadline came before the thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline came first")]
pub struct DeadlineExceeded;

impl Deadline {
    /// A deadline that is `duration` away.
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// How much time is left; zero once the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Runs `future` until it ends or the deadline comes. A deadline that has passed does not start it.
    pub async fn bound<F: Future>(self, future: F) -> Result<F::Output, DeadlineExceeded> {
        if self.remaining().is_zero() {
            return Err(DeadlineExceeded);
        }
        timeout_at(self.0, future)
            .await
            .map_err(|_elapsed| DeadlineExceeded)
    }

    /// Sleeps, unless the sleep does not fit into what is left: then it fails at once and sleeps not at all.
    pub async fn sleep(self, duration: Duration) -> Result<(), DeadlineExceeded> {
        if duration >= self.remaining() {
            return Err(DeadlineExceeded);
        }
        sleep(duration).await;
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
    async fn a_sleep_that_does_not_fit_is_not_begun() {
        let begin = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(3));
        assert_eq!(deadline.sleep(Duration::from_secs(2)).await, Ok(()));
        assert_eq!(
            deadline.sleep(Duration::from_secs(2)).await,
            Err(DeadlineExceeded)
        );
        assert_eq!(begin.elapsed(), Duration::from_secs(2));
    }
}
