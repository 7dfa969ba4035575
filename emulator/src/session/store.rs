//! All sessions that can still be asked about, in the order in which they were made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::state::{Session, SessionStatus};
use crate::owner::OwnerId;

/// The sessions of one emulator.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_number: u64,
    by_number: BTreeMap<u64, Arc<Session>>,
    numbers: BTreeMap<String, u64>,
}

impl Sessions {
    pub(crate) fn insert(&self, session: Arc<Session>) {
        let mut table = self.lock();
        let number = table.next_number;
        table.next_number += 1;
        table.numbers.insert(session.id.clone(), number);
        table.by_number.insert(number, session);
    }

    pub(crate) fn remove(&self, id: &str) {
        let mut table = self.lock();
        let session = table
            .numbers
            .remove(id)
            .and_then(|number| table.by_number.remove(&number));
        drop(table);
        drop(session);
    }

    pub(crate) fn get(&self, owner: OwnerId, id: &str) -> Option<Arc<Session>> {
        self.any(id).filter(|session| session.owner == owner)
    }

    /// A session whoever owns it.
    pub(crate) fn any(&self, id: &str) -> Option<Arc<Session>> {
        let table = self.lock();
        table
            .numbers
            .get(id)
            .and_then(|number| table.by_number.get(number))
            .map(Arc::clone)
    }

    /// All of them, oldest first, whoever owns them.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().by_number.values().map(Arc::clone).collect()
    }

    /// How many have not finished yet, whoever owns them.
    pub(crate) fn alive(&self) -> usize {
        self.lock()
            .by_number
            .values()
            .filter(|session| session.status() < SessionStatus::Finished)
            .count()
    }

    /// The wanted sessions of an owner from the given number on, at most `most`; the number to go on with; and how
    /// many there are in all.
    pub(crate) fn page(
        &self,
        owner: OwnerId,
        wanted: impl Fn(&Session) -> bool,
        from: u64,
        most: usize,
    ) -> (Vec<Arc<Session>>, Option<u64>, usize) {
        let table = self.lock();
        let wanted =
            |(_, session): &(&u64, &Arc<Session>)| session.owner == owner && wanted(session);
        let total = table.by_number.iter().filter(&wanted).count();
        let mut rest = table.by_number.range(from..).filter(&wanted);
        let page = rest
            .by_ref()
            .take(most)
            .map(|(_, session)| Arc::clone(session))
            .collect();
        (page, rest.next().map(|(number, _)| *number), total)
    }

    /// Ends the commands of every session, whoever owns it, and lets no more begin.
    pub(crate) async fn end_commands(&self) {
        let sessions = self.all();
        for session in &sessions {
            session.advance(SessionStatus::Deleting);
        }
        for session in sessions {
            drop(session.in_use.write().await);
            session.machine.end().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
