//! Sync tokens: a sync written down, so that any replica can carry on with it, also after a restart.
//!
//! A token is opaque to callers: base64url of a version, JSON, and an HMAC-SHA256 over both. It holds no secret, and nobody
//! without the key can make or change one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::asked::{Scope, Sync, Ticket};
use super::identity::{Identity, Place};
use crate::domain::Direction;
use crate::secret::Keyring;

/// The first byte of a token.
const VERSION: u8 = 2;
/// The length of the HMAC.
const MAC_BYTES: usize = 32;
/// A sync of a thousand contexts fits many times over.
const MAX_LENGTH: usize = 1 << 20;
/// How far the clocks of two replicas may differ.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

const PURPOSE: &str = "sync token";

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It is none, or one of another version.
    #[error("is not a sync token that this version of the gateway made")]
    Unreadable,
    /// Its HMAC is none of ours.
    #[error("was altered, or made by a gateway with another signing key, or for another tenant")]
    Unauthentic,
    /// It is too old.
    #[error("has expired: sync tokens are valid for {} (setting sync.token_lifetime)", humantime::format_duration(*.0))]
    Expired(Duration),
}

/// The keys of tokens, and how long tokens are valid.
#[derive(Clone, Debug)]
pub struct TokenKeys {
    keyring: Keyring,
    lifetime: Duration,
}

#[derive(Serialize, Deserialize)]
struct Written {
    /// Milliseconds since the epoch.
    #[serde(rename = "i")]
    issued: i64,
    #[serde(rename = "s")]
    session_id: String,
    #[serde(rename = "d")]
    direction: String,
    #[serde(rename = "a")]
    all: bool,
    /// Context and path.
    #[serde(rename = "e")]
    expected: Vec<(String, String)>,
    /// Context, path and starts, each start as the difference to the one before; the direction is that of the sync.
    #[serde(rename = "b")]
    baseline: Vec<(String, String, Vec<i64>)>,
}

impl TokenKeys {
    /// Keys of tokens that are valid for so long.
    pub fn new(keyring: Keyring, lifetime: Duration) -> Self {
        Self { keyring, lifetime }
    }

    /// Writes a sync down that was started at `issued`.
    pub fn write(&self, sync: &Sync, issued: Timestamp) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(serde_json::to_vec(&Written::of(sync, issued)).unwrap_or_default());
        if let Some(key) = self.keyring.keys(PURPOSE).into_iter().next() {
            bytes.extend(key.chain_update(&bytes).finalize().into_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`TokenKeys::write`] wrote.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Ticket, InvalidToken> {
        use InvalidToken::{Expired, Unauthentic, Unreadable};
        if token.len() > MAX_LENGTH {
            return Err(Unreadable);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Unreadable)?;
        let Some((signed, mac)) = bytes.split_last_chunk::<MAC_BYTES>() else {
            return Err(Unreadable);
        };
        let Some((&VERSION, json)) = signed.split_first() else {
            return Err(Unreadable);
        };
        let authentic = |key: Hmac<Sha256>| key.chain_update(signed).verify_slice(mac).is_ok();
        if !self.keyring.keys(PURPOSE).into_iter().any(authentic) {
            return Err(Unauthentic);
        }
        let written: Written = serde_json::from_slice(json).map_err(|_| Unreadable)?;
        let issued = Timestamp::from_millisecond(written.issued).map_err(|_| Unreadable)?;
        let age = Duration::try_from(now.duration_since(issued)).unwrap_or_default();
        if age > self.lifetime + CLOCK_SKEW {
            return Err(Expired(self.lifetime));
        }
        Ok(Ticket {
            sync: written.sync().ok_or(Unreadable)?,
            token: token.to_owned(),
            issued,
            started: None,
        })
    }
}

impl Written {
    fn of(sync: &Sync, issued: Timestamp) -> Self {
        let expected = sync.expected.iter();
        let mut starts: BTreeMap<&Place, Vec<i64>> = BTreeMap::new();
        let own = |identity: &&Identity| identity.direction == sync.direction;
        for identity in sync.baseline.iter().filter(own) {
            let starts = starts.entry(&identity.place).or_default();
            starts.push(identity.start - starts.iter().sum::<i64>());
        }
        Self {
            issued: issued.as_millisecond(),
            session_id: sync.session_id.clone(),
            direction: sync.direction.as_agb().to_owned(),
            all: sync.scope == Scope::All,
            expected: expected
                .map(|place| (place.context_id.clone(), place.path.clone()))
                .collect(),
            baseline: starts
                .into_iter()
                .map(|(place, starts)| (place.context_id.clone(), place.path.clone(), starts))
                .collect(),
        }
    }

