//! How much callers may ask for: each limit with the name of the setting that changes it.
//!
//! Not here is what is not the operator's to change: paths, which Linux limits, AGB's identifiers, and which timeouts AGB knows.

use std::fmt::Display;
use std::time::Duration;

/// A limit, and the setting by which the operator changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<T = usize> {
    /// The name of the setting.
    pub setting: &'static str,
    /// The most that is taken.
    pub value: T,
}

impl<T> Limit<T> {
    const fn new(setting: &'static str, value: T) -> Self {
        Self { setting, value }
    }
}

impl Limit {
    /// Passes a count that keeps to the limit. The error is the rule: what there must be at most, what there is, the setting.
    pub fn check(self, what: &str, count: usize) -> Result<usize, String> {
        if count <= self.value {
            return Ok(count);
        }
        Err(self.broken(format!("must {what} at most {}, got {count}", self.value)))
    }
}

impl<T> Limit<T> {
    /// A rule that a value beyond the limit breaks, with the setting.
    pub fn broken(&self, rule: impl Display) -> String {
        format!("{rule} (setting {})", self.setting)
    }
}

/// A page of a list: how many entries when the caller does not say, and how many at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSizes {
    /// When the caller does not say.
    pub default: Limit,
    /// At most.
    pub max: Limit,
}

/// Everything that callers may ask for only so much of. The defaults are those of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pages of contexts, of sessions and of presets.
    pub pages: PageSizes,
    /// Pages of files of a context; AGB is asked for pages of the largest size where the gateway looks at all files.
    pub file_pages: PageSizes,
    /// How many sessions a list may skip. Skipping costs one call of AGB for each largest page.
    pub skip: Limit,
    /// Labels of a session.
    pub labels: Limit,
    /// Characters of a label's key.
    pub label_key_chars: Limit,
    /// Characters of a label's value.
    pub label_value_chars: Limit,
    /// Characters of a context's name.
    pub name_chars: Limit,
    /// Contexts that one session mounts.
    pub context_syncs: Limit,
    /// Paths that one ResolveMapping resolves.
    pub resolved_paths: Limit,
    /// Paths that InspectMapping shows of those that it finds.
    pub sample_paths: Limit,
    /// Discrepancies that VerifyMapping tells one by one.
    pub discrepancies: Limit,
    /// Bytes of data in one message of a streamed file, either way.
    pub piece_bytes: Limit,
    /// Bytes of a session's file that one call of AGB's tools reads or writes.
    pub session_piece_bytes: Limit,
    /// How long a command, code or a tool may be given.
    pub tool_timeout: Limit<Duration>,
    /// How long a session may be left idle.
    pub idle_timeout: Limit<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pages: PageSizes {
                default: Limit::new("limits.default_page_size", 10),
                max: Limit::new("limits.max_page_size", 100),
            },
            file_pages: PageSizes {
                default: Limit::new("limits.default_file_page_size", 50),
                max: Limit::new("limits.max_file_page_size", 500),
            },
            skip: Limit::new("limits.max_skip", 10_000),
            labels: Limit::new("limits.max_labels", 20),
            label_key_chars: Limit::new("limits.max_label_key_chars", 63),
            label_value_chars: Limit::new("limits.max_label_value_chars", 255),
            name_chars: Limit::new("limits.max_name_chars", 255),
            context_syncs: Limit::new("limits.max_context_syncs", 100),
            resolved_paths: Limit::new("limits.max_resolved_paths", 1_000),
            sample_paths: Limit::new("limits.max_sample_paths", 20),
            discrepancies: Limit::new("limits.max_discrepancies", 1_000),
            piece_bytes: Limit::new("limits.max_piece_bytes", 1 << 20),
            // The size of a piece in AGB's SDK: what its tools are known to take.
            session_piece_bytes: Limit::new("limits.session_piece_bytes", 50 * 1024),
            tool_timeout: Limit::new("limits.max_tool_timeout", Duration::from_hours(1)),
            idle_timeout: Limit::new("limits.max_idle_timeout", Duration::from_hours(24)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_its_limit_is_told_with_the_limit_the_count_and_the_setting() {
        let labels = Limits::default().labels;
        assert_eq!(labels.check("hold", 20), Ok(20));
        assert_eq!(
            labels.check("hold", 21).unwrap_err(),
            "must hold at most 20, got 21 (setting limits.max_labels)"
        );
    }
}
