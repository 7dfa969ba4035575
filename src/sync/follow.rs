//! Follows a sync: looks at the pace that is given until the rule has a verdict, the grace or the deadline ends.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::error::{Error, Outcome};
use super::rule::{Progress, Verdict};
use crate::agb;
use crate::domain::SyncTask;
use crate::resilience::{Deadline, Pace};

/// Looks at the tasks of a session.
pub trait Look {
    /// One look.
    fn look(&self) -> impl Future<Output = Result<Vec<SyncTask>, agb::Error>> + Send;
}

/// How often to look, and for how long to wait for a task that has never been seen.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How soon to look again.
    pub pace: Pace,
    /// How long AGB may take to show a task that it has accepted.
    pub grace: Duration,
    /// How long nothing new must have come before a sync of all contexts, whose known tasks are finished, counts as complete.
    pub settle: Duration,
}

/// What is known of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The state of the whole.
    pub state: Verdict,
    /// The tasks that belong to it.
    pub tasks: Vec<SyncTask>,
    /// Carries on with this sync; `None` for a session.
    pub token: Option<String>,
    /// How many looks were made for this answer.
    pub look_count: u32,
}

impl Report {
    /// What `progress` knows after so many looks.
    pub fn new(progress: &Progress, look_count: u32) -> Self {
        Self {
            state: progress.verdict(),
            tasks: progress.tasks().cloned().collect(),
            token: progress.sync().map(super::Sync::to_token),
            look_count,
        }
    }
}

/// Follows one sync, look by look.
#[derive(Debug)]
pub struct Follower<L> {
    progress: Progress,
    look: L,
    patience: Patience,
    start: Instant,
    last_news: Instant,
    look_count: u32,
}

/// What one look has led to.
#[derive(Debug)]
pub enum Step {
    /// Nothing that ends it; whether something has changed.
    GoesOn {
        /// Whether a task has appeared or changed.
        changed: bool,
    },
    /// AGB says that all of it has succeeded.
    Succeeded,
    /// It ends without success.
    Ended(Outcome),
}

impl<L: Look> Follower<L> {
    /// Begins to follow; nothing has been looked at yet.
    pub fn new(progress: Progress, look: L, patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            progress,
            look,
            patience,
            start: now,
            last_news: now,
            look_count: 0,
        }
    }

    /// Looks once. A look that fails for a while does not end it; one that says that waiting is pointless does.
    pub async fn step(&mut self) -> Step {
        self.look_count += 1;
        match self.look.look().await {
            Ok(tasks) => self.decide(&tasks),
            Err(error) if error.is_deadline() => Step::Ended(Outcome::Deadline),
            Err(error) if ends_the_wait(&error) => Step::Ended(Outcome::Agb(error)),
            Err(error) => {
                tracing::warn!(%error, look_count = self.look_count, "a look failed; looking again");
                // What could not be seen cannot be missed: neither grace nor settling time runs meanwhile.
                self.last_news = Instant::now();
                Step::GoesOn { changed: false }
            }
        }
    }

    fn decide(&mut self, tasks: &[SyncTask]) -> Step {
        let changed = self.progress.observe(tasks);
        if self.progress.waits_to_settle()
            && self.last_news.elapsed() >= self.patience.settle
            && !changed
        {
            self.progress.settle();
        }
        let waits = self.progress.waits_for_unseen() || self.progress.waits_to_settle();
        if changed || !waits {
            self.last_news = Instant::now();
        }
        match self.progress.verdict() {
            Verdict::Succeeded => Step::Succeeded,
            Verdict::Failed => Step::Ended(Outcome::Failed),
            Verdict::Pending | Verdict::Running => {
                let grace = self.patience.grace;
                if self.progress.waits_for_unseen() && self.last_news.elapsed() >= grace {
                    Step::Ended(Outcome::NotObserved(grace))
                } else {
                    Step::GoesOn { changed }
                }
            }
        }
    }

    /// How long to wait before the next look.
    pub fn pause(&self) -> Duration {
        let pause = self.patience.pace.delay(self.start.elapsed());
        if self.progress.waits_to_settle() {
            let left = self
                .patience
                .settle
                .saturating_sub(self.last_news.elapsed());
            return pause.min(left);
        }
        pause
    }

    /// What is known.
    pub fn report(&self) -> Report {
        Report::new(&self.progress, self.look_count)
    }
}

/// Looks until there is a verdict. Only success is `Ok`.
pub async fn follow(
    mut follower: Follower<impl Look>,
    deadline: Deadline,
) -> Result<Report, Error> {
    let outcome = loop {
        match follower.step().await {
            Step::Succeeded => return Ok(follower.report()),
            Step::Ended(outcome) => break outcome,
            Step::GoesOn { .. } => {}
        }
        if deadline.pause(follower.pause()).await.is_err() {
            break Outcome::Deadline;
        }
    };
    Err(Error {
        outcome,
        report: Some(Box::new(follower.report())),
    })
}

