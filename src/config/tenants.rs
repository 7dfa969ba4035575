//! Section `tenants`: the AGB accounts beside that of section `agb`, by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::reader::Reader;
use crate::secret::AccountKey;

const SECTION: &str = "tenants";
/// The tenant whose account section `agb` names.
pub const DEFAULT_TENANT: &str = "default";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    api_key_file: PathBuf,
}

/// Reads the account of each tenant: `tenants.<name>.api_key_file` names a file with its key. No two may have the same key, or
/// one could reach what is the other's.
pub(super) fn read(
    reader: &mut Reader<'_>,
    default: Option<&AccountKey>,
) -> BTreeMap<String, AccountKey> {
    let mut tenants: BTreeMap<String, AccountKey> = BTreeMap::new();
    if let Some(default) = default {
        tenants.insert(DEFAULT_TENANT.to_owned(), default.clone());
    }
    for name in reader.names(SECTION) {
        let setting = format!("{SECTION}.{name}");
        if name == DEFAULT_TENANT {
            reader.problem(setting, "is the tenant of section agb; set its key there");
            continue;
        }
        let key = reader
            .extract::<Written>(&setting)
            .and_then(|written| AccountKey::in_file(&written.api_key_file));
        match key {
            Ok(key) => {
                let same = |other: &AccountKey| {
                    other.secret().expose_secret() == key.secret().expose_secret()
                };
                let other = tenants.iter().find(|(_, other)| same(other));
                if let Some((other, _)) = other {
                    let rule = format!("has the key of tenant {other}; each needs its own");
                    reader.problem(setting, rule);
                }
                tenants.insert(name, key);
            }
            Err(rule) => reader.problem(setting, rule),
        }
    }
    tenants
}
