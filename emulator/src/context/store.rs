//! All contexts, and who owns which. A name belongs to one context per owner and region.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blob::BlobStore;
use super::context::Context;
use super::files::StoredFile;
use super::phase::Phase;
use crate::clock::Clock;
use crate::ids;
use crate::owner::OwnerId;
use crate::path::AbsolutePath;
use crate::storage::{Ledger, StorageError};

/// Where the contexts of sessions themselves are; they are not listed.
const INTERNAL_REGION: &str = "agb-emulator-internal";

/// What every context needs to keep its files and to know the time.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) ledger: Ledger,
    pub(crate) blobs: BlobStore,
    pub(crate) clock: Clock,
}

/// The contexts of one emulator, in the order in which they were made.
#[derive(Debug)]
pub(crate) struct Contexts {
    keeper: Arc<Keeper>,
    /// Held by whoever makes, renames or deletes one; the table itself is held only for a moment.
    writing: Mutex<()>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_number: u64,
    by_number: BTreeMap<u64, Arc<Context>>,
}

/// Why a context could not be renamed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenameError {
    #[error("not found")]
    NotFound,
    #[error("the name is taken")]
    NameTaken,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Contexts {
    /// The contexts that the ledger remembers, each with all its files. A clear that was cut off is finished. Blocking.
    pub(crate) fn open(keeper: Keeper) -> Result<Self, StorageError> {
        let keeper = Arc::new(keeper);
        let saved = keeper.ledger.load()?;
        let mut table = Table::default();
        let mut by_id = HashMap::new();
        for (id, record) in saved.contexts {
            let context = Arc::new(Context::restore(&keeper, id.clone(), record));
            table.next_number = table.next_number.max(context.number + 1);
            table.by_number.insert(context.number, Arc::clone(&context));
            by_id.insert(id, context);
        }
        let mut named = HashSet::new();
        for (context, path, record) in saved.files {
            let damaged =
                |reason: String| StorageError::Ledger(format!("{context} {path}: {reason}"));
            let context = by_id
                .get(&context)
                .ok_or_else(|| damaged("there is no such context".to_owned()))?;
            let path = AbsolutePath::parse(&path).map_err(|error| damaged(error.to_string()))?;
            let blob = keeper
                .blobs
                .adopt(&record.blob, record.size)
                .map_err(|error| damaged(error.to_string()))?;
            named.insert(record.blob);
            let file = StoredFile {
                id: record.id,
                blob,
                mode: record.mode,
                created_ms: record.created_ms,
                modified_ms: record.modified_ms,
                packed: record.packed,
            };
            context.files.switch(vec![(path, Some(file))]);
        }
        keeper.blobs.sweep(&named)?;
        // Their sessions have ended with the process.
        for (_, context) in table
            .by_number
            .extract_if(.., |_, context| context.region == INTERNAL_REGION)
        {
            context.delete()?;
        }
        for context in table.by_number.values() {
            if context.summary().phase == Phase::Clearing {
                context.finish_clearing()?;
                context.set_phase(Phase::Available);
            }
        }
        Ok(Self {
            keeper,
            writing: Mutex::default(),
            table: Mutex::new(table),
        })
    }

    pub(crate) fn by_id(&self, owner: OwnerId, id: &str) -> Option<Arc<Context>> {
        self.lock()
            .find(|context| context.owner == owner && context.id == id)
    }

    /// A context whoever owns it.
    pub(crate) fn any(&self, id: &str) -> Option<Arc<Context>> {
        self.lock().find(|context| context.id == id)
    }

    pub(crate) fn by_name(&self, owner: OwnerId, region: &str, name: &str) -> Option<Arc<Context>> {
        self.lock().named(owner, region, name)
    }

    /// All contexts, whoever owns them.
    pub(crate) fn all(&self) -> Vec<Arc<Context>> {
        self.lock().by_number.values().map(Arc::clone).collect()
    }

    /// Blocking.
    pub(crate) fn get_or_create(
        &self,
        owner: OwnerId,
        region: &str,
        name: &str,
    ) -> io::Result<Arc<Context>> {
        let _turn = self.turn();
        let number = {
            let table = self.lock();
            if let Some(context) = table.named(owner, region, name) {
                return Ok(context);
            }
            table.next_number
        };
        let id = ids::context_id();
        let context = Arc::new(Context::new(
            &self.keeper,
            id,
            number,
            (owner, region, name),
        ));
        context.save()?;
        let mut table = self.lock();
        table.next_number = number + 1;
        table.by_number.insert(number, Arc::clone(&context));
        Ok(context)
    }

    /// A context that a session brings along itself: it is found by its id only.
    /// Blocking.
    pub(crate) fn internal(&self, owner: OwnerId, name: &str) -> io::Result<Arc<Context>> {
        self.get_or_create(owner, INTERNAL_REGION, name)
    }

    /// The owner's contexts from the given number on, at most `most`; the number to go on with; and how
    /// many there are in all.
    pub(crate) fn page(
        &self,
        owner: OwnerId,
        from: u64,
        most: usize,
    ) -> (Vec<Arc<Context>>, Option<u64>, usize) {
        let table = self.lock();
        let of_owner = |(_, context): &(&u64, &Arc<Context>)| {
            context.owner == owner && context.region != INTERNAL_REGION
        };
        let total = table.by_number.iter().filter(of_owner).count();
        let mut rest = table.by_number.range(from..).filter(of_owner);
        let page = rest
            .by_ref()
            .take(most)
            .map(|(_, context)| Arc::clone(context))
            .collect();
        (page, rest.next().map(|(number, _)| *number), total)
    }

    /// Blocking.
    pub(crate) fn rename(&self, owner: OwnerId, id: &str, name: &str) -> Result<(), RenameError> {
        let _turn = self.turn();
        let context = self.by_id(owner, id).ok_or(RenameError::NotFound)?;
        match self.by_name(owner, &context.region, name) {
            Some(other) if other.id != id => Err(RenameError::NameTaken),
            _ => Ok(context.rename(name)?),
        }
    }

    /// Takes the context out with all its files; false when there is none. Blocking.
    pub(crate) fn delete(&self, owner: OwnerId, id: &str) -> io::Result<bool> {
        let _turn = self.turn();
        let Some(context) = self.by_id(owner, id) else {
            return Ok(false);
        };
        context.delete()?;
        self.lock().by_number.remove(&context.number);
        Ok(true)
    }

    /// Changes nothing any more, and lets another process have the data. Blocking.
    pub(crate) fn close(&self) {
        self.keeper.ledger.close();
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes all of them, whoever owns them. Blocking.
    pub(crate) fn delete_all(&self) -> io::Result<()> {
        self.all()
            .iter()
            .try_for_each(|context| self.delete(context.owner, &context.id).map(drop))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn find(&self, wanted: impl Fn(&Context) -> bool) -> Option<Arc<Context>> {
        self.by_number
            .values()
            .find(|context| wanted(context))
            .map(Arc::clone)
    }

    fn named(&self, owner: OwnerId, region: &str, name: &str) -> Option<Arc<Context>> {
        self.find(|context| {
            context.owner == owner && context.region == region && context.is_named(name)
        })
    }
}
