//! Time as AGB tells it: milliseconds since the epoch, and RFC 3339 text.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch.
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

/// Hands out the current time, but never the same millisecond twice: a task is known by its start time.
#[derive(Debug, Default)]
pub(crate) struct UniqueClock {
    last_ms: AtomicI64,
}

impl UniqueClock {
    pub(crate) fn now_ms(&self) -> i64 {
        let now = now_ms();
        let previous = self
            .last_ms
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(now.max(last + 1))
            })
            .unwrap_or_else(|last| last);
        now.max(previous + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_strictly_increasing() {
        let clock = UniqueClock::default();
        let times: Vec<_> = (0..1000).map(|_| clock.now_ms()).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(timestamp(1_700_000_000_999), "2023-11-14T22:13:20Z");
    }
}
