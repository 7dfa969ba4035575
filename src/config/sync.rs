//! Section `sync`: how syncs, and the release of sessions, are followed.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::read_file;
use super::reader::Reader;
use crate::resilience::Pace;
use crate::sync::{Patience, Settings, TokenKeys};

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
const KEY_SETTING: &str = "sync.token_key_file";
const SHORTEST_KEY: usize = 32;

/// How syncs are followed.
#[derive(Clone, Debug)]
pub struct SyncConfig {
    /// The pace: `sync.pace_floor`, 1 ms to 1 min, default 50 ms; `sync.pace_ceiling`, 1 ms to 1 min, default 1400 ms;
    /// `sync.pace_share` of the elapsed time, above 0 and at most 1, default 0.08. `sync.grace`: how long AGB may take to show
    /// a task that it has accepted, 1 s to 1 h, default 30 s. `sync.settle`: how long nothing new must have come before a sync
    /// of all contexts counts as complete, 0 to 1 min, default 1 s. `sync.looks_per_second`: how many looks all sessions
    /// share, 1 to 100,000, default 200. `sync.memory_entries`: of how many places' durations and of how many sessions'
    /// starts there is a memory, 1 to 10,000,000, default 100,000.
    pub settings: Settings,
    /// The keys of sync tokens: the lines of the file that `sync.token_key_file` names, each of at least 32 characters, of which
    /// the first one signs and all are accepted; without a file, a key that every replica with the same AGB key derives alike.
    /// `sync.token_lifetime`: how long a token is valid, 1 min to 24 h, default 1 h.
    pub token_keys: TokenKeys,
}

impl SyncConfig {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        account_key: Option<&SecretString>,
    ) -> Option<Self> {
        let floor = reader.duration("sync.pace_floor", "50ms", MILLISECOND..=MINUTE);
        let ceiling = reader.duration("sync.pace_ceiling", "1400ms", MILLISECOND..=MINUTE);
        let share = reader.optional("sync.pace_share").unwrap_or(0.08);
        let grace = reader.duration("sync.grace", "30s", 1000 * MILLISECOND..=60 * MINUTE);
        let settle = reader.duration("sync.settle", "1s", Duration::ZERO..=MINUTE);
        let looks_per_second = reader.number("sync.looks_per_second", 200, 1..=100_000);
        let memory_entries = reader.number("sync.memory_entries", 100_000, 1..=10_000_000);
        let token_keys = token_keys(reader, account_key);
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
            token_keys: token_keys?,
        })
    }
}

fn token_keys(reader: &mut Reader<'_>, account_key: Option<&SecretString>) -> Option<TokenKeys> {
    let lifetime = reader.duration("sync.token_lifetime", "1h", MINUTE..=DAY);
    let Some(file): Option<PathBuf> = reader.optional(KEY_SETTING) else {
        let account_key = account_key?.expose_secret();
        return Some(TokenKeys::derived_from(account_key.as_bytes(), lifetime?));
    };
    let keys = read_file(&file).and_then(|text| {
        check_keys(&text)?;
        Ok(text)
    });
    match keys {
        Ok(keys) => Some(TokenKeys::new(keys.lines().map(str::as_bytes), lifetime?)),
        Err(rule) => {
            reader.problem(KEY_SETTING, rule);
            None
        }
    }
}

fn check_keys(keys: &str) -> Result<(), String> {
    let rule =
        format!("must name a file with keys of at least {SHORTEST_KEY} characters, one a line");
    if keys.is_empty() {
        return Err(format!("{rule}; it is empty"));
    }
    match keys.lines().position(|key| key.len() < SHORTEST_KEY) {
        Some(line) => Err(format!("{rule}; line {} is shorter", line + 1)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_one_a_line_and_a_refusal_repeats_none() {
        let key = "0123456789abcdef0123456789abcdef";
        assert_eq!(check_keys(&format!("{key}\n{key}")), Ok(()));
        for (keys, place) in [
            ("", "empty"),
            ("secret", "line 1"),
            (&format!("{key}\n\n"), "line 2"),
        ] {
            let rule = check_keys(keys).unwrap_err();
            assert!(rule.contains(place) && !rule.contains("secret"), "{rule}");
        }
    }
}
