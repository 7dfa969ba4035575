//! Reads settings one by one, so that every problem can be told and not just the first.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use figment::Figment;
use figment::value::{Dict, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::settings::Settings;
use crate::domain::Limit;

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    setting: String,
    rule: String,
}

impl Problem {
    /// A problem with a setting. The rule must not repeat a secret.
    pub fn new(setting: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            rule: rule.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.setting, self.rule)
    }
}

/// Everything that is wrong with the configuration: displayed as one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Reads settings, and remembers problems, which settings there are, and what each one is.
pub(super) struct Reader<'a> {
    figment: &'a Figment,
    known: BTreeSet<&'static str>,
    settings: Settings,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(figment: &'a Figment) -> Self {
        Self {
            figment,
            known: BTreeSet::new(),
            settings: Settings::default(),
            problems: Vec::new(),
        }
    }

    /// A setting of any type; `None` when it is absent or wrong.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, setting: &'static str) -> Option<T> {
        let written = self.figment.find_value(setting).ok();
        self.settings.note(setting, &written);
        self.value(setting)
    }

    /// A setting of any type, which has a default.
    pub(super) fn or_default<T: DeserializeOwned + Serialize>(
        &mut self,
        setting: &'static str,
        default: T,
    ) -> T {
        let value = self.value(setting).unwrap_or(default);
        self.settings.note(setting, &value);
        value
    }

    fn value<T: DeserializeOwned>(&mut self, setting: &'static str) -> Option<T> {
        self.known.insert(setting);
        self.figment.find_value(setting).ok()?;
        match self.figment.extract_inner(setting) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(setting, rules(error));
                None
            }
        }
    }

    /// A setting that is parsed from text.
    pub(super) fn parsed<T>(
        &mut self,
        setting: &'static str,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let problems = self.problems.len();
        let text = self.value::<String>(setting);
        if self.problems.len() > problems {
            return None;
        }
        let text = text.as_deref().unwrap_or(default);
        self.settings.note(setting, text);
        match parse(text) {
            Ok(value) => Some(value),
            Err(rule) => {
                self.problem(setting, rule);
                None
            }
        }
    }

    /// A duration such as `30s` or `1m 30s`.
    pub(super) fn duration(
        &mut self,
        setting: &'static str,
        default: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.parsed(setting, default, |text| {
            let duration = humantime::parse_duration(text).map_err(|error| {
                format!("must be a duration such as \"30s\": {error}, got {text:?}")
            })?;
            if range.contains(&duration) {
                Ok(duration)
            } else {
                Err(format!(
                    "must be {} to {}, got {}",
                    humantime::format_duration(*range.start()),
                    humantime::format_duration(*range.end()),
                    humantime::format_duration(duration)
                ))
            }
        })
    }

    /// A whole number.
    pub(super) fn number(
        &mut self,
        setting: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Option<usize> {
        let problems = self.problems.len();
        let number = self.or_default(setting, default);
        if self.problems.len() > problems {
            return None;
        }
        if !range.contains(&number) {
            let (min, max) = range.into_inner();
            self.problem(setting, format!("must be {min} to {max}, got {number}"));
            return None;
        }
        usize::try_from(number).ok()
    }

    /// A limit, whose default it bears itself.
    pub(super) fn limit(&mut self, default: Limit, range: RangeInclusive<i64>) -> Option<Limit> {
        let number = i64::try_from(default.value).unwrap_or(i64::MAX);
        let value = self.number(default.setting, number, range)?;
        Some(Limit { value, ..default })
    }

    /// The entries of a list of sections; `None` stands for one that cannot be read, which is told by its place.
    pub(super) fn entries<T: DeserializeOwned + Serialize>(
        &mut self,
        setting: &'static str,
    ) -> Vec<Option<T>> {
        let entries: Vec<Value> = self.value(setting).unwrap_or_default();
        let entries = entries.iter().enumerate();
        let read = entries.map(|(index, entry)| match entry.deserialize() {
            Ok(entry) => Some(entry),
            Err(errors) => {
                for error in errors {
                    let fields = error.path.iter().map(|field| format!(".{field}"));
                    let place = format!("{setting}[{index}]{}", fields.collect::<String>());
                    self.problem(place, error.kind.to_string());
                }
                None
            }
        });
        let read: Vec<Option<T>> = read.collect();
        self.settings.note(setting, &read);
        read
    }

    /// The names of what a section holds, where these are not fixed.
    pub(super) fn names(&mut self, section: &'static str) -> Vec<String> {
        let settings: Dict = self.value(section).unwrap_or_default();
        settings.keys().cloned().collect()
    }

    /// A section whose name is not fixed. The error is the rule that it breaks.
    pub(super) fn section<T: DeserializeOwned + Serialize>(
        &mut self,
        section: &str,
    ) -> Result<T, String> {
        let read = self.figment.extract_inner(section).map_err(rules)?;
        self.settings.note_section(section, &read);
        Ok(read)
    }

    /// Notes a secret that is set elsewhere.
    pub(super) fn secret(&mut self, setting: &str, is_set: bool) {
        self.settings.note_secret(setting, is_set);
    }

    /// Notes a problem.
    pub(super) fn problem(&mut self, setting: impl Into<String>, rule: impl Into<String>) {
        self.problems.push(Problem::new(setting, rule));
    }

    /// What each setting is; or all problems, among them settings that nobody asked for.
    pub(super) fn finish(mut self) -> Result<Settings, Problems> {
        match self.figment.extract::<Dict>() {
            Ok(settings) => {
                let mut unknown = Vec::new();
                unknown_settings(&settings, "", &self.known, &mut unknown);
                for setting in unknown {
                    self.problem(setting, "is not a setting of the gateway");
                }
            }
            // A file that is no TOML: nothing in it could be read, so this is the one problem.
            Err(error) => {
                let rule = without_source(&error.to_string());
                self.problems = vec![Problem::new("configuration", rule)];
            }
        }
        if self.problems.is_empty() {
            Ok(self.settings)
        } else {
            Err(Problems(self.problems))
        }
    }
}

/// What is wrong, without figment's account of where it was found.
fn rules(error: figment::Error) -> String {
    let rules: Vec<_> = error
        .into_iter()
        .map(|error| error.kind.to_string())
        .collect();
    rules.join("; ")
}

/// What the TOML parser says, without the line that it shows: that may hold a password.
fn without_source(message: &str) -> String {
    let shown = |line: &&str| {
        let number = |char: char| char.is_ascii_digit() || char == ' ';
        line.trim_start_matches(number).starts_with('|')
    };
    let said: Vec<_> = message.lines().filter(|line| !shown(line)).collect();
    said.join("; ").replace("; in ", " in ")
}

fn unknown_settings(
    settings: &Dict,
    prefix: &str,
    known: &BTreeSet<&'static str>,
    unknown: &mut Vec<String>,
) {
    for (name, value) in settings {
        let setting = format!("{prefix}{name}");
        match value {
            Value::Dict(_, nested) if !known.contains(setting.as_str()) => {
                unknown_settings(nested, &format!("{setting}."), known, unknown);
            }
            _ if known.contains(setting.as_str()) => {}
            _ => unknown.push(setting),
        }
    }
}
