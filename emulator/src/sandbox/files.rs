//! The file tools, carried out in the world by a worker: what they reach is what the session itself reaches.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::edit::{Edit, edit};
use super::file_info::{self, Snapshot};
use super::search::search;

/// Where a path that is not absolute begins.
const HOME: &str = "/home/agb";
/// The most that one call reads, in bytes.
const MAX_READ: u64 = 16 * 1024 * 1024;
/// The longest character of UTF-8, less its first byte.
const MAX_CONTINUATION: u64 = 3;

/// A call of a file tool, as its caller writes the arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "tool", rename_all = "snake_case")]
pub(crate) enum FileRequest {
    ReadFile {
        path: String,
        #[serde(default)]
        offset: u64,
        /// 0 for the rest of the file.
        #[serde(default)]
        length: u64,
        #[serde(default)]
        format: Option<String>,
    },
    WriteFile {
        path: String,
        content: String,
        #[serde(default)]
        mode: WriteMode,
    },
    ListDirectory {
        path: String,
    },
    GetFileInfo {
        path: String,
    },
    CreateDirectory {
        path: String,
    },
    MoveFile {
        source: String,
        destination: String,
    },
    DeleteFile {
        path: String,
    },
    EditFile {
        path: String,
        edits: Vec<Edit>,
        #[serde(default, rename = "dryRun")]
        dry_run: bool,
    },
    ReadMultipleFiles {
        paths: Vec<String>,
    },
    SearchFiles {
        path: String,
        pattern: String,
        #[serde(default, rename = "excludePatterns")]
        exclude_patterns: Vec<String>,
    },
    /// Answers a [`Snapshot`] as JSON: what has changed since the last one is for the caller to see.
    GetFileChange {
        path: String,
    },
}

/// What becomes of a file's former content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WriteMode {
    #[default]
    Overwrite,
    Append,
}

/// Does what is asked; the error is for the caller to read.
pub(super) fn answer(request: &FileRequest, file_bytes: u64) -> Result<String, String> {
    let (path, answer) = carry_out(request, file_bytes);
    answer.map_err(
        |error| match error.raw_os_error().map(io::Error::from_raw_os_error) {
            // The system's own words, with what they are about.
            Some(_) => format!("{path}: {error}"),
            None => error.to_string(),
        },
    )
}

fn carry_out(request: &FileRequest, file_bytes: u64) -> (&str, io::Result<String>) {
    match request {
        FileRequest::ReadFile {
            path,
            offset,
            length,
            format,
        } => (path, read(path, *offset, *length, format.as_deref())),
        FileRequest::WriteFile {
            path,
            content,
            mode,
        } => (path, write(path, content, *mode, file_bytes)),
        FileRequest::ListDirectory { path } => (path, list(path)),
        FileRequest::GetFileInfo { path } => (path, file_info::describe(&resolve(path))),
        FileRequest::CreateDirectory { path } => (path, create_directory(path)),
        FileRequest::MoveFile {
            source,
            destination,
        } => (source, move_file(source, destination)),
        FileRequest::DeleteFile { path } => (path, delete(path)),
        FileRequest::EditFile {
            path,
            edits,
            dry_run,
        } => (path, edit_file(path, edits, *dry_run, file_bytes)),
        FileRequest::ReadMultipleFiles { paths } => ("", read_multiple(paths)),
        FileRequest::SearchFiles {
            path,
            pattern,
            exclude_patterns,
        } => (path, search(&resolve(path), pattern, exclude_patterns)),
        FileRequest::GetFileChange { path } => (path, snapshot(path)),
    }
}

fn resolve(path: &str) -> PathBuf {
    Path::new(HOME).join(path)
}

/// Opens a regular file. Without `O_NONBLOCK`, a pipe that bears the name would hold us.
fn open(path: &str) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(resolve(path))?;
    regular(path, &file)?;
    Ok(file)
}

fn regular(path: &str, file: &File) -> io::Result<()> {
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        Err(io::Error::other(format!("{path}: is a directory")))
    } else if kind.is_file() || kind.is_char_device() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{path}: is no regular file")))
    }
}

fn read(path: &str, offset: u64, length: u64, format: Option<&str>) -> io::Result<String> {
    let mut file = open(path)?;
    match format {
        Some("binary") => Ok(STANDARD.encode(read_part(&mut file, path, offset, length, 0)?)),
        None | Some("text") => read_text(&mut file, path, offset, length),
        Some(other) => Err(io::Error::other(format!(
            "format must be text or binary, not {other}"
        ))),
    }
}

/// A character belongs to the part in which it begins, so that parts put together are the whole.
fn read_text(file: &mut File, path: &str, offset: u64, length: u64) -> io::Result<String> {
    let bytes = read_part(file, path, offset, length, MAX_CONTINUATION)?;
    let begins = |at: usize| bytes.get(at).is_none_or(|byte| byte & 0xC0 != 0x80);
    let reach = usize::try_from(MAX_CONTINUATION).unwrap_or(0);
    let from = if offset == 0 {
        0
    } else {
        (0..=reach).find(|at| begins(*at)).unwrap_or(0)
    };
    let asked = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let to = if length == 0 {
        bytes.len()
    } else {
        (asked..=asked + reach)
            .find(|at| begins(*at))
            .unwrap_or(asked)
            .min(bytes.len())
    };
    Ok(String::from_utf8_lossy(bytes.get(from..to).unwrap_or_default()).into_owned())
}

