//! Follows a sync and tells what happens: a snapshot first, then each change, then the verdict. While nothing changes, a
//! heartbeat.

use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::time::{Instant, timeout_at};

use super::error::{Error, Outcome};
use super::poller::{End, Known, Subscription};
use super::report::Report;
use crate::resilience::Deadline;

/// Something about a sync that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Why it is told.
    pub kind: EventKind,
    /// What is known.
    pub report: Report,
}

/// Why something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is the first.
    Snapshot,
    /// A task has appeared or changed.
    Change,
    /// The sync has succeeded or failed; nothing follows.
    Verdict,
    /// Nothing has changed for a while.
    Heartbeat,
}

struct Watch {
    subscription: Subscription,
    heartbeat: Duration,
    deadline: Deadline,
    told: Option<Report>,
    ended: bool,
}

/// The events of a sync. A sync that fails ends by a verdict; whatever else ends it is an error.
pub(super) fn watch(
    subscription: Subscription,
    heartbeat: Duration,
    deadline: Deadline,
) -> impl Stream<Item = Result<Event, Error>> + Send + 'static {
    let watch = Watch {
        subscription,
        heartbeat,
        deadline,
        told: None,
        ended: false,
    };
    stream::unfold(watch, |mut watch| async move {
        if watch.ended {
            return None;
        }
        let event = watch.next().await;
        watch.ended |= event.is_err();
        Some((event, watch))
    })
}

impl Watch {
    async fn next(&mut self) -> Result<Event, Error> {
        let heartbeat = Instant::now() + self.heartbeat;
        loop {
            let known = self.subscription.known();
            if let Some(event) = self.event(known)? {
                return Ok(event);
            }
            let draining = self.subscription.draining();
            let news = timeout_at(heartbeat, self.subscription.news());
            let news = tokio::select! {
                news = self.deadline.bound(news) => news,
                outcome = draining => {
                    let report = self.subscription.known().report;
                    return Err(self.failed(outcome, report));
                }
            };
            match news {
                Ok(Ok(())) => {}
                Ok(Err(_elapsed)) => {
                    let report = self.subscription.known().report;
                    return Ok(Event {
                        kind: EventKind::Heartbeat,
                        report,
                    });
                }
                Err(_exceeded) => {
                    let report = self.subscription.known().report;
                    return Err(self.failed(Outcome::Deadline, report));
                }
            }
        }
    }

    fn failed(&self, outcome: Outcome, report: Report) -> Error {
        self.subscription.tell(&End::Ended(outcome.clone()));
        Error {
            outcome,
            report: Some(Box::new(report)),
        }
    }

    /// What is to be told now, if anything. Before the verdict comes the snapshot, also where both are the same.
    fn event(&mut self, known: Known) -> Result<Option<Event>, Error> {
        let Known {
            report,
            end,
            looked,
        } = known;
        let verdict = end.clone().unwrap_or(End::Succeeded);
        let kind = match (end, &self.told) {
            (Some(End::Ended(outcome)), _) if !matches!(outcome, Outcome::Failed) => {
                return Err(self.failed(outcome, report));
            }
            (_, None) if looked => EventKind::Snapshot,
            (Some(_), Some(_)) => EventKind::Verdict,
            (None, Some(told)) if is_news(told, &report) => EventKind::Change,
            _ => return Ok(None),
        };
        self.ended = kind == EventKind::Verdict;
        if self.ended {
            self.subscription.tell(&verdict);
        }
        self.told = Some(report.clone());
        Ok(Some(Event { kind, report }))
    }
}

/// Whether a report tells more than another: the mere number of looks is no news.
fn is_news(told: &Report, report: &Report) -> bool {
    told.state != report.state || told.tasks != report.tasks
}
