//! Small steps with mounts that the kernel makes awkward inside a user namespace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

const NOTHING: Option<&str> = None;

/// Keeps mounts from reaching the host, and the host's from reaching us.
pub(super) fn make_private() -> nix::Result<()> {
    mount(
        NOTHING,
        "/",
        NOTHING,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        NOTHING,
    )
}

pub(super) fn tmpfs(target: &Path, options: &str) -> nix::Result<()> {
    mount(
        Some("tmpfs"),
        target,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some(options),
    )
}

pub(super) fn proc(target: &Path) -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), target, Some("proc"), flags, NOTHING)
}

/// Binds with everything that is mounted below: the kernel refuses to uncover what a mount hides.
pub(super) fn bind(source: &Path, target: &Path) -> nix::Result<()> {
    mount(
        Some(source),
        target,
        NOTHING,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        NOTHING,
    )
}

/// Adds flags to the mount at `target` and to those below it. A mount's own flags are kept: most are locked.
pub(super) fn restrict(target: &Path, added: MsFlags) -> io::Result<()> {
    // Made absolute by hand: the folders above may be closed to this user.
    let target = std::env::current_dir()?.join(target);
    for (point, flags) in mounts_within(&target)? {
        let flags = flags | added | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
        let reachable = point
            .strip_prefix(std::env::current_dir()?)
            .unwrap_or(&point);
        mount(NOTHING, or_here(reachable), NOTHING, flags, NOTHING)?;
    }
    Ok(())
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

fn mounts_within(target: &Path) -> io::Result<Vec<(PathBuf, MsFlags)>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let mounts = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        Some((
            PathBuf::from(unescape(fields.next()?)),
            flags_of(fields.next()?),
        ))
    });
    Ok(mounts
        .filter(|(point, _)| point.starts_with(target))
        .collect())
}

fn flags_of(options: &str) -> MsFlags {
    options.split(',').fold(MsFlags::empty(), |flags, option| {
        flags
            | match option {
                "ro" => MsFlags::MS_RDONLY,
                "nosuid" => MsFlags::MS_NOSUID,
                "nodev" => MsFlags::MS_NODEV,
                "noexec" => MsFlags::MS_NOEXEC,
                _ => MsFlags::empty(),
            }
    })
}

/// The mount table writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(field: &str) -> String {
    let mut text = field.to_owned();
    for (escaped, plain) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        text = text.replace(escaped, plain);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_table_is_read_with_its_escapes() {
        assert_eq!(unescape("/mnt/a\\040b"), "/mnt/a b");
        assert_eq!(
            flags_of("ro,nosuid,relatime"),
            MsFlags::MS_RDONLY | MsFlags::MS_NOSUID
        );
    }
}
