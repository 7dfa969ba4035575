//! All contexts, and who owns which. A name belongs to one context per owner and region.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::ContextFiles;
use crate::clock;
use crate::ids;
use crate::owner::OwnerId;

/// Where the contexts of sessions themselves are; they are not listed.
const INTERNAL_REGION: &str = "agb-emulator-internal";

/// How a context stands, in the order in which a clear goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Available,
    Clearing,
    PreAvailable,
}

impl Phase {
    /// AGB's `state`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Clearing => "clearing",
            Self::PreAvailable => "pre-available",
        }
    }
}

/// One context. It may outlive its deletion in the hands of a session; it takes no files then.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) id: String,
    pub(crate) files: ContextFiles,
    owner: OwnerId,
    region: String,
    created_ms: i64,
    changing: Mutex<Changing>,
}

#[derive(Debug)]
struct Changing {
    name: String,
    last_used_ms: i64,
    phase: Phase,
    deleted: bool,
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

impl Context {
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

    pub(crate) fn touch(&self) {
        self.lock().last_used_ms = clock::now_ms();
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// Moves to `clearing`; false when the context is not available for it.
    pub(crate) fn begin_clearing(&self) -> bool {
        let mut changing = self.lock();
        let available = changing.phase == Phase::Available;
        if available {
            changing.phase = Phase::Clearing;
        }
        available
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.lock().deleted
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The contexts of one emulator, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_number: u64,
    by_number: BTreeMap<u64, Arc<Context>>,
}

/// Why a context could not be renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenameError {
    NotFound,
    NameTaken,
}

impl Contexts {
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

    pub(crate) fn get_or_create(&self, owner: OwnerId, region: &str, name: &str) -> Arc<Context> {
        let mut table = self.lock();
        if let Some(context) = table.named(owner, region, name) {
            return context;
        }
        let now = clock::now_ms();
        let context = Arc::new(Context {
            id: ids::context_id(),
            files: ContextFiles::default(),
            owner,
            region: region.to_owned(),
            created_ms: now,
            changing: Mutex::new(Changing {
                name: name.to_owned(),
                last_used_ms: now,
                phase: Phase::Available,
                deleted: false,
            }),
        });
        let number = table.next_number;
        table.next_number += 1;
        table.by_number.insert(number, Arc::clone(&context));
        context
    }

    /// A context that a session brings along itself: it is found by its id only.
    pub(crate) fn internal(&self, owner: OwnerId, name: &str) -> Arc<Context> {
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

    pub(crate) fn rename(&self, owner: OwnerId, id: &str, name: &str) -> Result<(), RenameError> {
        let table = self.lock();
        let context = table
            .find(|context| context.owner == owner && context.id == id)
            .ok_or(RenameError::NotFound)?;
        match table.named(owner, &context.region, name) {
            Some(other) if other.id != id => Err(RenameError::NameTaken),
            _ => {
                name.clone_into(&mut context.lock().name);
                Ok(())
            }
        }
    }

    /// Takes the context out and returns it, so that its files can be removed where blocking is allowed.
    pub(crate) fn delete(&self, owner: OwnerId, id: &str) -> Option<Arc<Context>> {
        let mut table = self.lock();
        let number = table
            .by_number
            .iter()
            .find(|(_, context)| context.owner == owner && context.id == id)
            .map(|(number, _)| *number)?;
        let context = table.by_number.remove(&number)?;
        context.lock().deleted = true;
        Some(context)
    }

    /// All of them, oldest first, whoever owns them.
    pub(crate) fn all(&self) -> Vec<Arc<Context>> {
        self.lock().by_number.values().map(Arc::clone).collect()
    }

    /// Takes all of them out, whoever owns them, as [`Contexts::delete`] does with one.
    pub(crate) fn delete_all(&self) -> Vec<Arc<Context>> {
        let mut table = self.lock();
        let deleted = std::mem::take(&mut table.by_number);
        for context in deleted.values() {
            context.lock().deleted = true;
        }
        deleted.into_values().collect()
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
            context.owner == owner && context.region == region && context.lock().name == name
        })
    }
}
