//! What each setting is, to be shown: by its dotted name, as it is written or by its default, and without secrets.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// What stands in the place of a secret.
const SECRET: &str = "(secret)";
/// Settings that are URLs although they may be written without a scheme.
const URLS: [&str; 2] = ["agb.endpoint", "agb.proxy"];

/// What each setting is. `null` is one that is not set and has no default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// The settings, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Notes what a setting is. The first note counts.
    pub(super) fn note(&mut self, setting: &str, value: &(impl Serialize + ?Sized)) {
        if self.0.contains_key(setting) {
            return;
        }
        // What cannot be shown as JSON is not shown.
        let value = serde_json::to_value(value).unwrap_or_default();
        let is_url = URLS.contains(&setting);
        self.0.insert(setting.to_owned(), shown(value, is_url));
    }

    /// Notes all settings of a section.
    pub(super) fn note_section(&mut self, section: &str, values: &impl Serialize) {
        if let Ok(Value::Object(values)) = serde_json::to_value(values) {
            for (name, value) in values {
                self.note(&format!("{section}.{name}"), &value);
            }
        }
    }

    /// Notes whether a secret is set.
    pub(super) fn note_secret(&mut self, setting: &str, is_set: bool) {
        let value = is_set.then_some(SECRET);
        self.0.insert(setting.to_owned(), value.into());
    }
}

fn shown(value: Value, is_url: bool) -> Value {
    match value {
        Value::String(text) if is_url || text.contains("://") => without_secrets(&text).into(),
        Value::Array(values) => {
            let values = values.into_iter().map(|value| shown(value, is_url));
            values.collect()
        }
        Value::Object(values) => {
            let values = values.into_iter();
            let values = values.map(|(name, value)| (name, shown(value, is_url)));
            Value::Object(values.collect())
        }
        value => value,
    }
}

/// A URL without its user, its query and its fragment. Where parsers could disagree about where these begin and end, more goes.
fn without_secrets(url: &str) -> String {
    let is_scheme = |text: &str| text.chars().all(|char| char.is_ascii_alphanumeric());
    let (scheme, rest) = match url.find("://") {
        Some(end) if is_scheme(&url[..end]) => url.split_at(end + 3),
        _ => ("", url),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_user, rest)) => (format!("{SECRET}@"), rest),
        None => (String::new(), rest),
    };
    match rest.find(['?', '#']) {
        Some(end) => {
            let (rest, query) = rest.split_at(end);
            format!("{scheme}{user}{rest}{}{SECRET}", &query[..1])
        }
        None => format!("{scheme}{user}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_hold_a_secret_is_taken_out_of_urls_and_nothing_else() {
        for (url, shown) in [
            ("http://proxy:3128", "http://proxy:3128"),
            (
                "http://user:hunter2@proxy:3128",
                "http://(secret)@proxy:3128",
            ),
            ("user:hunter2@proxy:3128", "(secret)@proxy:3128"),
            ("http://user:hunt@er2@proxy", "http://(secret)@proxy"),
            ("http://user:hunt/er2@proxy", "http://(secret)@proxy"),
            ("http://user:hunt://er2@proxy", "http://(secret)@proxy"),
            ("user:hunt://er2@proxy", "(secret)@proxy"),
            ("https://keys/a?token=hunter2#b", "https://keys/a?(secret)"),
            ("https://keys/a#hunter2", "https://keys/a#(secret)"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn urls_are_found_wherever_they_stand() {
        let mut settings = Settings::default();
        let url = "https://user:hunter2@keys";
        settings.note(
            "auth.jwt",
            &serde_json::json!([{"jwks_url": url, "name": "a@b"}]),
        );
        settings.note("agb.proxy", "user:hunter2@proxy");
        settings.note_secret("AGB_API_KEY", true);
        let shown: Vec<_> = settings
            .iter()
            .map(|(_, value)| value.to_string())
            .collect();
        assert_eq!(
            shown,
            [
                r#""(secret)""#,
                r#""(secret)@proxy""#,
                r#"[{"jwks_url":"https://(secret)@keys","name":"a@b"}]"#,
            ]
        );
    }
}
