//! How soon to look again at something that takes time: often at first, then ever less; and where it is known how long such a
//! thing takes, mostly around its likely end.

use std::time::Duration;

use super::forecast::Forecast;

/// However sure a forecast is, a look is made at least this often: AGB may take a session without calls for idle.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// With a forecast, the first look is made after this share of the likely duration.
const FIRST_SHARE: f64 = 0.25;
/// Without a forecast, pauses grow until they reach the ceiling; with one, so many times as long.
const SPAN: f64 = 2.0;
/// How finely a pause is computed, as a share of the elapsed time.
const STEP: f64 = 0.01;

/// Without a forecast, the delay before the next look is a share of the time that has passed, between a floor and a ceiling.
///
/// So the lag of what is learned stays in proportion to what it took. With a forecast, the density of looks follows the root of
/// the chance that the thing ends just then, which is what costs least where lag and looks both have a price; both
/// agree where the chance is one in the time that has passed, which is what is to be expected of a thing of unknown length.
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

    /// The shortest pause.
    pub fn floor(&self) -> Duration {
        self.floor
    }

    /// How long to wait before the next look, when `elapsed` has passed since the start.
    pub fn delay(&self, elapsed: Duration, forecast: Option<Forecast>) -> Duration {
        match forecast {
            None => elapsed.mul_f64(self.share).clamp(self.floor, self.ceiling),
            Some(forecast) => self.delay_by(elapsed, forecast),
        }
    }

    /// How long to wait before the next look after so many looks in a row have failed.
    pub fn backoff(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.floor.saturating_mul(doubled).min(self.ceiling)
    }

    fn delay_by(&self, elapsed: Duration, forecast: Forecast) -> Duration {
        let longest = LONGEST_PAUSE.max(self.floor);
        let first = forecast.median().mul_f64(FIRST_SHARE);
        if elapsed < first {
            return first.saturating_sub(elapsed).clamp(self.floor, longest);
        }
        // Beyond this time, a look is worth the same lag however long the whole takes.
        let level = SPAN * self.ceiling.as_secs_f64() / self.share;
        let start = elapsed.as_secs_f64();
        let end = start + longest.as_secs_f64();
        let mut time = start.max(self.floor.as_secs_f64());
        let mut looks = 0.0;
        while looks < 1.0 && time < end {
            let step = time * STEP;
            let middle = time + step / 2.0;
            looks += step * (forecast.hazard(middle) / middle.min(level)).sqrt() / self.share;
            time += step;
        }
        Duration::from_secs_f64(time - start).clamp(self.floor, longest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::forecast::Experience;
    use super::*;

    fn pace() -> Pace {
        Pace::try_new(Duration::from_millis(50), Duration::from_secs(2), 0.1).unwrap()
    }

    /// The times of the looks at something that does not end within `seconds`.
    fn looks(forecast: Option<Forecast>, seconds: f64) -> Vec<f64> {
        let mut elapsed = Duration::ZERO;
        let mut looks = Vec::new();
        while elapsed.as_secs_f64() < seconds {
            elapsed += pace().delay(elapsed, forecast);
            looks.push(elapsed.as_secs_f64());
        }
        looks
    }

    fn forecast_of(seconds: u64) -> Forecast {
        let duration = Duration::from_secs(seconds);
        let mut experience = Experience::first(duration);
        for _ in 0..20 {
            experience = experience.with(duration);
        }
        experience.forecast()
    }

    #[test]
    fn delays_grow_with_the_time_between_floor_and_ceiling() {
        for (elapsed, delay) in [
            (0, 50),
            (400, 50),
            (1_000, 100),
            (10_000, 1_000),
            (60_000, 2_000),
        ] {
            assert_eq!(
                pace().delay(Duration::from_millis(elapsed), None),
                Duration::from_millis(delay)
            );
        }
    }

    #[test]
    fn with_a_forecast_most_looks_lie_around_the_likely_end() {
        let looks = looks(Some(forecast_of(30)), 36.0);
        let near = looks.iter().filter(|look| (24.0..36.0).contains(*look));
        assert!(2 * near.count() > looks.len(), "{looks:?}");
        assert!(looks.iter().any(|look| *look < 10.0), "{looks:?}");
    }

    #[test]
    fn what_takes_longer_than_forecast_is_still_looked_at() {
        let looks = looks(Some(forecast_of(1)), 100.0);
        let gaps = looks.windows(2).map(|pair| pair[1] - pair[0]);
        let longest = gaps.fold(0.0, f64::max);
        assert!(longest <= LONGEST_PAUSE.as_secs_f64() + 1e-6, "{longest}");
    }

    #[test]
    fn a_forecast_never_looks_faster_than_the_floor_nor_pauses_longer_than_half_a_minute() {
        for seconds in [0, 1, 30, 3_600] {
            let forecast = Some(forecast_of(seconds));
            for elapsed in [0, 1, 500, 30_000, 3_600_000] {
                let delay = pace().delay(Duration::from_millis(elapsed), forecast);
                assert!((pace().floor..=LONGEST_PAUSE).contains(&delay), "{delay:?}");
            }
        }
    }

    #[test]
    fn failures_double_the_pause_up_to_the_ceiling() {
        let pauses = [0, 1, 3, 10, 100].map(|failures| pace().backoff(failures).as_millis());
        assert_eq!(pauses, [50, 100, 400, 2_000, 2_000]);
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
