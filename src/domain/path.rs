//! Paths inside sessions and contexts. They are Linux paths, whatever the gateway runs on.

use std::fmt;

/// Where AGB lets contexts be mounted; `/opt` and the like are refused (AGB's HTTP API, "Sessions").
const MOUNT_ROOTS: [&str; 2] = ["/home", "/tmp"];
const MAX_LENGTH: usize = 4096;

/// A folder at which a session mounts a context: absolute, below `/home` or `/tmp`, without `.`, `..` or empty parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MountPath(String);

impl MountPath {
    /// Parses a mount path; one trailing `/` is taken off.
    ///
    /// The error is the rule that the path breaks.
    pub fn try_new(path: &str) -> Result<Self, String> {
        let path = absolute_path(path)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let allowed = MOUNT_ROOTS.iter().any(|root| {
            path.strip_prefix(root)
                .is_some_and(|rest| rest.starts_with('/'))
        });
        if !allowed {
            return Err(format!("must lie under /home or /tmp, got {path:?}"));
        }
        Ok(Self(path.to_owned()))
    }

    /// The path without a trailing `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether one of the two paths is the other one or lies within it.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    fn contains(&self, other: &Self) -> bool {
        other
            .0
            .strip_prefix(&self.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Checks that a path is absolute and says plainly where it leads: no `.`, `..` or empty parts, no control characters, at
/// most 4,096 bytes.
///
/// The error is the rule that the path breaks.
pub fn absolute_path(path: &str) -> Result<&str, String> {
    if path.is_empty() {
        return Err("is required and must not be empty".to_owned());
    }
    if path.len() > MAX_LENGTH {
        return Err(format!(
            "must be at most {MAX_LENGTH} bytes, got {}",
            path.len()
        ));
    }
    if path.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err(format!("must be an absolute path, got {path:?}"));
    };
    let parts = rest.strip_suffix('/').unwrap_or(rest);
    if !parts.is_empty() && parts.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!(
            "must not hold empty, `.` or `..` parts, got {path:?}"
        ));
    }
    Ok(path)
}

/// Checks the path of a file that is to be written: absolute, and with a name at its end.
///
/// The error is the rule that the path breaks.
pub fn file_path(path: &str) -> Result<&str, String> {
    let path = absolute_path(path)?;
    if path.ends_with('/') {
        return Err(format!(
            "must name a file and not end with `/`, got {path:?}"
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_below_home_and_tmp_are_mount_paths() {
        for path in ["/home/data", "/tmp/mapping", "/tmp/a/b.c", "/home/…/ü"] {
            assert_eq!(MountPath::try_new(path).unwrap().as_str(), path);
        }
        assert_eq!(
            MountPath::try_new("/tmp/extensions/").unwrap().as_str(),
            "/tmp/extensions"
        );
    }

    #[test]
    fn what_is_no_mount_path_is_refused_with_the_rule() {
        for (path, rule) in [
            ("", "required"),
            ("home/data", "absolute"),
            ("./data", "absolute"),
            ("/home/../etc", "`..`"),
            ("/home/./data", "`.`"),
            ("/home//data", "empty"),
            ("/opt/data", "under /home or /tmp"),
            ("/homes/data", "under /home or /tmp"),
            ("/home", "under /home or /tmp"),
            ("/tmp/", "under /home or /tmp"),
            ("/", "under /home or /tmp"),
            ("/tmp/a\nb", "control"),
        ] {
            let error = MountPath::try_new(path).unwrap_err();
            assert!(error.contains(rule), "{path:?}: {error}");
        }
        assert!(
            MountPath::try_new(&format!("/tmp/{}", "a".repeat(4096)))
                .unwrap_err()
                .contains("at most 4096 bytes")
        );
    }

    #[test]
    fn a_file_has_a_name() {
        assert_eq!(file_path("/tmp/a"), Ok("/tmp/a"));
        for path in ["/", "/tmp/", "tmp/a", ""] {
            assert!(file_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn paths_overlap_by_whole_parts_only() {
        let path = |path| MountPath::try_new(path).unwrap();
        assert!(path("/tmp/a").overlaps(&path("/tmp/a")));
        assert!(path("/tmp/a/b").overlaps(&path("/tmp/a")));
        assert!(!path("/tmp/ab").overlaps(&path("/tmp/a")));
    }
}
