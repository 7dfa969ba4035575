//! Section `sync`: how syncs, and the release of sessions, are followed.

use std::time::Duration;

use super::reader::Reader;
use crate::resilience::Pace;
use crate::sync::{Patience, Settings};

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// How syncs are followed.
#[derive(Clone, Debug)]
pub struct SyncConfig {
    /// The pace: `sync.pace_floor`, 1 ms to 1 min, default 50 ms; `sync.pace_ceiling`, 1 ms to 1 min, default 1400 ms;
    /// `sync.pace_share` of the elapsed time, above 0 and at most 1, default 0.08. `sync.grace`: how long AGB may take to show
    /// a task that it has accepted, 1 s to 1 h, default 30 s. `sync.settle`: how long nothing new must have come before a sync
    /// of all contexts counts as complete, 0 to 1 min, default 1 s. `sync.looks_per_second`: how many looks all sessions of a tenant
    /// share, 1 to 100,000, default 200. `sync.memory_entries`: of how many places' durations and of how many sessions'
    /// starts there is a memory, 1 to 10,000,000, default 100,000.
    pub settings: Settings,
    /// `sync.token_lifetime`: how long a sync token is valid, 1 min to 24 h, default 1 h.
    pub token_lifetime: Duration,
}

impl SyncConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let floor = reader.duration("sync.pace_floor", "50ms", MILLISECOND..=MINUTE);
        let ceiling = reader.duration("sync.pace_ceiling", "1400ms", MILLISECOND..=MINUTE);
        let share = reader.or_default("sync.pace_share", 0.08);
        let grace = reader.duration("sync.grace", "30s", 1000 * MILLISECOND..=60 * MINUTE);
        let settle = reader.duration("sync.settle", "1s", Duration::ZERO..=MINUTE);
        let looks_per_second = reader.number("sync.looks_per_second", 200, 1..=100_000);
        let memory_entries = reader.number("sync.memory_entries", 100_000, 1..=10_000_000);
        let token_lifetime = reader.duration("sync.token_lifetime", "1h", MINUTE..=DAY);
        let pace = match Pace::try_new(floor?, ceiling?, share) {
            Ok(pace) => pace,
            Err(rule) => {
                reader.problem("sync", rule);
                return None;
            }
        };
        Some(Self {
            settings: Settings {
                pace,
                patience: Patience {
                    grace: grace?,
                    settle: settle?,
                },
                looks_per_second: u32::try_from(looks_per_second?).ok()?,
                memory_entries: u64::try_from(memory_entries?).ok()?,
            },
            token_lifetime: token_lifetime?,
        })
    }
}
