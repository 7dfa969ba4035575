//! Which of the requests that a fault could strike it does strike.

use serde::{Deserialize, Serialize};

/// Lets some requests through, and decides by chance about the rest. The same seed decides the same way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Schedule {
    /// How many of the requests that it could strike are let through first.
    pub skip: u32,
    /// How likely each of the others is struck, from 0 to 1.
    pub probability: f64,
    /// What chance is made of.
    pub seed: u64,
}

impl Default for Schedule {
    /// Strikes every request.
    fn default() -> Self {
        Self {
            skip: 0,
            probability: 1.0,
            seed: 0,
        }
    }
}

/// A schedule under way.
#[derive(Clone, Debug)]
pub(super) struct Course {
    schedule: Schedule,
    skipped: u32,
    chance: Chance,
}

impl Course {
    pub(super) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            skipped: 0,
            chance: Chance(schedule.seed),
        }
    }

    pub(super) fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Decides about the next request.
    pub(super) fn strikes(&mut self) -> bool {
        if self.skipped < self.schedule.skip {
            self.skipped += 1;
            return false;
        }
        self.schedule.probability >= 1.0 || self.chance.draw() < self.schedule.probability
    }
}

/// `SplitMix64`: small, and the same on every machine and for ever, as a seed that somebody wrote down needs.
#[derive(Clone, Debug)]
struct Chance(u64);

impl Chance {
    /// A number from 0 up to 1.
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let high = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decisions(schedule: Schedule, count: usize) -> Vec<bool> {
        let mut course = Course::new(schedule);
        (0..count).map(|_| course.strikes()).collect()
    }

    #[test]
    fn the_same_seed_decides_the_same_way_and_another_differently() {
        let schedule = |seed| Schedule {
            probability: 0.5,
            seed,
            ..Schedule::default()
        };
        assert_eq!(decisions(schedule(7), 64), decisions(schedule(7), 64));
        assert_ne!(decisions(schedule(7), 64), decisions(schedule(8), 64));
    }

    #[test]
    fn about_as_many_are_struck_as_is_likely() {
        let schedule = Schedule {
            probability: 0.25,
            ..Schedule::default()
        };
        let struck = decisions(schedule, 10_000)
            .into_iter()
            .filter(|struck| *struck);
        assert!((2_300..2_700).contains(&struck.count()));
    }

    #[test]
    fn skipped_requests_are_let_through_and_probability_zero_strikes_none() {
        let skip = Schedule {
            skip: 2,
            ..Schedule::default()
        };
        assert_eq!(decisions(skip, 4), [false, false, true, true]);
        let never = Schedule {
            probability: 0.0,
            ..Schedule::default()
        };
        assert!(!decisions(never, 1000).contains(&true));
    }
}
