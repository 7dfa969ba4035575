//! Upload mode `Archive`: all files of a mount are stored in one archive that lies directly in the mount's folder.
//!
//! What a session sees is the same as in mode `File`: an upload replaces, in a new archive, what this session changed, and takes
//! the rest over from the old one. Other archives that lie in the context are extracted too, but never written.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use super::alone;
use crate::archive::{Limits, Member, Packer, Trust, Unpacker};
use crate::context::{Blob, BlobStore, FileChange, StoredFile};
use crate::path::RelativePath;
use crate::sync::mount::{EntryVersion, KnownFile, KnownFiles, Mount};
use crate::sync::part::Part;
use crate::world::{Folder, Stamp};

/// The name of the archive that a sync packs.
const NAME: &str = "agb-archive.zip";
/// The ending of other archives.
const ENDING: &str = ".zip";

/// Whether a stored file is an archive that a download extracts.
pub(super) fn is_archive(path: &RelativePath, stored: &StoredFile) -> bool {
    stored.packed.is_some() || without_ending(path).is_some()
}

/// Extracts archives into the session. One that cannot be extracted is brought as it is, and the first such error
/// is returned when all are done.
pub(super) fn extract(
    folder: &Folder<'_>,
    part: &Part,
    mut archives: Vec<(RelativePath, StoredFile)>,
    known: &mut KnownFiles,
    limits: Limits,
) -> io::Result<u64> {
    // What a sync packed last knows best: it comes last, the mount's own at the very end.
    archives
        .sort_by_key(|(path, stored)| (stored.packed.is_some(), Reverse(path.segments().count())));
    let mut moved = 0;
    let mut failed = None;
    for (path, stored) in &archives {
        match extract_one(folder, part, (path, stored), known, limits) {
            Ok(bytes) => moved += bytes,
            Err(error) => {
                if part.holds(path) {
                    moved += alone::bring(folder, path, stored, known)?;
                }
                failed.get_or_insert_with(|| io::Error::other(format!("{path}: {error}")));
            }
        }
    }
    failed.map_or(Ok(moved), Err)
}

fn extract_one(
    folder: &Folder<'_>,
    part: &Part,
    (path, stored): (&RelativePath, &StoredFile),
    known: &mut KnownFiles,
    limits: Limits,
) -> io::Result<u64> {
    let mount = &part.mount;
    let mut archive = open(stored, limits)?;
    // What a sync packed goes back to where it was; otherwise there would be no way home by AGB's defaults.
    let base = if stored.packed.is_some() || mount.policy.extract.to_current_folder {
        path.parent()
    } else {
        without_ending(path)
    };
    let mut moved = 0;
    let mut complete = true;
    for member in archive.members().to_vec() {
        let target = base
            .as_ref()
            .map_or_else(|| member.path.clone(), |base| base.join(&member.path));
        if !part.includes(&target) {
            complete = false;
            continue;
        }
        let version = version(&member);
        if let Some(before) = known.get(&target) {
            let here = folder.open_file(&target)?.map(|here| here.stamp);
            if before.is_unchanged(here) && before.is_entry(version) {
                continue;
            }
        }
        let stamp = folder.place_file(&target, member.mode, &mut archive.read(&member)?)?;
        moved += member.size;
        known.insert(target, KnownFile::entry(stamp, version));
    }
    if !part.holds(path) {
        // Its own sync brings it, or takes note that it is left out.
    } else if !mount.policy.extract.delete_source {
        moved += alone::bring(folder, path, stored, known)?;
    } else if complete && stored.packed.is_none() {
        // Deleted here, and so in the context with the next upload, which packs what was in it.
        known.insert(path.clone(), KnownFile::alone(None, &stored.blob));
    }
    Ok(moved)
}

/// Where a file of the new archive comes from.
enum Source {
    Session(RelativePath),
    Old(Member),
}

pub(super) fn upload(
    folder: &Folder<'_>,
    mount: &Mount,
    known: &mut KnownFiles,
    blobs: &BlobStore,
    limits: Limits,
) -> io::Result<u64> {
    // From the old archive to the new one: two sessions take turns.
    let _turn = mount.context.packing();
    let Some(name) = RelativePath::from_name(NAME) else {
        return Err(io::Error::other("the archive has no name"));
    };
    let before = mount.context.files.get(&mount.stored_path(&name));
    let mut old = before.as_ref().and_then(|stored| {
        open(stored, limits)
            .inspect_err(|error| tracing::warn!(%error, "an unreadable archive is replaced"))
            .ok()
    });
    let mut present = BTreeSet::new();
    let sources = plan(folder, mount, known, &name, old.as_ref(), &mut present)?;
    let fresh = sources
        .iter()
        .any(|source| matches!(source, Source::Session(_)));
    let kept = sources.len();
    let had = old.as_ref().map_or(0, |old| old.members().len());

    let mut changes = removals(mount, known, &name, &present, &sources);
    let mut packed = Packed::default();
    if sources.is_empty() {
        changes.extend(before.map(|_| FileChange::Remove(mount.stored_path(&name))));
    } else if fresh || kept != had {
        let blob = blobs.write_with(|file| {
            packed = pack(file, folder, &sources, old.as_mut())?;
            Ok(())
        })?;
        changes.push(FileChange::Put {
            path: mount.stored_path(&name),
            blob: Arc::clone(&blob),
            mode: 0o644,
            packed: Some(packed.bytes),
        });
        packed.archive = Some(blob);
    }
    if !changes.is_empty() {
        mount.context.apply(changes)?;
    }
    let forget_consumed = mount.policy.sync_local_file;
    known.retain(|path, file| present.contains(path) || file.stamp.is_none() && !forget_consumed);
    let moved = packed.moved;
    packed.remember(known)?;
    Ok(moved)
}

