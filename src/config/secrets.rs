//! Section `secrets`: what the gateway signs with, and how soon changed files are seen.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use crate::secret::{Looking, Reloaded, Secrets, read_file, text_of};
use crate::telemetry::Telemetry;

const SIGNING_SETTING: &str = "secrets.signing_key_file";

/// What the gateway signs with, and how soon changed files are seen.
#[derive(Clone, Debug)]
pub struct SecretsConfig {
    /// `secrets.signing_key_file`: a file whose lines, each of at least 32 characters, are the keys for what the gateway signs:
    /// sync tokens, page tokens, and the labels of sessions. The first one signs, all are accepted. Without it, keys are
    /// derived from the key of the tenant's AGB account.
    pub signing_key_file: Option<PathBuf>,
    /// `secrets.reload_interval`: how often files with keys, tokens and certificates are looked at, 1 ms to 1 h, default 10 s.
    pub reload_interval: Duration,
}

impl SecretsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let signing_key_file: Option<PathBuf> = reader.optional(SIGNING_SETTING);
        let hour = Duration::from_hours(1);
        let reload_interval = reader.duration(
            "secrets.reload_interval",
            "10s",
            Duration::from_millis(1)..=hour,
        );
        if let Some(file) = &signing_key_file
            && let Err(rule) = read_file(file).and_then(|text| Secrets::signing_keys(&text))
        {
            reader.problem(SIGNING_SETTING, rule);
        }
        Some(Self {
            signing_key_file,
            reload_interval: reload_interval?,
        })
    }

    /// How the files are looked at.
    pub fn looking(&self, telemetry: &Telemetry) -> Looking {
        Looking {
            interval: self.reload_interval,
            telemetry: telemetry.clone(),
        }
    }

    /// The keys of the file, and what it holds from now on; `None` without a file.
    pub async fn signing_keys(
        &self,
        telemetry: &Telemetry,
    ) -> Result<Option<Reloaded<Secrets>>, String> {
        let Some(file) = &self.signing_key_file else {
            return Ok(None);
        };
        let make = |contents: &[Vec<u8>]| Secrets::signing_keys(&text_of(contents)?);
        let keys = Reloaded::watch(
            SIGNING_SETTING,
            vec![file.clone()],
            self.looking(telemetry),
            make,
        );
        keys.await.map(Some)
    }
}
