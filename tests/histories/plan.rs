//! What happens in one history: all of it follows from the seed.

use agb_gateway::domain::Direction;

use crate::random::Random;
use crate::task::{Millis, Task};
use crate::weather::Weather;

/// One history, before it happens.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) settings: Timing,
    /// How many places the session mounts.
    pub(crate) place_count: usize,
    pub(crate) clock: Clock,
    pub(crate) weather: Weather,
    pub(crate) old_tasks: Vec<Task>,
    /// The session is created at the beginning: then there are no old tasks.
    pub(crate) created: Option<Vec<Asking>>,
    pub(crate) starts: Vec<Starting>,
    /// Those who ask about the session as a whole.
    pub(crate) askings: Vec<Asking>,
    /// When the first replica is replaced by one that knows nothing.
    pub(crate) restart: Option<Millis>,
}

/// The settings of the gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) floor: Millis,
    pub(crate) ceiling: Millis,
    pub(crate) share: f64,
    pub(crate) grace: Millis,
    pub(crate) settle: Millis,
    pub(crate) look_timeout: Millis,
}

/// AGB's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) skew: Millis,
    pub(crate) in_seconds: bool,
}

/// A sync that is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Starting {
    pub(crate) at: Millis,
    pub(crate) slot: usize,
    pub(crate) place: Option<usize>,
    pub(crate) direction: Option<Direction>,
    pub(crate) deadline: Millis,
    pub(crate) leaves_after: Option<Millis>,
    pub(crate) askings: Vec<Asking>,
}

/// Someone who asks about a sync, so long after its start, or about the session.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) after: Millis,
    pub(crate) slot: usize,
    pub(crate) how: How,
    pub(crate) by_token: bool,
    pub(crate) deadline: Millis,
    pub(crate) leaves_after: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Wait,
    Watch,
    Status,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::of(seed, 1);
        let place_count = random.index(3) + 1;
        let settings = Timing::of(&mut random);
        let second_replica = random.chance(35);
        let restart = random.chance(15).then(|| random.between(200, 12_000));
        let mut people = People {
            slots: if second_replica { 2 } else { 1 },
            random: Random::of(seed, 2),
        };
        let starts = people.starts(place_count);
        let is_created = random.chance(35);
        let covers_all = starts.iter().any(|start| start.place.is_none());
        Self {
            seed,
            settings,
            place_count,
            clock: Clock {
                skew: random.pick(&[0, -86_400_000, -1_500, 700, 31_536_000_000]),
                in_seconds: random.chance(30),
            },
            weather: Weather::of(&mut random, covers_all.then_some(settings.settle)),
            old_tasks: if is_created {
                Vec::new()
            } else {
                old_tasks(place_count, &mut random)
            },
            created: is_created.then(|| people.askings(3)),
            starts,
            askings: people.askings(2),
            restart,
        }
    }
}

impl Timing {
    fn of(random: &mut Random) -> Self {
        let floor = random.pick(&[50, 100, 300]);
        Self {
            floor,
            ceiling: floor + random.pick(&[500, 1_400, 3_000]),
            share: random.pick(&[0.08, 0.2, 0.5]),
            grace: random.pick(&[1_000, 4_000, 8_000]),
            settle: random.pick(&[200, 500, 1_500]),
            look_timeout: random.pick(&[1_000, 4_000]),
        }
    }
}

fn old_tasks(place_count: usize, random: &mut Random) -> Vec<Task> {
    let mut tasks = Vec::new();
    for _ in 0..random.index(2 * place_count + 1) {
        let direction = random.pick(&[Direction::Upload, Direction::Download]);
        tasks.push(Task::old(random.index(place_count), direction, random));
    }
    tasks
}

struct People {
    slots: usize,
    random: Random,
}

impl People {
    fn starts(&mut self, place_count: usize) -> Vec<Starting> {
        let count = self.random.index(4) + 1;
        let is_busy = self.random.chance(50);
        (0..count)
            .map(|_| {
                let random = &mut self.random;
                Starting {
                    at: random.between(0, if is_busy { 1_500 } else { 12_000 }),
                    slot: random.index(self.slots),
                    place: random.chance(70).then(|| random.index(place_count)),
                    direction: random.pick(&[
                        None,
                        Some(Direction::Upload),
                        Some(Direction::Download),
                    ]),
                    deadline: random.pick(&[300, 3_000, 20_000]),
                    leaves_after: random.chance(8).then(|| random.between(0, 1_000)),
                    askings: self.askings(4),
                }
            })
            .collect()
    }

    fn askings(&mut self, most: usize) -> Vec<Asking> {
        let count = self.random.index(most + 1);
        (0..count).map(|_| self.asking()).collect()
    }

    fn asking(&mut self) -> Asking {
        let random = &mut self.random;
        let after = match random.between(0, 3) {
            0 | 1 => 0,
            2 => random.between(0, 1_500),
            _ => random.between(0, 15_000),
        };
        let how = match random.between(0, 9) {
            0..=5 => How::Wait,
            6 | 7 => How::Watch,
            _ => How::Status,
        };
        Asking {
            after,
            slot: random.index(self.slots),
            how,
            by_token: random.chance(30),
            deadline: random.pick(&[200, 2_000, 10_000, 25_000, 45_000]),
            leaves_after: random.chance(15).then(|| random.between(0, 5_000)),
        }
    }
}
