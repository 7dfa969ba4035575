//! How much of the disk a session uses, measured from the outside.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// `stat` counts in these, whatever the file system's own blocks are.
const BLOCK_BYTES: u64 = 512;
/// Every file costs the disk something, also an empty one.
const BYTES_PER_ENTRY: u64 = 256;
/// Deeper trees are not followed.
const MAX_DEPTH: usize = 256;

/// The bytes that the files of a session take, links not followed. Blocking. What goes away meanwhile is not counted.
pub(super) fn usage(session_folder: &Path) -> u64 {
    within(&session_folder.join("files"), 0)
}

fn within(folder: &Path, depth: usize) -> u64 {
    if depth > MAX_DEPTH {
        return 0;
    }
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let below = if metadata.is_dir() {
                within(&entry.path(), depth + 1)
            } else {
                0
            };
            Some(metadata.blocks() * BLOCK_BYTES + BYTES_PER_ENTRY + below)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_is_written_counts_and_what_is_only_claimed_does_not() {
        let session = tempfile::tempdir().unwrap();
        let folder = session.path().join("files/tmp/deep");
        fs::create_dir_all(&folder).unwrap();
        let before = usage(session.path());
        fs::write(folder.join("file"), vec![1; 1_000_000]).unwrap();
        File::create(folder.join("sparse"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let added = usage(session.path()) - before;
        assert!((1_000_000..1_100_000).contains(&added), "{added}");
    }
}
