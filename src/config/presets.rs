//! Section `sync_policies`: policies with names, kept by the platform team.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reader::Reader;
use crate::domain::{
    BwList, DeletePolicy, DownloadPolicy, DownloadStrategy, ExtractPolicy, Lifecycle,
    MappingPolicy, MountPath, Preset, RecyclePolicy, SyncPolicy, UploadMode, UploadPolicy,
    UploadStrategy, WhiteList, exact_path,
};

const SECTION: &str = "sync_policies";

/// A preset as it is written: the parts of AGB's policy by the names of the protobuf messages, each with its default.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    description: String,
    upload_policy: Upload,
    download_policy: Download,
    delete_policy: Delete,
    extract_policy: Extract,
    recycle_policy: Recycle,
    bw_list: List,
    mapping_policy: Option<Mapping>,
}

macro_rules! part {
    ($name:ident {$($field:ident: $type:ty = $default:expr),* $(,)?}) => {
        #[derive(Deserialize, Serialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(clippy::struct_field_names)] // The names are those of the protobuf messages.
        struct $name {
            $($field: $type),*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
    };
}

part!(Upload {
    auto_upload: bool = true,
    upload_strategy: String = UploadStrategy::default().as_agb().to_owned(),
    upload_mode: String = UploadMode::default().as_agb().to_owned(),
});
part!(Download {
    auto_download: bool = true,
    download_strategy: String = DownloadStrategy::default().as_agb().to_owned(),
});
part!(Delete {
    sync_local_file: bool = true,
});
part!(Extract {
    extract: bool = true,
    delete_src_file: bool = true,
    extract_to_current_folder: bool = false,
});
part!(Recycle {
    lifecycle: String = Lifecycle::default().as_agb().to_owned(),
    paths: Vec<String> = vec![String::new()],
});
part!(List {
    white_lists: Vec<White> = Vec::new(),
});
part!(White {
    path: String = String::new(),
    exclude_paths: Vec<String> = Vec::new(),
});
part!(Mapping {
    path: String = String::new(),
});

/// Reads all presets; what is wrong with one is told with its name.
pub(super) fn read(reader: &mut Reader<'_>) -> BTreeMap<String, Preset> {
    let mut presets = BTreeMap::new();
    for name in reader.names(SECTION) {
        let setting = format!("{SECTION}.{name}");
        match reader
            .section::<Written>(&setting)
            .and_then(|written| policy(&written))
        {
            Ok((description, policy)) => {
                let preset = Preset {
                    description,
                    policy,
                };
                presets.insert(name, preset);
            }
            Err(rule) => reader.problem(setting, rule),
        }
    }
    presets
}

fn policy(written: &Written) -> Result<(String, SyncPolicy), String> {
    let in_field = |field: &'static str| move |rule: String| format!("{field} {rule}");
    let Written {
        upload_policy: upload,
        download_policy: download,
        extract_policy: extract,
        recycle_policy: recycle,
        ..
    } = written;
    let policy = SyncPolicy {
        upload: UploadPolicy {
            auto_upload: upload.auto_upload,
            strategy: word(
                "upload_policy.upload_strategy",
                &upload.upload_strategy,
                UploadStrategy::from_agb,
            )?,
            mode: word(
                "upload_policy.upload_mode",
                &upload.upload_mode,
                UploadMode::from_agb,
            )?,
        },
        download: DownloadPolicy {
            auto_download: download.auto_download,
            strategy: word(
                "download_policy.download_strategy",
                &download.download_strategy,
                DownloadStrategy::from_agb,
            )?,
        },
        delete: DeletePolicy {
            sync_local_file: written.delete_policy.sync_local_file,
        },
        extract: ExtractPolicy {
            extract: extract.extract,
            delete_src_file: extract.delete_src_file,
            extract_to_current_folder: extract.extract_to_current_folder,
        },
        recycle: RecyclePolicy {
            lifecycle: word(
                "recycle_policy.lifecycle",
                &recycle.lifecycle,
                Lifecycle::from_agb,
            )?,
            paths: exact_paths(&recycle.paths).map_err(in_field("recycle_policy.paths"))?,
        },
        bw_list: white_lists(&written.bw_list).map_err(in_field("bw_list.white_lists"))?,
        mapping: match &written.mapping_policy {
            Some(mapping) => Some(MappingPolicy {
                path: MountPath::try_new(&mapping.path).map_err(in_field("mapping_policy.path"))?,
            }),
            None => None,
        },
    };
    Ok((written.description.clone(), policy))
}

fn word<T>(field: &str, word: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, String> {
    read(word).ok_or_else(|| format!("{field} is none of AGB's words, got {word:?}"))
}

fn exact_paths(paths: &[String]) -> Result<Vec<String>, String> {
    paths.iter().map(|path| exact_path(path)).collect()
}

fn white_lists(list: &List) -> Result<BwList, String> {
    let white_lists = list.white_lists.iter().map(|white| {
        Ok(WhiteList {
            path: exact_path(&white.path)?,
            exclude_paths: exact_paths(&white.exclude_paths)?,
        })
    });
    Ok(BwList {
        white_lists: white_lists.collect::<Result<_, String>>()?,
    })
}
