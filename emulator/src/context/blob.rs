//! The bytes of stored files, each in a file of its own that lives as long as someone holds it.
//!
//! A reader that took a blob keeps it whole, whatever happens to the context meanwhile.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crate::ids;

/// Where blobs are kept.
#[derive(Debug, Clone)]
pub(crate) struct BlobStore {
    folder: PathBuf,
}

/// The bytes of one file. They never change, and go away with the last holder.
#[derive(Debug)]
pub(crate) struct Blob {
    file: PathBuf,
    size: u64,
}

impl BlobStore {
    pub(crate) fn create(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir(&folder)?;
        Ok(Self { folder })
    }

    /// Copies everything that `source` yields. Blocking.
    pub(crate) fn write(&self, source: &mut impl Read) -> io::Result<Arc<Blob>> {
        let mut blob = Blob {
            file: self.folder.join(ids::file_name()),
            size: 0,
        };
        let mut target = File::create_new(&blob.file)?;
        blob.size = io::copy(source, &mut target)?;
        Ok(Arc::new(blob))
    }
}

impl Blob {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Opens the bytes for reading. Blocking.
    pub(crate) fn open(&self) -> io::Result<File> {
        File::open(&self.file)
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        // Nobody can need it any more; what cannot be removed goes with the whole folder.
        let _ = fs::remove_file(&self.file);
    }
}
