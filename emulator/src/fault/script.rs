//! The script of faults and its account.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::action::FaultAction;
use super::schedule::{Course, Schedule};
use crate::operation;

/// How many request ids the account of one fault remembers.
const REMEMBERED_REQUESTS: usize = 100;
/// How many faults [`Faults::schedule`] takes before some are cleared.
const MAX_FAULTS: usize = 1000;

/// How much of an unknown operation's name its refusal repeats.
const SHOWN_CHARACTERS: usize = 64;

/// One thing that shall go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The operation it strikes: the last segment of the path (`SyncContext`, `createSession`; `mcp` for a
    /// tool call); `StorageUpload` and `StorageDownload` for presigned URLs, `SessionLink` for a link into a session,
    /// `SessionSocket` for a session's web socket; or `*` for every operation.
    pub operation: String,
    /// How many times it strikes before it is spent.
    pub times: u32,
    /// What happens.
    pub action: FaultAction,
}

/// Names an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub(crate) u64);

/// The account of an injected fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultState {
    /// Its name.
    pub id: FaultId,
    /// What was asked for.
    pub fault: Fault,
    /// Which requests it was to strike.
    pub schedule: Schedule,
    /// How often it struck.
    pub fired: u32,
    /// The request ids it struck, the last hundred at most.
    pub requests: Vec<String>,
}

/// Why a fault was not taken into the script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct InvalidFault {
    /// The field that is wrong, such as `action.status`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The faults of one emulator. Clones share the same script.
///
/// Each request takes its faults in the order in which they were injected. One fault at most decides what the
/// caller is told, and one at most cuts the answer; those that come after it wait for the next request, and are not
/// counted.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    next_id: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: FaultId,
    fault: Fault,
    course: Course,
    fired: u32,
    requests: Vec<String>,
}

impl InvalidFault {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

impl Faults {
    /// Adds a fault that strikes the next requests of its operation. It is not checked: what cannot be carried out
    /// of it (a status that is none, a header that is none) is left out.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.lock().add(fault, Schedule::default())
    }

    /// Adds a fault that strikes by the schedule. Refuses one that cannot be carried out, or whose operation is not known.
    pub fn schedule(&self, fault: Fault, schedule: Schedule) -> Result<FaultId, InvalidFault> {
        check_operation(&fault.operation)?;
        if fault.times == 0 {
            return Err(InvalidFault::new("times", "must be at least 1"));
        }
        if !(0.0..=1.0).contains(&schedule.probability) {
            return Err(InvalidFault::new("probability", "must be from 0 to 1"));
        }
        fault.action.check()?;
        let mut script = self.lock();
        if script.entries.len() >= MAX_FAULTS {
            let problem = format!("cannot be added: there are {MAX_FAULTS} faults; clear some");
            return Err(InvalidFault::new("fault", problem));
        }
        Ok(script.add(fault, schedule))
    }

    /// How often the fault struck; 0 for one that was cleared.
    pub fn fired(&self, id: FaultId) -> u32 {
        self.state(id).map_or(0, |state| state.fired)
    }

    /// The account of one fault; `None` for one that was cleared.
    pub fn state(&self, id: FaultId) -> Option<FaultState> {
        let script = self.lock();
        script
            .entries
            .iter()
            .find(|entry| entry.id == id)
            .map(Entry::state)
    }

    /// The account of every fault, spent or not, in the order of injection.
    pub fn states(&self) -> Vec<FaultState> {
        self.lock().entries.iter().map(Entry::state).collect()
    }

