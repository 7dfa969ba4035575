//! The policy text of a mount, read and checked. A part that is missing has AGB's default.
//!
//! It decides which files take part and what is to be done with them. It does nothing itself.

mod wire;

use serde_json::{Map, Value};

use self::wire::{WirePolicy, WireRecyclePolicy, WireWhiteList};
use crate::context::{RecycleRule, UploadMode};
use crate::path::{AbsolutePath, PathError, RelativePath};

/// Why a policy text was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyError {
    #[error("the policy is no valid JSON policy: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("{0} must be an object")]
    NoObject(String),
    #[error("wildcards are not supported in {field}: {path}")]
    Wildcard { field: &'static str, path: String },
    #[error("{field}: {source}: {path}")]
    Path {
        field: &'static str,
        path: String,
        source: PathError,
    },
}

/// What the emulator goes by.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) auto_upload: bool,
    pub(crate) auto_download: bool,
    /// Whether a file that was deleted in the session is deleted in the context.
    pub(crate) sync_local_file: bool,
    /// Where the data lay in the session that stored it; `None` when it is the mount path.
    pub(crate) original_path: Option<AbsolutePath>,
    pub(crate) upload_mode: UploadMode,
    pub(crate) extract: ExtractPolicy,
    white_lists: Vec<WhiteList>,
    recycle: RecyclePolicy,
}

/// What becomes of archives that a download brings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtractPolicy {
    pub(crate) extract: bool,
    /// Whether the archive itself is left out of the session once it is extracted.
    pub(crate) delete_source: bool,
    /// Into the folder where the archive lies, instead of one that bears its name.
    pub(crate) to_current_folder: bool,
}

/// How long which files stay.
#[derive(Debug, Clone)]
struct RecyclePolicy {
    /// `None` for ever.
    days: Option<u16>,
    /// As they were written; an empty one stands for all.
    paths: Vec<String>,
}

#[derive(Debug, Clone)]
struct WhiteList {
    /// `None` for the whole mount.
    path: Option<RelativePath>,
    excluded: Vec<RelativePath>,
}

impl Policy {
    /// Reads a policy; an empty text stands for the defaults.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let parts: Map<String, Value> =
            serde_json::from_str(if text.trim().is_empty() { "{}" } else { text })?;
        // Arrays would be read as structs by position.
        if let Some((name, _)) = parts
            .iter()
            .find(|(_, part)| !part.is_object() && !part.is_null())
        {
            return Err(PolicyError::NoObject(name.clone()));
        }
        let wire: WirePolicy = serde_json::from_value(Value::Object(parts))?;
        let white_lists = wire
            .bw_list
            .white_lists
            .iter()
            .map(WhiteList::read)
            .collect::<Result<_, _>>()?;
        let original_path = match wire.mapping_policy.path.as_str() {
            "" => None,
            path => Some(
                AbsolutePath::parse(path).map_err(|source| PolicyError::Path {
                    field: "mappingPolicy.path",
                    path: path.to_owned(),
                    source,
                })?,
            ),
        };
        Ok(Self {
            auto_upload: wire.upload_policy.auto_upload.unwrap_or(true),
            auto_download: wire.download_policy.auto_download.unwrap_or(true),
            sync_local_file: wire.delete_policy.sync_local_file.unwrap_or(true),
            original_path,
            upload_mode: wire.upload_policy.upload_mode.unwrap_or(UploadMode::File),
            extract: ExtractPolicy {
                extract: wire.extract_policy.extract.unwrap_or(true),
                delete_source: wire.extract_policy.delete_src_file.unwrap_or(true),
                to_current_folder: wire
                    .extract_policy
                    .extract_to_current_folder
                    .unwrap_or(false),
            },
            white_lists,
            recycle: RecyclePolicy::read(wire.recycle_policy)?,
        })
    }

    /// What this policy means for the files that a mount at that path stores under the original path; `None` when they stay
    /// for ever.
    pub(crate) fn recycle_rule(
        &self,
        mount: &AbsolutePath,
        original: &AbsolutePath,
    ) -> Option<RecycleRule> {
        let paths = self.recycle.below(mount, original);
        let nothing = paths.as_ref().is_some_and(Vec::is_empty);
        let days = self.recycle.days.filter(|_| !nothing)?;
        Some(RecycleRule {
            original: original.clone(),
            days,
            paths,
        })
    }

    /// Whether a file, by its path below the mount path, takes part. Without white lists, every file does.
    pub(crate) fn includes(&self, path: &RelativePath) -> bool {
        self.white_lists.is_empty() || self.white_lists.iter().any(|list| list.includes(path))
    }
}

impl RecyclePolicy {
    const FIELD: &str = "recyclePolicy.paths";

    fn read(wire: WireRecyclePolicy) -> Result<Self, PolicyError> {
        let paths = wire.paths.unwrap_or_else(|| vec![String::new()]);
        for path in &paths {
            read_relative(Self::FIELD, path.trim())?;
        }
        Ok(Self {
            days: wire.lifecycle.and_then(wire::WireLifecycle::days),
            paths,
        })
    }

