//! The bytes of stored files, each in a file of its own that lives as long as someone holds it or the ledger names it.
//!
//! A reader that took a blob keeps it whole, whatever happens to the context meanwhile.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::syncfs;

use crate::ids;

/// Up to this many blobs are brought to the disk one by one; of more, the whole file system is.
const FEW: usize = 16;

/// Where blobs are kept.
#[derive(Debug, Clone)]
pub(crate) struct BlobStore {
    folder: PathBuf,
}

/// The bytes of one file. They never change, and go away with the last holder, unless they are kept.
#[derive(Debug)]
pub(crate) struct Blob {
    file: PathBuf,
    size: u64,
    /// Whether the ledger names it: then it outlives the process.
    kept: AtomicBool,
}

impl BlobStore {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Copies everything that `source` yields. Blocking.
    pub(crate) fn write(&self, source: &mut impl Read) -> io::Result<Arc<Blob>> {
        self.write_with(|target| io::copy(source, target).map(drop))
    }

    /// Makes a blob of what `fill` writes; of nothing, when that fails. Blocking.
    pub(crate) fn write_with(
        &self,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Arc<Blob>> {
        let mut blob = Blob {
            file: self.folder.join(ids::file_name()),
            size: 0,
            kept: AtomicBool::new(false),
        };
        let mut target = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&blob.file)?;
        fill(&mut target)?;
        blob.size = target.metadata()?.len();
        Ok(Arc::new(blob))
    }

    /// Brings the blobs to the disk, so that the ledger may name them. Blocking.
    pub(crate) fn settle(&self, blobs: &[Arc<Blob>]) -> io::Result<()> {
        let folder = File::open(&self.folder)?;
        if blobs.len() > FEW {
            return Ok(syncfs(&folder)?);
        }
        for blob in blobs {
            blob.open()?.sync_all()?;
        }
        folder.sync_all()
    }

    /// A blob that the ledger names.
    pub(crate) fn adopt(&self, name: &str, size: u64) -> io::Result<Arc<Blob>> {
        let file = self.folder.join(name);
        let found = fs::metadata(&file)?.len();
        if found != size {
            return Err(io::Error::other(format!(
                "a blob of {size} bytes has {found}"
            )));
        }
        Ok(Arc::new(Blob {
            file,
            size,
            kept: AtomicBool::new(true),
        }))
    }

    /// Removes every blob but these: what a sudden end left behind.
    pub(crate) fn sweep(&self, named: &HashSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let known = entry
                .file_name()
                .to_str()
                .is_some_and(|name| named.contains(name));
            if !known {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Blob {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn name(&self) -> &str {
        self.file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// Opens the bytes for reading. Blocking.
    pub(crate) fn open(&self) -> io::Result<File> {
        File::open(&self.file)
    }

    /// Tells whether the ledger names the blob.
    pub(super) fn keep(&self, kept: bool) {
        self.kept.store(kept, Ordering::Relaxed);
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            // Nobody can need it any more; what cannot be removed now is swept at the next start.
            let _ = fs::remove_file(&self.file);
        }
    }
}