/// What the new archive shall hold. Tells which files are present in the session.
fn plan(
    folder: &Folder<'_>,
    mount: &Mount,
    known: &KnownFiles,
    name: &RelativePath,
    old: Option<&Unpacker>,
    present: &mut BTreeSet<RelativePath>,
) -> io::Result<Vec<Source>> {
    let members: BTreeMap<_, _> = old
        .map_or(&[][..], Unpacker::members)
        .iter()
        .map(|member| (&member.path, member))
        .collect();
    let mut sources = Vec::new();
    for path in folder.walk()? {
        if path == *name || !mount.policy.includes(&path) {
            continue;
        }
        let Some(here) = folder.open_file(&path)? else {
            continue;
        };
        present.insert(path.clone());
        let before = known
            .get(&path)
            .filter(|before| before.is_unchanged(Some(here.stamp)));
        if let Some(before) = before {
            let stored = mount.context.files.get(&mount.stored_path(&path));
            if stored.is_some_and(|stored| before.is_stored_as(&stored.blob)) {
                // It came as a file of its own, and stays one.
                continue;
            }
            if let Some(member) = members.get(&path) {
                sources.push(Source::Old((*member).clone()));
                continue;
            }
        }
        sources.push(Source::Session(path));
    }
    for (path, member) in members {
        if present.contains(path) {
            continue;
        }
        let deleted = known.contains_key(path) && mount.policy.includes(path);
        if !(deleted && mount.policy.sync_local_file) {
            sources.push(Source::Old(member.clone()));
        }
    }
    Ok(sources)
}

/// The files of their own that go: because they are in the archive now, or because they were deleted in the session.
fn removals(
    mount: &Mount,
    known: &KnownFiles,
    name: &RelativePath,
    present: &BTreeSet<RelativePath>,
    sources: &[Source],
) -> Vec<FileChange> {
    let stored = |path: &RelativePath| mount.context.files.get(&mount.stored_path(path));
    let packed = sources.iter().filter_map(|source| match source {
        Source::Session(path) => stored(path).map(|_| path),
        Source::Old(_) => None,
    });
    let deleted = known.iter().filter(|(path, file)| {
        mount.policy.sync_local_file
            && !present.contains(*path)
            && *path != name
            && stored(path).is_some_and(|stored| file.is_stored_as(&stored.blob))
    });
    packed
        .chain(deleted.map(|(path, _)| path))
        .map(|path| FileChange::Remove(mount.stored_path(path)))
        .collect()
}

/// What was packed.
#[derive(Default)]
struct Packed {
    archive: Option<Arc<Blob>>,
    /// All that the archive holds.
    bytes: u64,
    /// What came from the session.
    moved: u64,
    stamps: BTreeMap<RelativePath, Stamp>,
}

impl Packed {
    /// Notes which content of which file is in the archive now.
    fn remember(self, known: &mut KnownFiles) -> io::Result<()> {
        let Some(blob) = self.archive else {
            return Ok(());
        };
        let archive = Unpacker::open(blob.open()?, Trust::Packed(self.bytes))?;
        for member in archive.members() {
            if let Some(stamp) = self.stamps.get(&member.path) {
                known.insert(
                    member.path.clone(),
                    KnownFile::entry(*stamp, version(member)),
                );
            }
        }
        Ok(())
    }
}

fn pack(
    file: &mut std::fs::File,
    folder: &Folder<'_>,
    sources: &[Source],
    mut old: Option<&mut Unpacker>,
) -> io::Result<Packed> {
    let mut packer = Packer::new(file);
    let mut result = Packed::default();
    for source in sources {
        match (source, &mut old) {
            (Source::Old(member), Some(old)) => packer.copy(old, member)?,
            (Source::Old(_), None) => {}
            (Source::Session(path), _) => {
                // Gone since the listing: as if it had not been in it.
                let Some(here) = folder.open_file(path)? else {
                    continue;
                };
                let size = here.stamp.size();
                let mut content = (&here.file).take(size);
                result.moved += packer.add(path, here.mode, size, &mut content)?;
                result.stamps.insert(path.clone(), here.stamp);
            }
        }
    }
    result.bytes = packer.finish()?;
    Ok(result)
}

fn open(stored: &StoredFile, limits: Limits) -> io::Result<Unpacker> {
    let trust = stored.packed.map_or(Trust::Foreign(limits), Trust::Packed);
    Ok(Unpacker::open(stored.blob.open()?, trust)?)
}

fn version(member: &Member) -> EntryVersion {
    EntryVersion {
        crc32: member.crc32,
        size: member.size,
    }
}

/// The folder that an archive of this name is extracted to; `None` when it is not an archive's name.
fn without_ending(path: &RelativePath) -> Option<RelativePath> {
    let name = path.file_name();
    let stem = name.len().checked_sub(ENDING.len())?;
    let ending = name.get(stem..)?;
    if stem == 0 || !ending.eq_ignore_ascii_case(ENDING) {
        return None;
    }
    let folder = RelativePath::from_name(&name[..stem])?;
    Some(match path.parent() {
        Some(parent) => parent.join(&folder),
        None => folder,
    })
}
