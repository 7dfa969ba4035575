//! The simulated AGB: one session, its tasks, and what its looks show. Written from AGB's reference, and from nothing of
//! the gateway.
//!
//! Time is handed in, so that the same world serves the gateway and the control.

use agb_gateway::domain::{Direction, SyncTask, TaskState};

use crate::cost::Cost;
use crate::plan::{Clock, Plan, Timing};
use crate::random::Random;
use crate::task::{Appearance, Millis, Origin, Task};
use crate::weather::{Fault, Weather};

/// Who asks AGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A poller of the gateway.
    Poller,
    /// A start, or a question for the state, of this number.
    Actor(usize),
}

/// A start that has begun tasks.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) actor: usize,
    pub(crate) replica: usize,
    pub(crate) at: Millis,
    /// It is of all contexts, which AGB alone knows.
    pub(crate) covers_all: bool,
    pub(crate) tasks: Vec<usize>,
}

/// A look that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) replica: usize,
    pub(crate) asker: Asker,
    pub(crate) begun: Millis,
    pub(crate) ended: Millis,
    /// The moment that it shows, and the tasks; or what made it fail.
    pub(crate) shown: Result<(Millis, Vec<Shown>), Option<Fault>>,
}

/// A task as a look has shown it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) task: usize,
    pub(crate) appearance: Appearance,
}

/// What a start asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) actor: usize,
    pub(crate) replica: usize,
    pub(crate) place: Option<usize>,
    pub(crate) direction: Direction,
}

/// AGB.
#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    pub(crate) place_count: usize,
    pub(crate) tasks: Vec<Task>,
    pub(crate) begun: Vec<Begun>,
    pub(crate) looks: Vec<Look>,
    pub(crate) weather: Weather,
    pub(crate) settings: Timing,
    pub(crate) cost: Cost,
    /// What was told to those who asked, and what happened besides.
    pub(crate) told: Vec<(Millis, String)>,
    /// Whether that is kept.
    pub(crate) is_told: bool,
    pub(crate) violations: Vec<String>,
    clock: Clock,
    random: Random,
    /// How many starts did not happen, to stay clear of the known limits.
    pub(crate) avoided: u64,
    /// Whether starts stay clear of the known limits of the gateway.
    keeps_limits: bool,
}

/// A mounted place: the context and the path.
pub(crate) fn place_name(place: usize) -> (&'static str, &'static str) {
    [("c0", "/tmp/a"), ("c1", "/home/b"), ("c0", "/tmp/a/b")][place]
}

impl World {
    pub(crate) fn new(plan: &Plan, keeps_limits: bool) -> Self {
        let mut world = Self {
            seed: plan.seed,
            place_count: plan.place_count,
            tasks: Vec::new(),
            begun: Vec::new(),
            looks: Vec::new(),
            weather: plan.weather.clone(),
            settings: plan.settings,
            cost: Cost::default(),
            told: Vec::new(),
            is_told: false,
            violations: Vec::new(),
            clock: plan.clock,
            random: Random::of(plan.seed, 3),
            avoided: 0,
            keeps_limits,
        };
        for task in &plan.old_tasks {
            world.add(task.clone());
        }
        world
    }

    pub(crate) fn tell(&mut self, now: Millis, event: impl FnOnce() -> String) {
        if self.is_told {
            self.told.push((now, event()));
        }
    }

    pub(crate) fn latency(&mut self, now: Millis) -> Millis {
        self.weather.latency(now, &mut self.random)
    }

    /// A look that was begun and is answered now.
    pub(crate) fn look(
        &mut self,
        replica: usize,
        asker: Asker,
        begun: Millis,
        now: Millis,
    ) -> Result<Vec<SyncTask>, Fault> {
        if let Some(fault) = self.weather.fault_of_look(now, &mut self.random) {
            self.remember(replica, asker, begun, now, Err(Some(fault)));
            return Err(fault);
        }
        let lag = self.weather.lag(now, &mut self.random);
        let moment = self.random.between(begun, now) - lag;
        let mut shown = Vec::new();
        let mut entries = Vec::new();
        for number in 0..self.tasks.len() {
            let Some(appearance) = self.tasks[number].at(moment) else {
                continue;
            };
            let task = &self.tasks[number];
            if !task.is_steady && task.seen != 0 && self.weather.leaves_out(now, &mut self.random) {
                continue;
            }
            let is_doubled = appearance.state != TaskState::Running && self.random.chance(5);
            entries.push(self.entry(number, appearance.has_started, appearance.state));
            if is_doubled {
                entries.push(self.entry(number, appearance.has_started, TaskState::Running));
            }
            if appearance.has_started {
                self.tasks[number].see(replica, appearance.state);
            }
            shown.push(Shown {
                task: number,
                appearance,
            });
        }
        self.random.shuffle(&mut entries);
        self.remember(replica, asker, begun, now, Ok((moment, shown)));
        Ok(entries)
    }

