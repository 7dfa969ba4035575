//! The orderly end of the server, as seen by those whom it concerns.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The part of the drain's time, in parts of a hundred, after which a call that waits for what it has itself begun tells how to
/// carry on elsewhere.
const LAST_WAITS: u32 = 80;
/// The part after which every call that still runs is answered.
const LAST_ANSWERS: u32 = 90;

/// The orderly end of the server; all clones tell of the same one.
#[derive(Clone, Debug)]
pub struct Drain {
    begin: Arc<watch::Sender<Option<Instant>>>,
    timeout: Duration,
}

impl Drain {
    /// A drain that has not begun, and takes at most so long once it has.
    pub fn new(timeout: Duration) -> Self {
        Self {
            begin: Arc::new(watch::Sender::new(None)),
            timeout,
        }
    }

    /// Begins. A second time changes nothing.
    pub fn begin(&self) {
        self.begin.send_if_modified(|begin| {
            let begins = begin.is_none();
            begin.get_or_insert_with(Instant::now);
            begins
        });
    }

    /// How long it takes at most.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Ends when the drain begins: who can carry on elsewhere leaves.
    pub async fn begun(&self) {
        self.share_over(0).await;
    }

    /// Ends when those who wait for what they have themselves begun have to leave.
    pub async fn last_waits(&self) {
        self.share_over(LAST_WAITS).await;
    }

    /// Ends when every call that still runs has to be answered.
    pub async fn last_answers(&self) {
        self.share_over(LAST_ANSWERS).await;
    }

    async fn share_over(&self, percent: u32) {
        let mut begin = self.begin.subscribe();
        // The sender lives in `self`.
        let Ok(begin) = begin.wait_for(Option::is_some).await.map(|begin| *begin) else {
            return std::future::pending().await;
        };
        if let Some(begin) = begin {
            sleep_until(begin + self.timeout * percent / 100).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_stages_come_in_order_and_only_after_it_has_begun() {
        let drain = Drain::new(Duration::from_secs(10));
        let early = tokio::time::timeout(Duration::from_hours(1), drain.begun());
        assert!(early.await.is_err());
        drain.begin();
        let begin = Instant::now();
        drain.begun().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        drain.last_waits().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(8));
        drain.begin();
        drain.last_answers().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(9));
    }
}
