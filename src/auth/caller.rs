//! Who calls, once that is known.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::OwnedSemaphorePermit;

use super::pattern::Pattern;
use super::rights::Rights;
use super::rules::Grant;

/// Whose AGB account a call uses.
#[derive(Clone, Debug)]
pub enum TenantRef {
    /// A tenant of the configuration.
    Named(Arc<str>),
    /// The caller's own account.
    OwnKey {
        /// The SHA-256 of the key: tells accounts apart without the key.
        fingerprint: [u8; 32],
        /// The key.
        key: SecretString,
    },
}

impl TenantRef {
    /// The name, where it has one.
    pub fn name(&self) -> Option<Arc<str>> {
        match self {
            Self::Named(name) => Some(name.clone()),
            Self::OwnKey { .. } => None,
        }
    }
}

/// Who calls, and what they may do. Clones are cheap and stand for the same call.
#[derive(Clone)]
pub struct Caller {
    principal: Arc<str>,
    tenant: TenantRef,
    grant: Arc<Grant>,
    /// The call counts among the principal's for as long as a clone is left.
    _held: Option<Arc<OwnedSemaphorePermit>>,
}

impl Caller {
    pub(super) fn new(
        principal: Arc<str>,
        tenant: TenantRef,
        grant: Arc<Grant>,
        held: Option<Arc<OwnedSemaphorePermit>>,
    ) -> Self {
        Self {
            principal,
            tenant,
            grant,
            _held: held,
        }
    }

    /// The name, with the way by which it is known before it: `token:ci`, `jwt:<issuer's name>:<claim>`, `mtls:spiffe://…`,
    /// `mtls:dns:<name>`, `key:<begin of the fingerprint>`, or `anonymous`. Visible ASCII, of bounded length.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The same, to keep.
    pub fn shared_principal(&self) -> Arc<str> {
        self.principal.clone()
    }

    /// Whose AGB account the call uses.
    pub fn tenant(&self) -> &TenantRef {
        &self.tenant
    }

    /// What the caller may do.
    pub fn rights(&self) -> &Rights {
        &self.grant.rights
    }

    /// Whether sessions of this image may be created.
    pub fn may_use_image(&self, image: &str) -> bool {
        match &self.grant.images {
            None => true,
            Some(patterns) => patterns.iter().any(|pattern| pattern.fits(image)),
        }
    }

    /// The images that may be used; `None`: all.
    pub fn images(&self) -> Option<&[Pattern]> {
        self.grant.images.as_deref()
    }

    /// The labels that every session of the caller carries; only sessions that carry them are there for the caller.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.grant.labels
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Caller")
            .field("principal", &self.principal)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}
