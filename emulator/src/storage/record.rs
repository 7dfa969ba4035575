//! What the ledger writes down, as JSON. A field that is added later needs a default.

use serde::{Deserialize, Serialize};

use crate::context::{RecycleRule, UploadMode};
use crate::owner::OwnerId;

/// A context without its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContextRecord {
    /// Its place among all contexts.
    pub(crate) number: u64,
    pub(crate) owner: OwnerId,
    pub(crate) region: String,
    pub(crate) name: String,
    pub(crate) created_ms: i64,
    pub(crate) last_used_ms: i64,
    /// It was asked to be cleared, and was not yet.
    #[serde(default)]
    pub(crate) clearing: bool,
    #[serde(default)]
    pub(crate) upload_mode: Option<UploadMode>,
    #[serde(default)]
    pub(crate) recycling: Vec<RecycleRule>,
}

/// A stored file. Its bytes lie in the blob of that name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    pub(crate) id: String,
    pub(crate) blob: String,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
    /// For an archive that a sync packed: how many bytes it holds, unpacked.
    #[serde(default)]
    pub(crate) packed: Option<u64>,
}
