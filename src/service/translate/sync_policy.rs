//! A caller's policy, laid field by field over a full one.

use std::collections::BTreeMap;

use super::field::choice;
use crate::domain::{
    BwList, DeletePolicy, DownloadPolicy, DownloadStrategy, ExtractPolicy, Lifecycle,
    MappingPolicy, MountPath, Preset, RecyclePolicy, SyncPolicy, UploadMode, UploadPolicy,
    UploadStrategy, Violations, WhiteList, exact_path,
};
use crate::proto::v1 as pb;

/// The policy `base` with everything that `policy` sets. What is wrong is noted under `field`.
fn sync_policy(
    base: SyncPolicy,
    policy: &pb::SyncPolicy,
    field: &str,
    violations: &mut Violations,
) -> SyncPolicy {
    let at = |part: &str| format!("{field}.{part}");
    SyncPolicy {
        upload: match &policy.upload_policy {
            Some(part) => upload(&base.upload, part, &at("upload_policy"), violations),
            None => base.upload,
        },
        download: match &policy.download_policy {
            Some(part) => download(&base.download, *part, &at("download_policy"), violations),
            None => base.download,
        },
        delete: match &policy.delete_policy {
            Some(part) => DeletePolicy {
                sync_local_file: part.sync_local_file.unwrap_or(base.delete.sync_local_file),
            },
            None => base.delete,
        },
        extract: match &policy.extract_policy {
            Some(part) => extract(&base.extract, *part),
            None => base.extract,
        },
        recycle: match &policy.recycle_policy {
            Some(part) => recycle(base.recycle, part, &at("recycle_policy"), violations),
            None => base.recycle,
        },
        bw_list: match &policy.bw_list {
            Some(part) => bw_list(part, &at("bw_list"), violations),
            None => base.bw_list,
        },
        mapping: match &policy.mapping_policy {
            Some(part) if part.path.is_empty() => None,
            Some(part) => mapping(part, &at("mapping_policy"), violations),
            None => base.mapping,
        },
    }
}

/// The policy of a preset, or AGB's default where none is named, with everything that `policy` sets. `prefix` is the path of
/// the message that holds both fields.
pub(in crate::service) fn preset_with(
    presets: &BTreeMap<String, Preset>,
    preset: &str,
    policy: Option<&pb::SyncPolicy>,
    prefix: &str,
    violations: &mut Violations,
) -> SyncPolicy {
    let base = if preset.is_empty() {
        SyncPolicy::default()
    } else if let Some(preset) = presets.get(preset) {
        preset.policy.clone()
    } else {
        violations.add(
            format!("{prefix}preset"),
            format!("is not the name of a preset in the gateway's configuration, got {preset:?}"),
        );
        SyncPolicy::default()
    };
    match policy {
        Some(policy) => sync_policy(base, policy, &format!("{prefix}policy"), violations),
        None => base,
    }
}

/// Lays an enum over `base`: unspecified keeps what was there, and a number that is not known is noted.
fn chosen<E: TryFrom<i32>, T>(
    number: i32,
    base: T,
    choose: impl FnOnce(E) -> Option<T>,
    field: &str,
    violations: &mut Violations,
) -> T {
    violations
        .check(field, choice(number))
        .and_then(choose)
        .unwrap_or(base)
}

fn upload(
    base: &UploadPolicy,
    policy: &pb::UploadPolicy,
    field: &str,
    violations: &mut Violations,
) -> UploadPolicy {
    UploadPolicy {
        auto_upload: policy.auto_upload.unwrap_or(base.auto_upload),
        strategy: chosen(
            policy.upload_strategy,
            base.strategy,
            |strategy| match strategy {
                pb::UploadStrategy::Unspecified => None,
                pb::UploadStrategy::BeforeResourceRelease => {
                    Some(UploadStrategy::BeforeResourceRelease)
                }
            },
            &format!("{field}.upload_strategy"),
            violations,
        ),
        mode: chosen(
            policy.upload_mode,
            base.mode,
            |mode| match mode {
                pb::UploadMode::Unspecified => None,
                pb::UploadMode::File => Some(UploadMode::File),
                pb::UploadMode::Archive => Some(UploadMode::Archive),
            },
            &format!("{field}.upload_mode"),
            violations,
        ),
    }
}

fn download(
    base: &DownloadPolicy,
    policy: pb::DownloadPolicy,
    field: &str,
    violations: &mut Violations,
) -> DownloadPolicy {
    DownloadPolicy {
        auto_download: policy.auto_download.unwrap_or(base.auto_download),
        strategy: chosen(
            policy.download_strategy,
            base.strategy,
            |strategy| match strategy {
                pb::DownloadStrategy::Unspecified => None,
                pb::DownloadStrategy::Async => Some(DownloadStrategy::Async),
            },
            &format!("{field}.download_strategy"),
            violations,
        ),
    }
}

fn extract(base: &ExtractPolicy, policy: pb::ExtractPolicy) -> ExtractPolicy {
    ExtractPolicy {
        extract: policy.extract.unwrap_or(base.extract),
        delete_src_file: policy.delete_src_file.unwrap_or(base.delete_src_file),
        extract_to_current_folder: policy
            .extract_to_current_folder
            .unwrap_or(base.extract_to_current_folder),
    }
}

fn recycle(
    base: RecyclePolicy,
    policy: &pb::RecyclePolicy,
    field: &str,
    violations: &mut Violations,
) -> RecyclePolicy {
    let paths = exact_paths(&policy.paths, &format!("{field}.paths"), violations);
    RecyclePolicy {
        lifecycle: chosen(
            policy.lifecycle,
            base.lifecycle,
            lifecycle,
            &format!("{field}.lifecycle"),
            violations,
        ),
        paths: if paths.is_empty() { base.paths } else { paths },
    }
}

