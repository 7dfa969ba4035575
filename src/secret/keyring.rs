//! Keys for what the gateway signs: tokens that callers bring back, and labels that it knows as its own.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::{Reloaded, Secrets};

const NAMESPACE: &[u8] = b"agb-gateway";

/// Secrets from which each purpose has keys of its own, and each tenant others.
#[derive(Clone, Debug)]
pub struct Keyring {
    secrets: Reloaded<Secrets>,
    tenant: Arc<str>,
}

impl Keyring {
    /// The keys of a tenant.
    pub fn new(secrets: Reloaded<Secrets>, tenant: &str) -> Self {
        Self {
            secrets,
            tenant: tenant.into(),
        }
    }

    /// The keys of a tenant that come of one secret, which stays.
    pub fn of_secret(secret: &str, tenant: &str) -> Self {
        let secret = Secrets::one(SecretString::from(secret));
        Self::new(Reloaded::fixed(secret), tenant)
    }

    /// The keys for a purpose: the first one signs, all are accepted. There is always one.
    pub fn keys(&self, purpose: &str) -> Vec<Hmac<Sha256>> {
        let secrets = self.secrets.current();
        let derived = secrets.all().map(|secret| {
            let mut mac = keyed(secret.expose_secret().as_bytes());
            for part in [NAMESPACE, purpose.as_bytes(), self.tenant.as_bytes()] {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part);
            }
            keyed(&mac.finalize().into_bytes())
        });
        derived.collect()
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("an HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_tenant_and_purpose_has_keys_of_its_own() {
        let tag = |secret, tenant, purpose| {
            let keys = Keyring::of_secret(secret, tenant).keys(purpose);
            assert_eq!(keys.len(), 1);
            keys[0].clone().finalize().into_bytes()
        };
        let tags = [
            tag("s", "a", "x"),
            tag("t", "a", "x"),
            tag("s", "b", "x"),
            tag("s", "a", "y"),
            // Where one part ends and the next begins counts, too.
            tag("s", "ya", "x"),
        ];
        for (index, one) in tags.iter().enumerate() {
            assert!(!tags[index + 1..].contains(one));
        }
        assert_eq!(tags[0], tag("s", "a", "x"));
    }
}
