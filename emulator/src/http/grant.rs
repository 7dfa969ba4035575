//! Presigned URLs: each allows one act on one file of a context until some time, whoever has it.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::storage::Denial;
use crate::path::AbsolutePath;
use crate::signature::Signer;

/// The parameters of a presigned URL.
const EXPIRES: &str = "Expires";
pub(super) const SIGNATURE: &str = "Signature";
/// What stands for itself in a URL's path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a presigned URL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
}

/// One act on one file until some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) verb: Verb,
    pub(super) context_id: String,
    pub(super) path: AbsolutePath,
    /// Milliseconds since the epoch.
    pub(super) expires_ms: i64,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}

impl Grant {
    /// The path and query of the URL that carries this grant.
    pub(super) fn to_uri(&self, signer: &Signer) -> String {
        let signature = self.with_parts(|parts| signer.sign(parts));
        format!(
            "/storage/{}{}?{EXPIRES}={}&{SIGNATURE}={signature}",
            self.context_id,
            utf8_percent_encode(self.path.as_str(), PATH),
            self.expires_ms,
        )
    }

    pub(super) fn read(
        verb: Verb,
        context_id: String,
        path: &str,
        query: &BTreeMap<String, String>,
        signer: &Signer,
        now_ms: i64,
    ) -> Result<Self, Denial> {
        let (Some(expires), Some(signature)) = (query.get(EXPIRES), query.get(SIGNATURE)) else {
            return Err(Denial::Unsigned);
        };
        let grant = Self {
            verb,
            context_id,
            path: AbsolutePath::parse(&format!("/{path}")).map_err(|_| Denial::WrongSignature)?,
            expires_ms: expires.parse().map_err(|_| Denial::WrongSignature)?,
        };
        if !grant.with_parts(|parts| signer.verify(parts, signature)) {
            return Err(Denial::WrongSignature);
        }
        if now_ms > grant.expires_ms {
            return Err(Denial::Expired);
        }
        Ok(grant)
    }

    fn with_parts<T>(&self, act: impl FnOnce(&[&str]) -> T) -> T {
        act(&[
            "storage",
            self.verb.as_str(),
            &self.context_id,
            self.path.as_str(),
            &self.expires_ms.to_string(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(expires_ms: i64) -> Grant {
        Grant {
            verb: Verb::Put,
            context_id: "SdkCtx-1".to_owned(),
            path: AbsolutePath::parse("/tmp/a b/ü?&%.txt").unwrap(),
            expires_ms,
        }
    }

    fn query(uri: &str) -> BTreeMap<String, String> {
        let pairs = uri.split_once('?').unwrap().1.split('&');
        pairs
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_grant_is_read_back_for_its_own_verb_context_path_and_time_only() {
        let signer = Signer::with_secret(Signer::new_secret());
        let grant = grant(i64::MAX);
        let query = query(&grant.to_uri(&signer));
        let read = |verb, context: &str, path| {
            Grant::read(verb, context.to_owned(), path, &query, &signer, 0)
        };
        assert_eq!(read(Verb::Put, "SdkCtx-1", "tmp/a b/ü?&%.txt"), Ok(grant));
        for wrong in [
            read(Verb::Get, "SdkCtx-1", "tmp/a b/ü?&%.txt"),
            read(Verb::Put, "SdkCtx-2", "tmp/a b/ü?&%.txt"),
            read(Verb::Put, "SdkCtx-1", "tmp/other"),
        ] {
            assert_eq!(wrong, Err(Denial::WrongSignature));
        }
    }

    #[test]
    fn a_grant_ends() {
        let signer = Signer::with_secret(Signer::new_secret());
        let query = query(&grant(1).to_uri(&signer));
        let read = |now_ms| {
            let context = "SdkCtx-1".to_owned();
            let path = "tmp/a b/ü?&%.txt";
            Grant::read(Verb::Put, context, path, &query, &signer, now_ms)
        };
        assert_eq!(read(1), Ok(grant(1)));
        assert_eq!(read(2), Err(Denial::Expired));
    }
}
