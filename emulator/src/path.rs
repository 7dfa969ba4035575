//! Paths as AGB writes them, made safe by their types.
//!
//! An [`AbsolutePath`] is normalised and cannot climb; a [`RelativePath`] has at least one segment and cannot
//! leave the place it is joined to. Nothing here touches a disk.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest path that Linux takes.
const MAX_BYTES: usize = 4095;
/// The longest file name that Linux takes.
const MAX_SEGMENT_BYTES: usize = 255;

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("the path must be absolute")]
    NotAbsolute,
    #[error("the path must not contain '..'")]
    Climbs,
    #[error("the path contains a NUL byte")]
    Nul,
    #[error("the path is too long")]
    TooLong,
    #[error("the path is empty")]
    Empty,
}

/// `/`, or `/` followed by plain segments; without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AbsolutePath(String);

/// One or more plain segments joined by `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct RelativePath(String);

impl AbsolutePath {
    pub(crate) fn parse(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        Ok(Self(format!("/{}", normalise(text)?)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of this path below `base`; `None` when it is not below it, or is `base` itself.
    pub(crate) fn below(&self, base: &Self) -> Option<RelativePath> {
        let rest = if base.0 == "/" {
            self.0.strip_prefix('/')?
        } else {
            self.0.strip_prefix(base.0.as_str())?.strip_prefix('/')?
        };
        (!rest.is_empty()).then(|| RelativePath(rest.to_owned()))
    }

    pub(crate) fn join(&self, relative: &RelativePath) -> Self {
        if self.0 == "/" {
            Self(format!("/{}", relative.0))
        } else {
            Self(format!("{}/{}", self.0, relative.0))
        }
    }

    /// The last segment; empty for `/`.
    pub(crate) fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path as one below `/`; `None` for `/` itself.
    pub(crate) fn below_root(&self) -> Option<RelativePath> {
        self.below(&Self("/".to_owned()))
    }
}

impl RelativePath {
    /// Reads a path that is relative to some folder; a leading slash is allowed, as in AGB's white lists.
    /// `None` for the folder itself.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, PathError> {
        let normalised = normalise(text)?;
        Ok((!normalised.is_empty()).then_some(Self(normalised)))
    }

    /// A single file name; `None` when it is not one.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
        plain.then(|| Self(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn join(&self, below: &Self) -> Self {
        Self(format!("{}/{}", self.0, below.0))
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The folder that it lies in; `None` when that is the folder it is relative to.
    pub(crate) fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.to_owned()))
    }

    /// The last segment.
    pub(crate) fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether this is `base` or lies below it.
    pub(crate) fn is_within(&self, base: &Self) -> bool {
        self.0
            .strip_prefix(base.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl TryFrom<String> for AbsolutePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl TryFrom<String> for RelativePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)?.ok_or(PathError::Empty)
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn normalise(text: &str) -> Result<String, PathError> {
    if text.contains('\0') {
        return Err(PathError::Nul);
    }
    let mut segments = Vec::new();
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." => return Err(PathError::Climbs),
            _ if segment.len() > MAX_SEGMENT_BYTES => return Err(PathError::TooLong),
            _ => segments.push(segment),
        }
    }
    let joined = segments.join("/");
    if joined.len() >= MAX_BYTES {
        Err(PathError::TooLong)
    } else {
        Ok(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text of up to four of these pieces, which is every way to write a path badly.
    fn texts() -> Vec<String> {
        let pieces = ["", "a", "b", "/", ".", "..", "...", "\0", " "];
        let mut texts = vec![String::new()];
        let mut longest = texts.clone();
        for _ in 0..4 {
            longest = longest
                .iter()
                .flat_map(|text| pieces.map(|piece| format!("{text}{piece}")))
                .collect();
            texts.extend(longest.iter().cloned());
        }
        texts
    }

    #[test]
    fn a_parsed_path_never_climbs_and_is_its_own_normal_form() {
        for text in texts() {
            if let Ok(path) = AbsolutePath::parse(&text) {
                assert!(
                    path.as_str()
                        .split('/')
                        .all(|segment| segment != ".." && segment != ".")
                );
                assert_eq!(AbsolutePath::parse(path.as_str()), Ok(path));
            }
            if let Ok(Some(path)) = RelativePath::parse(&text) {
                assert!(
                    path.segments()
                        .all(|segment| !["", ".", ".."].contains(&segment))
                );
            }
        }
    }

    #[test]
    fn joining_a_relative_path_stays_below_the_base() {
        let bases = ["/", "/tmp", "/home/data"].map(|base| AbsolutePath::parse(base).unwrap());
        for text in texts() {
            let Ok(Some(relative)) = RelativePath::parse(&text) else {
                continue;
            };
            for base in &bases {
                assert_eq!(base.join(&relative).below(base).as_ref(), Some(&relative));
            }
        }
    }

    #[test]
    fn a_folder_whose_name_only_begins_alike_is_not_below() {
        let base = AbsolutePath::parse("/tmp/map").unwrap();
        assert_eq!(
            AbsolutePath::parse("/tmp/mapping/x").unwrap().below(&base),
            None
        );
        assert_eq!(AbsolutePath::parse("/tmp/map").unwrap().below(&base), None);
    }

    #[test]
    fn bad_paths_are_refused_with_the_reason() {
        assert_eq!(AbsolutePath::parse("tmp"), Err(PathError::NotAbsolute));
        assert_eq!(AbsolutePath::parse("/tmp/../etc"), Err(PathError::Climbs));
        assert_eq!(AbsolutePath::parse("/tmp/\0"), Err(PathError::Nul));
        assert_eq!(
            AbsolutePath::parse(&format!("/{}", "a".repeat(256))),
            Err(PathError::TooLong)
        );
    }
}
