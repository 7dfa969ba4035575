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
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::domain::{
        BwList, DeletePolicy, DownloadPolicy, DownloadStrategy, ExtractPolicy, Lifecycle,
        MappingPolicy, MountPath, RecyclePolicy, UploadMode, UploadPolicy, UploadStrategy,
        WhiteList,
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

    /// Reads a text as AGB would: by its own names alone.
    fn read(text: &str) -> Option<SyncPolicy> {
        let text: Value = serde_json::from_str(text).ok()?;
        let switch = |part: &str, name: &str| text[part][name].as_bool();
        let words = |value: &Value| -> Option<Vec<String>> {
            let words = value.as_array()?.iter();
            words.map(|word| Some(word.as_str()?.to_owned())).collect()
        };
        let white_lists = text["bwList"]["whiteLists"]
            .as_array()?
            .iter()
            .map(|white_list| {
                Some(WhiteList {
                    path: white_list["path"].as_str()?.to_owned(),
                    exclude_paths: words(&white_list["excludePaths"])?,
                })
            });
        let upload = &text["uploadPolicy"];
        let download = &text["downloadPolicy"];
        Some(SyncPolicy {
            upload: UploadPolicy {
                auto_upload: switch("uploadPolicy", "autoUpload")?,
                strategy: UploadStrategy::from_agb(upload["uploadStrategy"].as_str()?)?,
                mode: UploadMode::from_agb(upload["uploadMode"].as_str()?)?,
            },
            download: DownloadPolicy {
                auto_download: switch("downloadPolicy", "autoDownload")?,
                strategy: DownloadStrategy::from_agb(download["downloadStrategy"].as_str()?)?,
            },
            delete: DeletePolicy {
                sync_local_file: switch("deletePolicy", "syncLocalFile")?,
            },
            extract: ExtractPolicy {
                extract: switch("extractPolicy", "extract")?,
                delete_src_file: switch("extractPolicy", "deleteSrcFile")?,
                extract_to_current_folder: switch("extractPolicy", "extractToCurrentFolder")?,
            },
            recycle: RecyclePolicy {
                lifecycle: Lifecycle::from_agb(text["recyclePolicy"]["lifecycle"].as_str()?)?,
                paths: words(&text["recyclePolicy"]["paths"])?,
            },
            bw_list: BwList {
                white_lists: white_lists.collect::<Option<_>>()?,
            },
            mapping: match text.get("mappingPolicy") {
                None => None,
                Some(mapping) => Some(MappingPolicy {
                    path: MountPath::try_new(mapping["path"].as_str()?).ok()?,
                }),
            },
        })
    }

    fn policies() -> impl Strategy<Value = SyncPolicy> {
        let path = "[^\\u{0}-\\u{1f}]{0,12}";
        let paths = || proptest::collection::vec(path, 0..3);
        let white_lists = proptest::collection::vec((path, paths()), 0..3);
        let mapping = proptest::option::of("[^/\\u{0}-\\u{1f}\\u{7f}-\\u{9f}.]{1,12}");
        let lifecycles = [
            Lifecycle::Days1,
            Lifecycle::Days3,
            Lifecycle::Days5,
            Lifecycle::Days10,
            Lifecycle::Days15,
            Lifecycle::Days30,
            Lifecycle::Days90,
            Lifecycle::Days180,
            Lifecycle::Days360,
            Lifecycle::Forever,
        ];
        let recycle = (proptest::sample::select(lifecycles.to_vec()), paths());
        (any::<[bool; 7]>(), white_lists, recycle, mapping).prop_map(
            |(switches, white_lists, (lifecycle, paths), mapping)| SyncPolicy {
                upload: UploadPolicy {
                    auto_upload: switches[0],
                    strategy: UploadStrategy::BeforeResourceRelease,
                    mode: if switches[1] {
                        UploadMode::Archive
                    } else {
                        UploadMode::File
                    },
                },
                download: DownloadPolicy {
                    auto_download: switches[2],
                    strategy: DownloadStrategy::Async,
                },
                delete: DeletePolicy {
                    sync_local_file: switches[3],
                },
                extract: ExtractPolicy {
                    extract: switches[4],
                    delete_src_file: switches[5],
                    extract_to_current_folder: switches[6],
                },
                recycle: RecyclePolicy { lifecycle, paths },
                bw_list: BwList {
                    white_lists: white_lists
                        .into_iter()
                        .map(|(path, exclude_paths)| WhiteList {
                            path,
                            exclude_paths,
                        })
                        .collect(),
                },
                mapping: mapping.map(|name| MappingPolicy {
                    path: MountPath::try_new(&format!("/tmp/{name}")).unwrap(),
                }),
            },
        )
    }

    proptest! {
        #[test]
        fn policies_survive_the_way_to_agb_s_text_and_back(policy in policies()) {
            prop_assert_eq!(read(&policy_text(&policy)), Some(policy));
        }
    }
}
