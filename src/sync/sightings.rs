//! What looks at one session have shown so far. Looks may come in any order of news: stale ones, doubled entries, gaps.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::identity::{Identity, Place};
use crate::domain::{Direction, SyncTask, TaskState};

/// One task, as far as it has been seen.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The task, in the furthest state in which it was seen.
    pub task: SyncTask,
    /// When a look has last told something new of it.
    pub changed: Instant,
    /// When a look has last shown it at all.
    pub seen: Instant,
}

/// What looks at one session have shown so far.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    tasks: BTreeMap<Identity, Sighting>,
    /// The tasks that AGB has accepted and not started, with the time when a look has last shown one.
    unstarted: BTreeMap<(Place, Direction), (SyncTask, Instant)>,
    /// The first look after the last one that failed.
    unbroken: Option<Instant>,
    /// The latest look that did not fail.
    latest: Option<Instant>,
}

impl Sightings {
    /// Takes in a look that was begun at `now`. Whether it shows anything new is returned.
    pub fn take(&mut self, now: Instant, look: &[SyncTask]) -> bool {
        let mut news = false;
        for task in look {
            if let Some(identity) = Identity::of(task) {
                news |= self.take_task(now, identity, task);
            } else if !task.state().is_finished() {
                let key = (Place::of(task), task.direction);
                self.unstarted.insert(key, (task.clone(), now));
            }
        }
        self.unbroken.get_or_insert(now);
        self.latest = Some(now);
        news
    }

    /// A look has failed. What could not be seen cannot be missed: no time of waiting for it counts across the gap.
    pub fn miss(&mut self) {
        self.unbroken = None;
    }

    /// A finished task stays finished, whatever a later or doubled look says; and what failed has failed.
    fn take_task(&mut self, now: Instant, identity: Identity, task: &SyncTask) -> bool {
        let Some(known) = self.tasks.get_mut(&identity) else {
            let sighting = Sighting {
                task: task.clone(),
                changed: now,
                seen: now,
            };
            self.tasks.insert(identity, sighting);
            return true;
        };
        known.seen = now;
        let keeps = known.task == *task
            || known.task.state() == TaskState::Failed
            || (known.task.state() == TaskState::Succeeded && task.state() == TaskState::Running);
        if !keeps {
            known.task = task.clone();
            known.changed = now;
        }
        !keeps
    }

    /// The tasks that have been seen, in the order of their places, directions and starts.
    pub fn tasks(&self) -> impl Iterator<Item = (&Identity, &Sighting)> {
        self.tasks.iter()
    }

    /// Whether a task has been seen finished.
    pub fn has_finished(&self, identity: &Identity) -> bool {
        let sighting = self.tasks.get(identity);
        sighting.is_some_and(|sighting| sighting.task.state().is_finished())
    }

    /// Tasks that AGB has accepted and not started, with the time when a look has last shown one.
    pub fn unstarted(&self) -> impl Iterator<Item = (&SyncTask, Instant)> {
        self.unstarted.values().map(|(task, seen)| (task, *seen))
    }

    /// The first look after the last one that failed; `None` while looks fail.
    pub fn unbroken(&self) -> Option<Instant> {
        self.unbroken
    }

    /// The latest look that did not fail.
    pub fn latest(&self) -> Option<Instant> {
        self.latest
    }
}
