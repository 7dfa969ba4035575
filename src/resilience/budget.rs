//! A bound on how often something is done per second, shared in the order of asking.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// So many times per second, of which a second's worth may come at once. Who waits is served in the order of asking; so those
/// who ask again and again, one time each, get equal shares. Who stops waiting uses nothing up.
#[derive(Debug)]
pub struct Budget {
    interval: Duration,
    /// When the next one would be due if all were spread evenly; [`BURST`] before that it may come.
    next: Mutex<Instant>,
}

/// How far ahead of an even spread those may come who ask all at once.
const BURST: Duration = Duration::from_secs(1);

impl Budget {
    /// A budget of `per_second`, which must be above 0.
    pub fn new(per_second: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Ends when it is the asker's turn.
    pub async fn take(&self) {
        let mut next = self.next.lock().await;
        let begin = (*next).max(Instant::now());
        // While this waits, it holds the lock: the others queue behind it.
        let end = begin + self.interval;
        sleep_until(end.checked_sub(BURST).unwrap_or(begin)).await;
        *next = end;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex as Shared};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_s_worth_may_come_at_once_and_then_no_more_than_the_rate() {
        let budget = Budget::new(10);
        let begin = Instant::now();
        for _ in 0..10 {
            budget.take().await;
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);
        for _ in 0..30 {
            budget.take().await;
        }
        let elapsed = begin.elapsed();
        assert!(
            (Duration::from_millis(2_800)..=Duration::from_secs(3)).contains(&elapsed),
            "{elapsed:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_get_equal_shares() {
        let budget = Arc::new(Budget::new(10));
        let counts = Arc::new(Shared::new(BTreeMap::new()));
        let askers: Vec<_> = (0..20)
            .map(|asker| {
                let (budget, counts) = (budget.clone(), counts.clone());
                tokio::spawn(async move {
                    loop {
                        budget.take().await;
                        *counts.lock().unwrap().entry(asker).or_insert(0) += 1;
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_mins(1)).await;
        askers.iter().for_each(tokio::task::JoinHandle::abort);
        let counts = counts.lock().unwrap();
        assert_eq!(counts.len(), 20);
        let (least, most) = (counts.values().min(), counts.values().max());
        assert!(most.unwrap() - least.unwrap() <= 1, "{counts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_uses_nothing_up() {
        let budget = Budget::new(1);
        budget.take().await;
        for _ in 0..100 {
            let impatient = tokio::time::timeout(Duration::from_millis(1), budget.take());
            assert!(impatient.await.is_err());
        }
        let begin = Instant::now();
        budget.take().await;
        assert!(begin.elapsed() <= Duration::from_secs(1));
    }
}
