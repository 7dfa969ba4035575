//! Quotas: so many calls per second, and so many at once, for each principal.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;
use crate::resilience::Rate;

/// Of how many principals the use is remembered; beyond that, those who have not called for longest begin anew.
const MAX_PRINCIPALS: u64 = 10_000;
/// After so much silence a principal begins anew. A call that runs longer than that counts no more.
const MEMORY: Duration = Duration::from_hours(1);
/// How long to wait for one of the caller's own calls to end.
const CALL_PAUSE: Duration = Duration::from_secs(1);

/// The quotas of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuotaSettings {
    /// How many calls per second on average, and how many of them may come at once: above 0, and 1 to 1,000,000.
    pub rate: Option<(f64, u32)>,
    /// How many calls there may be at once: 1 to 1,000,000.
    pub max_concurrent_calls: Option<usize>,
}

/// The use of quotas by all principals.
#[derive(Debug)]
pub(super) struct Quotas(Cache<Arc<str>, Arc<Use>>);

#[derive(Debug)]
struct Use {
    rate: Option<Rate>,
    calls: Option<Arc<Semaphore>>,
}

impl Quotas {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(MAX_PRINCIPALS)
                .time_to_idle(MEMORY)
                .build(),
        )
    }

    /// Takes one call from a principal's quotas. What comes back gives its place among the calls at once free when it is dropped.
    pub(super) fn take(
        &self,
        principal: &Arc<str>,
        settings: &QuotaSettings,
    ) -> Result<Option<Arc<OwnedSemaphorePermit>>, Refusal> {
        if *settings == QuotaSettings::default() {
            return Ok(None);
        }
        let used = self.0.get_with(Arc::clone(principal), || {
            Arc::new(Use {
                rate: settings.rate.map(|(rate, burst)| Rate::new(rate, burst)),
                calls: settings
                    .max_concurrent_calls
                    .map(|calls| Arc::new(Semaphore::new(calls))),
            })
        });
        if let Some(rate) = &used.rate {
            rate.take().map_err(|retry_after| Refusal::TooMany {
                setting: "calls_per_second",
                retry_after,
            })?;
        }
        let Some(calls) = &used.calls else {
            return Ok(None);
        };
        match Arc::clone(calls).try_acquire_owned() {
            Ok(permit) => Ok(Some(Arc::new(permit))),
            Err(_none) => Err(Refusal::TooMany {
                setting: "max_concurrent_calls",
                retry_after: CALL_PAUSE,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting<T>(taken: Result<T, Refusal>) -> Option<&'static str> {
        match taken.err()? {
            Refusal::TooMany { setting, .. } => Some(setting),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_principal_has_its_own() {
        let quotas = Quotas::new();
        let (one, other): (Arc<str>, Arc<str>) = ("token:a".into(), "token:b".into());
        let settings = QuotaSettings {
            rate: Some((1.0, 1)),
            max_concurrent_calls: None,
        };
        assert!(quotas.take(&one, &settings).is_ok());
        assert_eq!(
            setting(quotas.take(&one, &settings)),
            Some("calls_per_second")
        );
        assert!(quotas.take(&other, &settings).is_ok());
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_the_call_has_ended() {
        let quotas = Quotas::new();
        let principal: Arc<str> = "token:a".into();
        let settings = QuotaSettings {
            rate: None,
            max_concurrent_calls: Some(1),
        };
        let held = quotas.take(&principal, &settings).unwrap();
        let refused = quotas.take(&principal, &settings);
        assert_eq!(setting(refused), Some("max_concurrent_calls"));
        drop(held);
        assert!(quotas.take(&principal, &settings).is_ok());
    }
}
