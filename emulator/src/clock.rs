//! Time as AGB tells it: milliseconds since the epoch, and RFC 3339 text. A test can move it forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How far ahead the clock can be: a million years, so that every sum with it can be told.
const MAX_AHEAD_MS: i64 = 1_000_000 * 366 * 24 * 60 * 60 * 1000;

/// The clock of one emulator: the system's, and as much ahead of it as it was told to be. Clones are the same clock.
///
/// It dates contexts, files and tasks, and decides when files are recycled, when sessions were idle too long or are at the end of
/// their life, and when presigned URLs expire. The pace of syncs, clears and releases goes by real time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Milliseconds ahead of the system's clock.
    ahead: watch::Sender<i64>,
    last_unique: AtomicI64,
}

impl Clock {
    /// A clock that is behind the system's.
    pub(crate) fn behind(by: Duration) -> Self {
        let clock = Self::default();
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        clock.shared.ahead.send_replace(-by.min(MAX_AHEAD_MS));
        clock
    }

    /// Moves the clock forward, for good: it lasts until the emulator ends.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.shared
            .ahead
            .send_modify(|ahead| *ahead = ahead.saturating_add(by).min(MAX_AHEAD_MS));
    }

    /// How far the clock is ahead of the system's.
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(u64::try_from(*self.shared.ahead.borrow()).unwrap_or(0))
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        now_ms().saturating_add(*self.shared.ahead.borrow())
    }

    /// A point in time that the system's own clock does not set back.
    pub(crate) fn instant(&self) -> Instant {
        Instant::now() + self.ahead()
    }

    /// The current time, but never the same millisecond twice: a task is known by its start time.
    pub(crate) fn unique_ms(&self) -> i64 {
        let now = self.now_ms();
        let previous = self
            .shared
            .last_unique
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(now.max(last + 1))
            })
            .unwrap_or_else(|last| last);
        now.max(previous + 1)
    }

    /// Tells when the clock was moved.
    pub(crate) fn moves(&self) -> watch::Receiver<i64> {
        self.shared.ahead.subscribe()
    }

    /// Ready at that point in time, however the clock got there.
    pub(crate) async fn reaches(&self, instant: Instant) {
        let mut moves = self.moves();
        loop {
            let left = instant.saturating_duration_since(self.instant());
            if left.is_zero() {
                return;
            }
            // The clock holds the sender, so the wait for a move does not fail.
            let _ = timeout(left, moves.changed()).await;
        }
    }
}

/// Milliseconds since the epoch by the system's own clock, which nobody moves.
pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// The text of a time, in UTC with seconds.
pub(crate) fn timestamp(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000))
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_strictly_increasing() {
        let clock = Clock::default();
        let times: Vec<_> = (0..1000).map(|_| clock.unique_ms()).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(timestamp(1_700_000_000_999), "2023-11-14T22:13:20Z");
    }

    #[tokio::test(start_paused = true)]
    async fn a_point_in_time_is_reached_by_time_and_by_moves() {
        let clock = Clock::default();
        let goal = clock.instant() + Duration::from_hours(3);
        let begun = Instant::now();
        let reached = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reaches(goal).await }
        });
        tokio::time::sleep(Duration::from_mins(30)).await;
        clock.advance(Duration::from_hours(2));
        tokio::task::yield_now().await;
        assert!(!reached.is_finished());
        reached.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 60 * 60);
        clock.reaches(goal).await;
        assert_eq!(begun.elapsed().as_secs(), 60 * 60);
    }

    #[test]
    fn every_clone_is_moved() {
        let clock = Clock::default();
        let before = clock.now_ms();
        clock.clone().advance(Duration::from_hours(24));
        assert!(clock.now_ms() >= before + 24 * 60 * 60 * 1000);
        assert_eq!(clock.ahead(), Duration::from_hours(24));
    }
}
