//! How long syncs of each place and direction have taken. Bounded in memory; what is not used for long goes first.

use std::time::Duration;

use moka::sync::Cache;

use super::identity::Place;
use crate::domain::{Direction, SyncTask, TaskState};
use crate::resilience::{Experience, Forecast};

/// How long syncs have taken.
#[derive(Clone, Debug)]
pub(super) struct History(Cache<(Place, Direction), Experience>);

impl History {
    /// A history of at most so many places and directions.
    pub(super) fn new(capacity: u64) -> Self {
        Self(Cache::new(capacity))
    }

    /// Takes in how long a sync took.
    pub(super) fn learn(&self, place: &Place, direction: Direction, duration: Duration) {
        let key = (place.clone(), direction);
        let experience = match self.0.get(&key) {
            Some(experience) => experience.with(duration),
            None => Experience::first(duration),
        };
        self.0.insert(key, experience);
    }

    /// When all of these are likely to have ended: the longest forecast. `None` when one has no history.
    pub(super) fn forecast<'a>(
        &self,
        places: impl IntoIterator<Item = &'a Place>,
        direction: Direction,
    ) -> Option<Forecast> {
        let mut longest: Option<Forecast> = None;
        for place in places {
            let forecast = self.0.get(&(place.clone(), direction))?.forecast();
            if longest.is_none_or(|longest| longest.median() < forecast.median()) {
                longest = Some(forecast);
            }
        }
        longest
    }
}

/// How long a task has taken that was last seen unfinished at `earliest` and first seen finished at `latest`, both counted from
/// the start of its sync. AGB's own times say it best, within these bounds: AGB may have queued it. `None` when it cannot be
/// told, or when it did not succeed.
pub(super) fn duration_of(
    task: &SyncTask,
    earliest: Option<Duration>,
    latest: Duration,
) -> Option<Duration> {
    if task.state() != TaskState::Succeeded {
        return None;
    }
    let lower = earliest.unwrap_or_default();
    let told = task.start_time().zip(task.finish_time());
    let told = told.and_then(|(start, finish)| Duration::try_from(finish - start).ok());
    match told {
        Some(told) => Some(told.clamp(lower, latest.max(lower))),
        None => earliest.map(|earliest| (earliest + latest) / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn task(status: &str, start: i64, finish: i64) -> SyncTask {
        SyncTask {
            context_id: "c".to_owned(),
            path: "/home/a".to_owned(),
            direction: Direction::Upload,
            agb_status: status.to_owned(),
            error_message: String::new(),
            start,
            finish,
        }
    }

    #[test]
    fn all_have_ended_when_the_longest_has() {
        let history = History::new(10);
        let (first, second) = (Place::new("c", "/home/a"), Place::new("c", "/home/b"));
        history.learn(&first, Direction::Upload, 2 * SECOND);
        let both = [&first, &second];
        assert_eq!(history.forecast(both, Direction::Upload), None);
        history.learn(&second, Direction::Upload, 9 * SECOND);
        let forecast = history.forecast(both, Direction::Upload).unwrap();
        assert!(forecast.median() > 8 * SECOND);
        assert_eq!(history.forecast(both, Direction::Download), None);
        assert_eq!(history.forecast([], Direction::Upload), None);
    }

    #[test]
    fn memory_is_bounded() {
        let history = History::new(100);
        for number in 0..10_000 {
            let place = Place::new(format!("c-{number}"), "/home/a");
            history.learn(&place, Direction::Upload, SECOND);
        }
        history.0.run_pending_tasks();
        assert!(history.0.entry_count() <= 100);
    }

    #[test]
    fn a_task_took_what_agb_says_within_what_was_seen() {
        let told = |finish, earliest: Option<u32>, latest: u32| {
            let task = task("Success", 1_760_517_000_000, finish);
            duration_of(
                &task,
                earliest.map(|seconds| seconds * SECOND),
                latest * SECOND,
            )
        };
        assert_eq!(told(1_760_517_004_000, Some(3), 6), Some(4 * SECOND));
        assert_eq!(told(1_760_517_004_000, Some(5), 6), Some(5 * SECOND));
        assert_eq!(told(1_760_517_009_000, None, 6), Some(6 * SECOND));
        assert_eq!(told(0, Some(4), 6), Some(5 * SECOND));
        assert_eq!(told(0, None, 6), None);
        let failed = task("Failed", 1_760_517_000_000, 1_760_517_004_000);
        assert_eq!(duration_of(&failed, Some(SECOND), 6 * SECOND), None);
    }
}
