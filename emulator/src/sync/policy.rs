//! The policy text of a mount, read and checked. A part that is missing has AGB's default.
//!
//! Archive mode, extraction and recycling are read and checked here, but have no effect yet.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

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
    white_lists: Vec<WhiteList>,
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
        for path in &wire.recycle_policy.paths {
            refuse_wildcards("recyclePolicy.paths", path)?;
        }
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
            white_lists,
        })
    }

    /// Whether a file, by its path below the mount path, takes part. Without white lists, every file does.
    pub(crate) fn includes(&self, path: &RelativePath) -> bool {
        self.white_lists.is_empty() || self.white_lists.iter().any(|list| list.includes(path))
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

/// The text's own shape. Enumerations are read only to refuse values that AGB does not know.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WirePolicy {
    #[serde(deserialize_with = "null_is_default")]
    upload_policy: WireUploadPolicy,
    #[serde(deserialize_with = "null_is_default")]
    download_policy: WireDownloadPolicy,
    #[serde(deserialize_with = "null_is_default")]
    delete_policy: WireDeletePolicy,
    #[serde(rename = "extractPolicy", deserialize_with = "null_is_default")]
    _extract_policy: WireExtractPolicy,
    #[serde(deserialize_with = "null_is_default")]
    recycle_policy: WireRecyclePolicy,
    #[serde(deserialize_with = "null_is_default")]
    bw_list: WireBwList,
    #[serde(deserialize_with = "null_is_default")]
    mapping_policy: WireMappingPolicy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireUploadPolicy {
    auto_upload: Option<bool>,
    #[serde(rename = "uploadStrategy")]
    _upload_strategy: Option<WireUploadStrategy>,
    #[serde(rename = "uploadMode")]
    _upload_mode: Option<WireUploadMode>,
}

#[derive(Debug, Deserialize)]
enum WireUploadStrategy {
    UploadBeforeResourceRelease,
}

#[derive(Debug, Deserialize)]
enum WireUploadMode {
    File,
    Archive,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireDownloadPolicy {
    auto_download: Option<bool>,
    #[serde(rename = "downloadStrategy")]
    _download_strategy: Option<WireDownloadStrategy>,
}

#[derive(Debug, Deserialize)]
enum WireDownloadStrategy {
    DownloadAsync,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireDeletePolicy {
    sync_local_file: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireExtractPolicy {
    #[serde(rename = "extract")]
    _extract: Option<bool>,
    #[serde(rename = "deleteSrcFile")]
    _delete_src_file: Option<bool>,
    #[serde(rename = "extractToCurrentFolder")]
    _extract_to_current_folder: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireRecyclePolicy {
    #[serde(rename = "lifecycle")]
    _lifecycle: Option<WireLifecycle>,
    #[serde(deserialize_with = "null_is_default")]
    paths: Vec<String>,
}

#[derive(Debug, Deserialize)]
enum WireLifecycle {
    #[serde(rename = "Lifecycle_1Day")]
    Days1,
    #[serde(rename = "Lifecycle_3Days")]
    Days3,
    #[serde(rename = "Lifecycle_5Days")]
    Days5,
    #[serde(rename = "Lifecycle_10Days")]
    Days10,
    #[serde(rename = "Lifecycle_15Days")]
    Days15,
    #[serde(rename = "Lifecycle_30Days")]
    Days30,
    #[serde(rename = "Lifecycle_90Days")]
    Days90,
    #[serde(rename = "Lifecycle_180Days")]
    Days180,
    #[serde(rename = "Lifecycle_360Days")]
    Days360,
    #[serde(rename = "Lifecycle_Forever")]
    Forever,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireBwList {
    #[serde(deserialize_with = "null_is_default")]
    white_lists: Vec<WireWhiteList>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireWhiteList {
    path: String,
    #[serde(deserialize_with = "null_is_default")]
    exclude_paths: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireMappingPolicy {
    path: String,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
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
            r#"{"bwList": {"whiteLists": [{"path": "/a?"}]}}"#,
            r#"{"bwList": {"whiteLists": [{"path": "../a"}]}}"#,
            r#"{"mappingPolicy": {"path": "relative"}}"#,
            r#"{"mappingPolicy": {"path": "/tmp/../etc"}}"#,
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
    }
}
