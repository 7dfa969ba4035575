//! Section `tenants`: the AGB accounts beside that of section `agb`, by name; and whether those that are used are there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::API_KEY_VARIABLE;
use super::agb::KEY_SETTING;
use super::reader::Reader;
use crate::auth::{AuthConfig, DEFAULT_TENANT, Method};
use crate::secret::AccountKey;

const SECTION: &str = "tenants";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    api_key_file: PathBuf,
}

/// Reads the account of each tenant: `tenants.<name>.api_key_file` names a file with its key. No two may have the same key, or
/// one could reach what is the other's.
pub(super) fn read(
    reader: &mut Reader<'_>,
    default: Option<&Option<AccountKey>>,
    auth: Option<&AuthConfig>,
) -> BTreeMap<String, AccountKey> {
    let mut tenants: BTreeMap<String, AccountKey> = BTreeMap::new();
    if let Some(Some(default)) = default {
        tenants.insert(DEFAULT_TENANT.to_owned(), default.clone());
    }
    for name in reader.names(SECTION) {
        let setting = format!("{SECTION}.{name}");
        if name == DEFAULT_TENANT {
            reader.problem(setting, "is the tenant of section agb; set its key there");
            continue;
        }
        let key = reader
            .section::<Written>(&setting)
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
    for (setting, tenant) in auth.map(used).unwrap_or_default() {
        // That a name is empty is told with its rule.
        if tenant.is_empty() || tenants.contains_key(tenant) {
            continue;
        }
        if tenant == DEFAULT_TENANT && default.is_none() {
            // What is wrong with its key has been told.
            continue;
        }
        if tenant == DEFAULT_TENANT {
            let rule = format!(
                "the key of the AGB account is missing: set {API_KEY_VARIABLE}, or name a file here"
            );
            reader.problem(KEY_SETTING, rule);
            break;
        }
        reader.problem(setting, format!("there is no section {SECTION}.{tenant}"));
    }
    tenants
}

/// Which tenants are used, and the setting that says so. Callers with keys of their own need none.
fn used(auth: &AuthConfig) -> Vec<(String, &str)> {
    let with_key = |method: &Method| *method == Method::AgbKey;
    if auth.methods.iter().all(with_key) {
        return Vec::new();
    }
    if auth.rules.is_empty() {
        return vec![("auth.methods".to_owned(), DEFAULT_TENANT)];
    }
    let rules = auth.rules.iter().enumerate();
    rules
        .map(|(index, rule)| (format!("auth.rules[{index}].tenant"), rule.tenant.as_str()))
        .collect()
}
