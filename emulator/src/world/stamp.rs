//! What tells a file's states apart.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;

/// Tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A regular file of a session, open for reading.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) stamp: Stamp,
    pub(crate) mode: u32,
}

impl Stamp {
    /// Bytes.
    pub(crate) fn size(self) -> u64 {
        self.size
    }

    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
