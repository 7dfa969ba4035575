//! Sync tokens: a sync written down, so that any replica can carry on with it, also after a restart.
//!
//! A token is opaque to callers: base64url of versioned JSON. It holds no secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::rule::{Identity, Place, Scope, Sync};
use crate::domain::Direction;

const VERSION: u32 = 1;
/// A sync of a thousand contexts fits many times over.
const MAX_LENGTH: usize = 1 << 20;

/// The token is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a sync token that this version of the gateway made")]
pub struct InvalidToken;

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(rename = "v")]
    version: u32,
    #[serde(rename = "s")]
    session_id: String,
    #[serde(rename = "d")]
    direction: String,
    #[serde(rename = "a")]
    all: bool,
    /// Context and path.
    #[serde(rename = "e")]
    expected: Vec<(String, String)>,
    /// Context, path and start; the direction is that of the sync.
    #[serde(rename = "b")]
    baseline: Vec<(String, String, i64)>,
}

impl Sync {
    /// Writes the sync down.
    pub fn to_token(&self) -> String {
        let written = Written {
            version: VERSION,
            session_id: self.session_id.clone(),
            direction: self.direction.as_agb().to_owned(),
            all: self.scope == Scope::All,
            expected: self
                .expected
                .iter()
                .map(|place| (place.context_id.clone(), place.path.clone()))
                .collect(),
            baseline: self
                .baseline
                .iter()
                .filter(|identity| identity.direction == self.direction)
                .map(|identity| {
                    let Place { context_id, path } = identity.place.clone();
                    (context_id, path, identity.start)
                })
                .collect(),
        };
        let json = serde_json::to_vec(&written).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads what [`Sync::to_token`] wrote.
    pub fn from_token(token: &str) -> Result<Self, InvalidToken> {
        if token.len() > MAX_LENGTH {
            return Err(InvalidToken);
        }
        let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken)?;
        let written: Written = serde_json::from_slice(&json).map_err(|_| InvalidToken)?;
        let direction = Direction::from_agb(&written.direction).ok_or(InvalidToken)?;
        if written.version != VERSION || written.session_id.is_empty() {
            return Err(InvalidToken);
        }
        Ok(Self {
            session_id: written.session_id,
            direction,
            scope: if written.all {
                Scope::All
            } else {
                Scope::Expected
            },
            expected: written
                .expected
                .iter()
                .map(|(context_id, path)| Place::new(context_id.as_str(), path))
                .collect(),
            baseline: written
                .baseline
                .iter()
                .map(|(context_id, path, start)| Identity {
                    place: Place::new(context_id.as_str(), path),
                    direction,
                    start: *start,
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_the_whole_sync() {
        let place = Place::new("SdkCtx-1", "/tmp/ma\"pping ü");
        let sync = Sync {
            session_id: "s-1".to_owned(),
            direction: Direction::Upload,
            scope: Scope::All,
            expected: [place.clone()].into(),
            baseline: [Identity {
                place,
                direction: Direction::Upload,
                start: i64::MAX,
            }]
            .into(),
        };
        assert_eq!(Sync::from_token(&sync.to_token()), Ok(sync));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let of_another_version =
            URL_SAFE_NO_PAD.encode(r#"{"v":2,"s":"s","d":"upload","a":true,"e":[],"b":[]}"#);
        let without_session =
            URL_SAFE_NO_PAD.encode(r#"{"v":1,"s":"","d":"upload","a":true,"e":[],"b":[]}"#);
        let long = "A".repeat(MAX_LENGTH + 1);
        for token in [
            "",
            "e30",
            "not base64!",
            &of_another_version,
            &without_session,
            &long,
        ] {
            assert_eq!(Sync::from_token(token), Err(InvalidToken));
        }
    }
}