    /// The paths below the mount; `None` for all of it. AGB does not say what they are relative to: one that lies below the
    /// mount or the original path is taken as absolute, and every one as relative to the mount.
    fn below(&self, mount: &AbsolutePath, original: &AbsolutePath) -> Option<Vec<RelativePath>> {
        let mut below = Vec::new();
        for text in self.paths.iter().map(|path| path.trim()) {
            let relative = RelativePath::parse(text).ok()??;
            if let Ok(absolute) = AbsolutePath::parse(text) {
                for base in [mount, original] {
                    if absolute == *base {
                        return None;
                    }
                    below.extend(absolute.below(base));
                }
            }
            below.push(relative);
        }
        Some(below)
    }
}

impl WhiteList {
    fn read(wire: &WireWhiteList) -> Result<Self, PolicyError> {
        let path = read_relative("bwList.whiteLists.path", &wire.path)?;
        let mut excluded = Vec::new();
        for text in &wire.exclude_paths {
            excluded.extend(read_relative("bwList.whiteLists.excludePaths", text)?);
        }
        Ok(Self { path, excluded })
    }

    fn includes(&self, path: &RelativePath) -> bool {
        let listed = self
            .path
            .as_ref()
            .is_none_or(|listed| path.is_within(listed));
        listed
            && !self
                .excluded
                .iter()
                .any(|excluded| self.excludes(path, excluded))
    }

    /// AGB does not say whether an excluded path is relative to the mount or to the listed path: both are taken.
    fn excludes(&self, path: &RelativePath, excluded: &RelativePath) -> bool {
        let below_listed = self
            .path
            .as_ref()
            .is_some_and(|listed| path.is_within(&listed.join(excluded)));
        path.is_within(excluded) || below_listed
    }
}

fn read_relative(field: &'static str, text: &str) -> Result<Option<RelativePath>, PolicyError> {
    refuse_wildcards(field, text)?;
    RelativePath::parse(text).map_err(|source| PolicyError::Path {
        field,
        path: text.to_owned(),
        source,
    })
}

fn refuse_wildcards(field: &'static str, path: &str) -> Result<(), PolicyError> {
    if path.contains(['*', '?', '[', ']']) {
        return Err(PolicyError::Wildcard {
            field,
            path: path.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn includes(policy: &str, path: &str) -> bool {
        Policy::parse(policy)
            .unwrap()
            .includes(&RelativePath::parse(path).unwrap().unwrap())
    }

    #[test]
    fn missing_parts_have_the_defaults() {
        for text in ["", "{}", r#"{"uploadPolicy": null}"#] {
            let policy = Policy::parse(text).unwrap();
            assert!(policy.auto_upload && policy.auto_download && policy.sync_local_file);
            assert_eq!(policy.original_path, None);
        }
    }

    #[test]
    fn a_white_list_limits_and_its_exclusions_limit_further() {
        let policy = r#"{"bwList": {"whiteLists": [{"path": "/keep", "excludePaths": ["/keep/not", "nor"]}]}}"#;
        assert!(includes(policy, "keep/a"));
        assert!(!includes(policy, "keeper"));
        assert!(!includes(policy, "keep/not/a"));
        assert!(!includes(policy, "keep/nor"));
        assert!(!includes(policy, "other"));
    }

    #[test]
    fn what_agb_does_not_know_is_refused() {
        for text in [
            "no JSON",
            "[]",
            r#"{"uploadPolicy": [true]}"#,
            r#"{"uploadPolicy": {"uploadMode": "Zip"}}"#,
            r#"{"recyclePolicy": {"lifecycle": "Lifecycle_2Days"}}"#,
            r#"{"recyclePolicy": {"paths": ["/a/*"]}}"#,
            r#"{"recyclePolicy": {"paths": ["../a"]}}"#,
            r#"{"bwList": {"whiteLists": [{"path": "/a?"}]}}"#,
            r#"{"bwList": {"whiteLists": [{"path": "../a"}]}}"#,
            r#"{"mappingPolicy": {"path": "relative"}}"#,
            r#"{"mappingPolicy": {"path": "/tmp/../etc"}}"#,
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_recycle_rule_names_days_and_paths_below_the_original() {
        let absolute = |text| AbsolutePath::parse(text).unwrap();
        let (mount, original) = (absolute("/home/data"), absolute("/tmp/data"));
        let rule = |text: &str| {
            Policy::parse(&format!(r#"{{"recyclePolicy": {text}}}"#))
                .unwrap()
                .recycle_rule(&mount, &original)
        };
        assert_eq!(rule(r#"{"lifecycle": "Lifecycle_Forever"}"#), None);
        assert_eq!(
            rule(r#"{"lifecycle": "Lifecycle_1Day", "paths": []}"#),
            None
        );
        for all in [
            r#"{"lifecycle": "Lifecycle_3Days"}"#,
            r#"{"lifecycle": "Lifecycle_3Days", "paths": [""]}"#,
            r#"{"lifecycle": "Lifecycle_3Days", "paths": ["/home/data"]}"#,
        ] {
            let rule = rule(all).unwrap();
            assert_eq!((rule.days, rule.paths), (3, None), "{all}");
        }
        let some = rule(r#"{"lifecycle": "Lifecycle_360Days", "paths": ["/home/data/cache"]}"#);
        let some = some.unwrap();
        assert_eq!(some.days, 360);
        assert!(some.ends_ms(&absolute("/tmp/data/cache/x"), 0).is_some());
        assert!(some.ends_ms(&absolute("/tmp/data/x"), 0).is_none());
    }
}
