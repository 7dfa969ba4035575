//! The policy text's own shape.

use serde::{Deserialize, Deserializer};

use crate::context::UploadMode;

/// All parts. Enumerations are read only to refuse values that AGB does not know.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WirePolicy {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) upload_policy: WireUploadPolicy,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) download_policy: WireDownloadPolicy,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) delete_policy: WireDeletePolicy,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) extract_policy: WireExtractPolicy,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) recycle_policy: WireRecyclePolicy,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) bw_list: WireBwList,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) mapping_policy: WireMappingPolicy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireUploadPolicy {
    pub(super) auto_upload: Option<bool>,
    #[serde(rename = "uploadStrategy")]
    _upload_strategy: Option<WireUploadStrategy>,
    pub(super) upload_mode: Option<UploadMode>,
}

#[derive(Debug, Deserialize)]
pub(super) enum WireUploadStrategy {
    UploadBeforeResourceRelease,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireDownloadPolicy {
    pub(super) auto_download: Option<bool>,
    #[serde(rename = "downloadStrategy")]
    _download_strategy: Option<WireDownloadStrategy>,
}

#[derive(Debug, Deserialize)]
pub(super) enum WireDownloadStrategy {
    DownloadAsync,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireDeletePolicy {
    pub(super) sync_local_file: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireExtractPolicy {
    pub(super) extract: Option<bool>,
    pub(super) delete_src_file: Option<bool>,
    pub(super) extract_to_current_folder: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireRecyclePolicy {
    pub(super) lifecycle: Option<WireLifecycle>,
    pub(super) paths: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum WireLifecycle {
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

impl WireLifecycle {
    /// `None` for ever.
    pub(super) fn days(self) -> Option<u16> {
        match self {
            Self::Days1 => Some(1),
            Self::Days3 => Some(3),
            Self::Days5 => Some(5),
            Self::Days10 => Some(10),
            Self::Days15 => Some(15),
            Self::Days30 => Some(30),
            Self::Days90 => Some(90),
            Self::Days180 => Some(180),
            Self::Days360 => Some(360),
            Self::Forever => None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireBwList {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) white_lists: Vec<WireWhiteList>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireWhiteList {
    pub(super) path: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) exclude_paths: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireMappingPolicy {
    pub(super) path: String,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
