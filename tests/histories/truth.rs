//! What may be told to those who ask, by what has truly happened in the world.

use agb_gateway::domain::{SyncTask, TaskState};
use agb_gateway::sync::{Outcome, Report, Verdict};

use crate::task::{Millis, Origin};
use crate::world::{Asker, LONGEST_PAST, Look, World};

/// What someone asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The start with this number in `World::begun`.
    Begun(usize),
    Session,
}

/// Someone who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) subject: Subject,
    pub(crate) replica: usize,
    /// Whose looks answer it.
    pub(crate) asker: Asker,
    pub(crate) joined: Millis,
    /// From when on looks count: those who wait for the session share one answer, and this is when the first of them came.
    pub(crate) since: Millis,
    pub(crate) deadline: Millis,
    /// Whether the replica has ended syncs before, and may have learned when the next ones end.
    pub(crate) may_be_learned: bool,
}

/// Beyond this, nobody waits for a deadline.
const TOLERANCE: Millis = 5;
/// How long a poller that has learned may pause.
const LONGEST_PAUSE: Millis = 30_000;

/// Whether what is told is true.
pub(crate) type Checked = Result<(), String>;

impl World {
    /// Whether a report, given at `now`, is true.
    pub(crate) fn check_report(&self, question: Question, report: &Report, now: Millis) -> Checked {
        for entry in &report.tasks {
            self.check_task(question, entry)?;
        }
        match report.state {
            Verdict::Succeeded => self.check_success(question, report, now),
            Verdict::Failed => self.check_failure(question, report, now),
            Verdict::Pending if !report.tasks.is_empty() => {
                Err("tasks have been seen, and it is pending".to_owned())
            }
            Verdict::Pending | Verdict::Running => Ok(()),
        }
    }

    fn check_task(&self, question: Question, entry: &SyncTask) -> Checked {
        let Some(number) = self.task_of(entry) else {
            return match (question.subject, entry.start) {
                (Subject::Session, 0) => Ok(()),
                _ => Err(format!("no task is {entry:?}")),
            };
        };
        let task = &self.tasks[number];
        if let Subject::Begun(begun) = question.subject
            && task.origin != Origin::Begun(begun)
        {
            return Err(format!("task {number} is not of start {begun}"));
        }
        if !task.was_seen_in(question.replica, entry.state()) {
            return Err(format!("task {number} was never shown so: {entry:?}"));
        }
        Ok(())
    }

    fn check_success(&self, question: Question, report: &Report, now: Millis) -> Checked {
        for number in self.tasks_of(question)? {
            let task = &self.tasks[number];
            if !task.has_succeeded_at(now) {
                return Err(format!(
                    "FALSE COMPLETION: task {number} has not ended in success"
                ));
            }
            if !task.was_seen_in(question.replica, TaskState::Succeeded) {
                return Err(format!("nobody was shown that task {number} succeeded"));
            }
            let is_reported = |entry: &SyncTask| {
                self.task_of(entry) == Some(number) && entry.state() == TaskState::Succeeded
            };
            if !report.tasks.iter().any(is_reported) {
                return Err(format!("task {number} is not reported"));
            }
        }
        Ok(())
    }

    fn check_failure(&self, question: Question, report: &Report, now: Millis) -> Checked {
        let tasks = self.tasks_of(question)?;
        let running = tasks
            .iter()
            .find(|number| !self.tasks[**number].has_ended_at(now));
        if let Some(number) = running {
            return Err(format!("failed, but task {number} has not ended"));
        }
        if tasks.iter().all(|number| self.tasks[*number].succeeds) {
            return Err("failed, but no task has".to_owned());
        }
        let is_failed = |entry: &SyncTask| entry.state() == TaskState::Failed;
        if !report.tasks.iter().any(is_failed) {
            return Err("failed, and no failed task is reported".to_owned());
        }
        Ok(())
    }

    /// The tasks on which the answer depends. Of a session, the latest that were shown of each place and direction.
    fn tasks_of(&self, question: Question) -> Result<Vec<usize>, String> {
        match question.subject {
            Subject::Begun(begun) => Ok(self.begun[begun].tasks.clone()),
            Subject::Session => self.latest_shown(question),
        }
    }

    fn latest_shown(&self, question: Question) -> Result<Vec<usize>, String> {
        let mut latest: Vec<usize> = Vec::new();
        let looks = self.looks_for(question);
        for look in looks.iter().filter(|look| look.begun >= question.since) {
            let Ok((_, shown)) = &look.shown else {
                continue;
            };
            for shown in shown.iter().filter(|shown| shown.appearance.has_started) {
                let task = &self.tasks[shown.task];
                let key = (task.place, task.direction);
                let same = latest.iter_mut().find(|number| {
                    (self.tasks[**number].place, self.tasks[**number].direction) == key
                });
                match same {
                    Some(number) if self.tasks[*number].count < task.count => *number = shown.task,
                    Some(_) => {}
                    None => latest.push(shown.task),
                }
            }
        }
        if latest.is_empty() {
            return Err("a verdict, and no task was shown".to_owned());
        }
        let unstarted = looks.last().and_then(|look| look.shown.as_ref().ok());
        let is_unstarted = |task: usize| {
            unstarted.is_some_and(|(_, shown)| {
                shown.iter().any(|shown| {
                    shown.task == task
                        && !shown.appearance.has_started
                        && shown.appearance.state == TaskState::Running
                })
            })
        };
        match (0..self.tasks.len()).find(|task| is_unstarted(*task)) {
            Some(task) => Err(format!("a verdict, and task {task} is shown to be waiting")),
            None => Ok(latest),
        }
    }

