//! What a context can be: how it stands, and how it keeps what is uploaded.

use serde::{Deserialize, Serialize};

/// How a context stands, in the order in which a clear goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Available,
    Clearing,
    PreAvailable,
}

impl Phase {
    /// AGB's `state`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Clearing => "clearing",
            Self::PreAvailable => "pre-available",
        }
    }
}

/// How a context keeps what is uploaded. Chosen at its first use, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum UploadMode {
    /// Each file by itself.
    File,
    /// All files of a mount in one archive.
    Archive,
}
