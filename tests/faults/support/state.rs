//! What there is in AGB, as far as calls can change it.

use serde_json::Value;

/// How the names of AGB's own contexts begin; a session's id follows.
const INTERNAL: &str = "file_transfer-";

/// The parts of AGB's state that a call done twice, or not at all, would show in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) contexts: Vec<String>,
    pub(crate) files: u64,
    pub(crate) sessions: usize,
    pub(crate) labels: usize,
    pub(crate) uploads: usize,
}

/// What a call does to the state when it is done, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    NewContext,
    RenamedContext,
    LostContext,
    NewFile,
    LostFile,
    NewSession,
    LostSession,
    /// It has ended, and AGB knows nothing of it any more.
    ForgottenSession,
    /// A session that was created and then released.
    ReleasedSession,
    NewLabel,
    NewUpload,
    /// A context of AGB's own, for files in and out.
    InternalContext,
}

impl State {
    pub(crate) fn read(state: &Value) -> Self {
        let contexts = state["contexts"].as_array().unwrap();
        let sessions = state["sessions"].as_array().unwrap();
        let tasks = state["tasks"].as_array().unwrap();
        let mut names: Vec<_> = contexts
            .iter()
            .map(|context| context["name"].as_str().unwrap())
            .map(|name| match name.strip_prefix(INTERNAL) {
                Some(_session) => "internal".to_owned(),
                None => name.to_owned(),
            })
            .collect();
        names.sort();
        let running = || {
            let running = |session: &&Value| session["status"] == "RUNNING";
            sessions.iter().filter(running)
        };
        Self {
            contexts: names,
            files: contexts
                .iter()
                .map(|context| context["fileCount"].as_u64().unwrap())
                .sum(),
            sessions: running().count(),
            // Those of callers: the gateway puts some of its own on the sessions that it creates.
            labels: running()
                .flat_map(|session| session["labels"].as_object().unwrap().keys())
                .filter(|key| !key.starts_with("agb-gateway/"))
                .count(),
            uploads: tasks
                .iter()
                .filter(|task| task["taskType"] == "upload")
                .count(),
        }
    }

    /// The state after the effect, done once.
    pub(crate) fn with(&self, effect: Effect) -> Self {
        let mut state = self.clone();
        match effect {
            Effect::Nothing => {}
            Effect::NewContext => state.contexts.push("new".to_owned()),
            Effect::InternalContext => state.contexts.push("internal".to_owned()),
            Effect::RenamedContext => state.contexts = vec!["renamed".to_owned()],
            Effect::LostContext => {
                state.contexts.clear();
                state.files = 0;
            }
            Effect::NewFile => state.files += 1,
            Effect::LostFile => state.files -= 1,
            Effect::NewSession => state.sessions += 1,
            // Before it ends, it uploads.
            Effect::LostSession => {
                state.sessions -= 1;
                state.uploads += 1;
            }
            Effect::ForgottenSession => state.sessions -= 1,
            Effect::NewLabel => state.labels += 1,
            // Before it ends, it uploads.
            Effect::NewUpload | Effect::ReleasedSession => state.uploads += 1,
        }
        state.contexts.sort();
        state
    }
}