fn read_part(
    file: &mut File,
    path: &str,
    offset: u64,
    length: u64,
    beyond: u64,
) -> io::Result<Vec<u8>> {
    // A device has no place to go to.
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    let asked = if length == 0 { u64::MAX } else { length };
    let mut bytes = Vec::new();
    let most = asked.min(MAX_READ) + beyond.max(1);
    file.take(most).read_to_end(&mut bytes)?;
    if asked > MAX_READ && bytes.len() as u64 > MAX_READ {
        return Err(io::Error::other(format!(
            "{path}: more than {MAX_READ} bytes: read it in parts"
        )));
    }
    let most = usize::try_from(asked.min(MAX_READ) + beyond).unwrap_or(usize::MAX);
    bytes.truncate(most);
    Ok(bytes)
}

fn write(path: &str, content: &str, mode: WriteMode, file_bytes: u64) -> io::Result<String> {
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .append(mode == WriteMode::Append)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(resolve(path))?;
    regular(path, &file)?;
    let before = match mode {
        WriteMode::Overwrite => 0,
        WriteMode::Append => file.metadata()?.len(),
    };
    check_room(path, before, content.len() as u64, file_bytes)?;
    if mode == WriteMode::Overwrite {
        file.set_len(0)?;
    }
    file.write_all(content.as_bytes())?;
    Ok(format!("Successfully wrote to {path}"))
}

fn check_room(path: &str, before: u64, added: u64, file_bytes: u64) -> io::Result<()> {
    if added > 0 && before + added > file_bytes {
        return Err(io::Error::other(format!(
            "{path}: disk quota exceeded: there is room for {file_bytes} bytes"
        )));
    }
    Ok(())
}

fn list(path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(resolve(path))? {
        let entry = entry?;
        // A link to a folder can be listed like one.
        let folder = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
        names.push((entry.file_name().to_string_lossy().into_owned(), folder));
    }
    names.sort();
    let mut listing = String::new();
    for (name, folder) in names {
        let kind = if folder { "[DIR]" } else { "[FILE]" };
        let _ = writeln!(listing, "{kind} {name}");
    }
    Ok(listing)
}

fn create_directory(path: &str) -> io::Result<String> {
    fs::create_dir_all(resolve(path))?;
    Ok(format!("Successfully created directory {path}"))
}

fn delete(path: &str) -> io::Result<String> {
    let target = resolve(path);
    if fs::symlink_metadata(&target)?.is_dir() {
        return Err(io::Error::other(format!("{path}: is a directory")));
    }
    fs::remove_file(target)?;
    Ok(format!("Successfully deleted {path}"))
}

fn move_file(source: &str, destination: &str) -> io::Result<String> {
    let (from, to) = (resolve(source), resolve(destination));
    fs::symlink_metadata(&from)?;
    if fs::symlink_metadata(&to).is_ok() {
        return Err(io::Error::other(format!("{destination}: exists already")));
    }
    match fs::rename(&from, &to) {
        // `/tmp` and `/home` are mounts of their own.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy(&from, &to)?;
            if fs::symlink_metadata(&from)?.is_dir() {
                fs::remove_dir_all(&from)?;
            } else {
                fs::remove_file(&from)?;
            }
        }
        other => other?,
    }
    Ok(format!("Successfully moved {source} to {destination}"))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if !metadata.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    fs::set_permissions(to, metadata.permissions())
}

fn edit_file(path: &str, edits: &[Edit], dry_run: bool, file_bytes: u64) -> io::Result<String> {
    let mut before = String::new();
    open(path)?.take(MAX_READ).read_to_string(&mut before)?;
    let (after, difference) = edit(&before, edits).map_err(|missing| {
        io::Error::other(format!("{path}: no such text to replace: {missing}"))
    })?;
    if !dry_run {
        write(path, &after, WriteMode::Overwrite, file_bytes)?;
    }
    Ok(difference)
}

/// One that cannot be read says so in its own place.
fn read_multiple(paths: &[String]) -> io::Result<String> {
    let mut parts = Vec::new();
    let mut total = 0;
    for path in paths {
        let content = open(path)
            .and_then(|mut file| read_text(&mut file, path, 0, 0))
            .map_or_else(
                |error| format!("{path}: Error - {error}\n"),
                |content| format!("{path}:\n{content}\n"),
            );
        total += content.len() as u64;
        if total > MAX_READ {
            return Err(io::Error::other(format!(
                "more than {MAX_READ} bytes: read fewer files at once"
            )));
        }
        parts.push(content);
    }
    Ok(parts.join("\n---\n"))
}

fn snapshot(path: &str) -> io::Result<String> {
    Ok(serde_json::to_string(&Snapshot::take(&resolve(path))?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_text_put_together_are_the_whole_wherever_they_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        let whole = "aä€😀b".repeat(20);
        fs::write(&path, &whole).unwrap();
        let path = path.to_str().unwrap();
        for step in 1..12_u64 {
            let mut joined = String::new();
            let mut offset = 0;
            while offset < whole.len() as u64 {
                joined += &read(path, offset, step, None).unwrap();
                offset += step;
            }
            assert_eq!(joined, whole, "in parts of {step}");
        }
    }

    #[test]
    fn a_read_without_a_length_is_refused_when_it_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        File::create(&path).unwrap().set_len(MAX_READ + 1).unwrap();
        let path = path.to_str().unwrap();
        assert!(read(path, 0, 0, None).is_err());
        assert!(read(path, 0, MAX_READ + 1, Some("binary")).is_err());
        let all = read(path, 0, MAX_READ, None).unwrap();
        assert_eq!(all.len() as u64, MAX_READ);
        assert_eq!(read(path, 1, 0, None).unwrap().len() as u64, MAX_READ);
    }

    #[test]
    fn a_write_beyond_the_quota_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let text = path.to_str().unwrap();
        assert!(write(text, "longer", WriteMode::Overwrite, 4).is_err());
        assert!(write(text, "er", WriteMode::Append, 4).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        write(text, "e", WriteMode::Append, 4).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "olde");
    }
}
