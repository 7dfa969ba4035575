//! Reading an archive that may be hostile.
//!
//! All of it is checked before any of it is given out: names, counts and sizes. Its files come as paths that cannot
//! leave the place where they are put, and no file yields more bytes than were counted. Links and special files are left out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zip::ZipArchive;
use zip::read::{ZipFile, ZipFileEntry};

use crate::path::{PathError, RelativePath};

/// How much of the archive is read for its directory, in bytes: what an archive of some hundred thousand files has.
const MAX_DIRECTORY: u64 = 16 * 1024 * 1024;
/// How deep its folders may be nested.
const MAX_DEPTH: usize = 64;
/// How many bytes may come of one byte of the archive, once more than [`FREE_BYTES`] come at all.
const MAX_RATIO: u64 = 200;
const FREE_BYTES: u64 = 64 * 1024 * 1024;
/// The bits of a Unix mode that tell the kind of a file, and a regular file's.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// What an archive may come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// All its files, in bytes.
    pub(crate) bytes: u64,
    pub(crate) files: usize,
}

/// Where an archive comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust {
    /// A sync packed so many bytes into it; it may be as large as that was.
    Packed(u64),
    Foreign(Limits),
}

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("not a readable zip archive: {0}")]
    Malformed(#[from] zip::result::ZipError),
    #[error("the archive has more than {0} files")]
    TooMany(usize),
    #[error("the archive unpacks to {unpacked} bytes; {allowed} are allowed")]
    TooLarge { unpacked: u64, allowed: u64 },
    #[error("the archive names {name:?}: {source}")]
    Path { name: String, source: PathError },
    #[error("the archive has an unusable name: {0}")]
    Name(String),
    #[error("the archive has {0} more than once")]
    Duplicate(String),
    #[error("parts of the archive overlap")]
    Overlap,
    #[error("{0} in the archive is encrypted")]
    Encrypted(String),
}