    /// Forgets one fault and its account; false when there is none of that name.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut script = self.lock();
        let before = script.entries.len();
        script.entries.retain(|entry| entry.id != id);
        script.entries.len() < before
    }

    /// Forgets every fault and its account.
    pub fn clear(&self) {
        self.lock().entries.clear();
    }

    /// Takes one strike from each fault that concerns this request. `takes` says whether an action can still
    /// have an effect here, so that a fault is never counted where it does nothing; it is asked in order, and what
    /// it agrees to may be left out by chance.
    pub(crate) fn strike(
        &self,
        operation: &str,
        request_id: &str,
        mut takes: impl FnMut(&[FaultAction], &FaultAction) -> bool,
    ) -> Vec<FaultAction> {
        let mut actions = Vec::new();
        for entry in &mut self.lock().entries {
            let concerned =
                entry.fault.operation == operation::ANY || entry.fault.operation == operation;
            let spent = entry.fired >= entry.fault.times;
            if concerned && !spent && takes(&actions, &entry.fault.action) && entry.course.strikes()
            {
                entry.account(request_id);
                actions.push(entry.fault.action.clone());
            }
        }
        actions
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_operation(operation: &str) -> Result<(), InvalidFault> {
    if operation::names().contains(&operation) {
        return Ok(());
    }
    let shown: String = operation.chars().take(SHOWN_CHARACTERS).collect();
    let known = operation::names().join(", ");
    let problem = format!("must be one of {known}, not {shown:?}");
    Err(InvalidFault::new("operation", problem))
}

impl Script {
    fn add(&mut self, fault: Fault, schedule: Schedule) -> FaultId {
        let id = FaultId(self.next_id);
        self.next_id += 1;
        self.entries.push(Entry {
            id,
            fault,
            course: Course::new(schedule),
            fired: 0,
            requests: Vec::new(),
        });
        id
    }
}

impl Entry {
    fn account(&mut self, request_id: &str) {
        self.fired += 1;
        if self.requests.len() == REMEMBERED_REQUESTS {
            self.requests.remove(0);
        }
        self.requests.push(request_id.to_owned());
    }

    fn state(&self) -> FaultState {
        FaultState {
            id: self.id,
            fault: self.fault.clone(),
            schedule: self.course.schedule(),
            fired: self.fired,
            requests: self.requests.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(times: u32, action: FaultAction) -> Fault {
        Fault {
            operation: "SyncContext".to_owned(),
            times,
            action,
        }
    }

    #[test]
    fn a_fault_strikes_its_operation_as_often_as_asked() {
        let faults = Faults::default();
        let id = faults.inject(fault(1, FaultAction::CloseAfterWork));
        assert!(faults.strike("GetContext", "r1", |_, _| true).is_empty());
        assert_eq!(
            faults.strike("SyncContext", "r2", |_, _| true),
            [FaultAction::CloseAfterWork]
        );
        assert!(faults.strike("SyncContext", "r3", |_, _| true).is_empty());
        assert_eq!(faults.fired(id), 1);
        assert_eq!(faults.states()[0].requests, ["r2"]);
    }

    #[test]
    fn a_fault_that_finds_no_place_is_neither_counted_nor_spent() {
        let faults = Faults::default();
        faults.inject(fault(1, FaultAction::CloseAfterWork));
        let second = faults.inject(fault(1, FaultAction::CloseBeforeWork));
        let one = |taken: &[FaultAction], _: &FaultAction| taken.is_empty();
        faults.strike("SyncContext", "r1", one);
        assert_eq!(faults.fired(second), 0);
        faults.strike("SyncContext", "r2", one);
        assert_eq!(faults.state(second).unwrap().requests, ["r2"]);
    }

    #[test]
    fn a_fault_that_cannot_be_carried_out_is_refused_by_field() {
        let faults = Faults::default();
        let refused = |fault, schedule| faults.schedule(fault, schedule).unwrap_err().field;
        let respond = |status: u16, header: &str| FaultAction::Respond {
            status,
            body: String::new(),
            headers: [(header.to_owned(), "x".to_owned())].into(),
        };
        let always = Schedule::default();
        assert_eq!(refused(fault(1, respond(99, "a")), always), "action.status");
        assert_eq!(
            refused(fault(1, respond(200, "a b")), always),
            "action.headers.a b"
        );
        let delay = FaultAction::Delay { delay_ms: u64::MAX };
        assert_eq!(refused(fault(1, delay), always), "action.delayMs");
        assert_eq!(
            refused(fault(0, FaultAction::CloseAfterWork), always),
            "times"
        );
        for operation in ["", "syncContext", "SyncContex", "Sync*"] {
            let unknown = Fault {
                operation: operation.to_owned(),
                ..fault(1, FaultAction::CloseAfterWork)
            };
            let invalid = faults.schedule(unknown, always).unwrap_err();
            assert_eq!(invalid.field, "operation");
            assert!(invalid.problem.contains("SyncContext, "), "{invalid}");
        }
        for probability in [-0.1, 1.1, f64::NAN] {
            let schedule = Schedule {
                probability,
                ..always
            };
            assert_eq!(
                refused(fault(1, FaultAction::CloseAfterWork), schedule),
                "probability"
            );
        }
        assert!(faults.states().is_empty());
    }

    #[test]
    fn a_fault_can_be_written_as_json() {
        let fault: Fault = serde_json::from_str(
            r#"{"operation": "mcp", "times": 2, "action": {"delay": {"delayMs": 5}}}"#,
        )
        .unwrap();
        assert_eq!(fault.action, FaultAction::Delay { delay_ms: 5 });
    }
}
