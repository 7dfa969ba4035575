//! The policy text: the JSON text that AGB wants for each context of a new session.

use serde_json::json;

use crate::domain::SyncPolicy;

/// The exact text that AGB gets for a policy. All parts are written out but `mappingPolicy`, which is there only when asked for.
pub fn policy_text(policy: &SyncPolicy) -> String {
    let mut text = json!({
        "uploadPolicy": {
            "autoUpload": policy.upload.auto_upload,
            "uploadStrategy": policy.upload.strategy.as_agb(),
            "uploadMode": policy.upload.mode.as_agb(),
        },
        "downloadPolicy": {
            "autoDownload": policy.download.auto_download,
            "downloadStrategy": policy.download.strategy.as_agb(),
        },
        "deletePolicy": {"syncLocalFile": policy.delete.sync_local_file},
        "extractPolicy": {
            "extract": policy.extract.extract,
            "deleteSrcFile": policy.extract.delete_src_file,
            "extractToCurrentFolder": policy.extract.extract_to_current_folder,
        },
        "recyclePolicy": {
            "lifecycle": policy.recycle.lifecycle.as_agb(),
            "paths": policy.recycle.paths,
        },
        "bwList": {"whiteLists": policy.bw_list.white_lists.iter().map(|white_list| json!({
            "path": white_list.path,
            "excludePaths": white_list.exclude_paths,
        })).collect::<Vec<_>>()},
    });
    if let Some(mapping) = &policy.mapping {
        text["mappingPolicy"] = json!({"path": mapping.path.as_str()});
    }
    text.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::{
        BwList, DeletePolicy, DownloadPolicy, ExtractPolicy, Lifecycle, MappingPolicy, MountPath,
        RecyclePolicy, UploadMode, UploadPolicy, WhiteList,
    };

    fn text(policy: &SyncPolicy) -> Value {
        serde_json::from_str(&policy_text(policy)).unwrap()
    }

    #[test]
    fn the_default_policy_is_the_sdk_s() {
        // What `json.dumps(SyncPolicy().to_dict())` of the SDK says.
        assert_eq!(
            text(&SyncPolicy::default()),
            json!({
                "uploadPolicy": {"autoUpload": true, "uploadStrategy": "UploadBeforeResourceRelease", "uploadMode": "File"},
                "downloadPolicy": {"autoDownload": true, "downloadStrategy": "DownloadAsync"},
                "deletePolicy": {"syncLocalFile": true},
                "extractPolicy": {"extract": true, "deleteSrcFile": true, "extractToCurrentFolder": false},
                "recyclePolicy": {"lifecycle": "Lifecycle_Forever", "paths": [""]},
                "bwList": {"whiteLists": []},
            })
        );
    }

    #[test]
    fn every_field_finds_its_place() {
        let policy = SyncPolicy {
            upload: UploadPolicy {
                auto_upload: false,
                mode: UploadMode::Archive,
                ..UploadPolicy::default()
            },
            download: DownloadPolicy {
                auto_download: false,
                ..DownloadPolicy::default()
            },
            delete: DeletePolicy {
                sync_local_file: false,
            },
            extract: ExtractPolicy {
                extract: false,
                delete_src_file: false,
                extract_to_current_folder: true,
            },
            recycle: RecyclePolicy {
                lifecycle: Lifecycle::Days30,
                paths: vec!["/logs".to_owned()],
            },
            ..SyncPolicy::default()
        };
        assert_eq!(
            text(&policy),
            json!({
                "uploadPolicy": {"autoUpload": false, "uploadStrategy": "UploadBeforeResourceRelease", "uploadMode": "Archive"},
                "downloadPolicy": {"autoDownload": false, "downloadStrategy": "DownloadAsync"},
                "deletePolicy": {"syncLocalFile": false},
                "extractPolicy": {"extract": false, "deleteSrcFile": false, "extractToCurrentFolder": true},
                "recyclePolicy": {"lifecycle": "Lifecycle_30Days", "paths": ["/logs"]},
                "bwList": {"whiteLists": []},
            })
        );
    }

    #[test]
    fn a_mapping_and_white_lists_are_written_as_the_sdk_does() {
        let policy = SyncPolicy {
            bw_list: BwList {
                white_lists: vec![WhiteList {
                    path: "/Default".to_owned(),
                    exclude_paths: vec!["/Default/Cache".to_owned()],
                }],
            },
            mapping: Some(MappingPolicy {
                path: MountPath::try_new("/tmp/mapping").unwrap(),
            }),
            ..SyncPolicy::default()
        };
        let text = text(&policy);
        assert_eq!(text["mappingPolicy"], json!({"path": "/tmp/mapping"}));
        assert_eq!(
            text["bwList"],
            json!({"whiteLists": [{"path": "/Default", "excludePaths": ["/Default/Cache"]}]})
        );
    }
}
