//! Contexts: named storage that outlives sessions.

mod blob;
mod files;
mod store;

pub(crate) use blob::{Blob, BlobStore};
pub(crate) use files::{FileEntry, StoredFile};
pub(crate) use store::{Context, ContextSummary, Contexts, Phase, RenameError};
