//! Holds the alerts, their tests and docs/runbook.md together: every alert has an entry and is seen to fire and to be silent, and
//! nothing speaks of an alert that there is not.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const ALERTS: &str = "helm/agb-gateway/files/alerts.yaml";
const DASHBOARD: &str = "helm/agb-gateway/files/dashboard.json";
const RUNBOOK: &str = "docs/runbook.md";
const TESTS: &str = "tests/alerts";

/// The alerts by name, each with its lines.
fn alerts(rules: &str) -> BTreeMap<&str, Vec<&str>> {
    let rules = rules.split("\n      - ").skip(1);
    let alerts = rules.filter_map(|rule| rule.strip_prefix("alert: "));
    alerts
        .map(|alert| {
            let mut lines = alert.lines().map(str::trim);
            (lines.next().unwrap(), lines.collect())
        })
        .collect()
}

/// The titles of the runbook's entries.
fn entries(runbook: &str) -> impl Iterator<Item = &str> {
    runbook.lines().filter_map(|line| line.strip_prefix("### "))
}

/// What an alert lacks.
fn lacks(name: &str, lines: &[&str]) -> Vec<String> {
    let url = format!("runbook_url: {RUNBOOK}#{}", name.to_lowercase());
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    let severe = ["critical", "warning"]
        .iter()
        .any(|severity| lines.contains(&format!("labels: {{severity: {severity}}}").as_str()));
    [
        ("a severity", severe),
        ("a summary", has("summary: \"")),
        ("a description", has("description: \"")),
        ("its runbook_url", lines.contains(&url.as_str())),
    ]
    .iter()
    .filter(|(_, there)| !there)
    .map(|(what, _)| format!("{name} lacks {what}"))
    .collect()
}

/// The alerts that a test's text asks for, and whether each must fire there.
fn cases(text: &str) -> BTreeSet<(&str, bool)> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let pairs = lines.windows(2);
    pairs
        .filter_map(|pair| Some((pair[0].strip_prefix("alertname: ")?, pair[1])))
        .map(|(name, expected)| {
            assert!(expected.starts_with("exp_alerts:"), "{name}: {expected}");
            (name, expected != "exp_alerts: []")
        })
        .collect()
}

#[test]
fn every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() {
    let (rules, runbook) = (
        fs::read_to_string(ALERTS).unwrap(),
        fs::read_to_string(RUNBOOK).unwrap(),
    );
    let alerts = alerts(&rules);
    assert!(alerts.len() > 20, "only {} alerts found", alerts.len());
    assert_eq!(alerts.len(), rules.matches("- alert:").count());
    let named: BTreeSet<_> = alerts.keys().copied().collect();
    let told: Vec<_> = entries(&runbook).collect();
    assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), named);
    assert_eq!(told.len(), named.len(), "an entry comes twice");
    let wrong: Vec<_> = alerts
        .iter()
        .flat_map(|(name, lines)| lacks(name, lines))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_entry_tells_the_symptom_what_to_look_at_and_what_to_do() {
    let runbook = fs::read_to_string(RUNBOOK).unwrap();
    for entry in runbook.split("\n### ").skip(1) {
        let entry = entry.split("\n## ").next().unwrap();
        for part in ["\n**Symptom.** ", "\n**Look at** ", "\n**Do.** "] {
            assert_eq!(entry.matches(part).count(), 1, "{part:?} in {entry}");
        }
    }
}

#[test]
fn links_within_the_runbook_lead_to_an_entry() {
    let runbook = fs::read_to_string(RUNBOOK).unwrap();
    let there: BTreeSet<_> = entries(&runbook).map(str::to_lowercase).collect();
    let links = runbook.split("](#").skip(1);
    for link in links.map(|rest| rest.split(')').next().unwrap()) {
        assert!(there.contains(link), "#{link}");
    }
}

#[test]
fn panels_that_the_runbook_names_are_on_the_dashboard() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(DASHBOARD).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let titles: Vec<_> = panels
        .iter()
        .map(|panel| panel["title"].as_str().unwrap())
        .collect();
    let runbook = fs::read_to_string(RUNBOOK).unwrap();
    let prose: String = runbook.split('`').step_by(2).collect();
    let named: Vec<_> = prose.split('"').skip(1).step_by(2).collect();
    assert!(named.len() > 20, "only {} found", named.len());
    // The runbook may leave the end of a title away.
    for name in named.iter().filter(|name| **name != "Not guaranteed") {
        let there = titles.iter().any(|title| title.starts_with(name));
        assert!(there, "there is no panel {name:?}");
    }
}

#[test]
fn every_alert_is_seen_to_fire_and_to_be_silent() {
    let rules = fs::read_to_string(ALERTS).unwrap();
    let names = alerts(&rules);
    let expected: BTreeSet<_> = names
        .keys()
        .flat_map(|name| [(*name, true), (*name, false)])
        .collect();
    let files = fs::read_dir(TESTS).unwrap();
    let texts: Vec<_> = files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let found: BTreeSet<_> = texts.iter().flat_map(|text| cases(text)).collect();
    assert_eq!(found, expected);
}
