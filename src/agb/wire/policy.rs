//! The policy text: the JSON text that AGB wants for each context of a new session.

use serde_json::{Value, json};

use crate::domain::{
    DownloadStrategy, Lifecycle, RecyclePolicy, SyncPolicy, UploadMode, UploadStrategy,
};

/// The exact text that AGB gets for a policy. All parts are written out but `mappingPolicy`, which is there only when asked for.
pub fn policy_text(policy: &SyncPolicy) -> String {
    let mut text = json!({
        "uploadPolicy": {
            "autoUpload": policy.upload.auto_upload,
            "uploadStrategy": upload_strategy(policy.upload.strategy),
            "uploadMode": upload_mode(policy.upload.mode),
        },
        "downloadPolicy": {
            "autoDownload": policy.download.auto_download,
            "downloadStrategy": download_strategy(policy.download.strategy),
        },
        "deletePolicy": {"syncLocalFile": policy.delete.sync_local_file},
        "extractPolicy": {
            "extract": policy.extract.extract,
            "deleteSrcFile": policy.extract.delete_src_file,
            "extractToCurrentFolder": policy.extract.extract_to_current_folder,
        },
        "recyclePolicy": recycle_policy(&policy.recycle),
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

fn recycle_policy(policy: &RecyclePolicy) -> Value {
    json!({"lifecycle": lifecycle(policy.lifecycle), "paths": policy.paths})
}

fn upload_strategy(strategy: UploadStrategy) -> &'static str {
    match strategy {
        UploadStrategy::BeforeResourceRelease => "UploadBeforeResourceRelease",
    }
}

fn upload_mode(mode: UploadMode) -> &'static str {
    match mode {
        UploadMode::File => "File",
        UploadMode::Archive => "Archive",
    }
}

fn download_strategy(strategy: DownloadStrategy) -> &'static str {
    match strategy {
        DownloadStrategy::Async => "DownloadAsync",
    }
}

fn lifecycle(lifecycle: Lifecycle) -> &'static str {
    match lifecycle {
        Lifecycle::Days1 => "Lifecycle_1Day",
        Lifecycle::Days3 => "Lifecycle_3Days",
        Lifecycle::Days5 => "Lifecycle_5Days",
        Lifecycle::Days10 => "Lifecycle_10Days",
        Lifecycle::Days15 => "Lifecycle_15Days",
        Lifecycle::Days30 => "Lifecycle_30Days",
        Lifecycle::Days90 => "Lifecycle_90Days",
        Lifecycle::Days180 => "Lifecycle_180Days",
        Lifecycle::Days360 => "Lifecycle_360Days",
        Lifecycle::Forever => "Lifecycle_Forever",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BwList, MappingPolicy, MountPath, WhiteList};

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
