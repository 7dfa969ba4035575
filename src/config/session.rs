//! Section `session`: how sessions are created, and how those that nobody has are found.

use std::time::Duration;

use super::reader::Reader;
use crate::creation::{Settings, Timing};
use crate::resilience::Pace;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// How sessions are created.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// `session.creation_lease`: how long a call with a `request_id` has to create and choose a session, before others may take
    /// what it has created, 1 s to 10 min, default 60 s. `session.expiry_margin`: how long after the end of its call a session that
    /// was not handed over may be swept, 0 to 1 h, default 2 min. `session.clock_skew`: how far the clocks of two replicas may
    /// differ, 0 to 5 min, default 5 s. `session.settle`: how long a change of labels may take, from the look that it rests on
    /// until AGB shows it, 0 to 1 min, default 2 s.
    pub settings: Settings,
    /// `session.sweep_interval`: how long between two sweeps, give or take a quarter, up to 1 h, default 1 min; 0: no sweeps.
    pub sweep_interval: Duration,
}

impl SessionConfig {
    pub(super) fn read(reader: &mut Reader<'_>, pace: Option<Pace>) -> Option<Self> {
        let lease = reader.duration("session.creation_lease", "60s", SECOND..=10 * MINUTE);
        let margin = reader.duration("session.expiry_margin", "2m", Duration::ZERO..=HOUR);
        let clock_skew = reader.duration("session.clock_skew", "5s", Duration::ZERO..=5 * MINUTE);
        let settle = reader.duration("session.settle", "2s", Duration::ZERO..=MINUTE);
        let sweep_interval = reader.duration("session.sweep_interval", "1m", Duration::ZERO..=HOUR);
        let (lease, timing) = (
            lease?,
            Timing {
                clock_skew: clock_skew?,
                settle: settle?,
            },
        );
        let margin = margin?;
        if 4 * timing.settle > lease {
            let rule = "must not be above a quarter of session.creation_lease";
            reader.problem("session.settle", rule);
            return None;
        }
        // Or what a call that has ended left could never be taken by the next one.
        if margin < timing.clock_skew + 2 * timing.settle {
            let rule = "must be at least session.clock_skew and twice session.settle together";
            reader.problem("session.expiry_margin", rule);
            return None;
        }
        Some(Self {
            settings: Settings {
                creation_lease: lease,
                expiry_margin: margin,
                timing,
                pace: pace?,
            },
            sweep_interval: sweep_interval?,
        })
    }
}
