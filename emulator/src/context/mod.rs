//! Contexts: named storage that outlives sessions.

mod blob;
#[expect(
    clippy::module_inception,
    reason = "one context, beside the store of all"
)]
mod context;
mod files;
mod recycle;
mod store;

pub(crate) use blob::{Blob, BlobStore};
pub(crate) use context::{Context, ContextSummary, FileChange, Phase, UploadMode};
pub(crate) use files::{FileEntry, StoredFile};
pub(crate) use recycle::RecycleRule;
pub(crate) use store::{Contexts, Keeper, RenameError};
