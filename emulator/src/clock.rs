//! Time as AGB tells it: milliseconds since the epoch, and RFC 3339 text. A test can move it forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// The clock of one emulator: the system's, and as much ahead of it as it was told to be. Clones are the same clock.
///
/// It dates contexts, files and tasks, and decides when files are recycled. The pace of syncs and the idle time of sessions
/// go by real time.
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
    /// Moves the clock forward, for good: it lasts until the emulator ends.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.shared
            .ahead
            .send_modify(|ahead| *ahead = ahead.saturating_add(by));
    }

    /// How far the clock is ahead of the system's.
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(u64::try_from(*self.shared.ahead.borrow()).unwrap_or(0))
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        now_ms().saturating_add(*self.shared.ahead.borrow())
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

    #[test]
    fn every_clone_is_moved() {
        let clock = Clock::default();
        let before = clock.now_ms();
        clock.clone().advance(Duration::from_hours(24));
        assert!(clock.now_ms() >= before + 24 * 60 * 60 * 1000);
        assert_eq!(clock.ahead(), Duration::from_hours(24));
    }
}
