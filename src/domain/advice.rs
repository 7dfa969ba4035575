//! Advice on policies that are allowed and yet probably not meant.

use super::{MountPath, SyncPolicy, UploadMode};

/// Something that is allowed and yet probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The field, below the policy.
    pub field: &'static str,
    /// A stable name.
    pub reason: &'static str,
    /// What happens, and what to do instead.
    pub description: &'static str,
}

/// What of a context matters to advice.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContextContents {
    /// Whether it holds files that were not stored as archives.
    pub plain_files: bool,
}

/// Advice on a policy, for a context with such contents that is mounted at `path`.
pub fn advice(
    policy: &SyncPolicy,
    path: Option<&MountPath>,
    contents: ContextContents,
) -> Vec<Advice> {
    let mut advice = Vec::new();
    let mapped_to_itself = policy
        .mapping
        .as_ref()
        .is_some_and(|mapping| Some(&mapping.path) == path);
    if mapped_to_itself {
        advice.push(Advice {
            field: "mapping_policy.path",
            reason: "MAPPING_EQUALS_MOUNT_PATH",
            description: "The data was stored under the very path at which it is mounted: the mapping changes nothing. Leave it out.",
        });
    }
    if !policy.upload.auto_upload {
        advice.push(Advice {
            field: "upload_policy.auto_upload",
            reason: "NO_AUTO_UPLOAD",
            description: "Nothing is uploaded when the session ends: what no SyncContexts, or DeleteSession with sync_contexts, has uploaded is lost.",
        });
    }
    if policy.upload.mode == UploadMode::Archive && contents.plain_files {
        advice.push(Advice {
            field: "upload_policy.upload_mode",
            reason: "ARCHIVE_MODE_ON_PLAIN_FILES",
            description: "The context already holds plain files, and the mode of a context cannot be switched once it is used. Use a new context for archives.",
        });
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MappingPolicy, UploadPolicy};

    #[test]
    fn each_advice_is_given_when_it_applies_and_only_then() {
        let path = MountPath::try_new("/home/data").unwrap();
        let other = MountPath::try_new("/tmp/mapping").unwrap();
        let plain = ContextContents { plain_files: true };
        let reasons = |policy: &SyncPolicy, contents| -> Vec<_> {
            let advice = advice(policy, Some(&path), contents);
            advice.into_iter().map(|advice| advice.reason).collect()
        };
        let mapped = |path: &MountPath| SyncPolicy {
            mapping: Some(MappingPolicy { path: path.clone() }),
            ..SyncPolicy::default()
        };
        let upload = |auto_upload, mode| SyncPolicy {
            upload: UploadPolicy {
                auto_upload,
                mode,
                ..UploadPolicy::default()
            },
            ..SyncPolicy::default()
        };
        assert!(reasons(&SyncPolicy::default(), plain).is_empty());
        assert!(reasons(&mapped(&other), plain).is_empty());
        assert_eq!(
            reasons(&mapped(&path), plain),
            ["MAPPING_EQUALS_MOUNT_PATH"]
        );
        assert_eq!(
            reasons(&upload(false, UploadMode::File), plain),
            ["NO_AUTO_UPLOAD"]
        );
        let archive = upload(true, UploadMode::Archive);
        assert_eq!(reasons(&archive, plain), ["ARCHIVE_MODE_ON_PLAIN_FILES"]);
        assert!(reasons(&archive, ContextContents::default()).is_empty());
    }
}
