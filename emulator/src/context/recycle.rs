//! How long files stay: the rules that sessions' recycle policies leave with a context.
//!
//! A rule only tells which file has had its time. Who removes it, and when, is decided elsewhere.

use serde::{Deserialize, Serialize};

use crate::path::{AbsolutePath, RelativePath};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The files of one mount live for so many days from when they were last stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecycleRule {
    /// The path under which the context keeps the mount's files.
    pub(crate) original: AbsolutePath,
    pub(crate) days: u16,
    /// Which of them, by their path from there; `None` for all.
    pub(crate) paths: Option<Vec<RelativePath>>,
}

impl RecycleRule {
    /// When a file that was stored at that time has had its time; `None` when the rule does not concern it.
    pub(crate) fn ends_ms(&self, path: &AbsolutePath, modified_ms: i64) -> Option<i64> {
        let below = path.below(&self.original)?;
        let concerned = self
            .paths
            .as_ref()
            .is_none_or(|paths| paths.iter().any(|path| below.is_within(path)));
        concerned.then(|| modified_ms.saturating_add(i64::from(self.days) * DAY_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_concerns_its_paths_and_counts_from_the_last_change() {
        let absolute = |text| AbsolutePath::parse(text).unwrap();
        let rule = |paths: Option<&str>| RecycleRule {
            original: absolute("/tmp/data"),
            days: 3,
            paths: paths.map(|path| vec![RelativePath::parse(path).unwrap().unwrap()]),
        };
        let end = Some(1 + 3 * DAY_MS);
        assert_eq!(rule(None).ends_ms(&absolute("/tmp/data/a/b"), 1), end);
        assert_eq!(rule(None).ends_ms(&absolute("/tmp/database"), 1), None);
        assert_eq!(rule(Some("a")).ends_ms(&absolute("/tmp/data/a/b"), 1), end);
        assert_eq!(rule(Some("a")).ends_ms(&absolute("/tmp/data/ab"), 1), None);
    }
}
