//! The ledger: which contexts there are, which blob each of their files has, and what signs their URLs, in one embedded database.
//!
//! A commit is all or nothing and on disk when it returns. It knows nothing of the blobs: whoever commits a file sees to it
//! that its blob is on disk before.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use redb::{
    Database, Key, ReadableDatabase, ReadableTable, TableDefinition, Value, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StorageError;
use super::record::{ContextRecord, FileRecord};

/// Format version by the name `format`.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Context id to [`ContextRecord`].
const CONTEXTS: TableDefinition<&str, &[u8]> = TableDefinition::new("contexts");
/// Context id and path to [`FileRecord`].
const FILES: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("files");
/// What only this emulator knows, by name.
const SECRETS: TableDefinition<&str, &[u8]> = TableDefinition::new("secrets");
const FORMAT: u64 = 1;
/// What the database may hold in memory, in bytes.
const CACHE: usize = 8 * 1024 * 1024;

/// Remembers contexts with their files and a few secrets, or nothing at all.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// `None` when it keeps nothing, or no longer does.
    open: RwLock<Option<Open>>,
    remembers: bool,
}

#[derive(Debug)]
struct Open {
    database: Database,
    _lock: File,
}

/// One change. A commit takes several.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    SaveContext(&'a str, ContextRecord),
    /// With all its files.
    DropContext(&'a str),
    PutFile(&'a str, &'a str, FileRecord),
    RemoveFile(&'a str, &'a str),
    RemoveFiles(&'a str),
}

/// Everything that was remembered.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// By id.
    pub(crate) contexts: Vec<(String, ContextRecord)>,
    /// By context id and path, sorted.
    pub(crate) files: Vec<(String, String, FileRecord)>,
}

impl Ledger {
    /// Keeps nothing.
    pub(crate) fn forgetful() -> Self {
        Self {
            open: RwLock::new(None),
            remembers: false,
        }
    }

    /// Opens the database, and holds the lock for as long as it is open.
    pub(super) fn open(path: &Path, lock: File) -> Result<Self, StorageError> {
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create(path)
            .map_err(unreadable)?;
        let format = check_format(&database).map_err(unreadable)?;
        if format != FORMAT {
            return Err(StorageError::Ledger(format!(
                "it has format {format}, and this program knows format {FORMAT}"
            )));
        }
        Ok(Self {
            open: RwLock::new(Some(Open {
                database,
                _lock: lock,
            })),
            remembers: true,
        })
    }

    /// Whether what is committed survives the process.
    pub(crate) fn remembers(&self) -> bool {
        self.remembers
    }

    pub(crate) fn load(&self) -> Result<Saved, StorageError> {
        match &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(Saved::default()),
            Some(open) => {
                load(&open.database).map_err(|error| StorageError::Ledger(error.to_string()))
            }
        }
    }

    /// The secret of that name; `fresh` becomes it when there is none yet. Blocking.
    pub(crate) fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, StorageError> {
        match &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(fresh),
            Some(open) => keep_secret(&open.database, name, fresh).map_err(unreadable),
        }
    }

    /// Writes all the entries down, or none. Blocking.
    pub(crate) fn commit<'a>(
        &self,
        entries: impl IntoIterator<Item = Entry<'a>>,
    ) -> io::Result<()> {
        if !self.remembers {
            return Ok(());
        }
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let open = open
            .as_ref()
            .ok_or_else(|| io::Error::other("the emulator has stopped"))?;
        let transaction = open.database.begin_write().map_err(io::Error::other)?;
        for entry in entries {
            write(&transaction, entry).map_err(io::Error::other)?;
        }
        transaction.commit().map_err(io::Error::other)
    }

    /// Takes no more commits, and lets another process have the data. Waits for the commit that is at work.
    pub(crate) fn close(&self) {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn check_format(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let format = {
        let mut meta = transaction.open_table(META)?;
        let known = meta.get("format")?.map(|format| format.value());
        if let Some(format) = known {
            format
        } else {
            meta.insert("format", FORMAT)?;
            FORMAT
        }
    };
    transaction.open_table(CONTEXTS)?;
    transaction.open_table(FILES)?;
    transaction.commit()?;
    Ok(format)
}

fn keep_secret(database: &Database, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, redb::Error> {
    let transaction = database.begin_write()?;
    let secret = {
        let mut secrets = transaction.open_table(SECRETS)?;
        let kept = secrets.get(name)?.map(|kept| kept.value().to_vec());
        if let Some(kept) = kept {
            kept
        } else {
            secrets.insert(name, fresh.as_slice())?;
            fresh
        }
    };
    transaction.commit()?;
    Ok(secret)
}

fn load(database: &Database) -> Result<Saved, Box<dyn std::error::Error>> {
    let transaction = database.begin_read()?;
    let mut saved = Saved::default();
    for entry in transaction.open_table(CONTEXTS)?.iter()? {
        let (id, record) = entry?;
        saved
            .contexts
            .push((id.value().to_owned(), decode(record.value())?));
    }
    for entry in transaction.open_table(FILES)?.iter()? {
        let (key, record) = entry?;
        let (context, path) = key.value();
        saved
            .files
            .push((context.to_owned(), path.to_owned(), decode(record.value())?));
    }
    Ok(saved)
}

fn write(transaction: &WriteTransaction, entry: Entry<'_>) -> Result<(), redb::Error> {
    match entry {
        Entry::SaveContext(id, record) => insert(transaction, CONTEXTS, id, &record),
        Entry::DropContext(id) => {
            transaction.open_table(CONTEXTS)?.remove(id)?;
            remove_files(transaction, id)
        }
        Entry::PutFile(context, path, record) => {
            insert(transaction, FILES, (context, path), &record)
        }
        Entry::RemoveFile(context, path) => {
            transaction.open_table(FILES)?.remove((context, path))?;
            Ok(())
        }
        Entry::RemoveFiles(context) => remove_files(transaction, context),
    }
}

fn insert<K: Key + 'static>(
    transaction: &WriteTransaction,
    table: TableDefinition<'_, K, &'static [u8]>,
    key: <K as Value>::SelfType<'_>,
    record: &impl Serialize,
) -> Result<(), redb::Error> {
    let bytes =
        serde_json::to_vec(record).map_err(|error| redb::Error::Io(io::Error::other(error)))?;
    transaction
        .open_table(table)?
        .insert(key, bytes.as_slice())?;
    Ok(())
}

fn remove_files(transaction: &WriteTransaction, context: &str) -> Result<(), redb::Error> {
    let mut files = transaction.open_table(FILES)?;
    // An id is plain ASCII: its successor ends the range.
    let end = format!("{context}\0");
    files.retain_in((context, "")..(end.as_str(), ""), |_, _| false)?;
    Ok(())
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes)
}

fn unreadable(error: impl Into<redb::Error>) -> StorageError {
    StorageError::Ledger(error.into().to_string())
}
