//! Why a call fails, and what it was about.

use super::reason::{self, Reason};
use crate::agb;
use crate::auth::Refusal;
use crate::creation;
use crate::domain::Violations;
use crate::sync::{self, Outcome};

/// Why a call fails.
#[derive(Debug)]
pub enum Failure {
    /// Fields break rules.
    Invalid(Violations),
    /// AGB failed or said no.
    Agb {
        /// What AGB said.
        error: Box<agb::Error>,
        /// What was being done, for people.
        doing: String,
        /// What it was about.
        resource: Option<Resource>,
    },
    /// There is no such thing, and it was not AGB's refusal that said so.
    NotFound {
        /// What was being done, for people.
        doing: String,
        /// What it was about.
        resource: Resource,
        /// AGB's id of the request.
        request_id: String,
    },
    /// A sync did not end in success.
    Sync {
        /// What happened, and what is known.
        error: Box<sync::Error>,
        /// What was being done, for people, and what became of the rest.
        doing: String,
        /// What it was about.
        resource: Option<Resource>,
    },
    /// The caller's deadline came first.
    Deadline {
        /// What was being done, for people, and how far it came.
        doing: String,
        /// What it was about.
        resource: Option<Resource>,
    },
    /// A tool in a session failed in a way that is no answer.
    Tool {
        /// What the tool said.
        message: String,
        /// AGB's id of the request.
        request_id: String,
    },
    /// One call would have to look at more than the configuration allows.
    LimitExceeded {
        /// What there is too much of.
        what: String,
        /// The setting.
        setting: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The `request_id` was used with other parameters.
    RequestIdReused {
        /// The session of the other call, where it is known.
        resource: Option<Resource>,
        /// The fields that differ.
        fields: Vec<&'static str>,
    },
    /// The session is still being created by another call.
    BeingCreated(Resource),
    /// The request could not be read; no service has seen it.
    Unread(Unread),
    /// The caller is not known, or may not do that.
    Refused(Refusal),
    /// The server ends before the call has.
    CutOff {
        /// Whether the call may be made again although it is not known whether it was done.
        repeatable: bool,
    },
    /// The server has too much to do.
    Overloaded {
        /// The setting that says how much that is.
        setting: &'static str,
        /// What it says.
        limit: usize,
    },
    /// The gateway itself is at fault.
    Internal(&'static str),
}

/// Why a request could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There is no such service or method; its path.
    UnknownMethod(String),
    /// It is compressed in a way that is not taken; gRPC's words.
    Compressed(String),
    /// A message is longer than the limit; gRPC's words.
    TooLong(String),
    /// A message is not of its type, or broke off; gRPC's words.
    Malformed(String),
}

/// What a call was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A context, by AGB's id or by name.
    Context(String),
    /// A session, by AGB's id.
    Session(String),
    /// A file of a context.
    ContextFile {
        /// AGB's id of the context.
        context_id: String,
        /// The path in the context.
        path: String,
    },
    /// A preset of the configuration, by name.
    SyncPolicy(String),
}

impl Resource {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Context(_) => "context",
            Self::Session(_) => "session",
            Self::ContextFile { .. } => "context file",
            Self::SyncPolicy(_) => "sync policy",
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Context(name) | Self::Session(name) | Self::SyncPolicy(name) => name,
            Self::ContextFile { path, .. } => path,
        }
    }

    pub(super) fn owner(&self) -> &str {
        match self {
            Self::ContextFile { context_id, .. } => context_id,
            Self::Context(_) | Self::Session(_) | Self::SyncPolicy(_) => "",
        }
    }

    pub(super) fn not_found_reason(&self) -> &'static Reason {
        match self {
            Self::Context(_) => &reason::CONTEXT_NOT_FOUND,
            Self::Session(_) => &reason::SESSION_NOT_FOUND,
            Self::ContextFile { .. } => &reason::CONTEXT_FILE_NOT_FOUND,
            Self::SyncPolicy(_) => &reason::SYNC_POLICY_NOT_FOUND,
        }
    }
}

impl Failure {
    /// AGB failed while `doing` something.
    pub fn agb(error: agb::Error, doing: impl Into<String>, resource: Option<Resource>) -> Self {
        Self::Agb {
            error: Box::new(error),
            doing: doing.into(),
            resource,
        }
    }

    /// Whether what was asked may have happened all the same. AGB's refusals, and requests that were not sent, leave nothing.
    pub fn leaves_outcome_unknown(&self) -> bool {
        match self {
            Self::Agb { error, .. } => error.leaves_outcome_unknown(),
            _ => true,
        }
    }

    /// Whether AGB says that the session does not exist, or no longer.
    pub fn is_session_not_found(&self) -> bool {
        match self {
            Self::Agb { error, .. } => error.is_session_not_found(),
            Self::NotFound { resource, .. } => matches!(resource, Resource::Session(_)),
            Self::Sync { error, .. } => match &error.outcome {
                Outcome::Agb(error) => error.is_session_not_found(),
                _ => false,
            },
            _ => false,
        }
    }
}

impl From<creation::Error> for Failure {
    fn from(error: creation::Error) -> Self {
        match error {
            creation::Error::Agb { error, doing } => Self::agb(error, doing, None),
            creation::Error::Differs { session_id, fields } => Self::RequestIdReused {
                resource: session_id.map(Resource::Session),
                fields,
            },
            creation::Error::Deadline(doing) => Self::Deadline {
                doing: doing.to_owned(),
                resource: None,
            },
            creation::Error::Gone => {
                Self::Internal("the session was released while it was created")
            }
            creation::Error::Abandoned => Self::Internal("creating the session panicked"),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownMethod(path) => Self::Unread(Unread::UnknownMethod(path)),
            refusal => Self::Refused(refusal),
        }
    }
}

impl From<Violations> for Failure {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}
