//! One task of the simulated AGB: when it is shown, when it really starts, and when and how it really ends.

use agb_gateway::domain::{Direction, TaskState};

use crate::random::Random;

/// Milliseconds since the history began; what was before is below 0.
pub(crate) type Millis = i64;

/// Words that AGB could use for what has not ended. Two of them look like the end, and are not.
const UNFINISHED: [&str; 8] = [
    "Running",
    "Pending",
    "success",
    "FAILED",
    "PartialSuccess",
    "",
    "Finished",
    "Preparing",
];

/// Who began a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody of this history.
    Old,
    /// The start with this number in `World::begun`.
    Begun(usize),
}

/// A task.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) origin: Origin,
    pub(crate) place: usize,
    pub(crate) direction: Direction,
    /// AGB's count of its start: with place and direction, its identity.
    pub(crate) count: i64,
    /// When AGB accepted it.
    pub(crate) accepted: Millis,
    /// From when on looks show it.
    pub(crate) shown_from: Millis,
    /// When it starts; shown before that, it has no start.
    pub(crate) begins: Millis,
    /// When it ends, if ever.
    pub(crate) ends: Option<Millis>,
    pub(crate) succeeds: bool,
    /// From when on it is not shown any more, if ever.
    pub(crate) vanishes: Option<Millis>,
    /// Looks never leave it out by mistake.
    pub(crate) is_steady: bool,
    /// It never gets a start, also when it has ended.
    pub(crate) is_ghost: bool,
    pub(crate) word: &'static str,
    /// Which replicas have seen it with a start, and in which states: three bits a replica.
    pub(crate) seen: u32,
}

/// How a task looks at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appearance {
    pub(crate) state: TaskState,
    pub(crate) has_started: bool,
}

impl Task {
    /// How it looks at `moment`, if looks show it then.
    pub(crate) fn at(&self, moment: Millis) -> Option<Appearance> {
        let vanished = self.vanishes.is_some_and(|vanishes| moment >= vanishes);
        if moment < self.shown_from || vanished {
            return None;
        }
        Some(Appearance {
            state: self.state_at(moment),
            has_started: moment >= self.begins && !self.is_ghost,
        })
    }

    fn state_at(&self, moment: Millis) -> TaskState {
        match (self.has_ended_at(moment), self.succeeds) {
            (false, _) => TaskState::Running,
            (true, true) => TaskState::Succeeded,
            (true, false) => TaskState::Failed,
        }
    }

    pub(crate) fn has_ended_at(&self, moment: Millis) -> bool {
        self.ends.is_some_and(|ends| moment >= ends)
    }

    pub(crate) fn has_succeeded_at(&self, moment: Millis) -> bool {
        self.has_ended_at(moment) && self.succeeds
    }

    /// AGB's word for a state.
    pub(crate) fn word_for(&self, state: TaskState) -> &'static str {
        match state {
            TaskState::Running => self.word,
            TaskState::Succeeded => "Success",
            TaskState::Failed => "Failed",
        }
    }

    /// Whether a replica has seen it with its start.
    pub(crate) fn was_seen_by(&self, replica: usize) -> bool {
        self.seen >> (3 * replica) & 0b111 != 0
    }

    pub(crate) fn was_seen_in(&self, replica: usize, state: TaskState) -> bool {
        self.seen & bit(replica, state) != 0
    }

    pub(crate) fn see(&mut self, replica: usize, state: TaskState) {
        self.seen |= bit(replica, state);
    }

    /// A task that was there before everything, running or ended, shown or not.
    pub(crate) fn old(place: usize, direction: Direction, random: &mut Random) -> Self {
        let accepted = -random.between(1, 20_000);
        // Some wait in AGB's queue, and start only when the history is under way.
        let begins = if random.chance(12) {
            random.between(1, 6_000)
        } else {
            accepted
        };
        let ends = match random.between(0, 9) {
            0 => None,
            1..=3 => Some(random.between(begins, 6_000.max(begins))),
            _ => Some(begins + random.between(0, 3_000)),
        };
        let shown_from = match random.between(0, 9) {
            0 | 1 => random.between(accepted, 8_000),
            _ => accepted,
        };
        let vanishes = random
            .chance(30)
            .then(|| shown_from + random.between(1, 30_000));
        Self {
            origin: Origin::Old,
            place,
            direction,
            count: 0,
            accepted,
            shown_from,
            begins,
            ends,
            succeeds: random.chance(80),
            vanishes,
            is_steady: false,
            is_ghost: random.chance(4),
            word: random.pick(&UNFINISHED),
            seen: 0,
        }
    }

    /// A task that a start begins at `accepted`.
    pub(crate) fn new(
        origin: Origin,
        place: usize,
        direction: Direction,
        accepted: Millis,
        random: &mut Random,
    ) -> Self {
        let shown_from = accepted + delay(random);
        let waits = if random.chance(35) { delay(random) } else { 0 };
        let begins = shown_from + waits;
        let duration = match random.between(0, 29) {
            0..=9 => Some(random.between(0, 200)),
            10..=21 => Some(random.between(200, 3_000)),
            22..=28 => Some(random.between(3_000, 12_000)),
            _ => None,
        };
        let ends = duration.map(|duration| begins + duration);
        let vanishes = match random.between(0, 99) {
            // Never shown at all.
            0..=2 => Some(shown_from),
            // Before its end was shown.
            3..=7 => Some(random.between(shown_from, ends.unwrap_or(begins + 9_000))),
            8..=15 => ends.map(|ends| ends + random.between(0, 3_000)),
            _ => None,
        };
        Self {
            origin,
            place,
            direction,
            count: 0,
            accepted,
            shown_from,
            begins,
            ends,
            succeeds: random.chance(80),
            vanishes,
            is_steady: false,
            is_ghost: random.chance(1),
            word: random.pick(&UNFINISHED),
            seen: 0,
        }
    }
}

/// How long AGB takes to show a task, or to start it.
fn delay(random: &mut Random) -> Millis {
    match random.between(0, 9) {
        0..=4 => random.between(0, 20),
        5..=7 => random.between(20, 1_500),
        8 => random.between(1_500, 5_000),
        _ => random.between(5_000, 12_000),
    }
}

fn bit(replica: usize, state: TaskState) -> u32 {
    let state = match state {
        TaskState::Running => 0,
        TaskState::Succeeded => 1,
        TaskState::Failed => 2,
    };
    1 << (3 * replica + state)
}