    /// A look that its asker did not wait for.
    pub(crate) fn look_timed_out(
        &mut self,
        replica: usize,
        asker: Asker,
        begun: Millis,
        now: Millis,
    ) {
        self.remember(replica, asker, begun, now, Err(None));
    }

    fn remember(
        &mut self,
        replica: usize,
        asker: Asker,
        begun: Millis,
        ended: Millis,
        shown: Result<(Millis, Vec<Shown>), Option<Fault>>,
    ) {
        self.looks.push(Look {
            replica,
            asker,
            begun,
            ended,
            shown,
        });
    }

    fn entry(&self, number: usize, has_started: bool, state: TaskState) -> SyncTask {
        let task = &self.tasks[number];
        let (context_id, path) = place_name(task.place);
        let slash = if task.accepted % 3 == 0 { "/" } else { "" };
        let finish = match (state, task.ends) {
            (TaskState::Succeeded | TaskState::Failed, Some(ends)) if ends % 4 != 0 => {
                task.count + 1
            }
            _ => 0,
        };
        let error = if state == TaskState::Failed { "no" } else { "" };
        SyncTask {
            context_id: context_id.to_owned(),
            path: format!("{path}{slash}"),
            direction: task.direction,
            agb_status: task.word_for(state).to_owned(),
            error_message: error.to_owned(),
            start: if has_started { task.count } else { 0 },
            finish,
        }
    }

    /// Asks for a sync. What it begins depends on the seed and the actor alone.
    pub(crate) fn start(&mut self, asked: Asked, now: Millis) -> Result<(), Fault> {
        let mut random = Random::of(self.seed, 100 + u64::try_from(asked.actor).unwrap_or(0));
        let outcome = random.between(0, 99);
        if let Some(fault) = self.weather.lasting_fault(now) {
            return Err(fault);
        }
        if outcome < 4 {
            let nothing_begun = [Fault::Invalid, Fault::Throttled(None), Fault::Busy];
            return Err(random.pick(&nothing_begun));
        }
        if self.keeps_limits {
            let kept = self.keep_limits(asked, now);
            self.avoided += u64::from(kept.is_err());
            kept?;
        }
        self.begin(asked, now, &mut random);
        match outcome {
            4 => Err(Fault::Busy),
            5 => Err(Fault::Malformed),
            _ => Ok(()),
        }
    }

    /// The session is created, and with it its places.
    pub(crate) fn create(&mut self, actor: usize) {
        let mut random = Random::of(self.seed, 99);
        let asked = Asked {
            actor,
            replica: 0,
            place: None,
            direction: Direction::Download,
        };
        self.begin(asked, 0, &mut random);
    }

    fn begin(&mut self, asked: Asked, now: Millis, random: &mut Random) {
        let origin = Origin::Begun(self.begun.len());
        let is_creation = asked.actor == CREATION;
        let mut tasks = Vec::new();
        for place in 0..self.place_count {
            let mut task = Task::new(origin, place, asked.direction, now, random);
            if asked.place.is_some_and(|asked| asked != place) {
                continue;
            }
            if asked.place.is_none() && !is_creation && !self.is_known(asked, place) {
                self.show_in_time(&mut task);
            }
            tasks.push(self.add(task));
        }
        self.begun.push(Begun {
            actor: asked.actor,
            replica: asked.replica,
            at: now,
            covers_all: asked.place.is_none() && !is_creation,
            tasks,
        });
    }

