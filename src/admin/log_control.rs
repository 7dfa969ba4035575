//! Changes which events are logged, and back again after a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use crate::domain::Violations;
use crate::proto::admin as pb;
use crate::service::{duration, timestamp};
use crate::telemetry::LogFilter;

const SECOND: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(24);
const MAX_FILTER_BYTES: usize = 4_096;

/// The log filter, and when the configured one counts again.
#[derive(Debug)]
pub(super) struct LogControl {
    filter: LogFilter,
    term: Arc<Mutex<Term>>,
}

/// For how long a changed filter counts.
#[derive(Debug, Default)]
struct Term {
    /// How many changes there were: a timer that comes too late for its own finds that out by it.
    changes: u64,
    ends: Option<(Timestamp, AbortOnDropHandle<()>)>,
}

/// A change that may be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Empty: to the configured one.
    filter: String,
    duration: Option<Duration>,
}

/// Reads a change. That the filter is one is found out when it is made.
pub(super) fn change(request: &pb::SetLogFilterRequest) -> Result<Change, Violations> {
    let mut violations = Violations::default();
    let filter = request.filter.trim();
    if filter.len() > MAX_FILTER_BYTES {
        let rule = format!(
            "must be at most {MAX_FILTER_BYTES} bytes, got {}",
            filter.len()
        );
        violations.add("filter", rule);
    }
    let asked = request.duration.as_ref();
    let duration = violations.check(
        "duration",
        duration(asked, SECOND..=LONGEST, Duration::from_nanos(1)),
    );
    if filter.is_empty() && asked.is_some() {
        violations.add("duration", "goes with a filter only");
    }
    violations.into_result()?;
    Ok(Change {
        filter: filter.to_owned(),
        duration: duration.flatten(),
    })
}

impl LogControl {
    pub(super) fn new(filter: LogFilter) -> Self {
        Self {
            filter,
            term: Arc::default(),
        }
    }

    /// Which events are logged now.
    pub(super) fn now(&self) -> pb::LogFilter {
        self.shown(&lock(&self.term))
    }

    /// Makes a change. One that cannot be made changes nothing, also not when the one before it ends.
    pub(super) fn set(&self, change: &Change) -> Result<pb::LogFilter, Violations> {
        let mut term = lock(&self.term);
        let filter = match change.filter.as_str() {
            "" => self.filter.configured(),
            filter => filter,
        };
        if let Err(error) = self.filter.set(filter) {
            let mut violations = Violations::default();
            violations.add(
                "filter",
                format!("must be a log filter such as \"info\": {error}"),
            );
            return Err(violations);
        }
        term.changes += 1;
        term.ends = change.duration.map(|duration| {
            let timer = self.restore_after(duration, term.changes);
            (Timestamp::now() + duration, timer)
        });
        Ok(self.shown(&term))
    }

    fn restore_after(&self, duration: Duration, change: u64) -> AbortOnDropHandle<()> {
        // What it holds of the term does not keep the timer itself.
        let (filter, term) = (self.filter.clone(), Arc::downgrade(&self.term));
        AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            let Some(term) = term.upgrade() else {
                return;
            };
            let mut term = lock(&term);
            if term.changes == change {
                term.ends = None;
                if let Err(error) = filter.set(filter.configured()) {
                    tracing::error!(error, "the log filter could not be restored");
                }
            }
        }))
    }

    fn shown(&self, term: &Term) -> pb::LogFilter {
        let ends = term.ends.as_ref();
        pb::LogFilter {
            current: self.filter.current(),
            configured: self.filter.configured().to_owned(),
            restore_time: ends.map(|(time, _timer)| timestamp(*time)),
        }
    }
}

fn lock(term: &Mutex<Term>) -> MutexGuard<'_, Term> {
    term.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    fn to(filter: &str, seconds: u64) -> Change {
        Change {
            filter: filter.to_owned(),
            duration: (seconds > 0).then(|| Duration::from_secs(seconds)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_configured_filter_comes_back_when_the_time_of_the_last_change_is_over() {
        let (filter, _layer) = LogFilter::sample("info");
        let control = LogControl::new(filter);
        control.set(&to("debug", 10)).unwrap();
        sleep(Duration::from_secs(9)).await;
        control.set(&to("warn", 10)).unwrap();
        sleep(Duration::from_secs(9)).await;
        let now = control.now();
        assert_eq!(
            (now.current.as_str(), now.configured.as_str()),
            ("warn", "info")
        );
        assert!(now.restore_time.is_some());
        sleep(Duration::from_secs(2)).await;
        assert_eq!(control.now().current, "info");
        assert_eq!(control.now().restore_time, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_without_an_end_stays_and_an_empty_filter_ends_it() {
        let (filter, _layer) = LogFilter::sample("info");
        let control = LogControl::new(filter);
        control.set(&to("debug", 10)).unwrap();
        control.set(&to("warn", 0)).unwrap();
        sleep(Duration::from_secs(100)).await;
        assert_eq!(control.now().current, "warn");
        let restored = control.set(&to("", 0)).unwrap();
        assert_eq!(restored.current, "info");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_filter_changes_neither_the_filter_nor_its_end() {
        let (filter, _layer) = LogFilter::sample("info");
        let control = LogControl::new(filter);
        control.set(&to("debug", 10)).unwrap();
        assert!(control.set(&to("agb_gateway=loud", 0)).is_err());
        assert_eq!(control.now().current, "debug");
        sleep(Duration::from_secs(11)).await;
        assert_eq!(control.now().current, "info");
    }

    #[test]
    fn every_wrong_field_of_a_change_is_named() {
        let request = |filter: &str, seconds: Option<i64>| pb::SetLogFilterRequest {
            filter: filter.to_owned(),
            duration: seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        };
        let fields = |request| {
            let violations = change(&request).unwrap_err();
            let fields = violations.iter().map(|violation| violation.field.clone());
            fields.collect::<Vec<_>>()
        };
        assert_eq!(fields(request("", Some(60))), ["duration"]);
        assert_eq!(fields(request("info", Some(0))), ["duration"]);
        assert_eq!(fields(request("info", Some(86_401))), ["duration"]);
        let long = "a".repeat(MAX_FILTER_BYTES + 1);
        assert_eq!(fields(request(&long, Some(-1))), ["filter", "duration"]);
        let good = change(&request(" debug ", Some(60))).unwrap();
        assert_eq!(good, to("debug", 60));
    }
}