    /// The good looks on which an answer can depend, in order.
    fn looks_for(&self, question: Question) -> Vec<&Look> {
        self.looks
            .iter()
            .filter(|look| {
                (look.replica, look.asker) == (question.replica, question.asker)
                    && look.shown.is_ok()
            })
            .collect()
    }

    /// Whether it is true why a wait did not end in success.
    pub(crate) fn check_outcome(
        &self,
        question: Question,
        outcome: &Outcome,
        report: Option<&Report>,
        now: Millis,
    ) -> Checked {
        if let Some(report) = report {
            self.check_report(question, report, now)?;
            let is_failed = matches!(outcome, Outcome::Failed);
            if is_failed != (report.state == Verdict::Failed) {
                return Err(format!("{outcome:?} with {:?}", report.state));
            }
            if report.state == Verdict::Succeeded {
                return Err(format!("{outcome:?}, and it has succeeded"));
            }
        }
        match outcome {
            Outcome::Failed => self.check_in_time(question, now),
            Outcome::NotObserved(_) => self.check_not_observed(question, now),
            Outcome::Deadline => {
                if now < question.deadline || now > question.deadline + TOLERANCE {
                    return Err(format!("the deadline was at {}", question.deadline));
                }
                self.check_in_time(question, now)
            }
            Outcome::Agb(error) => self.check_lasting(error, now),
            Outcome::Draining { .. } => Err("nothing drains here".to_owned()),
        }
    }

    /// Whether AGB has truly ended the wait.
    pub(crate) fn check_lasting(&self, error: &agb_gateway::agb::Error, now: Millis) -> Checked {
        let since = |from: Option<Millis>| from.is_some_and(|from| from <= now);
        let is_true = (error.is_session_not_found() && since(self.weather.gone_from))
            || (error.is_forbidden() && since(self.weather.rejected_from));
        if is_true {
            return Ok(());
        }
        Err(format!("{error} ended a wait"))
    }

    /// Nothing may be called unobserved that was shown, nor before AGB had its time, nor when looks failed instead.
    fn check_not_observed(&self, question: Question, now: Millis) -> Checked {
        let grace = self.settings.grace;
        let since = match question.subject {
            Subject::Begun(begun) => self.begun[begun].at,
            Subject::Session => Millis::MIN,
        };
        if now - grace < since {
            return Err(format!("not observed, but it began at {since}"));
        }
        let looks = self.looks_for(question);
        let was_shown = |task: usize| {
            let later = looks.iter().filter(|look| look.begun >= question.since);
            later
                .filter_map(|look| look.shown.as_ref().ok())
                .flat_map(|(_, shown)| shown)
                .any(|shown| shown.task == task && shown.appearance.has_started)
        };
        let is_observed = match question.subject {
            Subject::Begun(begun) => self.begun[begun].tasks.iter().all(|task| was_shown(*task)),
            Subject::Session => (0..self.tasks.len()).any(was_shown),
        };
        if is_observed {
            return Err("not observed, but it was shown".to_owned());
        }
        let covered = self.time_covered(question, since);
        if covered < grace {
            return Err(format!("not observed in {covered} ms of good looks"));
        }
        Ok(())
    }

    /// How long one good look has followed another.
    fn time_covered(&self, question: Question, since: Millis) -> Millis {
        let mut looks: Vec<_> = self
            .looks
            .iter()
            .filter(|look| (look.replica, look.asker) == (question.replica, question.asker))
            .collect();
        looks.sort_by_key(|look| look.begun);
        looks
            .windows(2)
            .filter(|pair| pair[0].shown.is_ok() && pair[1].shown.is_ok())
            .map(|pair| (pair[1].ended - pair[0].begun.max(since)).max(0))
            .sum()
    }

    /// Whether a verdict, or the deadline in its place, comes in time.
    pub(crate) fn check_in_time(&self, question: Question, now: Millis) -> Checked {
        match self.due(question) {
            Some(due) if now > due => Err(format!("the verdict was due at {due}")),
            _ => Ok(()),
        }
    }

    /// When nothing stands in the way of a sync of all contexts: what it may still start could come after tasks that run or
    /// wait. A task that does so for good is in the way for good.
    fn unblocked_from(&self, begun: usize) -> Option<Millis> {
        let direction = self.tasks[*self.begun[begun].tasks.first()?].direction;
        let others = self
            .tasks
            .iter()
            .filter(|task| task.direction == direction && task.origin != Origin::Begun(begun));
        let mut from = Millis::MIN;
        for task in others {
            let gone = task
                .vanishes
                .map(|vanishes| vanishes.saturating_add(LONGEST_PAST));
            let ended = task.ends.into_iter().chain(gone).min();
            from = from.max(ended?);
        }
        Some(from)
    }

    /// When the verdict must have come: looks are good from some moment on, and all is shown that is to be known.
    fn due(&self, question: Question) -> Option<Millis> {
        let Subject::Begun(begun) = question.subject else {
            return None;
        };
        let mut from = question.joined.max(self.weather.calm_from);
        for number in &self.begun[begun].tasks {
            let task = &self.tasks[*number];
            if task.is_ghost || task.vanishes.is_some() {
                return None;
            }
            from = from.max(task.ends?);
        }
        if self.begun[begun].covers_all {
            from = from.max(self.unblocked_from(begun)?);
        }
        let pause = if question.may_be_learned {
            LONGEST_PAUSE
        } else {
            self.settings.ceiling
        };
        // A look before the calm may hang, and be throttled by a second; then one more look, and one after the settling time.
        let looks = self.settings.look_timeout + 2_000;
        from.checked_add(2 * pause + self.settings.settle + looks)
    }
}
