//! Upload mode `File`: each file is stored by itself.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use crate::context::{Blob, BlobStore, FileChange, StoredFile};
use crate::path::RelativePath;
use crate::sync::mount::{KnownFile, KnownFiles, Mount};
use crate::sync::part::Part;
use crate::world::{Folder, OpenFile};

/// So many changes, or bytes, go to the context at once: each time costs a wait for the disk when it is kept.
const BATCH_CHANGES: usize = 256;
const BATCH_BYTES: u64 = 64 * 1024 * 1024;
/// How often a file that changes while it is copied is copied again. Its next upload takes the rest.
const COPY_ATTEMPTS: usize = 3;

/// Places one stored file in the session, unless it is there. Returns how many bytes it moved.
pub(super) fn bring(
    folder: &Folder<'_>,
    path: &RelativePath,
    stored: &StoredFile,
    known: &mut KnownFiles,
) -> io::Result<u64> {
    if let Some(before) = known.get(path) {
        let here = folder.open_file(path)?.map(|here| here.stamp);
        if before.is_unchanged(here) && before.is_stored_as(&stored.blob) {
            return Ok(0);
        }
    }
    let stamp = folder.place_file(path, stored.mode, &mut stored.blob.open()?)?;
    known.insert(path.clone(), KnownFile::alone(Some(stamp), &stored.blob));
    Ok(stored.blob.size())
}

pub(super) fn upload(
    folder: &Folder<'_>,
    part: &Part,
    known: &mut KnownFiles,
    blobs: &BlobStore,
) -> io::Result<u64> {
    let mount = &*part.mount;
    let stored: BTreeSet<_> = mount
        .stored_files()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    let mut present = BTreeSet::new();
    let mut batch = Batch::new(mount);
    for path in folder.walk()? {
        if !part.includes(&path) {
            continue;
        }
        // Gone since the listing: as if it had not been in it.
        let Some(here) = folder.open_file(&path)? else {
            continue;
        };
        present.insert(path.clone());
        let unchanged = known
            .get(&path)
            .is_some_and(|before| before.is_unchanged(Some(here.stamp)));
        if unchanged && stored.contains(&path) {
            continue;
        }
        let (here, blob) = copy(folder, &path, here, blobs)?;
        batch.put(path, &here, blob);
        batch.flush_if_full(known)?;
    }
    batch.flush(known)?;
    if mount.policy.sync_local_file {
        let gone = |path: &&RelativePath| part.holds(path) && !present.contains(*path);
        let removals: Vec<_> = known
            .keys()
            .filter(gone)
            .map(|path| FileChange::Remove(mount.stored_path(path)))
            .collect();
        if !removals.is_empty() {
            mount.context.apply(removals)?;
        }
    }
    known.retain(|path, _| present.contains(path) || !part.holds(path));
    Ok(batch.moved)
}

/// Copies a file. When it changed meanwhile, once more: what was read could be half of each.
fn copy(
    folder: &Folder<'_>,
    path: &RelativePath,
    mut here: OpenFile,
    blobs: &BlobStore,
) -> io::Result<(OpenFile, Arc<Blob>)> {
    let mut attempts = 1;
    loop {
        // No more than it had, lest a file that grows be copied for ever.
        let blob = blobs.write(&mut (&here.file).take(here.stamp.size()))?;
        match folder.open_file(path)? {
            Some(now) if now.stamp != here.stamp && attempts < COPY_ATTEMPTS => here = now,
            _ => return Ok((here, blob)),
        }
        attempts += 1;
    }
}

/// Files on their way into the context.
struct Batch<'mount> {
    mount: &'mount Mount,
    changes: Vec<FileChange>,
    known: Vec<(RelativePath, KnownFile)>,
    bytes: u64,
    moved: u64,
}

impl<'mount> Batch<'mount> {
    fn new(mount: &'mount Mount) -> Self {
        Self {
            mount,
            changes: Vec::new(),
            known: Vec::new(),
            bytes: 0,
            moved: 0,
        }
    }

    fn put(&mut self, path: RelativePath, here: &OpenFile, blob: Arc<Blob>) {
        self.bytes += blob.size();
        let known = KnownFile::alone(Some(here.stamp), &blob);
        self.changes.push(FileChange::Put {
            path: self.mount.stored_path(&path),
            blob,
            mode: here.mode,
            packed: None,
        });
        self.known.push((path, known));
    }

    fn flush_if_full(&mut self, known: &mut KnownFiles) -> io::Result<()> {
        if self.changes.len() >= BATCH_CHANGES || self.bytes >= BATCH_BYTES {
            self.flush(known)?;
        }
        Ok(())
    }

    fn flush(&mut self, known: &mut KnownFiles) -> io::Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        self.mount
            .context
            .apply(std::mem::take(&mut self.changes))?;
        // Only now: what was not stored must be tried again.
        known.extend(self.known.drain(..));
        self.moved += std::mem::take(&mut self.bytes);
        Ok(())
    }
}
