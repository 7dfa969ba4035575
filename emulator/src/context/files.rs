//! What a context holds: files by the absolute path that they had in the session that uploaded them.
//!
//! There are no folders in here; a folder is seen where a path has one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blob::Blob;
use crate::clock;
use crate::ids;
use crate::path::AbsolutePath;

/// The files of one context.
#[derive(Debug, Default)]
pub(crate) struct ContextFiles {
    by_path: Mutex<BTreeMap<AbsolutePath, StoredFile>>,
}

/// One stored file.
#[derive(Debug, Clone)]
pub(crate) struct StoredFile {
    pub(crate) id: String,
    pub(crate) blob: Arc<Blob>,
    /// The permission bits.
    pub(crate) mode: u32,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
}

/// How much there is, and what comes first.
#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) count: usize,
    pub(crate) bytes: u64,
    pub(crate) first: Vec<(AbsolutePath, StoredFile)>,
}

/// What a listing of a folder shows.
#[derive(Debug, Clone)]
pub(crate) enum FileEntry {
    File(AbsolutePath, StoredFile),
    Folder(AbsolutePath),
}

impl ContextFiles {
    /// Stores the bytes under the path, in place of what was there.
    pub(crate) fn put(&self, path: AbsolutePath, blob: Arc<Blob>, mode: u32) {
        let now = clock::now_ms();
        let replaced = match self.lock().entry(path) {
            Entry::Occupied(mut entry) => {
                let file = entry.get_mut();
                file.mode = mode;
                file.modified_ms = now;
                Some(std::mem::replace(&mut file.blob, blob))
            }
            Entry::Vacant(entry) => {
                let id = ids::file_name();
                entry.insert(StoredFile {
                    id,
                    blob,
                    mode,
                    created_ms: now,
                    modified_ms: now,
                });
                None
            }
        };
        // Outside of the lock: the last holder of a blob removes a file.
        drop(replaced);
    }

    /// The file under the path.
    pub(crate) fn get(&self, path: &AbsolutePath) -> Option<StoredFile> {
        self.lock().get(path).cloned()
    }

    /// Removes a file; false when there was none.
    pub(crate) fn remove(&self, path: &AbsolutePath) -> bool {
        let removed = self.lock().remove(path);
        removed.is_some()
    }

    /// Every file below the folder, as it is now.
    pub(crate) fn below(&self, folder: &AbsolutePath) -> Vec<(AbsolutePath, StoredFile)> {
        let files = self.lock();
        let from_folder = files.range(folder.clone()..);
        // Paths that only begin alike (`/tmp/a-b` beside `/tmp/a/b`) sort in between: skipped, not an end.
        from_folder
            .take_while(|(path, _)| path.as_str().starts_with(folder.as_str()))
            .filter(|(path, _)| path.below(folder).is_some())
            .map(|(path, file)| (path.clone(), file.clone()))
            .collect()
    }

    /// What lies directly in the folder, sorted by path.
    pub(crate) fn children(&self, folder: &AbsolutePath) -> Vec<FileEntry> {
        let mut children = BTreeMap::new();
        for (path, file) in self.below(folder) {
            let Some(rest) = path.below(folder) else {
                continue;
            };
            let mut segments = rest.segments();
            let Some(first) = segments
                .next()
                .and_then(crate::path::RelativePath::from_name)
            else {
                continue;
            };
            let child = folder.join(&first);
            let entry = if segments.next().is_none() {
                FileEntry::File(child.clone(), file)
            } else {
                FileEntry::Folder(child.clone())
            };
            children.entry(child).or_insert(entry);
        }
        children.into_values().collect()
    }

    /// The first files by path, at most `most`, and how much there is in all.
    pub(crate) fn overview(&self, most: usize) -> Overview {
        let files = self.lock();
        let first = files.iter().take(most);
        Overview {
            count: files.len(),
            bytes: files.values().map(|file| file.blob.size()).sum(),
            first: first
                .map(|(path, file)| (path.clone(), file.clone()))
                .collect(),
        }
    }

    pub(crate) fn clear(&self) {
        let cleared = std::mem::take(&mut *self.lock());
        drop(cleared);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AbsolutePath, StoredFile>> {
        self.by_path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::BlobStore;

    fn path(text: &str) -> AbsolutePath {
        AbsolutePath::parse(text).unwrap()
    }

    fn files(paths: &[&str]) -> (tempfile::TempDir, ContextFiles) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = BlobStore::create(folder.path().join("blobs")).unwrap();
        let files = ContextFiles::default();
        for text in paths {
            files.put(
                path(text),
                blobs.write(&mut text.as_bytes()).unwrap(),
                0o644,
            );
        }
        (folder, files)
    }

    #[test]
    fn below_takes_the_folder_and_not_its_neighbours() {
        let (_folder, files) =
            files(&["/tmp/a", "/tmp/a-b", "/tmp/a/x", "/tmp/a/y/z", "/tmp/ab/x"]);
        let found: Vec<_> = files
            .below(&path("/tmp/a"))
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(found, [path("/tmp/a/x"), path("/tmp/a/y/z")]);
    }

    #[test]
    fn children_show_a_folder_once() {
        let (_folder, files) = files(&["/tmp/a/x", "/tmp/a/y", "/tmp/z"]);
        let children = files.children(&path("/tmp"));
        assert!(matches!(&children[0], FileEntry::Folder(folder) if folder == &path("/tmp/a")));
        assert!(matches!(&children[1], FileEntry::File(file, _) if file == &path("/tmp/z")));
        assert_eq!(children.len(), 2);
    }

    #[test]
    fn the_bytes_of_a_replaced_file_go_away_with_their_last_reader() {
        let (folder, files) = files(&["/tmp/a"]);
        let held = files.below(&path("/tmp"));
        assert!(files.remove(&path("/tmp/a")));
        assert!(held[0].1.blob.open().is_ok());
        drop(held);
        assert_eq!(
            std::fs::read_dir(folder.path().join("blobs"))
                .unwrap()
                .count(),
            0
        );
    }
}
