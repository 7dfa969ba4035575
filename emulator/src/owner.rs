//! Who owns what: every API key is an owner, and sees only what it made.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An owner, known without its key: by a digest of it, which is the same after a restart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct OwnerId(u128);

impl OwnerId {
    /// A number that stands for it where people look.
    pub(crate) fn number(self) -> usize {
        usize::try_from(self.0 >> 96).unwrap_or_default()
    }
}

/// Which keys are accepted, and the owner that each stands for. It cannot print its keys.
pub(crate) struct Owners {
    accepted: Vec<String>,
    /// Keys that were given out or taken back since; `None` for those taken back.
    changed: RwLock<HashMap<String, Option<OwnerId>>>,
}

impl Owners {
    /// Accepts the given keys only, or every key when there are none.
    pub(crate) fn new(accepted: Vec<String>) -> Self {
        Self {
            accepted,
            changed: RwLock::default(),
        }
    }

    /// Takes a key back, and gives its owner another one.
    pub(crate) fn rotate(&self, old: &str, new: &str) {
        let owner = self.of_key(old);
        let mut changed = self.changed.write().unwrap_or_else(PoisonError::into_inner);
        changed.insert(old.to_owned(), None);
        changed.insert(new.to_owned(), owner);
    }

    /// The owner for a key; `None` when the key is not accepted.
    pub(crate) fn of_key(&self, key: &str) -> Option<OwnerId> {
        let changed = self.changed.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = changed.get(key) {
            return *changed;
        }
        drop(changed);
        if key.is_empty()
            || !(self.accepted.is_empty() || self.accepted.iter().any(|accepted| accepted == key))
        {
            return None;
        }
        let digest = Sha256::digest(key.as_bytes());
        let half = digest.first_chunk()?;
        Some(OwnerId(u128::from_be_bytes(*half)))
    }
}

impl fmt::Debug for OwnerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl From<OwnerId> for String {
    fn from(owner: OwnerId) -> Self {
        format!("{:032x}", owner.0)
    }
}

impl TryFrom<String> for OwnerId {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_its_own_owner() {
        let owners = Owners::new(Vec::new());
        assert_eq!(owners.of_key("a"), owners.of_key("a"));
        assert_ne!(owners.of_key("a"), owners.of_key("b"));
        assert_eq!(owners.of_key(""), None);
    }

    #[test]
    fn with_keys_configured_others_are_refused() {
        let owners = Owners::new(vec!["a".to_owned()]);
        assert!(owners.of_key("a").is_some());
        assert_eq!(owners.of_key("b"), None);
    }

    #[test]
    fn a_rotated_key_leaves_its_owner_what_it_made() {
        let owners = Owners::new(Vec::new());
        let owner = owners.of_key("a");
        owners.rotate("a", "b");
        assert_eq!((owners.of_key("a"), owners.of_key("b")), (None, owner));
    }

    #[test]
    fn an_owner_is_written_and_read_back() {
        let owner = Owners::new(Vec::new()).of_key("a").unwrap();
        let text = serde_json::to_string(&owner).unwrap();
        assert_eq!(serde_json::from_str::<OwnerId>(&text).unwrap(), owner);
    }
}
