//! What is told about files without reading them.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The most files and folders that a snapshot holds.
const MAX_SEEN: usize = 100_000;

/// How a folder and all below it looked at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot(BTreeMap<String, Seen>);

/// One file or folder, told from its other states without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    folder: bool,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// One change between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    event_type: &'static str,
    path: String,
    path_type: &'static str,
}

/// Lines of `name: value`.
pub(super) fn describe(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    Ok(format!(
        "size: {}\ncreated: {}\nmodified: {}\naccessed: {}\nisDirectory: {}\nisFile: {}\npermissions: {:o}\n",
        metadata.len(),
        time(metadata.created().ok()),
        time(metadata.modified().ok()),
        time(metadata.accessed().ok()),
        metadata.is_dir(),
        metadata.is_file(),
        metadata.mode() & 0o777,
    ))
}

fn time(time: Option<std::time::SystemTime>) -> String {
    time.and_then(|time| jiff::Timestamp::try_from(time).ok())
        .map_or_else(String::new, |time| time.to_string())
}

impl Snapshot {
    /// Links are seen, not followed.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let mut snapshot = Self::default();
        if !fs::metadata(path)?.is_dir() {
            return Err(io::Error::other(format!(
                "{}: is no directory",
                path.display()
            )));
        }
        let mut waiting = vec![path.to_owned()];
        while let Some(folder) = waiting.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                // Gone meanwhile, or closed to the session's user.
                Err(_) if folder != path => continue,
                Err(error) => return Err(error),
            };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if snapshot.0.len() == MAX_SEEN {
                    return Err(io::Error::other(format!(
                        "more than {MAX_SEEN} files cannot be watched at once"
                    )));
                }
                if metadata.is_dir() {
                    waiting.push(entry.path());
                }
                let path = entry.path().to_string_lossy().into_owned();
                snapshot.0.insert(path, Seen::of(&metadata));
            }
        }
        Ok(snapshot)
    }

    /// What became of an earlier state, by path.
    pub(crate) fn since(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (path, seen) in &self.0 {
            match before.0.get(path) {
                None => changes.push(Change::new("create", path, seen)),
                // A folder changes with what is in it, which is told already.
                Some(earlier) if earlier != seen && !seen.folder => {
                    changes.push(Change::new("modify", path, seen));
                }
                Some(_) => {}
            }
        }
        for (path, seen) in &before.0 {
            if !self.0.contains_key(path) {
                changes.push(Change::new("delete", path, seen));
            }
        }
        changes
    }
}

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        Self {
            folder: metadata.is_dir(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Change {
    fn new(event_type: &'static str, path: &str, seen: &Seen) -> Self {
        Self {
            event_type,
            path: path.to_owned(),
            path_type: if seen.folder { "directory" } else { "file" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_what_was_created_modified_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("changed"), "1").unwrap();
        fs::write(at("deleted"), "1").unwrap();
        fs::write(at("same"), "1").unwrap();
        let before = Snapshot::take(folder.path()).unwrap();
        fs::write(at("changed"), "22").unwrap();
        fs::remove_file(at("deleted")).unwrap();
        fs::create_dir(at("new")).unwrap();
        fs::write(at("new/file"), "1").unwrap();
        let after = Snapshot::take(folder.path()).unwrap();
        let told: Vec<_> = after
            .since(&before)
            .into_iter()
            .map(|change| {
                let path = Path::new(&change.path);
                let name = path.strip_prefix(folder.path()).unwrap();
                format!(
                    "{} {} {}",
                    change.event_type,
                    change.path_type,
                    name.display()
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "modify file changed",
                "create directory new",
                "create file new/file",
                "delete file deleted"
            ]
        );
        assert!(after.since(&after).is_empty());
    }
}
