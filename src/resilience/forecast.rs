//! How long something is likely to take, learned from how long it took before.

use std::time::Duration;

/// How much of what is known each new duration replaces: the last dozen counts for most.
const FORGETTING: f64 = 0.15;
/// What one single duration tells of the next one: within about half of it.
const FIRST_SPREAD: f64 = 0.3;
/// Nothing is so regular that it comes within less than this share of its usual time.
const LEAST_SPREAD: f64 = 0.02;
/// The share of all cases that history says nothing about: the data, the network or AGB has changed.
const SURPRISE: f64 = 0.03;
/// How wide such a surprise spreads, on the logarithm of time.
const SURPRISE_SPREAD: f64 = 1.0;
/// Shorter than this, a duration cannot be told from none.
const SHORTEST: f64 = 1e-3;

/// What is known of how long one thing takes. Small, and of fixed size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experience {
    /// The mean of the logarithm of the seconds.
    mean: f64,
    /// The variance around that mean.
    variance: f64,
}

impl Experience {
    /// What a first duration tells.
    pub fn first(duration: Duration) -> Self {
        Self {
            mean: logarithm(duration),
            variance: FIRST_SPREAD * FIRST_SPREAD,
        }
    }

    /// Takes in another duration; what is older counts less and less.
    #[must_use]
    pub fn with(self, duration: Duration) -> Self {
        let off = logarithm(duration) - self.mean;
        Self {
            mean: self.mean + FORGETTING * off,
            variance: (1.0 - FORGETTING) * (self.variance + FORGETTING * off * off),
        }
    }

    /// What it says of the next time.
    pub fn forecast(&self) -> Forecast {
        Forecast {
            median: self.mean.exp(),
            // The standard deviation of a logistic distribution is its scale times pi over the root of 3.
            spread: self.variance.sqrt().max(LEAST_SPREAD) * 3.0_f64.sqrt() / std::f64::consts::PI,
        }
    }
}

fn logarithm(duration: Duration) -> f64 {
    duration.as_secs_f64().max(SHORTEST).ln()
}

/// When something is likely to end: log-logistic around a median, with a small chance of a surprise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Seconds.
    median: f64,
    /// The scale on the logarithm of time.
    spread: f64,
}

impl Forecast {
    /// The time by which half of all cases have ended.
    pub fn median(&self) -> Duration {
        Duration::from_secs_f64(self.median)
    }

    /// The chance, per second, that it ends just at `elapsed` seconds when it has not ended before.
    pub(super) fn hazard(&self, elapsed: f64) -> f64 {
        let (usual_density, usual_left) = log_logistic(elapsed / self.median, self.spread);
        let (wide_density, wide_left) = log_logistic(elapsed / self.median, SURPRISE_SPREAD);
        let density = (1.0 - SURPRISE) * usual_density + SURPRISE * wide_density;
        let left = (1.0 - SURPRISE) * usual_left + SURPRISE * wide_left;
        density / (left * elapsed)
    }
}

/// The density on the logarithm of time, and the share of cases that have not ended.
fn log_logistic(relative: f64, spread: f64) -> (f64, f64) {
    let odds = relative.powf(1.0 / spread);
    // Far beyond the median both are zero, as they must be; the odds themselves may be infinite there.
    let left = 1.0 / (1.0 + odds);
    (left * (1.0 - left) / spread, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn what_repeats_is_forecast_ever_more_closely() {
        let mut experience = Experience::first(seconds(30.0));
        let vague = experience.forecast();
        for _ in 0..40 {
            experience = experience.with(seconds(30.0));
        }
        let sure = experience.forecast();
        assert!((sure.median - 30.0).abs() < 1e-6);
        assert!(sure.spread < vague.spread / 5.0, "{sure:?} {vague:?}");
    }

    #[test]
    fn what_has_changed_is_forgotten_slowly() {
        let mut experience = Experience::first(seconds(1.0));
        experience = experience.with(seconds(10.0));
        assert!(experience.forecast().median() < seconds(2.0));
        for _ in 0..40 {
            experience = experience.with(seconds(10.0));
        }
        assert!(experience.forecast().median() > seconds(9.5));
    }

    #[test]
    fn an_end_is_likely_around_the_median_and_possible_ever_after() {
        let forecast = Experience::first(seconds(30.0)).forecast();
        assert!(forecast.hazard(30.0) > 20.0 * forecast.hazard(5.0));
        for elapsed in [0.001, 1.0, 1e3, 1e6] {
            let hazard = forecast.hazard(elapsed);
            assert!(hazard.is_finite() && hazard > 0.0, "{elapsed}: {hazard}");
        }
    }
}
