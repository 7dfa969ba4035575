//! Mappings: arithmetic on paths, and how near two paths are.

use std::collections::BTreeMap;

use super::{MountPath, absolute_path};

/// How many near misses are worth telling.
const MAX_NEAR_MISSES: usize = 5;
/// How long paths are that are compared, and how many: a second's work at most.
const MAX_COMPARED_CHARS: usize = 256;
const MAX_COMPARISONS: usize = 20_000;

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
///
/// Comparing costs the product of two paths' lengths, so long paths are left out, and so is what cannot be nearer by its length.
pub fn near_misses<'a>(files: impl Iterator<Item = &'a str>, wanted: &MountPath) -> Vec<NearMiss> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for file in files {
        for (end, _) in file.match_indices('/').skip(1) {
            *counts.entry(&file[..end]).or_default() += 1;
        }
    }
    let wanted_chars = wanted.as_str().chars().count();
    if wanted_chars > MAX_COMPARED_CHARS {
        return Vec::new();
    }
    let mut candidates: Vec<_> = counts
        .into_iter()
        .map(|(path, file_count)| {
            (
                path.chars().count().abs_diff(wanted_chars),
                path,
                file_count,
            )
        })
        .filter(|(difference, ..)| wanted_chars + difference <= MAX_COMPARED_CHARS)
        .collect();
    candidates.sort_unstable();
    candidates.truncate(MAX_COMPARISONS);
    let mut misses: Vec<NearMiss> = Vec::new();
    for (difference, path, file_count) in candidates {
        let farthest = misses.last().map_or(0, |miss| miss.edit_distance);
        if misses.len() == MAX_NEAR_MISSES && difference > farthest {
            break;
        }
        misses.push(NearMiss {
            path: path.to_owned(),
            file_count,
            edit_distance: strsim::levenshtein(path, wanted.as_str()),
        });
        misses.sort_by(|a, b| (a.edit_distance, &a.path).cmp(&(b.edit_distance, &b.path)));
        misses.truncate(MAX_NEAR_MISSES);
    }
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

    #[test]
    fn the_nearest_are_found_among_many_of_all_lengths() {
        let names = (0..400).map(|length| format!("/tmp/{}/f", "x".repeat(length % 90 + 1)));
        let mut files: Vec<_> = names.collect();
        files.push(format!("/tmp/{}/f", "a".repeat(12)));
        let wanted = MountPath::try_new(&format!("/tmp/{}", "a".repeat(10))).unwrap();
        let misses = near_misses(files.iter().map(String::as_str), &wanted);
        assert_eq!(misses[0].path, format!("/tmp/{}", "a".repeat(12)));
        assert_eq!(misses[0].edit_distance, 2);
        assert_eq!(misses.len(), MAX_NEAR_MISSES);
        let mut all: Vec<_> = (1..=90)
            .map(|length| strsim::levenshtein(&"x".repeat(length), &"a".repeat(10)))
            .chain(["/tmp".len().abs_diff(wanted.as_str().len()), 2])
            .collect();
        all.sort_unstable();
        let told: Vec<_> = misses.iter().map(|miss| miss.edit_distance).collect();
        assert_eq!(told, all[..MAX_NEAR_MISSES]);
    }

    #[test]
    fn paths_that_are_too_long_to_compare_have_no_near_misses() {
        let long = format!("/tmp/{}", "x".repeat(300));
        let wanted = MountPath::try_new(&long).unwrap();
        assert_eq!(
            near_misses([format!("{long}y/f").as_str()].into_iter(), &wanted),
            []
        );
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
