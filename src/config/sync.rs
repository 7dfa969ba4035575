//! Section `sync`: how syncs, and the release of sessions, are followed.

use std::time::Duration;

use super::reader::Reader;
use crate::resilience::Pace;
use crate::sync::Patience;

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_mins(1);

/// How syncs are followed.
#[derive(Clone, Copy, Debug)]
pub struct SyncConfig {
    /// The pace: `sync.pace_floor`, 1 ms to 1 min, default 50 ms; `sync.pace_ceiling`, 1 ms to 1 min, default 1500 ms;
    /// `sync.pace_share` of the elapsed time, above 0 and at most 1, default 0.1. `sync.grace`: how long AGB may take to show
    /// a task that it has accepted, 1 s to 1 h, default 30 s. `sync.settle`: how long nothing new must have come before a sync
    /// of all contexts counts as complete, 0 to 1 min, default 1 s.
    pub patience: Patience,
}

impl SyncConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let floor = reader.duration("sync.pace_floor", "50ms", MILLISECOND..=MINUTE);
        let ceiling = reader.duration("sync.pace_ceiling", "1500ms", MILLISECOND..=MINUTE);
        let share = reader.optional("sync.pace_share").unwrap_or(0.1);
        let grace = reader.duration("sync.grace", "30s", 1000 * MILLISECOND..=60 * MINUTE);
        let settle = reader.duration("sync.settle", "1s", Duration::ZERO..=MINUTE);
        let pace = match Pace::try_new(floor?, ceiling?, share) {
            Ok(pace) => pace,
            Err(rule) => {
                reader.problem("sync", rule);
                return None;
            }
        };
        Some(Self {
            patience: Patience {
                pace,
                grace: grace?,
                settle: settle?,
            },
        })
    }
}
