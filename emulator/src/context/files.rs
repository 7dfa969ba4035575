//! What a context holds: files by the absolute path that they had in the session that uploaded them.
//!
//! There are no folders in here; a folder is seen where a path has one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blob::Blob;
use super::recycle::RecycleRule;
use crate::clock::Clock;
use crate::path::AbsolutePath;

/// The files of one context, as everyone sees them. Only the context itself changes them.
#[derive(Debug)]
pub(crate) struct ContextFiles {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_path: BTreeMap<AbsolutePath, StoredFile>,
    recycling: Vec<RecycleRule>,
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
    /// For an archive that a sync packed: how many bytes it holds, unpacked. `None` for every other file.
    pub(crate) packed: Option<u64>,
}

/// How much there is, and what comes first.
#[derive(Debug, Default)]
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
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// The file under this path.
    pub(crate) fn get(&self, path: &AbsolutePath) -> Option<StoredFile> {
        let now = self.clock.now_ms();
        let state = self.lock();
        let file = state.by_path.get(path)?;
        (!state.had_its_time(path, file, now)).then(|| file.clone())
    }

    /// Every file below the folder, as it is now.
    pub(crate) fn below(&self, folder: &AbsolutePath) -> Vec<(AbsolutePath, StoredFile)> {
        let now = self.clock.now_ms();
        let state = self.lock();
        let from_folder = state.by_path.range(folder.clone()..);
        // Paths that only begin alike (`/tmp/a-b` beside `/tmp/a/b`) sort in between: skipped, not an end.
        from_folder
            .take_while(|(path, _)| path.as_str().starts_with(folder.as_str()))
            .filter(|(path, file)| {
                path.below(folder).is_some() && !state.had_its_time(path, file, now)
            })
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
        let now = self.clock.now_ms();
        let state = self.lock();
        let files = state.by_path.iter();
        let files = files.filter(|(path, file)| !state.had_its_time(path, file, now));
        let mut overview = Overview::default();
        for (path, file) in files {
            overview.count += 1;
            overview.bytes += file.blob.size();
            if overview.first.len() < most {
                overview.first.push((path.clone(), file.clone()));
            }
        }
        overview
    }

    /// The files whose time is over, by the rules.
    pub(super) fn past_their_time(&self) -> Vec<AbsolutePath> {
        let now = self.clock.now_ms();
        let state = self.lock();
        if state.recycling.is_empty() {
            return Vec::new();
        }
        let over = state
            .by_path
            .iter()
            .filter(|(path, file)| state.had_its_time(path, file, now));
        over.map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn set_recycling(&self, rules: Vec<RecycleRule>) {
        self.lock().recycling = rules;
    }

    pub(super) fn recycling(&self) -> Vec<RecycleRule> {
        self.lock().recycling.clone()
    }

    /// Puts files in place, or takes them out where there is none. Returns what was replaced.
    pub(super) fn switch(
        &self,
        changes: Vec<(AbsolutePath, Option<StoredFile>)>,
    ) -> Vec<StoredFile> {
        let mut state = self.lock();
        changes
            .into_iter()
            .filter_map(|(path, file)| match file {
                Some(file) => state.by_path.insert(path, file),
                None => state.by_path.remove(&path),
            })
            .collect()
    }

    /// Takes everything out.
    pub(super) fn take_all(&self) -> Vec<StoredFile> {
        let taken = std::mem::take(&mut self.lock().by_path);
        taken.into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn had_its_time(&self, path: &AbsolutePath, file: &StoredFile, now: i64) -> bool {
        self.recycling
            .iter()
            .any(|rule| matches!(rule.ends_ms(path, file.modified_ms), Some(end) if end <= now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::BlobStore;
    use crate::ids;

    fn path(text: &str) -> AbsolutePath {
        AbsolutePath::parse(text).unwrap()
    }

    fn files(paths: &[&str]) -> (tempfile::TempDir, ContextFiles) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = BlobStore::new(folder.path().to_owned());
        let files = ContextFiles::new(Clock::default());
        for text in paths {
            let file = StoredFile {
                id: ids::file_name(),
                blob: blobs.write(&mut text.as_bytes()).unwrap(),
                mode: 0o644,
                created_ms: 0,
                modified_ms: 0,
                packed: None,
            };
            files.switch(vec![(path(text), Some(file))]);
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
        assert_eq!(files.switch(vec![(path("/tmp/a"), None)]).len(), 1);
        assert!(held[0].1.blob.open().is_ok());
        drop(held);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
