//! Bearer tokens of the gateway's own: random ones, of which a file holds the hashes.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

/// Every token begins so: secret scanners find it, and it is never taken for a JWT.
pub(super) const PREFIX: &str = "agbgw_";
/// A token has so much randomness that its hash needs neither salt nor many rounds.
const RANDOM_BYTES: usize = 32;
const MAX_NAME_BYTES: usize = 255;

/// A new token.
#[derive(Debug)]
pub struct NewToken {
    /// The token itself, for the caller.
    pub token: SecretString,
    /// The line for the token file.
    pub line: String,
}

impl NewToken {
    /// Makes a token for a principal, of 256 random bits.
    pub fn generate(principal: &str) -> Result<Self, String> {
        principal_name(principal).map_err(|rule| format!("the principal {rule}"))?;
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(|error| format!("no randomness: {error}"))?;
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let line = format!("{principal} {}", hex(&Sha256::digest(&token)));
        Ok(Self {
            token: token.into(),
            line,
        })
    }

    /// The token as text: to be shown once.
    pub fn expose(&self) -> &str {
        self.token.expose_secret()
    }
}

/// The rule for names of principals: visible ASCII, so that they go into logs and headers as they are.
pub fn principal_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(format!("must have 1 to {MAX_NAME_BYTES} characters"));
    }
    if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be of visible ASCII characters".to_owned());
    }
    Ok(())
}

/// The hashes of a token file.
#[derive(Debug)]
pub(super) struct Tokens(Vec<([u8; 32], Arc<str>)>);

impl Tokens {
    /// Reads lines of a principal and the SHA-256 of its token in hexadecimal. `#` begins a comment. The error tells the line by
    /// its number and never by its text: somebody may have put a token there.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "is no UTF-8 text".to_owned())?;
        if text.trim().is_empty() {
            // So is every file for a moment that is written in place; nobody is to be turned away for that.
            return Err("is empty; a comment alone says that there are no tokens".to_owned());
        }
        let mut tokens: Vec<([u8; 32], Arc<str>)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let at = |rule: &str| format!("line {}: {rule}", index + 1);
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<_> = line.split_whitespace().collect();
            let (principal, hash) = match words[..] {
                [] => continue,
                [principal, hash] => (principal, hash),
                _ => return Err(at("must be a principal and a SHA-256")),
            };
            principal_name(principal).map_err(|rule| at(&format!("the principal {rule}")))?;
            let rule = "the hash must be 64 hexadecimal digits; `agb-gateway new-token` prints it";
            let hash = unhex(hash).ok_or_else(|| at(rule))?;
            if tokens.iter().any(|(other, _)| *other == hash) {
                return Err(at("the hash is there twice"));
            }
            tokens.push((hash, format!("token:{principal}").into()));
        }
        Ok(Self(tokens))
    }

    /// Whose token this is. How long that takes tells nothing about the hashes.
    pub(super) fn principal(&self, token: &str) -> Option<Arc<str>> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = u32::MAX;
        for (index, (known, _)) in (0_u32..).zip(&self.0) {
            found.conditional_assign(&index, known.ct_eq(&hash));
        }
        let (_, principal) = self.0.get(usize::try_from(found).ok()?)?;
        Some(Arc::clone(principal))
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_known_by_its_line() {
        let (first, second) = (
            NewToken::generate("ci").unwrap(),
            NewToken::generate("ci").unwrap(),
        );
        let other = NewToken::generate("build/x@corp").unwrap();
        assert_ne!(first.expose(), second.expose());
        assert_eq!(first.expose().len(), PREFIX.len() + 43);
        assert!(!format!("{first:?}").contains(&first.expose()[PREFIX.len()..]));
        // Two tokens of one principal: the old one goes on while callers take up the new one.
        let file = format!(
            "# tokens\n\n{} # old\n{}\r\n  {}",
            first.line, second.line, other.line
        );
        let tokens = Tokens::parse(file.as_bytes()).unwrap();
        for (token, principal) in [
            (&first, "token:ci"),
            (&second, "token:ci"),
            (&other, "token:build/x@corp"),
        ] {
            assert_eq!(tokens.principal(token.expose()).as_deref(), Some(principal));
        }
        let stranger = NewToken::generate("ci").unwrap();
        assert_eq!(tokens.principal(stranger.expose()), None);
        assert_eq!(tokens.principal(""), None);
        let none = Tokens::parse(b"# none").unwrap();
        assert_eq!(none.principal(first.expose()), None);
    }

    #[test]
    fn what_is_no_line_is_told_by_its_number_alone() {
        let hash = "a".repeat(64);
        for file in [
            "ci".to_owned(),
            format!("ci {hash} more"),
            "ci agbgw_secret".to_owned(),
            format!("ci {}", "a".repeat(63)),
            format!("ci +{}", "a".repeat(63)),
            format!("c\u{fc} {hash}"),
            format!("{} {hash}", "c".repeat(256)),
            format!("other {hash}"),
        ] {
            let error = Tokens::parse(format!("x {hash}\n{file}").as_bytes()).unwrap_err();
            assert!(error.starts_with("line 2: "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        for content in [&b"\xff"[..], b"", b"\n"] {
            assert!(Tokens::parse(content).is_err());
        }
        for principal in ["", "a b", "a\n"] {
            assert!(NewToken::generate(principal).is_err());
        }
    }
}
