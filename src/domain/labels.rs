//! Labels of sessions: what callers may set, and what the gateway keeps for itself.

use std::collections::BTreeMap;

use super::Violations;

/// Keys with this prefix belong to the gateway.
pub const RESERVED_PREFIX: &str = "agb-gateway/";

const MAX_LABELS: usize = 20;
const MAX_KEY_CHARS: usize = 63;
const MAX_VALUE_CHARS: usize = 255;

/// Labels that passed the rules: keys and values that are not blank, of bounded length and number, with no reserved key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Checks the labels in `field`, and notes every one that breaks a rule.
    pub fn check(
        field: &str,
        labels: &BTreeMap<String, String>,
        violations: &mut Violations,
    ) -> Self {
        if labels.len() > MAX_LABELS {
            violations.add(
                field,
                format!("must be at most {MAX_LABELS}, got {}", labels.len()),
            );
        }
        for (key, value) in labels {
            if let Err(rule) = check_key(key) {
                violations.add(format!("{field}[{key:?}]"), rule);
            }
            if let Err(rule) = check_value(value) {
                violations.add(format!("{field}[{key:?}]"), rule);
            }
        }
        Self(labels.clone())
    }

    /// The labels by key.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

fn check_key(key: &str) -> Result<(), String> {
    if key.trim().is_empty() {
        return Err("must not have an empty key".to_owned());
    }
    if key.starts_with(RESERVED_PREFIX) {
        return Err(format!(
            "must not begin with {RESERVED_PREFIX:?}, which the gateway keeps for itself"
        ));
    }
    check_text("key", key, MAX_KEY_CHARS)
}

fn check_value(value: &str) -> Result<(), String> {
    if value.trim().is_empty() {
        return Err("must not have an empty value".to_owned());
    }
    check_text("value", value, MAX_VALUE_CHARS)
}

fn check_text(what: &str, text: &str, max_chars: usize) -> Result<(), String> {
    let chars = text.chars().count();
    if chars > max_chars {
        return Err(format!(
            "must have a {what} of at most {max_chars} characters, got {chars}"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("must have a {what} without control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(labels: &[(&str, &str)]) -> Vec<String> {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut violations = Violations::default();
        Labels::check("labels", &labels, &mut violations);
        violations
            .iter()
            .map(|violation| format!("{} {}", violation.field, violation.description))
            .collect()
    }

    #[test]
    fn ordinary_labels_pass() {
        assert!(violations(&[("purpose", "data-creation"), ("team", "größe")]).is_empty());
    }

    #[test]
    fn every_bad_label_is_named_with_its_rule() {
        let long = "x".repeat(256);
        for (key, value, rule) in [
            ("", "value", "empty key"),
            (" ", "value", "empty key"),
            ("key", "", "empty value"),
            ("agb-gateway/x", "value", "keeps for itself"),
            (&long, "value", "at most 63"),
            ("key", &long, "at most 255"),
            ("key", "a\u{0}", "control"),
        ] {
            let found = violations(&[(key, value)]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(rule), "{found:?}");
        }
    }
}
