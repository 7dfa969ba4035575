//! Mappings: arithmetic on paths, and how near two paths are.

use std::collections::BTreeMap;

use super::{MountPath, absolute_path};

/// How many near misses are worth telling.
const MAX_NEAR_MISSES: usize = 5;

/// What was stored under one path is seen under another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where the data was stored.
    pub original: MountPath,
    /// Where a session sees it.
    pub target: MountPath,
}

impl Mapping {
    /// Where a file of the original path is seen. The error is the rule that its path breaks.
    pub fn resolve(&self, path: &str) -> Result<String, String> {
        let path = absolute_path(path)?;
        match relative_to(path, &self.original) {
            Some(rest) => Ok(format!("{}/{rest}", self.target)),
            None => Err(format!("must lie below {}, got {path:?}", self.original)),
        }
    }
}

/// The part of a path below a folder; `None` for the folder itself and for what lies elsewhere.
pub fn relative_to<'a>(path: &'a str, folder: &MountPath) -> Option<&'a str> {
    path.strip_prefix(folder.as_str())?
        .strip_prefix('/')
        .filter(|rest| !rest.is_empty())
}

/// A folder whose path comes near to one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The folder.
    pub path: String,
    /// How many files lie below it.
    pub file_count: u64,
    /// The edit distance between the two paths.
    pub edit_distance: usize,
}

/// The folders of these files that come nearest to `wanted`, nearest first.
pub fn near_misses<'a>(files: impl Iterator<Item = &'a str>, wanted: &MountPath) -> Vec<NearMiss> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for file in files {
        for (end, _) in file.match_indices('/').skip(1) {
            *counts.entry(&file[..end]).or_default() += 1;
        }
    }
    let mut misses: Vec<_> = counts
        .into_iter()
        .map(|(path, file_count)| NearMiss {
            path: path.to_owned(),
            file_count,
            edit_distance: strsim::levenshtein(path, wanted.as_str()),
        })
        .collect();
    misses.sort_by(|a, b| (a.edit_distance, &a.path).cmp(&(b.edit_distance, &b.path)));
    misses.truncate(MAX_NEAR_MISSES);
    misses
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mapping(original: &str, target: &str) -> Mapping {
        Mapping {
            original: MountPath::try_new(original).unwrap(),
            target: MountPath::try_new(target).unwrap(),
        }
    }

    #[test]
    fn files_keep_their_place_below_the_folder() {
        let mapping = mapping("/tmp/mapping", "/home/data");
        assert_eq!(
            mapping.resolve("/tmp/mapping/a/b.txt").unwrap(),
            "/home/data/a/b.txt"
        );
        for path in [
            "/tmp/mapping",
            "/tmp/mapping2/a",
            "/tmp/mapping/../a",
            "a",
            "",
        ] {
            assert!(mapping.resolve(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_nearest_folder_comes_first() {
        let files = ["/tmp/maping/a", "/tmp/maping/b", "/home/x/y/c"];
        let wanted = MountPath::try_new("/tmp/mapping").unwrap();
        let misses = near_misses(files.into_iter(), &wanted);
        let first = NearMiss {
            path: "/tmp/maping".to_owned(),
            file_count: 2,
            edit_distance: 1,
        };
        assert_eq!(misses[0], first);
        assert!(misses.len() <= MAX_NEAR_MISSES);
    }

    fn path() -> impl Strategy<Value = String> {
        proptest::collection::vec("[a-zü .]{1,8}", 1..5)
            .prop_map(|parts| format!("/{}", parts.join("/")))
            .prop_filter("no dot parts", |path| absolute_path(path).is_ok())
    }

    fn mount_path() -> impl Strategy<Value = String> {
        (prop_oneof!["/tmp", "/home"], path()).prop_map(|(root, path)| root + &path)
    }

    proptest! {
        #[test]
        fn a_mapping_and_its_reverse_undo_each_other_and_stay_inside(
            original in mount_path(), target in mount_path(), file in path()
        ) {
            let file = format!("{original}{file}");
            let there = mapping(&original, &target).resolve(&file).unwrap();
            let inside = format!("{target}/");
            prop_assert!(there.starts_with(&inside));
            prop_assert!(absolute_path(&there).is_ok());
            prop_assert_eq!(mapping(&target, &original).resolve(&there).unwrap(), file);
        }
    }
}
