//! Contexts: storage that outlives sessions.

use jiff::Timestamp;

/// Named storage that outlives sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// AGB's id.
    pub id: String,
    /// The name: unique under one AGB key and one region.
    pub name: String,
    /// The state, where AGB tells.
    pub state: Option<ContextState>,
    /// When it was created, where AGB tells.
    pub create_time: Option<Timestamp>,
    /// When it was last used, where AGB tells.
    pub last_used_time: Option<Timestamp>,
}

/// The state of a context, as far as the gateway knows AGB's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextState {
    /// Ready for use.
    Available,
    /// Its files are being deleted.
    Clearing,
    /// Cleared, and about to be available.
    PreAvailable,
    /// In use by a session.
    InUse,
}

impl ContextState {
    /// Reads AGB's word; `None` for a word that is not known.
    pub fn from_agb(word: &str) -> Option<Self> {
        match word {
            "available" => Some(Self::Available),
            "clearing" => Some(Self::Clearing),
            "pre-available" => Some(Self::PreAvailable),
            "in-use" => Some(Self::InUse),
            _ => None,
        }
    }
}
