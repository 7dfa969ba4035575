//! The rule of completion: a pure function of what is asked, and of what looks have shown. It does no I/O and reads no clock;
//! the times in it are those of the looks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::asked::{Scope, Target};
use super::identity::{Identity, Place};
use super::sightings::{Sighting, Sightings};
use crate::domain::{SyncTask, TaskState};

/// How long to wait for what has not been seen.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long AGB may take to show a task that it has accepted.
    pub grace: Duration,
    /// How long nothing new must have come before a sync of all contexts, whose known tasks are finished, counts as complete.
    pub settle: Duration,
}

/// What is known of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No task of it has been seen.
    Pending,
    /// A task is not finished, or an expected one has not been seen.
    Running,
    /// All expected tasks were seen, and AGB says that all succeeded.
    Succeeded,
    /// All expected tasks were seen and are finished, and AGB says that at least one failed.
    Failed,
}

/// What the rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The state of the whole.
    pub verdict: Verdict,
    /// The tasks that belong to it, in the order of their places, directions and starts.
    pub tasks: Vec<SyncTask>,
    /// Nothing was seen of an expected task within the grace, and nothing stood in its way. It never counts as success.
    pub not_observed: bool,
    /// All that was seen is finished, and only time can tell whether more will come: so much time.
    pub settles_in: Option<Duration>,
}

/// Judges what was asked by what has been seen. `since` is the time of the first look that counts: for a sync, what has vanished
/// before is not its own, and no grace ran before; a session is not judged before.
pub fn judge(
    target: &Target,
    since: Instant,
    sightings: &Sightings,
    patience: &Patience,
) -> Judgement {
    let case = Case::new(target, since, sightings);
    let tasks = case.tasks();
    let finished = case.counting().all(|task| task.state().is_finished());
    let complete = finished && !tasks.is_empty() && !case.misses_expected();
    let waits_to_start = target.sync().is_none() && case.is_blocked();
    let waits_for_unseen = finished && !complete && !case.is_blocked();
    let waits_to_settle = complete && case.may_grow() && !case.is_blocked();
    let settles_in = patience.settle.saturating_sub(case.quiet_time());
    let settled = !case.may_grow() || (waits_to_settle && settles_in.is_zero());
    let verdict = if tasks.is_empty() {
        Verdict::Pending
    } else if !complete || !settled || waits_to_start || !case.is_current() {
        Verdict::Running
    } else if case
        .counting()
        .any(|task| task.state() == TaskState::Failed)
    {
        Verdict::Failed
    } else {
        Verdict::Succeeded
    };
    Judgement {
        verdict,
        tasks,
        not_observed: waits_for_unseen && case.quiet_time() >= patience.grace,
        settles_in: (waits_to_settle && !settled).then_some(settles_in),
    }
}

struct Case<'a> {
    target: &'a Target,
    since: Instant,
    sightings: &'a Sightings,
    own: Vec<(&'a Identity, &'a Sighting)>,
    /// What lies within and was there before.
    older: Vec<&'a Sighting>,
}

impl<'a> Case<'a> {
    fn new(target: &'a Target, since: Instant, sightings: &'a Sightings) -> Self {
        let since_look = match (target, sightings.latest()) {
            // Not judged by it, but told of it.
            (Target::Session(_), Some(latest)) => since.min(latest),
            _ => since,
        };
        let (mut own, mut older) = (Vec::new(), Vec::new());
        for (identity, sighting) in sightings.tasks() {
            if !target.covers(&sighting.task) {
            } else if target.is_older(identity) {
                older.push(sighting);
            } else if sighting.seen >= since_look && !is_of_later_sync(target, identity, &own) {
                own.push((identity, sighting));
            }
        }
        Self {
            target,
            since,
            sightings,
            own,
            older,
        }
    }

    fn tasks(&self) -> Vec<SyncTask> {
        let tasks = self.own.iter();
        tasks.map(|(_, sighting)| sighting.task.clone()).collect()
    }

    /// For a sync, all tasks that it started; for a session, the latest one of each place and direction.
    fn counting(&self) -> impl Iterator<Item = &'a SyncTask> {
        let whole_session = self.target.sync().is_none();
        // Identities are ordered by start last, so the latest of each place and direction comes last.
        let last: BTreeMap<_, _> = self
            .own
            .iter()
            .map(|(identity, sighting)| {
                let start = if whole_session { 0 } else { identity.start };
                ((&identity.place, identity.direction, start), &sighting.task)
            })
            .collect();
        last.into_values()
    }

    fn misses_expected(&self) -> bool {
        let seen: BTreeSet<&Place> = self
            .own
            .iter()
            .map(|(identity, _)| &identity.place)
            .collect();
        self.target
            .sync()
            .is_some_and(|sync| sync.expected.iter().any(|place| !seen.contains(place)))
    }

    /// A sync of all contexts may start more tasks than the known places tell.
    fn may_grow(&self) -> bool {
        self.target
            .sync()
            .is_some_and(|sync| sync.scope == Scope::All)
    }

    /// A session is judged by a look that was made since the asking; the tasks of one sync, once finished, stay so.
    fn is_current(&self) -> bool {
        self.target.sync().is_some()
            || self
                .sightings
                .latest()
                .is_some_and(|latest| latest >= self.since)
    }

    /// When something that does not count was last seen in the way: an older task that runs, or one that AGB has not started.
    fn last_blocked(&self) -> Option<Instant> {
        let older = self
            .older
            .iter()
            .filter(|sighting| !sighting.task.state().is_finished())
            .map(|sighting| sighting.seen);
        let unstarted = self
            .sightings
            .unstarted()
            .filter(|(task, _)| self.target.covers(task))
            .map(|(_, seen)| seen);
        older.chain(unstarted).max()
    }

    /// Whether the latest look has shown such a thing.
    fn is_blocked(&self) -> bool {
        let blocked = self.last_blocked();
        blocked.is_some() && blocked == self.sightings.latest()
    }

    /// How long looks, none of which failed, have shown nothing new of what lies within, and nothing in the way.
    fn quiet_time(&self) -> Duration {
        let (Some(unbroken), Some(latest)) = (self.sightings.unbroken(), self.sightings.latest())
        else {
            return Duration::ZERO;
        };
        let own = self.own.iter().map(|(_, sighting)| sighting.changed);
        let older = self.older.iter().map(|sighting| sighting.changed);
        let news = own.chain(older).chain(self.last_blocked());
        let quiet = news.fold(unbroken.max(self.since), Instant::max);
        latest.saturating_duration_since(quiet)
    }
}

/// A sync starts one task a place. Those that AGB has started after it are of later syncs. Identities come in the order of
/// their starts.
fn is_of_later_sync(target: &Target, identity: &Identity, own: &[(&Identity, &Sighting)]) -> bool {
    let latest = own.last();
    target.sync().is_some() && latest.is_some_and(|(latest, _)| latest.place == identity.place)
}

#[cfg(test)]
mod tests;
