//! Secrets: types that cannot print themselves, files that are read again when they change, and what is signed with them.

mod keyring;
mod reload;

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

pub use keyring::Keyring;
pub use reload::{Looking, Reloaded};

/// The shortest line of a file of signing keys, in characters.
const SHORTEST_SIGNING_KEY: usize = 32;
/// How many of the keys that a file held before are remembered.
const REMEMBERED: usize = 2;

/// Secrets of which the first is in use, and the others still count. There is always one.
#[derive(Clone, Debug)]
pub struct Secrets {
    first: SecretString,
    others: Vec<SecretString>,
}

impl Secrets {
    /// One secret.
    pub fn one(secret: SecretString) -> Self {
        Self {
            first: secret,
            others: Vec::new(),
        }
    }

    /// The keys of a file for signing: its lines, each of at least 32 characters. The error repeats none.
    pub fn signing_keys(text: &str) -> Result<Self, String> {
        let rule = format!(
            "must name a file with keys of at least {SHORTEST_SIGNING_KEY} characters, one a line"
        );
        if let Some(line) = text
            .lines()
            .position(|key| key.len() < SHORTEST_SIGNING_KEY)
        {
            return Err(format!("{rule}; line {} is shorter", line + 1));
        }
        let mut keys = text.lines().map(SecretString::from);
        let first = keys.next().ok_or_else(|| format!("{rule}; it is empty"))?;
        Ok(Self {
            first,
            others: keys.collect(),
        })
    }

    /// The one in use.
    pub fn first(&self) -> &SecretString {
        &self.first
    }

    /// All of them, the one in use first.
    pub fn all(&self) -> impl Iterator<Item = &SecretString> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// With every one of them taken out of a text.
    pub fn taken_out_of(&self, text: &str) -> String {
        self.all().fold(text.to_owned(), |text, secret| {
            text.replace(secret.expose_secret(), "[key]")
        })
    }

    fn followed_by(self, before: Option<Self>) -> Self {
        let Some(before) = before else {
            return self;
        };
        let mut others = vec![before.first];
        others.extend(before.others);
        others.truncate(REMEMBERED);
        Self {
            first: self.first,
            others,
        }
    }
}

/// The key of an AGB account, as the configuration has it.
#[derive(Clone, Debug)]
pub struct AccountKey {
    key: SecretString,
    file: Option<PathBuf>,
}

impl AccountKey {
    /// A key that stays. The error says which rule it breaks, and does not repeat it.
    pub fn try_new(key: String) -> Result<Self, String> {
        if key.is_empty() {
            return Err("the key is empty".to_owned());
        }
        if key.chars().any(|char| !char.is_ascii_graphic()) {
            return Err("the key must not hold white space or characters beyond ASCII".to_owned());
        }
        Ok(Self {
            key: key.into(),
            file: None,
        })
    }

    /// The key in a file, which may change.
    pub fn in_file(file: &Path) -> Result<Self, String> {
        Ok(Self {
            file: Some(file.to_owned()),
            ..Self::try_new(read_file(file)?)?
        })
    }

    /// The key as it was read.
    pub fn secret(&self) -> &SecretString {
        &self.key
    }

    /// The key, and its file from now on. Keys that the file held before still count as secrets, and for what they have signed.
    pub async fn watch(&self, tenant: &str, looking: Looking) -> Result<Reloaded<Secrets>, String> {
        let Some(file) = &self.file else {
            return Ok(Reloaded::fixed(Secrets::one(self.key.clone())));
        };
        let mut before: Option<Secrets> = None;
        let name = format!("the AGB key of tenant {tenant}");
        Reloaded::watch(name, vec![file.clone()], looking, move |contents| {
            let key = Self::try_new(text_of(contents)?)?.key;
            let secrets = Secrets::one(key).followed_by(before.take());
            before = Some(secrets.clone());
            Ok(secrets)
        })
        .await
    }
}

/// The text of a file that holds a secret, without the end of its last line.
pub fn read_file(file: &Path) -> Result<String, String> {
    let content = std::fs::read(file)
        .map_err(|error| format!("could not read {}: {error}", file.display()))?;
    text_of(&[content])
}

/// The text of the only file that was read, without the end of its last line.
pub fn text_of(contents: &[Vec<u8>]) -> Result<String, String> {
    let text = contents.concat();
    let text = String::from_utf8(text).map_err(|_| "the file is no text".to_owned())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn signing_keys_are_long_and_one_a_line_and_a_refusal_repeats_none() {
        let key = "0123456789abcdef0123456789abcdef";
        let keys = Secrets::signing_keys(&format!("{key}\n{key}")).unwrap();
        assert_eq!(keys.all().count(), 2);
        for (keys, place) in [
            ("", "empty"),
            ("secret", "line 1"),
            (&format!("{key}\n\n"), "line 2"),
        ] {
            let rule = Secrets::signing_keys(keys).unwrap_err();
            assert!(rule.contains(place) && !rule.contains("secret"), "{rule}");
        }
    }

    #[test]
    fn a_key_is_one_word_and_a_refusal_does_not_repeat_it() {
        for (key, rule) in [("", "empty"), ("se\ncret", "white space"), ("sé", "ASCII")] {
            let refused = AccountKey::try_new(key.to_owned()).unwrap_err();
            assert!(
                refused.contains(rule) && !refused.contains("cret"),
                "{refused}"
            );
        }
        let key = AccountKey::try_new("hunter2".to_owned()).unwrap();
        assert!(!format!("{key:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn the_key_before_is_a_secret_still() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "first\n").unwrap();
        let key = AccountKey::in_file(&file).unwrap();
        let looking = Looking {
            interval: std::time::Duration::from_hours(1),
            telemetry: Telemetry::off(),
        };
        let keys = key.watch("default", looking).await.unwrap();
        for next in ["second", "third"] {
            std::fs::write(&file, next).unwrap();
            let now = keys.refreshed(tokio::time::Instant::now()).await;
            assert_eq!(now.first().expose_secret(), next);
            assert_eq!(now.taken_out_of(&format!("{next} first")), "[key] [key]");
        }
    }
}
