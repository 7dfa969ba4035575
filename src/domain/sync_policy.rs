//! The policy by which a context is kept in step with a session, with AGB's defaults.
//!
//! The source of the defaults is AGB's SDK, `context_sync.py`. How a policy is put into AGB's JSON text is `agb::wire`'s
//! concern; how callers write it is `service`'s.

use super::MountPath;

/// A policy with every field set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncPolicy {
    /// When and how files go to the context.
    pub upload: UploadPolicy,
    /// When and how files come from the context.
    pub download: DownloadPolicy,
    /// What a deletion in the session does.
    pub delete: DeletePolicy,
    /// How archives are unpacked.
    pub extract: ExtractPolicy,
    /// How long data is kept.
    pub recycle: RecyclePolicy,
    /// Which files take part.
    pub bw_list: BwList,
    /// Shows data that was stored under another path.
    pub mapping: Option<MappingPolicy>,
}

/// When and how files go to the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPolicy {
    /// Whether AGB uploads by itself.
    pub auto_upload: bool,
    /// When it does so.
    pub strategy: UploadStrategy,
    /// How the context stores files.
    pub mode: UploadMode,
}

impl Default for UploadPolicy {
    fn default() -> Self {
        Self {
            auto_upload: true,
            strategy: UploadStrategy::default(),
            mode: UploadMode::default(),
        }
    }
}

/// When AGB uploads by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UploadStrategy {
    /// Before the session's machine is released.
    #[default]
    BeforeResourceRelease,
}

/// How a context stores files; settled when it is first used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UploadMode {
    /// File by file.
    #[default]
    File,
    /// As one archive.
    Archive,
}

/// When and how files come from the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadPolicy {
    /// Whether AGB downloads when the session is created.
    pub auto_download: bool,
    /// How it does so.
    pub strategy: DownloadStrategy,
}

impl Default for DownloadPolicy {
    fn default() -> Self {
        Self {
            auto_download: true,
            strategy: DownloadStrategy::default(),
        }
    }
}

/// How AGB downloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DownloadStrategy {
    /// While the session is already running.
    #[default]
    Async,
}

/// What a deletion in the session does to the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletePolicy {
    /// Whether the next upload deletes in the context what was deleted in the session.
    pub sync_local_file: bool,
}

impl Default for DeletePolicy {
    fn default() -> Self {
        Self {
            sync_local_file: true,
        }
    }
}

/// How archives are unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractPolicy {
    /// Whether they are.
    pub extract: bool,
    /// Whether an archive is removed afterwards.
    pub delete_src_file: bool,
    /// Whether it is unpacked beside itself and not into a folder of its name.
    pub extract_to_current_folder: bool,
}

impl Default for ExtractPolicy {
    fn default() -> Self {
        Self {
            extract: true,
            delete_src_file: true,
            extract_to_current_folder: false,
        }
    }
}

/// How long data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecyclePolicy {
    /// How long.
    pub lifecycle: Lifecycle,
    /// Which paths of the context; one empty string means all.
    pub paths: Vec<String>,
}

impl Default for RecyclePolicy {
    fn default() -> Self {
        Self {
            lifecycle: Lifecycle::default(),
            paths: vec![String::new()],
        }
    }
}

/// How long data is kept, counted from its last change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each name says it all.
pub enum Lifecycle {
    Days1,
    Days3,
    Days5,
    Days10,
    Days15,
    Days30,
    Days90,
    Days180,
    Days360,
    #[default]
    Forever,
}

/// Which files take part; no entry means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BwList {
    /// The paths that take part.
    pub white_lists: Vec<WhiteList>,
}

/// One path that takes part, and what below it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhiteList {
    /// Relative to the mount path; empty means all of it.
    pub path: String,
    /// What is left out, relative to the mount path.
    pub exclude_paths: Vec<String>,
}

/// Shows at the mount path what was stored under another path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingPolicy {
    /// The original path.
    pub path: MountPath,
}

/// A policy with a name, which its configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What it is meant for.
    pub description: String,
    /// The policy.
    pub policy: SyncPolicy,
}

/// AGB's words for the values of an enum.
macro_rules! agb_words {
    ($enum:ident {$($value:ident = $word:literal),* $(,)?}) => {
        impl $enum {
            /// AGB's word.
            pub fn as_agb(self) -> &'static str {
                match self {
                    $(Self::$value => $word),*
                }
            }

            /// Reads AGB's word; `None` for a word that is not known.
            pub fn from_agb(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$value),)*
                    _ => None,
                }
            }
        }
    };
}

agb_words!(UploadStrategy {
    BeforeResourceRelease = "UploadBeforeResourceRelease",
});
agb_words!(UploadMode {
    File = "File",
    Archive = "Archive",
});
agb_words!(DownloadStrategy {
    Async = "DownloadAsync",
});
agb_words!(Lifecycle {
    Days1 = "Lifecycle_1Day",
    Days3 = "Lifecycle_3Days",
    Days5 = "Lifecycle_5Days",
    Days10 = "Lifecycle_10Days",
    Days15 = "Lifecycle_15Days",
    Days30 = "Lifecycle_30Days",
    Days90 = "Lifecycle_90Days",
    Days180 = "Lifecycle_180Days",
    Days360 = "Lifecycle_360Days",
    Forever = "Lifecycle_Forever",
});

/// Checks a path of a white list or of a recycle policy: AGB takes exact paths only, and the SDK refuses `*`, `?`, `[`, `]`.
///
/// The error is the rule that the path breaks.
pub fn exact_path(path: &str) -> Result<String, String> {
    if let Some(wildcard) = path.chars().find(|char| "*?[]".contains(*char)) {
        return Err(format!(
            "must be an exact path: the wildcard {wildcard:?} is not supported by AGB, got {path:?}"
        ));
    }
    if path.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    if path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(format!("must not hold `.` or `..` parts, got {path:?}"));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_climbing_paths_are_refused() {
        for path in ["*.log", "a?", "[ab]", "a]", "../x", "a/./b", "a\tb"] {
            assert!(exact_path(path).is_err(), "{path}");
        }
        for path in ["", "/Local State", "/Default/Cookies", "dir/file..txt"] {
            assert_eq!(exact_path(path).unwrap(), path);
        }
    }
}