impl From<UnpackError> for io::Error {
    fn from(error: UnpackError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// A regular file of an archive.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    index: usize,
    pub(crate) path: RelativePath,
    /// The permission bits.
    pub(crate) mode: u32,
    /// Bytes, unpacked.
    pub(crate) size: u64,
    pub(crate) crc32: u32,
}

/// An archive that was checked.
pub(crate) struct Unpacker {
    archive: ZipArchive<Metered>,
    members: Vec<Member>,
}

impl Unpacker {
    /// Reads and checks the directory of the archive. Blocking.
    pub(crate) fn open(file: File, trust: Trust) -> Result<Self, UnpackError> {
        let length = file.metadata().map_err(zip::result::ZipError::Io)?.len();
        let (directory, limits) = match trust {
            Trust::Packed(bytes) => (
                u64::MAX,
                Limits {
                    bytes,
                    files: usize::MAX,
                },
            ),
            Trust::Foreign(limits) => {
                let by_ratio = FREE_BYTES.max(length.saturating_mul(MAX_RATIO));
                let bytes = limits.bytes.min(by_ratio);
                (MAX_DIRECTORY, Limits { bytes, ..limits })
            }
        };
        let left = Arc::new(AtomicU64::new(directory));
        let mut archive = ZipArchive::new(Metered {
            inner: BufReader::new(file),
            left: Arc::clone(&left),
        })?;
        if archive.len() > limits.files {
            return Err(UnpackError::TooMany(limits.files));
        }
        // Every file's own header is read for this; the bytes are the archive's, and no more than it has.
        left.store(u64::MAX, Ordering::Relaxed);
        if archive.has_duplicate_names() {
            return Err(UnpackError::Duplicate("a name".to_owned()));
        }
        if archive.has_overlapping_entries()? {
            return Err(UnpackError::Overlap);
        }
        let members = members(&archive)?;
        check_total(&members, limits)?;
        check_paths(&members)?;
        Ok(Self { archive, members })
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The bytes of a file: as many as were announced, or an error.
    pub(crate) fn read(&mut self, member: &Member) -> io::Result<impl Read> {
        let content = self.archive.by_index(member.index)?;
        Ok(Announced {
            content,
            left: member.size,
        })
    }

    /// A file as it is packed.
    pub(super) fn raw(&mut self, member: &Member) -> io::Result<ZipFile<'_, impl Read>> {
        Ok(self.archive.by_index_raw(member.index)?)
    }
}

fn members(archive: &ZipArchive<Metered>) -> Result<Vec<Member>, UnpackError> {
    let mut members = Vec::new();
    for index in 0..archive.len() {
        members.extend(member(index, &archive.by_index_data(index)?)?);
    }
    Ok(members)
}

/// `None` for what is no regular file.
fn member(index: usize, entry: &ZipFileEntry<'_>) -> Result<Option<Member>, UnpackError> {
    let name = std::str::from_utf8(entry.name_raw())
        .map_err(|_| UnpackError::Name(String::from_utf8_lossy(entry.name_raw()).into_owned()))?;
    if name.starts_with('/') {
        return Err(UnpackError::Name(name.to_owned()));
    }
    let path = RelativePath::parse(name).map_err(|source| UnpackError::Path {
        name: name.to_owned(),
        source,
    })?;
    let mode = entry.unix_mode().unwrap_or(REGULAR | 0o644);
    // Some programs write the permission bits alone.
    let special = mode & KIND != 0 && mode & KIND != REGULAR;
    if entry.is_dir() || special {
        return Ok(None);
    }
    let path = path.ok_or_else(|| UnpackError::Name(name.to_owned()))?;
    if path.segments().count() > MAX_DEPTH {
        return Err(UnpackError::Name(name.to_owned()));
    }
    if entry.encrypted() {
        return Err(UnpackError::Encrypted(name.to_owned()));
    }
    Ok(Some(Member {
        index,
        path,
        mode: mode & 0o777,
        size: entry.size(),
        crc32: entry.crc32(),
    }))
}

fn check_total(members: &[Member], limits: Limits) -> Result<(), UnpackError> {
    let unpacked = members
        .iter()
        .fold(0_u64, |total, member| total.saturating_add(member.size));
    if unpacked > limits.bytes {
        return Err(UnpackError::TooLarge {
            unpacked,
            allowed: limits.bytes,
        });
    }
    Ok(())
}

/// No path twice, in whatever way it is written, and none below another's.
fn check_paths(members: &[Member]) -> Result<(), UnpackError> {
    let mut paths = BTreeSet::new();
    for member in members {
        if !paths.insert(&member.path) {
            return Err(UnpackError::Duplicate(member.path.to_string()));
        }
    }
    for member in members {
        let mut above = member.path.parent();
        while let Some(folder) = above {
            if paths.contains(&folder) {
                return Err(UnpackError::Duplicate(folder.to_string()));
            }
            above = folder.parent();
        }
    }
    Ok(())
}

/// A file that yields so many bytes and no more.
struct Metered {
    inner: BufReader<File>,
    left: Arc<AtomicU64>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let spent = u64::try_from(read).unwrap_or(u64::MAX);
        let left = self.left.load(Ordering::Relaxed);
        if left == u64::MAX {
            return Ok(read);
        }
        let left = left
            .checked_sub(spent)
            .ok_or_else(|| io::Error::other("its directory is too large"))?;
        self.left.store(left, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Content that must be as long as announced.
struct Announced<R> {
    content: R,
    left: u64,
}

impl<R: Read> Read for Announced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        let left = self
            .left
            .checked_sub(u64::try_from(read).unwrap_or(u64::MAX));
        self.left = left.ok_or_else(|| io::Error::other("a file is longer than announced"))?;
        if read == 0 && !buffer.is_empty() && self.left > 0 {
            return Err(io::Error::other("a file is shorter than announced"));
        }
        Ok(read)
    }
}
