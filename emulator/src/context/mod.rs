//! Contexts: named storage that outlives sessions.

mod blob;
#[expect(
    clippy::module_inception,
    reason = "one context, beside the store of all"
)]
mod context;
mod files;
mod phase;
mod recycle;
mod store;

pub(crate) use blob::{Blob, BlobStore};
pub(crate) use context::{Context, ContextSummary, FileChange};
pub(crate) use files::{FileEntry, StoredFile};
pub(crate) use phase::{Phase, UploadMode};
pub(crate) use recycle::RecycleRule;
pub(crate) use store::{Contexts, Keeper, RenameError};
