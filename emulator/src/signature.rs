//! Signs what callers may do without an API key: presigned URLs and links. A signature names the act and its
//! object, so that one cannot be used for another.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

/// What every secret that the emulator makes begins with, so that scanners of logs find it.
pub(crate) const SECRET_PREFIX: &str = "agbs_";

/// Signs and checks with a secret, which it cannot print.
pub(crate) struct Signer {
    secret: Vec<u8>,
}

impl Signer {
    /// A signer whose signatures hold for every signer with this secret.
    pub(crate) fn with_secret(secret: Vec<u8>) -> Self {
        Self { secret }
    }

    /// A secret that nobody else has.
    pub(crate) fn new_secret() -> Vec<u8> {
        let secret = [Uuid::new_v4(), Uuid::new_v4()];
        secret.iter().flat_map(|part| *part.as_bytes()).collect()
    }

    /// The signature of these parts in this order, in hexadecimal after a prefix.
    pub(crate) fn sign(&self, parts: &[&str]) -> String {
        let digest = self.digest(parts).finalize().into_bytes();
        digest
            .iter()
            .fold(SECRET_PREFIX.to_owned(), |mut hex, byte| {
                // Writing to a text cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }

    /// Takes the same time whatever is wrong with the signature.
    pub(crate) fn verify(&self, parts: &[&str], signature: &str) -> bool {
        let hex = signature.strip_prefix(SECRET_PREFIX);
        let Some(signature) = hex.and_then(from_hex) else {
            return false;
        };
        self.digest(parts).verify_slice(&signature).is_ok()
    }

    fn digest(&self, parts: &[&str]) -> Hmac<Sha256> {
        #[allow(clippy::expect_used)] // An HMAC key may have any length.
        let mut digest = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any length is valid");
        for part in parts {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        digest
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_parts_and_signer_only() {
        let secret = Signer::new_secret();
        let signer = Signer::with_secret(secret.clone());
        let signature = signer.sign(&["PUT", "ab", "c"]);
        assert!(signer.verify(&["PUT", "ab", "c"], &signature));
        assert!(!signer.verify(&["GET", "ab", "c"], &signature));
        assert!(!signer.verify(&["PUT", "a", "bc"], &signature));
        let same = Signer::with_secret(secret);
        assert!(same.verify(&["PUT", "ab", "c"], &signature));
        let other = Signer::with_secret(Signer::new_secret());
        assert!(!other.verify(&["PUT", "ab", "c"], &signature));
        let shorter = &signature[..signature.len() - 2];
        assert!(!signer.verify(&["PUT", "ab", "c"], shorter));
        let bare = &signature[SECRET_PREFIX.len()..];
        assert!(!signer.verify(&["PUT", "ab", "c"], bare));
        assert!(!signer.verify(&["PUT", "ab", "c"], "no hex"));
    }
}
