//! The transfers themselves, file by file. They block, and hold no more than one file's buffer in memory.
//!
//! Each file arrives whole, and of two sessions that change the same file the later upload wins. A file that
//! this session did not change is not uploaded over what another session stored meanwhile.

mod alone;
mod archived;
#[cfg(test)]
mod tests;

use std::io;

use super::mount::KnownFiles;
use super::part::Part;
use crate::archive::Limits;
use crate::context::{BlobStore, UploadMode};
use crate::world::World;

/// Brings the context's files into the session. Returns how many bytes it moved.
pub(super) fn download(
    world: &World,
    part: &Part,
    known: &mut KnownFiles,
    limits: Limits,
) -> io::Result<u64> {
    let mount = &part.mount;
    let folder = world.make_folder(&mount.path)?;
    let extracts =
        mount.context.upload_mode() == UploadMode::Archive && mount.policy.extract.extract;
    let (archives, others): (Vec<_>, Vec<_>) = mount
        .stored_files()
        .into_iter()
        .partition(|(path, file)| extracts && archived::is_archive(path, file));
    let mut moved = 0;
    for (path, file) in others.iter().filter(|(path, _)| part.holds(path)) {
        moved += alone::bring(&folder, path, file, known)?;
    }
    Ok(moved + archived::extract(&folder, part, archives, known, limits)?)
}

/// Brings the session's files into the context. Returns how many bytes it moved.
pub(super) fn upload(
    world: &World,
    part: &Part,
    known: &mut KnownFiles,
    blobs: &BlobStore,
    limits: Limits,
) -> io::Result<u64> {
    let mount = &part.mount;
    let folder = world.open_folder(&mount.path)?;
    match mount.context.upload_mode() {
        UploadMode::File => alone::upload(&folder, part, known, blobs),
        // There is one archive of all.
        UploadMode::Archive => archived::upload(&folder, mount, known, blobs, limits),
    }
}