/// AGB's refusals that will not change by waiting: the session is gone, the key is not accepted, the request is wrong.
fn ends_the_wait(error: &agb::Error) -> bool {
    const TIMEOUT: u16 = 408;
    const TOO_EARLY: u16 = 425;
    const TOO_MANY: u16 = 429;
    error.is_session_not_found()
        || error.refusal().is_some_and(|refusal| {
            matches!(refusal.http_status, 400..=499)
                && !matches!(refusal.http_status, TIMEOUT | TOO_EARLY | TOO_MANY)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::super::rule::{Place, Sync};
    use super::*;
    use crate::domain::Direction;

    /// Gives the scripted looks, one after the other; the last one again and again.
    struct Script(Mutex<VecDeque<Result<&'static str, (u16, &'static str)>>>);

    impl Script {
        fn new(looks: &[Result<&'static str, (u16, &'static str)>]) -> Self {
            Self(Mutex::new(looks.iter().copied().collect()))
        }
    }

    impl Look for Script {
        async fn look(&self) -> Result<Vec<SyncTask>, agb::Error> {
            let mut looks = self.0.lock().unwrap();
            let look = looks.front().copied().unwrap();
            if looks.len() > 1 {
                looks.pop_front();
            }
            match look {
                Ok("") => Ok(Vec::new()),
                Ok(status) => Ok(vec![SyncTask {
                    context_id: "c".to_owned(),
                    path: "/tmp/a".to_owned(),
                    direction: Direction::Download,
                    agb_status: status.to_owned(),
                    error_message: String::new(),
                    start: 1,
                    finish: 0,
                }]),
                Err((http_status, code)) => Err(agb::Error::refused(
                    &agb::operation::GET_CONTEXT_INFO,
                    agb::Refusal {
                        http_status,
                        code: code.to_owned(),
                        ..agb::Refusal::default()
                    },
                )),
            }
        }
    }

    async fn run(
        looks: &[Result<&'static str, (u16, &'static str)>],
        deadline: u64,
    ) -> Result<Report, Error> {
        run_for(looks, Duration::from_secs(deadline)).await
    }

    async fn run_for(
        looks: &[Result<&'static str, (u16, &'static str)>],
        deadline: Duration,
    ) -> Result<Report, Error> {
        let expected = [Place::new("c", "/tmp/a")].into();
        let progress = Progress::of_sync(Sync::of_creation("s".to_owned(), expected));
        let patience = Patience {
            pace: Pace::try_new(Duration::from_millis(50), Duration::from_secs(2), 0.1).unwrap(),
            grace: Duration::from_secs(30),
            settle: Duration::from_secs(1),
        };
        let deadline = Deadline::after(deadline);
        follow(
            Follower::new(progress, Script::new(looks), patience),
            deadline,
        )
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn looks_go_on_until_agb_calls_the_task_finished() {
        let report = run(&[Ok(""), Ok("Running"), Ok("Running"), Ok("Success")], 60)
            .await
            .unwrap();
        assert_eq!(report.state, Verdict::Succeeded);
        assert_eq!(report.look_count, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn failing_looks_are_neither_completion_nor_the_end() {
        let report = run(
            &[Err((503, "")), Err((429, "Throttled")), Ok("Success")],
            60,
        )
        .await
        .unwrap();
        assert_eq!(report.look_count, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_task_is_an_error_that_names_it() {
        let error = run(&[Ok("Failed")], 60).await.unwrap_err();
        assert!(matches!(error.outcome, Outcome::Failed));
        assert_eq!(error.report.unwrap().tasks[0].context_id, "c");
    }

    #[tokio::test(start_paused = true)]
    async fn failing_looks_do_not_use_up_the_grace() {
        let start = Instant::now();
        let mut looks = vec![Err((503, "")); 60];
        looks.extend([Ok(""), Ok("Success")]);
        let report = run(&looks, 600).await.unwrap();
        assert!(start.elapsed() > Duration::from_secs(30));
        assert_eq!(report.look_count, 62);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_just_before_the_deadline_is_still_seen() {
        let start = Instant::now();
        let mut looks = vec![Ok("Running"); 20];
        looks.push(Ok("Success"));
        let begun = run(&looks, 600).await.unwrap();
        assert_eq!(begun.look_count, 21);
        // As long as that took, and no pause more.
        let deadline = start.elapsed().as_millis() + 20;
        let report = run_for(
            &looks,
            Duration::from_millis(u64::try_from(deadline).unwrap()),
        )
        .await;
        assert_eq!(report.unwrap().state, Verdict::Succeeded);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_seen_within_the_grace_is_its_own_answer() {
        let start = Instant::now();
        let error = run(&[Ok("")], 600).await.unwrap_err();
        assert!(matches!(error.outcome, Outcome::NotObserved(_)));
        assert!(start.elapsed() < Duration::from_secs(33));
        assert_eq!(error.report.unwrap().state, Verdict::Pending);
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_task_has_no_grace_but_the_deadline() {
        let start = Instant::now();
        let error = run(&[Ok("Running")], 300).await.unwrap_err();
        assert!(matches!(error.outcome, Outcome::Deadline));
        assert!(start.elapsed() > Duration::from_secs(297));
        assert!(error.report.unwrap().token.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_gone_ends_the_wait_at_once() {
        let error = run(
            &[Ok("Running"), Err((400, "InvalidMcpSession.NotFound"))],
            300,
        )
        .await
        .unwrap_err();
        assert!(matches!(error.outcome, Outcome::Agb(_)));
        assert_eq!(error.report.unwrap().look_count, 2);
    }
}
