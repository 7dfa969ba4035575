//! Scripted faults: what a test asks to go wrong, how often it did, and on which requests.
//!
//! This file only keeps the script and the account; whoever does the work asks it what to do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// How many request ids the account of one fault remembers.
const REMEMBERED_REQUESTS: usize = 100;

/// One thing that shall go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The operation it strikes: the last segment of the path (`SyncContext`, `createSession`; `mcp` for a
    /// tool call), or `*` for every operation.
    pub operation: String,
    /// How many times it strikes before it is spent.
    pub times: u32,
    /// What happens.
    pub action: FaultAction,
}

/// What a fault does. Faults are applied in the order in which they were injected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum FaultAction {
    /// Answers this instead of doing the work.
    Respond {
        /// The HTTP status.
        status: u16,
        /// The body, as it is.
        body: String,
        /// Further headers; `content-type` is `application/json` unless named here.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Does the work, then answers this instead of the true answer.
    RespondAfterWork {
        /// The HTTP status.
        status: u16,
        /// The body, as it is.
        body: String,
        /// Further headers, as for [`FaultAction::Respond`].
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Waits this many milliseconds before the work is done.
    Delay {
        /// Milliseconds.
        delay_ms: u64,
    },
    /// Closes the connection without doing the work.
    CloseBeforeWork,
    /// Does the work, then closes the connection: done, but the caller never hears it.
    CloseAfterWork,
    /// The sync tasks that this request starts end as `Failed`. Strikes only requests that start a task of
    /// that direction: `SyncContext`, `createSession` (downloads), `releaseSessionAsync` and `releaseSession` (uploads).
    FailSyncTask {
        /// Which tasks; `None` for both directions.
        direction: Option<SyncDirection>,
        /// The task's `errorMessage`.
        message: String,
    },
    /// The sync tasks that this request starts never end.
    StallSyncTask {
        /// Which tasks; `None` for both directions.
        direction: Option<SyncDirection>,
    },
    /// The sync tasks that this request starts stay invisible in `GetContextInfo`, which keeps showing the
    /// older ones, until both that many looks were taken and that much time went by.
    HideNewTasks {
        /// Looks, each one answered `GetContextInfo` of the session.
        looks: u32,
        /// Milliseconds.
        duration_ms: u64,
    },
    /// Before the work is done, every task record of the named session is forgotten. Use it with
    /// `GetContextInfo` for an answer without tasks.
    DropTaskRecords,
}

/// The direction of a sync task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncDirection {
    /// From the session to the context.
    Upload,
    /// From the context to the session.
    Download,
}

impl SyncDirection {
    /// AGB's `taskType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }
}

/// Names an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(u64);

/// The account of an injected fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultState {
    /// Its name.
    pub id: FaultId,
    /// What was asked for.
    pub fault: Fault,
    /// How often it struck.
    pub fired: u32,
    /// The request ids it struck, the last hundred at most.
    pub requests: Vec<String>,
}

/// The faults of one emulator. Clones share the same script.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    next_id: u64,
    faults: Vec<FaultState>,
}

impl Faults {
    /// Adds a fault to the script.
    pub fn inject(&self, fault: Fault) -> FaultId {
        let mut script = self.lock();
        let id = FaultId(script.next_id);
        script.next_id += 1;
        script.faults.push(FaultState {
            id,
            fault,
            fired: 0,
            requests: Vec::new(),
        });
        id
    }

    /// How often the fault struck; 0 for one that was cleared.
    pub fn fired(&self, id: FaultId) -> u32 {
        self.lock()
            .faults
            .iter()
            .find(|state| state.id == id)
            .map_or(0, |state| state.fired)
    }

    /// The account of every fault, spent or not, in the order of injection.
    pub fn states(&self) -> Vec<FaultState> {
        self.lock().faults.clone()
    }

    /// Forgets every fault and its account.
    pub fn clear(&self) {
        self.lock().faults.clear();
    }

    /// Takes one strike from each fault that concerns this request. `strikes` says whether an action can
    /// have an effect here, so that a fault is never counted where it does nothing.
    pub(crate) fn strike(
        &self,
        operation: &str,
        request_id: &str,
        strikes: impl Fn(&FaultAction) -> bool,
    ) -> Vec<FaultAction> {
        let mut actions = Vec::new();
        for state in &mut self.lock().faults {
            let concerned = state.fault.operation == "*" || state.fault.operation == operation;
            if !concerned || state.fired >= state.fault.times || !strikes(&state.fault.action) {
                continue;
            }
            state.fired += 1;
            if state.requests.len() == REMEMBERED_REQUESTS {
                state.requests.remove(0);
            }
            state.requests.push(request_id.to_owned());
            actions.push(state.fault.action.clone());
        }
        actions
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_its_operation_as_often_as_asked() {
        let faults = Faults::default();
        let id = faults.inject(Fault {
            operation: "SyncContext".to_owned(),
            times: 1,
            action: FaultAction::CloseAfterWork,
        });
        assert!(faults.strike("GetContext", "r1", |_| true).is_empty());
        assert_eq!(
            faults.strike("SyncContext", "r2", |_| true),
            [FaultAction::CloseAfterWork]
        );
        assert!(faults.strike("SyncContext", "r3", |_| true).is_empty());
        assert_eq!(faults.fired(id), 1);
        assert_eq!(faults.states()[0].requests, ["r2"]);
    }

    #[test]
    fn a_fault_can_be_written_as_json() {
        let fault: Fault = serde_json::from_str(
            r#"{"operation": "mcp", "times": 2, "action": {"kind": "delay", "delayMs": 5}}"#,
        )
        .unwrap();
        assert_eq!(fault.action, FaultAction::Delay { delay_ms: 5 });
    }
}
