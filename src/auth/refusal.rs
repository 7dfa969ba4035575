//! Why a call is not let in. What it says helps an honest caller, and nobody else.

use std::time::Duration;

use super::rights::Right;
use super::settings::Method;

/// Why a call is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not known who calls.
    Unauthenticated {
        /// What came.
        credentials: Credentials,
        /// The ways to be known.
        methods: Vec<Method>,
    },
    /// The caller may not do that.
    Denied {
        /// Who.
        principal: String,
        /// What is missing.
        what: Denied,
    },
    /// The caller has used up a quota.
    TooMany {
        /// The setting of the caller's rule.
        setting: &'static str,
        /// How long to wait.
        retry_after: Duration,
    },
    /// There is no such method; its path.
    UnknownMethod(String),
}

/// What came instead of good credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    Missing,
    /// Something that is not accepted; why is not told.
    NotAccepted,
    /// A JWT that is good in every other way.
    Expired,
}

/// What a caller lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No rule fits.
    NoRule,
    /// A right.
    Right(Right),
    /// An image that fits no pattern.
    Image {
        /// What the request names.
        image: String,
        /// The patterns.
        allowed: Vec<String>,
    },
    /// A label that the rule fixes is to be another.
    Label {
        /// Its key.
        key: String,
        /// What the rule says.
        fixed: String,
    },
}

impl Refusal {
    /// What an honest caller can present.
    pub fn accepted(methods: &[Method]) -> String {
        let ways: Vec<_> = methods.iter().map(|method| method.asks_for()).collect();
        ways.join(", or ")
    }
}
