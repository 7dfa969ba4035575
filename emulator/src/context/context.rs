//! One context: its name, its phase, and every change of its files.
//!
//! A change is written down in the ledger first and shown after, so that nobody sees what a sudden end could take
//! back. Whatever changes something blocks.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blob::Blob;
use super::files::{ContextFiles, StoredFile};
use super::phase::{Phase, UploadMode};
use super::recycle::RecycleRule;
use super::store::Keeper;
use crate::ids;
use crate::owner::OwnerId;
use crate::path::AbsolutePath;
use crate::storage::{ContextRecord, Entry, FileRecord};

/// One context. It may outlive its deletion in the hands of a session; it takes no files then.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) id: String,
    pub(crate) files: ContextFiles,
    pub(super) owner: OwnerId,
    pub(super) region: String,
    pub(super) number: u64,
    created_ms: i64,
    keeper: Arc<Keeper>,
    /// Held by whoever changes something, from the ledger to what everyone sees.
    writing: Mutex<()>,
    packing: Mutex<()>,
    changing: Mutex<Changing>,
}

#[derive(Debug, Clone)]
struct Changing {
    name: String,
    last_used_ms: i64,
    phase: Phase,
    deleted: bool,
    upload_mode: Option<UploadMode>,
}

/// What callers are told about a context.
#[derive(Debug, Clone)]
pub(crate) struct ContextSummary {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_ms: i64,
    pub(crate) last_used_ms: i64,
    pub(crate) phase: Phase,
}

/// What happens to one file.
#[derive(Debug)]
pub(crate) enum FileChange {
    /// It gets these bytes, whatever it had.
    Put {
        path: AbsolutePath,
        blob: Arc<Blob>,
        mode: u32,
        /// See [`StoredFile::packed`].
        packed: Option<u64>,
    },
    Remove(AbsolutePath),
}

impl Context {
    pub(super) fn new(
        keeper: &Arc<Keeper>,
        id: String,
        number: u64,
        (owner, region, name): (OwnerId, &str, &str),
    ) -> Self {
        let now = keeper.clock.now_ms();
        let record = ContextRecord {
            number,
            owner,
            region: region.to_owned(),
            name: name.to_owned(),
            created_ms: now,
            last_used_ms: now,
            clearing: false,
            upload_mode: None,
            recycling: Vec::new(),
        };
        Self::restore(keeper, id, record)
    }

    /// The context of a record, still without files.
    pub(super) fn restore(keeper: &Arc<Keeper>, id: String, record: ContextRecord) -> Self {
        let files = ContextFiles::new(keeper.clock.clone());
        files.set_recycling(record.recycling);
        Self {
            id,
            files,
            owner: record.owner,
            region: record.region,
            number: record.number,
            created_ms: record.created_ms,
            keeper: Arc::clone(keeper),
            writing: Mutex::default(),
            packing: Mutex::default(),
            changing: Mutex::new(Changing {
                name: record.name,
                last_used_ms: record.last_used_ms,
                phase: if record.clearing {
                    Phase::Clearing
                } else {
                    Phase::Available
                },
                deleted: false,
                upload_mode: record.upload_mode,
            }),
        }
    }

    pub(crate) fn summary(&self) -> ContextSummary {
        let changing = self.lock();
        ContextSummary {
            id: self.id.clone(),
            name: changing.name.clone(),
            created_ms: self.created_ms,
            last_used_ms: changing.last_used_ms,
            phase: changing.phase,
        }
    }

