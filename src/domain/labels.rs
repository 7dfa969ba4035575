//! Labels of sessions: what callers may set, and what the gateway keeps for itself.

use std::collections::BTreeMap;

use super::{Limit, Limits, Violations};

/// Keys with this prefix belong to the gateway.
pub const RESERVED_PREFIX: &str = "agb-gateway/";

/// Labels that passed the rules: keys and values that are not blank, of bounded length and number, with no reserved key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Checks the labels in `field`, and notes every one that breaks a rule.
    pub fn check(
        field: &str,
        labels: &BTreeMap<String, String>,
        limits: &Limits,
        violations: &mut Violations,
    ) -> Self {
        violations.check(field, limits.labels.check("be", labels.len()));
        for (key, value) in labels {
            if let Err(rule) = check_key(key, limits) {
                violations.add(format!("{field}[{key:?}]"), rule);
            }
            if let Err(rule) = check_value(value, limits) {
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

fn check_key(key: &str, limits: &Limits) -> Result<(), String> {
    if key.trim().is_empty() {
        return Err("must not have an empty key".to_owned());
    }
    if key.starts_with(RESERVED_PREFIX) {
        return Err(format!(
            "must not begin with {RESERVED_PREFIX:?}, which the gateway keeps for itself"
        ));
    }
    check_text("key", key, limits.label_key_chars)
}

fn check_value(value: &str, limits: &Limits) -> Result<(), String> {
    if value.trim().is_empty() {
        return Err("must not have an empty value".to_owned());
    }
    check_text("value", value, limits.label_value_chars)
}

fn check_text(what: &str, text: &str, max_chars: Limit) -> Result<(), String> {
    let chars = text.chars().count();
    if chars > max_chars.value {
        let max = max_chars.value;
        return Err(max_chars.broken(format_args!(
            "must have a {what} of at most {max} characters, got {chars}"
        )));
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
        Labels::check("labels", &labels, &Limits::default(), &mut violations);
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

    #[test]
    fn labels_may_be_as_many_and_as_long_as_the_limits_say() {
        let (key, value) = ("ü".repeat(63), "ü".repeat(255));
        assert!(violations(&[(&key, &value)]).is_empty());
        let many: Vec<_> = (0..21).map(|number| format!("key-{number}")).collect();
        let pairs: Vec<_> = many.iter().map(|key| (key.as_str(), "x")).collect();
        assert!(violations(&pairs[..20]).is_empty());
        assert_eq!(
            violations(&pairs),
            ["labels must be at most 20, got 21 (setting limits.max_labels)"]
        );
    }
}
