//! Sessions: isolated Linux environments.

use secrecy::SecretString;

/// An isolated Linux environment.
#[derive(Clone, Debug)]
pub struct Session {
    /// AGB's id.
    pub id: String,
    /// The state, where AGB tells a word that is known.
    pub state: Option<SessionState>,
    /// AGB's page for people to watch the session: lets in who holds it.
    pub resource_url: SecretString,
    /// AGB's id of the instance.
    pub app_instance_id: String,
    /// AGB's id of the machine.
    pub resource_id: String,
}

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Ready for calls.
    Running,
    /// Ending.
    Deleting,
    /// Ended.
    Deleted,
}

impl SessionState {
    /// Reads AGB's word; `None` for a word that is not known.
    ///
    /// `FINISH` is AGB's word for a session that has been released.
    pub fn from_agb(word: &str) -> Option<Self> {
        match word {
            "RUNNING" => Some(Self::Running),
            "DELETING" => Some(Self::Deleting),
            "DELETED" | "FINISH" => Some(Self::Deleted),
            _ => None,
        }
    }
}
