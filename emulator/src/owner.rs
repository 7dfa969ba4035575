//! Who owns what: every API key is an owner, and sees only what it made.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// An owner, known without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OwnerId(usize);

impl OwnerId {
    /// Its number, in the order in which the owners first came.
    pub(crate) fn number(self) -> usize {
        self.0
    }
}

/// Which keys are accepted, and the owner that each stands for. It cannot print its keys.
pub(crate) struct Owners {
    accepted: Vec<String>,
    known: Mutex<HashMap<String, OwnerId>>,
}

impl Owners {
    /// Accepts the given keys only, or every key when there are none.
    pub(crate) fn new(accepted: Vec<String>) -> Self {
        Self {
            accepted,
            known: Mutex::default(),
        }
    }

    /// The owner for a key; `None` when the key is not accepted.
    pub(crate) fn of_key(&self, key: &str) -> Option<OwnerId> {
        if key.is_empty()
            || !(self.accepted.is_empty() || self.accepted.iter().any(|accepted| accepted == key))
        {
            return None;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let next = OwnerId(known.len());
        Some(*known.entry(key.to_owned()).or_insert(next))
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
}
