//! The shapes of AGB's identifiers.

use uuid::Uuid;

use crate::signature::SECRET_PREFIX;

pub(crate) fn context_id() -> String {
    format!("SdkCtx-{}", short())
}

pub(crate) fn session_id() -> String {
    format!("session-{}", short())
}

pub(crate) fn resource_id() -> String {
    format!("p-{}", short())
}

pub(crate) fn app_instance_id() -> String {
    format!("aig-{}", short())
}

pub(crate) fn request_id() -> String {
    Uuid::new_v4().hyphenated().to_string().to_uppercase()
}

pub(crate) fn trace_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// A secret that cannot be guessed.
pub(crate) fn token() -> String {
    let [first, second] = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::simple);
    format!("{SECRET_PREFIX}{first}{second}")
}

/// A name for a file that nobody else uses.
pub(crate) fn file_name() -> String {
    Uuid::new_v4().simple().to_string()
}

fn short() -> String {
    let mut text = Uuid::new_v4().simple().to_string();
    text.truncate(20);
    text
}