    /// Known limit: a sync of all contexts knows the session's contexts only by the tasks that AGB shows, and misses one that
    /// shows its first task later than the settling time. So such a first task comes in time, also for looks that show the
    /// past, and stays.
    fn show_in_time(&self, task: &mut Task) {
        let latest = task.accepted + self.settings.settle - self.weather.longest_lag - 1;
        let earlier = (task.begins - latest).max(0);
        task.begins -= earlier;
        task.shown_from = task.shown_from.min(task.begins);
        task.ends = task.ends.map(|ends| ends - earlier);
        task.vanishes = None;
        task.is_steady = true;
        task.is_ghost = false;
    }

    /// What the look before a start has shown.
    fn shown_before(&self, asked: Asked) -> &[Shown] {
        let mut looks = self.looks.iter().rev();
        let before = looks.find(|look| look.asker == Asker::Actor(asked.actor));
        let shown = before.and_then(|look| look.shown.as_ref().ok());
        shown.map_or(&[], |(_, shown)| shown)
    }

    /// Whether the look before a start has shown a place.
    fn is_known(&self, asked: Asked, place: usize) -> bool {
        self.shown_before(asked)
            .iter()
            .any(|shown| shown.appearance.has_started && self.tasks[shown.task].place == place)
    }

    /// Whether the look before a start has shown that a task waits. Then nothing may be started yet.
    fn is_waiting(&self, asked: Asked, task: usize) -> bool {
        self.shown_before(asked).iter().any(|shown| {
            shown.task == task
                && !shown.appearance.has_started
                && shown.appearance.state == TaskState::Running
        })
    }

    fn keep_limits(&mut self, asked: Asked, now: Millis) -> Result<(), Fault> {
        for number in 0..self.tasks.len() {
            let task = &self.tasks[number];
            let is_like_ours = task.direction == asked.direction
                && asked.place.is_none_or(|place| place == task.place);
            if is_like_ours && task.origin != Origin::Old {
                // Known limit: nor does a look tell that the next one's task is another when the task before has vanished.
                if task.is_ghost || task.vanishes.is_some() {
                    return Err(Fault::Invalid);
                }
                self.tasks[number].is_steady = true;
            }
            let task = &self.tasks[number];
            let may_come = !task.was_seen_by(asked.replica)
                && !task.is_ghost
                && task
                    .vanishes
                    .is_none_or(|vanishes| vanishes > now - LONGEST_PAST);
            if !is_like_ours || !may_come || self.is_waiting(asked, number) {
                continue;
            }
            match task.origin {
                // Known limit: two syncs that two replicas start before AGB shows the first one's tasks. Here, AGB refuses.
                Origin::Begun(begun) if self.begun[begun].replica != asked.replica => {
                    return Err(Fault::Invalid);
                }
                // This replica has to keep its own starts apart, as long as the grace.
                Origin::Begun(begun) if now - self.begun[begun].at < self.settings.grace => {}
                // Known limit: a sync whose task AGB does not show is completed by the next one's task. Here, AGB refuses.
                Origin::Begun(_) => return Err(Fault::Invalid),
                // Known limit: an older task that no look of this replica has shown is shown after the start. Here, it is
                // never shown.
                Origin::Old => self.tasks[number].vanishes = Some(Millis::MIN),
            }
        }
        Ok(())
    }

    /// Adds a task, with an identity of its own: AGB tells tasks apart by place, direction and start alone.
    fn add(&mut self, mut task: Task) -> usize {
        let begins = self.clock.skew + 1_700_000_000_000 + task.begins;
        task.count = if self.clock.in_seconds {
            begins / 1_000
        } else {
            begins
        };
        while self.tasks.iter().any(|other| {
            (other.place, other.direction, other.count) == (task.place, task.direction, task.count)
        }) {
            task.count += 1;
        }
        self.tasks.push(task);
        self.tasks.len() - 1
    }

    /// The task that an entry is about.
    pub(crate) fn task_of(&self, entry: &SyncTask) -> Option<usize> {
        self.tasks.iter().position(|task| {
            let (context_id, path) = place_name(task.place);
            entry.context_id == context_id
                && entry.path.trim_end_matches('/') == path
                && entry.direction == task.direction
                && entry.start == task.count
        })
    }
}

/// No look shows a moment that is longer ago.
pub(crate) const LONGEST_PAST: Millis = 12_000;

/// The actor that stands for the creation of the session.
pub(crate) const CREATION: usize = usize::MAX;
