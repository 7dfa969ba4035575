//! What those who wait, watch and ask are told, and the checks of it.

use std::pin::pin;

use agb_gateway::resilience::Deadline;
use agb_gateway::sync::{EventKind, Outcome, Report, Syncs, Target, Verdict};
use futures_util::StreamExt as _;

use crate::actors::{Stage, in_short};
use crate::replica::{Shared, millis};
use crate::tally::Kind;
use crate::task::Millis;
use crate::truth::{Checked, Question};

const HEARTBEAT: Millis = 4_000;

impl Stage {
    pub(crate) async fn wait(
        &self,
        syncs: &Syncs,
        target: &Target,
        deadline: Deadline,
        question: Question,
    ) {
        let waiter = self.joins(question.replica);
        let answer = syncs.wait(target, deadline).await;
        drop(waiter);
        match answer {
            Ok(report) => self.succeeded(question, &report),
            Err(error) => self.ended(question, &error.outcome, error.report.as_deref()),
        }
    }

    pub(crate) async fn watch(
        &self,
        syncs: &Syncs,
        target: &Target,
        deadline: Deadline,
        question: Question,
    ) {
        let waiter = self.joins(question.replica);
        let mut events = pin!(syncs.watch(target, millis(HEARTBEAT), deadline));
        let mut latest: Option<(EventKind, Report)> = None;
        let mut heard = question.joined;
        while let Some(event) = events.next().await {
            let now = self.shared.now();
            if now > heard + HEARTBEAT + 5 {
                self.check(question, Err(format!("nothing was heard since {heard}")));
            }
            heard = now;
            match event {
                Ok(event) => {
                    self.count(Kind::Event);
                    self.check_event(question, event.kind, &event.report, latest.as_ref());
                    latest = Some((event.kind, event.report));
                }
                Err(error) => {
                    self.ended(question, &error.outcome, error.report.as_deref());
                    latest = None;
                }
            }
        }
        drop(waiter);
        match latest {
            Some((EventKind::Verdict, report)) if report.state == Verdict::Failed => {
                self.ended(question, &Outcome::Failed, Some(&report));
            }
            Some((EventKind::Verdict, report)) => self.succeeded(question, &report),
            Some((kind, _)) => self.check(question, Err(format!("the last event was {kind:?}"))),
            None => {}
        }
    }

    fn check_event(
        &self,
        question: Question,
        kind: EventKind,
        report: &Report,
        latest: Option<&(EventKind, Report)>,
    ) {
        let now = self.shared.now();
        let is_told = latest.is_some_and(|(kind, _)| *kind != EventKind::Heartbeat);
        let checked = match (kind, latest) {
            (_, Some((EventKind::Verdict, _))) => Err("an event after the verdict".to_owned()),
            (EventKind::Snapshot, Some(_)) if is_told => Err("a second snapshot".to_owned()),
            (EventKind::Change | EventKind::Verdict, None) => Err("no snapshot".to_owned()),
            (EventKind::Change, Some((_, latest)))
                if (latest.state, &latest.tasks) == (report.state, &report.tasks) =>
            {
                Err("a change, and nothing has changed".to_owned())
            }
            _ => self.shared.world().check_report(question, report, now),
        };
        self.check(question, checked);
    }

    pub(crate) async fn status(
        &self,
        syncs: &Syncs,
        target: &Target,
        deadline: Deadline,
        question: Question,
    ) {
        let answer = syncs.status(target, deadline).await;
        let now = self.shared.now();
        self.count(Kind::Status);
        self.tell(|| format!("status for {:?} is {}", question.subject, in_short(&answer)));
        let checked = {
            let world = self.shared.world();
            match answer {
                Ok(report) => world.check_report(question, &report, now),
                Err(error) if error.is_session_not_found() || error.is_forbidden() => {
                    world.check_lasting(&error, now)
                }
                Err(_) => Ok(()),
            }
        };
        self.check(question, checked);
    }

    fn succeeded(&self, question: Question, report: &Report) {
        self.count(Kind::Success);
        self.learned.lock().expect("no panic")[question.replica] = true;
        let now = self.shared.now();
        self.tell(|| {
            format!(
                "{:?} on replica {} has succeeded",
                question.subject, question.replica
            )
        });
        let checked = match report.state {
            Verdict::Succeeded => {
                let world = self.shared.world();
                world
                    .check_report(question, report, now)
                    .and_then(|()| world.check_in_time(question, now))
            }
            state => Err(format!("success with {state:?}")),
        };
        self.check(question, checked);
    }

    fn ended(&self, question: Question, outcome: &Outcome, report: Option<&Report>) {
        self.count(match outcome {
            Outcome::Failed => Kind::Failed,
            Outcome::NotObserved(_) => Kind::NotObserved,
            Outcome::Deadline => Kind::Deadline,
            Outcome::Agb(error) if error.is_forbidden() => Kind::Rejected,
            // Nothing drains in a history; the truth says so.
            Outcome::Agb(_) | Outcome::Draining { .. } => Kind::Gone,
        });
        if matches!(outcome, Outcome::Failed) {
            self.learned.lock().expect("no panic")[question.replica] = true;
        }
        let now = self.shared.now();
        self.tell(|| {
            format!(
                "{:?} on replica {}: {outcome}",
                question.subject, question.replica
            )
        });
        let checked = self
            .shared
            .world()
            .check_outcome(question, outcome, report, now);
        self.check(question, checked);
    }

    fn check(&self, question: Question, checked: Checked) {
        if let Err(violation) = checked {
            let now = self.shared.now();
            let violation = format!("at {now}, {question:?}: {violation}");
            self.shared.world().violations.push(violation);
        }
    }

    /// All who wait for the session at a replica share one answer.
    pub(crate) fn shares(&self, replica: usize) -> Sharer<'_> {
        let now = self.shared.now();
        self.shared.world().cost.shares(replica, now);
        Sharer(&self.shared, replica)
    }

    fn joins(&self, replica: usize) -> Waiter<'_> {
        self.shared.world().cost.joins(replica);
        Waiter(&self.shared, replica)
    }
}

/// Someone who waits at a replica.
struct Waiter<'a>(&'a Shared, usize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.world().cost.leaves(self.1);
    }
}

/// Someone who waits for the session at a replica.
pub(crate) struct Sharer<'a>(&'a Shared, usize);

impl Drop for Sharer<'_> {
    fn drop(&mut self) {
        self.0.world().cost.shares_no_more(self.1);
    }
}
