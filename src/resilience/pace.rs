//! How soon to look again at something that takes time: often at first, then ever less.

use std::time::Duration;

/// The delay before the next look is a share of the time that has passed, between a floor and a ceiling.
///
/// So the lag of what is learned stays in proportion to what it took, and the number of looks grows with the logarithm of
/// the time until the ceiling is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    floor: Duration,
    ceiling: Duration,
    share: f64,
}

impl Pace {
    /// A pace with a floor above zero, a ceiling not below it, and a share of more than 0 and at most 1.
    ///
    /// The error names the setting that breaks the rule.
    pub fn try_new(floor: Duration, ceiling: Duration, share: f64) -> Result<Self, String> {
        if floor.is_zero() {
            return Err("the floor must be above zero".to_owned());
        }
        if ceiling < floor {
            return Err("the ceiling must not be below the floor".to_owned());
        }
        if !(share > 0.0 && share <= 1.0) {
            return Err(format!(
                "the share must be above 0 and at most 1, got {share}"
            ));
        }
        Ok(Self {
            floor,
            ceiling,
            share,
        })
    }

    /// How long to wait before the next look, when `elapsed` has passed since the start.
    pub fn delay(&self, elapsed: Duration) -> Duration {
        elapsed.mul_f64(self.share).clamp(self.floor, self.ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_with_the_time_between_floor_and_ceiling() {
        let pace = Pace::try_new(Duration::from_millis(50), Duration::from_secs(2), 0.1).unwrap();
        for (elapsed, delay) in [
            (0, 50),
            (400, 50),
            (1_000, 100),
            (10_000, 1_000),
            (60_000, 2_000),
        ] {
            assert_eq!(
                pace.delay(Duration::from_millis(elapsed)),
                Duration::from_millis(delay)
            );
        }
    }

    #[test]
    fn a_pace_that_would_stand_still_or_run_hot_cannot_be_built() {
        let second = Duration::from_secs(1);
        assert!(Pace::try_new(Duration::ZERO, second, 0.1).is_err());
        assert!(Pace::try_new(second, Duration::from_millis(1), 0.1).is_err());
        for share in [0.0, -1.0, 1.1, f64::NAN] {
            assert!(Pace::try_new(second, second, share).is_err(), "{share}");
        }
    }
}