    pub(crate) fn owner(&self) -> OwnerId {
        self.owner
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Notes a use. It is written down with the next change.
    pub(crate) fn touch(&self) {
        self.lock().last_used_ms = self.keeper.clock.now_ms();
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.lock().deleted
    }

    /// How uploads are kept.
    pub(crate) fn upload_mode(&self) -> UploadMode {
        self.lock().upload_mode.unwrap_or(UploadMode::File)
    }

    /// Held by whoever makes a new archive out of a stored one. Blocking.
    pub(crate) fn packing(&self) -> MutexGuard<'_, ()> {
        self.packing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a session uses it: the first use fixes the upload mode, the latest one says how long the files
    /// below its original path stay (`None`: for ever).
    pub(crate) fn begin_use(
        &self,
        mode: UploadMode,
        original: &AbsolutePath,
        rule: Option<RecycleRule>,
    ) -> io::Result<()> {
        let _turn = self.turn();
        if self.is_deleted() {
            return Err(io::Error::other("the context does not exist any more"));
        }
        self.touch();
        {
            let mut changing = self.lock();
            let fixed = *changing.upload_mode.get_or_insert(mode);
            if fixed != mode {
                tracing::warn!(context = self.id, ?fixed, asked = ?mode, "the upload mode stays as it was first chosen");
            }
        }
        let mut rules = self.files.recycling();
        rules.retain(|rule| rule.original != *original);
        rules.extend(rule);
        self.files.set_recycling(rules);
        self.keeper.ledger.commit([self.saved()])
    }

    /// Changes files, all at once. Refused for a context that is deleted or being cleared.
    pub(crate) fn apply(&self, changes: Vec<FileChange>) -> io::Result<()> {
        let _turn = self.turn();
        self.apply_in_turn(changes)
    }

    /// Stores the bytes under the path, in place of what was there.
    pub(crate) fn put(&self, path: AbsolutePath, blob: Arc<Blob>, mode: u32) -> io::Result<()> {
        self.apply(vec![FileChange::Put {
            path,
            blob,
            mode,
            packed: None,
        }])
    }

    /// Removes a file; false when there was none.
    pub(crate) fn remove(&self, path: &AbsolutePath) -> io::Result<bool> {
        let _turn = self.turn();
        if self.files.get(path).is_none() {
            return Ok(false);
        }
        self.apply_in_turn(vec![FileChange::Remove(path.clone())])?;
        Ok(true)
    }

    /// Removes the files that have had their time. Returns how many.
    pub(crate) fn recycle(&self) -> io::Result<usize> {
        let _turn = self.turn();
        let over = self.files.past_their_time();
        if over.is_empty() || self.check_open().is_err() {
            return Ok(0);
        }
        let count = over.len();
        self.apply_in_turn(over.into_iter().map(FileChange::Remove).collect())?;
        Ok(count)
    }

    /// Moves to `clearing`; false when the context is not available for it.
    pub(crate) fn begin_clearing(&self) -> io::Result<bool> {
        let _turn = self.turn();
        if self.check_open().is_err() {
            return Ok(false);
        }
        self.set_phase(Phase::Clearing);
        let saved = self.keeper.ledger.commit([self.saved()]);
        if saved.is_err() {
            self.set_phase(Phase::Available);
        }
        saved.map(|()| true)
    }

    /// Removes all files and moves on to `pre-available`.
    pub(crate) fn finish_clearing(&self) -> io::Result<()> {
        let _turn = self.turn();
        self.set_phase(Phase::PreAvailable);
        if !self.is_deleted() {
            self.keeper
                .ledger
                .commit([Entry::RemoveFiles(&self.id), self.saved()])?;
        }
        release(self.files.take_all());
        Ok(())
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    pub(super) fn rename(&self, name: &str) -> io::Result<()> {
        let _turn = self.turn();
        let mut record = self.record();
        name.clone_into(&mut record.name);
        self.keeper
            .ledger
            .commit([Entry::SaveContext(&self.id, record)])?;
        name.clone_into(&mut self.lock().name);
        Ok(())
    }

    /// Takes the context out of the ledger and removes its files.
    pub(super) fn delete(&self) -> io::Result<()> {
        let _turn = self.turn();
        self.keeper.ledger.commit([Entry::DropContext(&self.id)])?;
        self.lock().deleted = true;
        release(self.files.take_all());
        Ok(())
    }

    pub(super) fn save(&self) -> io::Result<()> {
        self.keeper.ledger.commit([self.saved()])
    }

    /// Whether it bears this name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.lock().name == name
    }

    fn apply_in_turn(&self, changes: Vec<FileChange>) -> io::Result<()> {
        self.check_open()?;
        let now = self.keeper.clock.now_ms();
        let switched: Vec<_> = changes
            .into_iter()
            .map(|change| self.switched(change, now))
            .collect();
        let remembers = self.keeper.ledger.remembers();
        if remembers {
            let new: Vec<_> = switched
                .iter()
                .filter_map(|(_, file)| Some(Arc::clone(&file.as_ref()?.blob)))
                .collect();
            if !new.is_empty() {
                self.keeper.blobs.settle(&new)?;
            }
            let entries = switched.iter().map(|(path, file)| match file {
                Some(file) => Entry::PutFile(&self.id, path.as_str(), file_record(file)),
                None => Entry::RemoveFile(&self.id, path.as_str()),
            });
            self.keeper.ledger.commit(entries.chain([self.saved()]))?;
            for blob in new {
                blob.keep(true);
            }
        }
        release(self.files.switch(switched));
        Ok(())
    }

    fn switched(&self, change: FileChange, now: i64) -> (AbsolutePath, Option<StoredFile>) {
        match change {
            FileChange::Remove(path) => (path, None),
            FileChange::Put {
                path,
                blob,
                mode,
                packed,
            } => {
                let before = self.files.get(&path);
                let (id, created_ms) = before.map_or_else(
                    || (ids::file_name(), now),
                    |before| (before.id, before.created_ms),
                );
                let file = StoredFile {
                    id,
                    blob,
                    mode,
                    created_ms,
                    modified_ms: now,
                    packed,
                };
                (path, Some(file))
            }
        }
    }

    fn check_open(&self) -> io::Result<()> {
        let changing = self.lock();
        if changing.deleted {
            return Err(io::Error::other("the context does not exist any more"));
        }
        if changing.phase != Phase::Available {
            return Err(io::Error::other("the context is being cleared"));
        }
        Ok(())
    }

    fn saved(&self) -> Entry<'_> {
        Entry::SaveContext(&self.id, self.record())
    }

    fn record(&self) -> ContextRecord {
        let changing = self.lock();
        ContextRecord {
            number: self.number,
            owner: self.owner,
            region: self.region.clone(),
            name: changing.name.clone(),
            created_ms: self.created_ms,
            last_used_ms: changing.last_used_ms,
            clearing: changing.phase == Phase::Clearing,
            upload_mode: changing.upload_mode,
            recycling: self.files.recycling(),
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file_record(file: &StoredFile) -> FileRecord {
    FileRecord {
        id: file.id.clone(),
        blob: file.blob.name().to_owned(),
        size: file.blob.size(),
        mode: file.mode,
        created_ms: file.created_ms,
        modified_ms: file.modified_ms,
        packed: file.packed,
    }
}

/// Lets go of files that the ledger does not name any more.
fn release(files: Vec<StoredFile>) {
    for file in files {
        file.blob.keep(false);
    }
}
