//! A bound on how often something is done per second, for those who do not wait but ask again later.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many times per second on average, of which a burst may come at once.
#[derive(Debug)]
pub struct Rate {
    interval: Duration,
    /// How far ahead of an even spread those may come who ask all at once.
    tolerance: Duration,
    /// When the next one would be due if all were spread evenly.
    due: Mutex<Instant>,
}

impl Rate {
    /// A rate of `per_second`, which must be above 0, with bursts of `burst`, at least 1.
    pub fn new(per_second: f64, burst: u32) -> Self {
        let interval = Duration::try_from_secs_f64(per_second.recip()).unwrap_or(Duration::MAX);
        Self {
            interval,
            tolerance: interval.saturating_mul(burst.saturating_sub(1)),
            due: Mutex::new(Instant::now()),
        }
    }

    /// Takes one. The error is how long to wait; then nothing was taken.
    pub fn take(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = due.saturating_duration_since(now);
        let wait = ahead.saturating_sub(self.tolerance);
        if !wait.is_zero() {
            return Err(wait);
        }
        if let Some(next) = (*due).max(now).checked_add(self.interval) {
            *due = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_may_come_at_once_and_then_the_rate_holds() {
        let rate = Rate::new(10.0, 3);
        for _ in 0..3 {
            assert_eq!(rate.take(), Ok(()));
        }
        assert_eq!(rate.take(), Err(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(99)).await;
        assert_eq!(rate.take(), Err(Duration::from_millis(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(rate.take(), Ok(()));
        assert!(rate.take().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_saves_up_no_more_than_a_burst() {
        let rate = Rate::new(10.0, 2);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!([rate.take(), rate.take()], [Ok(()), Ok(())]);
        assert!(rate.take().is_err());
    }
}
