//! Where an emulator keeps what it has on disk: a temporary folder, or a data directory that outlives it.
//!
//! The folder holds `sessions` (their worlds, which end with the process), `blobs` (the bytes of stored files) and,
//! in a data directory, `state.redb` (the ledger) and `lock`. What the files mean is the contexts' business.

mod ledger;
mod record;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(crate) use self::ledger::{Entry, Ledger};
pub(crate) use self::record::{ContextRecord, FileRecord};
use crate::ids;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error("another emulator uses it")]
    InUse,
    #[error("its state cannot be read: {0}")]
    Ledger(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The folder of one emulator. A temporary one is removed with it; of a data directory, only the sessions.
#[derive(Debug)]
pub(crate) struct Storage {
    folder: PathBuf,
    temporary: Option<TempDir>,
}

impl Storage {
    /// Makes or opens the folder. With a data directory, the ledger remembers; without, it keeps nothing. Blocking.
    pub(crate) fn open(data_dir: Option<&Path>) -> Result<(Self, Ledger), StorageError> {
        let Some(data_dir) = data_dir else {
            let temporary = tempfile::Builder::new().prefix("agb-emulator-").tempdir()?;
            let storage = Self {
                folder: temporary.path().to_owned(),
                temporary: Some(temporary),
            };
            storage.make_folders()?;
            return Ok((storage, Ledger::forgetful()));
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)?;
        let lock = lock(&data_dir.join("lock"))?;
        let storage = Self {
            folder: data_dir.canonicalize()?,
            temporary: None,
        };
        storage.make_folders()?;
        let ledger = Ledger::open(&storage.folder.join("state.redb"), lock)?;
        Ok((storage, ledger))
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.folder.join("sessions")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.folder.join("blobs")
    }

    fn make_folders(&self) -> io::Result<()> {
        // Sessions that a sudden end left behind. What they made so that it cannot be removed is no reason not to start.
        if let Err(error) = remove_all(&self.sessions()) {
            let aside = self.folder.join(format!("left-{}", ids::file_name()));
            tracing::warn!(%error, aside = %aside.display(), "old sessions were not removed");
            fs::rename(self.sessions(), aside)?;
        }
        fs::create_dir(self.sessions())?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.blobs())
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if self.temporary.is_none() {
            // What cannot be removed now is removed at the next start.
            let _ = remove_all(&self.sessions());
        }
    }
}

fn lock(path: &Path) -> Result<File, StorageError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::InUse),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