fn lifecycle(lifecycle: pb::Lifecycle) -> Option<Lifecycle> {
    match lifecycle {
        pb::Lifecycle::Unspecified => None,
        pb::Lifecycle::Lifecycle1Day => Some(Lifecycle::Days1),
        pb::Lifecycle::Lifecycle3Days => Some(Lifecycle::Days3),
        pb::Lifecycle::Lifecycle5Days => Some(Lifecycle::Days5),
        pb::Lifecycle::Lifecycle10Days => Some(Lifecycle::Days10),
        pb::Lifecycle::Lifecycle15Days => Some(Lifecycle::Days15),
        pb::Lifecycle::Lifecycle30Days => Some(Lifecycle::Days30),
        pb::Lifecycle::Lifecycle90Days => Some(Lifecycle::Days90),
        pb::Lifecycle::Lifecycle180Days => Some(Lifecycle::Days180),
        pb::Lifecycle::Lifecycle360Days => Some(Lifecycle::Days360),
        pb::Lifecycle::Forever => Some(Lifecycle::Forever),
    }
}

fn bw_list(list: &pb::BwList, field: &str, violations: &mut Violations) -> BwList {
    let white_lists = list
        .white_lists
        .iter()
        .enumerate()
        .map(|(index, white_list)| {
            let field = format!("{field}.white_lists[{index}]");
            WhiteList {
                path: violations
                    .check(&format!("{field}.path"), exact_path(&white_list.path))
                    .unwrap_or_default(),
                exclude_paths: exact_paths(
                    &white_list.exclude_paths,
                    &format!("{field}.exclude_paths"),
                    violations,
                ),
            }
        })
        .collect();
    BwList { white_lists }
}

fn mapping(
    policy: &pb::MappingPolicy,
    field: &str,
    violations: &mut Violations,
) -> Option<MappingPolicy> {
    let path = violations.check(&format!("{field}.path"), MountPath::try_new(&policy.path))?;
    Some(MappingPolicy { path })
}

fn exact_paths(paths: &[String], field: &str, violations: &mut Violations) -> Vec<String> {
    paths
        .iter()
        .enumerate()
        .filter_map(|(index, path)| {
            violations.check(&format!("{field}[{index}]"), exact_path(path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_over(policy: &pb::SyncPolicy) -> (SyncPolicy, Vec<String>) {
        let mut violations = Violations::default();
        let policy = sync_policy(SyncPolicy::default(), policy, "policy", &mut violations);
        let fields = violations
            .iter()
            .map(|violation| violation.field.clone())
            .collect();
        (policy, fields)
    }

    #[test]
    fn what_is_unset_stays_as_it_was() {
        let empty = pb::SyncPolicy {
            upload_policy: Some(pb::UploadPolicy::default()),
            download_policy: Some(pb::DownloadPolicy::default()),
            delete_policy: Some(pb::DeletePolicy::default()),
            extract_policy: Some(pb::ExtractPolicy::default()),
            recycle_policy: Some(pb::RecyclePolicy::default()),
            bw_list: Some(pb::BwList::default()),
            mapping_policy: None,
        };
        for policy in [pb::SyncPolicy::default(), empty] {
            assert_eq!(laid_over(&policy), (SyncPolicy::default(), vec![]));
        }
    }

    #[test]
    fn single_fields_are_laid_over() {
        let (policy, violations) = laid_over(&pb::SyncPolicy {
            upload_policy: Some(pb::UploadPolicy {
                auto_upload: Some(false),
                upload_mode: pb::UploadMode::Archive.into(),
                ..pb::UploadPolicy::default()
            }),
            recycle_policy: Some(pb::RecyclePolicy {
                lifecycle: pb::Lifecycle::Lifecycle30Days.into(),
                paths: vec!["/logs".to_owned()],
            }),
            mapping_policy: Some(pb::MappingPolicy {
                path: "/tmp/mapping".to_owned(),
            }),
            ..pb::SyncPolicy::default()
        });
        assert_eq!(violations, Vec::<String>::new());
        assert!(!policy.upload.auto_upload);
        assert_eq!(policy.upload.mode, UploadMode::Archive);
        assert_eq!(policy.recycle.lifecycle, Lifecycle::Days30);
        assert_eq!(policy.recycle.paths, ["/logs"]);
        assert_eq!(policy.mapping.unwrap().path.as_str(), "/tmp/mapping");
        assert!(policy.download.auto_download);
    }

    #[test]
    fn everything_that_is_wrong_is_noted_by_its_path() {
        let (_, violations) = laid_over(&pb::SyncPolicy {
            upload_policy: Some(pb::UploadPolicy {
                upload_mode: 99,
                ..pb::UploadPolicy::default()
            }),
            recycle_policy: Some(pb::RecyclePolicy {
                lifecycle: 99,
                paths: vec!["ok".to_owned(), "*.log".to_owned()],
            }),
            bw_list: Some(pb::BwList {
                white_lists: vec![pb::WhiteList {
                    path: "a?".to_owned(),
                    exclude_paths: vec!["[x]".to_owned()],
                }],
            }),
            mapping_policy: Some(pb::MappingPolicy {
                path: "/opt/data".to_owned(),
            }),
            ..pb::SyncPolicy::default()
        });
        let expected = [
            "policy.upload_policy.upload_mode",
            "policy.recycle_policy.paths[1]",
            "policy.recycle_policy.lifecycle",
            "policy.bw_list.white_lists[0].path",
            "policy.bw_list.white_lists[0].exclude_paths[0]",
            "policy.mapping_policy.path",
        ];
        assert_eq!(violations, expected);
    }
}