    fn sync(self) -> Option<Sync> {
        let direction = Direction::from_agb(&self.direction)?;
        let expected = self.expected.into_iter();
        let mut baseline = BTreeSet::new();
        for (context_id, path, differences) in self.baseline {
            let place = Place::new(context_id, &path);
            let mut start = 0_i64;
            for difference in differences {
                start = start.checked_add(difference)?;
                baseline.insert(Identity {
                    place: place.clone(),
                    direction,
                    start,
                });
            }
        }
        Some(Sync {
            session_id: self.session_id,
            direction,
            scope: if self.all {
                Scope::All
            } else {
                Scope::Expected
            },
            expected: expected
                .map(|(context_id, path)| Place::new(context_id, &path))
                .collect(),
            baseline,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Reloaded, Secrets};

    const HOUR: Duration = Duration::from_hours(1);
    const ISSUED: Timestamp = Timestamp::UNIX_EPOCH;

    /// Keys that come of secrets of 32 characters, so that names of any length do.
    fn keys(secrets: &[&str]) -> TokenKeys {
        let lines = secrets.iter().map(|secret| format!("{secret:_<32}"));
        let secrets = Secrets::signing_keys(&lines.collect::<Vec<_>>().join("\n")).unwrap();
        TokenKeys::new(Keyring::new(Reloaded::fixed(secrets), "tenant"), HOUR)
    }

    fn sync() -> Sync {
        let place = Place::new("SdkCtx-1", "/tmp/ma\"pping ü");
        let task = |start| Identity {
            place: place.clone(),
            direction: Direction::Upload,
            start,
        };
        Sync {
            session_id: "s-1".to_owned(),
            direction: Direction::Upload,
            scope: Scope::All,
            expected: [place.clone()].into(),
            baseline: [1, 1_760_517_000_000, 1_760_517_004_000, i64::MAX]
                .map(task)
                .into(),
        }
    }

    #[test]
    fn a_hundred_earlier_tasks_leave_a_token_short_enough_for_trailers() {
        let mut sync = sync();
        let place = Place::new("SdkCtx-1", "/tmp/mapping");
        sync.baseline = (0..100)
            .map(|number| Identity {
                place: place.clone(),
                direction: Direction::Upload,
                start: 1_760_517_000_000 + 12_345 * number,
            })
            .collect();
        let token = keys(&["key"]).write(&sync, ISSUED);
        assert!(token.len() < 1_500, "{}", token.len());
    }

    fn refusal(result: Result<Ticket, InvalidToken>) -> InvalidToken {
        result.unwrap_err()
    }

    #[test]
    fn a_token_holds_the_whole_sync_and_any_replica_with_the_key_reads_it() {
        let token = keys(&["key"]).write(&sync(), ISSUED);
        let ticket = keys(&["key"]).read(&token, ISSUED).unwrap();
        assert_eq!(ticket.sync, sync());
        assert_eq!(ticket.issued, ISSUED);
    }

    #[test]
    fn an_older_key_is_still_accepted_and_an_unknown_one_is_not() {
        let token = keys(&["old"]).write(&sync(), ISSUED);
        assert!(keys(&["new", "old"]).read(&token, ISSUED).is_ok());
        let refused = refusal(keys(&["new"]).read(&token, ISSUED));
        assert_eq!(refused, InvalidToken::Unauthentic);
    }

    #[test]
    fn a_place_is_the_same_however_often_it_is_written_down() {
        let odd = Sync {
            expected: [Place::new("c", "/tmp//")].into(),
            ..sync()
        };
        let token = keys(&["key"]).write(&odd, ISSUED);
        assert_eq!(keys(&["key"]).read(&token, ISSUED).unwrap().sync, odd);
    }

    #[test]
    fn another_tenant_s_token_is_refused() {
        let of = |tenant| TokenKeys::new(Keyring::of_secret("secret", tenant), HOUR);
        let token = of("a").write(&sync(), ISSUED);
        assert!(of("a").read(&token, ISSUED).is_ok(), "a replica reads it");
        assert_eq!(
            refusal(of("b").read(&token, ISSUED)),
            InvalidToken::Unauthentic
        );
    }

    #[test]
    fn no_altered_byte_is_accepted() {
        let keys = keys(&["key"]);
        let bytes = URL_SAFE_NO_PAD.decode(keys.write(&sync(), ISSUED)).unwrap();
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            let token = URL_SAFE_NO_PAD.encode(&altered);
            assert!(keys.read(&token, ISSUED).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_token_expires_and_the_refusal_names_the_setting() {
        let keys = keys(&["key"]);
        let token = keys.write(&sync(), ISSUED);
        assert!(keys.read(&token, ISSUED + HOUR).is_ok());
        let refused = refusal(keys.read(&token, ISSUED + 2 * HOUR));
        assert_eq!(refused, InvalidToken::Expired(HOUR));
        assert!(
            refused
                .to_string()
                .contains("1h (setting sync.token_lifetime)")
        );
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let keys = keys(&["key"]);
        let long = "A".repeat(MAX_LENGTH + 4);
        let mut other_version = URL_SAFE_NO_PAD.decode(keys.write(&sync(), ISSUED)).unwrap();
        other_version[0] = VERSION + 1;
        let other_version = URL_SAFE_NO_PAD.encode(other_version);
        for token in ["", "e30", "not base64!", &other_version, &long] {
            let refused = refusal(keys.read(token, ISSUED));
            assert_eq!(refused, InvalidToken::Unreadable, "{token:.20}");
        }
    }
}
